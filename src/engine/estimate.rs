//! The estimate: the best guess inside the bound.
//!
//! Queues are one-sided: an exchange that took longer than the least one by so much says that the offset lies within half of that
//! of its middle, and nothing more. Such windows, far narrower than the proven intervals, are followed by tracks of
//! oscillators of different restlessness; the likelier the recent windows are to one, the more it counts. So the memory is
//! long while the rate is steady and short after it has changed. Windows that fit no track have been taken too narrow, and are made
//! wider until one does. What a longer route is off on one way is a third unknown beside the offset and its
//! rate (`route`).
//! Floating point is used here and below and nowhere else, on differences from a base that are small.

use super::bound::{Bound, Fit, Interval};
use super::edge::Edge;
use super::exchange::Exchange;
use super::route::{Bias, Change, Detour, Routes, Stretch};
use super::time::{Rate, Raw, Span, Theta};
use super::track::{Track, Window};

/// Variances of the rate after a second, from an oscillator in a cellar to one that is suddenly warmed. In `benches/filter`, with
/// 6e-16 for the last errors are 2 % smaller, and a tenth greater after a change of rate; with 3e-16 a fourteenth smaller, and half
/// as much again after such a change.
const WANDERS: [f64; 3] = [3e-20, 6e-18, 1e-15];

/// What of the evidence is left after each further exchange. With 0.9 and 0.98 the errors in `benches/filter` are the same within
/// 1 %.
const FADING: f64 = 0.95;

/// The least exchange was quicker than this many others by about as much as it was itself slower than the path: delays of two
/// queues thin out towards the least like the square root of their rank. With 2, errors in `benches/filter` are a seventh
/// greater, with 8 a twentieth.
const RANK: usize = 4;

/// How soft the ends of a window are, by what the least exchange may have missed. With 0.3 errors in `benches/filter` are
/// a twelfth greater, with 0.03 a sixteenth.
const SOFTNESS: f64 = 0.1;

/// Less evidence than this (a logarithm) even for the likeliest track tells that windows contradict each other: then the least
/// exchange was a slow one, too, and has missed more. Where this is so in `benches/filter`, an estimate from the windows as they
/// are is off by three to eight of its own sigmas. With -6 the gain is half as much, with -2 errors in a LAN are a tenth greater.
const CONTRADICTION: f64 = -3.0;

/// By what the least exchange is then taken to have missed more. With 1.5, errors are 2 % greater.
const MISSED_MORE: f64 = 2.0;

/// How often windows are made wider, or their ends softer when a server's stamps are off by more than its delays explain.
const MOST_TRIES: usize = 3;

/// The least that is taken for missed (seconds): stamps are no finer in practice.
const LEAST_MISSED_S: f64 = 1e-7;

/// Age at which an exchange counts 1/e for the jitter (seconds).
const JITTER_MEMORY_S: f64 = 900.0;

/// One sigma of a prior is at least 1 ppt: it is a guess, whoever made it.
const LEAST_SIGMA: f64 = 1e-12;

/// A source has a word on the rate when its variance is so many times less than the prior's: taking that out makes errors the greater
/// the less there was beside it. With 2, one of three over LTE that creeps after hours leads the offset by up to 10 ms, with this by 3 ms.
const TELLING: f64 = 1.25;

/// So many sigmas from a prior it is found to be wrong.
const REFUTED: f64 = 2.0;

/// Then an estimate clings to that end of what its windows allow which is the nearest, with a sigma that says only how hard: that of the
/// prior, by how many of these it is away. Well below that it is the windows that tell.
const CLINGING: f64 = 0.25;

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
    /// One sigma of `theta`, if both ways have the same least delay; no more than the half-width of the bound.
    pub error: Span,
    /// One sigma of `rate`.
    pub rate_error: Rate,
    /// Weighted RMS of what the exchanges are off the fitted line.
    pub jitter: Span,
}

