//! Files that should be lists of leap seconds: read again and again, or looked at once.
//!
//! In: a path, and the time. Out: the list in it if that may be used, and in words how far it reaches, or why it is not used.

use super::disk::Disk;
use super::file;
use crate::engine::time::{Span, Utc};
use crate::net::KnownTime;
use crate::protocol::leap_seconds::LeapSeconds;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use tracing::warn;

/// How far ahead of our time the date of a list may be: clocks differ, and so do their days.
const DATED_AHEAD: Span = Span::from_secs(86_400);

/// A file that is read again and again.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) path: PathBuf,
    /// Whether it is worth a word when it is not there.
    is_expected: bool,
    disk: Disk,
    /// What was last read from it.
    found: Option<(LeapSeconds, Utc)>,
    /// What was wrong with it, and has been said.
    trouble: Option<String>,
}

impl Place {
    /// One that somebody has named: that it is missing is told.
    pub fn named(path: PathBuf) -> Self {
        Self {
            path,
            is_expected: true,
            disk: Disk::default(),
            found: None,
            trouble: None,
        }
    }

    /// One that may be there or not.
    pub fn usual(path: PathBuf) -> Self {
        Self {
            is_expected: false,
            ..Self::named(path)
        }
    }

    /// Whether it was no good when it was last read.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.trouble.is_some()
    }

    /// The list in it and when it was written, if that is any good at `now`. Says once why not. One that hangs is as it was before.
    pub(super) async fn read(&mut self, now: Utc) -> Option<(LeapSeconds, Utc)> {
        let path = self.path.clone();
        let unused = "this list of leap seconds is not used";
        let told = |trouble: String| Some(format!("{trouble}; {unused}"));
        let (found, trouble) = match self.disk.run(move || usable(&path, now)).await {
            Ok(Ok(Some(found))) => (Some(found), None),
            Ok(Ok(None)) if self.is_expected => (None, told(missing(&self.path))),
            Ok(Ok(None)) => (None, None),
            Ok(Err(trouble)) => (None, told(trouble)),
            Err(hangs) => {
                let used = match self.found {
                    Some(_) => "what was read from it before stays in use",
                    None => unused,
                };
                let trouble = format!("{}: {used}: {hangs}", self.path.display());
                (self.found.take(), Some(trouble))
            }
        };
        if let Some(trouble) = &trouble
            && self.trouble.as_ref() != Some(trouble)
        {
            warn!("{trouble}");
        }
        self.trouble = trouble;
        self.found.clone_from(&found);
        found
    }
}

/// How it is with a file that should be a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is one: in words, how far it reaches.
    Good(String),
    /// It is one that tells of no leap second that comes: in words, since when.
    Expired(String),
    /// It is none that is used: in words, why.
    Unusable(String),
    /// There is no such file: in words as well.
    Missing(String),
}

/// Looks at the file at `path` once, as a [`Keeper`](super::Keeper) does that goes by it at `now` by the system clock, and by `known`
/// where that is behind. All words begin with the path. A disk that hangs holds up whoever calls.
pub fn look(path: &Path, now: Utc, known: &KnownTime) -> Look {
    let now = now.max(known.floor());
    match usable(path, now) {
        Ok(Some((list, _))) => {
            let text = format!("{}: {}", path.display(), words(&list, now));
            if has_expired(&list, now) {
                Look::Expired(text)
            } else {
                Look::Good(text)
            }
        }
        Ok(None) => Look::Missing(missing(path)),
        Err(trouble) => Look::Unusable(trouble),
    }
}

/// The list in a file and when it was written; nothing if there is no such file, or in words why it is not used at `now`.
fn usable(path: &Path, now: Utc) -> Result<Option<(LeapSeconds, Utc)>, String> {
    let found = file::read(path).map_err(|error| error.to_string())?;
    match found.as_ref().and_then(|(list, _)| flaw(list, now)) {
        Some(flaw) => Err(format!("{}: {flaw}", path.display())),
        None => Ok(found),
    }
}

fn missing(path: &Path) -> String {
    format!("{}: no such file", path.display())
}

/// Why a list is not used that is one, if it is not; `now` is the latest time that is known to have come.
pub(super) fn flaw(list: &LeapSeconds, now: Utc) -> Option<String> {
    if is_ancient(list) {
        return Some("older than this program".to_owned());
    }
    // The newest list holds: this one would, whatever came after it.
    if let Some(updated) = list.updated().filter(|date| *date > now + DATED_AHEAD) {
        return Some(format!(
            "dated {}, which is yet to come, unless our clock is behind",
            date(updated)
        ));
    }
    // Nobody could tell when its silence on a leap second means that there is none.
    let is_endless = list.expires().is_none();
    is_endless.then(|| "does not say until when it is good".to_owned())
}

/// Whether a list does not even know what every copy of this program knows.
pub(super) fn is_ancient(list: &LeapSeconds) -> bool {
    list.last() < LeapSeconds::built_in().last()
}

pub(super) fn has_expired(list: &LeapSeconds, now: Utc) -> bool {
    list.expires().is_some_and(|expires| expires <= now)
}

/// How far a list reaches, for people.
pub(super) fn words(list: &LeapSeconds, now: Utc) -> String {
    // One that does not say when is not used, see `flaw`.
    let until = list.expires().map(date).unwrap_or_default();
    if has_expired(list, now) {
        return format!("expired on {until}; no leap second after that is known");
    }
    let last = date(list.last());
    format!("the last leap second in it is that before {last}, good until {until}")
}

/// The day of an instant.
fn date(instant: Utc) -> String {
    match Timestamp::from_second(instant.to_parts().0) {
        Ok(timestamp) => timestamp.strftime("%Y-%m-%d").to_string(),
        Err(_) => format!("{instant:?}"),
    }
}
