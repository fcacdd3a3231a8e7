//! Cluster algorithm (RFC 5905 §11.2.2): casts out the truechimers whose estimates stand apart from the others, as long
//! as that makes the rest agree better than each agrees with itself; and before that those that see another rate of the
//! one oscillator than the others.

use std::collections::BTreeMap;

/// Fewer than this many are never cast out (NMIN of RFC 5905).
const MIN_SURVIVORS: usize = 3;

/// A survivor of the last decision has its distance to the others reduced to this part: of two that are nearly alike the
/// same one stays from cycle to cycle.
const LOYALTY: f64 = 0.8;

/// A truechimer as clustering sees it, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Estimate, from any base that all members share.
    pub offset_s: f64,
    /// The source's own jitter.
    pub jitter_s: f64,
    /// One sigma of its estimate, with what its two ways may differ by.
    pub uncertainty_s: f64,
    /// Whether it took part in the last decision.
    pub loyal: bool,
    /// Whether the operator wants it kept.
    pub prefer: bool,
}

/// A source that sees a rate further from the common one than this many sigmas of both, and `RATE_SLACK`, creeps. In
/// `benches/filter` 11 of 250,000 estimates of honest sources do so, 9 of them over LTE and 2 after a change of rate.
const RATE_SIGMAS: f64 = 4.0;

/// What the rates of honest sources may differ by on top, in the minutes in which each finds out about a change on its own.
const RATE_SLACK: f64 = 1e-6;

/// Who crept is heard again when it agrees and the two rates are known this well (one sigma of their difference): a history that has
/// just begun anew agrees with everybody.
const RATE_REGAINED: f64 = 0.7e-6;

/// Who knows the rate less well than this (one sigma) agrees with whoever creeps by 20 ppm, and has no word in who does.
const RATE_KNOWN: f64 = 3e-6;

/// The rate of the oscillator as one truechimer sees it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Who runs it.
    pub operator: &'a str,
    /// Best guess.
    pub rate: f64,
    /// One sigma of it.
    pub sigma: f64,
    /// Whether it was found to creep.
    pub doubted: bool,
    /// Whether the operator wants it kept.
    pub prefer: bool,
}

/// Why a truechimer is not heard.
#[derive(Clone, Copy, Debug)]
pub struct Creeping {
    /// How much faster than the others it runs.
    pub by: f64,
    /// Whether that was found just now, or it merely has not shown since that it does not.
    pub found: bool,
}

/// For each truechimer, whether it is not heard since it does not see the rate that most operators see. Each operator has one word,
/// that of its surest source; of the `operators` in all, those that are not among `seen` have no word on the rate, and a majority is one
/// of all nevertheless. When there is no rate that most see (of two nobody knows which one is right), who was found to creep before is
/// still not heard.
pub fn creeping(seen: &[Seen], operators: usize) -> Vec<Option<Creeping>> {
    let mut surest: BTreeMap<&str, &Seen> = BTreeMap::new();
    for seen in seen {
        let of_operator = surest.entry(seen.operator).or_insert(seen);
        if seen.sigma < of_operator.sigma {
            *of_operator = seen;
        }
    }
    let operators = operators.max(surest.len());
    let known = surest.into_values().filter(|seen| seen.sigma <= RATE_KNOWN);
    let mut rates: Vec<&Seen> = known.collect();
    rates.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let sigma = |seen: &Seen, median: &Seen| seen.sigma.hypot(median.sigma);
    let agrees = |seen: &Seen, median: &Seen| {
        let margin = RATE_SIGMAS * sigma(seen, median) + RATE_SLACK;
        (seen.rate - median.rate).abs() <= margin
    };
    let common = rates.get(rates.len() / 2).filter(|median| {
        let agreeing = rates.iter().filter(|seen| agrees(seen, median));
        2 * agreeing.count() > operators
    });
    let is_heard = |seen: &Seen| {
        seen.prefer
            || match common {
                Some(median) => {
                    agrees(seen, median) && (!seen.doubted || sigma(seen, median) <= RATE_REGAINED)
                }
                None => !seen.doubted,
            }
    };
    let is_anybody = seen.iter().any(is_heard);
    let heard = seen.iter().filter(|seen| is_heard(seen));
    let surest = heard.min_by(|a, b| a.sigma.total_cmp(&b.sigma));
    let reference = common.copied().or(surest).map_or(0.0, |seen| seen.rate);
    seen.iter()
        .map(|seen| {
            (is_anybody && !is_heard(seen)).then(|| Creeping {
                by: seen.rate - reference,
                found: common.is_some_and(|median| !agrees(seen, median)),
            })
        })
        .collect()
}

