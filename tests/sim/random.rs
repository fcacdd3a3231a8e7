//! Chance that a seed decides: the same on every machine, in every run.

use webntpd::engine::time::Span;

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Chance for another thing, which does not depend on how often this one is asked later.
    pub(crate) fn branch(&mut self) -> Self {
        Self(self.bits())
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly from 0 up to, not including, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Evenly from `lo` to `hi`.
    pub(crate) fn within(&mut self, lo: f64, hi: f64) -> f64 {
        lo + (hi - lo) * self.unit()
    }

    /// Whether something of this probability happens.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `0..count`.
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        (self.bits() % count as u64) as usize
    }

    /// Gaussian, of mean 0 and variance 1.
    pub(crate) fn gauss(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A wait of this mean, memoryless.
    pub(crate) fn exponential(&mut self, mean_s: f64) -> f64 {
        -mean_s * (1.0 - self.unit()).ln()
    }

    /// A wait with a heavy tail (Pareto, α = 1.5): of infinite variance, at least `least_s`.
    pub(crate) fn pareto(&mut self, least_s: f64) -> f64 {
        least_s * (1.0 - self.unit()).powf(-1.0 / 1.5)
    }

    /// How late a task has its turn: mostly some tens of microseconds, now and then much more.
    pub(crate) fn lateness(&mut self) -> Span {
        let late_s = if self.happens(0.001) {
            self.within(0.001, 0.2)
        } else {
            self.exponential(60e-6)
        };
        Span::from_secs_f64(late_s)
    }

    /// How much earlier or later than the packet a program's own stamp is.
    pub(crate) fn stamp_noise(&mut self) -> Span {
        Span::from_secs_f64(1e-6 + self.exponential(4e-6))
    }
}
