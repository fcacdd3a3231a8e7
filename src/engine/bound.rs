//! The bound: every line that a clock may have followed, given what all the exchanges of a source prove.
//!
//! A line is θ(t) = a + b·t with |b| ≤ [`MAX_RATE`]; it must pass below every upper and above every lower
//! limit, each widened with its age by [`WANDER`]. What these lines reach at time t is the bound, what slopes
//! they have is the range of the source's rate. This is linear programming in two variables, done exactly in
//! integers and rounded outwards: the result never excludes a line that fits.
//!
//! Goes in: exchanges and an instant not before any of them. Comes out: [`Fit`], or nothing when no line fits.
//! What to do then is the filter's business.

use super::exchange::Exchange;
use super::hull;
use super::time::{Rate, Raw, Span, Theta};

/// The fastest and the slowest oscillator that is believed in.
pub const MAX_RATE: Rate = Rate::from_ppm(500);

/// What a limit is widened by for each second of its age, since no oscillator keeps its rate for ever.
///
/// With 1 ppm the truth stays inside when the rate has changed by as much as 2 ppm at any one time within the
/// memory (a heater, a resumed laptop): the line through the true θ now that takes half of the change is never
/// further off the true past than that.
pub const WANDER: Rate = Rate::from_ppm(1);

/// A closed interval, `lo ≤ hi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval<T> {
    /// Least member.
    pub lo: T,
    /// Greatest member.
    pub hi: T,
}

impl<T: Ord + Copy> Interval<T> {
    /// Whether the two have a point in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.lo <= other.hi && other.lo <= self.hi
    }

    /// What the two have in common, if anything.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        self.overlaps(other).then(|| Self {
            lo: self.lo.max(other.lo),
            hi: self.hi.min(other.hi),
        })
    }

    /// The member nearest to `value`.
    pub fn clamp(&self, value: T) -> T {
        value.clamp(self.lo, self.hi)
    }
}

/// What θ may be at one instant.
pub type Bound = Interval<Theta>;

impl Bound {
    /// Half of the width, rounded up: the greatest error of the middle.
    pub fn half_width(&self) -> Span {
        (self.hi - self.lo).half()
    }

    /// The greatest error that `guess` can have if the truth is inside: the distance to the farther end.
    pub fn error_of(&self, guess: Theta) -> Span {
        (guess - self.lo).max(self.hi - guess)
    }

    /// The middle.
    pub fn middle(&self) -> Theta {
        self.lo.midpoint(self.hi)
    }

    /// The same, wider by `margin` on either side.
    pub fn widened(&self, margin: Span) -> Self {
        Self {
            lo: self.lo - margin,
            hi: self.hi + margin,
        }
    }
}

/// What the lines through all limits say of one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Where they pass.
    pub bound: Bound,
    /// How fast they rise.
    pub rates: Interval<Rate>,
}

/// The limits of a set of exchanges, seen from one instant.
pub struct Limits {
    /// θ is at most this at that time.
    upper: Vec<Point>,
    /// θ is at least this at that time.
    lower: Vec<Point>,
    /// The θ from which the points are counted, so that they are small numbers.
    base: Theta,
}

/// A point in the plane: nanoseconds from now (never positive), and θ from the base in parts of a nanosecond ([`FINE`]).
#[derive(Clone, Copy)]
struct Point {
    time: i128,
    theta: i128,
}

/// So many of the parts in which θ is counted make a nanosecond: what a limit is widened by is a whole number of them at any age.
const FINE: i128 = 1_000_000;

/// What a limit is widened by, in these parts for each nanosecond of its age.
const WIDENING: i128 = WANDER.as_ppt() as i128 * FINE / PICO;

/// A slope as a fraction, `den > 0`: parts of θ for each nanosecond.
#[derive(Clone, Copy)]
struct Slope {
    num: i128,
    den: i128,
}

impl Slope {
    const MAX: Self = Self {
        num: MAX_RATE.as_ppt() as i128,
        den: PICO / FINE,
    };

