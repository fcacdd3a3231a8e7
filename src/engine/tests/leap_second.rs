//! Leap seconds: who is believed, when it is silent, and what is left of history.

use super::*;

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
const LIST: List = List {
    last: MIDNIGHT,
    step: 1,
    expires: Utc::from_secs(1_483_228_800 + 86_400),
};

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
    engine.know_leap_seconds(Some(LIST));
    for _ in 0..2 {
        assert_eq!(leap_of(&mut engine, [None; 3]), Leap::Insert);
    }
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
}

#[test]
fn what_comes_late_from_before_a_leap_second_is_moved_as_well() {
    let mut engine = engine_of(&NAMES);
    run(&mut engine, 992, Span::ZERO, [SAYS; 3])
        .outcome
        .expect("decided");
    for id in [0, 1] {
        engine.report(SourceId(id), told(1_004, INSERTED, Some(Leap::None)));
    }
    let waiting = engine.cycle(at(1_008)).expect("it is due");
    assert_eq!(waiting.outcome, Err(NoDecision::LeapSecond));
    engine.report(SourceId(2), told(995, Span::ZERO, SAYS));
    let later = run(&mut engine, 1_024, INSERTED, [Some(Leap::None); 3]);
    for view in &later.sources {
        assert_eq!(view.reading.expect("asked").misfits, 0);
    }
    assert_eq!(tallies(&later).matches(['*', '+']).count(), 3);
}

/// Cycles of 16 s up to that of `until`, in which the `k`th source reports what `says` for the cycle's end, if anything; the last one.
fn run_each(
    engine: &mut Engine,
    until: i64,
    says: impl Fn(u64, i64) -> Option<Report>,
) -> Snapshot {
    loop {
        let end = engine.next_cycle();
        let seconds = (end - at(0)).as_nanos() / 1_000_000_000;
        for k in 0..engine.sources.len() as u64 {
            if let Some(report) = says(k, seconds) {
                engine.report(SourceId(k), report);
            }
        }
        let snapshot = engine.cycle(end).expect("it is due");
        if seconds >= until {
            return snapshot;
        }
    }
}

#[test]
fn a_warning_does_not_lapse_because_one_that_gave_it_falls_silent() {
    // Three of five can tell, until one of these is heard no more.
    let mut engine = engine_of(&["a", "b", "c", "d", "e"]);
    let says = |k: u64, end: i64| {
        // All but one have their turns early in a cycle: in that of midnight, before it.
        let asked = if k == 3 { end - 4 } else { end - 11 };
        let (leapt, says) = if asked > COMES {
            (INSERTED, Some(Leap::None))
        } else {
            (Span::ZERO, SAYS)
        };
        let is_heard = k != 2 || end < 940;
        is_heard.then(|| told(asked, leapt, says.filter(|_| k < 3)))
    };
    let before = run_each(&mut engine, 992, says);
    assert_eq!(before.sources[2].tally, Tally::Unusable(Unusable::Stale));
    assert_eq!(before.outcome.expect("decided").leap, Leap::Insert);
    for end in [1_008, 1_024, 1_040, 1_056] {
        let snapshot = run_each(&mut engine, end, says);
        if let Ok(after) = snapshot.outcome {
            let error = (after.theta - (theta() + INSERTED)).abs();
            assert!(error < Span::from_millis(1), "{error:?} at {end}");
        }
        assert_ne!(snapshot.sources[3].tally, Tally::Falseticker, "{end}");
        assert!(snapshot.outcome.is_ok() || end < 1_024, "{snapshot:?}");
    }
}

#[test]
fn a_warning_that_servers_gave_stays_when_none_of_them_is_heard_any_more_and_the_list_is_gone() {
    let mut engine = engine_of(&["a", "b", "c", "d", "e"]);
    engine.know_leap_seconds(Some(LIST));
    let says = |k: u64, end: i64| {
        let tells = k == 2;
        (!tells || end < 900).then(|| told(end - 4, Span::ZERO, SAYS.filter(|_| tells)))
    };
    run_each(&mut engine, 896, says).outcome.expect("decided");
    engine.know_leap_seconds(None);
    let later = run_each(&mut engine, 992, says).outcome.expect("decided");
    assert_eq!(later.leap, Leap::Insert);
}

