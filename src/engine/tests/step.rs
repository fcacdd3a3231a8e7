//! When the raw clock steps, or only a server does: by the polls that the engine wishes for, which may be long.

use super::*;

/// How far θ steps (milliseconds).
const STEP: i64 = 500;

/// Sources of an operator each, in calm times.
struct Rig {
    engine: Engine,
    /// End of the last cycle (seconds).
    end: i64,
    random: u64,
}

impl Rig {
    fn new(count: usize, max_poll: i64) -> Self {
        let names = (0..count).map(|k| k.to_string());
        let sources = names.map(|name| SourceSettings {
            max_poll: Span::from_secs(max_poll),
            ..source(&name)
        });
        Self {
            engine: engine(sources.collect()),
            end: 0,
            random: 7,
        }
    }

    /// Until all are asked as rarely as they may be.
    fn rare(count: usize) -> Self {
        let mut rig = Self::new(count, 64);
        rig.engine.remember_rate(Prior {
            rate: Rate::from_ppb(0),
            sigma: Rate::from_ppb(100),
        });
        let is_rare = |snapshot: &Snapshot| snapshot.sources.iter().all(is_rare);
        assert!(
            (0..1_000).any(|_| is_rare(&rig.cycle(|_, _| 0))),
            "polls grow"
        );
        rig
    }

    /// One more cycle, in which those that have their turn say what `theta_ms` makes of their number and the second.
    fn cycle(&mut self, theta_ms: impl Fn(usize, i64) -> i64) -> Snapshot {
        let begin = self.end;
        self.end += 16;
        let turns: Vec<_> = self.engine.turns().collect();
        for (k, (id, turns)) in turns.iter().enumerate() {
            let into = at(begin) - at(0) - turns.from;
            if turns.poll <= CYCLE || into.as_nanos().rem_euclid(turns.poll.as_nanos()) == 0 {
                let second = self.second(k);
                let (up, down) = (self.way(), self.way());
                let sent = at(second) - up - down;
                let theta = Theta::from_nanos(theta_ms(k, second) * 1_000_000);
                let stamp = sent + theta + up;
                let exchange = Exchange::new(sent, at(second), stamp, stamp, None);
                let report = Report::Sample(exchange.expect("possible"));
                self.engine.report(*id, report);
            }
        }
        self.engine.cycle(at(self.end)).expect("a cycle ends")
    }

    /// When a source has its turn in the last cycle, if it has one.
    fn second(&self, k: usize) -> i64 {
        self.end - 14 + 12 * k as i64 / self.engine.sources.len() as i64
    }

    /// 40 ms, and up to 20 ms more.
    fn way(&mut self) -> Span {
        // The constants of Knuth's MMIX.
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005);
        self.random = self.random.wrapping_add(1_442_695_040_888_963_407);
        Span::from_micros(40_000 + (self.random >> 33) as i64 % 20_000)
    }
}

fn is_rare(source: &SourceView) -> bool {
    source.poll == Span::from_secs(64)
}

fn has_stepped(snapshot: &Snapshot) -> bool {
    matches!(snapshot.outcome, Err(NoDecision::Stepped { .. }))
}

#[test]
fn a_step_that_sources_asked_rarely_show_one_after_the_other_is_noticed_in_the_second_cycle() {
    for count in [4, 5, 8] {
        let mut rig = Rig::rare(count);
        let first = rig.cycle(|_, _| STEP);
        assert_eq!(first.outcome, Err(NoDecision::NothingNew));
        let second = rig.cycle(|_, _| STEP);
        assert_eq!(
            second.outcome,
            Err(NoDecision::Stepped { operators: count })
        );
        let after = rig.cycle(|_, _| STEP).outcome.expect("decided");
        let truth = Theta::from_nanos(STEP * 1_000_000);
        assert!(after.error_at(after.at) >= (after.theta - truth).abs());
        assert!((0..100).all(|_| rig.cycle(|_, _| STEP).outcome.is_ok()));
    }
}

#[test]
fn a_step_in_the_midst_of_a_cycle_is_noticed_at_the_end_of_the_next() {
    let mut rig = Rig::new(4, 16);
    for _ in 0..8 {
        assert!(rig.cycle(|_, _| 0).outcome.is_ok());
    }
    let midst = rig.end + 7;
    let theta = |_, second| if second < midst { 0 } else { STEP };
    assert!(!has_stepped(&rig.cycle(theta)), "two of four");
    assert!(has_stepped(&rig.cycle(theta)));
}