    fn negated_if(self, negate: bool) -> Self {
        let num = if negate { -self.num } else { self.num };
        Self { num, ..self }
    }

    /// Whether the slope is flatter than −`MAX_RATE` … `MAX_RATE`, the ends included.
    fn is_possible(self) -> bool {
        self.num.abs() * Self::MAX.den <= Self::MAX.num * self.den
    }
}

const PICO: i128 = 1_000_000_000_000;

impl Limits {
    /// What `exchanges` prove, to be asked about `now`, which is not before any of them and not more than a few
    /// hours after.
    pub fn new<'a>(exchanges: impl Iterator<Item = &'a Exchange> + Clone, now: Raw) -> Self {
        Self::of(exchanges.clone(), exchanges, now)
    }

    /// What some exchanges prove from above and others from below, if none of the rest can say more.
    pub(super) fn of<'a>(
        above: impl Iterator<Item = &'a Exchange> + Clone,
        below: impl Iterator<Item = &'a Exchange>,
        now: Raw,
    ) -> Self {
        let base = above.clone().next().map(Exchange::middle);
        let base = base.unwrap_or(Theta::from_nanos(0));
        let point = |at: Raw, theta: Theta, outwards: i128| {
            let time = i128::from(at.as_nanos()) - i128::from(now.as_nanos());
            let above_base = i128::from(theta.as_nanos()) - i128::from(base.as_nanos());
            Point {
                time,
                theta: above_base * FINE - outwards * time.min(0) * WIDENING,
            }
        };
        let upper = above.map(|exchange| point(exchange.sent(), exchange.upper(), 1));
        let lower = below.map(|exchange| point(exchange.received(), exchange.lower(), -1));
        Self {
            upper: upper.collect(),
            lower: lower.collect(),
            base,
        }
    }

    /// How many of the first exchanges must go before a line fits the others: none, if one fits them all.
    ///
    /// Whatever fits many exchanges fits some of them, so the answer can be searched by halving.
    pub fn misfits(&self) -> usize {
        let fits_without =
            |count| count == self.upper.len() || self.steepest(false, count).is_some();
        if fits_without(0) {
            return 0;
        }
        let (mut too_few, mut enough) = (0, self.upper.len());
        while enough - too_few > 1 {
            let count = usize::midpoint(too_few, enough);
            if fits_without(count) {
                enough = count;
            } else {
                too_few = count;
            }
        }
        enough
    }

    /// The lines through all limits; `None` if there are none (or no limits at all).
    ///
    /// All limits lie in the past, so the steepest line is the highest now, and the least steep the lowest.
    pub fn fit(&self) -> Option<Fit> {
        if self.upper.is_empty() {
            return None;
        }
        let (steepest, flattest) = (self.steepest(false, 0)?, self.steepest(true, 0)?);
        let (highest, lowest) = (self.ceiling(steepest, 0), self.floor(flattest, 0));
        Some(Fit {
            bound: Bound {
                lo: self.theta(lowest.height(flattest).div_floor_by(flattest.den * FINE)),
                hi: self.theta(highest.height(steepest).div_ceil_by(steepest.den * FINE)),
            },
            rates: Interval {
                lo: Rate::from_ppt(to_i64(
                    (flattest.num * (PICO / FINE)).div_floor_by(flattest.den),
                )),
                hi: Rate::from_ppt(to_i64(
                    (steepest.num * (PICO / FINE)).div_ceil_by(steepest.den),
                )),
            },
        })
    }

    fn theta(&self, above_base: i128) -> Theta {
        Theta::from_nanos(to_i64(i128::from(self.base.as_nanos()) + above_base))
    }

    /// The greatest slope (with `falling`: the least) of a line that respects all limits but the first `skip`.
    ///
    /// For a slope, the room between the limits is that between the lowest upper and the highest lower one as seen
    /// along that slope: the minimum over all pairs of a linear function, hence concave. Newton's method from
    /// outside meets its zero exactly and after finitely many steps, one pair of limits each.
    fn steepest(&self, falling: bool, skip: usize) -> Option<Slope> {
        let mut slope = Slope::MAX.negated_if(falling);
        loop {
            let (upper, lower) = (self.ceiling(slope, skip), self.floor(slope, skip));
            if upper.height(slope) >= lower.height(slope) {
                return Some(slope);
            }
            // This pair leaves no room at this slope. It leaves some at another one only if turning the line
            // back lifts the upper limit against the lower.
            let (run, rise) = (upper.time - lower.time, upper.theta - lower.theta);
            if run == 0 || (run < 0) != falling {
                return None;
            }
            slope = Slope {
                num: rise * run.signum(),
                den: run.abs(),
            };
            if !slope.is_possible() {
                return None;
            }
        }
    }

    /// The upper limit that is the lowest as seen along `slope`.
    fn ceiling(&self, slope: Slope, skip: usize) -> Point {
        let upper = self.upper[skip..].iter().copied();
        upper
            .min_by_key(|point| point.height(slope))
            .expect("some limit is left")
    }

    /// The lower limit that is the highest as seen along `slope`.
    fn floor(&self, slope: Slope, skip: usize) -> Point {
        let lower = self.lower[skip..].iter().copied();
        lower
            .max_by_key(|point| point.height(slope))
            .expect("some limit is left")
    }
}

