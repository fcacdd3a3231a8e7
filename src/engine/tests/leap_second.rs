//! Leap seconds: who is believed, when it is silent, and what is left of history.

use super::*;
use crate::engine::leap::List;

/// 2017-01-01, which is when the raw clock shows this many seconds.
const MIDNIGHT: Utc = Utc::from_secs(1_483_228_800);
const COMES: i64 = 999;

/// An exchange that ended at `seconds`, with a server whose clock shows what it should by the seconds that it knows of.
fn told(seconds: i64, leapt: Span, leap: Option<Leap>) -> Report {
    let (sent, received) = (at(seconds) - Span::from_millis(20), at(seconds));
    let stamp = MIDNIGHT + (received - at(COMES)) - Span::from_millis(10) + leapt;
    Report::Sample(Exchange::new(sent, received, stamp, stamp, leap).expect("possible"))
}

/// θ at the raw clock's zero, before the leap second.
fn theta() -> Theta {
    MIDNIGHT - at(COMES)
}

const INSERTED: Span = Span::from_secs(-1);
const SAYS: Option<Leap> = Some(Leap::Insert);
const NAMES: [&str; 3] = ["a", "b", "c"];

/// Three servers, asked 4 s before the end of each cycle up to that of `until`, or in short ones a second.
fn run(engine: &mut Engine, until: i64, leapt: Span, leap: [Option<Leap>; 3]) -> Snapshot {
    loop {
        let end = engine.next_cycle();
        let seconds = (end - at(0)).as_nanos() / 1_000_000_000;
        let early = if engine.settings.cycle == CYCLE { 4 } else { 1 };
        for (k, leap) in (0..).zip(leap) {
            engine.report(SourceId(k), told(seconds - early, leapt, leap));
        }
        let snapshot = engine.cycle(end).expect("it is due");
        if seconds >= until {
            return snapshot;
        }
    }
}

fn leap_of(engine: &mut Engine, leap: [Option<Leap>; 3]) -> Leap {
    let snapshot = run(engine, 0, Span::ZERO, leap);
    snapshot.outcome.expect("decided").leap
}

#[test]
fn a_minority_of_the_operators_warns_of_nothing() {
    assert_eq!(
        leap_of(&mut engine_of(&NAMES), [SAYS, SAYS, Some(Leap::None)]),
        Leap::Insert
    );
    assert_eq!(
        leap_of(&mut engine_of(&NAMES), [SAYS, None, None]),
        Leap::None
    );
    let one = |name| SourceSettings {
        operator: "one".into(),
        ..source(name)
    };
    let mut engine = engine(vec![one("a"), one("b"), source("c")]);
    assert_eq!(
        leap_of(&mut engine, [SAYS, SAYS, Some(Leap::None)]),
        Leap::None
    );
}

#[test]
fn the_list_warns_when_no_server_can_until_another_takes_its_place() {
    let mut engine = engine_of(&NAMES);
    let list = List {
        last: MIDNIGHT,
        step: 1,
        expires: MIDNIGHT + Span::from_secs(86_400),
    };
    engine.know_leap_seconds(Some(list));
    assert_eq!(leap_of(&mut engine, [None; 3]), Leap::Insert);
    engine.know_leap_seconds(None);
    assert_eq!(leap_of(&mut engine, [None; 3]), Leap::None);
    assert_eq!(engine.silence(), None);
}

#[test]
fn history_goes_along_with_a_leap_second_that_was_announced() {
    let mut engine = engine_of(&NAMES);
    let before = run(&mut engine, 992, Span::ZERO, [SAYS; 3])
        .outcome
        .expect("decided");
    assert_eq!(before.leap, Leap::Insert);
    let silence = engine.silence().expect("it comes");
    assert!(silence.holds(at(998)) && silence.holds(at(1_001)));
    assert!(!silence.holds(at(997)) && !silence.holds(at(1_002)));

    // What was on the way when it came proves nothing; the next cycle has all that was known before.
    engine.report(SourceId(0), told(999, Span::ZERO, SAYS));
    let after = run(&mut engine, 1_008, INSERTED, [Some(Leap::None); 3]);
    assert_eq!(tallies(&after).matches(['*', '+']).count(), 3);
    let after = after.outcome.expect("decided");
    assert!((after.theta - (theta() + INSERTED)).abs() < Span::from_millis(1));
    assert!(after.bound.half_width() <= before.bound.half_width());
    assert_eq!((after.leap, engine.silence()), (Leap::None, Some(silence)));
    // Late, from before: it is moved as well.
    engine.report(SourceId(1), told(995, Span::ZERO, SAYS));
    let later = run(&mut engine, 1_024, INSERTED, [Some(Leap::None); 3]);
    assert!(
        later
            .sources
            .iter()
            .all(|view| view.reading.expect("asked").misfits == 0)
    );
}

