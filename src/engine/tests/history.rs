//! What is kept of the past, and what goes: with other settings, after a break, when most sources step.

use super::*;

#[test]
fn sources_that_stay_keep_their_history_when_the_settings_change() {
    let mut engine = engine_of(&["a", "b", "c"]);
    cycle_with(&mut engine, 16, &[0, 0, 0]);
    let mut changed = settings(vec![source("c"), source("new"), source("a")]);
    changed.cycle = Span::from_secs(10);
    for (source, id) in changed.sources.iter_mut().zip([2, 7, 0]) {
        source.id = SourceId(id);
    }
    engine.reconfigure(changed, at(17));
    assert_eq!(engine.next_cycle(), at(20));
    let snapshot = engine.cycle(at(20)).expect("a cycle ends");
    let heard: Vec<bool> = snapshot
        .sources
        .iter()
        .map(|source| source.reading.is_some())
        .collect();
    assert_eq!(heard, [true, false, true]);
    assert_eq!(
        snapshot
            .sources
            .iter()
            .map(|source| source.reach)
            .collect::<Vec<_>>(),
        [1, 0, 1]
    );
    engine.report(SourceId(1), sample(21, 0));
    assert_eq!(
        engine.cycle(at(30)).expect("ends").sources[1].reach,
        0,
        "the source that went is not heard"
    );
}

#[test]
fn what_was_measured_before_a_break_is_forgotten_and_what_began_before_it_not_taken() {
    let mut engine = engine_of(&["only"]);
    cycle_with(&mut engine, 16, &[0]);
    engine.forget(at(20));
    engine.report(SourceId(0), sample(20, 0));
    assert_eq!(
        engine.cycle(at(32)).expect("ends").outcome,
        Err(NoDecision::NoCandidates)
    );
    engine.report(SourceId(0), sample(33, 5_000));
    let decision = engine
        .cycle(at(48))
        .expect("ends")
        .outcome
        .expect("decided");
    assert!(
        decision.bound.lo > Theta::from_nanos(4_900_000_000),
        "{decision:?}"
    );
}

#[test]
fn when_most_sources_step_together_all_history_goes() {
    let mut engine = engine_of(&["a", "b", "c"]);
    for cycle in 1..4 {
        assert!(
            cycle_with(&mut engine, cycle * 16, &[0, 0, 0])
                .outcome
                .is_ok()
        );
    }
    let stepped = cycle_with(&mut engine, 64, &[900, 900, 0]);
    assert_eq!(stepped.outcome, Err(NoDecision::Stepped { operators: 2 }));
    let after = engine.cycle(at(80)).expect("a cycle ends");
    assert!(after.sources.iter().all(|source| source.reading.is_none()));
    assert!(
        cycle_with(&mut engine, 96, &[900, 900, 900])
            .outcome
            .is_ok()
    );
}

#[test]
fn neither_one_operator_nor_who_is_only_measured_can_make_all_history_go() {
    let of_liar = |name: &str| SourceSettings {
        operator: "liar".into(),
        ..source(name)
    };
    let watched = |name: &str| SourceSettings {
        noselect: true,
        ..source(name)
    };
    for crowd in [of_liar as fn(&str) -> SourceSettings, watched] {
        let mut engine = engine(vec![
            source("a"),
            source("b"),
            crowd("x"),
            crowd("y"),
            crowd("z"),
        ]);
        for cycle in 1..9 {
            let jump = cycle % 2 * 5_000;
            let snapshot = cycle_with(&mut engine, cycle * 16, &[0, 0, jump, jump, jump]);
            assert!(snapshot.outcome.is_ok(), "{:?}", snapshot.outcome);
        }
    }
}

#[test]
fn a_cycle_that_is_due_is_not_lost_to_new_settings() {
    let mut engine = engine_of(&["only"]);
    engine.report(SourceId(0), sample(12, 0));
    engine.reconfigure(
        settings(vec![source("only")]),
        at(16) + Span::from_millis(1),
    );
    assert!(
        engine
            .cycle(at(16) + Span::from_millis(2))
            .expect("it is due")
            .outcome
            .is_ok()
    );
}

#[test]
fn one_source_that_steps_alone_costs_only_its_own_history() {
    let mut engine = engine_of(&["a", "b", "c"]);
    cycle_with(&mut engine, 16, &[0, 0, 0]);
    let snapshot = cycle_with(&mut engine, 32, &[0, 900, 0]);
    assert_eq!(tallies(&snapshot).chars().nth(1), Some('x'));
    assert!(snapshot.outcome.is_ok());
}

#[test]
fn a_rate_that_is_known_guides_the_estimates_also_after_a_break_and_never_the_bound() {
    let known = Prior {
        rate: Rate::from_ppm(40),
        sigma: Rate::from_ppm(1),
    };
    let (mut informed, mut ignorant) = (engine_of(&["only"]), engine_of(&["only"]));
    informed.remember_rate(known);
    for second in [16, 32, 3_216] {
        if second > 3_000 {
            informed.forget(at(3_200));
            ignorant.forget(at(3_200));
        }
        let [with, without] = [&mut informed, &mut ignorant].map(|engine| {
            cycle_with(engine, second, &[25])
                .outcome
                .expect("a decision")
        });
        assert_eq!((with.bound, with.rates), (without.bound, without.rates));
        assert!((with.rate.as_ppb() - 40_000).abs() < 1_000, "{with:?}");
        assert!(without.rate.as_ppb().abs() < 1_000, "{without:?}");
    }
}
