//! Each thing that can be wrong with a segment, in words that say what to do.

use super::words::Ago;
use crate::engine::time::Span;
use crate::status::table::Signed;
use crate::sys::shm::{SIZE, Unit};
use std::fmt;
use std::io;

/// One thing that is wrong with a segment, or worth to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is no segment.
    Missing {
        /// Where none is.
        unit: Unit,
    },
    /// It was removed while it was in use.
    Removed,
    /// A removed segment of the size of a sample is still in use.
    Orphan {
        /// By which the kernel knows it.
        id: i32,
    },
    /// A sample does not fit.
    TooSmall {
        /// Whose segment.
        unit: Unit,
        /// In bytes.
        size: usize,
    },
    /// It belongs to a user, and others may not open it.
    Private {
        /// Whose segment.
        unit: Unit,
        /// User id.
        owner: u32,
        /// Permission bits.
        mode: u32,
    },
    /// It belongs to root, and others may not open it.
    RootsOwn {
        /// Permission bits.
        mode: u32,
    },
    /// Everybody may write to it.
    Public {
        /// Permission bits.
        mode: u32,
    },
    /// We may not read it.
    Denied {
        /// Who we are.
        user: u32,
    },
    /// It was not read lest it vanish.
    Spared,
    /// The kernel does not let it be read.
    Failed {
        /// Its error number.
        errno: i32,
    },
    /// Nobody has it attached.
    Deserted,
    /// One has it attached, which writes.
    NoReader,
    /// One has it attached, which may be the writer or the reader.
    Alone,
    /// No sample was ever written.
    Empty,
    /// It never rests.
    Restless,
    /// The last sample is old.
    Silent {
        /// Of the last sample.
        age: Span,
    },
    /// A sample waits in vain.
    NotTaken {
        /// Of the sample.
        age: Span,
    },
    /// The receive stamp is later than the system clock.
    Future {
        /// By how much.
        ahead: Span,
    },
    /// The count is odd, and has been so for long.
    HalfWritten,
    /// The count is odd although the sample is whole.
    OddCount,
    /// The mode field is neither 0 nor 1.
    BadMode {
        /// The mode field.
        mode: i32,
    },
    /// Microseconds or nanoseconds are no part of a second.
    OutOfRange,
    /// Nanoseconds and microseconds do not fit each other.
    Contradiction,
    /// There are no microseconds.
    OnlyNanos,
    /// There are no nanoseconds.
    OnlyMicros,
    /// The leap indicator is 3.
    NotInSync,
    /// The leap indicator is none.
    BadLeap {
        /// The leap indicator.
        leap: i32,
    },
    /// The precision is none.
    BadPrecision {
        /// log2 of seconds.
        precision: i32,
    },
    /// The offset cannot be meant.
    Absurd {
        /// Clock − receive.
        offset: Span,
    },
}

impl Finding {
    /// Whether something is wrong; else it is only worth to be known.
    pub fn is_fault(&self) -> bool {
        !matches!(
            self,
            Self::Public { .. } | Self::RootsOwn { .. } | Self::OddCount | Self::OnlyMicros
        )
    }

