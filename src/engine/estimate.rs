//! The estimate: the best guess inside the bound.
//!
//! A line fitted through the middles of the exchanges, each counting the less the more its delay exceeds the
//! least one seen (queueing noise is one-sided) and the older it is; in the spirit of RADclock (Veitch, Ridoux).
//! Floating point is used here and only here, on differences from a base that are small.

use super::bound::Fit;
use super::exchange::Exchange;
use super::time::{Rate, Raw, Span, Theta};

/// Age at which an exchange counts 1/e for the offset.
const MEMORY_S: f64 = 900.0;

/// What is known of the oscillator's rate before any exchange. It keeps the first few from being read as a huge rate, and
/// fades as they become more. It never touches the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prior {
    /// The best guess.
    pub rate: Rate,
    /// One sigma of it (> 0).
    pub sigma: Rate,
}

impl Default for Prior {
    /// How far oscillators usually are from their nominal rate.
    fn default() -> Self {
        Self {
            rate: Rate::from_ppt(0),
            sigma: Rate::from_ppm(20),
        }
    }
}

/// Best guess at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Universal time minus raw clock.
    pub theta: Theta,
    /// How fast that changes.
    pub rate: Rate,
    /// Weighted RMS of what the exchanges are off the fitted line.
    pub jitter: Span,
}

/// One exchange as the fit sees it, in seconds from now and from the base.
struct Sample {
    time: f64,
    offset: f64,
    /// Delay above the least one.
    excess: f64,
}

impl Estimate {
    /// The estimate for `now` from exchanges before it, clamped into what `fit` allows; `None` without any exchange.
    pub fn new<'a>(
        exchanges: impl Iterator<Item = &'a Exchange> + Clone,
        fit: &Fit,
        prior: Prior,
        now: Raw,
    ) -> Option<Self> {
        let base = fit.bound.middle();
        let least = exchanges.clone().map(Exchange::delay).min()?;
        let samples: Vec<Sample> = exchanges
            .map(|exchange| Sample {
                time: (exchange.midway() - now).as_secs_f64(),
                offset: (exchange.middle() - base).as_secs_f64(),
                excess: (exchange.delay() - least).as_secs_f64(),
            })
            .collect();
        let scale = excess_scale(&samples, least.as_secs_f64());
        let quality = |sample: &Sample| (-(sample.excess / scale).powi(2)).exp();

        // A few exchanges may by chance agree in delay and still be off by as much as half of it.
        let noise = scale.max(least.as_secs_f64() / samples.len() as f64);
        let rate = fitted_slope(&samples, quality, noise, prior);
        let rate = fit
            .rates
            .clamp(Rate::from_ppt((rate * 1e12).round() as i64));

        let slope = rate.as_ppt() as f64 / 1e12;
        let flat = |sample: &Sample| sample.offset - slope * sample.time;
        let fading = |sample: &Sample| quality(sample) * (sample.time / MEMORY_S).exp();
        let offset = weighted_mean(&samples, fading, flat);
        let variance = weighted_mean(&samples, fading, |sample| (flat(sample) - offset).powi(2));
        Some(Self {
            theta: fit.bound.clamp(base + Span::from_secs_f64(offset)),
            rate,
            jitter: Span::from_secs_f64(variance.sqrt()),
        })
    }
}

/// How much delay above the least one is usual: the lower quartile, and never so little that a single exchange
/// decides alone.
fn excess_scale(samples: &[Sample], least_delay_s: f64) -> f64 {
    let mut excesses: Vec<f64> = samples.iter().map(|sample| sample.excess).collect();
    excesses.sort_by(f64::total_cmp);
    excesses[excesses.len() / 4]
        .max(0.02 * least_delay_s)
        .max(1e-6)
}

/// Least-squares slope, drawn towards the prior as long as the samples say little.
fn fitted_slope(
    samples: &[Sample],
    weight: impl Fn(&Sample) -> f64,
    noise: f64,
    prior: Prior,
) -> f64 {
    let slope = |rate: Rate| rate.as_ppt() as f64 / 1e12;
    let time = weighted_mean(samples, &weight, |sample| sample.time);
    let offset = weighted_mean(samples, &weight, |sample| sample.offset);
    let (mut covariance, mut variance) = (0.0, 0.0);
    for sample in samples {
        let (weight, apart) = (weight(sample), sample.time - time);
        covariance += weight * apart * (sample.offset - offset);
        variance += weight * apart * apart;
    }
    // At least 1 ppt: a prior is a guess, whoever made it.
    let stiffness = (noise / slope(prior.sigma).max(1e-12)).powi(2);
    (covariance + stiffness * slope(prior.rate)) / (variance + stiffness)
}

