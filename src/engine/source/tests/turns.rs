//! Turns that somebody else decides.

use super::*;

/// In the third of the four cycles of a poll.
const RARE: Turns = Turns {
    poll: Span::from_secs(64),
    from: Span::from_secs(32),
    width: Span::from_secs(16),
};

/// Asked at its turn, which is at 5 s past a multiple of 16 s.
fn settled(pace: Pace) -> Source {
    let mut source = Source::new(pace, at(5), 1);
    poll(&mut source, at(5), Ok(exchange(at(5))));
    source
}

#[test]
fn other_turns_are_taken_at_its_own_place_within_them() {
    let mut source = settled(PACE);
    source.follow(RARE, at(16));
    assert_eq!(source.next(at(16)), Action::Wait(at(37)));
    let (_, wait) = poll(&mut source, at(37), Ok(exchange(at(37))));
    assert_eq!(wait, Span::from_secs(64));
    source.follow(Turns::every(PACE.poll), at(48));
    assert_eq!(source.next(at(48)), Action::Wait(at(53)));
}

#[test]
fn other_turns_never_have_it_asked_again_sooner_than_the_shortest_poll() {
    let mut source = settled(PACE);
    // The next one of these turns would be at 13 s.
    let soon = Turns {
        from: Span::from_secs(8),
        ..RARE
    };
    source.follow(soon, at(6));
    assert_eq!(source.next(at(6)), Action::Wait(at(77)));
    let mut source = settled(PACE);
    source.follow(Turns::every(Span::from_secs(2)), at(16));
    let Action::Wait(next) = source.next(at(16)) else {
        panic!("it was asked at 5 s");
    };
    assert!(next >= at(21), "{next:?}");
    let (_, wait) = poll(&mut source, next, Ok(exchange(next)));
    assert_eq!(wait, PACE.poll);
}

#[test]
fn other_turns_end_no_burst_no_back_off_and_no_silence() {
    let burst = Pace { burst: 3, ..PACE };
    let mut source = Source::new(burst, at(0), 1);
    poll(&mut source, at(0), Ok(exchange(at(0))));
    source.follow(RARE, at(1));
    assert_eq!(source.next(at(1)), Action::Wait(at(2)));

    let mut source = Source::new(PACE, at(0), 1);
    let busy = Failure {
        retry_after: Some(Span::from_secs(300)),
        ..failure(Aftermath::Usable)
    };
    poll(&mut source, at(0), Err(busy));
    source.follow(RARE, at(1));
    source.follow(Turns::every(PACE.poll), at(2));
    assert_eq!(source.next(at(2)), Action::Wait(at(300)));
}

#[test]
fn who_fails_is_asked_by_the_shortest_poll_again() {
    let mut source = settled(PACE);
    source.follow(RARE, at(16));
    let (_, wait) = poll(&mut source, at(37), Err(failure(Aftermath::Usable)));
    assert!(wait <= Span::from_secs(20), "{wait:?}");
}

#[test]
fn turns_that_are_told_with_a_waking_hold_in_whatever_order_they_come() {
    // The same poll, at another place.
    let new = Turns {
        from: Span::ZERO,
        ..RARE
    };
    for now in [5_300, 20_000] {
        let now = at(0) + Span::from_millis(now);
        for is_woken_first in [false, true] {
            let mut source = settled(PACE);
            source.follow(RARE, at(5));
            if is_woken_first {
                source.wake(now);
            }
            source.follow(new, now);
            if !is_woken_first {
                source.wake(now);
            }
            let soon = now.max(at(6));
            poll(&mut source, soon, Ok(exchange(soon)));
            assert_eq!(source.next(soon), Action::Wait(at(69)), "{is_woken_first}");
        }
    }
}

#[test]
fn turns_that_come_in_the_midst_of_an_exchange_hold_from_its_end_on() {
    let mut source = settled(PACE);
    let ticket = ask(&mut source, at(21));
    source.follow(RARE, at(22));
    source.completed(ticket, at(23), Ok(exchange(at(23))));
    assert!(matches!(source.next(at(23)), Action::Report(_)));
    assert_eq!(source.next(at(23)), Action::Wait(at(37)));
}

#[test]
fn turns_may_begin_soon_after_a_burst() {
    let burst = Pace { burst: 3, ..PACE };
    let mut source = Source::new(burst, at(8), 1);
    for now in [8, 10, 12, 14] {
        poll(&mut source, at(now), Ok(exchange(at(now))));
    }
    let next = Turns {
        from: Span::from_secs(16),
        ..RARE
    };
    source.follow(RARE, at(15));
    assert_eq!(source.next(at(15)), Action::Wait(at(37)));
    source.follow(next, at(16));
    assert_eq!(source.next(at(16)), Action::Wait(at(21)));
}

/// A source that tells whole seconds, and is told at the end of each cycle to take its turn in the next one, whatever its poll is: in
/// how many of them it did not, once the first search is over.
fn left_out(cycle: Span, phase: Span, second: Span, polls: &[i64]) -> usize {
    let pace = Pace {
        poll: cycle,
        phase,
        burst: 3,
        coarse: true,
        ..PACE
    };
    const CYCLES: i64 = 100;
    let of = |now: Raw| (now - at(0)).as_nanos() / cycle.as_nanos();
    let mut source = Source::new(pace, at(1), 1);
    let mut asked = vec![0; CYCLES as usize + 1];
    let mut now = at(1);
    while of(now) < CYCLES {
        match source.next(now) {
            Action::Wait(until) => {
                let end = at(0) + cycle.times(of(now) + 1);
                now = until.min(end);
                if now == end {
                    let number = of(now);
                    let poll = polls[number as usize % polls.len()];
                    let turns = Turns {
                        poll: cycle.times(poll),
                        from: cycle.times(number % poll),
                        width: cycle,
                    };
                    source.follow(turns, now);
                }
            }
            Action::Exchange(ticket) => {
                asked[of(now) as usize] += 1;
                let shown = Utc::from_secs(1_800_000_000) + (now - at(0)) + second;
                let told = Utc::from_secs(shown.to_parts().0);
                let reply = now + Span::from_millis(20);
                let exchange = Exchange::new(now, reply, told + Span::from_secs(1), told, None);
                now = reply;
                source.completed(ticket, now, Ok(exchange.expect("possible")));
            }
            _ => {}
        }
    }
    let searched = (of(at(32)) as usize).max(2);
    let cycles = asked[searched..CYCLES as usize].iter();
    cycles.filter(|asked| **asked == 0).count()
}

#[test]
fn who_tells_whole_seconds_takes_every_turn_of_which_it_is_told() {
    for cycle in [16, 4, 2] {
        let cycle = Span::from_secs(cycle);
        // The first place and the last one.
        for sixteenths in [1, 14] {
            let phase = Span::from_nanos(cycle.as_nanos() / 16 * sixteenths);
            for tenths in [0, 2, 5, 8, 9] {
                let second = Span::from_millis(100 * tenths);
                for polls in [&[1][..], &[1, 2], &[4, 2, 1, 2]] {
                    let left_out = left_out(cycle, phase, second, polls);
                    assert_eq!(left_out, 0, "{cycle:?} {phase:?} {second:?} {polls:?}");
                }
            }
        }
    }
}
