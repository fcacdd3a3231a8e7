//! Where decisions go: one [`Sample`] at a time to whoever sets the clock.
//!
//! In: samples that the engine stands by. Out: [`Published`], or a [`SinkError`] that says in words why not;
//! it concerns this sample only, and the next one is tried again. No sink ends the daemon.
//!
//! A sink does not judge, repeat or re-stamp samples, and reads no clock. Whoever calls it sees to it that
//! each measurement is published once, and while `receive` is less than 5 s past: ntpd drops older ones,
//! chronyd counts on receive times that increase.

#[cfg(test)]
pub(crate) mod recorder;
pub mod shm;
pub mod sock;

pub use shm::ShmSink;
pub use sock::SockSink;

use crate::engine::leap::Leap;
use crate::engine::snapshot::Decision;
use crate::engine::time::{Span, Utc};
use crate::sys::clock::ClockPair;
use crate::sys::shm::{ReaderState, ShmError};
use crate::sys::sock::{Listener, SockError};

/// Somebody who takes samples.
pub trait Sink: Send {
    /// Hands one sample on.
    fn publish(&mut self, sample: &Sample) -> Result<Published, SinkError>;
}

/// What is known about universal time at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The instant on CLOCK_REALTIME.
    pub receive: Utc,
    /// The same instant in true time.
    pub clock: Utc,
    /// The greatest error of `clock` if the majority of the sources is honest (> 0).
    pub bound: Span,
    /// The leap second that is announced.
    pub leap: Leap,
}

/// What became of a sample that was handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The output, in words: `SHM(2)`, `SOCK(/run/chrony.webntpd.sock)`.
    pub output: String,
    /// Whether anybody reads, where that can be told.
    pub reader: Option<Reader>,
    /// What a person should know and do although the sample went out. Stays the same as long as the state
    /// does, so that only its changes need to be logged.
    pub notice: Option<String>,
}

/// What is known of whoever reads an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Of a segment, which shows whether its samples are taken.
    Segment(ReaderState),
    /// Of a socket, which shows only whether somebody has it.
    Socket(Listener),
}

