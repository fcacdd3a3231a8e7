//! Whose estimate counts, how much, and what is told of the others'.

use super::*;

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