/// Mean of `value` by `weight`. Some exchange has the least delay and so a weight that is not zero; only age can fade
/// it, and not below what a float holds within the filter's memory.
fn weighted_mean(
    samples: &[Sample],
    weight: impl Fn(&Sample) -> f64,
    value: impl Fn(&Sample) -> f64,
) -> f64 {
    let (sum, total) = samples.iter().fold((0.0, 0.0), |(sum, total), sample| {
        let weight = weight(sample);
        (sum + weight * value(sample), total + weight)
    });
    sum / total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::bound::Limits;
    use crate::engine::time::Utc;
    use proptest::prelude::*;

    /// One exchange a 16 s, delays in µs each way, the server's clock drifting by `ppb`.
    fn history(delays: &[(i64, i64)], ppb: i64) -> (Vec<Exchange>, Raw) {
        let at = |k: usize| Raw::from_nanos(k as i64 * 16_000_000_000);
        let exchanges = delays.iter().enumerate().map(|(k, &(up, down))| {
            let (up, down) = (Span::from_micros(up), Span::from_micros(down));
            let arrival = at(k) + up;
            let stamp =
                Utc::from_nanos((arrival + Rate::from_ppb(ppb).over(arrival - at(0))).as_nanos());
            Exchange::new(at(k), arrival + down, stamp, stamp, None).expect("possible")
        });
        (exchanges.collect(), at(delays.len()))
    }

    fn estimate(exchanges: &[Exchange], now: Raw) -> (Estimate, Fit) {
        estimate_with(exchanges, Prior::default(), now)
    }

    fn estimate_with(exchanges: &[Exchange], prior: Prior, now: Raw) -> (Estimate, Fit) {
        let fit = Limits::new(exchanges.iter(), now)
            .fit()
            .expect("an honest history fits");
        let estimate = Estimate::new(exchanges.iter(), &fit, prior, now);
        (estimate.expect("there are exchanges"), fit)
    }

    fn prior(ppb: i64, sigma_ppb: i64) -> Prior {
        Prior {
            rate: Rate::from_ppb(ppb),
            sigma: Rate::from_ppb(sigma_ppb),
        }
    }

    #[test]
    fn a_rate_that_is_known_holds_until_the_exchanges_say_more() {
        let known = prior(40_000, 1_000);
        let (few, soon) = history(
            &[(10_000, 12_000), (11_000, 10_000), (10_000, 10_500)],
            40_000,
        );
        let rate = |exchanges, prior, now| estimate_with(exchanges, prior, now).0.rate.as_ppb();
        assert!((rate(&few, known, soon) - 40_000).abs() < 1_000);
        let unknown = rate(&few, Prior::default(), soon);
        assert!((unknown - 40_000).abs() > 10_000, "{unknown}");
        let (many, late) = history(&[(10_000, 10_000); 200], 10_000);
        assert!(
            (rate(&many, known, late) - 10_000).abs() < 100,
            "a wrong one fades"
        );
    }

    #[test]
    fn an_exchange_with_a_long_delay_hardly_counts() {
        let mut delays = vec![(10_000, 10_000); 40];
        delays[20] = (90_000, 10_000);
        delays[39] = (10_000, 90_000);
        let (exchanges, now) = history(&delays, 0);
        let (estimate, _) = estimate(&exchanges, now);
        assert!(estimate.theta.as_nanos().abs() < 20_000, "{estimate:?}");
    }

    #[test]
    fn the_rate_of_the_oscillator_is_found() {
        let (exchanges, now) = history(&[(10_000, 10_000); 200], 30_000);
        let (estimate, _) = estimate(&exchanges, now);
        assert!((estimate.rate.as_ppb() - 30_000).abs() < 50, "{estimate:?}");
        let truth = Rate::from_ppb(30_000)
            .over(now - Raw::from_nanos(0))
            .as_nanos();
        assert!(
            (estimate.theta.as_nanos() - truth).abs() < 50_000,
            "{estimate:?}"
        );
    }

    #[test]
    fn two_exchanges_are_not_read_as_a_huge_rate() {
        let (exchanges, now) = history(&[(1_000, 9_000), (9_000, 1_000)], 0);
        let (estimate, _) = estimate(&exchanges, now);
        assert!(estimate.rate.as_ppb().abs() < 20_000, "{estimate:?}");
    }

    proptest! {
        #[test]
        fn the_estimate_is_inside_the_bound(
            delays in prop::collection::vec((10i64..200_000, 10i64..200_000), 1..100),
            ppb in -400_000i64..400_000,
            (known_ppb, sigma_ppb) in (-600_000i64..600_000, 0i64..100_000),
        ) {
            let (exchanges, now) = history(&delays, ppb);
            let (estimate, fit) = estimate_with(&exchanges, prior(known_ppb, sigma_ppb), now);
            prop_assert!(fit.bound.lo <= estimate.theta && estimate.theta <= fit.bound.hi);
            prop_assert!(fit.rates.lo <= estimate.rate && estimate.rate <= fit.rates.hi);
            prop_assert!(estimate.jitter >= Span::ZERO);
        }
    }
}
