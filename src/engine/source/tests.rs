//! When a source is asked, closed and left alone.

mod turns;

use super::*;
use crate::engine::time::Utc;

const PACE: Pace = Pace {
    poll: Span::from_secs(16),
    max_poll: Span::from_secs(64),
    phase: Span::from_secs(5),
    burst: 0,
    coarse: false,
};

fn at(seconds: i64) -> Raw {
    Raw::from_nanos(0) + Span::from_secs(seconds)
}

fn exchange(now: Raw) -> Exchange {
    Exchange::new(now, now, Utc::from_nanos(0), Utc::from_nanos(0), None).expect("possible")
}

fn failure(connection: Aftermath) -> Failure {
    Failure {
        fault: Fault::Network,
        reason: "no answer".into(),
        connection,
        retry_after: None,
    }
}

fn ask(source: &mut Source, now: Raw) -> Ticket {
    match source.next(now) {
        Action::Exchange(ticket) => ticket,
        other => panic!("an exchange is due, not {other:?}"),
    }
}

/// Lets an exchange begin and end now; what the machine wants then, up to and without the wait, and how long that is.
fn poll(source: &mut Source, now: Raw, result: Result<Exchange, Failure>) -> (Vec<Action>, Span) {
    let ticket = ask(source, now);
    source.completed(ticket, now, result);
    let mut actions = Vec::new();
    loop {
        match source.next(now) {
            Action::Wait(until) => return (actions, until - now),
            action => actions.push(action),
        }
    }
}

#[test]
fn the_first_poll_is_when_told_and_the_next_ones_at_the_sources_turns() {
    let mut source = Source::new(PACE, at(100), 1);
    assert_eq!(source.next(at(99)), Action::Wait(at(100)));
    let (actions, wait) = poll(&mut source, at(100), Ok(exchange(at(100))));
    assert_eq!(actions, [Action::Report(Report::Sample(exchange(at(100))))]);
    // Turns are at 5 s past multiples of 16 s; the next is that at 101 s.
    assert_eq!(wait, Span::from_secs(1));
    assert_eq!(
        poll(&mut source, at(101), Ok(exchange(at(101)))).1,
        Span::from_secs(16)
    );
}

#[test]
fn nobody_is_asked_twice_in_a_second() {
    let pace = Pace {
        poll: Span::from_secs(1),
        phase: Span::from_millis(700),
        ..PACE
    };
    let mut source = Source::new(pace, at(0), 1);
    let first = poll(&mut source, at(0), Ok(exchange(at(0)))).1;
    assert_eq!(first, Span::from_millis(1_700));
    let late = at(0) + first + Span::from_millis(3);
    assert_eq!(
        poll(&mut source, late, Ok(exchange(late))).1,
        Span::from_millis(997),
        "turns are kept"
    );
}

#[test]
fn failures_are_asked_ever_more_rarely_up_to_the_limit_and_never_sooner_than_a_poll() {
    let mut source = Source::new(PACE, at(0), 7);
    let mut now = at(0);
    for expected in [16, 32, 64, 64, 64] {
        let (actions, wait) = poll(&mut source, now, Err(failure(Aftermath::Usable)));
        assert_eq!(
            actions,
            [Action::Report(Report::Missed {
                fault: Fault::Network,
                reason: "no answer".into()
            })]
        );
        assert!(
            Span::from_secs(expected) <= wait && wait <= Span::from_secs(expected * 5 / 4),
            "{wait:?}"
        );
        now = now + wait;
    }
    let (_, wait) = poll(&mut source, now, Ok(exchange(now)));
    assert!(
        wait <= Span::from_secs(24),
        "a success ends the back-off: {wait:?}"
    );
}

#[test]
fn the_jitter_depends_on_the_seed_alone() {
    let wait = |seed| {
        poll(
            &mut Source::new(PACE, at(0), seed),
            at(0),
            Err(failure(Aftermath::Usable)),
        )
        .1
    };
    assert_eq!(wait(1), wait(1));
    assert_ne!(wait(1), wait(2));
}

#[test]
fn a_broken_connection_is_closed() {
    let (actions, _) = poll(
        &mut Source::new(PACE, at(0), 1),
        at(0),
        Err(failure(Aftermath::Broken)),
    );
    assert_eq!(actions[0], Action::Close);
    assert_eq!(actions.len(), 2);
}

