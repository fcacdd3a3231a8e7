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
fn who_knows_less_of_an_unusual_oscillator_is_not_set_apart_by_what_is_usual() {
    let ppm = |ppm: f64| Rate::from_ppt((ppm * 1e6) as i64);
    // What is made of an oscillator at -50 ppm that is seen to so many ppm, by who takes it for 0 ± 20 ppm beforehand.
    let estimate = |sigma: f64| {
        let (own, before) = (sigma.powi(-2), 20_f64.powi(-2));
        Estimate {
            theta: Theta::from_nanos(0),
            rate: ppm(-50.0 * own / (own + before)),
            error: Span::ZERO,
            rate_error: ppm((own + before).sqrt().recip()),
            jitter: Span::ZERO,
        }
    };
    for sigma in [0.5, 4.0, 20.0] {
        let (rate, own) = seen_by_itself(&estimate(sigma), Prior::default());
        assert!((rate + 50e-6).abs() < 1e-9, "{sigma}: {rate}");
        assert!((own - sigma * 1e-6).abs() < 1e-9, "{sigma}: {own}");
    }
    let nothing = Estimate {
        rate: ppm(0.0),
        rate_error: ppm(20.0),
        ..estimate(4.0)
    };
    assert!(seen_by_itself(&nothing, Prior::default()).1 > 500e-6);
    // Nobody is drawn anywhere by what is known of this very oscillator.
    let known = Prior {
        rate: Rate::from_ppm(-50),
        sigma: Rate::from_ppm(1),
    };
    let (rate, sigma) = seen_by_itself(&estimate(0.5), known);
    assert!((rate + 49.97e-6).abs() < 1e-8 && (sigma - 0.5e-6).abs() < 1e-8);
}
