//! Why a segment is not used, in words that say what to do.
//!
//! In: what the kernel says about a segment. Out: a judgement, or a [`ShmError`]. Nothing is attached or
//! written here; the kernel's table is read when it will not say.

use super::Unit;
use super::segment::{self, Id, SIZE, Stat};
use super::table;
use std::fmt;
use std::io;

/// What a person needs to know about a segment in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// User id of the owner.
    pub owner: u32,
    /// User id of whoever made it. Giving a segment away does not take one's rights to it.
    pub creator: u32,
    /// The nine permission bits.
    pub mode: u32,
    /// In bytes.
    pub size: usize,
}

/// Why no sample was written to a segment. All of it may change while the daemon runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShmError {
    /// This user may not read and write it.
    #[error(
        "{}: uid {user} may not open the segment{}; {}",
        Place(*.unit), Found(*.segment), permission_remedy(*.unit)
    )]
    Denied {
        /// The unit that was to be written.
        unit: Unit,
        /// Who we are.
        user: u32,
        /// What is there, if it can be told.
        segment: Option<Facts>,
    },
    /// It was made by or for another user, who could put into it what he likes.
    #[error(
        "{}: the segment {}{}; find out who made it, {}, \
         or trust its owner with `owner-check = false` in [shm]",
        Place(*.unit), Strange(*.user), Found(Some(*.segment)), Removal(*.unit)
    )]
    Foreign {
        /// The unit that was to be written.
        unit: Unit,
        /// Who we are.
        user: u32,
        /// What is there.
        segment: Facts,
    },
    /// A sample does not fit. ntpd and chronyd cannot use it either.
    #[error(
        "{}: the segment is smaller than the {SIZE} bytes of a sample{}; {}",
        Place(*.unit), Found(Some(*.segment)), Removal(*.unit)
    )]
    TooSmall {
        /// The unit that was to be written.
        unit: Unit,
        /// What is there.
        segment: Facts,
    },
    /// The kernel refuses for another reason.
    #[error(
        "{}: {call} fails: {}; {}",
        Place(*.unit), io::Error::from_raw_os_error(*.errno), system_remedy(*.errno)
    )]
    System {
        /// The unit that was to be written.
        unit: Unit,
        /// The system call.
        call: &'static str,
        /// Its error number, 0 when it gave none.
        errno: i32,
    },
}

/// Whether `user` may believe that nobody else meddles with the segment: owner and creator are root or
/// `user`. Both count, since the creator may give a segment to root and keep his rights.
pub(super) fn judge(unit: Unit, stat: &Stat, user: u32) -> Result<(), ShmError> {
    let trusted = |uid: u32| uid == 0 || uid == user;
    if trusted(stat.owner) && trusted(stat.creator) {
        return Ok(());
    }
    Err(ShmError::Foreign {
        unit,
        user,
        segment: (*stat).into(),
    })
}

/// The error for `call` on the segment `id`, if there is one.
pub(super) fn explain(
    unit: Unit,
    id: Option<Id>,
    user: u32,
    call: &'static str,
    error: &io::Error,
) -> ShmError {
    match error.raw_os_error() {
        Some(libc::EACCES) => {
            let stat = id.and_then(look);
            // With the right to it we would not want it either.
            match stat.map(|stat| judge(unit, &stat, user)) {
                Some(Err(foreign)) => foreign,
                _ => ShmError::Denied {
                    unit,
                    user,
                    segment: stat.map(Facts::from),
                },
            }
        }
        errno => ShmError::System {
            unit,
            call,
            errno: errno.unwrap_or(0),
        },
    }
}

/// What can be told about a segment, also when this user may not read it.
fn look(id: Id) -> Option<Stat> {
    let listed = || table::rows().into_iter().find(|row| row.id == id);
    segment::stat(id)
        .ok()
        .or_else(|| listed().map(|row| row.stat))
}

impl From<Stat> for Facts {
    fn from(stat: Stat) -> Self {
        Self {
            owner: stat.owner,
            creator: stat.creator,
            mode: stat.mode,
            size: stat.size,
        }
    }
}

/// `shm unit 2 (key 0x4e545032)`
struct Place(Unit);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shm unit {} (key {:#x})", self.0, self.0.key())
    }
}

/// ` (owner uid 0, mode 0600, 96 bytes)`, or nothing.
struct Found(Option<Facts>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(facts) = self.0 else {
            return Ok(());
        };
        write!(f, " (owner uid {}, ", facts.owner)?;
        if facts.creator != facts.owner {
            write!(f, "made by uid {}, ", facts.creator)?;
        }
        write!(f, "mode {:04o}, {} bytes)", facts.mode, facts.size)
    }
}

