//! A look at a segment that changes nothing in it.
//!
//! In: a unit. Out: what the kernel tells about its segment, and a consistent copy of what is in it. Nothing is made,
//! written, cleared or removed. The segment is attached for reading for the length of the copy alone: a writer takes
//! whoever stays for a reader, and a removed segment would live on. What remains is the kernel's note of the last attach
//! and detach.

use super::picture::Picture;
use super::refusal::{self, Facts, ShmError};
use super::segment::{self, Id, Opened, Stat, View};
use super::{Unit, table};
use crate::engine::time::Utc;
use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

/// How often a copy is tried while somebody writes.
const ATTEMPTS: u32 = 20;

/// Between two of them: a writer that the kernel interrupts in the middle goes on in a few of these.
const PAUSE: Duration = Duration::from_millis(1);

/// What is there for a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Where was looked.
    pub unit: Unit,
    /// The segment, if there is one.
    pub found: Option<Found>,
    /// Segments without a key that may once have been this unit's, or another one's.
    pub orphans: Vec<Orphan>,
}

/// A segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The number by which the kernel and `ipcrm -m` know it.
    pub id: i32,
    /// Whose it is, and how large.
    pub facts: Facts,
    /// The process that made it.
    pub creator_pid: u32,
    /// How many have it attached, without us.
    pub attached: u64,
    /// It was removed while in use: nothing leads to it any more.
    pub removed: bool,
    /// When somebody attached it last, to the second. Also a look does so.
    pub last_attach: Option<Utc>,
    /// When somebody detached it last, likewise.
    pub last_detach: Option<Utc>,
    /// What is in it.
    pub reading: Reading,
}

/// What came of reading a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A consistent copy.
    Copied(Picture),
    /// It changed during every attempt.
    Restless,
    /// No room for a sample; not looked into.
    TooSmall,
    /// This user may not read it.
    Denied {
        /// Who we are.
        user: u32,
    },
    /// Nobody has it attached, and `kernel.shm_rmid_forced` is set: it would vanish with our detaching.
    Spared,
    /// The kernel refuses for another reason.
    Failed {
        /// Its error number, 0 when it gave none.
        errno: i32,
    },
}

/// A segment of the size of a sample that was removed, and that somebody still has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The number by which the kernel knows it.
    pub id: i32,
    /// How many have it attached.
    pub attached: u64,
}

/// Looks at the segment of `unit`. It fails only if the kernel does not even tell whether there is one.
pub fn look(unit: Unit) -> Result<Look, ShmError> {
    let rows = table::rows();
    let id = segment::lookup(unit.key())
        .map_err(|error| refusal::explain(unit, None, user(), "shmget", &error))?;
    let found = match id {
        None => None,
        Some(id) => {
            // Before we attach it. The table is open to all, and not there in every container.
            let listed = rows.iter().find(|row| row.id == id).map(|row| row.stat);
            match listed.map_or_else(|| segment::stat(id), Ok) {
                Ok(stat) => Some(open(id, &stat)),
                // Gone since.
                Err(error) if is_gone(&error) => None,
                Err(error) => {
                    return Err(refusal::explain(unit, Some(id), user(), "shmctl", &error));
                }
            }
        }
    };
    let orphans = rows.iter().filter_map(|row| {
        let stat = row.stat;
        let lives = stat.removed && stat.attached > 0 && stat.size == segment::SIZE;
        lives.then_some(Orphan {
            id: row.id.0,
            attached: stat.attached,
        })
    });
    Ok(Look {
        unit,
        found,
        orphans: orphans.collect(),
    })
}

/// The units that have a segment.
pub fn units() -> Vec<Unit> {
    let exists = |unit: &Unit| matches!(segment::lookup(unit.key()), Ok(Some(_)));
    (0..=u8::MAX).map(Unit).filter(exists).collect()
}

fn open(id: Id, stat: &Stat) -> Found {
    let when = |seconds| (seconds != 0).then(|| Utc::from_secs(seconds));
    Found {
        id: id.0,
        facts: (*stat).into(),
        creator_pid: stat.creator_pid,
        attached: stat.attached,
        removed: stat.removed,
        last_attach: when(stat.last_attach),
        last_detach: when(stat.last_detach),
        reading: read(id, stat),
    }
}

fn read(id: Id, stat: &Stat) -> Reading {
    if stat.size < segment::SIZE {
        return Reading::TooSmall;
    }
    if stat.attached == 0 && goes_with_the_last() {
        return Reading::Spared;
    }
    match View::open(id) {
        Ok(Opened::Fits(view)) => copy(&view).map_or(Reading::Restless, Reading::Copied),
        Ok(Opened::TooSmall) => Reading::TooSmall,
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            Reading::Denied { user: user() }
        }
        Err(error) => Reading::Failed {
            errno: error.raw_os_error().unwrap_or(0),
        },
    }
}

