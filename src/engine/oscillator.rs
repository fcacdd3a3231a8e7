//! What is known of the oscillator from before the oldest exchange.
//!
//! In: what an earlier run found out, and every decision. Out: a [`Prior`] for the estimates. What a decision says of the rate is
//! kept back until nothing is left of what it was found from, so that nothing counts twice.

use super::bound::Interval;
use super::estimate::Prior;
use super::filter;
use super::snapshot::Decision;
use super::time::{Rate, Raw};

/// How much the rate of a quartz may change with the temperature from one hour to the next (one sigma).
const WARMTH: Rate = Rate::from_ppm(1);

/// The best guess is as much better than what is proven: one sigma of it is such a part of that half-width.
const BETTER_THAN_PROVEN: i64 = 8;

/// What was found out later replaces what was known before if it is no less sure than that, or than this.
const SURE: Rate = Rate::from_ppt(2_500_000);

/// The rate, as it was.
#[derive(Debug, Default)]
pub(super) struct Oscillator {
    prior: Prior,
    /// What will be known, when all that it was found from is forgotten.
    learned: Option<(Raw, Prior)>,
    /// What the last decision found out.
    last: Option<Prior>,
}

impl Oscillator {
    /// What estimates may lean on.
    pub(super) fn prior(&self) -> Prior {
        self.prior
    }

    /// Takes over what somebody else found out, unless it is known better.
    pub(super) fn remember(&mut self, prior: Prior) {
        if prior.sigma < self.prior.sigma {
            self.prior = prior;
        }
    }

    /// Keeps what a decision says until it is older than any exchange that is remembered.
    pub(super) fn learn(&mut self, decision: &Decision) {
        let Interval { lo, hi } = decision.rates;
        let half_width = hi.as_ppt().saturating_sub(lo.as_ppt()) / 2;
        let sigma = Rate::from_ppt(half_width / BETTER_THAN_PROVEN).max(WARMTH);
        let found = Prior {
            rate: decision.rate,
            sigma,
        };
        self.last = Some(found);
        match self.learned {
            Some((since, _)) if decision.at - since <= filter::MEMORY => {}
            Some((_, learned)) => {
                self.adopt(learned);
                self.learned = Some((decision.at, found));
            }
            // Something better will come soon, and would have to wait for an hour behind it.
            None if sigma > SURE => {}
            None => self.learned = Some((decision.at, found)),
        }
    }

    /// All exchanges are gone: of what the last decision was found from, none is left.
    pub(super) fn forget(&mut self) {
        if let Some(found) = self.last {
            self.adopt(found);
        }
        self.distrust();
    }

    /// What the last hour said of the rate need not be so any more.
    pub(super) fn distrust(&mut self) {
        self.learned = None;
        self.last = None;
    }

    fn adopt(&mut self, found: Prior) {
        if found.sigma <= self.prior.sigma.max(SURE) {
            self.prior = found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bound::Bound;
    use super::super::leap::Leap;
    use super::super::time::{Span, Theta};
    use super::*;

    /// A decision that it runs at 50 ppm, when so many ppm either way are proven.
    fn decision(seconds: i64, proven: i64) -> Decision {
        let theta = Theta::from_nanos(0);
        Decision {
            at: Raw::from_nanos(0) + Span::from_secs(seconds),
            theta,
            bound: Bound {
                lo: theta,
                hi: theta,
            },
            rate: Rate::from_ppm(50),
            rates: Interval {
                lo: Rate::from_ppm(50 - proven),
                hi: Rate::from_ppm(50 + proven),
            },
            jitter: Span::ZERO,
            leap: Leap::None,
        }
    }

    fn known(ppm: i64, sigma_ppb: i64) -> Prior {
        Prior {
            rate: Rate::from_ppm(ppm),
            sigma: Rate::from_ppt(sigma_ppb * 1_000),
        }
    }

    #[test]
    fn what_a_few_minutes_told_is_kept_over_a_break_as_far_as_it_was_proven() {
        let after = |proven: i64| {
            let mut oscillator = Oscillator::default();
            oscillator.learn(&decision(16, proven));
            assert_eq!(oscillator.prior(), Prior::default());
            oscillator.forget();
            oscillator.prior()
        };
        assert_eq!(after(1), known(50, 1_000));
        assert_eq!(after(40), known(50, 5_000));
        assert_eq!(after(400), Prior::default());
    }

    #[test]
    fn what_is_known_better_already_is_not_lost_to_a_few_minutes() {
        let after = |proven: i64| {
            let mut oscillator = Oscillator::default();
            oscillator.remember(known(40, 1_200));
            oscillator.learn(&decision(16, proven));
            oscillator.forget();
            oscillator.prior()
        };
        assert_eq!(after(40), known(40, 1_200));
        assert_eq!(after(16), known(50, 2_000));
    }

    #[test]
    fn what_the_first_minutes_told_does_not_keep_back_for_an_hour_what_is_known_soon_after() {
        let mut oscillator = Oscillator::default();
        for (seconds, proven) in [(16, 160), (600, 16), (4_216, 1)] {
            oscillator.learn(&decision(seconds, proven));
        }
        assert_eq!(oscillator.prior(), known(50, 2_000));
    }

    #[test]
    fn nothing_counts_before_what_it_was_found_from_is_forgotten_nor_when_it_was_distrusted() {
        let mut oscillator = Oscillator::default();
        oscillator.learn(&decision(16, 1));
        oscillator.learn(&decision(3_600, 1));
        assert_eq!(oscillator.prior(), Prior::default());
        oscillator.learn(&decision(3_632, 1));
        assert_eq!(oscillator.prior(), known(50, 1_000));

        let mut oscillator = Oscillator::default();
        oscillator.learn(&decision(16, 1));
        oscillator.distrust();
        oscillator.forget();
        assert_eq!(oscillator.prior(), Prior::default());
    }
}
