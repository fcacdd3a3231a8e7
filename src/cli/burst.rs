//! One server asked a few times in a row.
//!
//! In: a URL and how often. Out: a [`Burst`], which is what its replies prove together, or why there is none. A server
//! is asked no faster than once a second, however many of the URLs are its own.

use crate::engine::estimate::Prior;
use crate::engine::exchange::Exchange;
use crate::engine::filter::{Filter, Reading};
use crate::engine::source::{Aftermath, Failure, Fault};
use crate::engine::time::{Raw, Span};
use crate::net::{Target, Tls};
use crate::poller::{Upstream, UpstreamSettings};
use crate::protocol::kind::Kind;
use crate::sys::clock::{ClockPair, pair_now, raw_now, sleep_until};
use anyhow::anyhow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Mutex;
use url::Url;

/// From the end of one exchange with a server to the beginning of the next.
const APART: Span = Span::from_secs(1);

/// What a server said.
#[derive(Debug)]
pub(super) struct Burst {
    /// All exchanges that succeeded, one at least.
    pub(super) exchanges: Vec<Exchange>,
    /// Why there are not as many as were asked for, if so.
    pub(super) trouble: Option<Failure>,
    /// What they say together.
    reading: Reading,
    /// Of what instant.
    clock: ClockPair,
}

impl Burst {
    /// What the exchanges say of the instant `clock`; nothing if there are none.
    pub(super) fn new(
        exchanges: Vec<Exchange>,
        trouble: Option<Failure>,
        clock: ClockPair,
    ) -> Option<Self> {
        let mut filter = Filter::default();
        for exchange in &exchanges {
            filter.add(*exchange);
        }
        Some(Self {
            reading: filter.read(clock.raw, Prior::default())?,
            exchanges,
            trouble,
            clock,
        })
    }

    /// What must be added to the system clock by the best guess.
    pub(super) fn offset(&self) -> Span {
        self.clock.offset(self.reading.estimate.theta)
    }

    /// The least delay that was seen: that of the exchange that says most.
    pub(super) fn delay(&self) -> Span {
        let delays = self.exchanges.iter().map(Exchange::delay);
        delays.min().unwrap_or(Span::ZERO)
    }

    /// How many of the first exchanges contradict the later ones, and were left out.
    pub(super) fn misfits(&self) -> usize {
        self.reading.misfits
    }
}

/// When a server was last asked; held while it is asked. All its URLs share one.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace(Arc<Mutex<Option<Raw>>>);

/// A server that can be asked, at one of its URLs.
#[derive(Clone)]
pub(super) struct Server {
    /// Host and port: URLs that have both in common are of one server.
    pub(super) operator: String,
    target: Target,
    kind: Kind,
    tls: Arc<Tls>,
    pace: Pace,
}

impl Server {
    /// The server at `url`; `paces` has those of the others, by their hosts and ports.
    pub(super) fn new(
        url: &str,
        tls: &Arc<Tls>,
        paces: &mut BTreeMap<String, Pace>,
    ) -> anyhow::Result<Self> {
        let url = Url::parse(url).map_err(|error| {
            anyhow!("not a URL: {error}; write it like https://webntp.shogo82148.com/json")
        })?;
        let host = url.host_str().unwrap_or_default();
        let operator = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        Ok(Self {
            pace: paces.entry(operator.clone()).or_default().clone(),
            operator,
            kind: asked_as(url.scheme()),
            target: Target::new(url)?,
            tls: Arc::clone(tls),
        })
    }

