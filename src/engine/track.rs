//! The track of an oscillator: what is believed of its offset, its rate and the route's bias, from one exchange to the next.
//!
//! In: times, and intervals in which the offset lies but for a little. Out: the offset and the rate as a normal distribution, and how
//! likely the intervals were. The rate is taken for a random walk. An interval is neither a value nor its noise: a wide one
//! says nothing as long as the belief lies inside, and many of them close in on the truth from both sides like 1/n.
//!
//! A Kalman filter whose update takes the moments of a normal distribution cut off at both ends (Minka's assumed-density
//! filtering), all in seconds from bases that are near.

use super::route::Bias;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// What is believed at one instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Track {
    /// Variance of the rate's random walk after a second.
    wander: f64,
    time: f64,
    /// The offset, its rate, and the bias of what is seen of it.
    state: [f64; 3],
    covariance: [[f64; 3]; 3],
    /// Logarithm of the likelihood of what was seen, the older the less.
    evidence: f64,
    /// How many windows were off what was believed, and the sum of the squares of how far.
    surprises: usize,
    surprise: f64,
}

/// Between these the offset lies, and beyond by a normal error of `softness` (> 0).
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) time: f64,
    pub(super) middle: f64,
    /// Half of the width.
    pub(super) half: f64,
    pub(super) softness: f64,
}

impl Track {
    /// A belief in a rate, and in an offset within `first`, which is seen with a bias.
    pub(super) fn new(first: &Window, rate: f64, sigma: f64, wander: f64, bias: Bias) -> Self {
        let spread = first.half + first.softness;
        Self {
            wander,
            time: first.time,
            state: [first.middle - bias.mean, rate, bias.mean],
            covariance: [
                [spread * spread, 0.0, 0.0],
                [0.0, sigma * sigma, 0.0],
                [0.0, 0.0, bias.variance],
            ],
            evidence: 0.0,
            surprises: 0,
            surprise: 0.0,
        }
    }

    /// Goes on to a later time.
    pub(super) fn advance(&mut self, time: f64) {
        let run = (time - self.time).max(0.0);
        let [[oo, or, ob], [_, rr, rb], [.., bb]] = self.covariance;
        self.time = time;
        self.state[0] += self.state[1] * run;
        let offset = oo + run * (2.0 * or + run * (rr + self.wander * run / 3.0));
        let both = or + run * (rr + self.wander * run / 2.0);
        let rate = rr + self.wander * run;
        let biased = ob + run * rb;
        self.covariance = [[offset, both, biased], [both, rate, rb], [biased, rb, bb]];
    }

    /// From now on the offset is seen with this bias, about which nothing was learned before.
    pub(super) fn turn(&mut self, bias: Bias) {
        self.state[2] = bias.mean;
        for k in 0..2 {
            self.covariance[k][2] = 0.0;
            self.covariance[2][k] = 0.0;
        }
        self.covariance[2][2] = bias.variance;
    }

    /// From now on the bias is another one, so far as it may have changed.
    pub(super) fn stray(&mut self, by: Bias) {
        self.state[2] += by.mean;
        self.covariance[2][2] += by.variance;
    }

    /// Takes in where the offset was seen at the present time; all that was seen before counts by `fading` for the evidence.
    pub(super) fn see(&mut self, window: &Window, fading: f64) {
        // With what is seen, the offset and the bias together.
        let seen = self.covariance.map(|row| row[0] + row[2]);
        let variance = seen[0] + seen[2] + window.softness.powi(2);
        let sigma = variance.sqrt();
        let away = (window.middle - self.state[0] - self.state[2]) / sigma;
        let half = window.half / sigma;
        let beyond = away.abs() - half;
        if beyond > SURPRISING {
            self.surprises += 1;
            self.surprise += (beyond * sigma).powi(2);
        }
        let Cut {
            mean,
            variance: left,
            likelihood,
        } = cut(away, half);
        let lost = (1.0 - left).clamp(0.0, 1.0);
        for (k, row) in self.covariance.iter_mut().enumerate() {
            let gain = seen[k] / variance;
            self.state[k] += gain * sigma * mean;
            for (covariance, seen) in row.iter_mut().zip(seen) {
                *covariance -= gain * seen * lost;
            }
        }
        self.evidence = fading * self.evidence + likelihood;
    }

    pub(super) fn offset(&self) -> f64 {
        self.state[0]
    }

    pub(super) fn rate(&self) -> f64 {
        self.state[1]
    }

    /// Variance of the offset.
    pub(super) fn variance(&self) -> f64 {
        self.covariance[0][0]
    }

    /// Variance of the rate.
    pub(super) fn rate_variance(&self) -> f64 {
        self.covariance[1][1]
    }

    /// What the offset is seen off.
    pub(super) fn bias(&self) -> Bias {
        Bias {
            mean: self.state[2],
            variance: self.covariance[2][2],
        }
    }