#[test]
fn sources_that_step_one_after_the_other_do_not_step_together() {
    let mut rig = Rig::new(3, 16);
    let steps = [16 * 8, 16 * 10, 16 * 12];
    let theta = |k: usize, second| if second < steps[k] { 0 } else { STEP };
    for _ in 0..20 {
        let snapshot = rig.cycle(theta);
        assert!(!has_stepped(&snapshot), "at {} s", rig.end);
    }
}

#[test]
fn a_source_that_is_alone_and_steps_is_believed_anew_and_is_no_step_of_the_clock() {
    let mut engine = engine_of(&["only"]);
    for cycle in 1..10 {
        cycle_with(&mut engine, 16 * cycle, &[0]);
    }
    let stepped = cycle_with(&mut engine, 160, &[STEP]);
    assert!(stepped.sources[0].reading.expect("asked").misfits > 0);
    assert!(stepped.outcome.is_ok(), "{:?}", stepped.outcome);
}

#[test]
fn an_operator_steps_when_all_its_sources_do() {
    let mut rig = Rig::new(4, 16);
    rig.engine.settings.sources[1].operator = "0".into();
    for _ in 0..8 {
        assert!(rig.cycle(|_, _| 0).outcome.is_ok());
    }
    // One of two sources, and one of the two other operators.
    let theta = |k: usize, _: i64| if [0, 2].contains(&k) { STEP } else { 0 };
    for _ in 0..3 {
        assert!(!has_stepped(&rig.cycle(theta)));
    }
}

#[test]
fn a_change_that_costs_only_the_oldest_history_is_no_step() {
    let mut rig = Rig::new(3, 16);
    // By 200 ppm from 1600 s on: more than an oscillator does, and not at once.
    let theta = |_, second: i64| (second - 1_600).max(0) / 5;
    let mut misfits = 0;
    for _ in 0..300 {
        let snapshot = rig.cycle(theta);
        assert!(!has_stepped(&snapshot), "at {} s", rig.end);
        let views = snapshot.sources.iter();
        misfits += views
            .filter(|view| view.reading.expect("asked").misfits > 0)
            .count();
    }
    assert!(misfits > 0);
}

#[test]
fn who_steps_alone_has_the_others_heard_once_and_no_more_however_often_it_steps() {
    for steps in [0, 4] {
        let mut rig = Rig::rare(5);
        let theta = |k, second: i64| {
            if k == steps { second * 777 % 10_000 } else { 0 }
        };
        let mut polls = Vec::new();
        for _ in 0..200 {
            let mut snapshot = rig.cycle(theta);
            assert!(!has_stepped(&snapshot));
            snapshot.sources.remove(steps);
            let honest = &snapshot.sources;
            assert!(
                honest
                    .iter()
                    .all(|view| view.reading.expect("asked").misfits == 0)
            );
            polls.push(honest.iter().filter(|source| is_rare(source)).count());
        }
        assert!(polls[..4].contains(&0), "all are heard: {polls:?}");
        assert!(polls[4..].contains(&4), "and left alone again: {polls:?}");
    }
}

#[test]
fn who_is_only_measured_and_steps_has_nobody_heard() {
    let mut rig = Rig::rare(5);
    rig.engine.settings.sources[4].noselect = true;
    let theta = |k: usize, _: i64| if k == 4 { STEP } else { 0 };
    for _ in 0..8 {
        let snapshot = rig.cycle(theta);
        let rare = snapshot.sources[..4].iter().filter(|it| is_rare(it));
        assert_eq!(rare.count(), 4, "at {} s", rig.end);
    }
}

#[test]
fn what_the_rate_was_before_a_step_is_not_learned() {
    // 40 ppm.
    let theta_ms = |second: i64| second / 25;
    for is_step in [false, true] {
        let mut engine = engine_of(&["a", "b", "c"]);
        let last = (1..200).map(|cycle| {
            let theta = theta_ms(16 * cycle);
            cycle_with(&mut engine, 16 * cycle, &[theta; 3])
        });
        assert!(last.last().expect("some").outcome.is_ok());
        if is_step {
            assert!(has_stepped(&cycle_with(&mut engine, 3_200, &[5_000; 3])));
        }
        engine.forget(at(3_201));
        let after = cycle_with(&mut engine, 3_216, &[5_000; 3]);
        let rate = after.outcome.expect("decided").rate;
        let expected = if is_step { 0 } else { 40_000 };
        assert!((rate.as_ppb() - expected).abs() < 100, "{rate:?}");
    }
}
