//! A segment for programs: one JSON object a line, times in whole nanoseconds.

use super::{Finding, Report};
use crate::engine::time::Utc;
use crate::sys::shm::{Found, Look, Picture, Reading};
use std::fmt::{Display, Write as _};

/// A JSON object under construction, on one line.
#[derive(Clone, Debug, Default)]
pub struct Object(String);

impl Object {
    /// A member whose value is JSON already: a number, `true`, `null`, another object.
    pub fn put(mut self, name: &str, value: impl Display) -> Self {
        let comma = if self.0.is_empty() { "" } else { "," };
        write!(self.0, "{comma}{}:{value}", quoted(name)).expect("a string takes all");
        self
    }

    /// A member that is a text.
    pub fn text(self, name: &str, value: &str) -> Self {
        let value = quoted(value);
        self.put(name, value)
    }

    /// A member that may be `null`.
    fn optional(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.put(name, value),
            None => self.put(name, "null"),
        }
    }
}

impl Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{{}}}", self.0)
    }
}

/// `unit`, `key`, `segment` (null if there is none), `orphans`, `well`, `findings`.
pub fn look_object(report: &Report<'_>) -> Object {
    let Look {
        unit,
        found,
        orphans,
    } = report.look;
    let segment = found.map(|found| found_object(&found, report.owner, report.now));
    let orphans = orphans.iter().map(|orphan| {
        Object::default()
            .put("id", orphan.id)
            .put("attached", orphan.attached)
    });
    Object::default()
        .put("unit", unit)
        .put("key", unit.key())
        .optional("segment", segment)
        .put("orphans", list(orphans))
        .put("well", report.is_well())
        .put("findings", list(report.findings.iter().map(finding)))
}

/// `id`, `owner`, `owner_name` (null if unknown), `creator`, `creator_pid`, `permissions` (octal, as text), `size`, `attached`,
/// `removed`, `last_attach_ns`, `last_detach_ns` (since 1970; null for never), `reading`, `sample` (null if unknown or never
/// written).
pub fn found_object(found: &Found, owner: Option<&str>, now: Utc) -> Object {
    let nanos = |when: Option<Utc>| when.map(Utc::as_nanos);
    let (reading, sample) = match found.reading {
        Reading::Copied(picture) if picture.is_empty() => ("empty", None),
        Reading::Copied(picture) => ("copied", Some(sample_object(&picture, now))),
        Reading::Restless => ("restless", None),
        Reading::TooSmall => ("too-small", None),
        Reading::Denied { .. } => ("denied", None),
        Reading::Spared => ("spared", None),
        Reading::Failed { .. } => ("failed", None),
    };
    Object::default()
        .put("id", found.id)
        .put("owner", found.facts.owner)
        .optional("owner_name", owner.map(quoted))
        .put("creator", found.facts.creator)
        .put("creator_pid", found.creator_pid)
        .text("permissions", &format!("{:04o}", found.facts.mode))
        .put("size", found.facts.size)
        .put("attached", found.attached)
        .put("removed", found.removed)
        .optional("last_attach_ns", nanos(found.last_attach))
        .optional("last_detach_ns", nanos(found.last_detach))
        .text("reading", reading)
        .optional("sample", sample)
}

/// `offset_ns` (clock − receive: positive when the system clock is behind), `clock_ns`, `receive_ns` (since 1970), `age_ns`, `leap`,
/// `precision` (log2 of seconds), `count`, `mode`, `nsamples`, `valid`.
pub fn sample_object(picture: &Picture, now: Utc) -> Object {
    Object::default()
        .put("offset_ns", picture.offset().as_nanos())
        .put("clock_ns", picture.clock().as_nanos())
        .put("receive_ns", picture.receive().as_nanos())
        .put("age_ns", (now - picture.receive()).as_nanos())
        .put("leap", picture.leap)
        .put("precision", picture.precision)
        .put("count", picture.count)
        .put("mode", picture.mode)
        .put("nsamples", picture.nsamples)
        .put("valid", picture.valid)
}

/// `name`, `fault` (else it is a note), `text`.
fn finding(finding: &Finding) -> Object {
    Object::default()
        .text("name", finding.name())
        .put("fault", finding.is_fault())
        .text("text", &finding.to_string())
}

fn list(objects: impl Iterator<Item = Object>) -> String {
    let objects: Vec<String> = objects.map(|object| object.to_string()).collect();
    format!("[{}]", objects.join(","))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                write!(quoted, "\\u{:04x}", u32::from(c)).expect("a string takes all");
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
