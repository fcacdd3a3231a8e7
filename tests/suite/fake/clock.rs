//! The fake's clock, and how it is shown.
//!
//! In: CLOCK_MONOTONIC_RAW, and CLOCK_REALTIME either once or at every reading. Out: readings (raw, UTC) and stamp
//! texts. Not: any knowledge of the wire.
//!
//! θ(t) = UTC of the server − raw, at the raw instant t. For a [`KnownClock`] it is a line, known exactly. Because its
//! slope is far below one, an exchange that holds for θ at the instant of the stamp holds for θ at *every* instant
//! between `sent` and `received`: tests may ask for the truth at whichever of them is at hand. (Unless the clock is
//! stepped in between, see `steering`.)

use std::fmt::Debug;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds in a second.
pub(crate) const SECOND_NS: i64 = 1_000_000_000;

/// CLOCK_MONOTONIC_RAW now, in nanoseconds.
pub(crate) fn raw_now() -> i64 {
    nanoseconds(ClockId::CLOCK_MONOTONIC_RAW)
}

fn nanoseconds(id: ClockId) -> i64 {
    let time = clock_gettime(id).expect("Linux has this clock");
    time.tv_sec() * SECOND_NS + time.tv_nsec()
}

/// The server's clock, read at a raw instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// When it was read, nanoseconds of CLOCK_MONOTONIC_RAW.
    pub(crate) raw_ns: i64,
    /// What it said, nanoseconds since 1970-01-01 UTC.
    pub(crate) utc_ns: i64,
}

/// Something that says what time the server believes it is.
pub(crate) trait Clock: Copy + Debug + Send + Sync + 'static {
    /// Reads it now.
    fn read(&self) -> Reading;
}

/// A clock that is a line over CLOCK_MONOTONIC_RAW: the truth is known at every raw instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownClock {
    anchor_raw_ns: i64,
    anchor_theta_ns: i64,
    rate_ppb: i64,
}

impl KnownClock {
    /// Starts at the time of the operating system, from the tightest of many bracketed readings, and never looks at
    /// it again. It is `Copy`: fakes that shall agree with each other are built from one sample.
    pub(crate) fn sample() -> Self {
        let (_, anchor_raw_ns, anchor_theta_ns) = (0..64)
            .map(|_| {
                let before = raw_now();
                let utc = nanoseconds(ClockId::CLOCK_REALTIME);
                let after = raw_now();
                let middle = before + (after - before) / 2;
                (after - before, middle, utc - middle)
            })
            .min()
            .expect("more than none was taken");
        Self {
            anchor_raw_ns,
            anchor_theta_ns,
            rate_ppb: 0,
        }
    }

    /// The same clock, ahead by `offset_ns`; negative: behind.
    pub(crate) fn ahead_by(self, offset_ns: i64) -> Self {
        Self {
            anchor_theta_ns: self.anchor_theta_ns + offset_ns,
            ..self
        }
    }

    /// The same clock, gaining `rate_ppb` nanoseconds a second on the raw clock from the instant of its sample.
    pub(crate) fn gaining(self, rate_ppb: i64) -> Self {
        Self { rate_ppb, ..self }
    }

    /// θ in nanoseconds at a raw instant, rounded down to the nanosecond.
    pub(crate) fn theta(&self, raw_ns: i64) -> i64 {
        let elapsed = i128::from(raw_ns - self.anchor_raw_ns);
        let gained = (elapsed * i128::from(self.rate_ppb)).div_euclid(i128::from(SECOND_NS));
        self.anchor_theta_ns + i64::try_from(gained).expect("a test does not last for centuries")
    }
}

impl Clock for KnownClock {
    fn read(&self) -> Reading {
        let raw_ns = raw_now();
        Reading {
            raw_ns,
            utc_ns: raw_ns + self.theta(raw_ns),
        }
    }
}

/// CLOCK_REALTIME, live, plus an offset: for tests beside a real daemon that slews it. It has no known θ on the raw
/// clock, hence no `truth()`; what is known is its offset from CLOCK_REALTIME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OsClock {
    /// How far it is ahead of CLOCK_REALTIME, nanoseconds.
    pub(crate) offset_ns: i64,
}

impl Clock for OsClock {
    fn read(&self) -> Reading {
        let utc = nanoseconds(ClockId::CLOCK_REALTIME);
        Reading {
            raw_ns: raw_now(),
            utc_ns: utc + self.offset_ns,
        }
    }
}

/// How the last digit comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// What does not fit is cut off: the truth is in `[S, S + r]`.
    Truncate,
    /// To the nearest, with carry: the truth is in `[S − r/2, S + r/2]`.
    Nearest,
    /// To the nearest, but a carry into the seconds is printed as a fraction with a digit too many,
    /// `SSSS.1000000`: the bug of a real server. Else as [`Rounding::Nearest`].
    NearestWithoutCarry,
}

/// How the clock is shown in a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Face {
    /// Digits of the fraction, 0 to 9.
    pub(crate) digits: u8,
    /// What happens to the rest.
    pub(crate) rounding: Rounding,
    /// A stamp may be as old as this, because the server keeps it instead of reading its clock.
    ///
    /// This is a lie, and no server that is called honest has it. What remains true: the stamp is a lower bound of
    /// the time at departure. What does not: it is no upper bound of the time at arrival, unless the tester widens
    /// it by this period.
    pub(crate) cached: Option<Duration>,
}

impl Face {
    /// Six digits, cut off, never cached: what a WebNTP server of ours shows.
    pub(crate) const MICROSECONDS: Self = Self {
        digits: 6,
        rounding: Rounding::Truncate,
        cached: None,
    };

    /// The stamp as text. Times before 1970 are not for this.
    pub(crate) fn show(&self, utc_ns: i64) -> String {
        let digits = usize::from(self.digits);
        let unit = 10_i64.pow(9 - u32::from(self.digits));
        let whole = SECOND_NS / unit;
        let shown = match self.rounding {
            Rounding::Truncate => utc_ns.div_euclid(unit),
            Rounding::Nearest | Rounding::NearestWithoutCarry => {
                (utc_ns + unit / 2).div_euclid(unit)
            }
        };
        let seconds = match self.rounding {
            Rounding::Truncate | Rounding::Nearest => shown.div_euclid(whole),
            Rounding::NearestWithoutCarry => utc_ns.div_euclid(SECOND_NS),
        };
        let fraction = shown - seconds * whole;
        if digits == 0 {
            (seconds + fraction).to_string()
        } else {
            format!("{seconds}.{fraction:0digits$}")
        }
    }
}