#[test]
fn no_minority_that_puts_honest_ones_in_the_wrong_can_warn() {
    // Two are exact, two know the time less well, and three lie so that only the latter agree with them.
    let mut engine = engine_of(&["p", "q", "wide", "wide-too", "liar", "liar-2", "liar-3"]);
    let says = |k: u64, end: i64| {
        let (delay, lie, leap) = match k {
            0 | 1 => (20, 0, Some(Leap::None)),
            2 | 3 => (120, 0, None),
            _ => (20, 45, SAYS),
        };
        let (sent, received) = (at(end - 4) - Span::from_millis(delay), at(end - 4));
        let stamp = sent + theta() + Span::from_millis(delay / 2 + lie);
        let exchange = Exchange::new(sent, received, stamp, stamp, leap).expect("possible");
        Some(Report::Sample(exchange))
    };
    let snapshot = run_each(&mut engine, 992, says);
    assert_eq!(tallies(&snapshot).get(..2), Some("xx"), "it tests nothing");
    assert_eq!(snapshot.outcome.expect("decided").leap, Leap::None);
    assert_eq!(engine.silence(), None);
}

#[test]
fn what_a_falseticker_says_of_leap_seconds_is_not_heard() {
    // Against one voice the list would not be enough.
    let mut engine = engine_of(&NAMES);
    engine.know_leap_seconds(Some(LIST));
    let says = |k: u64, end: i64| {
        let (lie, leap) = if k == 2 {
            (500, Some(Leap::None))
        } else {
            (0, None)
        };
        Some(told(end - 4, Span::from_millis(lie), leap))
    };
    let snapshot = run_each(&mut engine, 992, says);
    assert!(tallies(&snapshot).ends_with('x'), "{}", tallies(&snapshot));
    assert_eq!(snapshot.outcome.expect("decided").leap, Leap::Insert);
}

#[test]
fn however_short_cycles_are_nobody_is_left_out_before_it_could_answer_after_a_leap_second() {
    for poll in [16, 1] {
        let mut settings = settings(["a", "b", "c", "liar", "liar-2"].map(source).to_vec());
        settings.cycle = Span::from_secs(1);
        for source in &mut settings.sources {
            source.poll = Span::from_secs(poll);
        }
        let mut engine = Engine::new(settings, at(900));
        let says = |k: u64, end: i64| {
            let is_liar = k > 2;
            let lie = if is_liar {
                Span::from_secs(-5)
            } else {
                INSERTED
            };
            match end {
                ..998 => Some(told(end - 1, Span::ZERO, SAYS)),
                998..1_003 => None,
                // Some are asked only eight seconds after the silence.
                1_003..1_011 if !is_liar => None,
                _ => Some(told(end - 1, lie, Some(Leap::None))),
            }
        };
        run_each(&mut engine, 997, says);
        for end in 998..1_020 {
            match run_each(&mut engine, end, says).outcome {
                Ok(decision) => assert!(
                    decision.bound.lo <= theta() + INSERTED
                        && theta() + INSERTED <= decision.bound.hi,
                    "{decision:?} at {end}"
                ),
                Err(why) => assert!(
                    why == NoDecision::LeapSecond && end < 1_011 || why == NoDecision::NothingNew,
                    "{why} at {end}"
                ),
            }
        }
    }
}

