//! What is known of the oscillator from before the oldest exchange.
//!
//! In: what an earlier run found out, and every decision. Out: a [`Prior`] for the estimates. What a decision says of the rate is
//! kept back until nothing is left of what it was found from, so that nothing counts twice.

use super::bound::Interval;
use super::estimate::Prior;
use super::filter;
use super::snapshot::Decision;
use super::time::{Rate, Raw};

/// A rate that is not known better than this is that of any oscillator.
const WORTH_KEEPING: Rate = Rate::from_ppm(20);

/// How much the rate of a quartz may change with the temperature from one hour to the next (one sigma).
const WARMTH: Rate = Rate::from_ppm(1);

/// The rate, as it was.
#[derive(Debug, Default)]
pub(super) struct Oscillator {
    prior: Prior,
    /// What will be known, when all that it was found from is forgotten.
    learned: Option<(Raw, Rate)>,
    /// What the last decision found out, if that is worth keeping.
    last: Option<Rate>,
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
        let half_width = Rate::from_ppt(hi.as_ppt().saturating_sub(lo.as_ppt()) / 2);
        self.last = (half_width < WORTH_KEEPING).then_some(decision.rate);
        let Some(rate) = self.last else {
            return;
        };
        match self.learned {
            Some((since, _)) if decision.at - since <= filter::MEMORY => {}
            Some((_, learned)) => {
                self.adopt(learned);
                self.learned = Some((decision.at, rate));
            }
            None => self.learned = Some((decision.at, rate)),
        }
    }

    /// All exchanges are gone: of what the last decision was found from, none is left.
    pub(super) fn forget(&mut self) {
        if let Some(rate) = self.last {
            self.adopt(rate);
        }
        self.distrust();
    }

    /// What the last hour said of the rate need not be so any more.
    pub(super) fn distrust(&mut self) {
        self.learned = None;
        self.last = None;
    }

    fn adopt(&mut self, rate: Rate) {
        self.prior = Prior {
            rate,
            sigma: WARMTH,
        };
    }
}
