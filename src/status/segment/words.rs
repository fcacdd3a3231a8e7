//! A segment for people.

use super::Finding;
use crate::engine::time::{Span, Utc};
use crate::status::table::{Length, Signed};
use crate::status::words::ago;
use crate::sys::shm::{Found, Look, Picture, Reading, Unit};
use std::fmt;

/// All that is to be told of a look. Displayed it is several lines, each ended.
#[derive(Debug)]
pub struct Account<'a> {
    /// What was seen.
    pub look: &'a Look,
    /// The name of the owner, if he has one.
    pub owner: Option<&'a str>,
    /// The system clock just after the look.
    pub now: Utc,
    /// What was found about it.
    pub findings: &'a [Finding],
}

impl Account<'_> {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        !self.findings.iter().any(Finding::is_fault)
    }

    /// The segment in a row of [`HEADING`](Self::HEADING), without findings.
    pub fn row(&self) -> String {
        let Unit(unit) = self.look.unit;
        let Some(found) = &self.look.found else {
            return format!("{unit:>4}  gone");
        };
        let sample = match sample(found) {
            Some(picture) => format!(
                "{:>12}  {:>10}  {}",
                Signed(picture.offset()).to_string(),
                ago(self.now - picture.receive()),
                fate(picture),
            ),
            None => format!("{:>12}  {:>10}  {}", "-", "-", nothing(&found.reading)),
        };
        let uid = found.facts.owner.to_string();
        format!(
            "{unit:>4}  {:<10}  {:04o}  {:>5}  {:>8}  {sample}",
            self.owner.unwrap_or(&uid),
            found.facts.mode,
            found.facts.size,
            found.attached,
        )
    }

    /// Above rows.
    pub const HEADING: &'static str =
        "unit  owner       mode   size  attached        offset         age  sample";

    fn segment(&self, found: &Found, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = found.facts;
        let name = self.owner.unwrap_or("unknown");
        writeln!(
            f,
            "  owner     {name} (uid {}), permissions {:04o}, {} bytes",
            facts.owner, facts.mode, facts.size
        )?;
        write!(f, "  made by   process {}", found.creator_pid)?;
        if facts.creator != facts.owner {
            write!(f, " of uid {}", facts.creator)?;
        }
        let processes = if found.attached == 1 {
            "process"
        } else {
            "processes"
        };
        writeln!(f, "\n  attached  by {} {processes}", found.attached)?;
        let Some(picture) = sample(found) else {
            return writeln!(f, "  sample    {}", nothing(&found.reading));
        };
        writeln!(
            f,
            "  sample    offset {}, {}\n            {}, {}\n            leap {}, precision {} ({}), count {}, protocol mode {}",
            Signed(picture.offset()),
            direction(picture.offset()),
            age(self.now - picture.receive()),
            fate(picture),
            leap(picture.leap),
            picture.precision,
            precision(picture.precision),
            picture.count,
            picture.mode,
        )
    }
}

impl fmt::Display for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.look.unit;
        write!(f, "shm unit {unit}, key {:#x}", unit.key())?;
        match &self.look.found {
            Some(found) => {
                writeln!(f, ", segment {}", found.id)?;
                self.segment(found, f)?;
            }
            None => writeln!(f, ", no segment")?,
        }
        for finding in self.findings {
            let kind = if finding.is_fault() { "wrong" } else { "note" };
            writeln!(f, "{kind}: {finding}")?;
        }
        if self.is_well() {
            writeln!(f, "nothing is wrong")?;
        }
        Ok(())
    }
}

/// log2 of seconds as a length of time.
pub fn precision(precision: i32) -> String {
    match precision {
        -30..=0 => Length(Span::from_secs_f64(f64::from(precision).exp2())).to_string(),
        _ => "absurd".to_owned(),
    }
}

fn sample(found: &Found) -> Option<&Picture> {
    match &found.reading {
        Reading::Copied(picture) if !picture.is_empty() => Some(picture),
        _ => None,
    }
}

fn nothing(reading: &Reading) -> &'static str {
    match reading {
        Reading::Copied(_) => "none yet",
        Reading::Restless => "changes all the time",
        Reading::TooSmall => "does not fit",
        Reading::Denied { .. } => "may not be read",
        Reading::Spared => "not looked at",
        Reading::Failed { .. } => "cannot be read",
    }
}

fn direction(offset: Span) -> &'static str {
    match offset.as_nanos() {
        ..0 => "the system clock is ahead",
        0 => "the system clock is right",
        1.. => "the system clock is behind",
    }
}

fn age(age: Span) -> String {
    match age.as_nanos() {
        ..0 => format!("{} in the future", ago(age.abs())),
        0.. => format!("{} old", ago(age)),
    }
}

fn fate(picture: &Picture) -> &'static str {
    if picture.is_waiting() {
        "waiting for a reader"
    } else if picture.count % 2 != 0 {
        "perhaps half written"
    } else {
        "taken by a reader"
    }
}

fn leap(leap: i32) -> String {
    let meaning = match leap {
        0 => "none",
        1 => "insert a second",
        2 => "delete a second",
        3 => "not in sync",
        _ => "no meaning",
    };
    format!("{leap} ({meaning})")
}
