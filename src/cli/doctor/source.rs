//! A source, from its name to one sample.
//!
//! In: a source of the configuration, and the time that the daemon kept. Out: how far the way leads, one sample if it leads to the end, and what to do where it does not.
//! A server is connected to twice and asked once, after the questions that find out its protocol if the configuration does not name it.

use super::super::burst::is_understood;
use super::clock::{Sample, Wrong};
use super::link::Link;
use crate::config::{self, Config, Protocol, Source};
use crate::engine::source::LEAST_APART;
use crate::engine::time::Span;
use crate::net::{
    CertificateFault, Deadlines, Error, KnownTime, Phase, Survey, Target, Tls, survey,
};
use crate::poller::{Finder, Upstream, UpstreamSettings};
use crate::protocol::refusal::Refusal;
use crate::status::table::{Length, Signed};
use crate::sys::clock::{pair_now, raw_now, sleep_until};
use crate::sys::state;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use url::Host;

/// The longest that one phase may take, whatever the configuration allows: somebody waits for it.
const PATIENCE: Span = Span::from_secs(5);

/// The longest that a sample may take, with all redirects.
const SAMPLE_DUE: Duration = Duration::from_secs(12);

/// A certificate that ends sooner should have been renewed: authorities suggest a third of 90 days before.
const SOON_DAYS: i64 = 14;

/// What came of visiting a source.
#[derive(Debug)]
pub(super) struct Visit {
    survey: Survey,
    /// What the server was found to speak, if the configuration does not say it.
    found: Option<Protocol>,
    /// None if it did not come to it.
    sample: Option<Result<Sample, Missed>>,
}

/// Why there is no sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    reason: String,
    why: Why,
}

/// Who may be able to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// A page came where a time was due.
    Portal,
    /// The server is there, and does not want to be asked now.
    Busy,
    Other,
}

impl Why {
    fn of(refusal: Option<&Refusal>) -> Self {
        match refusal {
            Some(Refusal::Html | Refusal::PageInstead { .. }) => Self::Portal,
            Some(Refusal::Status {
                code: 429 | 503, ..
            }) => Self::Busy,
            _ => Self::Other,
        }
    }
}

/// Why a source could not be visited at all: in words.
pub(in crate::cli) type Unfit = String;

/// A time that the daemon takes to have come: what it kept, if this user may read that. Certificates are judged by it.
pub(in crate::cli) fn known_time(config: &Config) -> KnownTime {
    let known = KnownTime::default();
    let kept = config.state.directory.as_deref().map(state::read);
    // The daemon begins without what it cannot use.
    if let Some(Ok(Some(kept))) = kept {
        known.learn(kept.time);
    }
    known
}

/// Visits a source, in half a minute at the most. Certificates are judged at no earlier time than is `known` to have come.
pub(super) async fn visit(source: Source, known: KnownTime) -> Result<Visit, Unfit> {
    let (target, tls) = reach(&source, known)?;
    let deadlines = Deadlines::each(source.timeout.min(PATIENCE));
    let survey = survey(&target, &tls, &deadlines).await;
    if !survey.is_through() {
        return Ok(Visit {
            survey,
            found: None,
            sample: None,
        });
    }
    let settings = UpstreamSettings {
        kind: source.protocol.unwrap_or_default(),
        rounding: source.rounding,
        offset: source.offset,
        deadlines,
    };
    let mut found = None;
    let measured = timeout(SAMPLE_DUE, async {
        let mut upstream = match source.protocol {
            Some(_) => Upstream::new(target, tls, settings),
            None => {
                let (kind, upstream) = Finder::new(target, tls, settings).settle().await?;
                found = Some(kind);
                sleep_until(raw_now() + LEAST_APART).await;
                upstream
            }
        };
        match upstream.exchange().await {
            // As servers do that close after two replies.
            Err(trouble) if found.is_some() && trouble.is_of_the_connection() => {
                upstream.close();
                upstream.exchange().await
            }
            measured => measured,
        }
    });
    let sample = match measured.await {
        Ok(Ok(exchange)) => {
            let delay = exchange.delay();
            Ok(Sample {
                offset: pair_now().offset(exchange.middle()),
                bound: delay.half(),
                delay,
            })
        }
        Ok(Err(trouble)) => Err(Missed {
            why: Why::of(trouble.refusal()),
            reason: trouble.to_string(),
        }),
        Err(_) => Err(Missed {
            reason: format!("no sample within {} s", SAMPLE_DUE.as_secs()),
            why: Why::Other,
        }),
    };
    Ok(Visit {
        survey,
        found,
        sample: Some(sample),
    })
}

