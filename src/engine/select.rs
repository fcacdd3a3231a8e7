//! Selection of truechimers (RFC 5905 §11.2.1), over bounds of offset and of rate instead of correctness intervals, one vote for
//! each operator.
//!
//! Candidates go in; the truechimers, the falsetickers, and the bound that may be published come out, or no majority.
//! Estimates play no part here.

use super::bound::{Bound, Interval, MAX_RATE};
use super::reason::{self, Reason};
use super::time::{Rate, Span};
use std::collections::{BTreeMap, BTreeSet};

/// How far a coarse source's bound is widened either way before it votes: a server that rounds its seconds, and does
/// not tell, is off by half of one.
pub const COARSE_MARGIN: Span = Span::from_millis(500);

/// A source that takes part in a selection.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Who runs it; all candidates of one operator have one vote.
    pub operator: &'a str,
    /// What it says θ is.
    pub bound: Bound,
    /// How fast it says that θ changes.
    pub rates: Interval<Rate>,
    /// Whether it tells whole seconds only.
    pub coarse: bool,
    /// Whether it was found to creep.
    pub doubted: bool,
}

/// What the majority holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// For each candidate, why it is a falseticker; none if it is a truechimer.
    pub objections: Vec<Option<Reason>>,
    /// How many operators have a truechimer.
    pub agreeing: usize,
    /// What θ may be as long as the majority of operators is honest, whatever the others say.
    pub bound: Bound,
    /// How fast it may change, likewise; none if not even a majority of ranges has a rate in common. Whole seconds say nothing of it
    /// beside finer ones, unless there are at least as many of them.
    pub rates: Option<Interval<Rate>>,
}

/// Finds the majority; `None` when no more than half of the votes have a point in common, or when there are two that contradict each
/// other.
///
/// There is one oscillator, and every honest source sees the same rate of it: whose range of rates has nothing in common with what
/// the majority allows is no truechimer, wherever its bound lies.
///
/// Where the majority is decides on the estimate, and a few that creep together find company in it among those who know the time
/// less well, one more of these at a time. So those that are doubted are not asked as long as the others are the majority and find
/// one among themselves; if they do not, they are no judges of anybody, and all are asked. The bound is what is proven, by all votes:
/// a doubt proves nothing.
pub fn select(candidates: &[Candidate]) -> Option<Selection> {
    let all: Vec<&Candidate> = candidates.iter().collect();
    let mut unsuspected = all.clone();
    unsuspected.retain(|candidate| !candidate.doubted);
    let is_majority = 2 * operators(&unsuspected) > operators(&all);
    let without_doubt = is_majority.then(|| select_by(&unsuspected, &all));
    without_doubt.flatten().or_else(|| select_by(&all, &all))
}

/// What follows when the majority of all `candidates` is that of `asked`.
fn select_by<'a>(
    asked: &[&'a Candidate<'a>],
    candidates: &[&'a Candidate<'a>],
) -> Option<Selection> {
    let bounds = votes(candidates, Candidate::voting_bound);
    let majority = majority_of(asked, bounds.len())?;
    let rates = of_honest_majority(&votes(candidates, Candidate::voting_rates));
    let objections: Vec<Option<Reason>> = candidates
        .iter()
        .map(|candidate| candidate.objection(&majority, rates.as_ref()))
        .collect();
    let agreeing: BTreeSet<_> = candidates
        .iter()
        .zip(&objections)
        .filter_map(|(candidate, objection)| objection.is_none().then_some(candidate.operator))
        .collect();
    // Some may contradict the majority by their bounds and others by their rates.
    if 2 * agreeing.len() <= bounds.len() {
        return None;
    }
    let coarse: Vec<_> = candidates.iter().copied().filter(|it| it.coarse).collect();
    let mostly_coarse = 2 * operators(&coarse) >= bounds.len();
    Some(Selection {
        objections,
        agreeing: agreeing.len(),
        bound: of_honest_majority(&bounds)?,
        rates: if mostly_coarse {
            of_honest_majority(&votes(candidates, |candidate| candidate.rates))
        } else {
            rates
        },
    })
}

