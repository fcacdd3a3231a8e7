//! The only place that reads a clock.
//!
//! Everything is measured on CLOCK_MONOTONIC_RAW, which nobody steers; CLOCK_REALTIME is read only to
//! turn a result into an offset of the system clock, and then together with the raw clock.

use crate::engine::time::{Raw, Span, Theta, Utc};
use nix::time::{ClockId, clock_gettime};

/// How often a pair is read in the hope of one that nothing interrupted.
const PAIR_ATTEMPTS: usize = 5;

/// The raw clock and the system clock, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockPair {
    /// CLOCK_MONOTONIC_RAW.
    pub raw: Raw,
    /// CLOCK_REALTIME at the same instant.
    pub system: Utc,
}

impl ClockPair {
    /// Offset of universal time, given as `theta` at this instant, from the system clock: positive when
    /// the system clock is behind.
    pub fn offset(&self, theta: Theta) -> Span {
        (self.raw + theta) - self.system
    }
}

/// What tells whether the raw clock went on as usual: suspend stops it, and so may a virtual machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readings {
    /// The raw clock and the system clock.
    pub pair: ClockPair,
    /// CLOCK_MONOTONIC, which is slewed, and stops in suspend.
    pub monotonic: Span,
    /// CLOCK_BOOTTIME, which goes on in suspend.
    pub boottime: Span,
}

/// Where readings come from: the machine's clocks, or a test's.
pub trait Clocks: Send {
    /// All clocks now.
    fn read(&self) -> Readings;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClocks;

impl Clocks for SystemClocks {
    fn read(&self) -> Readings {
        Readings {
            pair: pair_now(),
            monotonic: Span::from_nanos(nanos(ClockId::CLOCK_MONOTONIC)),
            boottime: Span::from_nanos(nanos(ClockId::CLOCK_BOOTTIME)),
        }
    }
}

/// Now on CLOCK_MONOTONIC_RAW.
pub fn raw_now() -> Raw {
    Raw::from_nanos(nanos(ClockId::CLOCK_MONOTONIC_RAW))
}

/// Now on the system clock.
pub fn system_now() -> Utc {
    Utc::from_nanos(nanos(ClockId::CLOCK_REALTIME))
}

/// Processor time that this process has used.
pub fn processor_time() -> Span {
    Span::from_nanos(nanos(ClockId::CLOCK_PROCESS_CPUTIME_ID))
}

/// Both clocks at one instant: the narrowest of a few readings of the system clock between two of the
/// raw clock, taken at their middle. Good to some tens of nanoseconds on an idle machine.
pub fn pair_now() -> ClockPair {
    let read = || {
        let before = raw_now();
        let system = system_now();
        let width = raw_now() - before;
        let pair = ClockPair {
            raw: before + width.half(),
            system,
        };
        (width, pair)
    };
    let first = read();
    (1..PAIR_ATTEMPTS)
        .map(|_| read())
        .fold(
            first,
            |best, next| if next.0 < best.0 { next } else { best },
        )
        .1
}

/// Waits until the raw clock shows `deadline`; returns at once when it has passed.
///
/// tokio's timer runs on CLOCK_MONOTONIC, which may be slewed against the raw clock: hence the loop.
pub async fn sleep_until(deadline: Raw) {
    loop {
        let left = deadline - raw_now();
        if left <= Span::ZERO {
            return;
        }
        tokio::time::sleep(left.to_duration()).await;
    }
}

/// The same; never without a deadline.
pub async fn at(deadline: Option<Raw>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// tokio's timer counts in milliseconds; this much of a wait that shall end in time is left to a finer one.
const LAST_BIT: Span = Span::from_millis(4);

/// As [`sleep_until`], but late by a few hundred microseconds at the most on an idle machine instead of by two milliseconds.
///
/// The last bit of the wait is slept by a thread that is kept for what blocks, as a look-up of a name does.
pub async fn sleep_in_time(deadline: Raw) {
    sleep_until(deadline - LAST_BIT).await;
    let left = (deadline - raw_now()).to_duration();
    if !left.is_zero() {
        // It cannot panic, and is cancelled only when the program ends.
        let _ = tokio::task::spawn_blocking(move || std::thread::sleep(left)).await;
    }
}

fn nanos(clock: ClockId) -> i64 {
    let reading = clock_gettime(clock).expect("every Linux since 2.6.28 has this clock");
    reading
        .tv_sec()
        .saturating_mul(1_000_000_000)
        .saturating_add(reading.tv_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_lies_between_readings_around_it() {
        let (raw_before, system_before) = (raw_now(), system_now());
        let pair = pair_now();
        assert!(raw_before <= pair.raw && pair.raw <= raw_now());
        assert!(system_before <= pair.system && pair.system <= system_now());
    }

    #[tokio::test]
    async fn sleep_lasts_to_the_deadline_on_the_raw_clock() {
        let deadline = raw_now() + Span::from_millis(3);
        sleep_until(deadline).await;
        assert!(raw_now() >= deadline);
    }

    #[tokio::test]
    async fn a_fine_sleep_ends_at_the_deadline_whether_that_is_far_near_or_past() {
        for span in [Span::from_millis(12), Span::from_micros(300), -LAST_BIT] {
            let deadline = raw_now() + span;
            sleep_in_time(deadline).await;
            // CLOCK_MONOTONIC may be slewed against the raw clock, by less than a thousandth.
            assert!(raw_now() >= deadline - Span::from_micros(5));
        }
    }
}