/// Why a sample was not handed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// An instant before 1970 or after 2099: some clock is nonsense, and readers do not check.
    #[error(
        "not published: {what} is {} s, which is not between 1970 and 2100; \
         set the system clock by hand, or look at the sources",
        .instant.to_parts().0
    )]
    OutOfRange {
        /// Which of the two instants.
        what: &'static str,
        /// The first one out of range.
        instant: Utc,
    },
    /// The segment cannot be written.
    #[error(transparent)]
    Shm(#[from] ShmError),
    /// The socket takes nothing.
    #[error(transparent)]
    Sock(#[from] SockError),
}

/// 1970-01-01 and 2100-01-01.
const PLAUSIBLE: std::ops::Range<Utc> = Utc::from_secs(0)..Utc::from_secs(4_102_444_800);

impl Reader {
    /// Whether there certainly is none.
    pub fn is_absent(self) -> bool {
        matches!(
            self,
            Self::Segment(ReaderState::Absent) | Self::Socket(Listener::Absent)
        )
    }
}

impl Sample {
    /// What a decision says of the system clock at the instant of `clock`.
    pub fn of(decision: &Decision, clock: ClockPair) -> Self {
        Self {
            receive: clock.system,
            clock: clock.raw + decision.theta_at(clock.raw),
            bound: decision.error_at(clock.raw),
            leap: decision.leap,
        }
    }

    /// True time minus system clock: positive when the system clock is behind.
    pub fn offset(&self) -> Span {
        self.clock - self.receive
    }

    /// The bound as the NTP protocols say it: the smallest power of two seconds that is not below it, as
    /// its exponent (−30 to 0).
    pub fn precision(&self) -> i8 {
        let bound = i128::from(self.bound.as_nanos());
        // 2^p s ≥ bound, in integers: an f64 would round at the powers themselves.
        let covers = |p: &i8| bound << -p <= 1_000_000_000;
        (-30..0).find(covers).unwrap_or(0)
    }

    /// Refuses what no reader should ever see. ntpsec and chronyd swallow any offset.
    pub(crate) fn check(&self) -> Result<(), SinkError> {
        for (what, instant) in [
            ("the system clock", self.receive),
            ("true time", self.clock),
        ] {
            if !PLAUSIBLE.contains(&instant) {
                return Err(SinkError::OutOfRange { what, instant });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::recorder::Recorder;
    use super::*;
    use crate::engine::bound::Interval;
    use crate::engine::time::{Rate, Raw, Theta};
    use proptest::prelude::*;

    const SAMPLE: Sample = Sample {
        receive: Utc::from_secs(1_790_557_227),
        clock: Utc::from_secs(1_790_557_228),
        bound: Span::from_millis(8),
        leap: Leap::None,
    };

    fn with_bound(nanos: i64) -> Sample {
        Sample {
            bound: Span::from_nanos(nanos),
            ..SAMPLE
        }
    }

    #[test]
    fn offset_is_positive_when_the_system_clock_is_behind() {
        assert_eq!(SAMPLE.offset(), Span::from_secs(1));
    }

    #[test]
    fn precision_is_the_power_of_two_that_covers_the_bound() {
        for (nanos, precision) in [
            (15_625_000, -6),
            (15_625_001, -5),
            (62_500_000, -4),
            (8_000_000, -6),
            (1_000_000, -9),
            (500_000_000, -1),
            (500_000_001, 0),
            (1_000_000_000, 0),
            (i64::MAX, 0),
            (1, -29),
            (0, -30),
            (-5, -30),
            (i64::MIN, -30),
        ] {
            assert_eq!(with_bound(nanos).precision(), precision, "{nanos} ns");
        }
    }

    #[test]
    fn a_decision_becomes_an_offset_of_the_system_clock_at_the_moment_of_publishing() {
        let raw = Raw::from_nanos(5_000_000_000);
        let decision = Decision {
            at: Raw::from_nanos(4_000_000_000),
            theta: Theta::from_nanos(1_000_000_025_000_000),
            bound: Interval {
                lo: Theta::from_nanos(1_000_000_020_000_000),
                hi: Theta::from_nanos(1_000_000_030_000_000),
            },
            rate: Rate::from_ppm(10),
            rates: Interval {
                lo: Rate::from_ppm(-30),
                hi: Rate::from_ppm(50),
            },
            jitter: Span::ZERO,
            leap: Leap::None,
        };
        let system = raw + Theta::from_nanos(1_000_000_000_000_000);
        let sample = Sample::of(&decision, ClockPair { raw, system });
        assert_eq!(sample.receive, system);
        // 25 ms, and 10 ppm of the second since.
        assert_eq!(sample.offset(), Span::from_micros(25_010));
        // 5 ms, and 10 − (−30) ppm of the second since, which is more than 50 − 10.
        assert_eq!(sample.bound, Span::from_micros(5_040));
    }

    proptest! {
        #[test]
        fn precision_covers_the_bound_and_no_smaller_power_does(nanos in 1i64..1_000_000_000) {
            let precision = i32::from(with_bound(nanos).precision());
            let seconds = Span::from_nanos(nanos).as_secs_f64();
            prop_assert!(seconds <= f64::powi(2.0, precision) * (1.0 + 1e-12));
            prop_assert!(seconds > f64::powi(2.0, precision - 1) * (1.0 - 1e-12));
        }
    }

    #[test]
    fn an_instant_outside_1970_to_2100_is_refused() {
        let nanosecond = Span::from_nanos(1);
        for (instant, right) in [
            (PLAUSIBLE.start, true),
            (PLAUSIBLE.start - nanosecond, false),
            (PLAUSIBLE.end - nanosecond, true),
            (PLAUSIBLE.end, false),
        ] {
            let receive = Sample {
                receive: instant,
                ..SAMPLE
            };
            let clock = Sample {
                clock: instant,
                ..SAMPLE
            };
            assert_eq!(
                (receive.check().is_ok(), clock.check().is_ok()),
                (right, right),
                "{instant:?}"
            );
        }
        let text = Sample {
            clock: Utc::from_secs(-5),
            ..SAMPLE
        }
        .check()
        .expect_err("1969")
        .to_string();
        assert_eq!(
            text,
            "not published: true time is -5 s, which is not between 1970 and 2100; \
             set the system clock by hand, or look at the sources"
        );
    }

    #[test]
    fn a_recorder_keeps_what_it_is_given_and_fails_when_told() {
        let recorder = Recorder::default();
        let mut sink: Box<dyn Sink> = Box::new(recorder.clone());
        sink.publish(&SAMPLE).expect("nothing in the way");
        let error = SinkError::OutOfRange {
            what: "true time",
            instant: SAMPLE.clock,
        };
        recorder.fail_with(Some(error.clone()));
        assert_eq!(sink.publish(&SAMPLE), Err(error));
        assert_eq!(recorder.samples(), [SAMPLE]);
    }
}
