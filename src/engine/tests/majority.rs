//! Who is believed by whom: how many must agree, and what becomes of those that do not.

use super::*;

#[test]
fn a_source_wrong_by_a_second_is_a_falseticker_and_moves_nothing() {
    let mut with_liar = engine_of(&["a", "b", "c", "liar"]);
    let mut without = engine_of(&["a", "b", "c"]);
    for cycle in 1..20 {
        let honest = cycle_with(&mut without, cycle * 16, &[25, 26, 24]);
        let all = cycle_with(&mut with_liar, cycle * 16, &[25, 26, 24, 1_025]);
        assert_eq!(tallies(&all).chars().nth(3), Some('x'));
        let Some(Reason::OffTheMajority { by }) = all.sources[3].reason else {
            panic!("{:?}", all.sources[3]);
        };
        assert!((by - Span::from_secs(1)).abs() < Span::from_millis(5));
        let (all, honest) = (
            all.outcome.expect("decided"),
            honest.outcome.expect("decided"),
        );
        assert_eq!(all.theta, honest.theta);
    }
}

#[test]
fn two_that_contradict_each_other_decide_nothing() {
    let mut engine = engine_of(&["a", "b"]);
    let snapshot = cycle_with(&mut engine, 16, &[0, 500]);
    assert_eq!(snapshot.outcome, Err(NoDecision::NoMajority { votes: 2 }));
    assert_eq!(tallies(&snapshot), "??");
}

#[test]
fn one_of_three_alone_is_too_few() {
    let mut engine = engine_of(&["a", "b", "c"]);
    let snapshot = cycle_with(&mut engine, 16, &[0]);
    assert_eq!(
        snapshot.outcome,
        Err(NoDecision::TooFewAgreeing {
            agreeing: 1,
            needed: 2
        })
    );
}

#[test]
fn as_many_operators_must_agree_as_asked_for() {
    for (asked, enough) in [(None, true), (Some(2), true), (Some(3), false)] {
        let mut settings = settings(["a", "b", "c"].map(source).to_vec());
        settings.min_agreeing = asked;
        let mut engine = Engine::new(settings, at(1));
        let snapshot = cycle_with(&mut engine, 16, &[0, 0]);
        assert_eq!(snapshot.outcome.is_ok(), enough, "{asked:?}");
        let reason = (!enough).then_some(Reason::Undecided);
        assert_eq!(snapshot.sources[1].reason, reason);
    }
}

#[test]
fn who_is_only_measured_does_not_count_for_how_many_must_agree() {
    let mut sources = ["a", "b", "c"].map(source).to_vec();
    sources[2].noselect = true;
    let snapshot = cycle_with(&mut engine(sources), 16, &[0]);
    assert!(snapshot.outcome.is_ok(), "one of two operators is enough");
}

#[test]
fn two_sources_of_one_operator_are_one_witness() {
    let mut sources = vec![source("a"), source("b"), source("c"), source("d")];
    sources[1].operator = "a".into();
    let mut engine = engine(sources);
    let snapshot = cycle_with(&mut engine, 16, &[0, 0]);
    assert_eq!(
        snapshot.outcome,
        Err(NoDecision::TooFewAgreeing {
            agreeing: 1,
            needed: 2
        })
    );
}

#[test]
fn a_majority_that_holds_two_times_at_once_is_not_believed() {
    let mut sources = vec![source("a"), source("also-a"), source("b"), source("c")];
    sources[1].operator = "a".into();
    let mut engine = engine(sources);
    let snapshot = cycle_with(&mut engine, 16, &[0, 5_000, 0, 5_000]);
    assert!(
        matches!(snapshot.outcome, Err(NoDecision::TooUncertain { .. })),
        "{:?}",
        snapshot.outcome
    );
}

#[test]
fn a_falseticker_that_tells_the_time_again_is_heard_at_once() {
    let mut engine = engine_of(&["a", "b", "c"]);
    for cycle in 1..10 {
        cycle_with(&mut engine, 16 * cycle, &[0; 3]);
    }
    let wrong = cycle_with(&mut engine, 160, &[0, 0, 1_000]);
    assert!(tallies(&wrong).ends_with('x'), "{}", tallies(&wrong));
    let right = cycle_with(&mut engine, 176, &[0; 3]);
    assert!(right.sources[2].tally.survives(), "{}", tallies(&right));
}

#[test]
fn a_noselect_source_is_measured_only() {
    let mut sources = vec![source("a"), source("watched")];
    sources[1].noselect = true;
    let mut engine = engine(sources);
    let snapshot = cycle_with(&mut engine, 16, &[0, 900]);
    assert_eq!(tallies(&snapshot), "*?");
    assert!(snapshot.outcome.is_ok());
    assert!(snapshot.sources[1].reading.is_some());
}