/// One exchange in seconds from now and from the base.
struct Sample {
    time: f64,
    offset: f64,
    /// Delay above the least one, whole seconds left out.
    excess: f64,
    /// The second that the server tells, if it tells whole ones.
    whole: f64,
    /// How much of the interval is the coarseness of the server's stamp.
    coarseness: f64,
}

impl Estimate {
    /// The estimate for `now` from exchanges before it, clamped into what `fit` allows; `None` without any exchange.
    pub fn new<'a>(
        exchanges: impl Iterator<Item = &'a Exchange> + Clone,
        fit: &Fit,
        prior: Prior,
        now: Raw,
    ) -> Option<Self> {
        Self::along(exchanges, fit, prior, None, now).map(|(estimate, _)| estimate)
    }

    /// The same with what is known of the route, and what is known of it then.
    pub(super) fn along<'a>(
        exchanges: impl Iterator<Item = &'a Exchange> + Clone,
        fit: &Fit,
        prior: Prior,
        known: Option<Detour>,
        now: Raw,
    ) -> Option<(Self, Option<Detour>)> {
        let base = fit.bound.middle();
        let exchanges = exchanges.map(Exchange::likely);
        let path = |exchange: &Exchange| exchange.delay() - exchange.whole();
        let least = exchanges.clone().map(|exchange| path(&exchange)).min()?;
        let edge = edge(exchanges.clone(), prior, now);
        let mut samples: Vec<Sample> = exchanges
            .map(|exchange| Sample {
                time: (exchange.midway() - now).as_secs_f64(),
                offset: (exchange.middle() - base).as_secs_f64(),
                excess: (path(&exchange) - least).as_secs_f64(),
                whole: exchange.whole().as_secs_f64(),
                coarseness: exchange.coarseness().as_secs_f64(),
            })
            .collect();
        let excesses: Vec<f64> = samples.iter().map(|sample| sample.excess).collect();
        let routes = Routes::new(&excesses, least, known);
        let journeys = journeys(&mut samples, &routes, least.as_secs_f64());
        let mut belief = belief(&samples, &journeys, &routes, prior);
        let detour = routes.detour(belief.bias);
        if let Some(routes) = routes.with_surer(detour) {
            belief = self::belief(&samples, &journeys, &routes, prior);
        }
        let rate = fit.rates.clamp(in_ppt(belief.rate));
        let guess = base + Span::from_secs_f64(belief.offset);
        let error = Span::from_secs_f64(belief.variance.sqrt());
        let latest = journeys.last()?;
        let estimate = Self {
            theta: fit
                .bound
                .clamp(edge.map_or(guess, |edge| joined(guess, error, &edge))),
            rate,
            error: edge
                .map_or(error, |edge| edge.half_width().min(error))
                .min(fit.bound.half_width()),
            rate_error: in_ppt(belief.rate_variance.sqrt()),
            jitter: jitter(
                &samples[latest.from..],
                latest.least_delay,
                belief.offset + belief.bias.mean,
                slope(rate),
            ),
        };
        Some((estimate, detour))
    }

    /// What its own exchanges tell of the rate, without the `prior` on which all sources lean: what they lean on must not count once for
    /// each of them.
    pub(super) fn own_rate(&self, prior: Prior) -> OwnRate {
        let (rate, variance) = (slope(self.rate), slope(self.rate_error).powi(2));
        let known = slope(prior.sigma).max(LEAST_SIGMA).powi(2);
        let from_prior = rate - slope(prior.rate);
        let is_refuted = from_prior.powi(2) > REFUTED.powi(2) * known;
        let may_cling = variance * from_prior.powi(2) > (CLINGING * known).powi(2);
        if is_refuted && may_cling {
            return OwnRate {
                rate,
                sigma: variance.sqrt(),
                further: f64::INFINITY.copysign(from_prior),
            };
        }
        let (leaning, sigma) = if TELLING * variance > known {
            (0.0, f64::INFINITY)
        } else {
            let leaning = variance / (known - variance);
            (leaning, (variance * (1.0 + leaning)).sqrt())
        };
        OwnRate {
            rate: rate + leaning * from_prior,
            sigma,
            further: 0.0,
        }
    }
}

