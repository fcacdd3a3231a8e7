//! The engine as a whole, driven with a virtual clock: what a supervisor may rely on.

mod creeping;
mod estimates;
mod history;
mod leap_second;
mod majority;
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

/// What a server tells that rounds its seconds, and of which that is not known, when its clock is by `theta_ms` ahead of a whole one.
fn whole_second(seconds: i64, theta_ms: i64) -> Report {
    let sent = at(seconds) - Span::from_millis(20);
    let told = (at(seconds) + Theta::from_nanos(theta_ms * 1_000_000)).as_nanos();
    let told = Utc::from_secs((told + 500_000_000).div_euclid(1_000_000_000));
    let (from, to) = (told - Span::from_millis(500), told + Span::from_secs(1));
    Report::Sample(Exchange::new(sent, at(seconds), to, from, None).expect("possible"))
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