/// For each member, whether it survives.
pub fn survivors(members: &[Member]) -> Vec<bool> {
    let mut survives = vec![true; members.len()];
    let mut left = members.len();
    while left > MIN_SURVIVORS {
        let alive = || members.iter().enumerate().filter(|(k, _)| survives[*k]);
        let least_jitter = alive()
            .map(|(_, member)| member.jitter_s)
            .fold(f64::INFINITY, f64::min);
        let distances = alive().map(|(k, member)| {
            let others = alive().filter(|(other, _)| *other != k);
            let sum: f64 = others
                .map(|(_, other)| (other.offset_s - member.offset_s).powi(2))
                .sum();
            let loyalty = if member.loyal { LOYALTY } else { 1.0 };
            (k, loyalty * (sum / (left - 1) as f64).sqrt())
        });
        let farthest = distances.max_by(|(a, distance_a), (b, distance_b)| {
            distance_a.total_cmp(distance_b).then_with(|| {
                members[*a]
                    .uncertainty_s
                    .total_cmp(&members[*b].uncertainty_s)
            })
        });
        match farthest {
            Some((k, distance)) if distance > least_jitter && !members[k].prefer => {
                survives[k] = false;
                left -= 1;
            }
            _ => break,
        }
    }
    survives
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(offset_ms: f64) -> Member {
        Member {
            offset_s: offset_ms / 1e3,
            jitter_s: 1e-4,
            uncertainty_s: 0.01,
            loyal: false,
            prefer: false,
        }
    }

    fn agreeing(seen: &[Seen]) -> Vec<bool> {
        creeping(seen, 0).iter().map(Option::is_none).collect()
    }

    #[test]
    fn the_one_that_stands_apart_is_cast_out() {
        let members = [member(0.0), member(0.05), member(8.0), member(0.1)];
        assert_eq!(survivors(&members), [true, true, false, true]);
    }

    #[test]
    fn one_of_three_operators_that_creeps_is_not_heard() {
        let seen = |operator, ppm: f64, sigma_ppm: f64| Seen {
            operator,
            rate: ppm * 1e-6,
            sigma: sigma_ppm * 1e-6,
            doubted: false,
            prefer: false,
        };
        let (a, b, c) = (
            seen("a", 12.0, 0.5),
            seen("b", 13.0, 0.5),
            seen("c", 32.0, 0.5),
        );
        assert_eq!(agreeing(&[a, c, b]), [true, false, true]);
        let creeps = creeping(&[a, c, b], 3)[1].expect("it creeps");
        assert!((creeps.by - 19e-6).abs() < 1e-9, "19 ppm above the median");
        assert!(creeps.found);
        assert_eq!(agreeing(&[a, c]), [true, true]);
        // Two of four are not most of them.
        let of_four = creeping(&[a, c, b], 4);
        assert!(of_four.iter().all(Option::is_none));
        let unsure = seen("c", 32.0, 6.0);
        assert_eq!(agreeing(&[a, b, unsure]), [true; 3]);
        let doubted = Seen {
            doubted: true,
            ..unsure
        };
        assert_eq!(agreeing(&[a, b, doubted]), [true, true, false]);
        let not_yet = creeping(&[a, b, doubted], 3)[2].expect("it may creep still");
        assert!(!not_yet.found);
        let regained = Seen {
            doubted: true,
            ..seen("c", 12.2, 0.3)
        };
        assert_eq!(agreeing(&[a, b, regained]), [true; 3]);
        // Who is doubted stays so while nobody has the majority, and is heard when there is nobody else.
        let still = Seen { doubted: true, ..c };
        assert_eq!(agreeing(&[a, still]), [true, false]);
        assert_eq!(agreeing(&[a, regained]), [true, true]);
        assert_eq!(agreeing(&[still]), [true]);
        let preferred = Seen { prefer: true, ..c };
        assert_eq!(agreeing(&[a, b, preferred]), [true; 3]);
        // Who knows nothing of the rate agrees with everybody, and helps nobody to a majority.
        let vague = seen("d", 20.0, 9.0);
        assert_eq!(agreeing(&[a, c, vague]), [true; 3]);
        // Who is doubted has a word nevertheless.
        let doubted_too = Seen { doubted: true, ..b };
        let unsure_too = Seen {
            sigma: 1e-6,
            ..doubted_too
        };
        assert_eq!(agreeing(&[a, c, unsure_too]), [true, false, false]);
        // Many servers of one operator have one word.
        assert_eq!(
            agreeing(&[c, a, c, b, c]),
            [false, true, false, true, false]
        );
    }

    #[test]
    fn three_are_always_kept() {
        assert_eq!(
            survivors(&[member(0.0), member(5.0), member(90.0)]),
            [true; 3]
        );
    }

    #[test]
    fn nobody_is_cast_out_for_less_than_the_least_jitter() {
        let noisy = |offset| Member {
            jitter_s: 0.02,
            ..member(offset)
        };
        assert_eq!(
            survivors(&[noisy(0.0), noisy(1.0), noisy(2.0), noisy(9.0)]),
            [true; 4]
        );
    }

    #[test]
    fn a_preferred_one_is_not_cast_out() {
        let preferred = Member {
            prefer: true,
            ..member(8.0)
        };
        assert_eq!(
            survivors(&[member(0.0), member(0.05), preferred, member(0.1)]),
            [true; 4]
        );
    }

    #[test]
    fn of_two_alike_the_last_survivor_stays() {
        let ends = |loyal_first: bool| {
            let loyal = |offset, loyal| Member {
                loyal,
                ..member(offset)
            };
            survivors(&[
                loyal(-4.0, loyal_first),
                member(0.0),
                member(0.0),
                loyal(4.0, !loyal_first),
            ])
        };
        assert!(ends(true)[0] && !ends(true)[3]);
        assert!(ends(false)[3] && !ends(false)[0]);
    }
}
