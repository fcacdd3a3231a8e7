//! The engine as a whole, driven with a virtual clock: what a supervisor may rely on.

mod creeping;
mod history;
mod leap_second;
mod step;

use super::bound::Interval;
use super::cluster::{Likely, Member};
use super::decision::combined;
use super::leap::{Leap, List};
use super::reason::Reason;
use super::select::Selection;
use super::time::{Rate, Theta, Utc};
use super::*;
use crate::engine::exchange::Exchange;
use crate::engine::source::Fault;
use proptest::prelude::*;

const CYCLE: Span = Span::from_secs(16);

fn at(seconds: i64) -> Raw {
    Raw::from_nanos(0) + Span::from_secs(seconds)
}

fn source(name: &str) -> SourceSettings {
    SourceSettings {
        id: SourceId(0),
        name: name.into(),
        operator: name.into(),
        poll: CYCLE,
        max_poll: CYCLE,
        prefer: false,
        noselect: false,
        coarse: false,
    }
}

/// Settings for sources that are numbered by their places.
fn settings(mut sources: Vec<SourceSettings>) -> Settings {
    for (source, k) in sources.iter_mut().zip(0..) {
        source.id = SourceId(k);
    }
    Settings {
        cycle: CYCLE,
        min_agreeing: None,
        max_bound: Span::from_millis(1_500),
        sources,
    }
}

fn engine(sources: Vec<SourceSettings>) -> Engine {
    Engine::new(settings(sources), at(1))
}

fn engine_of(names: &[&str]) -> Engine {
    engine(names.iter().map(|name| source(name)).collect())
}

/// An exchange of 10 ms each way, ended at `seconds`, with a server that is ahead of the raw clock by `theta_ms`.
fn sample(seconds: i64, theta_ms: i64) -> Report {
    sample_taking(Span::from_millis(20), seconds, theta_ms, None)
}

fn sample_taking(delay: Span, seconds: i64, theta_ms: i64, leap: Option<Leap>) -> Report {
    let sent = at(seconds) - delay;
    let stamp = sent + Theta::from_nanos(theta_ms * 1_000_000) + delay.half();
    Report::Sample(Exchange::new(sent, at(seconds), stamp, stamp, leap).expect("possible"))
}

fn missed() -> Report {
    Report::Missed {
        fault: Fault::Network,
        reason: "connection refused".into(),
    }
}

/// The cycle that ends at `seconds`, after a sample from each source 4 s before it.
fn cycle_with(engine: &mut Engine, seconds: i64, thetas_ms: &[i64]) -> Snapshot {
    for (k, theta_ms) in (0..).zip(thetas_ms) {
        engine.report(SourceId(k), sample(seconds - 4, *theta_ms));
    }
    engine.cycle(at(seconds)).expect("a cycle ends")
}

fn tallies(snapshot: &Snapshot) -> String {
    snapshot
        .sources
        .iter()
        .map(|source| source.tally.symbol())
        .collect()
}

#[test]
fn cycles_end_on_the_grid_of_the_raw_clock() {
    let mut engine = engine_of(&["only"]);
    assert_eq!(engine.next_cycle(), at(16));
    assert_eq!(engine.cycle(at(15)), None);
    assert_eq!(engine.cycle(at(17)).expect("late, but due").at, at(16));
    assert_eq!(engine.next_cycle(), at(32));
    assert_eq!(
        engine.cycle(at(100)).expect("several are overdue").at,
        at(96)
    );
    assert_eq!(engine.next_cycle(), at(112));
}

#[test]
fn one_source_is_believed_within_its_bound() {
    let mut engine = engine_of(&["only"]);
    let snapshot = cycle_with(&mut engine, 16, &[25]);
    let decision = snapshot.outcome.expect("a decision");
    assert_eq!(
        (decision.at, tallies_of_one(&snapshot.sources)),
        (at(16), '*')
    );
    let truth = Theta::from_nanos(25_000_000);
    assert!(
        (decision.theta - truth).abs() < Span::from_millis(1),
        "{decision:?}"
    );
    assert!(decision.bound.lo < truth && truth < decision.bound.hi);
    // 10 ms of delay each way and 500 ppm of 4 s.
    assert!(
        decision.bound.half_width() < Span::from_micros(12_100),
        "{decision:?}"
    );
}

