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
