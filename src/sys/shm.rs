//! NTP shared memory: the writer's side, one sample at a time into the segment that ntpd's and chronyd's
//! SHM refclocks read; and a look at a segment that changes nothing.
//!
//! * `segment`: the system calls, the layout, the order of the stores; all `unsafe` code of the crate
//! * `writer`: which segments to hold, and what they tell about the reader
//! * `look`, `picture`: what is in a segment, without touching it
//! * `refusal`: why a segment is not used, in words
//! * `table`: what the kernel tells of segments that are not ours to open
//!
//! In: [`Stamp`]s. Out: [`Written`], or a [`ShmError`] that the next write may cure; a [`Look`]. Nothing here judges a
//! sample, reads a clock, or removes a segment that others use.

mod look;
mod picture;
mod refusal;
mod segment;
mod table;
mod writer;

pub use look::{Found, Look, Orphan, Reading, look, units};
pub use picture::{Picture, Split};
pub use refusal::{Facts, ShmError};
pub use writer::{ReaderState, Stamp, Writer, Written};

use std::fmt;
use std::ops::RangeInclusive;

/// The number of a segment: ntpd's 127.127.28.unit, chrony's `refclock SHM unit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit(pub u8);

impl Unit {
    /// The SysV key of the segment: `NTP0` as four bytes, plus the unit.
    pub const fn key(self) -> u32 {
        0x4e54_5030 + self.0 as u32
    }
}

/// Bytes of a sample; a smaller segment is of no use to anybody.
pub const SIZE: usize = segment::SIZE;

/// How a segment is made, and which ones are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The nine permission bits of a segment that we make; the umask does not count. One that is there is
    /// used as it is.
    pub mode: u32,
    /// Whether a segment is used only if its owner and its maker are root or our own user. Anybody may make
    /// one for any unit that has none, and put into it what he likes.
    pub owner_check: bool,
}

impl Policy {
    /// What all daemons do: units 0 and 1 are for their maker alone, the others for everybody; and the owner
    /// is checked.
    pub const fn usual(unit: Unit) -> Self {
        Self {
            mode: if unit.0 < 2 { 0o600 } else { 0o666 },
            owner_check: true,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The first unit of `range` that has no segment, if any. Nothing holds it: somebody may make one at once.
pub fn free_unit(range: RangeInclusive<u8>) -> Option<Unit> {
    range
        .map(Unit)
        .find(|unit| matches!(segment::lookup(unit.key()), Ok(None)))
}

#[cfg(test)]
pub(crate) mod rig;
