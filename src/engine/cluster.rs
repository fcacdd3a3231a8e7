//! Cluster algorithm (RFC 5905 §11.2.2): casts out the truechimers whose estimates stand apart from the others, as long
//! as that makes the rest agree better than each agrees with itself.

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
    /// Half-width of its bound.
    pub uncertainty_s: f64,
    /// Whether it took part in the last decision.
    pub loyal: bool,
    /// Whether the operator wants it kept.
    pub prefer: bool,
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

    #[test]
    fn the_one_that_stands_apart_is_cast_out() {
        let members = [member(0.0), member(0.05), member(8.0), member(0.1)];
        assert_eq!(survivors(&members), [true, true, false, true]);
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