/// What is wrong with the owner of a segment, seen by this user.
struct Strange(u32);

impl fmt::Display for Strange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("does not belong to root"),
            user => write!(f, "belongs neither to root nor to uid {user}"),
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
            "remove it with `ipcrm -M {key:#x}`, then restart the daemon that reads it"
        )
    }
}

fn permission_remedy(unit: Unit) -> String {
    if unit.0 < 2 {
        // Private to root by custom of all daemons.
        "use a unit of 2 or above, or give webntpd the capability CAP_IPC_OWNER".to_owned()
    } else {
        format!(
            "have the daemon make it for everyone (chrony: `SHM {unit}:perm=0666`, ntpd: without `mode 1`): {}",
            Removal(unit)
        )
    }
}

fn system_remedy(errno: i32) -> &'static str {
    match errno {
        libc::ENOSPC => "raise kernel.shmmni or kernel.shmall",
        libc::ENOSYS => "use a kernel with CONFIG_SYSVIPC",
        libc::EPERM => "let the service use SysV shared memory (SystemCallFilter=@ipc)",
        _ => "it is tried again with the next sample",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Unit = Unit(2);
    const FACTS: Facts = Facts {
        owner: 1000,
        creator: 1000,
        mode: 0o600,
        size: 80,
    };

    fn stat(owner: u32, creator: u32) -> Stat {
        Stat {
            owner,
            creator,
            creator_pid: 1,
            mode: 0o666,
            size: 96,
            attached: 1,
            removed: false,
            last_attach: 0,
            last_detach: 0,
        }
    }

    #[test]
    fn only_segments_of_root_and_ourselves_are_trusted() {
        for (owner, creator, trusted) in [
            (0, 0, true),
            (990, 990, true),
            (0, 990, true),
            (990, 0, true),
            (1000, 1000, false),
            (1000, 0, false),
            (0, 1000, false),
        ] {
            let judgement = judge(UNIT, &stat(owner, creator), 990);
            assert_eq!(
                judgement.is_ok(),
                trusted,
                "owner {owner}, creator {creator}"
            );
        }
    }

    #[test]
    fn an_error_names_the_segment_and_the_remedy() {
        let given_to_root = Facts { owner: 0, ..FACTS };
        for (error, text) in [
            (
                ShmError::Denied {
                    unit: Unit(0),
                    user: 990,
                    segment: Some(Facts {
                        owner: 0,
                        creator: 0,
                        mode: 0o600,
                        size: 96,
                    }),
                },
                "shm unit 0 (key 0x4e545030): uid 990 may not open the segment (owner uid 0, mode 0600, 96 bytes); \
                 use a unit of 2 or above, or give webntpd the capability CAP_IPC_OWNER",
            ),
            (
                ShmError::Denied {
                    unit: UNIT,
                    user: 990,
                    segment: None,
                },
                "shm unit 2 (key 0x4e545032): uid 990 may not open the segment; \
                 have the daemon make it for everyone (chrony: `SHM 2:perm=0666`, ntpd: without `mode 1`): \
                 remove it with `ipcrm -M 0x4e545032`, then restart the daemon that reads it",
            ),
            (
                ShmError::Foreign {
                    unit: UNIT,
                    user: 990,
                    segment: given_to_root,
                },
                "shm unit 2 (key 0x4e545032): the segment belongs neither to root nor to uid 990 \
                 (owner uid 0, made by uid 1000, mode 0600, 80 bytes); find out who made it, \
                 remove it with `ipcrm -M 0x4e545032`, then restart the daemon that reads it, \
                 or trust its owner with `owner-check = false` in [shm]",
            ),
            (
                ShmError::Foreign {
                    unit: UNIT,
                    user: 0,
                    segment: FACTS,
                },
                "shm unit 2 (key 0x4e545032): the segment does not belong to root \
                 (owner uid 1000, mode 0600, 80 bytes); find out who made it, \
                 remove it with `ipcrm -M 0x4e545032`, then restart the daemon that reads it, \
                  or trust its owner with `owner-check = false` in [shm]",
            ),
            (
                ShmError::TooSmall {
                    unit: UNIT,
                    segment: FACTS,
                },
                "shm unit 2 (key 0x4e545032): the segment is smaller than the 96 bytes of a sample \
                 (owner uid 1000, mode 0600, 80 bytes); \
                 remove it with `ipcrm -M 0x4e545032`, then restart the daemon that reads it",
            ),
            (
                ShmError::System {
                    unit: UNIT,
                    call: "shmget",
                    errno: libc::ENOSPC,
                },
                "shm unit 2 (key 0x4e545032): shmget fails: No space left on device (os error 28); \
                 raise kernel.shmmni or kernel.shmall",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