#[test]
fn a_cycle_that_ends_near_an_announced_leap_second_decides_nothing_and_loses_nothing() {
    // Cycles of 16 s end at 992 and 1008; of 3 s, at 999.
    let mut settings = settings(NAMES.map(source).to_vec());
    settings.cycle = Span::from_secs(3);
    let mut engine = Engine::new(settings, at(900));
    let before = run(&mut engine, 996, Span::ZERO, [SAYS; 3]);
    let silent = engine.cycle(at(999)).expect("it is due");
    assert_eq!(silent.outcome, Err(NoDecision::LeapSecond));
    // What the sources said last is shown.
    for (view, said) in silent.sources.iter().zip(&before.sources) {
        assert!(said.reading.is_some());
        assert_eq!(view.reading, said.reading);
        assert_eq!(view.tally, Tally::Unusable(Unusable::NoMajority));
    }
    let after = run(&mut engine, 1_008, INSERTED, [None; 3]);
    assert_eq!(tallies(&after).matches(['*', '+']).count(), 3);
    // The rate is known as well as after a minute and a half, not as after two samples.
    let known = |snapshot: Snapshot| {
        let rates = snapshot.outcome.expect("decided").rates;
        rates.hi.as_ppb() - rates.lo.as_ppb()
    };
    let (before, after) = (known(before), known(after));
    assert!(after <= before, "{after} {before}");
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
    // Nor when it was.
    let mut engine = engine_of(&NAMES);
    run(&mut engine, 1_008, Span::ZERO, [SAYS; 3]);
    run(&mut engine, 1_024, INSERTED, [Some(Leap::None); 3]);
    assert!(engine.silence().is_some());
    engine.forget(at(1_025));
    assert_eq!(engine.silence(), None);
}

#[test]
fn who_falls_silent_with_a_leap_second_is_not_waited_for_for_long_however_often_it_was_asked() {
    let mut engine = engine_of(&NAMES);
    let says = |k: u64, end: i64| {
        let leapt = if end > COMES { INSERTED } else { Span::ZERO };
        (k < 2 || end < COMES).then(|| told(end - 4, leapt, SAYS.filter(|_| end < COMES)))
    };
    run_each(&mut engine, 992, says).outcome.expect("decided");
    let later = run_each(&mut engine, 1_088, says);
    assert!(later.outcome.is_ok(), "{:?}", later.outcome);
}

#[test]
fn a_leap_second_that_all_follow_is_no_reason_to_ask_more_often() {
    let mut settings = settings(NAMES.map(source).to_vec());
    for source in &mut settings.sources {
        source.max_poll = Span::from_secs(32);
    }
    let mut engine = Engine::new(settings, at(-2_000));
    engine.remember_rate(Prior {
        rate: Rate::from_ppb(0),
        sigma: Rate::from_ppb(100),
    });
    let says = |k: u64, end: i64| {
        let leapt = if end > COMES { INSERTED } else { Span::ZERO };
        // Whether it comes by a quick way or a slow one.
        let queue = Span::from_micros((end * 7_919 + k as i64 * 104_729) % 4_000);
        let Report::Sample(exchange) = told(end - 4, leapt, SAYS.filter(|_| end < COMES)) else {
            unreachable!("it is one");
        };
        let stamp = exchange.sent() + exchange.upper();
        let received = exchange.received() + queue;
        let late = Exchange::new(exchange.sent(), received, stamp, stamp, exchange.leap());
        Some(Report::Sample(late.expect("possible")))
    };
    let rare = |snapshot: &Snapshot| {
        let sources = snapshot.sources.iter();
        sources.filter(|source| source.poll > CYCLE).count()
    };
    assert_eq!(rare(&run_each(&mut engine, 976, says)), 3);
    for end in [992, 1_008, 1_024, 1_040] {
        assert_eq!(rare(&run_each(&mut engine, end, says)), 3, "{end}");
    }
}

#[test]
fn a_warning_is_for_one_midnight() {
    let mut engine = engine_of(&NAMES);
    let warned = run(&mut engine, 992, Span::ZERO, [SAYS; 3]);
    assert_eq!(warned.outcome.expect("decided").leap, Leap::Insert);
    engine.forget(at(993));
    // A year of sleep later it is the last day of December again, of which nobody can tell anything.
    let year = 365 * 86_400;
    for k in 0..3 {
        engine.report(SourceId(k), told(year + 890, INSERTED, None));
    }
    let snapshot = engine.cycle(at(year + 896)).expect("it is due");
    assert_eq!(snapshot.outcome.expect("decided").leap, Leap::None);
}

