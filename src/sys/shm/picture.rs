//! The fields of a segment as they are, and what the daemons make of them.
//!
//! In: the fields, whatever somebody wrote. Out: instants and the offset, as ntpd and chronyd compute them. Nothing is
//! refused here, and no value is too absurd to be computed with.

use crate::engine::time::{Span, Utc};

const NANOS: i128 = 1_000_000_000;

/// A copy of a segment; the names are those of ntpd's `struct shmTime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// 0 or 1; readers refuse all else.
    pub mode: i32,
    /// One up before an update and one up after it.
    pub count: i32,
    /// True time.
    pub clock: Split,
    /// The system clock at the same instant.
    pub receive: Split,
    /// 0 none, 1 insert, 2 delete, 3 not in sync.
    pub leap: i32,
    /// log2 of the uncertainty in seconds.
    pub precision: i32,
    /// Read by nobody.
    pub nsamples: i32,
    /// Not 0 while a sample waits for a reader.
    pub valid: i32,
}

/// An instant in three fields, of which two say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Seconds since 1970.
    pub sec: i64,
    /// Microseconds of the second.
    pub usec: i32,
    /// Nanoseconds of the second, the microseconds included.
    pub nsec: u32,
}

impl Picture {
    /// Whether a sample waits for a reader.
    pub fn is_waiting(&self) -> bool {
        self.valid != 0
    }

    /// Whether nobody has ever put a sample in.
    pub fn is_empty(&self) -> bool {
        let nothing = |split: Split| (split.sec, split.usec, split.nsec) == (0, 0, 0);
        !self.is_waiting() && nothing(self.clock) && nothing(self.receive)
    }

    /// Whether readers use the nanoseconds: only if those of both stamps fit their microseconds.
    pub fn has_nanos(&self) -> bool {
        [self.clock, self.receive].iter().all(Split::is_consistent)
    }

    /// True time, for readers; saturates.
    pub fn clock(&self) -> Utc {
        Utc::from_nanos(saturate(self.nanos(self.clock)))
    }

    /// The system clock at that instant, for readers; saturates.
    pub fn receive(&self) -> Utc {
        Utc::from_nanos(saturate(self.nanos(self.receive)))
    }

    /// What must be added to the system clock, for readers: positive when it is behind. Saturates.
    pub fn offset(&self) -> Span {
        Span::from_nanos(saturate(self.nanos(self.clock) - self.nanos(self.receive)))
    }

    fn nanos(&self, split: Split) -> i128 {
        let within = if self.has_nanos() {
            i128::from(split.nsec)
        } else {
            i128::from(split.usec) * 1_000
        };
        i128::from(split.sec) * NANOS + within
    }
}

impl Split {
    /// Whether the nanoseconds, cut to microseconds, are the microseconds.
    pub fn is_consistent(&self) -> bool {
        i64::from(self.nsec / 1_000) == i64::from(self.usec)
    }

    /// Whether both are less than a second, and not negative.
    pub fn is_in_range(&self) -> bool {
        (0..1_000_000).contains(&self.usec) && i128::from(self.nsec) < NANOS
    }
}

fn saturate(nanos: i128) -> i64 {
    nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn picture(clock: (i64, i32, u32), receive: (i64, i32, u32)) -> Picture {
        let split = |(sec, usec, nsec)| Split { sec, usec, nsec };
        Picture {
            mode: 1,
            count: 2,
            clock: split(clock),
            receive: split(receive),
            leap: 0,
            precision: -10,
            nsamples: 3,
            valid: 1,
        }
    }

    #[test]
    fn nanoseconds_count_only_if_both_stamps_have_them() {
        let offset = |clock, receive| picture(clock, receive).offset().as_nanos();
        assert_eq!(offset((10, 5, 5_999), (10, 4, 4_001)), 1_998);
        assert_eq!(offset((10, 5, 5_999), (10, 4, 0)), 1_000);
        assert_eq!(
            offset((10, 0, 5_999), (10, 0, 4_001)),
            0,
            "nobody sees them"
        );
        assert_eq!(offset((9, 0, 0), (10, 0, 0)), -1_000_000_000);
    }

    proptest! {
        #[test]
        fn no_fields_are_too_absurd(clock: (i64, i32, u32), receive: (i64, i32, u32)) {
            let picture = picture(clock, receive);
            let _ = (picture.offset(), picture.clock(), picture.receive(), picture.is_empty());
        }
    }
}