fn tallies_of_one(views: &[SourceView]) -> char {
    views[0].tally.symbol()
}

#[test]
fn a_source_wrong_by_a_second_is_a_falseticker_and_moves_nothing() {
    let mut with_liar = engine_of(&["a", "b", "c", "liar"]);
    let mut without = engine_of(&["a", "b", "c"]);
    for cycle in 1..20 {
        let honest = cycle_with(&mut without, cycle * 16, &[25, 26, 24]);
        let all = cycle_with(&mut with_liar, cycle * 16, &[25, 26, 24, 1_025]);
        assert_eq!(tallies(&all).chars().nth(3), Some('x'));
        let Some(Reason::OffTheMajority { by }) = all.sources[3].reason else {
            panic!("{:?}", all.sources[3]);
        };
        assert!((by - Span::from_secs(1)).abs() < Span::from_millis(5));
        let (all, honest) = (
            all.outcome.expect("decided"),
            honest.outcome.expect("decided"),
        );
        assert_eq!(all.theta, honest.theta);
    }
}

#[test]
fn two_that_contradict_each_other_decide_nothing() {
    let mut engine = engine_of(&["a", "b"]);
    let snapshot = cycle_with(&mut engine, 16, &[0, 500]);
    assert_eq!(snapshot.outcome, Err(NoDecision::NoMajority { votes: 2 }));
    assert_eq!(tallies(&snapshot), "??");
}

#[test]
fn one_of_three_alone_is_too_few() {
    let mut engine = engine_of(&["a", "b", "c"]);
    let snapshot = cycle_with(&mut engine, 16, &[0]);
    assert_eq!(
        snapshot.outcome,
        Err(NoDecision::TooFewAgreeing {
            agreeing: 1,
            needed: 2
        })
    );
}

#[test]
fn as_many_operators_must_agree_as_asked_for() {
    for (asked, enough) in [(None, true), (Some(2), true), (Some(3), false)] {
        let mut settings = settings(["a", "b", "c"].map(source).to_vec());
        settings.min_agreeing = asked;
        let mut engine = Engine::new(settings, at(1));
        let snapshot = cycle_with(&mut engine, 16, &[0, 0]);
        assert_eq!(snapshot.outcome.is_ok(), enough, "{asked:?}");
        let reason = (!enough).then_some(Reason::Undecided);
        assert_eq!(snapshot.sources[1].reason, reason);
    }
}

#[test]
fn who_is_only_measured_does_not_count_for_how_many_must_agree() {
    let mut sources = ["a", "b", "c"].map(source).to_vec();
    sources[2].noselect = true;
    let snapshot = cycle_with(&mut engine(sources), 16, &[0]);
    assert!(snapshot.outcome.is_ok(), "one of two operators is enough");
}

#[test]
fn two_sources_of_one_operator_are_one_witness() {
    let mut sources = vec![source("a"), source("b"), source("c"), source("d")];
    sources[1].operator = "a".into();
    let mut engine = engine(sources);
    let snapshot = cycle_with(&mut engine, 16, &[0, 0]);
    assert_eq!(
        snapshot.outcome,
        Err(NoDecision::TooFewAgreeing {
            agreeing: 1,
            needed: 2
        })
    );
}

#[test]
fn nothing_new_is_not_published_again() {
    let mut engine = engine_of(&["only"]);
    assert!(cycle_with(&mut engine, 16, &[0]).outcome.is_ok());
    let snapshot = engine.cycle(at(32)).expect("a cycle ends");
    assert_eq!(snapshot.outcome, Err(NoDecision::NothingNew));
    assert_eq!(tallies(&snapshot), "*", "it is still believed");
    assert!(cycle_with(&mut engine, 48, &[0]).outcome.is_ok());
}