    /// Asks it `samples` times. The first failure is the end: whoever is in trouble, or wants to be left alone, is not
    /// pressed.
    pub(super) async fn ask(self, samples: u8) -> Result<Burst, Failure> {
        let mut upstream = Upstream::new(
            self.target,
            self.tls,
            UpstreamSettings {
                kind: self.kind,
                ..UpstreamSettings::default()
            },
        );
        let mut exchanges = Vec::new();
        let mut trouble = None;
        for _ in 0..samples {
            let mut last = self.pace.0.lock().await;
            if let Some(last) = *last {
                sleep_until(last + APART).await;
            }
            let result = exchange(&mut upstream).await;
            *last = Some(raw_now());
            match result {
                Ok(exchange) => exchanges.push(exchange),
                Err(failure) => {
                    trouble = Some(failure);
                    break;
                }
            }
        }
        Burst::new(exchanges, trouble.clone(), pair_now()).ok_or_else(|| {
            trouble.unwrap_or_else(|| Failure {
                fault: Fault::Server,
                reason: "its replies say nothing together".to_owned(),
                connection: Aftermath::Broken,
                retry_after: None,
            })
        })
    }
}

/// What is asked for under a URL with this scheme: nobody says what the server speaks.
fn asked_as(scheme: &str) -> Kind {
    Kind::usual(scheme)
}

/// Whether a server that speaks `kind` under a URL with this scheme is understood here.
pub(super) fn is_understood(kind: Kind, scheme: &str) -> bool {
    // The forerunner's replies are the same but for their digits.
    kind == asked_as(scheme) || kind == Kind::Nict
}

/// One exchange; a second attempt when the server had closed the kept connection, as some do after two requests.
async fn exchange(upstream: &mut Upstream) -> Result<Exchange, Failure> {
    let failure = match upstream.exchange().await {
        Ok(exchange) => return Ok(exchange),
        Err(trouble) => trouble.into_failure(),
    };
    upstream.close();
    if failure.connection != Aftermath::Stale {
        return Err(failure);
    }
    let again = upstream.exchange().await;
    again.map_err(|trouble| trouble.into_failure())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Utc;

    /// Exchanges a second apart with a server that is ahead by `ahead_ms`, of these delays each way.
    fn burst(ahead_ms: i64, delays_ms: &[(i64, i64)]) -> Burst {
        let exchanges = delays_ms.iter().enumerate().map(|(k, &(up, down))| {
            let sent = Raw::from_nanos(0) + Span::from_secs(k as i64);
            let arrived = sent + Span::from_millis(up);
            let theta = Utc::from_secs(1_800_000_000) - Raw::from_nanos(0);
            let stamp = (arrived + theta) + Span::from_millis(ahead_ms);
            Exchange::new(sent, arrived + Span::from_millis(down), stamp, stamp, None)
                .expect("possible")
        });
        let after = Span::from_secs(delays_ms.len() as i64);
        let clock = ClockPair {
            raw: Raw::from_nanos(0) + after,
            system: Utc::from_secs(1_800_000_000) + after,
        };
        Burst::new(exchanges.collect(), None, clock).expect("there are exchanges")
    }

    #[test]
    fn one_sample_is_the_middle_of_its_interval() {
        let one = burst(25, &[(10, 10)]);
        assert!((one.offset() - Span::from_millis(25)).abs() < Span::from_micros(1));
        assert_eq!(one.delay(), Span::from_millis(20));
    }

    #[test]
    fn what_was_delayed_on_its_way_harms_neither_offset_nor_delay() {
        // A mean of all that took less than twice the least delay would be off by 4 ms.
        let with_outliers = burst(0, &[(10, 10), (26, 10), (10, 10), (400, 10)]);
        assert!(with_outliers.offset().abs() < Span::from_millis(1));
        assert_eq!(with_outliers.delay(), Span::from_millis(20));
    }

    #[test]
    fn urls_of_one_host_and_port_are_of_one_server() {
        let (tls, mut paces) = (Arc::new(Tls::new(Vec::new())), BTreeMap::new());
        let mut server = |url| Server::new(url, &tls, &mut paces).expect("a URL");
        let (a, b) = (server("https://h/json"), server("wss://h:443/ws"));
        assert!(Arc::ptr_eq(&a.pace.0, &b.pace.0));
        assert_eq!(a.operator, b.operator);
        assert_ne!(a.operator, server("http://h/json").operator);
    }
}
