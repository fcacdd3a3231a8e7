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