#[test]
fn who_was_counted_on_for_a_sample_has_brought_it_even_if_it_stands_apart_by_it() {
    let mut sources: Vec<_> = ["a", "b", "c", "d"].map(source).into();
    for rare in &mut sources[..3] {
        (rare.poll, rare.max_poll) = (Span::from_secs(1_000), Span::from_secs(1_000));
    }
    let mut engine = engine(sources);
    for cycle in 1..40 {
        cycle_with(&mut engine, 16 * cycle, &[0; 4]);
    }
    let mut only_d = (40..90).map(|cycle| {
        engine.report(SourceId(3), sample(16 * cycle, 8));
        engine.cycle(at(16 * cycle)).expect("a cycle ends")
    });
    let snapshot = only_d.find(|snapshot| tallies(snapshot).ends_with('-'));
    let snapshot = snapshot.expect("it stands apart in the end");
    assert!(snapshot.outcome.is_ok(), "{:?}", snapshot.outcome);
    // It is no longer: now others are.
    let snapshot = only_d.next().expect("another one");
    assert!(tallies(&snapshot).ends_with('-'));
    assert_eq!(snapshot.outcome, Err(NoDecision::NothingNew));
}

#[test]
fn a_sample_received_after_the_end_of_a_cycle_waits_for_the_next() {
    let mut engine = engine_of(&["only"]);
    engine.report(SourceId(0), sample(17, 0));
    assert_eq!(
        engine.cycle(at(18)).expect("ends").outcome,
        Err(NoDecision::NoCandidates)
    );
    assert!(engine.cycle(at(32)).expect("ends").outcome.is_ok());
}

#[test]
fn a_source_silent_for_four_polls_is_no_candidate() {
    let mut engine = engine_of(&["only"]);
    engine.report(SourceId(0), sample(16, 0));
    assert_eq!(tallies(&engine.cycle(at(64)).expect("ends")), "*");
    let stale = engine.cycle(at(80)).expect("ends");
    assert_eq!(stale.sources[0].tally, Tally::Unusable(Unusable::Stale));
    assert_eq!(stale.outcome, Err(NoDecision::NoCandidates));
}

#[test]
fn reach_is_a_shift_register_that_decides_nothing() {
    let mut engine = engine_of(&["only"]);
    engine.report(SourceId(0), sample(10, 0));
    engine.report(SourceId(0), missed());
    engine.report(SourceId(0), missed());
    let snapshot = engine.cycle(at(16)).expect("ends");
    assert_eq!(snapshot.sources[0].reach, 0b100);
    assert_eq!(
        snapshot.sources[0].trouble.as_deref(),
        Some("connection refused")
    );
    assert!(snapshot.outcome.is_ok());
}

#[test]
fn a_bound_wider_than_allowed_is_not_believed() {
    let mut engine = engine_of(&["far"]);
    let stamp = Utc::from_nanos(0);
    let exchange = Exchange::new(at(5), at(9), stamp, stamp, None).expect("possible");
    engine.report(SourceId(0), Report::Sample(exchange));
    let snapshot = engine.cycle(at(16)).expect("ends");
    assert_eq!(
        snapshot.sources[0].tally,
        Tally::Unusable(Unusable::TooUncertain)
    );
}

#[test]
fn a_majority_that_holds_two_times_at_once_is_not_believed() {
    let mut sources = vec![source("a"), source("also-a"), source("b"), source("c")];
    sources[1].operator = "a".into();
    let mut engine = engine(sources);
    let snapshot = cycle_with(&mut engine, 16, &[0, 5_000, 0, 5_000]);
    assert!(
        matches!(snapshot.outcome, Err(NoDecision::TooUncertain { .. })),
        "{:?}",
        snapshot.outcome
    );
}