impl Point {
    /// Where a line of this slope through the point passes now, times the slope's denominator.
    fn height(self, slope: Slope) -> i128 {
        self.theta * slope.den - slope.num * self.time
    }
}

/// Division by a positive number, rounded in a known direction.
trait DivideOutwards {
    fn div_floor_by(self, den: Self) -> Self;
    fn div_ceil_by(self, den: Self) -> Self;
}

impl DivideOutwards for i128 {
    fn div_floor_by(self, den: Self) -> Self {
        self.div_euclid(den)
    }

    fn div_ceil_by(self, den: Self) -> Self {
        -(-self).div_euclid(den)
    }
}

/// The limit from above on the scale of a [`Hull`](super::hull::Hull).
pub(super) fn above(exchange: &Exchange) -> hull::Point {
    ageless(exchange.sent(), i128::from(exchange.upper().as_nanos()))
}

/// The limit from below, mirrored.
pub(super) fn below(exchange: &Exchange) -> hull::Point {
    ageless(
        exchange.received(),
        -i128::from(exchange.lower().as_nanos()),
    )
}

/// What a limit is widened by up to any later moment, less the same for all.
fn ageless(at: Raw, theta: i128) -> hull::Point {
    let time = at.as_nanos();
    hull::Point {
        time,
        height: theta * FINE - i128::from(time) * WIDENING,
    }
}

