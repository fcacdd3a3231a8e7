//! Cluster algorithm, in the place of that of RFC 5905 §11.2.2: casts out the truechimers whose estimates stand apart from where most
//! operators' may well be; and before that those that see another rate of the one oscillator than most.
//!
//! Both go by the same rule, that of the published bound on what is likely instead of what is proven: no minority can lead.

use std::collections::BTreeMap;

/// A survivor of the last decision is looked for as much farther from what it says, and its distance to the others reduced to this part: of
/// two that are nearly alike the same one stays from cycle to cycle.
const LOYALTY: f64 = 0.8;

/// So many operators are kept in any case, as far as there are so many (NMIN of RFC 5905): what their ways differ by evens out.
const MIN_SURVIVORS: usize = 3;

/// Where an estimate may well be: so many sigmas either way. Errors are 0.5 to 0.9 of what is said. In the usual matrix of `tests/sim`
/// those that creep lead the offset by up to 2 ms in 92.5 % of their worlds, with 2 in 77.5 %.
const OFFSET_SIGMAS: f64 = 1.0;

/// Who is farther off than most may well be, by up to so many times as much as the nearer half of the operators, is no worse than
/// these: their ways differ.
const SPREADS: f64 = 3.0;

/// A truechimer as clustering sees it, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Estimate, from any base that all members share.
    pub offset_s: f64,
    /// The source's own jitter.
    pub jitter_s: f64,
    /// One sigma of its estimate, with what its two ways may differ by.
    pub uncertainty_s: f64,
    /// Where the truth is at the farthest, as far as anybody would believe it.
    pub credible: Likely,
    /// Who runs it, by a number of its own.
    pub operator: usize,
    /// Whether it took part in the last decision.
    pub loyal: bool,
    /// Whether the operator wants it kept.
    pub prefer: bool,
}

/// Where a rate may well be: so many sigmas and half of `RATE_SLACK` either way. In the usual matrix of `tests/sim` those that creep lead
/// the offset by up to 2 ms in 92.5 % of their worlds, with 2 in 87.5 %; with 1.25 those that know little of an oscillator that is 60 ppm
/// off convict an honest one that knows more.
const RATE_SIGMAS: f64 = 1.5;

/// What the rates of honest sources may differ by on top, in the minutes in which each finds out about a change on its own.
const RATE_SLACK: f64 = 1e-6;

/// Who crept is heard again when it agrees and the two rates are known this well (one sigma of their difference): a history that has
/// just begun anew agrees with everybody.
const RATE_REGAINED: f64 = 0.7e-6;

/// What part one has in finding out who creeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It is asked about others, and judged.
    Full,
    /// It is asked about others, and is no matter of judgement itself: it tells whole seconds only, or its time is wrong.
    Witness,
    /// It is only judged, by the surest of the others: its time is wrong, and it was found to creep.
    Accused,
}

/// The rate of the oscillator as one truechimer sees it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Who runs it.
    pub operator: &'a str,
    /// Best guess.
    pub rate: f64,
    /// One sigma of it.
    pub sigma: f64,
    /// By how much it may differ further, and in which direction.
    pub further: f64,
    /// Whether it was found to creep.
    pub doubted: bool,
    /// What it has to do with the others' rates.
    pub part: Part,
    /// Whether the operator wants it kept.
    pub prefer: bool,
}

/// Why a truechimer is not heard.
#[derive(Clone, Copy, Debug)]
pub struct Creeping {
    /// How much faster than the others it runs; none if there is nobody to tell.
    pub by: Option<f64>,
    /// Whether that was found just now, or it merely has not shown since that it does not.
    pub found: bool,
}

