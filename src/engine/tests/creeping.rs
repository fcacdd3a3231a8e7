//! Sources that creep, and what becomes of them when they are left alone.

use super::*;

/// A reply at this time over 60 ms each way, of which the way there took so much more, by a server that gains so much.
fn reply(seconds: i64, more: Span, gained: Span) -> Report {
    let (way, received) = (Span::from_millis(60), at(seconds));
    let sent = received - way - way - more;
    let stamp = sent + Theta::from_nanos(0) + way + more + gained;
    let exchange = Exchange::new(sent, received, stamp, stamp, None);
    Report::Sample(exchange.expect("it is possible"))
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
            let queued = (seconds * 7_919 + k * 104_729) % 1_000;
            let gained = 20 * seconds * i64::from(k >= 3);
            let report = reply(
                seconds - 4,
                Span::from_micros(queued),
                Span::from_micros(gained),
            );
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