#[test]
fn a_stale_connection_is_replaced_at_once_but_only_once_in_a_poll() {
    let mut source = Source::new(PACE, at(0), 1);
    for _ in 0..3 {
        let now = source.due;
        let ticket = ask(&mut source, now);
        source.completed(ticket, now, Err(failure(Aftermath::Stale)));
        assert_eq!(source.next(now), Action::Close);
        let (actions, wait) = poll(&mut source, now, Err(failure(Aftermath::Stale)));
        assert_eq!(actions.len(), 2, "closed and reported");
        assert!(wait >= PACE.poll);
    }
}

#[test]
fn the_server_is_left_alone_for_as_long_as_it_asks_within_reason() {
    let asked = |seconds| {
        let failure = Failure {
            retry_after: Some(Span::from_secs(seconds)),
            ..failure(Aftermath::Usable)
        };
        poll(&mut Source::new(PACE, at(0), 1), at(0), Err(failure)).1
    };
    assert_eq!(asked(300), Span::from_secs(300));
    assert_eq!(asked(i64::MAX), MAX_RETRY_AFTER);
    assert!(asked(-5) >= PACE.poll);
}

#[test]
fn a_burst_follows_the_start_and_every_waking() {
    let pace = Pace { burst: 3, ..PACE };
    let mut source = Source::new(pace, at(0), 1);
    for second in [0, 2, 4] {
        assert_eq!(
            poll(&mut source, at(second), Ok(exchange(at(second)))).1,
            Span::from_secs(2)
        );
    }
    let (_, wait) = poll(&mut source, at(6), Ok(exchange(at(6))));
    assert_eq!(wait, Span::from_secs(15), "the burst is over");
    source.wake(at(7));
    assert_eq!(
        poll(&mut source, at(7), Ok(exchange(at(7)))).1,
        Span::from_secs(2)
    );
}

#[test]
fn waking_ends_a_back_off_but_asks_no_server_twice_in_a_second() {
    let mut source = Source::new(PACE, at(0), 1);
    poll(&mut source, at(0), Err(failure(Aftermath::Broken)));
    let half = at(0) + Span::from_millis(500);
    source.wake(half);
    assert_eq!(source.next(half), Action::Wait(at(1)));
    source.wake(at(9));
    assert!(matches!(source.next(at(9)), Action::Exchange(_)));
}

#[test]
fn waking_does_not_break_the_silence_that_a_server_asked_for() {
    let mut source = Source::new(PACE, at(0), 1);
    let busy = Failure {
        retry_after: Some(Span::from_secs(300)),
        ..failure(Aftermath::Usable)
    };
    poll(&mut source, at(0), Err(busy));
    source.wake(at(10));
    assert_eq!(source.next(at(10)), Action::Wait(at(300)));
}

#[test]
fn waking_never_puts_a_poll_off() {
    let mut source = Source::new(PACE, at(0), 1);
    source.wake(at(-50));
    assert!(matches!(source.next(at(0)), Action::Exchange(_)));
}

#[test]
fn what_follows_a_question_is_asked_a_second_later_and_failures_still_count() {
    let mut source = Source::new(PACE, at(0), 1);
    poll(&mut source, at(0), Err(failure(Aftermath::Usable)));
    let mut now = source.due;
    for _ in 0..3 {
        let ticket = ask(&mut source, now);
        source.goes_on(ticket, now);
        assert_eq!(source.next(now), Action::Wait(now + LEAST_APART));
        now = source.due;
    }
    let (_, wait) = poll(&mut source, now, Err(failure(Aftermath::Usable)));
    assert!(wait >= PACE.poll.times(2), "{wait:?}");
    let ticket = Ticket(source.serial);
    source.goes_on(ticket, now);
    assert!(source.due > now + LEAST_APART, "no such ticket is out");
}

#[test]
fn waking_a_source_that_somebody_else_has_just_asked_asks_it_not_twice_in_a_second() {
    let mut source = Source::new(PACE, at(11), 1).asked_at(at(10));
    source.wake(at(10));
    assert_eq!(source.next(at(10)), Action::Wait(at(11)));
}

#[test]
fn nobody_is_asked_in_a_silence_and_whatever_was_due_comes_some_time_after_it() {
    // The seed says that it comes two seconds after it.
    let mut source = Source::new(PACE, at(10), 2_000_000_000);
    let silence = Silence {
        from: at(9),
        to: at(12),
        shift: Span::ZERO,
    };
    source.hush(Some(silence));
    assert_eq!(source.next(at(8)), Action::Wait(at(14)));
    assert_eq!(source.next(at(10)), Action::Wait(at(14)));
    source.wake(at(11));
    for second in 11..14 {
        assert_eq!(source.next(at(second)), Action::Wait(at(14)));
    }
    assert!(matches!(source.next(at(14)), Action::Exchange(_)));
}