/// Where the majority of `asked` is.
///
/// Web servers vote a second wide, since some round their seconds. So they may give a majority to a few precise sources that lie, though
/// by what they tell without that margin they contradict these. Where the precise ones are at odds and the two ways to count convict
/// different ones, that without a margin holds if it has more than half of all `operators` and no fewer of the precise ones than not;
/// otherwise nobody knows: the servers may be those that round.
fn majority_of<'a>(asked: &[&'a Candidate<'a>], operators: usize) -> Option<Bound> {
    let wide = majority(&votes(asked, Candidate::voting_bound))?;
    let told = votes(asked, |candidate| candidate.bound);
    let mut counts = (operators / 2 + 1..=told.len()).rev();
    let Some(narrow) = counts.find_map(|count| held_by(&told, count)) else {
        return Some(wide);
    };
    let mut precise = asked.to_vec();
    precise.retain(|candidate| !candidate.coarse);
    let bounds = || precise.iter().map(|candidate| candidate.bound);
    let is_in = |bound: &Bound| bounds().any(|precise| precise.overlaps(bound));
    let at_odds = bounds().any(|one| bounds().any(|other| !one.overlaps(&other)));
    let alike = bounds().all(|precise| precise.overlaps(&wide) == precise.overlaps(&narrow));
    if !is_in(&narrow) || !at_odds || alike {
        return Some(wide);
    }
    let precise = votes(&precise, |candidate| candidate.bound);
    let supporters = precise.iter().filter(|vote| vote.overlaps(&narrow)).count();
    (2 * supporters >= precise.len()).then_some(narrow)
}

impl Candidate<'_> {
    /// Why it is a falseticker, if it is one: what it says has nothing in common with what the majority holds of θ, or of the rate.
    fn objection(&self, majority: &Bound, rates: Option<&Interval<Rate>>) -> Option<Reason> {
        if !self.voting_bound().overlaps(majority) {
            let by = reason::ahead(&self.bound, majority);
            return Some(Reason::OffTheMajority { by });
        }
        let excluding = rates.filter(|rates| !rates.overlaps(&self.voting_rates()))?;
        let by = reason::faster(&self.rates, excluding);
        Some(Reason::OffTheirRate { by })
    }

    fn voting_bound(&self) -> Bound {
        if self.coarse {
            self.bound.widened(COARSE_MARGIN)
        } else {
            self.bound
        }
    }

    /// What a server rounds may change from reply to reply, so whole seconds say nothing of the rate that could convict anybody.
    fn voting_rates(&self) -> Interval<Rate> {
        if self.coarse {
            Interval {
                lo: Rate::from_ppt(-MAX_RATE.as_ppt()),
                hi: MAX_RATE,
            }
        } else {
            self.rates
        }
    }
}

/// One vote: a union of intervals, in order, that do not touch.
#[derive(Clone, Debug, Default)]
struct Vote<T>(Vec<Interval<T>>);

impl<T: Ord + Copy> Vote<T> {
    /// The union of `intervals`.
    fn union(mut intervals: Vec<Interval<T>>) -> Self {
        intervals.sort_by_key(|interval| interval.lo);
        let mut merged: Vec<Interval<T>> = Vec::with_capacity(intervals.len());
        for interval in intervals {
            match merged.last_mut() {
                Some(last) if interval.lo <= last.hi => last.hi = last.hi.max(interval.hi),
                _ => merged.push(interval),
            }
        }
        Self(merged)
    }

    fn overlaps(&self, other: &Interval<T>) -> bool {
        self.0.iter().any(|interval| interval.overlaps(other))
    }
}

/// How many operators these are of.
fn operators(candidates: &[&Candidate]) -> usize {
    let operators: BTreeSet<_> = candidates.iter().map(|it| it.operator).collect();
    operators.len()
}