/// The rate by the exchanges of one source alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnRate {
    /// Best guess.
    pub(super) rate: f64,
    /// One sigma of it; infinite as long as they tell little beside what was known before.
    pub(super) sigma: f64,
    /// By how much the rate may differ further, and in which direction.
    pub(super) further: f64,
}

/// The exchanges by one route, from one change to the next.
struct Journey {
    from: usize,
    /// Of the route, as far as is seen.
    least_delay: f64,
    /// By how much even the quickest exchange was slower than the route allows.
    missed: f64,
}

/// Makes the excess of each sample that above the least of its own route.
fn journeys(samples: &mut [Sample], routes: &Routes, least_delay: f64) -> Vec<Journey> {
    let starts = routes.stretches.iter().map(|stretch| stretch.from);
    let ends = starts.skip(1).chain([samples.len()]);
    let journey = |(stretch, end): (&Stretch, usize)| {
        let of_route = &mut samples[stretch.from..end];
        for sample in of_route.iter_mut() {
            sample.excess -= stretch.longer;
        }
        let least_delay = least_delay + stretch.longer;
        Journey {
            from: stretch.from,
            least_delay,
            missed: missed(of_route, least_delay),
        }
    };
    routes.stretches.iter().zip(ends).map(journey).collect()
}

/// Where the edge between two seconds was found to be, if the exchanges tell whole seconds.
fn edge(exchanges: impl Iterator<Item = Exchange>, prior: Prior, now: Raw) -> Option<Bound> {
    let exchanges: Vec<Exchange> = exchanges.collect();
    exchanges.last().filter(|last| last.whole() > Span::ZERO)?;
    let ppt = |sigmas: i64| {
        prior
            .rate
            .as_ppt()
            .saturating_add(prior.sigma.as_ppt().saturating_mul(sigmas))
    };
    let rates = Interval {
        lo: Rate::from_ppt(ppt(-3)),
        hi: Rate::from_ppt(ppt(3)),
    };
    Edge::of(exchanges.iter()).left_within(rates, now)
}

/// What the tracks and the search make of the edge together, as if neither knew what the other does: too few exchanges lead the
/// tracks astray.
fn joined(guess: Theta, sigma: Span, edge: &Bound) -> Theta {
    let (sigma, uniform) = (
        sigma.as_secs_f64(),
        (edge.hi - edge.lo).as_secs_f64() / 12f64.sqrt(),
    );
    let total = (sigma * sigma + uniform * uniform).max(f64::MIN_POSITIVE);
    let from_middle = (guess - edge.middle()).as_secs_f64() * uniform * uniform / total;
    edge.clamp(edge.middle() + Span::from_secs_f64(from_middle))
}

/// What the tracks together say of now.
struct Belief {
    offset: f64,
    rate: f64,
    variance: f64,
    rate_variance: f64,
    /// What the latest exchanges are off.
    bias: Bias,
}