#[test]
fn what_is_late_in_a_silence_comes_some_time_after_it_as_well() {
    let mut source = Source::new(PACE, at(8), 2_000_000_000);
    source.hush(Some(Silence {
        from: at(9),
        to: at(12),
        shift: Span::ZERO,
    }));
    assert_eq!(source.next(at(9)), Action::Wait(at(14)));
    assert_eq!(source.next(at(12)), Action::Wait(at(14)));
}

#[test]
fn many_clients_do_not_come_back_from_a_silence_all_at_once() {
    let mut soonest = [0; 8];
    for seed in 0..800 {
        let mut source = Source::new(PACE, at(10), seed * 10_000_000);
        source.hush(Some(Silence {
            from: at(9),
            to: at(12),
            shift: Span::ZERO,
        }));
        let Action::Wait(until) = source.next(at(10)) else {
            panic!("it is silent");
        };
        soonest[((until - at(12)).as_nanos() / 1_000_000_000) as usize] += 1;
    }
    assert_eq!(soonest, [100; 8]);
}

#[test]
fn a_back_off_goes_on_across_a_silence() {
    let mut source = Source::new(PACE, at(0), 0);
    source.hush(Some(Silence {
        from: at(5),
        to: at(8),
        shift: Span::ZERO,
    }));
    let (_, wait) = poll(&mut source, at(0), Err(failure(Aftermath::Broken)));
    assert!(wait >= PACE.poll, "{wait:?}");
}

#[test]
fn soon_after_a_silence_the_server_is_asked_once_even_if_it_is_not_due() {
    let pace = Pace {
        poll: Span::from_secs(1_024),
        ..PACE
    };
    let mut source = Source::new(pace, at(0), 2_000_000_000);
    let silence = Silence {
        from: at(100),
        to: at(103),
        shift: Span::ZERO,
    };
    source.hush(Some(silence));
    let (_, wait) = poll(&mut source, at(0), Ok(exchange(at(0))));
    assert_eq!(wait, Span::from_secs(105));
    let (_, wait) = poll(&mut source, at(105), Ok(exchange(at(105))));
    assert!(wait > Span::from_secs(512), "{wait:?}");
    let busy = Failure {
        retry_after: Some(Span::from_secs(300)),
        ..failure(Aftermath::Usable)
    };
    let mut source = Source::new(pace, at(0), 1);
    source.hush(Some(silence));
    let (_, wait) = poll(&mut source, at(0), Err(busy));
    assert!(wait >= Span::from_secs(300), "it wants to be left alone");
}

#[test]
fn what_was_on_the_way_when_a_leap_second_passed_tells_nothing_of_the_edge() {
    let whole = |from: Raw, to: Raw, second: i64| {
        let told = Utc::from_secs(second);
        let before = told + Span::from_millis(1_020);
        Exchange::new(from, to, before, told, None).expect("possible")
    };
    let pace = Pace {
        coarse: true,
        ..PACE
    };
    let mut source = Source::new(pace, at(0), 1);
    let left = |source: &Source| source.edge.as_ref().and_then(|edge| edge.left(at(200)));
    poll(&mut source, at(0), Ok(whole(at(0), at(0), 7)));
    let before = left(&source).expect("something is known");
    source.hush(Some(Silence {
        from: at(100),
        to: at(103),
        shift: Span::from_secs(-1),
    }));
    let ticket = ask(&mut source, at(99));
    // It left late, and arrived after the leap second.
    let (sent, received) = (at(103) - Span::from_millis(10), at(103));
    source.completed(ticket, received, Ok(whole(sent, received, 109)));
    assert_eq!(left(&source), Some(before));
    source.queue.clear();
    let ticket = ask(&mut source, at(120));
    source.completed(ticket, at(120), Ok(whole(at(120), at(120), 126)));
    let after = left(&source).expect("something is known");
    let moved = Span::from_secs(-1);
    assert!(before.lo + moved <= after.hi && after.lo <= before.hi + moved);
    assert!(
        after.hi - after.lo <= before.hi - before.lo,
        "all goes along"
    );
}

#[test]
fn a_ticket_is_good_once() {
    let mut source = Source::new(PACE, at(0), 1);
    let ticket = ask(&mut source, at(0));
    assert_eq!(
        source.next(at(0)),
        Action::Wait(at(0)),
        "one exchange at a time"
    );
    source.completed(Ticket(77), at(0), Ok(exchange(at(0))));
    assert!(source.is_out, "another one's ticket changes nothing");
    source.completed(ticket, at(0), Ok(exchange(at(0))));
    source.completed(Ticket(0), at(0), Ok(exchange(at(0))));
    assert_eq!(source.queue.len(), 1);
}