fn to_i64(value: i128) -> i64 {
    value.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Utc;
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000_000;

    /// An exchange begun at `at` that took `up` and `down`, with a server ahead of the raw clock by `theta`.
    fn exchange(at: i64, up: i64, down: i64, theta: i64) -> Exchange {
        let stamp = Utc::from_nanos(at + up + theta);
        let (sent, received) = (Raw::from_nanos(at), Raw::from_nanos(at + up + down));
        Exchange::new(sent, received, stamp, stamp, None).expect("possible")
    }

    fn limits(exchanges: &[Exchange], now: i64) -> Limits {
        Limits::new(exchanges.iter(), Raw::from_nanos(now))
    }

    #[test]
    fn one_interval_opens_by_the_greatest_rate() {
        let only = [exchange(0, 1_000_000, 1_000_000, 77)];
        let fit = limits(&only, 10 * SECOND).fit().expect("one always fits");
        // 500 ppm of 10 s, and 1 ppm of wander: 5.01 ms beyond the interval either way (less 2 ms × 500 ppm below).
        assert_eq!(fit.bound.hi.as_nanos(), 77 + 1_000_000 + 5_000_000 + 10_000);
        assert_eq!(fit.bound.lo.as_nanos(), 77 - 1_000_000 - 4_999_000 - 9_998);
        assert_eq!(
            (fit.rates.lo, fit.rates.hi),
            (Rate::from_ppm(-500), Rate::from_ppm(500))
        );
    }

    #[test]
    fn two_intervals_bound_the_rate() {
        let two = [
            exchange(0, 1_000_000, 1_000_000, 0),
            exchange(1_000 * SECOND, 1_000_000, 1_000_000, 0),
        ];
        let fit = limits(&two, 1_002 * SECOND).fit().expect("fits");
        // 2 ms of room and 1 ppm of wander (1.004 ms) at either end of 1000 s.
        assert!(
            (2_999..3_010).contains(&fit.rates.hi.as_ppb()),
            "{:?}",
            fit.rates
        );
        assert!(
            (-3_010..-2_999).contains(&fit.rates.lo.as_ppb()),
            "{:?}",
            fit.rates
        );
    }

    #[test]
    fn after_a_step_the_oldest_go_until_a_line_fits() {
        let mut all: Vec<_> = (0..20)
            .map(|k| exchange(k * SECOND, 1_000, 1_000, 0))
            .collect();
        all.extend((20..25).map(|k| exchange(k * SECOND, 1_000, 1_000, 30_000_000)));
        let stepped = limits(&all, 25 * SECOND);
        assert_eq!(stepped.fit(), None);
        assert_eq!(stepped.misfits(), 20);
        let new = limits(&all[20..], 25 * SECOND);
        assert_eq!(new.misfits(), 0);
        let bound = new.fit().expect("the new ones fit").bound;
        assert!(bound.lo.as_nanos() < 30_000_000 && bound.hi.as_nanos() > 30_000_000);
    }

    #[test]
    fn a_rate_beyond_the_possible_does_not_fit() {
        let creeping = |ppm: i64| {
            let ends = [
                exchange(0, 1_000, 1_000, 0),
                exchange(1_000 * SECOND, 1_000, 1_000, 1_000_000 * ppm),
            ];
            limits(&ends, 1_001 * SECOND).fit().is_some()
        };
        assert!(creeping(500) && creeping(-500));
        assert!(!creeping(510) && !creeping(-510));
    }

    #[test]
    fn absurd_stamps_neither_panic_nor_fit() {
        let far = |theta| {
            Exchange::new(
                Raw::from_nanos(0),
                Raw::from_nanos(9),
                Utc::from_nanos(theta),
                Utc::from_nanos(theta),
                None,
            )
        };
        let both = [
            far(i64::MAX).expect("possible"),
            far(i64::MIN + 10).expect("possible"),
        ];
        assert_eq!(limits(&both, 7_200 * SECOND).fit(), None);
    }

    /// What the exact search must agree with: every slope of a fine grid tried in floating point.
    fn by_trial(exchanges: &[Exchange], now: i64) -> Option<(f64, f64)> {
        let limits = limits(exchanges, now);
        let steps = 2_000;
        let mut range: Option<(f64, f64)> = None;
        for step in -steps..=steps {
            let slope = 500e-6 * f64::from(step) / f64::from(steps);
            let at_now =
                |point: &Point| point.theta as f64 / FINE as f64 - slope * point.time as f64;
            let hi = limits
                .upper
                .iter()
                .map(at_now)
                .fold(f64::INFINITY, f64::min);
            let lo = limits
                .lower
                .iter()
                .map(at_now)
                .fold(f64::NEG_INFINITY, f64::max);
            if lo <= hi {
                let (least, most) = range.unwrap_or((lo, hi));
                range = Some((least.min(lo), most.max(hi)));
            }
        }
        range
    }

    fn paths() -> impl Strategy<Value = (Vec<(i64, i64)>, i64)> {
        let delay = 10_000i64..20_000_000;
        (
            prop::collection::vec((delay.clone(), delay), 1..40),
            -400_000i64..400_000,
        )
    }

    proptest! {
        #[test]
        fn the_truth_is_never_outside((delays, ppb) in paths(), wait in 0i64..3_600) {
            let truth = |at: i64| (i128::from(at) * i128::from(ppb) / 1_000_000_000) as i64;
            let mut all = Vec::new();
            for (k, (up, down)) in delays.into_iter().enumerate() {
                let at = k as i64 * 16 * SECOND;
                all.push(exchange(at, up, down, truth(at + up)));
            }
            let now = all.len() as i64 * 16 * SECOND + wait * SECOND;
            let fit = limits(&all, now).fit().expect("the true line fits");
            let theta = Theta::from_nanos(truth(now));
            prop_assert!(fit.bound.lo <= theta && theta <= fit.bound.hi, "{theta:?} not in {:?}", fit.bound);
            prop_assert!(fit.rates.lo <= Rate::from_ppb(ppb) && Rate::from_ppb(ppb) <= fit.rates.hi);
        }

        #[test]
        fn the_bound_is_what_trying_every_slope_gives((delays, ppb) in paths(), jolt in -3_000_000i64..3_000_000) {
            let mut all = Vec::new();
            for (k, (up, down)) in delays.into_iter().enumerate() {
                let at = k as i64 * 16 * SECOND;
                let jolted = if k % 3 == 1 { jolt } else { 0 };
                all.push(exchange(at, up, down, at / 1_000_000_000 * ppb + jolted));
            }
            let now = all.len() as i64 * 16 * SECOND;
            let limits = limits(&all, now);
            match (limits.fit(), by_trial(&all, now)) {
                (Some(fit), Some((lo, hi))) => {
                    let base = limits.base;
                    let (exact_lo, exact_hi) = ((fit.bound.lo - base).as_nanos() as f64, (fit.bound.hi - base).as_nanos() as f64);
                    // A grid cannot reach the ends: it is inside, by no more than one step of slope over the window.
                    let step = 500e-6 / 2_000.0 * now as f64 + 2.0;
                    prop_assert!(exact_lo <= lo + 1.0 && lo <= exact_lo + step, "lo {exact_lo} {lo}");
                    prop_assert!(exact_hi >= hi - 1.0 && hi >= exact_hi - step, "hi {exact_hi} {hi}");
                }
                (exact, tried) => prop_assert!(tried.is_none(), "exact {exact:?}, by trial {tried:?}"),
            }
        }

        #[test]
        fn what_does_not_come_out_even_is_rounded_outwards_by_less_than_a_nanosecond((delays, ppb) in paths()) {
            let mut all = Vec::new();
            for (k, (up, down)) in delays.into_iter().enumerate() {
                let at = k as i64 * 16 * SECOND;
                all.push(exchange(at, up, down, at / 1_000_000_000 * ppb));
            }
            let exact = limits(&all, all.len() as i64 * 16 * SECOND);
            let fit = exact.fit().expect("the true line fits");
            let steepest = exact.steepest(false, 0).expect("fits");
            let flattest = exact.steepest(true, 0).expect("fits");
            let above = i128::from((fit.bound.hi - exact.base).as_nanos()) * FINE * steepest.den
                - exact.ceiling(steepest, 0).height(steepest);
            let below = exact.floor(flattest, 0).height(flattest)
                - i128::from((fit.bound.lo - exact.base).as_nanos()) * FINE * flattest.den;
            prop_assert!((0..steepest.den * FINE).contains(&above), "{above} of {}", steepest.den * FINE);
            prop_assert!((0..flattest.den * FINE).contains(&below), "{below} of {}", flattest.den * FINE);
        }

        #[test]
        fn forgetting_the_misfits_and_no_fewer_lets_a_line_fit(steps in prop::collection::vec(-50_000_000i64..50_000_000, 1..30)) {
            let all: Vec<_> = steps.iter().enumerate().map(|(k, theta)| exchange(k as i64 * SECOND, 5_000_000, 5_000_000, *theta)).collect();
            let now = all.len() as i64 * SECOND;
            let misfits = limits(&all, now).misfits();
            prop_assert!(misfits < all.len());
            prop_assert!(limits(&all[misfits..], now).fit().is_some());
            prop_assert!(misfits == 0 || limits(&all[misfits - 1..], now).fit().is_none());
        }
    }
}