#[test]
fn the_best_stays_the_best_until_another_is_clearly_better() {
    let mut engine = engine_of(&["a", "b"]);
    let mut best_after = |end: i64, delays_ms: [i64; 2]| {
        for (k, delay) in (0..).zip(delays_ms) {
            engine.report(
                SourceId(k),
                sample_taking(Span::from_millis(delay), end - 4, 0, None),
            );
        }
        tallies(&engine.cycle(at(end)).expect("a cycle ends"))
    };
    assert_eq!(best_after(16, [20, 21]), "*+");
    assert_eq!(best_after(32, [20, 19]), "*+");
    assert_eq!(best_after(48, [20, 2]), "+*");
}

#[test]
fn a_decisions_rate_is_one_that_the_majority_allows() {
    let mut engine = engine_of(&["only"]);
    let snapshot = cycle_with(&mut engine, 16, &[0]);
    let reading = snapshot.sources[0].reading.expect("a reading");
    let member = Member {
        operator: 0,
        offset_s: 0.0,
        jitter_s: 0.0,
        uncertainty_s: 0.01,
        credible: Likely::ANYWHERE,
        loyal: false,
        prefer: false,
    };
    let selection = Selection {
        objections: vec![None],
        agreeing: 1,
        bound: reading.fit.bound,
        rates: Some(Interval {
            lo: Rate::from_ppm(7),
            hi: Rate::from_ppm(9),
        }),
    };
    let survivors = [(0, &reading, member)];
    let decision = combined(at(16), &survivors, Likely::ANYWHERE, &selection);
    assert_eq!(decision.expect("a survivor").rate, Rate::from_ppm(7));
    // Where it allows none, any is possible.
    let selection = Selection {
        rates: None,
        ..selection
    };
    let decision = combined(at(16), &survivors, Likely::ANYWHERE, &selection);
    let decision = decision.expect("a survivor");
    assert_eq!(decision.rate, reading.estimate.rate);
    let widest = Rate::from_ppm(-500)..=Rate::from_ppm(500);
    assert_eq!(decision.rates.lo..=decision.rates.hi, widest);
}

#[test]
fn who_stands_apart_or_creeps_is_told_by_how_much() {
    let mut engine = engine_of(&["a", "b", "c", "apart"]);
    // After one exchange each, 8 ms are no more than any may be off.
    let mut cycles = (1..40).map(|cycle| cycle_with(&mut engine, cycle * 16, &[0, 0, 0, 8]));
    assert_eq!(tallies(&cycles.next().expect("one")), "*+++");
    let snapshot = cycles.last().expect("more");
    assert!(tallies(&snapshot).ends_with('-'), "{}", tallies(&snapshot));
    let Some(Reason::StandsApart { by }) = snapshot.sources[3].reason else {
        panic!("{:?}", snapshot.sources[3]);
    };
    assert!(
        (by - Span::from_millis(8)).abs() < Span::from_micros(100),
        "{by:?}"
    );

    // 20 ppm: 1 ms in 50 s, long before it leaves the 20 ms that the others allow.
    let mut engine = engine_of(&["a", "b", "creeping"]);
    let creeps = (1..60).find_map(|cycle| {
        let gained = cycle * 16 / 50;
        let snapshot = cycle_with(&mut engine, cycle * 16, &[0, 0, gained]);
        match snapshot.sources[2].reason {
            Some(Reason::Creeps { by }) => Some((by, snapshot)),
            _ => None,
        }
    });
    let (by, snapshot) = creeps.expect("it is found out");
    assert!((10_000..30_000).contains(&by.as_ppb()), "{by:?}");
    assert_eq!(snapshot.sources[2].tally, Tally::Outlier);
    assert!(snapshot.outcome.is_ok());
}

#[test]
fn how_far_one_stands_apart_is_told_from_the_mean_of_those_that_are_heard() {
    let mut engine = engine_of(&["a", "b", "c", "apart"]);
    let cycles = (1..40).map(|cycle| cycle_with(&mut engine, cycle * 16, &[0, 0, 3, 8]));
    let snapshot = cycles.last().expect("some");
    assert!(tallies(&snapshot).ends_with('-'), "{}", tallies(&snapshot));
    let Some(Reason::StandsApart { by }) = snapshot.sources[3].reason else {
        panic!("{:?}", snapshot.sources[3]);
    };
    let off = (by - Span::from_millis(7)).abs();
    assert!(off < Span::from_micros(100), "{by:?}");
}

