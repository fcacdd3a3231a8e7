//! Combine algorithm (RFC 5905 §11.2.3): one estimate out of the survivors', each weighted by the inverse of its
//! uncertainty; only the preferred ones, if any survive.

use super::cluster::Member;

/// Mean of what the survivors say, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Combined {
    /// Weighted mean of the estimates, from the members' base.
    pub offset_s: f64,
    /// RMS of the survivors' own jitter and of their distance from the mean (system jitter, RFC 5905 §11.2.3).
    pub jitter_s: f64,
    /// Weighted mean of the rates.
    pub rate: f64,
}

/// No estimate is surer than a clock's resolution; a weight is finite.
const LEAST_UNCERTAINTY_S: f64 = 1e-9;

/// Combines survivors with their rates; `None` when there are none.
pub fn combine(survivors: &[(Member, f64)]) -> Option<Combined> {
    let preferred = survivors.iter().any(|(member, _)| member.prefer);
    let heard = || {
        survivors
            .iter()
            .filter(move |(member, _)| member.prefer || !preferred)
    };
    let mean = |value: &dyn Fn(&(Member, f64)) -> f64| {
        let (sum, total) = heard().fold((0.0, 0.0), |(sum, total), survivor| {
            let weight = 1.0 / survivor.0.uncertainty_s.max(LEAST_UNCERTAINTY_S);
            (sum + weight * value(survivor), total + weight)
        });
        sum / total
    };
    heard().next()?;
    let offset_s = mean(&|(member, _)| member.offset_s);
    let own = mean(&|(member, _)| member.jitter_s.powi(2));
    let spread = mean(&|(member, _)| (member.offset_s - offset_s).powi(2));
    Some(Combined {
        offset_s,
        jitter_s: (own + spread).sqrt(),
        rate: mean(&|(_, rate)| *rate),
    })
}

#[cfg(test)]
mod tests {
    use super::super::cluster::Likely;
    use super::*;

    fn member(offset_s: f64, uncertainty_s: f64) -> Member {
        Member {
            offset_s,
            uncertainty_s,
            credible: Likely::ANYWHERE,
            operator: 0,
            jitter_s: 0.0,
            loyal: false,
            prefer: false,
        }
    }

    #[test]
    fn the_surer_one_counts_the_more() {
        let combined =
            combine(&[(member(0.0, 0.001), 0.0), (member(0.004, 0.003), 4e-6)]).expect("two");
        assert!((combined.offset_s - 0.001).abs() < 1e-12);
        assert!((combined.rate - 1e-6).abs() < 1e-15);
        assert!(combined.jitter_s > 0.001);
    }

    #[test]
    fn only_the_preferred_ones_count_if_there_are_any() {
        let preferred = Member {
            prefer: true,
            ..member(0.004, 0.5)
        };
        let combined = combine(&[(member(0.0, 0.001), 0.0), (preferred, 0.0)]).expect("two");
        assert_eq!(combined.offset_s, 0.004);
    }

    #[test]
    fn nobody_gives_nothing_and_certainty_is_no_infinity() {
        assert_eq!(combine(&[]), None);
        assert!(
            combine(&[(member(0.0, 0.0), 0.0)])
                .expect("one")
                .offset_s
                .is_finite()
        );
    }
}
