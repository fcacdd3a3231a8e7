//! The daemon: its unit, and what it says on its control socket.

use super::link::{Link, State};
use super::process::Writers;
use crate::config::Config;
use crate::engine::snapshot::Unusable;
use crate::engine::time::Span;
use crate::output::shm::RIVAL;
use crate::status::control::AskError;
use crate::status::report::{Output, Report, Source};
use crate::status::table::{Length, Signed};
use crate::status::words::count;

const DAEMON: &str = "daemon";
const UNIT: &str = "systemd unit";

/// What systemd says of webntpd.service, in its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) enabled: String,
    pub(super) active: String,
}

impl Unit {
    pub(super) fn judge(&self, daemon_answers: bool) -> Link {
        let (enabled, active) = (self.enabled.as_str(), self.active.as_str());
        let text = format!("webntpd.service is {active}, {enabled}");
        let fault = || Link::fault(UNIT, &text);
        let start = "systemctl enable --now webntpd; then journalctl -u webntpd tells how it goes";
        match (active, enabled) {
            (_, "masked") => {
                fault().remedy("systemctl unmask webntpd; systemctl enable --now webntpd")
            }
            ("failed", _) => fault().remedy(
                "journalctl -u webntpd -e tells why; mend that, then systemctl restart webntpd",
            ),
            ("active" | "reloading", "disabled") => Link::note(UNIT, &text)
                .remedy("it will not start at the next boot: systemctl enable webntpd"),
            ("active" | "reloading", _) => Link::ok(UNIT, &text),
            ("activating", _) => {
                Link::note(UNIT, &text).remedy("journalctl -u webntpd -e tells what it waits for")
            }
            _ if daemon_answers => Link::note(
                UNIT,
                format!("{text}, and yet a daemon answers: somebody started it by hand"),
            )
            .remedy("to have it at each boot, end that one; systemctl enable --now webntpd"),
            (_, "not-found") => {
                fault().remedy("install the package, or start webntpd in another way")
            }
            _ => fault().remedy(start),
        }
    }
}

/// The links of the daemon, as it or its silence tells them; `above`: those of the sources, which may have told the cause already.
pub(super) fn judge(
    asked: &Result<Report, AskError>,
    config: Option<&Config>,
    above: &[Link],
    writers: &Writers,
) -> Vec<Link> {
    let mut links = match asked {
        Ok(report) => judge_report(report, config, above, writers),
        Err(error) => vec![judge_silence(error)],
    };
    let is_told = asked.as_ref().is_ok_and(has_rival);
    if writers.pids.len() > 1 && !is_told {
        let text = format!(
            "webntpd runs {} times, {}",
            writers.pids.len(),
            writers.list()
        );
        links.push(Link::note(DAEMON, text).remedy(
            "end all but one (ps -fp PID tells which is which), unless each has a unit, sockets and a [control] path of its own",
        ));
    }
    links
}

/// Whether somebody else writes to a segment of the daemon's.
pub(super) fn has_rival(report: &Report) -> bool {
    let mut troubles = report
        .outputs
        .iter()
        .filter_map(|output| output.trouble.as_ref());
    troubles.any(|trouble| trouble.contains(RIVAL))
}

fn judge_silence(error: &AskError) -> Link {
    let text = error.to_string();
    match error {
        AskError::NoDaemon(_) => Link::fault(DAEMON, text).remedy(
            "systemctl start webntpd, or webntpd --config FILE; if it runs, `path` in [control] is another one: --socket PATH",
        ),
        AskError::Denied(_) => Link::note(DAEMON, text).remedy("run this with sudo"),
        AskError::OtherFormat { .. } => Link::note(DAEMON, text)
            .remedy("after an upgrade: systemctl restart webntpd"),
        AskError::System { .. } => Link::fault(DAEMON, text)
            .remedy("if it hangs, its watchdog should restart it; else systemctl restart webntpd"),
        AskError::NotAReport { .. } => {
            Link::fault(DAEMON, text).remedy("end what listens there, or name another `path` in [control]")
        }
    }
}

fn judge_report(
    report: &Report,
    config: Option<&Config>,
    above: &[Link],
    writers: &Writers,
) -> Vec<Link> {
    let mut links = vec![judge_state(report)];
    if report.version != env!("CARGO_PKG_VERSION") {
        let text = format!(
            "it is version {}, this is {}",
            report.version,
            env!("CARGO_PKG_VERSION")
        );
        links.push(Link::note(DAEMON, text).remedy("after an upgrade: systemctl restart webntpd"));
    }
    links.extend(
        report
            .sources
            .iter()
            .map(|source| judge_source(source, report, above)),
    );
    if let Some(config) = config {
        let has = |name: &str| report.sources.iter().any(|source| source.name == name);
        let missing = config.sources.iter().filter(|source| !has(&source.name));
        let names: Vec<&str> = missing.map(|source| source.name.as_str()).collect();
        let is_more = report.sources.len() + names.len() > config.sources.len();
        if !names.is_empty() || is_more {
            let text = "it runs with other sources than the configuration has now";
            links.push(Link::note(DAEMON, text).remedy("systemctl reload webntpd"));
        }
    }
    links.extend(
        report
            .outputs
            .iter()
            .filter_map(|output| judge_output(output, writers)),
    );
    links
}

