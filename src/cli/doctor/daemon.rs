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
                format!("; it is no webntpd that is to be seen here but process {pid}")
            }
            _ => String::new(),
        };
        return Some(Link::fault(name, format!("{RIVAL}{who}")).remedy(
            "end all writers but one (ps -fp PID tells which is which; gpsd and ntpd's own tools write segments too), or give each a \
             unit of its own: `unit` in [shm]",
        ));
    }
    Some(Link::fault(name, trouble).remedy("see the segment and the sockets below"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn report(tally: &str) -> Report {
        Report {
            version: env!("CARGO_PKG_VERSION").into(),
            age_ns: Some(1),
            cycle_ns: 16_000_000_000,
            state: "publishing".into(),
            summary: "1 of 1 sources agree".into(),
            sources: vec![Source {
                name: "tokyo".into(),
                tally: tally.into(),
                samples: 9,
                ..Source::default()
            }],
            ..Report::default()
        }
    }

    fn told(report: &Report, config: Option<&Config>) -> Vec<Link> {
        judge_report(report, config, &[], &Writers::default())
    }

    fn states(report: &Report) -> Vec<State> {
        told(report, None).iter().map(|link| link.state).collect()
    }

    fn config(name: &str) -> Config {
        parse(
            &format!("[[source]]\nname = \"{name}\"\nurl = \"http://h.example/\"\n"),
            "test",
        )
        .unwrap()
    }

    #[test]
    fn a_daemon_that_publishes_is_fine() {
        assert_eq!(states(&report("best")), [State::Ok, State::Ok]);
        let links = told(&report("best"), Some(&config("tokyo")));
        assert!(
            links.iter().all(|link| link.state == State::Ok),
            "{links:?}"
        );
    }

    #[test]
    fn a_falseticker_and_one_that_gives_nothing_are_faults() {
        let links = told(&report("falseticker"), None);
        assert_eq!(
            (links[1].name.as_str(), links[1].state),
            ("daemon on tokyo", State::Fault)
        );
        assert!(
            links[1]
                .remedy
                .as_ref()
                .is_some_and(|remedy| remedy.contains("remove it"))
        );
        assert_eq!(states(&report("unusable")), [State::Ok, State::Fault]);
        let mut partly = report("unusable");
        partly.sources[0].reach = 0o20;
        assert_eq!(states(&partly), [State::Ok, State::Note]);
    }

    #[test]
    fn a_daemon_whose_cycles_have_stopped_hangs() {
        let hanging = Report {
            age_ns: Some(65_000_000_000),
            ..report("best")
        };
        assert!(judge_state(&hanging).text.contains("it hangs"));
        let slow = Report {
            age_ns: Some(63_000_000_000),
            ..report("best")
        };
        assert_eq!(judge_state(&slow).state, State::Ok);
        let never = Report {
            age_ns: None,
            uptime_ns: 65_000_000_000,
            ..report("best")
        };
        assert_eq!(judge_state(&never).state, State::Fault);
    }

    #[test]
    fn a_daemon_that_publishes_nothing_is_a_fault_unless_it_has_just_started() {
        for (state, expected) in [
            ("starting", State::Note),
            ("refused", State::Fault),
            ("undecided", State::Fault),
        ] {
            let report = Report {
                state: state.into(),
                reason: Some("no usable source".into()),
                ..report("best")
            };
            let link = judge_state(&report);
            assert_eq!(link.state, expected, "{link:?}");
            assert!(expected == State::Note || link.text.contains("no usable source"));
        }
    }

    #[test]
    fn another_version_other_sources_and_an_output_in_trouble_are_told() {
        let old = Report {
            version: "0.0.1".into(),
            ..report("best")
        };
        assert!(
            told(&old, None)[1]
                .remedy
                .as_ref()
                .unwrap()
                .contains("restart")
        );
        for config in [config("osaka"), parse("", "test").unwrap()] {
            let last = told(&report("best"), Some(&config)).pop().unwrap();
            assert_eq!(
                (last.state, last.remedy.as_deref()),
                (State::Note, Some("systemctl reload webntpd"))
            );
        }
        let mut stuck = report("best");
        stuck.outputs = vec![Output {
            name: "SHM(2)".into(),
            trouble: Some("owned by uid 1000".into()),
            ..Output::default()
        }];
        assert_eq!(states(&stuck), [State::Ok, State::Ok, State::Fault]);
    }

    #[test]
    fn silence_is_a_fault_and_a_lack_of_rights_is_not() {
        let path = || "/run/webntpd/control.sock".into();
        let state = |error| judge(&Err(error), None, &[], &Writers::default())[0].state;
        assert_eq!(state(AskError::NoDaemon(path())), State::Fault);
        assert_eq!(state(AskError::Denied(path())), State::Note);
        let cause = serde_json::from_str::<Report>("no").unwrap_err();
        assert_eq!(
            state(AskError::NotAReport {
                path: path(),
                cause
            }),
            State::Fault
        );
        let cause = std::io::ErrorKind::TimedOut.into();
        assert_eq!(
            state(AskError::System {
                path: path(),
                cause
            }),
            State::Fault
        );
    }

    #[test]
    fn a_unit_is_to_run_and_to_start_at_boot() {
        let state = |active: &str, enabled: &str, answers| {
            let unit = Unit {
                enabled: enabled.into(),
                active: active.into(),
            };
            unit.judge(answers).state
        };
        assert_eq!(state("active", "enabled", true), State::Ok);
        assert_eq!(state("active", "disabled", true), State::Note);
        assert_eq!(state("inactive", "disabled", true), State::Note);
        assert_eq!(state("inactive", "not-found", true), State::Note);
        assert_eq!(state("inactive", "disabled", false), State::Fault);
        assert_eq!(state("failed", "enabled", true), State::Fault);
        assert_eq!(state("inactive", "masked", false), State::Fault);
        assert_eq!(state("activating", "enabled", false), State::Note);
    }

    #[test]
    fn polls_without_a_sample_are_counted_as_they_were() {
        let said = |samples, missed| {
            let mut report = report("unusable");
            report.sources[0].samples = samples;
            report.sources[0].missed = [("network".to_owned(), missed)].into();
            told(&report, None).remove(1)
        };
        assert_eq!(said(0, 0).state, State::Note);
        assert_eq!(said(0, 1).text, "unusable, its only poll gave no sample");
        assert_eq!(
            said(0, 3).text,
            "unusable, none of its 3 polls gave a sample"
        );
        assert_eq!(
            said(1, 8).text,
            "unusable, none of its last 8 polls gave a sample"
        );
    }

    #[test]
    fn a_source_that_answers_and_lacks_a_majority_is_not_told_to_answer() {
        let mut report = report("unusable");
        report.sources[0].reach = 7;
        report.sources[0].reason = Some(Unusable::NoMajority.to_string());
        let remedy = told(&report, None).remove(1).remedy.expect("there is one");
        assert!(
            remedy.contains("majority") && !remedy.contains("answers"),
            "{remedy}"
        );
    }

    #[test]
    fn what_a_link_above_has_told_is_no_second_fault() {
        for (tally, above) in [
            ("falseticker", "agreement of tokyo"),
            ("unusable", "connection of tokyo"),
        ] {
            let above = [Link::fault(above, "broken")];
            let report = report(tally);
            let judged = judge_report(&report, None, &above, &Writers::default()).remove(1);
            assert_eq!(judged.state, State::Note, "{judged:?}");
            assert_eq!(judged.remedy, Some(format!("as above: {}", above[0].name)));
            let other = [Link::fault("connection of osaka", "broken")];
            let judged = judge_report(&report, None, &other, &Writers::default()).remove(1);
            assert_eq!(judged.state, State::Fault, "{judged:?}");
        }
    }

    #[test]
    fn two_daemons_on_one_unit_are_named_once_with_the_remedy() {
        let mut refused = report("best");
        let trouble = format!("shm unit 2: {RIVAL}; give one of them another unit");
        refused.state = "refused".into();
        refused.reason = Some(format!("SHM(2): {trouble}"));
        refused.outputs = vec![Output {
            name: "SHM(2)".into(),
            trouble: Some(trouble),
            ..Output::default()
        }];
        let writers = Writers {
            pids: vec![120, 340],
            answers: Some((120, None)),
            ours: None,
        };
        let mut links = judge(&Ok(refused), None, &[], &writers);
        links.retain(|link| link.state == State::Fault);
        assert_eq!(links.len(), 1, "{links:?}");
        assert!(
            links[0]
                .text
                .ends_with("webntpd runs 2 times, processes 120 and 340"),
            "{links:?}"
        );
        let remedy = links[0].remedy.as_ref().expect("there is one");
        assert!(
            remedy.contains("a unit of its own") && !remedy.contains("below"),
            "{remedy}"
        );
        let apart = judge(&Ok(report("best")), None, &[], &writers);
        let last = apart.last().expect("more than one");
        assert_eq!(last.state, State::Note, "each may have a unit of its own");
        assert!(last.text.contains("processes 120 and 340"), "{last:?}");
    }
}
