//! A segment for programs: one JSON object a line, times in whole nanoseconds.

use super::{Account, Finding};
use crate::engine::time::Utc;
use crate::sys::shm::{Found, Orphan, Picture, Reading};
use serde::Serialize;

/// All that is to be told of a look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LookObject {
    unit: u8,
    key: u32,
    /// Null if there is none.
    segment: Option<FoundObject>,
    orphans: Vec<OrphanObject>,
    well: bool,
    findings: Vec<FindingObject>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundObject {
    id: i32,
    owner: u32,
    /// Null if he has no name.
    owner_name: Option<String>,
    creator: u32,
    creator_pid: u32,
    /// Octal.
    permissions: String,
    size: usize,
    attached: u64,
    removed: bool,
    /// Since 1970; null for never.
    last_attach_ns: Option<i64>,
    last_detach_ns: Option<i64>,
    /// `copied`, `empty`, `restless`, `too-small`, `denied`, `spared` or `failed`.
    reading: &'static str,
    /// Null if unknown or never written.
    sample: Option<SampleObject>,
}

/// A sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SampleObject {
    /// Clock − receive: positive when the system clock is behind.
    offset_ns: i64,
    clock_ns: i64,
    receive_ns: i64,
    age_ns: i64,
    leap: i32,
    /// log2 of seconds.
    precision: i32,
    count: i32,
    mode: i32,
    nsamples: i32,
    valid: i32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct OrphanObject {
    id: i32,
    attached: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct FindingObject {
    name: &'static str,
    /// Else it is a note.
    fault: bool,
    text: String,
}

impl LookObject {
    /// The members of a account.
    pub fn new(account: &Account<'_>) -> Self {
        let look = account.look;
        let found = look.found.as_ref();
        Self {
            unit: look.unit.0,
            key: look.unit.key(),
            segment: found.map(|found| FoundObject::new(found, account.owner, account.now)),
            orphans: look.orphans.iter().map(OrphanObject::new).collect(),
            well: account.is_well(),
            findings: account.findings.iter().map(FindingObject::new).collect(),
        }
    }
}

impl FoundObject {
    /// The members of a segment, whose owner has that name, looked at `now`.
    pub fn new(found: &Found, owner: Option<&str>, now: Utc) -> Self {
        let (reading, sample) = match found.reading {
            Reading::Copied(picture) if picture.is_empty() => ("empty", None),
            Reading::Copied(picture) => ("copied", Some(SampleObject::new(&picture, now))),
            Reading::Restless => ("restless", None),
            Reading::TooSmall => ("too-small", None),
            Reading::Denied { .. } => ("denied", None),
            Reading::Spared => ("spared", None),
            Reading::Failed { .. } => ("failed", None),
        };
        Self {
            id: found.id,
            owner: found.facts.owner,
            owner_name: owner.map(str::to_owned),
            creator: found.facts.creator,
            creator_pid: found.creator_pid,
            permissions: format!("{:04o}", found.facts.mode),
            size: found.facts.size,
            attached: found.attached,
            removed: found.removed,
            last_attach_ns: found.last_attach.map(Utc::as_nanos),
            last_detach_ns: found.last_detach.map(Utc::as_nanos),
            reading,
            sample,
        }
    }
}

impl SampleObject {
    /// The members of a sample, looked at `now`.
    pub fn new(picture: &Picture, now: Utc) -> Self {
        Self {
            offset_ns: picture.offset().as_nanos(),
            clock_ns: picture.clock().as_nanos(),
            receive_ns: picture.receive().as_nanos(),
            age_ns: (now - picture.receive()).as_nanos(),
            leap: picture.leap,
            precision: picture.precision,
            count: picture.count,
            mode: picture.mode,
            nsamples: picture.nsamples,
            valid: picture.valid,
        }
    }
}

impl OrphanObject {
    fn new(orphan: &Orphan) -> Self {
        Self {
            id: orphan.id,
            attached: orphan.attached,
        }
    }
}

impl FindingObject {
    fn new(finding: &Finding) -> Self {
        Self {
            name: finding.name(),
            fault: finding.is_fault(),
            text: finding.to_string(),
        }
    }
}