#[test]
fn a_cycle_that_ends_near_an_announced_leap_second_decides_nothing_and_loses_nothing() {
    // Cycles of 16 s end at 992 and 1008; of 3 s, at 999.
    let mut settings = settings(NAMES.map(source).to_vec());
    settings.cycle = Span::from_secs(3);
    let mut engine = Engine::new(settings, at(900));
    run(&mut engine, 996, Span::ZERO, [SAYS; 3])
        .outcome
        .expect("decided");
    let silent = engine.cycle(at(999)).expect("it is due");
    assert_eq!(silent.outcome, Err(NoDecision::LeapSecond));
    let after = run(&mut engine, 1_008, INSERTED, [None; 3]);
    assert_eq!(tallies(&after).matches(['*', '+']).count(), 3);
}

#[test]
fn what_is_learned_in_the_midst_of_a_leap_second_is_not_published() {
    let mut engine = Engine::new(settings(vec![source("only")]), at(992));
    engine.report(SourceId(0), told(1_007, Span::from_millis(-9_700), SAYS));
    let snapshot = engine.cycle(at(1_008)).expect("it is due");
    assert_eq!(snapshot.outcome, Err(NoDecision::LeapSecond));
}

#[test]
fn a_warning_that_most_take_back_in_time_moves_nothing() {
    let mut engine = engine_of(&NAMES);
    run(&mut engine, 976, Span::ZERO, [SAYS; 3])
        .outcome
        .expect("decided");
    run(&mut engine, 992, Span::ZERO, [Some(Leap::None); 3])
        .outcome
        .expect("decided");
    let after = run(&mut engine, 1_008, Span::ZERO, [Some(Leap::None); 3])
        .outcome
        .expect("decided");
    assert!((after.theta - theta()).abs() < Span::from_millis(1));
}

#[test]
fn servers_that_all_warned_and_do_not_follow_are_believed_anew() {
    let mut engine = engine_of(&NAMES);
    run(&mut engine, 992, Span::ZERO, [SAYS; 3])
        .outcome
        .expect("decided");
    let stepped = run(&mut engine, 1_008, Span::ZERO, [Some(Leap::None); 3]);
    assert_eq!(stepped.outcome, Err(NoDecision::Stepped { operators: 3 }));
    let after = run(&mut engine, 1_024, Span::ZERO, [Some(Leap::None); 3])
        .outcome
        .expect("decided");
    assert!((after.theta - theta()).abs() < Span::from_millis(1));
}

#[test]
fn a_server_that_does_not_follow_is_a_falseticker_and_the_others_go_on() {
    let mut engine = engine_of(&NAMES);
    let before = run(&mut engine, 992, Span::ZERO, [SAYS; 3])
        .outcome
        .expect("decided");
    engine.report(SourceId(0), told(1_004, Span::ZERO, None));
    engine.report(SourceId(1), told(1_004, INSERTED, None));
    engine.report(SourceId(2), told(1_004, INSERTED, None));
    let after = engine.cycle(at(1_008)).expect("it is due");
    assert!(tallies(&after).starts_with('x'), "{}", tallies(&after));
    let after = after.outcome.expect("decided");
    assert!((after.theta - (theta() + INSERTED)).abs() < Span::from_millis(1));
    assert!(after.bound.half_width() <= before.bound.half_width().times(2));
}

#[test]
fn who_has_not_been_heard_since_a_leap_second_is_waited_for_but_not_for_long() {
    let mut engine = engine_of(&NAMES);
    for source in &mut engine.settings.sources {
        source.poll = Span::from_secs(1_024);
    }
    run(&mut engine, 992, Span::ZERO, [SAYS; 3])
        .outcome
        .expect("decided");
    let had = Span::from_secs(-1);
    for end in [1_008, 1_024, 1_040, 1_056] {
        engine.report(SourceId(0), told(end - 2, had, None));
        let outcome = engine.cycle(at(end)).expect("it is due").outcome;
        assert_eq!(outcome, Err(NoDecision::LeapSecond), "{end}");
    }
    engine.report(SourceId(0), told(1_070, had, None));
    engine.report(SourceId(2), told(1_070, had, None));
    let after = engine.cycle(at(1_072)).expect("it is due");
    assert_eq!(tallies(&after).chars().nth(1), Some('?'));
    let after = after.outcome.expect("decided");
    assert!((after.theta - (theta() + had)).abs() < Span::from_millis(1));
}

#[test]
fn after_a_break_of_the_raw_clock_nobody_knows_when_a_leap_second_comes() {
    let mut engine = engine_of(&NAMES);
    run(&mut engine, 992, Span::ZERO, [SAYS; 3])
        .outcome
        .expect("decided");
    engine.forget(at(993));
    assert_eq!(engine.silence(), None);
}
