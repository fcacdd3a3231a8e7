//! Whether the raw clock went on without a break since it was last looked at.
//!
//! In: readings of all clocks. Out: a [`Break`], after which nothing measured before says anything about now. Steps and slews
//! of the system clock are none: nothing is measured on it.

use crate::engine::time::Span;
use crate::sys::clock::Readings;
use std::fmt;

/// A shorter suspend is taken for the time between two readings.
const LEAST: Span = Span::from_millis(100);

/// What happened to the raw clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The machine slept: CLOCK_BOOTTIME gained on CLOCK_MONOTONIC.
    Suspended(Span),
    /// CLOCK_MONOTONIC went on without it, by more than any slew explains.
    Paused(Span),
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspended(length) => {
                write!(f, "the machine slept for {:.1} s", length.as_secs_f64())
            }
            Self::Paused(length) => write!(
                f,
                "the raw clock was off by {:.1} s against the others",
                length.as_secs_f64()
            ),
        }
    }
}

/// The last look at the clocks.
#[derive(Debug, Default)]
pub struct Continuity {
    last: Option<Readings>,
}

impl Continuity {
    /// Compares `now` with the last readings, and remembers it.
    pub fn check(&mut self, now: Readings) -> Option<Break> {
        let last = self.last.replace(now)?;
        let monotonic = now.monotonic - last.monotonic;
        let slept = (now.boottime - last.boottime) - monotonic;
        if slept > LEAST {
            return Some(Break::Suspended(slept));
        }
        // The kernel lets CLOCK_MONOTONIC be slewed by up to a tenth.
        let slewed = Span::from_nanos(monotonic.abs().as_nanos() / 8);
        let off = monotonic - (now.pair.raw - last.pair.raw);
        (off.abs() > LEAST + slewed).then_some(Break::Paused(off))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::{Raw, Utc};
    use crate::sys::clock::{ClockPair, Clocks, SystemClocks};

    /// Readings of a machine that has run for `raw` ms, slept for `slept` ms, and whose monotonic clock was slewed by `slewed` ms.
    fn readings(raw: i64, slept: i64, slewed: i64, system: i64) -> Readings {
        let ms = Span::from_millis;
        Readings {
            pair: ClockPair {
                raw: Raw::from_nanos(0) + ms(raw),
                system: Utc::from_nanos(0) + ms(system),
            },
            monotonic: ms(raw + slewed),
            boottime: ms(raw + slewed + slept),
        }
    }

    fn between(before: Readings, after: Readings) -> Option<Break> {
        let mut continuity = Continuity::default();
        assert_eq!(
            continuity.check(before),
            None,
            "the first look compares with nothing"
        );
        continuity.check(after)
    }

    #[test]
    fn a_suspend_is_a_break() {
        let before = readings(1_000, 0, 0, 0);
        assert_eq!(
            between(before, readings(2_000, 30_000, 0, 0)),
            Some(Break::Suspended(Span::from_secs(30)))
        );
        assert_eq!(between(before, readings(2_000, 50, 0, 0)), None);
    }

    #[test]
    fn a_raw_clock_that_paused_is_a_break_and_a_slew_is_none() {
        let before = readings(1_000, 0, 0, 0);
        assert_eq!(
            between(before, readings(17_000, 0, 5_000, 0)),
            Some(Break::Paused(Span::from_secs(5)))
        );
        assert_eq!(
            between(before, readings(17_000, 0, 1_600, 0)),
            None,
            "a tenth of 16 s"
        );
        assert_eq!(between(before, readings(17_000, 0, -1_600, 0)), None);
    }

    #[test]
    fn a_step_of_the_system_clock_is_none() {
        let before = readings(1_000, 0, 0, 0);
        assert_eq!(between(before, readings(2_000, 0, 0, 1_000_000_000)), None);
        assert_eq!(between(before, readings(2_000, 0, 0, -1_000_000_000)), None);
    }

    #[test]
    fn this_machine_while_awake_shows_none() {
        assert_eq!(between(SystemClocks.read(), SystemClocks.read()), None);
    }
}
