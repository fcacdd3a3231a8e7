//! `webntp shm --watch`: a line for each new sample, and for each change of the segment.
//!
//! In: looks, ten a second. Out: [`Event`]s. A sample is told when it is known what became of it: taken, replaced by the next one, or
//! left waiting for longer than any daemon needs. What a faster writer replaces between two looks goes unseen.

use super::{owner_name, print, print_json};
use crate::engine::time::{Span, Utc};
use crate::status::segment::{FoundObject, SampleObject, precision};
use crate::status::table::{Length, Signed};
use crate::sys::clock::{pair_now, raw_now, sleep_until};
use crate::sys::shm::{Found, Look, Picture, Reading, Unit, look};
use crate::sys::signals::{Signal, Signals};
use anyhow::Context;
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

const PERIOD: Span = Span::from_millis(100);

/// ntpd looks every second, chronyd too unless told otherwise.
const PATIENCE: Span = Span::from_secs(2);

/// Watches until a signal comes.
pub(super) async fn run(unit: Unit, json: bool) -> anyhow::Result<()> {
    let mut signals = Signals::new(&Signal::ENDING).context("cannot catch signals")?;
    let mut watch = Watch::default();
    let zone = TimeZone::system();
    let show = |event: &Event| {
        if json {
            print_json(&event.object())
        } else {
            print(event.line(unit, &zone))
        }
    };
    loop {
        let look = look(unit)?;
        let now = pair_now();
        for event in watch.see(&look, now.system) {
            show(&event)?;
        }
        tokio::select! {
            biased;
            _ = signals.next() => break,
            () = sleep_until(now.raw.max(raw_now()) + PERIOD) => {}
        }
    }
    watch
        .pending
        .map_or(Ok(()), |sample| show(&Event::Sample(sample, Fate::Waiting)))
}

/// What is worth a line.
#[derive(Clone, Debug, PartialEq)]
enum Event {
    /// There is a segment, another one than before, or it can or cannot be read now.
    Segment(Found, Utc),
    /// There is none, or none any more.
    None {
        /// One that was there lives on without its key.
        removed: bool,
        /// Something was there before.
        gone: bool,
    },
    /// A sample, and what became of it.
    Sample(Sample, Fate),
}

/// A sample as it was first seen.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    picture: Picture,
    /// When it was first seen, on the system clock.
    seen: Utc,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Fate {
    /// A reader took it.
    Taken,
    /// The next one was written over it.
    Replaced,
    /// Nobody has taken it yet.
    Waiting,
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
struct Watch {
    /// The segment that was there, and whether it could be read; nothing before the first look.
    known: Option<Option<(i32, bool)>>,
    /// The sample that was seen last.
    last: Option<Picture>,
    /// It, while it is not known what becomes of it.
    pending: Option<Sample>,
}

impl Watch {
    fn see(&mut self, look: &Look, now: Utc) -> Vec<Event> {
        let mut events = Vec::new();
        let known = look.found.map(|found| {
            let readable = matches!(found.reading, Reading::Copied(_) | Reading::Restless);
            (found.id, readable)
        });
        if self.known != Some(known) {
            let before = self.known.replace(known).flatten();
            self.settle(Fate::Waiting, &mut events);
            self.last = None;
            events.push(match look.found {
                Some(found) => Event::Segment(found, now),
                None => Event::None {
                    removed: before
                        .is_some_and(|(id, _)| look.orphans.iter().any(|orphan| orphan.id == id)),
                    gone: before.is_some(),
                },
            });
        }
        let Some(Reading::Copied(picture)) = look.found.map(|found| found.reading) else {
            return events;
        };
        if self.last.is_none_or(|last| is_newer(&picture, &last)) {
            self.settle(Fate::Replaced, &mut events);
            // Halfway through: it will be seen whole.
            if picture.is_empty() || (picture.count % 2 != 0 && !picture.is_waiting()) {
                return events;
            }
            // What was taken before anybody looked is not told as new.
            let is_old = self.last.replace(picture).is_none() && !picture.is_waiting();
            if !is_old {
                self.pending = Some(Sample { picture, seen: now });
            }
        } else if let Some(sample) = self.pending {
            if !picture.is_waiting() {
                self.settle(Fate::Taken, &mut events);
            } else if now - sample.seen >= PATIENCE {
                self.settle(Fate::Waiting, &mut events);
            }
        }
        events
    }

    fn settle(&mut self, fate: Fate, events: &mut Vec<Event>) {
        let sample = self.pending.take();
        events.extend(sample.map(|sample| Event::Sample(sample, fate)));
    }
}

/// Whether there is another sample than before; readers change `valid` alone, and ntpd as it starts the precision.
fn is_newer(picture: &Picture, last: &Picture) -> bool {
    let told = |picture: &Picture| (picture.count, picture.clock, picture.receive);
    told(picture) != told(last)
}

impl Event {
    fn line(&self, unit: Unit, zone: &TimeZone) -> String {
        match self {
            Self::None { gone: false, .. } => {
                format!("shm unit {unit}: no segment; waiting for one")
            }
            Self::None { removed: false, .. } => {
                format!("shm unit {unit}: the segment is gone; waiting for another one")
            }
            Self::None { removed: true, .. } => format!(
                "shm unit {unit}: somebody removed the segment while it was in use; restart the daemon that reads it"
            ),
            Self::Segment(found, _) => {
                let uid = found.facts.owner;
                let what = match found.reading {
                    Reading::Copied(_) | Reading::Restless => "",
                    Reading::TooSmall => "; too small for a sample",
                    Reading::Denied { .. } => "; may not be read by this user",
                    Reading::Spared => "; not looked into while nobody has it, it would vanish",
                    Reading::Failed { .. } => "; cannot be read",
                };
                format!(
                    "shm unit {unit}: segment {}, owner {} (uid {uid}), mode {:04o}, attached by {}{what}",
                    found.id,
                    owner_name(found).as_deref().unwrap_or("unknown"),
                    found.facts.mode,
                    found.attached,
                )
            }
            Self::Sample(Sample { picture, seen }, fate) => format!(
                "{}  offset {}, {} old, precision {}, {}",
                time(*seen, zone),
                Signed(picture.offset()),
                Length(*seen - picture.receive()),
                precision(picture.precision),
                match fate {
                    Fate::Taken => "taken",
                    Fate::Replaced => "not taken before the next one",
                    Fate::Waiting => "not taken yet",
                }
            ),
        }
    }

    fn object(&self) -> EventObject {
        match *self {
            Self::None { removed, gone } => EventObject::None { gone, removed },
            Self::Segment(found, now) => {
                let owner = owner_name(&found);
                let segment = FoundObject::new(&found, owner.as_deref(), now);
                EventObject::Segment { segment }
            }
            Self::Sample(Sample { picture, seen }, fate) => EventObject::Sample {
                fate,
                sample: SampleObject::new(&picture, seen),
            },
        }
    }
}

/// An event for programs.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum EventObject {
    Segment {
        segment: FoundObject,
    },
    None {
        /// There was one.
        gone: bool,
        /// It is still in use.
        removed: bool,
    },
    Sample {
        fate: Fate,
        /// Its age is that of when it was seen.
        sample: SampleObject,
    },
}

/// The time of day, which is all that a line of many needs.
fn time(instant: Utc, zone: &TimeZone) -> String {
    match Timestamp::from_nanosecond(instant.as_nanos().into()) {
        Ok(timestamp) => timestamp
            .to_zoned(zone.clone())
            .strftime("%H:%M:%S%.3f")
            .to_string(),
        Err(_) => format!("{instant:?}"),
    }
}

#[cfg(test)]
mod tests;
