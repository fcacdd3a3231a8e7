//! The daemon: its unit, and what it says on its control socket.

use super::link::Link;
use crate::config::Config;
use crate::engine::time::Span;
use crate::status::control::AskError;
use crate::status::report::{Output, Report, Source};
use crate::status::table::{Length, Signed};

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

/// The links of the daemon, as it or its silence tells them.
pub(super) fn judge(asked: &Result<Report, AskError>, config: Option<&Config>) -> Vec<Link> {
    match asked {
        Ok(report) => judge_report(report, config),
        Err(error) => vec![judge_silence(error)],
    }
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

fn judge_report(report: &Report, config: Option<&Config>) -> Vec<Link> {
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
            .map(|source| judge_source(source, report)),
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
    links.extend(report.outputs.iter().filter_map(judge_output));
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
        "refused" => Link::fault(
            DAEMON,
            format!("it knows the time, and no output takes it: {reason}"),
        )
        .remedy("see the segment and the sockets below"),
        _ => Link::fault(DAEMON, format!("it publishes nothing: {reason}"))
            .remedy("see what is wrong with the sources, above and in the next lines"),
    }
}

fn judge_source(source: &Source, report: &Report) -> Link {
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
        "falseticker" => Link::fault(name, format!("falseticker, the majority contradicts it{said}")).remedy(
            "remove it, or tell its operator; if its clock is known to be off, correct it with `offset`",
        ),
        "unusable" if report.state == "starting" => Link::note(name, format!("nothing yet{told}")),
        "unusable" if reach != 0 => Link::note(name, format!("not usable now, reach {reach:o}{told}"))
            .remedy("see whether it answers again; `webntp sources -v` follows it"),
        "unusable" => Link::fault(name, format!("unusable, the last eight polls gave no sample{told}"))
            .remedy("see the links of this source above; one that is gone for good is to be removed"),
        tally => Link::ok(name, format!("{tally}, reach {reach:o}{said}")),
    }
}

fn judge_output(output: &Output) -> Option<Link> {
    let trouble = output.trouble.as_ref()?;
    let name = format!("daemon to {}", output.name);
    Some(Link::fault(name, trouble).remedy("see the segment and the sockets below"))
}

#[cfg(test)]
mod tests {
    use super::super::link::State;
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
                ..Source::default()
            }],
            ..Report::default()
        }
    }

    fn states(report: &Report) -> Vec<State> {
        judge_report(report, None)
            .iter()
            .map(|link| link.state)
            .collect()
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
        let links = judge_report(&report("best"), Some(&config("tokyo")));
        assert!(
            links.iter().all(|link| link.state == State::Ok),
            "{links:?}"
        );
    }

    #[test]
    fn a_falseticker_and_one_that_gives_nothing_are_faults() {
        let links = judge_report(&report("falseticker"), None);
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
            judge_report(&old, None)[1]
                .remedy
                .as_ref()
                .unwrap()
                .contains("restart")
        );
        for config in [config("osaka"), parse("", "test").unwrap()] {
            let last = judge_report(&report("best"), Some(&config)).pop().unwrap();
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
        let state = |error| judge(&Err(error), None)[0].state;
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
}