#[test]
fn a_server_far_away_does_not_outweigh_a_near_one_because_its_delays_are_steady() {
    let mut engine = engine_of(&["near", "far"]);
    let mut last = String::new();
    for cycle in 1..40 {
        let delays_us = [10_000 + cycle * 7_919 % 4_000, 400_000];
        for (k, delay) in (0..).zip(delays_us) {
            let delay = Span::from_micros(delay);
            let report = sample_taking(delay, 16 * cycle - 4, 0, None);
            engine.report(SourceId(k), report);
        }
        last = tallies(&engine.cycle(at(16 * cycle)).expect("a cycle ends"));
    }
    assert_eq!(last, "*+");
}

#[test]
fn a_falseticker_that_tells_the_time_again_is_heard_at_once() {
    let mut engine = engine_of(&["a", "b", "c"]);
    for cycle in 1..10 {
        cycle_with(&mut engine, 16 * cycle, &[0; 3]);
    }
    let wrong = cycle_with(&mut engine, 160, &[0, 0, 1_000]);
    assert!(tallies(&wrong).ends_with('x'), "{}", tallies(&wrong));
    let right = cycle_with(&mut engine, 176, &[0; 3]);
    assert!(right.sources[2].tally.survives(), "{}", tallies(&right));
}

#[test]
fn whose_time_is_wrong_can_show_that_it_creeps_no_more() {
    let mut engine = engine_of(&["a", "b", "c", "crept"]);
    engine.sources[3].doubted = Some(at(16));
    for cycle in 1..200 {
        let snapshot = cycle_with(&mut engine, 16 * cycle, &[0, 0, 0, 1_000]);
        assert!(tallies(&snapshot).ends_with('x'));
    }
    assert_eq!(engine.sources[3].doubted, None);
}

#[test]
fn a_doubt_outlives_history_and_ends_an_hour_after_it_was_last_found() {
    let mut engine = engine_of(&["a", "crept"]);
    engine.sources[1].doubted = Some(at(16));
    engine.forget(at(17));
    assert_eq!(tallies(&cycle_with(&mut engine, 32, &[0, 0])), "*-");
    engine.forget(at(3_590));
    assert_eq!(tallies(&cycle_with(&mut engine, 3_600, &[0, 0])), "*-");
    assert_eq!(tallies(&cycle_with(&mut engine, 3_616, &[0, 0])), "*+");
}

#[test]
fn who_is_doubted_is_not_asked_who_of_the_others_is_right() {
    let names = ["sure", "surer", "vague", "vaguer", "x", "y", "z"];
    let tallied = [false, true].map(|is_doubted| {
        let mut engine = engine_of(&names);
        for state in &mut engine.sources[4..] {
            state.doubted = is_doubted.then_some(at(0));
        }
        let said = [
            (6, 0),
            (4, 0),
            (120, 0),
            (140, 0),
            (60, -60),
            (46, -57),
            (46, -62),
        ];
        for ((delay, theta), k) in said.into_iter().zip(0..) {
            let delay = Span::from_millis(delay);
            engine.report(SourceId(k), sample_taking(delay, 12, theta, None));
        }
        tallies(&engine.cycle(at(16)).expect("ends"))
    });
    let [without, with] = tallied.each_ref().map(|tallies| tallies.split_at(4));
    assert!(
        without.0.starts_with("xx") && !without.1.contains('x'),
        "{tallied:?}"
    );
    assert!(!with.0.contains('x') && with.1 == "xxx", "{tallied:?}");
}

