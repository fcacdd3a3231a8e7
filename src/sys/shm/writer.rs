//! Which segments to write to, and what they tell about the reader.
//!
//! A key may change its segment under the daemon: `ipcrm`, then a restart of the reader, and there are two,
//! the removed one that the old reader still has and the new one. Writers that stick to their segment feed
//! an orphan for ever; those that follow the key leave a reader that works. So a writer holds every segment
//! that somebody may read and writes to all of them.

use super::refusal::{self, ShmError};
use super::segment::{self, Attached, Contents, Id, Segment};
use super::{Policy, Unit, table};
use crate::engine::leap::Leap;
use crate::engine::time::Utc;

/// One sample for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// True time at the instant of the measurement.
    pub clock: Utc,
    /// CLOCK_REALTIME at that instant: past, but less than 5 s ago when it is written.
    pub receive: Utc,
    /// The leap second that is announced.
    pub leap: Leap,
    /// log2 of the uncertainty in seconds; clamped to −30..=0.
    pub precision: i8,
}

/// What became of a sample that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What is known about the reader: nothing while the first samples lie there, nor with a rival.
    pub reader: Option<ReaderState>,
    /// How many segments it was written to.
    pub segments: usize,
    /// Somebody removed a segment that is still in use: the daemon that reads it should be restarted, and before us,
    /// since we could not find it again.
    pub removed: bool,
    /// Nobody has our segment, but somebody has a removed one that nothing leads to.
    pub abandoned: bool,
    /// Another program writes to the segment, or did so a short while ago.
    pub rival: bool,
    /// Why the segment that has the key now was left out, although another one was written to.
    pub refused: Option<ShmError>,
}

/// What is known about the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReaderState {
    /// Nobody has the segment attached.
    Absent,
    /// Somebody has it attached, but took none of the last four samples.
    Attached,
    /// One of the last four samples was taken.
    Live,
}

/// After how many samples that nobody took a reader counts as idle. One that polls more rarely than samples are written
/// misses most of them.
const PATIENCE: u32 = 4;

/// For how many samples a rival is remembered: it may write more rarely than we do.
const MEMORY: u32 = 64;

/// The one writer of a unit. Dropping it detaches, and leaves the segment with the last sample in it; see
/// [`Writer::withdraw`].
#[derive(Debug)]
pub struct Writer {
    unit: Unit,
    policy: Policy,
    /// The newest last.
    held: Vec<Held>,
    /// For how many more samples there is a rival.
    rival: u32,
}

#[derive(Debug)]
struct Held {
    segment: Segment,
    /// `count` after our last sample; none before the first.
    count: Option<i32>,
    /// Of our samples, how many in a row nobody took.
    missed: u32,
    /// What was known at the last one.
    state: Option<ReaderState>,
}

impl Writer {
    /// A writer that holds nothing yet.
    pub fn new(unit: Unit, policy: Policy) -> Self {
        Self {
            unit,
            policy,
            held: Vec::new(),
            rival: 0,
        }
    }

    /// The unit that it writes.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// How it makes and chooses segments.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Attaches the segment, made if there is none. Optional: [`write`](Self::write) does it too.
    pub fn attach(&mut self) -> Result<(), ShmError> {
        self.follow()
    }

    /// Writes a sample to every segment that somebody may read. It fails only if there is none; the next
    /// write tries again.
    pub fn write(&mut self, stamp: &Stamp) -> Result<Written, ShmError> {
        let refused = match self.follow() {
            Err(error) if self.held.is_empty() => return Err(error),
            followed => followed.err(),
        };
        self.rival = match self.held.iter().any(Held::has_rival) {
            true => MEMORY,
            false => self.rival.saturating_sub(1),
        };
        let reader = self.held.iter_mut().map(Held::reader).max().flatten();
        let contents = stamp.contents();
        for held in &mut self.held {
            held.segment.store(&contents);
            held.count = Some(held.segment.count_now());
        }
        Ok(Written {
            reader: reader.filter(|_| self.rival == 0),
            segments: self.held.len(),
            removed: self.held.iter().any(Held::is_removed),
            abandoned: reader == Some(ReaderState::Absent) && self.is_abandoned(),
            rival: self.rival > 0,
            refused,
        })
    }

    /// Takes back a sample that nobody has read and detaches. The segment stays: a reader that has it will
    /// find the next writer's samples in it.
    pub fn withdraw(&mut self) {
        for held in self.held.drain(..) {
            held.segment.clear_valid();
        }
    }

