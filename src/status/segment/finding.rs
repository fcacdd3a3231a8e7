//! Each thing that can be wrong with a segment, in words that say what to do.

use crate::engine::time::Span;
use crate::status::table::Signed;
use crate::status::words::ago;
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

    /// What is wrong, and what comes of it.
    pub fn what(&self) -> String {
        match *self {
            Self::Missing { unit } => format!("no daemon has made a segment for unit {unit}"),
            Self::Removed => "it was removed while it was in use".to_owned(),
            Self::Orphan { id } => {
                format!("segment {id}, of {SIZE} bytes, was removed and is still in use")
            }
            Self::TooSmall { size, .. } => format!(
                "it has {size} bytes, and a sample needs {SIZE}: chronyd ends at its start, ntpd drops the clock"
            ),
            Self::Private { owner, mode, .. } => format!(
                "owned by uid {owner}, mode {mode:04o}: ntpd or chronyd under AppArmor cannot attach, since their profiles \
                 lack ipc_owner"
            ),
            Self::RootsOwn { mode } => format!(
                "mode {mode:04o}: it is root's and not for everybody, webntpd as a user of its own may be unable to write to it"
            ),
            Self::Public { mode } => format!(
                "mode {mode:04o}: every user of this machine may write to it, as is usual from unit 2 up"
            ),
            Self::Denied { user } => {
                format!("uid {user} may not read it, so nothing is known of its sample")
            }
            Self::Spared => {
                "nobody has it, and with kernel.shm_rmid_forced it would vanish after a look".to_owned()
            }
            Self::Failed { errno } => {
                format!("it cannot be read: {}", io::Error::from_raw_os_error(errno))
            }
            Self::Deserted => {
                "nobody has it, neither a daemon that reads nor one that writes".to_owned()
            }
            Self::NoReader => "only one process has it, the one that writes: nobody reads".to_owned(),
            Self::Alone => {
                "only one process has it: either nobody writes, or nobody reads".to_owned()
            }
            Self::Empty => "nobody has written a sample yet".to_owned(),
            Self::Restless => "it changes all the time, and no copy is whole".to_owned(),
            Self::Silent { age } => format!(
                "nobody writes: the last sample is {} old, and ntpd refuses one after 5 s",
                ago(age)
            ),
            Self::NotTaken { age } => format!(
                "no reader takes it: the sample has been waiting for {}, and a daemon takes it within seconds",
                ago(age)
            ),
            Self::Future { ahead } => {
                format!("the sample is {} in the future, chronyd refuses it", ago(ahead))
            }
            Self::HalfWritten => {
                "count is odd: a writer ended in the middle of a sample".to_owned()
            }
            Self::OddCount => {
                "count is odd although nobody is in the middle: a writer once ended there, or counts in its own way; no \
                 reader minds"
                    .to_owned()
            }
            Self::BadMode { mode } => format!(
                "the mode field is {mode}, neither 0 nor 1: no daemon takes such a sample"
            ),
            Self::OutOfRange => {
                "microseconds or nanoseconds are more than a second: daemons compute a wrong offset"
                    .to_owned()
            }
            Self::Contradiction => {
                "nanoseconds and microseconds do not fit each other, readers drop the nanoseconds"
                    .to_owned()
            }
            Self::OnlyNanos => {
                "only nanoseconds are given, and readers need microseconds: they see whole seconds"
                    .to_owned()
            }
            Self::OnlyMicros => "the writer gives microseconds only".to_owned(),
            Self::NotInSync => {
                "leap 3, not in sync: ntpd skips the poll and yet keeps the sample for later".to_owned()
            }
            Self::BadLeap { leap } => format!(
                "leap {leap} is none of 0, 1, 2: chronyd ignores the sample, ntpd takes it"
            ),
            Self::BadPrecision { precision } => format!(
                "precision {precision} is not between -30 and 0, powers of two of a second: ntpd believes it all the same"
            ),
            Self::Absurd { offset } => format!(
                "the offset of {} is more than 4 h: ntpsec and chronyd take it all the same",
                Signed(offset)
            ),
        }
    }

    /// What to do about it, or to ask oneself; nothing where there is nothing to be done.
    pub fn remedy(&self) -> Option<String> {
        let remedy = match *self {
            Self::Missing { .. } => {
                "is webntpd or ntpd running, with this unit and in this IPC namespace (PrivateIPC=, containers)?"
            }
            Self::Removed => "restart the daemon that reads it, then webntpd",
            Self::Orphan { .. } => {
                "if a daemon that should read this unit has it, restart that daemon"
            }
            Self::TooSmall { unit, .. } => return Some(Removal(unit).to_string()),
            Self::Private { unit, .. } => {
                let removal = Removal(unit);
                return Some(format!(
                    "have it made with mode 0666, or by the daemon: {removal}"
                ));
            }
            Self::Denied { .. } => "look as root or as its owner",
            Self::Spared => "start webntpd and the daemon that reads",
            Self::Deserted => "start both",
            Self::NoReader => "is the daemon that should read it running, with this unit?",
            Self::Alone => "are webntpd and ntpd or chronyd running, with this unit?",
            Self::Empty | Self::Silent { .. } => "is webntpd running, and does it publish?",
            Self::Restless => "is there more than one writer?",
            Self::NotTaken { .. } => "is the daemon that should take it running, with this unit?",
            Self::Future { .. } => "was the system clock set back?",
            Self::HalfWritten => "start the writer again",
            Self::BadMode { .. } => "is the writer one for NTP?",
            Self::OutOfRange
            | Self::OnlyNanos
            | Self::BadLeap { .. }
            | Self::BadPrecision { .. } => "mend the writer",
            Self::Contradiction => "the writer should cut the microseconds off, not round them",
            Self::NotInSync => "a writer that knows no time should not write",
            Self::Absurd { .. } => "look after the system clock, or after the writer",
            Self::RootsOwn { .. }
            | Self::Public { .. }
            | Self::Failed { .. }
            | Self::OddCount
            | Self::OnlyMicros => return None,
        };
        Some(remedy.to_owned())
    }
}

/// What is wrong, and what to do, if anything.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what())?;
        match self.remedy() {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
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