/// For each truechimer, whether it is not heard since it does not see the rate that most operators see. Each operator has one word,
/// that of its surest source, and whoever knows the rate hardly at all allows any, as do those of the `operators` in all that are not
/// among `seen`. When there is no rate that most see (of two nobody knows which one is right), who was found to creep before is still
/// not heard, not even if nobody else is there. Who was, and whose time is wrong now, is found to do so again as long as the surest of
/// the others sees another rate: those who know little of the rate would let it, and in an hour it would be a judge again.
pub fn creeping(seen: &[Seen], operators: usize) -> Vec<Option<Creeping>> {
    let asked: Vec<Seen> = seen
        .iter()
        .filter(|it| it.part != Part::Accused)
        .copied()
        .collect();
    let words = surest(&asked, |seen| seen.operator, |seen| seen.sigma);
    let about = |seen: &Seen| {
        let margin = RATE_SIGMAS * seen.sigma + RATE_SLACK / 2.0;
        Likely::about(seen.rate, margin)
    };
    let likely = |seen: &Seen| Likely {
        lo: about(seen).lo + seen.further.min(0.0),
        hi: about(seen).hi + seen.further.max(0.0),
    };
    let count = operators.max(words.len());
    let told: Vec<Likely> = words.iter().map(|seen| likely(seen)).collect();
    let most = Likely::of_most(told.iter().copied(), count);
    // Those that were found to creep do not turn the tables on all who found them out, when some of these are away.
    let mut unsuspected = words.iter().filter(|seen| !seen.doubted);
    let is_shared = unsuspected.any(|seen| likely(seen).overlaps(&most));
    let common = if is_shared && Likely::have_a_majority(&told, count) {
        most
    } else {
        Likely::ANYWHERE
    };
    let agrees = |seen: &Seen| likely(seen).overlaps(&common);
    let judged = seen.iter().filter(|seen| seen.part != Part::Witness);
    let trusted = judged.filter(|seen| !seen.doubted && agrees(seen));
    let reference = trusted.min_by(|a, b| a.sigma.total_cmp(&b.sigma));
    // Those that have only a word do not convict all others.
    let is_possible = |seen: &Seen| {
        reference.is_none_or(|reference| {
            let is_as_sure = seen.part != Part::Accused || likely(seen).overlaps(&about(reference));
            agrees(seen) && is_as_sure
        })
    };
    let has_regained = |seen: &Seen| {
        reference.is_some_and(|reference| {
            seen.sigma.hypot(reference.sigma) <= RATE_REGAINED
                && about(seen).overlaps(&about(reference))
        })
    };
    let is_heard =
        |seen: &Seen| seen.prefer || is_possible(seen) && (!seen.doubted || has_regained(seen));
    seen.iter()
        .map(|seen| {
            (seen.part != Part::Witness && !is_heard(seen)).then(|| Creeping {
                by: reference.map(|reference| seen.rate - reference.rate),
                found: !is_possible(seen),
            })
        })
        .collect()
}

/// For each member, whether it survives: whether it may well be where most of the `operators` may well be, each of them by its surest
/// source, or is not much farther from there than the nearer half of them, or one of the three nearest; those without a member allow
/// anything. (RFC 5905 casts out whoever is farthest from the others, one after the other; of seven that leaves the three that agree best,
/// who may be the liars.)
pub fn survivors(members: &[Member], operators: usize) -> Vec<bool> {
    let words = surest(
        members,
        |member| member.operator,
        |member| member.uncertainty_s,
    );
    let likely =
        |member: &Member| Likely::about(member.offset_s, OFFSET_SIGMAS * member.uncertainty_s);
    let common = Likely::of_most(words.iter().map(|member| likely(member)), operators);
    let distance = |member: &Member| {
        let loyalty = if member.loyal { LOYALTY } else { 1.0 };
        let margin = OFFSET_SIGMAS * member.uncertainty_s / loyalty;
        loyalty * Likely::about(member.offset_s, margin).gap(&common)
    };
    let mut distances: Vec<f64> = words.iter().map(|member| distance(member)).collect();
    distances.sort_by(f64::total_cmp);
    let farthest_of = |count: usize| {
        let last = count.min(distances.len()).checked_sub(1);
        last.map_or(0.0, |last| distances[last])
    };
    let most = (SPREADS * farthest_of(distances.len() / 2 + 1)).max(farthest_of(MIN_SURVIVORS));
    members
        .iter()
        .map(|member| member.prefer || distance(member) <= most)
        .collect()
}

/// Where the offset may be by what most of the `operators` can believe, anywhere if one is preferred. Who claims to be certain has nearly
/// all the weight, what it allows is all that all allow, and of three nobody is cast out.
pub fn credible(members: &[Member], operators: usize) -> Likely {
    if members.iter().any(|member| member.prefer) {
        return Likely::ANYWHERE;
    }
    let words = surest(
        members,
        |member| member.operator,
        |member| member.credible.hi - member.credible.lo,
    );
    Likely::of_most(words.iter().map(|member| member.credible), operators)
}