fn belief(samples: &[Sample], journeys: &[Journey], routes: &Routes, prior: Prior) -> Belief {
    let latest = &journeys[journeys.len() - 1];
    let mut wider = Wider {
        missed: 1.0,
        noise: 0.0,
    };
    let mut tracks = tracks(samples, journeys, routes, wider, prior);
    for _ in 0..MOST_TRIES {
        let likeliest = tracks
            .iter()
            .max_by(|a, b| a.evidence().total_cmp(&b.evidence()));
        let unexplained = likeliest.and_then(|track| track.unexplained(samples.len()));
        if let Some(noise) = unexplained.filter(|noise| *noise > wider.softness(latest)) {
            wider.noise = noise;
        } else if likeliest.is_some_and(|track| track.evidence() < CONTRADICTION) {
            wider.missed *= MISSED_MORE;
            wider.noise *= MISSED_MORE;
        } else {
            break;
        }
        tracks = self::tracks(samples, journeys, routes, wider, prior);
    }

    let most = tracks.iter().map(Track::evidence);
    let most = most.fold(f64::NEG_INFINITY, f64::max);
    let weight = |track: &Track| (track.evidence() - most).exp();
    let total: f64 = tracks.iter().map(weight).sum();
    let mean = |value: &dyn Fn(&Track) -> f64| {
        let weighted = tracks.iter().map(|track| weight(track) * value(track));
        weighted.sum::<f64>() / total
    };
    let (offset, rate) = (mean(&Track::offset), mean(&Track::rate));
    let bias = mean(&|track| track.bias().mean);
    Belief {
        offset,
        rate,
        variance: mean(&|track| track.variance() + (track.offset() - offset).powi(2)),
        rate_variance: mean(&|track| track.rate_variance() + (track.rate() - rate).powi(2)),
        bias: Bias {
            mean: bias,
            variance: mean(&|track| track.bias().variance + (track.bias().mean - bias).powi(2)),
        },
    }
}

/// How much wider than their delays say windows are.
#[derive(Clone, Copy)]
struct Wider {
    /// Factor of what the least exchange missed.
    missed: f64,
    /// How soft their ends are at least.
    noise: f64,
}

impl Wider {
    fn softness(self, journey: &Journey) -> f64 {
        (SOFTNESS * journey.missed * self.missed).max(self.noise)
    }
}

/// What each oscillator makes of the windows.
fn tracks(
    samples: &[Sample],
    journeys: &[Journey],
    routes: &Routes,
    wider: Wider,
    prior: Prior,
) -> [Track; WANDERS.len()] {
    let window = |sample: &Sample, journey: &Journey| Window {
        time: sample.time,
        middle: sample.offset,
        half: (sample.excess + wider.missed * journey.missed + sample.coarseness) / 2.0,
        softness: wider.softness(journey),
    };
    // Of the very first nothing is known but what it proves.
    let first = Window {
        half: (samples[0].excess + journeys[0].least_delay + samples[0].whole) / 2.0,
        ..window(&samples[0], &journeys[0])
    };
    let ends = journeys.iter().skip(1).map(|journey| journey.from);
    let ends: Vec<usize> = ends.chain([samples.len()]).collect();
    let sigma = slope(prior.sigma).max(LEAST_SIGMA);
    WANDERS.map(|wander| {
        let mut track = Track::new(&first, slope(prior.rate), sigma, wander, routes.first());
        for (k, (journey, end)) in journeys.iter().zip(&ends).enumerate() {
            if k > 0 {
                match routes.change(k) {
                    Change::To(bias) => track.turn(bias),
                    Change::By(bias) => track.stray(bias),
                }
            }
            for sample in &samples[journey.from..*end] {
                track.advance(sample.time);
                track.see(&window(sample, journey), FADING);
            }
        }
        track.advance(0.0);
        track
    })
}

/// By how much even the quickest exchange was slower than the path allows.
fn missed(samples: &[Sample], least_delay: f64) -> f64 {
    let mut excesses: Vec<f64> = samples.iter().map(|sample| sample.excess).collect();
    let rank = RANK.min(excesses.len() - 1);
    let (_, excess, _) = excesses.select_nth_unstable_by(rank, f64::total_cmp);
    // A few exchanges may by chance agree in delay and still be off by as much as half of it.
    let by_chance = least_delay * (2.0 / samples.len() as f64).powi(2);
    // Not more than all of it.
    excess.max(by_chance).min(least_delay).max(LEAST_MISSED_S)
}

