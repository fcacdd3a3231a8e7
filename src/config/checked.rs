//! The configuration as the program uses it: every value present, in range, and of its own type.

use super::endpoint;
use super::problem::{Fault, Report};
use super::raw;
use super::reader::{At, Table};
use crate::engine::time::Span;
pub use crate::protocol::kind::Kind as Protocol;
use std::collections::HashMap;
use url::Url;

/// Everything that the file says, defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `cycle`: how often the sources are judged and a sample is published (1 s to 1024 s, default 16 s).
    pub cycle: Span,
    /// `[shm]`
    pub shm: Shm,
    /// Each `[[source]]` in the order of the file, names unique. May be empty: whether that will do is for
    /// the caller to say.
    pub sources: Vec<Source>,
}

/// `[shm]`: the NTP shared memory segment to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shm {
    /// `unit`: its key is 0x4e545030 + unit, its name in ntpd 127.127.28.unit (0 to 255, default 2).
    pub unit: u8,
}

/// `[[source]]`: a server to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `name`: what people call it (1 to 32 visible characters, unique).
    pub name: String,
    /// `url`: where it is (http, https, ws or wss; no user, password, fragment).
    pub url: Url,
    /// `protocol`: what it speaks (default `webntp`).
    pub protocol: Protocol,
    /// `poll`: time between two exchanges (1 s to 1024 s, default `cycle`). The floor of one second is
    /// courtesy to the server.
    pub poll: Span,
}

/// A length of time and how people write it.
type Limit = (Span, &'static str);

const SHORTEST: Limit = (Span::from_secs(1), "1s");
const LONGEST: Limit = (Span::from_secs(1_024), "1024s");
const DEFAULT_CYCLE: Span = Span::from_secs(16);
/// The first unit that ntpd makes for everyone (mode 0666); 0 and 1 are root's.
const DEFAULT_UNIT: u8 = 2;

/// Checks what the file says. What is wrong goes to `report`, and the result is then of no use.
pub(super) fn config(file: &raw::File<'_>, report: &mut Report) -> Config {
    let cycle = checked_span("cycle", &file.table, file.cycle.as_ref(), report);
    let cycle = cycle.unwrap_or(DEFAULT_CYCLE);
    Config {
        cycle,
        shm: Shm {
            unit: file
                .shm
                .as_ref()
                .and_then(|shm| checked_unit(shm, report))
                .unwrap_or(DEFAULT_UNIT),
        },
        sources: checked_sources(&file.sources, cycle, report),
    }
}

fn checked_sources(sources: &[raw::Source<'_>], cycle: Span, report: &mut Report) -> Vec<Source> {
    let mut names = HashMap::new();
    let mut checked = Vec::new();
    for source in sources {
        let name = checked_name(source, &mut names, report);
        let url = checked_url(source, report);
        let protocol = checked_protocol(source, url.as_ref(), report);
        let poll = checked_span("poll", &source.table, source.poll.as_ref(), report);
        if let (Some(name), Some(url)) = (name, url) {
            checked.push(Source {
                name,
                url,
                protocol,
                poll: poll.unwrap_or(cycle),
            });
        }
    }
    checked
}

/// `names`: those seen so far, each with its line.
fn checked_name(
    source: &raw::Source<'_>,
    names: &mut HashMap<String, usize>,
    report: &mut Report,
) -> Option<String> {
    let Some(name) = &source.name else {
        missing("name", "name = \"tokyo\"", source, report);
        return None;
    };
    let line = report.line(name.offset);
    let fault = raw::name_fault(&name.value).or_else(|| {
        let first = names.get(&name.value)?;
        Some(Fault::new(
            format!("is taken by the source on line {first}"),
            "give each source its own name",
        ))
    });
    if let Some(fault) = fault {
        source.table.add_about("name", name.offset, fault, report);
        return None;
    }
    names.insert(name.value.clone(), line);
    Some(name.value.clone())
}

fn checked_url(source: &raw::Source<'_>, report: &mut Report) -> Option<Url> {
    let Some(url) = &source.url else {
        missing("url", "url = \"https://example.com/json\"", source, report);
        return None;
    };
    endpoint::parse(&url.value)
        .map_err(|fault| source.table.add_about("url", url.offset, fault, report))
        .ok()
}

/// `url`: where the source is, if that is known.
fn checked_protocol(source: &raw::Source<'_>, url: Option<&Url>, report: &mut Report) -> Protocol {
    let Some(written) = &source.protocol else {
        return Protocol::default();
    };
    let Some(protocol) = Protocol::named(&written.value) else {
        let names = Protocol::ALL.map(|kind| format!("{:?}", kind.name()));
        let fault = Fault::new(
            format!("{:?} is unknown", written.value),
            format!("write one of {} or leave it out", names.join(", ")),
        );
        source
            .table
            .add_about("protocol", written.offset, fault, report);
        return Protocol::default();
    };
    if let Some(scheme @ ("ws" | "wss")) = url.map(Url::scheme)
        && !protocol.over_websocket()
    {
        let upward = scheme.replacen("ws", "http", 1);
        let fault = Fault::new(
            format!("{:?} is not spoken over {scheme}", written.value),
            format!("begin the url with {upward}, or use protocol \"webntp\""),
        );
        source
            .table
            .add_about("protocol", written.offset, fault, report);
    }
    protocol
}

fn checked_unit(shm: &raw::Shm<'_>, report: &mut Report) -> Option<u8> {
    let unit = shm.unit.as_ref()?;
    let fault = if unit.value < 0 {
        Fault::new(
            format!("{} is below 0", unit.written),
            "raise it to at least 0",
        )
    } else {
        match u8::try_from(unit.value) {
            Ok(unit) => return Some(unit),
            Err(_) => Fault::new(
                format!("{} is above 255", unit.written),
                "lower it to at most 255",
            ),
        }
    };
    shm.table.add_about("unit", unit.offset, fault, report);
    None
}

/// A length of time from [`SHORTEST`] to [`LONGEST`], if it is given at all.
fn checked_span(
    key: &str,
    table: &Table<'_>,
    span: Option<&At<Span>>,
    report: &mut Report,
) -> Option<Span> {
    let At {
        value,
        written,
        offset,
    } = span?;
    let ((shortest, low), (longest, high)) = (SHORTEST, LONGEST);
    let fault = if *value < shortest {
        Fault::new(
            format!("{written} is below {low}"),
            format!("raise it to at least {low}"),
        )
    } else if *value > longest {
        Fault::new(
            format!("{written} is above {high}"),
            format!("lower it to at most {high}"),
        )
    } else {
        return Some(*value);
    };
    table.add_about(key, *offset, fault, report);
    None
}

fn missing(key: &str, example: &str, source: &raw::Source<'_>, report: &mut Report) {
    // A value of the wrong type has been reported as such.
    if !source.table.entries.contains_key(key) {
        let fault = Fault::new(format!("{key} is missing"), format!("add {example}"));
        source.table.add_missing(source.offset, fault, report);
    }
}
