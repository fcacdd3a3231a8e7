//! Time as integers of nanoseconds, one type for each thing that must not be mixed up.
//!
//! [`Raw`] is a reading of CLOCK_MONOTONIC_RAW, [`Utc`] an instant of universal time, [`Span`] the
//! difference of two of a kind, [`Theta`] what must be added to a raw reading to get universal time,
//! [`Rate`] how fast a `Theta` changes. `Utc + Raw` does not compile:
//!
//! ```compile_fail
//! use webntpd::engine::time::{Raw, Utc};
//! let nonsense = Utc::from_nanos(1) + Raw::from_nanos(1);
//! ```
//!
//! All arithmetic saturates: no input, however absurd, panics or wraps. This module reads no clock.

use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub};
use std::time::Duration;

const NANOS_PER_SEC: i64 = 1_000_000_000;

/// A reading of CLOCK_MONOTONIC_RAW: nanoseconds since a start that only this boot knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Raw(i64);

/// An instant of universal time: nanoseconds since 1970-01-01 UTC, leap seconds not counted (good to 2262).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Utc(i64);

/// A signed length of time in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(i64);

/// Universal time minus raw clock at one instant, in nanoseconds. The quantity that the engine estimates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Theta(i64);

/// Change of a [`Theta`] with raw time, in units of 10⁻¹² (picoseconds a second); positive when the raw clock runs slow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rate(i64);

macro_rules! nanoseconds {
    ($($type:ident),*) => {$(
        impl $type {
            /// The value with this many nanoseconds.
            pub const fn from_nanos(nanos: i64) -> Self {
                Self(nanos)
            }

            /// The value in nanoseconds.
            pub const fn as_nanos(self) -> i64 {
                self.0
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($type), Seconds(self.0))
            }
        }
    )*};
}
nanoseconds!(Raw, Utc, Span, Theta);