/// A copy of a segment at rest if there is any; else one of a writer that stopped in the middle.
fn copy(view: &View) -> Option<Picture> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        if let Some(picture) = view.copy() {
            // `valid` is cleared first and set last.
            if picture.count % 2 == 0 || picture.is_waiting() {
                return Some(picture);
            }
            last = Some(picture);
        } else {
            last = None;
        }
        thread::sleep(PAUSE);
    }
    last
}

/// Whether the kernel destroys segments that nobody has attached.
fn goes_with_the_last() -> bool {
    fs::read_to_string("/proc/sys/kernel/shm_rmid_forced").is_ok_and(|text| text.trim() != "0")
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EIDRM))
}

fn user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::super::rig::{Rig, is_root};
    use super::super::segment::foreign;
    use super::super::{Policy, Stamp, Writer};
    use super::*;
    use crate::engine::leap::Leap;

    fn found(rig: &Rig) -> Found {
        look(rig.unit())
            .expect("anyone may look")
            .found
            .expect("there is one")
    }

    fn bytes(mode: i32, count: i32, valid: i32) -> [u8; 96] {
        let mut bytes = [0; 96];
        for (at, value) in [(0, mode), (4, count), (40, -7), (48, valid)] {
            bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn a_look_tells_a_writers_sample_and_leaves_all_as_it_was() {
        let rig = Rig::new();
        let mut writer = Writer::new(rig.unit(), Policy::usual(rig.unit()));
        let stamp = Stamp {
            clock: Utc::from_nanos(1_790_557_227_012_345_678),
            receive: Utc::from_nanos(1_790_557_227_000_000_001),
            leap: Leap::Insert,
            precision: -4,
        };
        writer.write(&stamp).expect("nothing in the way");
        let before = rig.bytes();
        let found = found(&rig);
        let Reading::Copied(picture) = found.reading else {
            panic!("{found:?}");
        };
        assert_eq!(
            (picture.clock(), picture.receive()),
            (stamp.clock, stamp.receive)
        );
        assert_eq!((picture.leap, picture.precision), (1, -4));
        assert_eq!((picture.mode, picture.count, picture.valid), (1, 2, 1));
        assert_eq!(
            (found.attached, found.facts.size),
            (1, 96),
            "the writer alone"
        );
        assert_eq!(found.creator_pid, std::process::id());
        assert_eq!(rig.bytes(), before);
        assert_eq!(segment::stat(rig.id()).expect("ours").attached, 1);
    }

    #[test]
    fn where_there_is_none_none_is_made() {
        let rig = Rig::new();
        assert_eq!(look(rig.unit()).expect("anyone may look").found, None);
        assert_eq!(segment::lookup(rig.unit().key()).ok(), Some(None));
        assert!(!units().contains(&rig.unit()));
        rig.make(96, 0o600);
        assert!(units().contains(&rig.unit()));
    }

    #[test]
    fn a_segment_that_is_too_small_is_not_looked_into() {
        let rig = Rig::new();
        rig.make(80, 0o666);
        let found = found(&rig);
        assert_eq!((found.facts.size, found.reading), (80, Reading::TooSmall));
        assert_eq!(found.last_attach, None);
    }

    #[test]
    fn a_writer_that_stopped_in_the_middle_is_seen_as_it_stands() {
        let rig = Rig::new();
        let id = rig.make(96, 0o600);
        foreign::fill(id, &bytes(1, 7, 0));
        let Reading::Copied(picture) = found(&rig).reading else {
            panic!("it does not move");
        };
        assert_eq!((picture.count, picture.valid), (7, 0));
    }

    #[test]
    fn of_a_segment_that_may_not_be_read_the_kernels_table_tells() {
        if !is_root() {
            return println!("needs root to become another user: not run");
        }
        let rig = Rig::new();
        rig.make(96, 0o600);
        let found = foreign::as_user(1000, || found(&rig));
        assert_eq!(found.reading, Reading::Denied { user: 1000 });
        assert_eq!((found.facts.owner, found.facts.mode), (0, 0o600));
    }

    #[test]
    fn a_removed_segment_that_somebody_has_is_an_orphan() {
        let rig = Rig::new();
        let mut writer = Writer::new(rig.unit(), Policy::usual(rig.unit()));
        writer.attach().expect("nothing in the way");
        let id = rig.id();
        let is_orphan = |orphans: &[Orphan]| orphans.iter().any(|orphan| orphan.id == id.0);
        assert!(!is_orphan(
            &look(rig.unit()).expect("anyone may look").orphans
        ));
        rig.remove();
        let look = look(rig.unit()).expect("anyone may look");
        assert_eq!(look.found, None);
        let orphan = Orphan {
            id: id.0,
            attached: 1,
        };
        assert!(look.orphans.contains(&orphan), "{look:?}");
    }
}