fn judge_state(report: &Report) -> Link {
    if let Some(idle) = report.hangs() {
        let text = format!("its last cycle ended {} ago: it hangs", Length(idle));
        return Link::fault(DAEMON, text)
            .remedy("its watchdog should restart it; else systemctl restart webntpd");
    }
    let reason = report.reason.as_deref().unwrap_or("it does not say why");
    match report.state.as_str() {
        "publishing" => Link::ok(DAEMON, format!("it publishes: {}", report.summary)),
        "starting" => Link::note(DAEMON, "it has just started, and has no time yet")
            .remedy("ask again in half a minute"),
        "refused" if reason.contains(RIVAL) => Link::note(
            DAEMON,
            "it knows the time, and another program is in its way, as told below",
        ),
        "refused" => Link::fault(
            DAEMON,
            format!("it knows the time, and no output takes it: {reason}"),
        )
        .remedy("see the segment and the sockets below"),
        _ => Link::fault(DAEMON, format!("it publishes nothing: {reason}"))
            .remedy("see what is wrong with the sources, above and in the next lines"),
    }
}

fn judge_source(source: &Source, report: &Report, above: &[Link]) -> Link {
    let is_told = |kinds: &[&str]| {
        let names: Vec<String> = kinds
            .iter()
            .map(|kind| format!("{kind} of {}", source.name))
            .collect();
        let mut faults = above.iter().filter(|link| link.state == State::Fault);
        faults.find(|link| names.contains(&link.name))
    };
    // One cause is one fault, and one that others stand in for stops nothing.
    let fault = |kinds: &[&str], text: String, remedy: &str| {
        let name = format!("daemon on {}", source.name);
        match is_told(kinds) {
            Some(cause) => Link::note(name, text).remedy(format!("as above: {}", cause.name)),
            None if report.is_publishing() => Link::fault(name, text).remedy(remedy).minor(),
            None => Link::fault(name, text).remedy(remedy),
        }
    };
    let name = format!("daemon on {}", source.name);
    let said = source.reading.as_ref().map_or(String::new(), |reading| {
        format!(
            ", offset {} ± {}",
            Signed(Span::from_nanos(reading.offset_ns)),
            Length(Span::from_nanos(reading.bound_ns))
        )
    });
    let reach = source.reach;
    let reason = source.reason.as_deref();
    let told = reason.map_or(String::new(), |reason| format!(": {reason}"));
    match source.tally.as_str() {
        "falseticker" => fault(
            &["agreement"],
            format!("falseticker, the majority contradicts it{said}"),
            "remove it, or tell its operator; if its clock is known to be off, correct it with `offset`",
        ),
        "unusable" if report.state == "starting" => Link::note(name, format!("nothing yet{told}")),
        "unusable" if reach != 0 && source.reason == Some(Unusable::NoMajority.to_string()) => {
            Link::note(name, format!("it answers, reach {reach:o}, and is not used{told}")).remedy(
                "its voice alone does not do: see to the other sources, or add some of other operators, until a majority agrees",
            )
        }
        "unusable" if reach != 0 => Link::note(name, format!("not usable now, reach {reach:o}{told}"))
            .remedy("see whether it answers again; `webntp sources -v` follows it"),
        "unusable" if polls(source) == 0 => Link::note(name, "it has not been asked yet")
            .remedy("ask again in half a minute"),
        "unusable" => fault(
            &["name", "connection", "certificate", "sample"],
            format!("unusable, {}{told}", misses(source)),
            "see the links of this source above; one that is gone for good is to be removed",
        ),
        tally => Link::ok(name, format!("{tally}, reach {reach:o}{said}")),
    }
}

/// How often it was asked.
fn polls(source: &Source) -> u64 {
    let missed = source.missed.values();
    missed.fold(source.samples, |sum, missed| sum.saturating_add(*missed))
}

/// What is said of a source none of whose last eight polls gave a sample, if there were so many.
fn misses(source: &Source) -> String {
    match (source.samples, polls(source)) {
        (0, 1) => "its only poll gave no sample".to_owned(),
        (0, polls) => format!("none of its {} gave a sample", count(polls, "poll")),
        _ => "none of its last 8 polls gave a sample".to_owned(),
    }
}

fn judge_output(output: &Output, writers: &Writers) -> Option<Link> {
    let trouble = output.trouble.as_ref()?;
    let name = format!("daemon to {}", output.name);
    if trouble.contains(RIVAL) {
        let who = match (&writers.pids[..], &writers.answers) {
            ([_, _, ..], _) => format!(
                "; webntpd runs {} times, {}",
                writers.pids.len(),
                writers.list()
            ),
            (_, Some((pid, _))) => {
                format!("; beside process {pid} no webntpd is to be seen")
            }
            _ => String::new(),
        };
        return Some(Link::fault(name, format!("{RIVAL}{who}")).remedy(
            "end all writers but one (ps -fp PID tells which is which; gpsd writes segments, too), or give each a \
             unit of its own: `unit` in [shm]",
        ));
    }
    Some(Link::fault(name, trouble).remedy("see the segment and the sockets below"))
}

#[cfg(test)]
mod tests;