#[test]
fn two_that_creep_are_convicted_by_one_precise_source_and_two_that_tell_whole_seconds() {
    let mut sources: Vec<_> = ["a", "creeps", "creeps-too", "date", "other-date"]
        .map(source)
        .into();
    sources[3].coarse = true;
    sources[4].coarse = true;
    let mut engine = engine(sources);
    let creeps = |source: &SourceView| matches!(source.reason, Some(Reason::Creeps { .. }));
    let mut last = Vec::new();
    for cycle in 1..50 {
        let gained = cycle * 16 / 50;
        let snapshot = cycle_with(&mut engine, cycle * 16, &[0, gained, gained, 0, 0]);
        last = snapshot.sources.iter().map(creeps).collect();
        assert!(!last[0], "{:?} in cycle {cycle}", snapshot.sources[0]);
    }
    assert_eq!(last, [false, true, true, false, false]);
}

#[test]
fn those_that_tell_whole_seconds_do_not_convict_all_others_of_creeping() {
    let mut sources: Vec<_> = ["a", "date", "other-date"].map(source).into();
    sources[1].coarse = true;
    sources[2].coarse = true;
    let mut engine = engine(sources);
    for cycle in 1..50 {
        let gained = cycle * 16 / 50;
        let snapshot = cycle_with(&mut engine, cycle * 16, &[0, gained, gained]);
        assert_eq!(tallies(&snapshot), "*--", "in cycle {cycle}");
    }
}

#[test]
fn a_noselect_source_is_measured_only() {
    let mut sources = vec![source("a"), source("watched")];
    sources[1].noselect = true;
    let mut engine = engine(sources);
    let snapshot = cycle_with(&mut engine, 16, &[0, 900]);
    assert_eq!(tallies(&snapshot), "*?");
    assert!(snapshot.outcome.is_ok());
    assert!(snapshot.sources[1].reading.is_some());
}

#[test]
fn a_preferred_survivor_speaks_alone() {
    let mut sources = vec![source("a"), source("b"), source("c")];
    sources[2].prefer = true;
    let mut engine = engine(sources);
    let snapshot = cycle_with(&mut engine, 16, &[0, 1, 8]);
    assert_eq!(tallies(&snapshot), "++*");
    let reasons = snapshot.sources.iter().map(|source| source.reason);
    let unheard = Some(Reason::NotPreferred);
    assert_eq!(reasons.collect::<Vec<_>>(), [unheard, unheard, None]);
    assert_eq!(
        snapshot.outcome.expect("decided").theta,
        Theta::from_nanos(8_000_000)
    );
}

#[test]
fn coarse_sources_do_not_dilute_a_precise_one() {
    let mut sources = vec![source("a"), source("date"), source("other-date")];
    sources[1].coarse = true;
    sources[2].coarse = true;
    let mut precise = engine(sources.clone());
    let snapshot = cycle_with(&mut precise, 16, &[0, 300, 310]);
    assert_eq!(tallies(&snapshot), "*--");
    assert_eq!(snapshot.sources[1].reason, Some(Reason::WholeSeconds));
    assert!(snapshot.outcome.expect("decided").theta.as_nanos().abs() < 1_000_000);

    let mut alone = engine(sources);
    alone.report(SourceId(1), sample(10, 300));
    alone.report(SourceId(2), sample(10, 310));
    assert_eq!(tallies(&alone.cycle(at(16)).expect("ends")), "?*+");
}

#[test]
fn coarse_sources_are_heard_when_all_the_precise_ones_crept() {
    let mut sources = vec![source("crept"), source("date"), source("other-date")];
    sources[1].coarse = true;
    sources[2].coarse = true;
    let mut engine = engine(sources);
    engine.sources[0].doubted = Some(at(0));
    let snapshot = cycle_with(&mut engine, 16, &[0, 300, 310]);
    assert_eq!(tallies(&snapshot), "-*+");
    let theta = snapshot.outcome.expect("decided").theta;
    assert!((theta - Theta::from_nanos(305_000_000)).abs() < Span::from_millis(6));
}

/// What a server tells that rounds its seconds, and of which that is not known, when its clock is by `theta_ms` ahead of a whole one.
fn whole_second(seconds: i64, theta_ms: i64) -> Report {
    let sent = at(seconds) - Span::from_millis(20);
    let told = (at(seconds) + Theta::from_nanos(theta_ms * 1_000_000)).as_nanos();
    let told = Utc::from_secs((told + 500_000_000).div_euclid(1_000_000_000));
    let (from, to) = (told - Span::from_millis(500), told + Span::from_secs(1));
    Report::Sample(Exchange::new(sent, at(seconds), to, from, None).expect("possible"))
}