/// Instants that a [`Span`] moves, and whose difference is one.
macro_rules! instants {
    ($($type:ident),*) => {$(
        impl Sub for $type {
            type Output = Span;
            fn sub(self, earlier: Self) -> Span {
                Span(self.0.saturating_sub(earlier.0))
            }
        }

        impl Add<Span> for $type {
            type Output = Self;
            fn add(self, span: Span) -> Self {
                Self(self.0.saturating_add(span.0))
            }
        }

        impl Sub<Span> for $type {
            type Output = Self;
            fn sub(self, span: Span) -> Self {
                Self(self.0.saturating_sub(span.0))
            }
        }
    )*};
}
instants!(Raw, Utc, Theta);

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Span {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

// Where the kinds meet: a theta leads from the raw clock to universal time.
impl Sub<Raw> for Utc {
    type Output = Theta;
    fn sub(self, raw: Raw) -> Theta {
        Theta(self.0.saturating_sub(raw.0))
    }
}

impl Add<Theta> for Raw {
    type Output = Utc;
    fn add(self, theta: Theta) -> Utc {
        Utc(self.0.saturating_add(theta.0))
    }
}

impl Sub<Theta> for Utc {
    type Output = Raw;
    fn sub(self, theta: Theta) -> Raw {
        Raw(self.0.saturating_sub(theta.0))
    }
}

impl AddAssign for Span {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Neg for Span {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl Utc {
    /// The whole second of this many seconds since 1970-01-01 UTC.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SEC))
    }

    /// Seconds since 1970, rounded down, and the nanoseconds above them (0 to 999 999 999).
    pub const fn to_parts(self) -> (i64, u32) {
        (
            self.0.div_euclid(NANOS_PER_SEC),
            self.0.rem_euclid(NANOS_PER_SEC) as u32,
        )
    }
}

impl Span {
    /// The smallest power of two seconds that is not below it, as its exponent (−30 to 0): how the NTP protocols tell a
    /// precision.
    pub fn log2_ceil(self) -> i8 {
        let span = i128::from(self.as_nanos());
        // 2^p s ≥ span, in integers: an f64 would round at the powers themselves.
        let covers = |p: &i8| span << -p <= 1_000_000_000;
        (-30..0).find(covers).unwrap_or(0)
    }

    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest span there is, some 292 years.
    pub const MAX: Self = Self(i64::MAX);

    /// A span of whole microseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// A span of whole milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// A span of whole seconds.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SEC))
    }

    /// The nearest span to this many seconds; NaN counts as zero.
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * NANOS_PER_SEC as f64).round() as i64)
    }

    /// Seconds, as near as an `f64` holds them. For fits and for people, never for time stamps.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS_PER_SEC as f64
    }

    /// The length without its sign.
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// Half of the span, rounded away from zero.
    pub const fn half(self) -> Self {
        Self(self.0 / 2 + self.0 % 2)
    }

    /// The span `factor` times over.
    pub const fn times(self, factor: i64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// The span as a duration to wait; nothing when it is negative.
    pub fn to_duration(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl Theta {
    /// The value midway between two.
    pub const fn midpoint(self, other: Self) -> Self {
        Self(i64::midpoint(self.0, other.0))
    }
}

impl Rate {
    /// The rate of this many parts in 10¹².
    pub const fn from_ppt(parts: i64) -> Self {
        Self(parts)
    }

    /// The rate of this many parts in 10⁹.
    pub const fn from_ppb(parts: i64) -> Self {
        Self(parts.saturating_mul(1_000))
    }

    /// The rate of this many parts in 10⁶.
    pub const fn from_ppm(parts: i64) -> Self {
        Self(parts.saturating_mul(1_000_000))
    }

    /// Parts in 10¹².
    pub const fn as_ppt(self) -> i64 {
        self.0
    }

    /// Parts in 10⁹, rounded to the nearest.
    pub const fn as_ppb(self) -> i64 {
        let half = if self.0 < 0 { -500 } else { 500 };
        self.0.saturating_add(half) / 1_000
    }

    /// What the rate adds up to in `span`, rounded to the nearest nanosecond.
    pub fn over(self, span: Span) -> Span {
        let product = i128::from(self.0) * i128::from(span.0);
        let nanos = (product + (PICO / 2)).div_euclid(PICO);
        Span(nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }
}

const PICO: i128 = 1_000_000_000_000;

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rate({} ppb)", self.as_ppb())
    }
}

/// Nanoseconds written as decimal seconds, digit by digit: `-0.000000001`.
struct Seconds(i64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let per_sec = NANOS_PER_SEC.unsigned_abs();
        write!(f, "{sign}{}.{:09}", nanos / per_sec, nanos % per_sec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn raw_to_utc_and_back_is_the_identity(raw in 0i64..1 << 60, theta in 0i64..1 << 60) {
            let (raw, theta) = (Raw::from_nanos(raw), Theta::from_nanos(theta));
            prop_assert_eq!((raw + theta) - raw, theta);
            prop_assert_eq!((raw + theta) - theta, raw);
        }

        #[test]
        fn parts_of_an_instant_add_up_to_it(nanos: i64) {
            let (seconds, above) = Utc::from_nanos(nanos).to_parts();
            prop_assert!(above < 1_000_000_000);
            prop_assert_eq!(i128::from(seconds) * 1_000_000_000 + i128::from(above), i128::from(nanos));
        }

        #[test]
        fn arithmetic_is_total(a: i64, b: i64) {
            let _ = (Raw(a) - Raw(b), Raw(a) + Theta(b), Utc(a) - Raw(b), Utc(a) - Theta(b), Utc(a) + Span(b));
            let _ = (-Span(a), Span(a).abs(), Span(a).half(), Span(a).times(b), Span(a).to_duration());
            let _ = (Rate(a).over(Span(b)), Rate(a).as_ppb(), Theta(a).midpoint(Theta(b)));
        }

        #[test]
        fn seconds_in_a_float_come_back_to_the_microsecond(micros in -1_000_000_000_000i64..1_000_000_000_000) {
            let span = Span::from_micros(micros);
            let back = Span::from_secs_f64(span.as_secs_f64());
            prop_assert!((back - span).abs() <= Span::from_micros(1));
        }
    }

    #[test]
    fn rate_over_a_span_rounds_to_the_nearest() {
        assert_eq!(
            Rate::from_ppm(500).over(Span::from_secs(16)),
            Span::from_millis(8)
        );
        assert_eq!(
            Rate::from_ppb(-1).over(Span::from_secs(1)),
            Span::from_nanos(-1)
        );
        assert_eq!(
            Rate::from_ppb(1).over(Span::from_nanos(499_999_999)),
            Span::ZERO
        );
        assert_eq!(Rate::from_ppt(-31_250_499).as_ppb(), -31_250);
    }

    #[test]
    fn an_instant_before_1970_has_positive_nanoseconds() {
        assert_eq!(Utc::from_nanos(-1).to_parts(), (-1, 999_999_999));
    }

    #[test]
    fn debug_shows_exact_seconds() {
        assert_eq!(format!("{:?}", Span::from_nanos(-1)), "Span(-0.000000001)");
    }
}