/// What the operators say, each by all that it runs.
fn votes<'a, T: Ord + Copy>(
    candidates: &[&'a Candidate<'a>],
    said: impl Fn(&'a Candidate<'a>) -> Interval<T>,
) -> Vec<Vote<T>> {
    let mut by_operator: BTreeMap<&str, Vec<Interval<T>>> = BTreeMap::new();
    for candidate in candidates {
        let intervals = by_operator.entry(candidate.operator).or_default();
        intervals.push(said(candidate));
    }
    by_operator.into_values().map(Vote::union).collect()
}

/// RFC 5905 §11.2.1: the span of the points that n − f votes have in common, for the least f below n/2 for which there
/// are such points.
fn majority<T: Ord + Copy>(votes: &[Vote<T>]) -> Option<Interval<T>> {
    let n = votes.len();
    (0..n.div_ceil(2)).find_map(|f| held_by(votes, n - f))
}

/// The span of all points that lie in at least n − F votes, F = ⌊(n − 1) / 2⌋ being the most that can lie while the
/// honest ones are the majority. The truth is in all honest votes, so it is in this span.
///
/// The survivors' intersection would be narrower, but one liar inside the others' bounds can push that off the truth.
fn of_honest_majority<T: Ord + Copy>(votes: &[Vote<T>]) -> Option<Interval<T>> {
    let n = votes.len();
    held_by(votes, n - n.saturating_sub(1) / 2)
}

