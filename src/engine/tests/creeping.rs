//! Sources that creep, and what becomes of them when they are left alone.

use super::*;

/// A reply at this time that took so long each way (µs), by a server that is so far ahead (µs).
fn reply(seconds: i64, [up, down]: [i64; 2], ahead: i64) -> Report {
    let (up, down, received) = (Span::from_micros(up), Span::from_micros(down), at(seconds));
    let sent = received - up - down;
    let stamp = sent + Theta::from_nanos(0) + up + Span::from_micros(ahead);
    let exchange = Exchange::new(sent, received, stamp, stamp, None);
    Report::Sample(exchange.expect("it is possible"))
}

/// What the `k`th way of all adds at this time by its queue (µs).
fn queue(seconds: i64, k: i64) -> i64 {
    (seconds * 7_919 + k * 104_729) % 1_000
}

#[test]
fn who_was_found_to_creep_does_not_take_over_while_the_others_are_away() {
    let mut engine = engine_of(&["a", "b", "c", "creeps", "creeps too"]);
    let (mut alone, mut crept) = (0, 0);
    for seconds in (16..3_200).step_by(16) {
        let are_away = (2_400..2_560).contains(&seconds);
        for k in 0..5 {
            if k < 3 && are_away {
                continue;
            }
            let gained = 20 * seconds * i64::from(k >= 3);
            let report = reply(seconds - 4, [60_000 + queue(seconds, k), 60_000], gained);
            engine.report(SourceId(k as u64), report);
        }
        let snapshot = engine.cycle(at(seconds)).expect("a cycle ends");
        let is_found = |k: usize| matches!(snapshot.sources[k].reason, Some(Reason::Creeps { .. }));
        crept += usize::from(seconds < 2_400 && is_found(3) && is_found(4));
        match &snapshot.outcome {
            Ok(decision) => {
                let off = decision.theta - Theta::from_nanos(0);
                assert!(
                    off.abs() < Span::from_millis(5),
                    "{off:?} off at {seconds} s"
                );
            }
            Err(NoDecision::TooFewAgreeing { agreeing: 0, .. }) => {
                let words = snapshot.sources[3].reason;
                assert!(are_away && words == Some(Reason::Crept), "{words:?}");
                alone += 1;
            }
            Err(why) => assert!(are_away, "{why} at {seconds} s"),
        }
    }
    assert!(crept > 50 && alone > 3, "{crept} {alone}");
}

#[test]
fn honest_sources_that_were_doubted_are_believed_again_though_liars_had_the_majority_meanwhile() {
    let mut engine = engine_of(&["a", "b", "vague", "x", "y"]);
    let mut last = None;
    for seconds in (16..10_000).step_by(16) {
        // The vague one's ways lean for a while, and two that lie go along with it.
        let lie = 10 * (seconds - 2_000).clamp(0, 1_200);
        let lean = if seconds < 4_000 { lie } else { 0 };
        for k in 0..5 {
            let ways = match k {
                2 => [60_000 + lean, 60_000 - lean],
                _ => [2_000; 2],
            };
            let ways = [ways[0] + queue(seconds, k), ways[1] + queue(seconds, k + 5)];
            let ahead = if k >= 3 { lie } else { 0 };
            engine.report(SourceId(k as u64), reply(seconds - 4, ways, ahead));
        }
        last = engine.cycle(at(seconds));
    }
    let last = last.expect("a cycle ended");
    let decision = last.outcome.as_ref().expect("a decision");
    let off = decision.theta - Theta::from_nanos(0);
    assert!(
        off.abs() < Span::from_millis(1),
        "{off:?} {}",
        tallies(&last)
    );
}

#[test]
fn what_all_lean_on_convicts_nobody_who_knows_better() {
    let known = Prior {
        rate: Rate::from_ppm(30),
        sigma: Rate::from_ppm(1),
    };
    for (prior, ppm) in [
        (Prior::default(), 60),
        (Prior::default(), -80),
        (known, 34),
        (known, 45),
    ] {
        let mut engine = engine_of(&["near", "far", "far too"]);
        engine.remember_rate(prior);
        for seconds in (16..3_200).step_by(16) {
            for k in 0..3 {
                let (way, factor) = if k == 0 { (200, 1) } else { (20_000, 30) };
                let ways = [k, k + 3].map(|k| way + factor * queue(seconds, k) / 10);
                let report = reply(seconds - 4, ways, ppm * (seconds - 4));
                engine.report(SourceId(k as u64), report);
            }
            let snapshot = engine.cycle(at(seconds)).expect("a cycle ends");
            let near = &snapshot.sources[0];
            assert!(
                near.tally.survives(),
                "{:?} at {seconds} s, {ppm} ppm",
                near.reason
            );
        }
    }
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