/// The surest of each operator.
fn surest<T, K: Ord>(
    all: &[T],
    operator: impl Fn(&T) -> K,
    uncertainty: impl Fn(&T) -> f64,
) -> Vec<&T> {
    let mut surest: BTreeMap<K, &T> = BTreeMap::new();
    for one in all {
        let of_operator = surest.entry(operator(one)).or_insert(one);
        if uncertainty(one) < uncertainty(of_operator) {
            *of_operator = one;
        }
    }
    surest.into_values().collect()
}

/// Where a value may well be.
#[derive(Clone, Copy, Debug)]
pub struct Likely {
    /// At the least.
    pub lo: f64,
    /// At the most (≥ `lo`).
    pub hi: f64,
}

impl Likely {
    /// Nothing is known of it.
    pub const ANYWHERE: Self = Self {
        lo: f64::NEG_INFINITY,
        hi: f64::INFINITY,
    };

    /// Whether a value may be right by more than half of the `count` who say so; those that are not among `all` allow any.
    fn have_a_majority(all: &[Self], count: usize) -> bool {
        let silent = count.saturating_sub(all.len());
        let agreeing = all.iter().map(|one| {
            let holds = |other: &&Self| other.lo <= one.lo && one.lo <= other.hi;
            all.iter().filter(holds).count()
        });
        2 * (agreeing.max().unwrap_or(0) + silent) > count
    }

    fn about(value: f64, margin: f64) -> Self {
        Self {
            lo: value - margin,
            hi: value + margin,
        }
    }

    /// Where it may well be if most of the `count` who say so are right; those that are not among `all` allow anything. A minority
    /// moves neither end beyond what some of the others say, however far off it is.
    fn of_most(all: impl Iterator<Item = Self>, count: usize) -> Self {
        let (mut los, mut his): (Vec<f64>, Vec<f64>) = all.map(|it| (it.lo, it.hi)).unzip();
        let count = count.max(los.len());
        los.resize(count, f64::NEG_INFINITY);
        his.resize(count, f64::INFINITY);
        los.sort_by(f64::total_cmp);
        his.sort_by(|a, b| b.total_cmp(a));
        let liars = count.saturating_sub(1) / 2;
        Self {
            lo: los.get(liars).copied().unwrap_or(f64::NEG_INFINITY),
            hi: his.get(liars).copied().unwrap_or(f64::INFINITY),
        }
    }

    /// The nearest value to `value` that is likely.
    pub fn clamp(&self, value: f64) -> f64 {
        value.clamp(self.lo, self.hi)
    }

    /// How far it is from `other`; nought if they overlap.
    fn gap(&self, other: &Self) -> f64 {
        (self.lo - other.hi).max(other.lo - self.hi).max(0.0)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.gap(other) <= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(offset_ms: f64) -> Member {
        Member {
            offset_s: offset_ms / 1e3,
            jitter_s: 1e-4,
            uncertainty_s: 1e-3,
            credible: Likely::about(offset_ms / 1e3, 2e-3),
            operator: 0,
            loyal: false,
            prefer: false,
        }
    }

    /// Of an operator each.
    fn each(members: &[Member]) -> Vec<Member> {
        let members = (0..).zip(members);
        members
            .map(|(operator, member)| Member {
                operator,
                ..*member
            })
            .collect()
    }

    fn surviving(members: &[Member]) -> Vec<bool> {
        survivors(&each(members), members.len())
    }

    fn seen(operator: &str, ppm: f64, sigma_ppm: f64) -> Seen<'_> {
        Seen {
            operator,
            rate: ppm * 1e-6,
            sigma: sigma_ppm * 1e-6,
            further: 0.0,
            doubted: false,
            part: Part::Full,
            prefer: false,
        }
    }

    fn doubted(seen: Seen) -> Seen {
        Seen {
            doubted: true,
            ..seen
        }
    }

    fn agreeing(seen: &[Seen]) -> Vec<bool> {
        creeping(seen, 0).iter().map(Option::is_none).collect()
    }

