//! What is wrong with an NTP shared memory segment.
//!
//! * here: the judgement, from what was seen and the time of day alone
//! * `finding`: each thing that can be wrong, and what to do about it, in words
//! * `words`: a segment for people; `json`: the same for programs
//!
//! In: a [`Look`]. Out: [`Finding`]s, the gravest first. Nothing is looked up here.

mod finding;
mod json;
mod words;

pub use finding::Finding;
pub use json::{FoundObject, LookObject, SampleObject};
pub use words::{Account, precision};

use crate::engine::time::{Span, Utc};
use crate::sys::shm::{Found, Look, Picture, Reading, SIZE, Split};

/// ntpd refuses samples that are older.
const NTPD_LIMIT: Span = Span::from_secs(5);

/// How old the last sample may be before its writer is called silent, when nothing is known of the writer. `webntp -shm`
/// writes once a minute.
pub const QUIET: Span = Span::from_secs(180);

/// Beyond this ntpd takes an offset for a mistake.
const ABSURD: Span = Span::from_secs(4 * 3_600);

/// What is wrong, or worth to be known. `now` is the system clock just after the look; a last sample older than `quiet`
/// means that nobody writes.
pub fn judge(look: &Look, now: Utc, quiet: Span) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &look.found {
        None => findings.push(Finding::Missing { unit: look.unit }),
        Some(found) => {
            judge_segment(look, found, &mut findings);
            judge_reading(found, now, quiet, &mut findings);
            judge_company(found, now, quiet, &mut findings);
        }
    }
    // With two in our own segment it is hardly ours that somebody has.
    if look.found.is_none_or(|found| found.attached < 2) {
        let orphans = look.orphans.iter();
        findings.extend(orphans.map(|orphan| Finding::Orphan { id: orphan.id }));
    }
    findings.sort_by_key(|finding| !finding.is_fault());
    findings
}

fn judge_segment(look: &Look, found: &Found, findings: &mut Vec<Finding>) {
    let (unit, facts) = (look.unit, found.facts);
    if found.removed {
        findings.push(Finding::Removed);
    }
    if facts.size < SIZE {
        findings.push(Finding::TooSmall {
            unit,
            size: facts.size,
        });
    }
    let (owner, mode) = (facts.owner, facts.mode);
    if mode & 0o006 == 0o006 {
        findings.push(Finding::Public { mode });
    } else if owner == 0 {
        findings.push(Finding::RootsOwn { mode });
    } else {
        findings.push(Finding::Private { unit, owner, mode });
    }
}

fn judge_reading(found: &Found, now: Utc, quiet: Span, findings: &mut Vec<Finding>) {
    match found.reading {
        Reading::Copied(picture) if picture.is_empty() => findings.push(Finding::Empty),
        Reading::Copied(picture) => {
            judge_age(&picture, now, quiet, findings);
            judge_fields(&picture, findings);
        }
        Reading::Restless => findings.push(Finding::Restless),
        // Said above.
        Reading::TooSmall => {}
        Reading::Denied { user } => findings.push(Finding::Denied { user }),
        Reading::Spared => findings.push(Finding::Spared),
        Reading::Failed { errno } => findings.push(Finding::Failed { errno }),
    }
}

fn judge_age(picture: &Picture, now: Utc, quiet: Span, findings: &mut Vec<Finding>) {
    let age = now - picture.receive();
    if age < Span::ZERO {
        findings.push(Finding::Future { ahead: -age });
    }
    if age > NTPD_LIMIT && picture.is_waiting() {
        findings.push(Finding::NotTaken { age });
    }
    if age > quiet {
        findings.push(Finding::Silent { age });
    }
    if picture.count % 2 != 0 {
        // `valid` is cleared first and set last: while it is set nobody is in the middle.
        findings.push(if picture.is_waiting() || age <= quiet {
            Finding::OddCount
        } else {
            Finding::HalfWritten
        });
    }
}

fn judge_fields(picture: &Picture, findings: &mut Vec<Finding>) {
    let splits = [picture.clock, picture.receive];
    let all = |is: fn(&Split) -> bool| splits.iter().all(is);
    if !matches!(picture.mode, 0 | 1) {
        findings.push(Finding::BadMode { mode: picture.mode });
    }
    if !all(|split| split.is_in_range()) {
        findings.push(Finding::OutOfRange);
    } else if !picture.has_nanos() {
        findings.push(if all(|split| split.nsec == 0) {
            Finding::OnlyMicros
        } else if all(|split| split.usec == 0) {
            Finding::OnlyNanos
        } else {
            Finding::Contradiction
        });
    }
    match picture.leap {
        0..=2 => {}
        3 => findings.push(Finding::NotInSync),
        leap => findings.push(Finding::BadLeap { leap }),
    }
    if !(-30..=0).contains(&picture.precision) {
        findings.push(Finding::BadPrecision {
            precision: picture.precision,
        });
    }
    if picture.offset().abs() > ABSURD {
        findings.push(Finding::Absurd {
            offset: picture.offset(),
        });
    }
}

/// Who has it: there should be one that writes and one that reads.
fn judge_company(found: &Found, now: Utc, quiet: Span, findings: &mut Vec<Finding>) {
    match found.attached {
        0 => findings.push(Finding::Deserted),
        1 => {
            let fresh = match found.reading {
                // One that was taken may have come from a writer that is gone.
                Reading::Copied(picture) if picture.is_waiting() => {
                    (Span::ZERO..=quiet).contains(&(now - picture.receive()))
                }
                _ => false,
            };
            if fresh {
                // It says as much as that the sample waits.
                findings.retain(|finding| !matches!(finding, Finding::NotTaken { .. }));
                findings.push(Finding::NoReader);
            } else {
                findings.push(Finding::Alone);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