    /// RMS distance of the windows that were off what was believed; `None` if these are less than an eighth of `count`.
    pub(super) fn unexplained(&self, count: usize) -> Option<f64> {
        let are_many = 8 * self.surprises > count;
        are_many.then(|| (self.surprise / self.surprises as f64).sqrt())
    }

    /// Logarithm of the likelihood of what was seen lately.
    pub(super) fn evidence(&self) -> f64 {
        self.evidence
    }
}

/// The standard normal distribution, cut off.
struct Cut {
    mean: f64,
    variance: f64,
    /// Logarithm of what is left, by width.
    likelihood: f64,
}

/// A window farther off than so many sigmas is not where it was believed to be: of a thousand right ones hardly one.
const SURPRISING: f64 = 3.0;

/// Beyond so many sigmas an interval is met near its nearest end: from there on the distribution falls nearly like an exponential one.
const FAR: f64 = 5.0;

fn cut(middle: f64, half: f64) -> Cut {
    // By symmetry, what is to the right.
    if middle < 0.0 {
        let Cut {
            mean,
            variance,
            likelihood,
        } = cut(-middle, half);
        return Cut {
            mean: -mean,
            variance,
            likelihood,
        };
    }
    let (lo, hi) = (middle - half, middle + half);
    // Most windows are wide: they say nothing.
    if lo < -FAR && hi > FAR {
        return Cut {
            mean: 0.0,
            variance: 1.0,
            likelihood: 0.0,
        };
    }
    if half < 1e-3 {
        return Cut {
            mean: middle,
            variance: half * half / 3.0,
            likelihood: (2.0 * half.max(1e-9) * density(middle.min(FAR))).ln(),
        };
    }
    if lo > FAR {
        let falls = 2.0 * half * lo;
        let narrower = falls / 2.0 / (falls / 2.0).sinh();
        return Cut {
            mean: lo + (1.0 - falls / falls.exp_m1()) / lo,
            variance: (1.0 - narrower * narrower) / (lo * lo),
            likelihood: above(FAR).ln(),
        };
    }
    // Where the near end is far off, so little is left that a far end beyond counts as well.
    let left = (above(lo) - above(hi)).max(1e-300);
    let (at_lo, at_hi) = (density(lo), density(hi));
    let mean = (at_lo - at_hi) / left;
    let variance = 1.0 + (lo * at_lo - hi * at_hi) / left - mean * mean;
    Cut {
        mean,
        variance: variance.clamp(0.0, 1.0),
        likelihood: left.ln(),
    }
}

fn density(x: f64) -> f64 {
    (-x * x / 2.0).exp() / (2.0 * PI).sqrt()
}