    #[test]
    fn the_one_that_stands_apart_is_cast_out() {
        let members = [member(0.0), member(0.5), member(8.0), member(1.0)];
        assert_eq!(surviving(&members), [true, true, false, true]);
        // Of three nobody is.
        assert_eq!(surviving(&members[..3]), [true; 3]);
    }

    #[test]
    fn three_of_seven_that_agree_best_do_not_cast_out_the_others() {
        let liar = Member {
            uncertainty_s: 1e-6,
            loyal: true,
            ..member(-9.0)
        };
        let members = [
            member(-0.5),
            member(1.0),
            member(0.0),
            member(2.0),
            liar,
            liar,
            liar,
        ];
        let survives = surviving(&members);
        assert_eq!(survives, [true, true, true, true, false, false, false]);
    }

    #[test]
    fn of_three_the_surest_leads_nowhere_where_the_two_others_cannot_believe_it() {
        let certain = |offset_ms| Member {
            uncertainty_s: 1e-9,
            credible: Likely::about(offset_ms / 1e3, 1e-9),
            ..member(offset_ms)
        };
        let of_each = |members: &[Member]| credible(&each(members), members.len());
        let led = of_each(&[member(0.0), member(0.5), certain(8.0)]);
        assert!((led.clamp(8e-3) - 2.5e-3).abs() < 1e-12, "{led:?}");
        assert_eq!(led.clamp(-8e-3), -1.5e-3);
        // It may be the only one that knows.
        let nearer = of_each(&[member(0.0), member(0.5), certain(1.9)]);
        assert_eq!(nearer.clamp(1.9e-3), 1.9e-3);
        let two = of_each(&[member(0.0), certain(8.0)]);
        assert_eq!(two.clamp(8e-3), 8e-3);
        let preferred = Member {
            prefer: true,
            ..certain(8.0)
        };
        let told = of_each(&[member(0.0), member(0.5), preferred]);
        assert_eq!(told.clamp(8e-3), 8e-3);
    }

    #[test]
    fn two_camps_of_as_many_are_both_kept_and_so_is_whoever_differs_no_more_than_most() {
        let camps = [member(-9.0), member(-9.1), member(9.0), member(9.1)];
        assert_eq!(surviving(&camps), [true; 4]);
        assert_eq!(surviving(&[member(-9.0), member(9.0)]), [true; 2]);
        assert_eq!(
            surviving(&[member(-9.0), member(0.0), member(6.0)]),
            [true; 3]
        );
        assert!(surviving(&[]).is_empty());
    }

    #[test]
    fn operators_without_an_estimate_and_many_sources_of_one_make_no_majority() {
        let members = [member(0.0), member(9.0), member(9.0), member(9.0)];
        let of = |operators: [usize; 4], count| {
            let members = members.iter().zip(operators);
            let members: Vec<Member> = members
                .map(|(member, operator)| Member {
                    operator,
                    ..*member
                })
                .collect();
            survivors(&members, count)
        };
        assert_eq!(of([0, 1, 2, 3], 4), [false, true, true, true]);
        assert_eq!(of([0, 1, 2, 3], 7), [true; 4]);
        assert_eq!(of([0, 1, 1, 1], 2), [true; 4]);
    }

    #[test]
    fn one_of_three_operators_that_creeps_is_not_heard() {
        let (a, b, c) = (
            seen("a", 12.0, 0.5),
            seen("b", 13.0, 0.5),
            seen("c", 32.0, 0.5),
        );
        assert_eq!(agreeing(&[a, c, b]), [true, false, true]);
        let creeps = creeping(&[a, c, b], 3)[1].expect("it creeps");
        let by = creeps.by.expect("there are others");
        assert!((by - 20e-6).abs() < 1.1e-6, "by that of a or b");
        assert!(creeps.found);
        assert_eq!(agreeing(&[a, c]), [true, true]);
        let unsure = seen("c", 32.0, 13.0);
        assert_eq!(agreeing(&[a, b, unsure]), [true; 3]);
        let preferred = Seen { prefer: true, ..c };
        assert_eq!(agreeing(&[a, b, preferred]), [true; 3]);
        // That of the surest is the one that it is told by.
        let surest = seen("b", 13.0, 0.1);
        let creeps = creeping(&[a, c, surest], 3)[1].expect("it creeps");
        let by = creeps.by.expect("there are others");
        assert!((by - 19e-6).abs() < 1e-9, "{by}");
        // Many servers of one operator have one word.
        assert_eq!(
            agreeing(&[c, a, c, b, c]),
            [false, true, false, true, false]
        );
    }