/// The span of all points that lie in at least `least` votes, `least` ≥ 1.
fn held_by<T: Ord + Copy>(votes: &[Vote<T>], least: usize) -> Option<Interval<T>> {
    // Intervals are closed: where one ends and another begins, the beginning comes first.
    let mut edges: Vec<(T, bool)> = votes
        .iter()
        .flat_map(|vote| &vote.0)
        .flat_map(|interval| [(interval.lo, false), (interval.hi, true)])
        .collect();
    edges.sort_unstable();
    let mut held = 0;
    let mut span: Option<Interval<T>> = None;
    for (at, ends) in edges {
        if ends {
            if held == least
                && let Some(span) = &mut span
            {
                span.hi = at;
            }
            held -= 1;
        } else {
            held += 1;
            if held == least {
                span.get_or_insert(Interval { lo: at, hi: at });
            }
        }
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Theta;
    use proptest::prelude::*;

    impl Selection {
        fn truechimers(&self) -> Vec<bool> {
            self.objections.iter().map(Option::is_none).collect()
        }
    }

    fn ms(lo: i64, hi: i64) -> Bound {
        let at = |ms: i64| Theta::from_nanos(ms * 1_000_000);
        Bound {
            lo: at(lo),
            hi: at(hi),
        }
    }

    fn ppm(lo: i64, hi: i64) -> Interval<Rate> {
        Interval {
            lo: Rate::from_ppm(lo),
            hi: Rate::from_ppm(hi),
        }
    }

    fn candidate(operator: &str, lo: i64, hi: i64) -> Candidate<'_> {
        Candidate {
            operator,
            bound: ms(lo, hi),
            rates: ppm(-500, 500),
            coarse: false,
            doubted: false,
        }
    }

    /// Candidates of an operator each.
    fn each(bounds: &[(i64, i64)]) -> Option<Selection> {
        let names: Vec<String> = (0..bounds.len()).map(|k| k.to_string()).collect();
        let candidates: Vec<_> = bounds
            .iter()
            .zip(&names)
            .map(|(&(lo, hi), name)| candidate(name, lo, hi))
            .collect();
        select(&candidates)
    }

    #[test]
    fn the_bound_spans_whatever_two_of_three_hold() {
        let selection = each(&[(0, 10), (2, 12), (11, 20)]).expect("a majority");
        assert_eq!(selection.bound, ms(2, 12));
        assert_eq!(selection.truechimers(), [true, true, true]);
    }

    #[test]
    fn disjoint_pairs_of_three_give_the_span_of_both() {
        let selection = each(&[(0, 10), (-5, 2), (8, 9)]).expect("a majority");
        assert_eq!(selection.bound, ms(0, 9));
        assert_eq!(selection.truechimers(), [true, true, true]);
    }

    #[test]
    fn falseticker_outside_the_majority_interval_is_dropped() {
        let selection = each(&[(0, 10), (1_000, 1_010), (2, 12), (-1, 8)]).expect("a majority");
        assert_eq!(selection.truechimers(), [true, false, true, true]);
        assert_eq!(selection.agreeing, 3);
        // Three of four hold 2 … 8 ms.
        let by = Span::from_millis(1_000);
        assert_eq!(selection.objections[1], Some(Reason::OffTheMajority { by }));
        // Four votes, one may lie: three hold 2 … 8 only.
        assert_eq!(selection.bound, ms(2, 8));
    }

    #[test]
    fn whose_rate_the_majority_excludes_is_a_falseticker_wherever_its_bound_lies() {
        let with = |operator, lo, hi| Candidate {
            rates: ppm(lo, hi),
            ..candidate(operator, 0, 10)
        };
        let (a, b, creeping) = (with("a", -2, 3), with("b", 1, 4), with("c", 12, 30));
        let selection = select(&[a, b, creeping]).expect("two of three");
        assert_eq!(selection.truechimers(), [true, true, false]);
        assert_eq!((selection.agreeing, selection.bound), (2, ms(0, 10)));
        // Two of three allow 1 … 3 ppm; its middle is 21 ppm.
        let by = Rate::from_ppm(19);
        assert_eq!(selection.objections[2], Some(Reason::OffTheirRate { by }));
        // One word against another.
        let selection = select(&[a, creeping]).expect("the bounds overlap");
        assert_eq!(selection.truechimers(), [true, true]);
        // Whole seconds neither convict nor are convicted by their rate.
        let coarse = |candidate| Candidate {
            coarse: true,
            ..candidate
        };
        let selection = select(&[coarse(a), coarse(b), creeping]).expect("all");
        assert_eq!(selection.truechimers(), [true; 3]);
        let selection = select(&[a, b, coarse(creeping)]).expect("all");
        assert_eq!(selection.truechimers(), [true; 3]);
    }

    #[test]
    fn web_servers_give_no_majority_to_precise_liars_whom_they_contradict() {
        let web = |operator, lo, hi| Candidate {
            coarse: true,
            ..candidate(operator, lo, hi)
        };
        let (a, b) = (candidate("a", -5, 5), candidate("b", -5, 5));
        let (x, y) = (candidate("x", 295, 305), candidate("y", 295, 305));
        let (v, w) = (web("v", -20, 20), web("w", -20, 20));
        // A margin of half a second makes the liars as many as the others, or more.
        let selection = select(&[a, b, x, y, v, w]).expect("four of six");
        let expected = [true, true, false, false, true, true];
        assert_eq!(selection.truechimers(), expected);
        let selection = select(&[a, x, v, w]).expect("three of four");
        assert_eq!(selection.truechimers(), [true, false, true, true]);
        let z = candidate("z", 295, 305);
        assert_eq!(select(&[a, b, x, y, z, v, w]), None);
        let selection = select(&[a, b, x, v, w]).expect("four of five");
        assert_eq!(selection.truechimers(), [true, true, false, true, true]);
        // Most of the precise ones may be where the web servers are.
        let vague = candidate("vague", -400, 400);
        let selection = select(&[a, b, vague, x, y, v, w]).expect("five of seven");
        let expected = [true, true, true, false, false, true, true];
        assert_eq!(selection.truechimers(), expected);
        // Who does not know yet where its second begins contradicts nobody.
        let (v, w) = (web("v", -900, 900), web("w", -900, 900));
        assert!(select(&[a, b, x, y, v, w]).is_some());
    }

    #[test]
    fn web_servers_overrule_the_precise_ones_only_if_more_than_half_of_all_say_so() {
        let web = |operator, lo, hi| Candidate {
            coarse: true,
            ..candidate(operator, lo, hi)
        };
        let (a, x) = (candidate("a", 0, 10), candidate("x", 300, 310));
        // The one that is found to be wrong stands with half of all.
        let all = [a, x, web("v", 0, 10), web("w", 600, 610)];
        let selection = select(&all).expect("three of four");
        assert_eq!(selection.truechimers(), [false, true, true, true]);
        // One of two operators is with the web servers by a part of what it says.
        let also_x = candidate("a", 295, 305);
        let all = [a, also_x, x, web("v", -20, 20), web("w", -20, 20)];
        let selection = select(&all).expect("three of four");
        assert_eq!(selection.truechimers(), [true, false, false, true, true]);
    }

    #[test]
    fn web_servers_take_no_majority_away_when_both_ways_to_count_convict_the_same() {
        let web = |operator, lo, hi| Candidate {
            coarse: true,
            ..candidate(operator, lo, hi)
        };
        let (a, x) = (candidate("a", -1, 1), candidate("x", 3_000, 3_010));
        let honest = ["u", "v", "w"].map(|operator| web(operator, -20, 20));
        let wrong = [x, candidate("y", 3_000, 3_010)];
        let selection = select(&[&[a][..], &wrong, &honest].concat()).expect("four of six");
        assert_eq!(
            selection.truechimers(),
            [true, false, false, true, true, true]
        );
        // Those that round agree among themselves on what no precise one says.
        let round = ["u", "v", "w"].map(|operator| web(operator, -1_000, -5));
        let selection = select(&[&[a, x][..], &round].concat()).expect("four of five");
        assert_eq!(selection.truechimers(), [true, false, true, true, true]);
    }

    #[test]
    fn web_servers_that_round_convict_no_precise_source() {
        let web = |operator| Candidate {
            coarse: true,
            ..candidate(operator, -1_000, -5)
        };
        let (vague, vaguer) = (candidate("a", -30, 30), candidate("b", -40, 40));
        let sure = candidate("c", -1, 1);
        let selection = select(&[vague, vaguer, sure, web("v"), web("w")]).expect("all");
        assert_eq!(selection.truechimers(), [true; 5]);
        // One that lies in their favour gets no majority by them.
        let liar = candidate("x", -20, -10);
        let selection = select(&[sure, candidate("d", -2, 2), liar, web("v"), web("w")]);
        assert_eq!(selection, None);
    }

    #[test]
    fn whole_seconds_say_nothing_of_the_rate_beside_finer_ones() {
        let with = |operator, rate, coarse| Candidate {
            rates: ppm(rate, rate + 1),
            coarse,
            ..candidate(operator, 0, 10)
        };
        let web = [with("v", 80, true), with("w", 80, true)];
        let [v, w] = web;
        assert_eq!(select(&web).expect("all").rates, Some(ppm(80, 81)));
        // With too few that are fine nothing would be known.
        let selection = select(&[with("a", 0, false), v, w]).expect("all");
        assert_eq!(selection.rates, Some(ppm(80, 81)));
        assert_eq!(selection.truechimers(), [true; 3]);
        let fine = [
            with("a", 0, false),
            with("b", 0, false),
            with("c", 0, false),
        ];
        let selection = select(&[&fine[..], &web[..1]].concat()).expect("all");
        assert_eq!(selection.rates, Some(ppm(0, 1)));
        // Nor do they help one of them to a majority.
        let [a, b, c] = fine;
        let wide = |candidate| Candidate {
            rates: ppm(0, 10),
            ..candidate
        };
        let narrow = |candidate| Candidate {
            rates: ppm(0, 1),
            ..candidate
        };
        let selection = select(&[wide(a), wide(b), narrow(c), narrow(v)]).expect("all");
        assert_eq!(selection.rates, Some(ppm(0, 10)));
        let five = [wide(a), wide(b), narrow(c), narrow(v), narrow(w)];
        assert_eq!(select(&five).expect("all").rates, Some(ppm(0, 10)));
        let half = [wide(a), narrow(v)];
        assert_eq!(select(&half).expect("all").rates, Some(ppm(0, 1)));
    }

    #[test]
    fn who_is_left_by_bounds_and_rates_together_must_be_the_majority() {
        let with = |operator, at, rate| Candidate {
            rates: ppm(rate, rate),
            ..candidate(operator, at, at + 1)
        };
        let all = [
            with("a", 0, 0),
            with("b", 0, 0),
            with("c", 50, 0),
            with("d", 0, 9),
        ];
        assert!(select(&all[..3]).is_some());
        assert_eq!(select(&all), None);
    }

    #[test]
    fn who_is_doubted_finds_no_company_among_those_who_know_the_time_less_well() {
        let with = |operator, lo, hi, doubted| Candidate {
            doubted,
            ..candidate(operator, lo, hi)
        };
        let all = |doubted| {
            [
                with("sure", -3, 3, false),
                with("surer", -2, 2, false),
                with("vague", -60, 60, false),
                with("vaguer", -70, 70, false),
                with("creeps", -90, -30, doubted),
                with("creeps-too", -80, -35, doubted),
                with("creeps-as-well", -85, -40, doubted),
            ]
        };
        let truechimers = |doubted| select(&all(doubted)).expect("a majority").truechimers();
        assert_eq!(truechimers(false)[..4], [false, false, true, true]);
        assert_eq!(truechimers(true)[..4], [true; 4]);
        assert_eq!(truechimers(true)[4..], [false; 3]);
        // What is published as certain does not depend on it.
        let bound = |doubted| select(&all(doubted)).expect("a majority").bound;
        assert_eq!(bound(false), bound(true));
    }

    #[test]
    fn who_is_doubted_is_asked_as_well_when_the_others_have_no_majority() {
        let doubted = |candidate| Candidate {
            doubted: true,
            ..candidate
        };
        let (a, b, wrong) = (
            candidate("a", 0, 10),
            candidate("b", 2, 12),
            candidate("c", 1_000, 1_010),
        );
        let selection = select(&[doubted(a), b, wrong]).expect("two of three");
        assert_eq!(selection.truechimers(), [true, true, false]);
        // The others have one, but it is not that of all.
        let (d, wrong_too) = (candidate("d", 1, 11), candidate("e", 1_001, 1_011));
        let all = [doubted(a), doubted(b), d, wrong, wrong_too];
        let selection = select(&all).expect("three of five");
        assert_eq!(selection.truechimers(), [true, true, true, false, false]);
        assert_eq!(select(&[doubted(a), wrong]), None);
    }

    #[test]
    fn who_is_not_doubted_is_no_judge_without_being_the_majority() {
        let doubted = |operator, lo, hi| Candidate {
            doubted: true,
            ..candidate(operator, lo, hi)
        };
        // Alone they would have one of the doubted ones on their side, and be three of five with it.
        let all = [
            candidate("a", -9, 1),
            candidate("b", 0, 1),
            doubted("c", -9, 0),
            doubted("d", -9, -5),
            doubted("e", -9, -5),
        ];
        let selection = select(&all).expect("four of five");
        assert_eq!(selection.truechimers(), [true, false, true, true, true]);
        // Half of all are no majority either.
        let selection = select(&all[..4]).expect("three of four, here and there");
        assert_eq!(selection.truechimers(), [true; 4]);
    }

    #[test]
    fn one_against_one_is_no_majority() {
        assert_eq!(each(&[(0, 10), (11, 20)]), None);
        assert_eq!(
            each(&[(0, 10), (10, 20)]).expect("they touch").bound,
            ms(10, 10)
        );
    }

    #[test]
    fn two_against_two_is_no_majority() {
        assert_eq!(each(&[(0, 10), (5, 12), (20, 30), (25, 28)]), None);
    }

    #[test]
    fn nobody_is_no_majority() {
        assert_eq!(each(&[]), None);
    }

    #[test]
    fn sources_of_one_operator_vote_once_as_their_union() {
        let candidates = [
            candidate("honest", 0, 10),
            candidate("other", 2, 12),
            candidate("liar", 1_000, 1_010),
            candidate("liar", 1_001, 1_011),
            candidate("liar", 1_002, 1_012),
        ];
        let selection = select(&candidates).expect("two operators of three agree");
        assert_eq!(selection.truechimers(), [true, true, false, false, false]);
        assert_eq!((selection.agreeing, selection.bound), (2, ms(2, 10)));

        let split = [
            candidate("one", 0, 1),
            candidate("one", 8, 9),
            candidate("two", 8, 12),
        ];
        let selection = select(&split).expect("they meet at 8 … 9");
        assert_eq!(selection.truechimers(), [false, true, true]);
        assert_eq!(selection.bound, ms(8, 9));
        // It does not say what lies between the two.
        let between = [candidate("two", 3, 4), candidate("three", 0, 9)];
        let selection = select(&[&split[..2], &between].concat()).expect("two of three");
        assert_eq!(selection.truechimers(), [true; 4]);
    }

    #[test]
    fn coarse_sources_convict_a_liar_of_hours_but_not_a_precise_one_by_milliseconds() {
        let coarse = |operator, lo, hi| Candidate {
            coarse: true,
            ..candidate(operator, lo, hi)
        };
        let precise = candidate("precise", 0, 10);
        let crowd = [coarse("a", 300, 400), coarse("b", 310, 410), precise];
        assert_eq!(
            select(&crowd)
                .expect("all agree within half a second")
                .truechimers(),
            [true; 3]
        );
        let liar = candidate("precise", 3_600_000, 3_600_010);
        assert_eq!(
            select(&[crowd[0], crowd[1], liar])
                .expect("two of three")
                .truechimers(),
            [true, true, false]
        );
    }

    #[test]
    fn what_touches_within_a_vote_counts_once() {
        let vote = Vote::union(vec![Interval { lo: 5, hi: 9 }, Interval { lo: 0, hi: 5 }]);
        assert_eq!(
            held_by(std::slice::from_ref(&vote), 1),
            Some(Interval { lo: 0, hi: 9 })
        );
        assert_eq!(held_by(&[vote], 2), None);
    }

    fn bounds() -> impl Strategy<Value = Vec<(i64, i64)>> {
        prop::collection::vec(
            (-50i64..50, 0i64..40).prop_map(|(lo, width)| (lo, lo + width)),
            0..9,
        )
    }

    proptest! {
        #[test]
        fn an_honest_majority_is_never_outvoted(
            honest in prop::collection::vec((0i64..40, 0i64..40), 1..8),
            lies in prop::collection::vec((-60i64..60, 0i64..60), 0..7),
        ) {
            // The truth is 0.
            let mut all: Vec<_> = honest.iter().map(|(below, above)| (-below, *above)).collect();
            let liars = lies.len().min((all.len() * 2 - 1) - all.len());
            all.extend(lies[..liars].iter().map(|(lo, width)| (*lo, lo + width)));
            let selection = each(&all).expect("the honest ones agree");
            prop_assert!(selection.bound.lo <= Theta::from_nanos(0) && Theta::from_nanos(0) <= selection.bound.hi);
        }

        #[test]
        fn order_does_not_matter(bounds in bounds(), by in 0usize..9) {
            let mut turned = bounds.clone();
            turned.rotate_left(by % bounds.len().max(1));
            let (straight, turned) = (each(&bounds), each(&turned));
            prop_assert_eq!(straight.as_ref().map(|s| s.bound), turned.as_ref().map(|s| s.bound));
            let sorted = |selection: &Option<Selection>| selection.as_ref().map(|s| {
                let mut all = s.truechimers();
                all.sort();
                all
            });
            prop_assert_eq!(sorted(&straight), sorted(&turned));
        }

        #[test]
        fn the_sweep_counts_what_counting_every_point_gives(bounds in bounds(), least in 1usize..9) {
            let votes: Vec<_> = bounds.iter().map(|&(lo, hi)| Vote::union(vec![Interval { lo, hi }])).collect();
            let holds = |at: i64| bounds.iter().filter(|(lo, hi)| (*lo..=*hi).contains(&at)).count() >= least;
            let points: Vec<i64> = (-60..100).filter(|at| holds(*at)).collect();
            let span = points.first().zip(points.last()).map(|(&lo, &hi)| Interval { lo, hi });
            prop_assert_eq!(held_by(&votes, least), span);
        }
    }
}