/// Where a source's server is, and how TLS is spoken to it. Certificates are judged at no earlier time than is `known` to have come.
pub(in crate::cli) fn reach(
    source: &Source,
    known: KnownTime,
) -> Result<(Target, Arc<Tls>), Unfit> {
    let target = Target::new(source.url.clone()).map_err(|error| error.to_string())?;
    let target = target.with_address_family(source.address_family);
    let roots = source
        .ca_file
        .as_deref()
        .map_or(Ok(Vec::new()), config::certificates);
    let tls = Tls::new(roots.map_err(|error| error.to_string())?);
    Ok((target, Arc::new(tls.with_known_time(known))))
}

impl Visit {
    pub(super) fn sample(&self) -> Option<Sample> {
        self.sample.clone()?.ok()
    }

    /// The links of a source; `clock` is what is wrong with the system clock.
    pub(super) fn judge(&self, source: &Source, clock: Option<&Wrong>) -> Vec<Link> {
        let link = |what: &str| format!("{what} of {}", source.name);
        let mut links = Vec::new();
        match &self.survey.addresses {
            Ok(addresses) => {
                let list: Vec<String> = addresses
                    .iter()
                    .map(|address| address.ip().to_string())
                    .collect();
                // An address needs no look-up, and no line.
                if let Some(Host::Domain(host)) = source.url.host() {
                    let text = format!("{host} is {}", list.join(", "));
                    links.push(Link::ok(link("name"), text));
                }
            }
            Err(error) => links.push(
                Link::fault(link("name"), error.to_string()).remedy(name_remedy(error, source)),
            ),
        }
        match &self.survey.peer {
            Some(Ok(peer)) if source.protocol == Some(Protocol::Ntp) => links.push(Link::ok(
                link("connection"),
                format!("none, packets go to {peer}"),
            )),
            Some(Ok(peer)) => links.push(Link::ok(link("connection"), format!("{peer} answers"))),
            Some(Err(error)) => {
                links.push(
                    Link::fault(link("connection"), error.to_string())
                        .remedy(connect_remedy(error)),
                );
            }
            None => links.push(Link::skipped(link("connection"), "no address is known")),
        }
        match &self.survey.certificate_days {
            Some(Ok(days)) => links.push(certificate(link("certificate"), *days)),
            Some(Err(error)) => links.push(tls_fault(link("certificate"), error, clock)),
            // Of one that is not reached nothing can be said, and nothing can be changed on the way.
            None if !source.is_encrypted() && self.survey.is_through() => {
                let note = Link::note(
                    link("certificate"),
                    "none, in clear text: whoever is in between can change the time",
                );
                links.push(match source.protocol {
                    // No server of NTP speaks https for that.
                    Some(Protocol::Ntp) => note,
                    _ => note.remedy("if its server speaks https, name that in `url`"),
                });
            }
            None => links.push(Link::skipped(link("certificate"), "there is no connection")),
        }
        if let Some(kind) = self.found {
            let (kind, words, caution) = (kind.name(), kind.words(), kind.caution());
            links.push(Link::ok(
                link("protocol"),
                format!(
                    "found out: {kind} ({words}); to settle that: protocol = \"{kind}\"{caution}"
                ),
            ));
        }
        links.push(match &self.sample {
            Some(Ok(sample)) => Link::ok(
                link("sample"),
                format!(
                    "offset {} ± {}, delay {}",
                    Signed(sample.offset),
                    Length(sample.bound),
                    Length(sample.delay)
                ),
            ),
            Some(Err(missed)) => Link::fault(link("sample"), &missed.reason)
                .remedy(self.sample_remedy(source, missed.why)),
            None => Link::skipped(link("sample"), "there is no connection"),
        });
        links
    }