#[test]
fn who_tells_whole_seconds_is_coarse_whatever_its_kind() {
    let mut engine = engine_of(&["a", "text"]);
    engine.report(SourceId(0), sample(10, 0));
    engine.report(SourceId(1), whole_second(10, 0));
    let snapshot = engine.cycle(at(16)).expect("ends");
    assert_eq!(tallies(&snapshot), "*-");
    assert_eq!(snapshot.sources[1].reason, Some(Reason::WholeSeconds));
    // It votes as such: 1.3 s are possible for one that rounds.
    engine.report(SourceId(0), sample(26, 1_300));
    let snapshot = engine.cycle(at(32)).expect("ends");
    assert_eq!(tallies(&snapshot), "*-");
}

#[test]
fn how_far_off_a_falseticker_is_is_told_from_what_was_decided() {
    let mut engine = engine_of(&["date", "other-date", "third-date", "ahead"]);
    for id in 0..3 {
        engine.report(SourceId(id), whole_second(10, 100));
    }
    engine.report(SourceId(3), sample(10, 3_000));
    let snapshot = engine.cycle(at(16)).expect("ends");
    assert!(tallies(&snapshot).ends_with('x'), "{}", tallies(&snapshot));
    let theta = snapshot.outcome.expect("decided").theta;
    let ahead = snapshot.sources[3].reading.expect("a reading");
    let by = ahead.estimate.theta - theta;
    assert_eq!(
        snapshot.sources[3].reason,
        Some(Reason::OffTheMajority { by })
    );
}

#[test]
fn a_decision_is_carried_on_at_the_common_rate() {
    let mut engine = engine_of(&["only"]);
    let mut last = None;
    for cycle in 1..200 {
        // 25 µs a second fast, of which a stamp shows whole milliseconds: 0.4 ms a cycle.
        last = Some(cycle_with(
            &mut engine,
            cycle * 16,
            &[cycle * 16 * 25 / 1_000],
        ));
    }
    let decision = last.expect("cycles ended").outcome.expect("decided");
    assert!(
        (decision.rate.as_ppb() - 25_000).abs() < 2_000,
        "{decision:?}"
    );
    let ahead = decision.theta_at(decision.at + Span::from_secs(1)) - decision.theta;
    assert_eq!(ahead, decision.rate.over(Span::from_secs(1)));
}

#[test]
fn an_unknown_source_is_ignored() {
    engine_of(&["only"]).report(SourceId(7), missed());
}