/// Weighted RMS distance of the middles from a line, the late and the slow ones counting little.
fn jitter(samples: &[Sample], least_delay: f64, offset: f64, rate: f64) -> Span {
    let mut excesses: Vec<f64> = samples.iter().map(|sample| sample.excess).collect();
    let quarter = excesses.len() / 4;
    let (_, excess, _) = excesses.select_nth_unstable_by(quarter, f64::total_cmp);
    let scale = excess.max(0.02 * least_delay).max(1e-6);
    let (sum, total) = samples.iter().fold((0.0, 0.0), |(sum, total), sample| {
        let quality = -(sample.excess / scale).powi(2) + sample.time / JITTER_MEMORY_S;
        let apart = (sample.offset - offset - rate * sample.time).abs();
        // Where the line is in a whole second says nothing.
        let (weight, apart) = (quality.exp(), (apart - sample.whole / 2.0).max(0.0));
        (sum + weight * apart * apart, total + weight)
    });
    Span::from_secs_f64((sum / total).sqrt())
}

fn slope(rate: Rate) -> f64 {
    rate.as_ppt() as f64 / 1e12
}

fn in_ppt(slope: f64) -> Rate {
    Rate::from_ppt((slope * 1e12).round() as i64)
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
    fn what_exchanges_tell_of_the_rate_is_told_without_what_was_known_before() {
        let told = |ppm: f64, sigma_ppm: f64, prior: Prior| {
            let rate = |ppm: f64| in_ppt(ppm * 1e-6);
            let estimate = Estimate {
                theta: Theta::from_nanos(0),
                rate: rate(ppm),
                error: Span::ZERO,
                rate_error: rate(sigma_ppm),
                jitter: Span::ZERO,
            };
            let own = estimate.own_rate(prior);
            (1e6 * own.rate, 1e6 * own.sigma, own.further)
        };
        let is = |(rate, sigma, further): (f64, f64, f64), expected: (f64, f64, f64)| {
            let is_near = |a: f64, b: f64| a == b || (a - b).abs() < 1e-3;
            assert!(
                is_near(rate, expected.0)
                    && is_near(sigma, expected.1)
                    && is_near(further, expected.2),
                "{rate} ± {sigma} {further}"
            );
        };
        // 30 ± 10 and 0 ± 20 ppm together.
        let together = (24.0, 80f64.sqrt());
        is(
            told(together.0, together.1, prior(0, 20_000)),
            (30.0, 10.0, 0.0),
        );
        is(told(1.0, 0.01, prior(0, 20_000)), (1.0, 0.01, 0.0));
        is(told(9.0, 18.0, prior(0, 20_000)), (9.0, f64::INFINITY, 0.0));
        // It may cling to what was believed, and be any farther from it.
        let far = |ppb| prior(ppb, 1_000);
        let own = |ppb, sigma| told(0.0, sigma, far(ppb)).2;
        assert_eq!(own(5_000, 0.2), f64::NEG_INFINITY);
        assert_eq!(own(-5_000, 0.2), f64::INFINITY);
        assert_eq!(own(-5_000, 0.02), 0.0);
        assert_eq!(own(-1_500, 0.5), 0.0);
        // However little is known of it, it is not what was believed.
        is(told(20.0, 0.9, far(0)), (20.0, 0.9, f64::INFINITY));
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
    fn a_route_that_is_longer_one_way_leads_nobody_astray_while_a_quicker_exchange_is_remembered() {
        let mut delays = vec![(10_000, 10_000); 100];
        delays.extend([(40_000, 10_000); 100]);
        let (exchanges, now) = history(&delays, 0);
        let (estimate, _) = estimate(&exchanges, now);
        // The middles are off by 15 ms.
        assert!(estimate.theta.as_nanos().abs() < 1_000_000, "{estimate:?}");
    }

    #[test]
    fn a_change_of_the_rate_is_followed_within_minutes() {
        let queue = |k: i64, factor: i64| 10_000 + (k * factor) % 13 * 200;
        let delays: Vec<_> = (0..200).map(|k| (queue(k, 5), queue(k, 8))).collect();
        let (mut exchanges, now) = history(&delays, 0);
        let gained = |k: usize| Rate::from_ppm(2).over(Span::from_secs(16 * (k as i64 - 160)));
        for (k, exchange) in exchanges.iter_mut().enumerate().skip(160) {
            let stamp = exchange.sent() + exchange.upper() + gained(k);
            let (sent, received) = (exchange.sent(), exchange.received());
            *exchange = Exchange::new(sent, received, stamp, stamp, None).expect("possible");
        }
        let (estimate, _) = estimate(&exchanges, now);
        let apart = (estimate.theta - Theta::from_nanos(0)) - gained(200);
        assert!(apart.abs() < Span::from_micros(200), "{estimate:?}");
    }

    #[test]
    fn stamps_that_are_rougher_than_they_say_are_averaged() {
        let (mut exchanges, now) = history(&[(10_000, 10_000); 200], 0);
        for (k, exchange) in (0i64..).zip(&mut exchanges) {
            // Up to 3 ms off, with delays that do not show it.
            let stamp =
                exchange.sent() + exchange.upper() + Span::from_micros(k * 37 % 61 * 100 - 3_000);
            let (sent, received) = (exchange.sent(), exchange.received());
            *exchange = Exchange::new(sent, received, stamp, stamp, None).expect("possible");
        }
        let (estimate, _) = estimate(&exchanges, now);
        assert!(estimate.theta.as_nanos().abs() < 500_000, "{estimate:?}");
        assert!(estimate.error > Span::from_micros(50), "{estimate:?}");
    }

    #[test]
    fn the_error_is_no_greater_than_it_is_said_to_be() {
        let mut random = 1u64;
        let mut queue = || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // Exponential, 2 ms in the mean.
            let part = ((random >> 11) + 1) as f64 / (1u64 << 53) as f64;
            10_000 + (-2_000.0 * part.ln()) as i64
        };
        let runs = 400;
        let squares = (0..runs).map(|_| {
            let delays: Vec<_> = (0..150).map(|_| (queue(), queue())).collect();
            let (exchanges, now) = history(&delays, 0);
            let (estimate, _) = estimate(&exchanges, now);
            (estimate.theta.as_nanos() as f64 / estimate.error.as_nanos() as f64).powi(2)
        });
        let by_sigma = (squares.sum::<f64>() / f64::from(runs)).sqrt();
        assert!((0.3..1.0).contains(&by_sigma), "{by_sigma}");
    }

    #[test]
    fn two_exchanges_are_not_read_as_a_huge_rate() {
        let (exchanges, now) = history(&[(1_000, 9_000), (9_000, 1_000)], 0);
        let (estimate, _) = estimate(&exchanges, now);
        assert!(estimate.rate.as_ppb().abs() < 20_000, "{estimate:?}");
    }

    #[test]
    fn what_exchanges_and_a_search_make_of_the_edge_is_weighed_by_how_sure_each_is() {
        let middle = Theta::from_nanos(0);
        let edge = Bound {
            lo: middle - Span::from_millis(6),
            hi: middle + Span::from_millis(6),
        };
        // Somewhere within 12 ms is a sigma of 3.464 ms.
        let weighed = |guess_ms: i64, sigma_us: i64| {
            let guess = middle + Span::from_millis(guess_ms);
            let joined = joined(guess, Span::from_micros(sigma_us), &edge);
            (joined - middle).as_nanos() / 1_000
        };
        assert!((weighed(4, 3_464) - 2_000).abs() <= 1);
        assert!((weighed(4, 2_000) - 3_000).abs() <= 1);
        assert!((weighed(-4, 6_000) + 1_000).abs() <= 1);
        assert_eq!(weighed(4, 0), 4_000);
        assert_eq!(weighed(8, 0), 6_000, "the edge is where it was found");
        // One that is known exactly.
        let exact = Bound {
            lo: middle,
            hi: middle,
        };
        assert_eq!(joined(middle, Span::ZERO, &exact), middle);
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
            prop_assert!(estimate.error <= fit.bound.half_width());
            prop_assert!(estimate.jitter >= Span::ZERO);
        }
    }
}