    #[test]
    fn an_operators_word_on_the_rate_is_that_of_its_surest_source() {
        let (sure, unsure) = (seen("a", 12.0, 0.3), seen("a", 32.0, 1.0));
        let (b, c) = (seen("b", 13.0, 0.5), seen("c", 32.0, 0.5));
        assert_eq!(agreeing(&[sure, unsure, b, c]), [true, false, true, false]);
        assert_eq!(agreeing(&[unsure, sure, b, c]), [false, true, true, false]);
    }

    #[test]
    fn half_of_the_operators_or_less_that_see_the_same_rate_convict_nobody() {
        let each = |rates: &[f64]| {
            let names = ["a", "b", "c", "d", "e"];
            let seen: Vec<Seen> = names
                .into_iter()
                .zip(rates)
                .map(|(name, ppm)| seen(name, *ppm, 0.1))
                .collect();
            agreeing(&seen)
        };
        assert_eq!(each(&[0.0, 6.0, 6.0, 12.0]), [true; 4]);
        assert_eq!(each(&[0.0, 3.0, 6.0, 6.0, 9.0]), [true; 5]);
        assert_eq!(each(&[0.0, 6.0, 6.0]), [false, true, true]);
    }

    #[test]
    fn where_no_two_see_the_same_rate_nobody_is_convicted() {
        let three = [
            seen("a", 0.0, 0.1),
            seen("b", 3.0, 0.1),
            seen("c", 6.0, 0.1),
        ];
        assert_eq!(agreeing(&three), [true; 3]);
    }

    #[test]
    fn who_knows_nothing_of_the_rate_agrees_with_everybody_and_helps_nobody_to_a_majority() {
        let (a, b, c) = (
            seen("a", 12.0, 0.5),
            seen("b", 13.0, 0.5),
            seen("c", 32.0, 0.5),
        );
        let vague = seen("d", 20.0, 15.0);
        assert_eq!(agreeing(&[a, c, vague]), [true; 3]);
        // Two of four are not most of them.
        assert_eq!(agreeing(&[a, b, c, vague]), [true; 4]);
        // Nor are two of three that are heard, of five in all.
        let of_five = creeping(&[a, b, c], 5);
        assert!(of_five.iter().all(Option::is_none));
    }

    #[test]
    fn whose_time_is_wrong_stays_doubted_until_it_shows_the_rate_of_the_surest() {
        // By the other, which knows little, anything would be possible.
        let (sure, vague) = (seen("a", 12.0, 0.1), seen("b", 14.0, 8.0));
        let found = |ppm| {
            let wrong = Seen {
                part: Part::Accused,
                ..doubted(seen("c", ppm, 0.3))
            };
            creeping(&[sure, vague, wrong], 3)[2].map(|creeping| creeping.found)
        };
        assert_eq!(found(17.0), Some(true));
        assert_eq!(found(12.2), None);
        // It is not asked.
        let liar = |operator| Seen {
            part: Part::Accused,
            ..doubted(seen(operator, 32.0, 0.1))
        };
        let all = [sure, liar("c"), liar("d")];
        assert!(creeping(&all, 3)[0].is_none());
    }

    #[test]
    fn who_may_be_off_further_on_one_side_contradicts_nobody_there() {
        let far = |operator, further| Seen {
            further,
            ..seen(operator, 12.0, 0.5)
        };
        for (further, agrees) in [
            (0.0, false),
            (f64::INFINITY, true),
            (f64::NEG_INFINITY, false),
        ] {
            let all = [seen("a", 32.0, 0.5), far("b", further), far("c", further)];
            assert_eq!(agreeing(&all), [agrees, true, true], "{further}");
        }
    }