/// Any, or one near the last midnight that had a leap second.
fn absurd_stamp() -> impl Strategy<Value = Utc> {
    let near = |span: i64| (-span..span).prop_map(|by| 1_483_228_800_000_000_000 + by);
    let nanos = prop_oneof![
        any::<i64>(),
        near(20_000_000_000),
        near(4_000_000_000_000),
        Just(i64::MAX),
        Just(i64::MIN)
    ];
    nanos.prop_map(Utc::from_nanos)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Sources of any count and honesty, paths of any asymmetry, an oscillator of any rate, gaps of any length.
    #[test]
    fn the_truth_is_never_outside_what_is_published(
        ppb in -300_000i64..300_000,
        lies_ms in prop::collection::vec(-3_000i64..3_000, 0..3),
        polls in prop::collection::vec(prop::collection::vec((1i64..40_000, 1i64..40_000, 0u8..4), 7), 1..40),
    ) {
        let honest = lies_ms.len() + 1;
        let names: Vec<String> = (0..honest + lies_ms.len()).map(|k| format!("s{k}")).collect();
        let mut engine = engine_of(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let truth = |raw: Raw| Theta::from_nanos(0) + Rate::from_ppb(ppb).over(raw - at(0));
        for (k, paths) in polls.iter().enumerate() {
            let end = at(16 * (k as i64 + 1));
            for (source, (up, down, luck)) in paths.iter().enumerate().take(names.len()) {
                if *luck == 0 {
                    engine.report(SourceId(source as u64), missed());
                    continue;
                }
                let sent = end - Span::from_secs(source as i64 + 1);
                let arrival = sent + Span::from_micros(*up);
                let lie = source.checked_sub(honest).map_or(0, |liar| lies_ms[liar]);
                let stamp = arrival + truth(arrival) + Span::from_millis(lie);
                let exchange = Exchange::new(sent, arrival + Span::from_micros(*down), stamp, stamp, None).expect("possible");
                engine.report(SourceId(source as u64), Report::Sample(exchange));
            }
            let snapshot = engine.cycle(end).expect("a cycle ends");
            // An honest source that fell silent does not vote; the rule speaks of majorities of those that do.
            let votes = |range: std::ops::Range<usize>| snapshot.sources[range].iter().filter(|view| {
                !matches!(view.tally, Tally::Unusable(_))
            }).count();
            if let Ok(decision) = snapshot.outcome
                && votes(0..honest) > votes(honest..names.len())
            {
                let theta = truth(end);
                prop_assert!(decision.bound.lo <= theta && theta <= decision.bound.hi, "{theta:?} {decision:?}");
                prop_assert!(decision.bound.lo <= decision.theta && decision.theta <= decision.bound.hi);
                for late in [Span::ZERO, Span::from_secs(1), Span::from_secs(1_000)] {
                    let error = (decision.theta_at(end + late) - truth(end + late)).abs();
                    prop_assert!(error <= decision.error_at(end + late), "{error:?} after {late:?}: {decision:?}");
                }
            }
        }
    }

    /// Nor does a list, nor a warning, near a midnight or far from any, in whatever order things come.
    #[test]
    fn no_exchange_however_absurd_panics(
        steps in prop::collection::vec((0u8..8, 0i64..40_000_000_000, absurd_stamp(), absurd_stamp(), 0u64..4, 0usize..4), 1..80),
        start in prop_oneof![Just(0), any::<i64>(), Just(i64::MAX - 1_000_000_000_000), Just(i64::MIN)],
        cycle in prop_oneof![Just(1), Just(16), Just(1_024)],
        step: i8,
        is_honest: bool,
    ) {
        let mut sources = ["a", "b", "c"].map(source);
        sources[1].coarse = true;
        let mut settings = settings(sources.into());
        settings.cycle = Span::from_secs(cycle);
        settings.max_bound = Span::from_secs(100_000);
        let mut now = Raw::from_nanos(start);
        let mut engine = Engine::new(settings.clone(), now);
        for (kind, wait, arrived, departed, id, leap) in steps {
            now = now + Span::from_nanos(wait);
            match kind {
                0..5 => {
                    let leap = [None, Some(Leap::Insert), Some(Leap::Delete), Some(Leap::None)][leap];
                    let sent = now - Span::from_nanos(wait).half();
                    // A minute and forty seconds before midnight at the start.
                    let true_stamp = Utc::from_secs(1_483_228_700) + (sent - Raw::from_nanos(start));
                    let stamps = if is_honest { (true_stamp, true_stamp) } else { (arrived, departed) };
                    if let Ok(exchange) = Exchange::new(sent, now, stamps.0, stamps.1, leap) {
                        engine.report(SourceId(id), Report::Sample(exchange));
                    }
                }
                5 => {
                    if let Some(Ok(decision)) = engine.cycle(now).map(|snapshot| snapshot.outcome) {
                        prop_assert!(decision.bound.lo <= decision.theta && decision.theta <= decision.bound.hi);
                        let _ = decision.error_at(now);
                    }
                    let _ = engine.turns().count();
                }
                6 => engine.know_leap_seconds(Some(List { last: arrived, step, expires: departed })),
                _ if leap == 0 => engine.forget(now),
                _ => engine.reconfigure(settings.clone(), now),
            }
        }
    }
}