    /// A name that stays the same, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Removed => "removed",
            Self::Orphan { .. } => "orphan",
            Self::TooSmall { .. } => "too-small",
            Self::Private { .. } => "private",
            Self::RootsOwn { .. } => "roots-own",
            Self::Public { .. } => "public",
            Self::Denied { .. } => "denied",
            Self::Spared => "spared",
            Self::Failed { .. } => "failed",
            Self::Deserted => "deserted",
            Self::NoReader => "no-reader",
            Self::Alone => "alone",
            Self::Empty => "empty",
            Self::Restless => "restless",
            Self::Silent { .. } => "silent",
            Self::NotTaken { .. } => "not-taken",
            Self::Future { .. } => "future",
            Self::HalfWritten => "half-written",
            Self::OddCount => "odd-count",
            Self::BadMode { .. } => "bad-mode",
            Self::OutOfRange => "out-of-range",
            Self::Contradiction => "contradiction",
            Self::OnlyNanos => "only-nanos",
            Self::OnlyMicros => "only-micros",
            Self::NotInSync => "not-in-sync",
            Self::BadLeap { .. } => "bad-leap",
            Self::BadPrecision { .. } => "bad-precision",
            Self::Absurd { .. } => "absurd",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Missing { unit } => write!(
                f,
                "no daemon has made a segment for unit {unit}: is webntpd or ntpd running, with this unit and in this \
                 IPC namespace (PrivateIPC=, containers)?"
            ),
            Self::Removed => f.write_str(
                "it was removed while it was in use: restart the daemon that reads it, then webntpd",
            ),
            Self::Orphan { id } => write!(
                f,
                "segment {id}, of {SIZE} bytes, was removed and is still in use: if a daemon that should read this unit \
                 has it, restart that daemon"
            ),
            Self::TooSmall { unit, size } => write!(
                f,
                "it has {size} bytes, and a sample needs {SIZE}: chronyd ends at its start, ntpd drops the clock; {}",
                Removal(unit)
            ),
            Self::Private { unit, owner, mode } => write!(
                f,
                "owned by uid {owner}, mode {mode:04o}: ntpd or chronyd under AppArmor cannot attach, since their \
                 profiles lack ipc_owner; have it made with mode 0666, or by the daemon: {}",
                Removal(unit)
            ),
            Self::RootsOwn { mode } => write!(
                f,
                "mode {mode:04o}: it is root's and not for everybody, webntpd as a user of its own may be unable to write to it"
            ),
            Self::Public { mode } => write!(
                f,
                "mode {mode:04o}: every user of this machine may write to it, as is usual from unit 2 up"
            ),
            Self::Denied { user } => write!(
                f,
                "uid {user} may not read it, so nothing is known of its sample: look as root or as its owner"
            ),
            Self::Spared => f.write_str(
                "nobody has it, and with kernel.shm_rmid_forced it would vanish after a look: start webntpd and the \
                 daemon that reads",
            ),
            Self::Failed { errno } => write!(
                f,
                "it cannot be read: {}",
                io::Error::from_raw_os_error(errno)
            ),
            Self::Deserted => f.write_str(
                "nobody has it, neither a daemon that reads nor one that writes: start both",
            ),
            Self::NoReader => f.write_str(
                "only one process has it, the one that writes: is the daemon that should read it running, with this \
                 unit?",
            ),
            Self::Alone => f.write_str(
                "only one process has it: either nobody writes (is webntpd running?) or nobody reads (is ntpd or \
                 chronyd?)",
            ),
            Self::Empty => f.write_str(
                "nobody has written a sample yet: is webntpd running, and does it publish?",
            ),
            Self::Restless => f.write_str(
                "it changes all the time, and no copy is whole: is there more than one writer?",
            ),
            Self::Silent { age } => write!(
                f,
                "nobody writes: the last sample is {} old, and ntpd refuses one after 5 s; is webntpd running, and does \
                 it publish?",
                Ago(age)
            ),
            Self::NotTaken { age } => write!(
                f,
                "no reader takes it: the sample has been waiting for {}, and a daemon takes it within seconds; is it \
                 running, with this unit?",
                Ago(age)
            ),
            Self::Future { ahead } => write!(
                f,
                "the sample is {} in the future, chronyd refuses it: was the system clock set back?",
                Ago(ahead)
            ),
            Self::HalfWritten => f.write_str(
                "count is odd: a writer ended in the middle of a sample; start it again",
            ),
            Self::OddCount => f.write_str(
                "count is odd although nobody is in the middle: a writer once ended there, or counts in its own way; \
                 no reader minds",
            ),
            Self::BadMode { mode } => write!(
                f,
                "the mode field is {mode}, neither 0 nor 1: no daemon takes such a sample; is the writer one for NTP?"
            ),
            Self::OutOfRange => f.write_str(
                "microseconds or nanoseconds are more than a second: daemons compute a wrong offset; mend the writer",
            ),
            Self::Contradiction => f.write_str(
                "nanoseconds and microseconds do not fit each other, readers drop the nanoseconds: the writer should \
                 cut them off, not round",
            ),
            Self::OnlyNanos => f.write_str(
                "only nanoseconds are given, and readers need microseconds: they see whole seconds; mend the writer",
            ),
            Self::OnlyMicros => f.write_str("the writer gives microseconds only"),
            Self::NotInSync => f.write_str(
                "leap 3, not in sync: ntpd skips the poll and yet keeps the sample for later; a writer that knows no \
                 time should not write",
            ),
            Self::BadLeap { leap } => write!(
                f,
                "leap {leap} is none of 0, 1, 2: chronyd ignores the sample, ntpd takes it; mend the writer"
            ),
            Self::BadPrecision { precision } => write!(
                f,
                "precision {precision} is not between -30 and 0, powers of two of a second: ntpd believes it all the \
                 same; mend the writer"
            ),
            Self::Absurd { offset } => write!(
                f,
                "the offset of {} is more than 4 h: ntpsec and chronyd take it all the same; look after the system \
                 clock, or after the writer",
                Signed(offset)
            ),
        }
    }
}

/// How a person gets rid of a segment.
struct Removal(Unit);

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.0.key();
        write!(
            f,
            "stop what has it, remove it with `ipcrm -M {key:#x}`, then start the daemon that reads it"
        )
    }
}