    #[test]
    fn who_tells_whole_seconds_has_a_word_against_those_that_creep_but_not_against_all() {
        let (a, c, d) = (
            seen("a", 12.0, 0.5),
            seen("c", 32.0, 0.5),
            seen("d", 32.0, 0.5),
        );
        let word = |operator, ppm| Seen {
            part: Part::Witness,
            ..seen(operator, ppm, 2.0)
        };
        let all = [a, c, d, word("e", 13.0), word("f", 12.0)];
        assert_eq!(agreeing(&all), [true, false, false, true, true]);
        assert_eq!(agreeing(&[a, word("e", 90.0), word("f", 90.0)]), [true; 3]);
        // It is no matter of judgement itself.
        assert_eq!(
            agreeing(&[a, seen("b", 13.0, 0.5), word("e", 90.0)]),
            [true; 3]
        );
    }

    #[test]
    fn who_crept_is_heard_again_when_it_has_shown_that_it_does_not() {
        let (a, b) = (seen("a", 12.0, 0.5), seen("b", 13.0, 0.5));
        let unsure = doubted(seen("c", 32.0, 13.0));
        assert_eq!(agreeing(&[a, b, unsure]), [true, true, false]);
        let not_yet = creeping(&[a, b, unsure], 3)[2].expect("it may creep still");
        assert!(!not_yet.found);
        let regained = doubted(seen("c", 12.2, 0.3));
        assert_eq!(agreeing(&[a, b, regained]), [true; 3]);
        // Who is doubted stays so while nobody has the majority, and when there is nobody else.
        let still = doubted(seen("c", 32.0, 0.5));
        assert_eq!(agreeing(&[a, still]), [true, false]);
        assert_eq!(agreeing(&[a, regained]), [true, true]);
        assert_eq!(agreeing(&[still]), [false]);
    }

    #[test]
    fn who_crept_is_not_heard_again_before_it_agrees_with_the_surest() {
        let (a, b, c) = (
            seen("a", 12.0, 0.1),
            seen("b", 13.5, 0.5),
            seen("c", 13.5, 0.5),
        );
        let nearly = seen("d", 14.6, 0.3);
        assert_eq!(agreeing(&[a, b, c, nearly]), [true; 4]);
        assert_eq!(
            agreeing(&[a, b, c, doubted(nearly)]),
            [true, true, true, false]
        );
    }

    #[test]
    fn who_crept_is_heard_again_by_the_only_one_that_did_not_whatever_most_others_say() {
        let a = seen("a", 12.0, 0.5);
        let regained = doubted(seen("b", 12.2, 0.3));
        let [c, d, e] = ["c", "d", "e"].map(|operator| doubted(seen(operator, 32.0, 0.5)));
        let all = [a, regained, c, d, e];
        assert_eq!(agreeing(&all), [true, true, false, false, false]);
        let by = creeping(&all, 5)[2].expect("it may creep still").by;
        assert!((by.expect("there is one to tell") - 20e-6).abs() < 1e-9);
    }

    #[test]
    fn who_is_doubted_has_a_word_but_not_against_all_who_are_not() {
        let (a, b, c) = (
            seen("a", 12.0, 0.5),
            doubted(seen("b", 13.0, 1.0)),
            seen("c", 32.0, 0.5),
        );
        assert_eq!(agreeing(&[a, c, b]), [true, false, false]);
        let (c, d) = (doubted(c), doubted(seen("d", 32.0, 0.5)));
        assert_eq!(agreeing(&[a, c, d]), [true, false, false]);
        assert!(creeping(&[a, c, d], 3).iter().flatten().all(|it| !it.found));
    }

    #[test]
    fn a_preferred_one_is_not_cast_out() {
        let preferred = Member {
            prefer: true,
            ..member(8.0)
        };
        let members = [member(0.0), member(0.05), preferred, member(0.1)];
        assert_eq!(surviving(&members), [true; 4]);
    }

    #[test]
    fn the_last_survivor_stays_a_little_longer() {
        let ends = |loyal_first: bool| {
            let loyal = |offset, loyal| Member {
                loyal,
                ..member(offset)
            };
            // Most may well be within a millisecond; of the others the nearest is one off.
            surviving(&[
                loyal(-5.25, loyal_first),
                member(0.0),
                member(0.0),
                member(3.0),
                loyal(5.25, !loyal_first),
            ])
        };
        assert_eq!(ends(true), [true, true, true, true, false]);
        assert_eq!(ends(false), [false, true, true, true, true]);
    }
}