    /// What to do about a sample that did not come.
    fn sample_remedy(&self, source: &Source, why: Why) -> String {
        let scheme = source.url.scheme();
        // Not where the scheme says it.
        let is_given = source.protocol != Protocol::of_scheme(scheme);
        let kind = source.protocol.or(self.found);
        match why {
            Why::Portal => {
                let keys = if is_given { "`url` and `protocol`" } else { "`url`" };
                format!(
                    "open any page in a browser: behind a captive portal, log in there or have this machine exempted; \
                     else correct {keys}"
                )
            }
            Why::Busy => "it may be asked too often, or by too many: the daemon asks again by itself; if it stays so, \
                          ask its operator, or use another source"
                .to_owned(),
            Why::Other => {
                let keys = if is_given { "`url` and `protocol` are right" } else { "`url` is right" };
                let is_understood = kind.is_some_and(|kind| is_understood(kind, scheme));
                let also = if is_understood { " (`webntp URL` asks it as well)" } else { "" };
                format!(
                    "see whether {keys}{also}, and whether its operator knows of it; with other sources the daemon \
                     does without"
                )
            }
        }
    }
}

impl Survey {
    /// Whether the way led to its end.
    fn is_through(&self) -> bool {
        matches!(self.peer, Some(Ok(_))) && !matches!(self.certificate_days, Some(Err(_)))
    }
}

fn name_remedy(error: &Error, source: &Source) -> String {
    let host = source.url.host_str().unwrap_or_default();
    match error {
        Error::ExcludedAddress { .. } => {
            "set address-family = \"any\", or name a host that has such an address".to_owned()
        }
        Error::Deadline { .. } => {
            "no name server answers: is the network up, and does /etc/resolv.conf name one that \
                                   can be reached?"
                .to_owned()
        }
        _ => format!(
            "see whether `url` has the right host, and whether `getent ahosts {host}` finds it: if no name \
                      is found, mend /etc/resolv.conf"
        ),
    }
}

fn connect_remedy(error: &Error) -> &'static str {
    match error {
        Error::Connect { cause, .. } if cause.kind() == std::io::ErrorKind::ConnectionRefused => {
            "nobody listens there, or a firewall refuses: see whether `url` has the right port; tell its operator"
        }
        Error::Deadline {
            phase: Phase::Connect,
            ..
        } => {
            "a firewall on the way swallows it, or the server is down: try another port or another network"
        }
        _ => {
            "is the network up (ip route)? With IPv6 that leads nowhere, set address-family = \"ipv4\""
        }
    }
}

fn certificate(name: String, days: i64) -> Link {
    let plural = if days == 1 { "" } else { "s" };
    if days < SOON_DAYS {
        Link::note(name, format!("good, and ends within {} days", days + 1))
            .remedy("its operator should have renewed it by now: tell him, and have other sources")
    } else {
        Link::ok(
            name,
            format!("signed by somebody trusted, good for {days} day{plural} and more"),
        )
    }
}

fn tls_fault(name: String, error: &Error, clock: Option<&Wrong>) -> Link {
    let fault = Link::fault(name, error.to_string());
    match error {
        Error::Certificate { fault: what, .. } => match (what, clock) {
            (CertificateFault::Expired | CertificateFault::NotYetValid, Some(Wrong { how, remedy })) => {
                Link::fault(fault.name, format!("{error}; {how}")).remedy(remedy)
            }
            (CertificateFault::Expired, None) => fault.remedy(
                "if `date -u` is right, its operator must renew it: tell him, and use another source until then; else \
                 set the clock once by hand: date -u -s 'YYYY-MM-DD hh:mm:ss'",
            ),
            (CertificateFault::NotYetValid, None) => fault.remedy(
                "if `date -u` is wrong, set the clock once by hand: date -u -s 'YYYY-MM-DD hh:mm:ss'; else tell the \
                 operator of the server",
            ),
            (CertificateFault::WrongName, _) => fault.remedy(
                "write the host into `url` that the certificate is for; if it is right already, somebody is in between: \
                 a captive portal (log in), a proxy, or worse",
            ),
            (CertificateFault::UnknownIssuer, _) => fault.remedy(
                "of a private CA, name its certificate as `ca-file`; else somebody is in between who decrypts: log in \
                 to the captive portal, or ask whoever runs the network",
            ),
            (CertificateFault::Other(_), _) => fault.remedy("tell its operator, and use another source"),
        },
        Error::Roots { .. } => fault.remedy("apt install ca-certificates; see whether `ca-file` can be read"),
        Error::Deadline { .. } | Error::HungUp | Error::Io(_) => fault.remedy(
            "something on the way lets connections through and not TLS, or this port has none: see `url`, try another \
             network",
        ),
        _ => fault.remedy("is it TLS that this port speaks? See the scheme and the port of `url`"),
    }
}

#[cfg(test)]
mod tests;