/// What comes of samples from before midnight, alone, at the end of the cycle in which it is.
fn decided_from_before(engine: &mut Engine, leap: [Option<Leap>; 3]) -> bool {
    for (k, leap) in (0..).zip(leap) {
        engine.report(SourceId(k), told(995, Span::ZERO, leap));
    }
    match engine.cycle(at(1_008)).expect("it is due").outcome {
        Ok(_) => true,
        Err(why) => {
            assert_eq!(why, NoDecision::LeapSecond);
            false
        }
    }
}

#[test]
fn where_nothing_was_decided_before_whoever_spoke_of_a_leap_second_makes_it_doubtful() {
    let started = || Engine::new(settings(NAMES.map(source).to_vec()), at(993));
    assert!(decided_from_before(&mut started(), [None; 3]));
    assert!(!decided_from_before(&mut started(), [SAYS, None, None]));
    let mut listed = started();
    listed.know_leap_seconds(Some(LIST));
    assert!(!decided_from_before(&mut listed, [None; 3]));
    // What was warned of before history was dropped, by nobody any more.
    let mut slept = engine_of(&NAMES);
    run(&mut slept, 992, Span::ZERO, [SAYS; 3]);
    slept.forget(at(993));
    assert!(!decided_from_before(&mut slept, [None; 3]));
    let mut taken_back = engine_of(&NAMES);
    run(&mut taken_back, 976, Span::ZERO, [SAYS; 3]);
    run(&mut taken_back, 992, Span::ZERO, [Some(Leap::None); 3]);
    taken_back.forget(at(993));
    assert!(decided_from_before(&mut taken_back, [None; 3]));
    // Who decided before knew that none was to come.
    let mut awake = engine_of(&NAMES);
    run(&mut awake, 992, Span::ZERO, [None; 3]);
    assert!(decided_from_before(&mut awake, [SAYS, None, None]));
    // But not who has decided nothing for more than an hour.
    let mut cut_off = Engine::new(settings(NAMES.map(source).to_vec()), at(-5_000));
    run(&mut cut_off, -4_000, Span::ZERO, [None; 3]);
    assert!(!decided_from_before(&mut cut_off, [SAYS, None, None]));
    // One that remembers is enough.
    let mut some = started();
    for (k, asked, leapt) in [
        (0, 995, Span::ZERO),
        (1, 1_006, INSERTED),
        (2, 1_006, INSERTED),
    ] {
        some.report(SourceId(k), told(asked, leapt, SAYS.filter(|_| k == 0)));
    }
    let outcome = some.cycle(at(1_008)).expect("it is due").outcome;
    assert_eq!(outcome, Err(NoDecision::LeapSecond));
    // Nothing is from before it.
    let mut late = Engine::new(settings(NAMES.map(source).to_vec()), at(1_004));
    late.know_leap_seconds(Some(LIST));
    let after = run(&mut late, 1_008, INSERTED, [None; 3]);
    assert!(after.outcome.is_ok(), "it is past");
}

#[test]
fn a_midnight_that_was_doubtful_is_not_so_again_by_what_came_after_the_doubt() {
    let mut settings = settings(NAMES.map(source).to_vec());
    settings.cycle = Span::from_secs(4);
    let mut engine = Engine::new(settings, at(993));
    engine.know_leap_seconds(Some(LIST));
    let says = [Some(Leap::None); 3];
    let mut cycle = |end, asked, leapt| {
        for (k, leap) in (0..).zip(says) {
            engine.report(SourceId(k), told(asked, leapt, leap));
        }
        engine.cycle(at(end)).expect("it is due").outcome
    };
    // The servers contradict the list.
    assert_eq!(cycle(996, 995, Span::ZERO), Err(NoDecision::LeapSecond));
    assert_eq!(cycle(1_000, 997, Span::ZERO), Err(NoDecision::LeapSecond));
    // By θ after it, midnight was a second later.
    assert!(cycle(1_004, 1_003, INSERTED).is_ok());
}