    /// Withdraws, and removes the segments that this very process made. For a private unit that no daemon
    /// reads; a daemon's reader would stay on the orphan for ever.
    pub fn remove(mut self) {
        for held in &self.held {
            let made_here = |stat: segment::Stat| stat.creator_pid == std::process::id();
            if held.segment.stat().is_ok_and(made_here) {
                // It may be gone already: what was wanted.
                let _ = segment::remove(held.segment.id());
            }
        }
        self.withdraw();
    }

    /// Brings what is held up to date with what the key means now.
    fn follow(&mut self) -> Result<(), ShmError> {
        self.held.retain(|held| !held.is_orphan());
        let key = self.unit.key();
        let system = |error: &_, unit| refusal::explain(unit, None, user(), "shmget", error);
        let found = segment::lookup(key).map_err(|error| system(&error, self.unit))?;
        match found {
            Some(id) if self.held.iter().any(|held| held.segment.id() == id) => Ok(()),
            Some(id) => self.adopt(id),
            // The reader still has the removed one: a new one would only make it leave.
            None if !self.held.is_empty() => Ok(()),
            None => {
                let id = segment::create(key, self.policy.mode).or_else(|error| {
                    // Somebody was faster, with a segment that does not suit.
                    segment::lookup(key)
                        .ok()
                        .flatten()
                        .ok_or(system(&error, self.unit))
                })?;
                self.adopt(id)
            }
        }
    }

    fn adopt(&mut self, id: Id) -> Result<(), ShmError> {
        let unit = self.unit;
        let explain = |error| refusal::explain(unit, Some(id), user(), "shmat", &error);
        match Segment::attach(id).map_err(explain)? {
            Attached::TooSmall(stat) => Err(ShmError::TooSmall {
                unit,
                segment: stat.into(),
            }),
            Attached::Fits(segment, stat) => {
                if self.policy.owner_check {
                    refusal::judge(unit, &stat, user())?;
                }
                self.held.push(Held {
                    segment,
                    count: None,
                    missed: 0,
                    state: None,
                });
                Ok(())
            }
        }
    }
}

impl Writer {
    /// Somebody has a segment that was removed, of the size of a sample: most likely the reader that should have ours.
    /// Nothing leads to it any more, so it cannot be followed.
    fn is_abandoned(&self) -> bool {
        let ours = |id| self.held.iter().any(|held| held.segment.id() == id);
        table::rows().iter().any(|row| {
            let stat = row.stat;
            stat.removed && stat.attached > 0 && stat.size == segment::SIZE && !ours(row.id)
        })
    }
}

impl Held {
    fn is_removed(&self) -> bool {
        self.segment.stat().is_ok_and(|stat| stat.removed)
    }

    /// Removed, and we are the last to hold it.
    fn is_orphan(&self) -> bool {
        let stat = self.segment.stat();
        stat.is_ok_and(|stat| stat.removed && stat.attached <= 1)
    }

    /// Nobody but a writer moves `count`.
    fn has_rival(&self) -> bool {
        self.count
            .is_some_and(|count| count != self.segment.count_now())
    }

    /// What our last sample tells; to be asked once a sample. One of ours that is gone was taken. Before the first one
    /// nothing is proved, since readers clear `valid` when they start; nor is anything if another writer may have
    /// cleared it.
    fn reader(&mut self) -> Option<ReaderState> {
        if self.has_rival() {
            return None;
        }
        let written = self.count.is_some();
        self.missed += u32::from(written);
        if written && !self.segment.is_valid() {
            (self.state, self.missed) = (Some(ReaderState::Live), 0);
        } else if !self.segment.stat().is_ok_and(|stat| stat.attached > 1) {
            (self.state, self.missed) = (Some(ReaderState::Absent), 0);
        } else if self.missed >= PATIENCE {
            (self.state, self.missed) = (Some(ReaderState::Attached), PATIENCE);
        } else if self.state == Some(ReaderState::Absent) {
            self.state = None;
        }
        self.state
    }
}

impl Stamp {
    fn contents(&self) -> Contents {
        Contents {
            clock: self.clock.to_parts(),
            receive: self.receive.to_parts(),
            // Never 3, "not in sync": ntpd skips the poll and keeps the sample.
            leap: match self.leap {
                Leap::None => 0,
                Leap::Insert => 1,
                Leap::Delete => 2,
            },
            precision: self.precision.clamp(-30, 0).into(),
        }
    }
}

fn user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

#[cfg(test)]
mod tests;