/// How much of the standard normal distribution is above `x`, to some 10⁻⁷ of it (Press et al., Numerical Recipes §6.2: erfc by
/// Chebyshev's approximation).
fn above(x: f64) -> f64 {
    let z = x.abs() * FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    const SERIES: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let power = SERIES.iter().rev().fold(0.0, |sum, term| sum * t + term);
    let tail = 0.5 * t * (power - z * z).exp();
    if x >= 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(time: f64, middle: f64, half: f64) -> Window {
        Window {
            time,
            middle,
            half,
            softness: 1e-6,
        }
    }

    fn followed(windows: &[Window], wander: f64) -> Track {
        let mut track = Track::new(&windows[0], 0.0, 20e-6, wander, Bias::default());
        for window in windows {
            track.advance(window.time);
            track.see(window, 0.95);
        }
        track
    }

    #[test]
    fn a_window_that_holds_all_that_is_believed_says_nothing() {
        let mut track = followed(&[window(0.0, 0.0, 1e-4)], 1e-18);
        let (offset, variance) = (track.offset(), track.variance());
        track.see(&window(0.0, 0.3, 0.4), 1.0);
        assert_eq!((track.offset(), track.variance()), (offset, variance));
    }

    #[test]
    fn windows_that_touch_the_truth_on_both_sides_close_in_on_it() {
        // Each is 4 ms wide; every third begins 20 µs below the truth, every third ends as much above.
        let windows = (0..60).map(|k| {
            let middle = [0.002 - 20e-6, 0.0, -0.002 + 20e-6][k % 3];
            window(16.0 * k as f64, middle, 0.002)
        });
        let track = followed(&windows.collect::<Vec<_>>(), 1e-20);
        assert!(track.offset().abs() < 30e-6, "{track:?}");
        assert!(track.variance().sqrt() < 40e-6, "{track:?}");
    }

    #[test]
    fn the_restless_oscillator_is_the_likelier_one_after_a_change_of_rate() {
        let offset = |second: f64| 10e-6 * (second - 1_600.0f64).max(0.0);
        let windows: Vec<Window> = (0..110)
            .map(|k| 16.0 * f64::from(k))
            .map(|second| window(second, offset(second), 20e-6))
            .collect();
        let evidence = |count: usize, wander| followed(&windows[..count], wander).evidence();
        assert!(evidence(100, 1e-20) > evidence(100, 1e-16));
        assert!(evidence(110, 1e-20) < evidence(110, 1e-16));
    }

    #[test]
    fn a_turn_to_another_route_changes_the_bias_and_nothing_that_is_known_of_the_clock() {
        // Of the first route only the sum of offset and bias is known.
        let unknown = Bias {
            mean: 0.0,
            variance: 1e-6,
        };
        let mut track = Track::new(&window(0.0, 0.0, 1e-3), 0.0, 20e-6, 1e-18, unknown);
        track.see(&window(0.0, 0.0, 1e-6), 1.0);
        let known = |track: &Track| {
            let rate = (track.rate(), track.rate_variance());
            (track.offset(), track.variance(), rate)
        };
        let before = known(&track);
        let mut strayed = track;
        let bias = Bias {
            mean: 4e-3,
            variance: 1e-6,
        };
        track.turn(bias);
        assert_eq!((known(&track), track.bias()), (before, bias));
        // What is seen off by a sigma is as likely the offset's as the bias's, by their variances.
        let (offset, variance) = (track.offset(), track.variance());
        track.see(&window(0.0, offset + 4e-3 + 1e-3, 1e-7), 1.0);
        let share = variance / (variance + 1e-6);
        assert!(
            (track.offset() - offset - share * 1e-3).abs() < 1e-6,
            "{track:?}"
        );

        let first = strayed.bias();
        strayed.stray(bias);
        assert_eq!(known(&strayed), before);
        let sum = (first.mean + bias.mean, first.variance + bias.variance);
        assert_eq!((strayed.bias().mean, strayed.bias().variance), sum);
    }

    #[test]
    fn a_window_is_taken_alike_by_the_ways_to_reckon_on_either_side_of_their_limits() {
        let alike = |one: Cut, other: Cut, by: f64| {
            (one.mean - other.mean).abs() < by
                && (one.variance - other.variance).abs() < by
                && (one.likelihood - other.likelihood).abs() < by
        };
        // Narrow ones, by 1 % wider.
        for middle in [0.0, 0.5, 2.0, 4.9] {
            assert!(
                alike(cut(middle, 0.995e-3), cut(middle, 1.005e-3), 0.02),
                "{middle}"
            );
        }
        // Far ones; an exponential distribution is not quite the right one.
        for half in [0.01, 0.1, 1.0, 10.0] {
            let (near, far) = (cut(FAR + half - 1e-6, half), cut(FAR + half + 1e-6, half));
            assert!((near.mean - far.mean).abs() < 0.015, "{half}");
            assert!((near.variance - far.variance).abs() < 0.01, "{half}");
        }
    }

    proptest! {
        #[test]
        fn the_moments_are_those_of_a_sum_over_the_cut_distribution(middle in -FAR..FAR, half in 0.01f64..8.0) {
            let (steps, mut sums) = (20_000, [0.0f64; 3]);
            for step in 0..steps {
                let x = middle + half * (2.0 * (f64::from(step) + 0.5) / f64::from(steps) - 1.0);
                let weight = density(x) * 2.0 * half / f64::from(steps);
                sums = [sums[0] + weight, sums[1] + weight * x, sums[2] + weight * x * x];
            }
            let mean = sums[1] / sums[0];
            let cut = cut(middle, half);
            prop_assert!((cut.mean - mean).abs() < 2e-4, "{} {mean}", cut.mean);
            prop_assert!((cut.variance - (sums[2] / sums[0] - mean * mean)).abs() < 2e-3, "{}", cut.variance);
            prop_assert!((cut.likelihood - sums[0].ln()).abs() < 1e-3, "{}", cut.likelihood);
        }

        #[test]
        fn however_far_a_window_is_what_is_believed_is_met_inside(beyond in -2.0f64..3.0, half in -4.0f64..1.0) {
            let (middle, half) = (FAR + 10f64.powf(beyond), 10f64.powf(half));
            let cut = cut(middle, half);
            prop_assert!((cut.mean - middle).abs() <= half, "{}", cut.mean);
            prop_assert!((0.0..=half * half / 3.0 + 2e-4).contains(&cut.variance), "{}", cut.variance);
        }

        #[test]
        fn nothing_absurd_gives_what_is_no_number(
            seen in prop::collection::vec((0.0f64..100.0, -1e9f64..1e9, 0.0f64..1e9, 1e-7f64..1.0), 1..40),
        ) {
            let mut time = 0.0;
            let windows = seen.into_iter().map(|(wait, middle, half, softness)| {
                time += wait;
                Window { time, middle, half, softness }
            });
            let track = followed(&windows.collect::<Vec<_>>(), 3e-16);
            prop_assert!(track.offset().is_finite() && track.rate().is_finite() && track.evidence().is_finite());
            prop_assert!(track.variance() >= 0.0 && track.rate_variance() >= 0.0, "{track:?}");
        }
    }
}
