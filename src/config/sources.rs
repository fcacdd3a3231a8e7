//! The checks of each `[[source]]`: what must be there, what must differ, what does not go together.
//!
//! In: the mirror of the file. Out: sources with all defaults. One that lacks its name or url is left out;
//! why has then been reported.

use super::checked::{AddressFamily, CaFileCheck, DEFAULT_MAX_POLL, Protocol, Source};
use super::endpoint;
use super::keys::{self, Key, Text};
use super::problem::{Fault, Report};
use super::raw;
use super::reader::At;
use super::word;
use crate::engine::time::Span;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use url::{Host, Url};

/// What must not be twice, each with the line that has it.
#[derive(Default)]
struct Seen {
    names: HashMap<String, usize>,
    servers: HashMap<(Url, AddressFamily), Vec<Question>>,
}

/// How a server is asked, and by the source on which line.
#[derive(Clone, Copy)]
struct Question {
    /// None if that is to be found out.
    protocol: Option<Protocol>,
    line: usize,
}

/// Checks them all. Polls follow the `cycle` if they are not given.
pub(super) fn checked(
    sources: &[raw::Source<'_>],
    cycle: Span,
    ca_file_check: CaFileCheck<'_>,
    report: &mut Report,
) -> Vec<Source> {
    let mut seen = Seen::default();
    sources
        .iter()
        .filter_map(|source| checked_source(source, cycle, &mut seen, ca_file_check, report))
        .collect()
}

fn checked_source(
    raw: &raw::Source<'_>,
    cycle: Span,
    seen: &mut Seen,
    ca_file_check: CaFileCheck<'_>,
    report: &mut Report,
) -> Option<Source> {
    let name = checked_name(raw, seen, report);
    let url = checked_url(raw, seen, report);
    let of_scheme = |url: &Url| Protocol::of_scheme(url.scheme());
    let kind = value(&raw.protocol).or(url.as_ref().and_then(of_scheme));
    let (min_poll, max_poll) = checked_polls(raw, kind.unwrap_or_default(), cycle, report);
    let operator = checked_operator(raw, report);
    let ca_file = checked_ca_file(raw, url.as_ref(), ca_file_check, report);
    refuse_prefer_with_noselect(raw, report);
    refuse_foreign_scheme(raw, url.as_ref(), report);
    refuse_excluded_address(raw, url.as_ref(), report);
    let mut source = Source::new(&name?, url?, min_poll);
    source.max_poll = max_poll;
    source.ca_file = ca_file;
    source.operator = operator.unwrap_or(source.operator);
    source.protocol = kind;
    source.burst = value(&raw.burst).unwrap_or(source.burst);
    source.prefer = value(&raw.prefer).unwrap_or(source.prefer);
    source.noselect = value(&raw.noselect).unwrap_or(source.noselect);
    source.offset = value(&raw.correction).unwrap_or(source.offset);
    source.rounding = value(&raw.rounding).unwrap_or(source.rounding);
    source.timeout = value(&raw.timeout).unwrap_or(source.timeout);
    source.address_family = value(&raw.address_family).unwrap_or(source.address_family);
    Some(source)
}

fn value<T: Copy>(given: &Option<At<T>>) -> Option<T> {
    given.as_ref().map(|given| given.value)
}

fn checked_name(raw: &raw::Source<'_>, seen: &mut Seen, report: &mut Report) -> Option<String> {
    let Some(name) = &raw.name else {
        missing(&keys::NAME, raw, report);
        return None;
    };
    let line = report.line(name.offset);
    let fault = word::fault(&name.value, word::LONGEST_NAME).or_else(|| {
        let first = seen.names.get(&name.value)?;
        Some(Fault::new(
            format!("is taken by the source on line {first}"),
            "give each source its own name",
        ))
    });
    if let Some(fault) = fault {
        raw.table.add_about("name", name.offset, fault, report);
        return None;
    }
    seen.names.insert(name.value.clone(), line);
    Some(name.value.clone())
}

/// One server may be two sources, by two protocols or over IPv4 and IPv6; but the same question asked twice
/// is no second answer.
fn checked_url(raw: &raw::Source<'_>, seen: &mut Seen, report: &mut Report) -> Option<Url> {
    let Some(given) = &raw.url else {
        missing(&keys::URL, raw, report);
        return None;
    };
    let url = match endpoint::parse(&given.value) {
        Ok(url) => url,
        Err(fault) => {
            raw.table.add_about("url", given.offset, fault, report);
            return None;
        }
    };
    let protocol = value(&raw.protocol).or(Protocol::of_scheme(url.scheme()));
    let server = (url.clone(), value(&raw.address_family).unwrap_or_default());
    let line = report.line(given.offset);
    let asked = seen.servers.entry(server).or_default();
    // One that is to be found out may turn out to be any.
    let is_same = |other: &&Question| {
        other.protocol == protocol || protocol.is_none() || other.protocol.is_none()
    };
    let first = asked.iter().find(is_same).copied();
    asked.push(Question { protocol, line });
    if let Some(Question {
        protocol: other,
        line: first,
    }) = first
    {
        let remedy = match other == protocol {
            true => "remove one of the two",
            false => "remove one of the two, or name the protocol of both",
        };
        let fault = Fault::new(
            format!("is asked by the source on line {first} already"),
            remedy,
        );
        raw.table.add_about("url", given.offset, fault, report);
    }
    Some(url)
}

/// The shortest and the longest poll.
fn checked_polls(
    raw: &raw::Source<'_>,
    kind: Protocol,
    cycle: Span,
    report: &mut Report,
) -> (Span, Span) {
    let least = kind.least_poll();
    for (key, given) in [
        ("poll", &raw.poll),
        ("min-poll", &raw.min_poll),
        ("max-poll", &raw.max_poll),
    ] {
        if let Some(given) = given
            && given.value < least
        {
            let (name, seconds) = (kind.name(), least.as_secs_f64());
            let fault = Fault::new(
                format!(
                    "{} is more often than servers of {name} want to be asked",
                    given.written
                ),
                format!("raise it to at least {seconds}s"),
            );
            raw.table.add_about(key, given.offset, fault, report);
        }
    }
    if let Some(poll) = value(&raw.poll) {
        for (key, other) in [("min-poll", &raw.min_poll), ("max-poll", &raw.max_poll)] {
            if let Some(other) = other {
                let fault = Fault::new(
                    "stands beside poll, which sets both min-poll and max-poll",
                    "remove one of them",
                );
                raw.table.add_about(key, other.offset, fault, report);
            }
        }
        return (poll, poll);
    }
    if let (Some(min), Some(max)) = (&raw.min_poll, &raw.max_poll)
        && min.value > max.value
    {
        let (low, high) = (&min.written, &max.written);
        let fault = Fault::new(
            format!("{low} is above max-poll {high}"),
            "lower min-poll or raise max-poll",
        );
        raw.table.add_about("min-poll", min.offset, fault, report);
    }
    let max = value(&raw.max_poll);
    let usual = cycle.max(least).min(max.unwrap_or(Span::MAX));
    let min = value(&raw.min_poll).unwrap_or(usual);
    (min, max.unwrap_or(min.max(DEFAULT_MAX_POLL)))
}

/// In lower case, as hosts are: a slip of the shift key must not make a second witness.
fn checked_operator(raw: &raw::Source<'_>, report: &mut Report) -> Option<String> {
    let operator = raw.operator.as_ref()?;
    if let Some(fault) = word::fault(&operator.value, word::LONGEST_OPERATOR) {
        raw.table
            .add_about("operator", operator.offset, fault, report);
        return None;
    }
    Some(operator.value.to_lowercase())
}

fn checked_ca_file(
    raw: &raw::Source<'_>,
    url: Option<&Url>,
    check: CaFileCheck<'_>,
    report: &mut Report,
) -> Option<PathBuf> {
    let given = raw.ca_file.as_ref()?;
    let path = Path::new(&given.value);
    let clear_text = url
        .map(Url::scheme)
        .filter(|&scheme| matches!(scheme, "http" | "ws" | "ntp"));
    let fault = if let Some(scheme) = clear_text {
        let remedy = match scheme {
            "ntp" => "remove it".to_owned(),
            scheme => format!("remove it, or make the url {scheme}s"),
        };
        Fault::new(
            format!("is of no use with {scheme}, which encrypts nothing"),
            remedy,
        )
    } else if !path.is_absolute() {
        Fault::new(
            format!("{:?} is not an absolute path", given.value),
            "begin it with /",
        )
    } else {
        match check(path) {
            Ok(()) => return Some(path.to_owned()),
            Err(error) => error.0,
        }
    };
    raw.table.add_about("ca-file", given.offset, fault, report);
    None
}

/// Only webntp is spoken over WebSocket, and nothing but ntp over packets.
fn refuse_foreign_scheme(raw: &raw::Source<'_>, url: Option<&Url>, report: &mut Report) {
    if let Some(protocol) = &raw.protocol
        && let Some(scheme) = url.map(Url::scheme)
        && !protocol.value.is_spoken_over(scheme)
    {
        let other = match (protocol.value, scheme) {
            (Protocol::Ntp, _) => "ntp".to_owned(),
            (_, "ntp") => "https".to_owned(),
            _ => scheme.replacen("ws", "http", 1),
        };
        let usual = Protocol::usual(scheme).name();
        let fault = Fault::new(
            format!("{:?} is not spoken over {scheme}", protocol.value.name()),
            format!("begin the url with {other}, or use protocol {usual:?}"),
        );
        raw.table
            .add_about("protocol", protocol.offset, fault, report);
    }
}

fn refuse_prefer_with_noselect(raw: &raw::Source<'_>, report: &mut Report) {
    if let Some(prefer) = &raw.prefer
        && prefer.value
        && value(&raw.noselect) == Some(true)
    {
        let fault = Fault::new("is of no use with noselect", "remove one of them");
        raw.table.add_about("prefer", prefer.offset, fault, report);
    }
}

fn refuse_excluded_address(raw: &raw::Source<'_>, url: Option<&Url>, report: &mut Report) {
    if let Some(family) = &raw.address_family
        && let Some(host) = url.and_then(endpoint::host)
        && matches!(
            (&host, family.value),
            (Host::Ipv4(_), AddressFamily::Ipv6) | (Host::Ipv6(_), AddressFamily::Ipv4)
        )
    {
        let fault = Fault::new(
            format!("{} excludes {host}, which the url names", family.written),
            "remove it",
        );
        raw.table
            .add_about("address-family", family.offset, fault, report);
    }
}

fn missing(key: &Key<Text>, raw: &raw::Source<'_>, report: &mut Report) {
    // A value of the wrong type has been reported as such.
    if !raw.table.entries.contains_key(key.name) {
        let fault = Fault::new(
            format!("{} is missing", key.name),
            format!("add {}", key.example()),
        );
        raw.table.add_missing(raw.offset, fault, report);
    }
}
