//! Where leap seconds come from: what is built in, files, and a place on the web if one is named.
//!
//! In: paths and a [`Web`], all of which may be missing. Out: a channel with the [`LeapSeconds`] to go by, which are replaced whenever
//! there are better ones; what was fetched is kept in a file. Nothing is fetched that was not asked for, and nothing that comes later
//! is worse than what is there: a list from the web that is broken, or older, changes nothing. What leap seconds are for is not known
//! here.

mod file;
mod web;

pub use file::FileError;
pub use web::{Web, WebError};

use crate::engine::time::{Span, Utc};
use crate::protocol::leap_seconds::LeapSeconds;
use crate::sys::clock::{raw_now, sleep_until, system_now};
use jiff::Timestamp;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Notify, watch};
use tracing::{debug, info, warn};

/// A list that is older than this is fetched anew even if it has not expired: leap seconds are announced
/// half a year ahead.
const MAX_AGE: Span = Span::from_secs(30 * 86_400);

/// How often files are read again, and it is looked whether a list is due.
const CHECK: Span = Span::from_secs(86_400);

/// How long after a list could not be fetched: the first times it may have been the network, which was not there yet.
const RETRIES: [Span; 4] = [
    Span::from_secs(60),
    Span::from_secs(300),
    Span::from_secs(900),
    Span::from_secs(3_600),
];

/// Keeps leap seconds up to date.
#[derive(Debug)]
pub struct Keeper {
    files: Vec<Place>,
    /// Where what was fetched is kept.
    kept: Option<PathBuf>,
    web: Option<Web>,
    told: watch::Sender<Arc<LeapSeconds>>,
    /// The last list that was fetched by this keeper.
    fetched: Option<Arc<LeapSeconds>>,
    /// When what is kept was written or fetched.
    renewed: Option<Utc>,
    /// The list that was last told of, and whether it had expired then.
    noted: Option<(Arc<LeapSeconds>, bool)>,
    again: Arc<Notify>,
}

/// A file that is read again and again.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    /// Whether it is worth a word when it is not there.
    is_expected: bool,
    /// What was wrong with it, and has been said.
    trouble: Option<String>,
}

impl Place {
    /// One that somebody has named: that it is missing is told.
    pub fn named(path: PathBuf) -> Self {
        Self {
            path,
            is_expected: true,
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

    /// The list in it and when it was written, if that is any good. Says once why not.
    async fn read(&mut self) -> Option<(LeapSeconds, Utc)> {
        let path = self.path.clone();
        // A disk may hang.
        let read = tokio::task::spawn_blocking(move || usable(&path));
        let (found, trouble) = match read.await {
            Ok(Ok(Some(found))) => (Some(found), None),
            Ok(Ok(None)) if self.is_expected => (None, Some(missing(&self.path))),
            Ok(Ok(None)) => (None, None),
            Ok(Err(trouble)) => (None, Some(trouble)),
            // It does not panic; then the next try is as good as this one.
            Err(_) => (None, self.trouble.clone()),
        };
        if let Some(trouble) = &trouble
            && self.trouble.as_ref() != Some(trouble)
        {
            warn!("{trouble}; this list of leap seconds is not used");
        }
        self.trouble = trouble;
        found
    }
}

impl Keeper {
    /// Reads `kept`, if there is such a file, and never again; what is fetched from `web` is kept there. Fails if the file is no good.
    pub fn with_file(kept: Option<PathBuf>, web: Option<Web>) -> Result<Self, FileError> {
        let mut keeper = Self::with_files(Vec::new(), None, web);
        let Some(path) = kept else {
            return Ok(keeper);
        };
        keeper.kept = Some(path.clone());
        if let Some((list, written)) = file::read(&path)? {
            if is_ancient(&list) {
                warn!("{}: older than this program, and not used", path.display());
                return Ok(keeper);
            }
            keeper.renewed = Some(written);
            keeper.tell(Arc::new(list), Some(&path));
        }
        Ok(keeper)
    }

    /// Goes by the newest list in these files, as soon as it runs, and reads them again once a day. What is fetched from `web` is kept in
    /// `kept`, which is one more of them. Files that are no good are told, and not used.
    pub fn with_files(mut files: Vec<Place>, kept: Option<PathBuf>, web: Option<Web>) -> Self {
        files.extend(kept.clone().map(Place::usual));
        Self {
            files,
            kept,
            web,
            told: watch::Sender::new(Arc::new(LeapSeconds::built_in())),
            fetched: None,
            renewed: None,
            noted: None,
            again: Arc::default(),
        }
    }

    /// What to go by: what is built in to begin with.
    pub fn told(&self) -> watch::Receiver<Arc<LeapSeconds>> {
        self.told.subscribe()
    }

    /// Whoever notifies it has all files read again at once.
    pub fn again(&self) -> Arc<Notify> {
        Arc::clone(&self.again)
    }

    /// Keeps the list up to date, for ever.
    pub async fn run(mut self) -> Infallible {
        let mut trouble = None;
        let mut failures = 0;
        loop {
            self.read_again().await;
            let mut pause = CHECK;
            if let Some(web) = self.web.take() {
                if self.is_due(system_now()) && !self.renew(&web, &mut trouble).await {
                    pause = retry(failures);
                    failures += 1;
                } else {
                    failures = 0;
                }
                self.web = Some(web);
            } else if self.files.is_empty() {
                return std::future::pending().await;
            }
            tokio::select! {
                () = sleep_until(raw_now() + pause) => {}
                () = self.again.notified() => {}
            }
        }
    }

    /// Goes by the newest list there is.
    async fn read_again(&mut self) {
        if self.files.is_empty() {
            return;
        }
        let mut best = self.fetched.clone().map(|list| (list, None));
        for place in &mut self.files {
            let Some((list, written)) = place.read().await else {
                continue;
            };
            if Some(&place.path) == self.kept.as_ref() {
                self.renewed = self.renewed.max(Some(written));
            }
            let age = |list: &LeapSeconds| (list.updated(), list.expires());
            if best.as_ref().is_none_or(|(best, _)| age(&list) > age(best)) {
                best = Some((Arc::new(list), Some(place.path.clone())));
            }
        }
        match best {
            Some((list, path)) => self.tell(list, path.as_deref()),
            None => {
                if self.noted.take().is_some() {
                    info!("no list of leap seconds is in use any more");
                }
                self.told.send_replace(Arc::new(LeapSeconds::built_in()));
            }
        }
    }

    /// Goes by this list, and says so once, and once more when it has expired.
    fn tell(&mut self, list: Arc<LeapSeconds>, path: Option<&Path>) {
        if let Some(news) = self.news(&list, system_now())
            && let Some(path) = path
        {
            info!("{}: {news}", path.display());
        }
        self.told.send_replace(list);
    }

    /// What is to be said of the list that is in use at `now`, if that is not what was last said.
    fn news(&mut self, list: &Arc<LeapSeconds>, now: Utc) -> Option<String> {
        let has_expired = has_expired(list, now);
        let noted = Some((Arc::clone(list), has_expired));
        let is_news = self.noted != noted;
        self.noted = noted;
        // Whoever has it read but once, when he says so, need not be told that it was.
        let is_watched = !self.files.is_empty();
        let used = if has_expired { "" } else { "in use, " };
        (is_news && (is_watched || has_expired)).then(|| format!("{used}{}", words(list, now)))
    }

    fn is_due(&self, now: Utc) -> bool {
        let (updated, expires) = {
            let known = self.told.borrow();
            (known.updated(), known.expires())
        };
        self.renewed
            .max(updated)
            .is_none_or(|renewed| (now - renewed).abs() > MAX_AGE)
            || expires.is_some_and(|expires| expires <= now)
    }

    /// Whether what the web has is in force now, or known to be no better than what is; says once what is wrong with it.
    async fn renew(&mut self, web: &Web, trouble: &mut Option<String>) -> bool {
        let Err(error) = self.try_to_renew(web).await else {
            *trouble = None;
            return true;
        };
        let told = format!("{web}: {error:#}");
        if trouble.as_ref() == Some(&told) {
            debug!("{told}");
        } else {
            warn!(
                "{told}; keeping the leap seconds that are known, trying again soon and then every hour"
            );
        }
        *trouble = Some(told);
        false
    }

    async fn try_to_renew(&mut self, web: &Web) -> anyhow::Result<()> {
        let bytes = web.fetch().await?;
        let list = LeapSeconds::parse(&bytes)?;
        let known = self.told.borrow().updated();
        if is_ancient(&list) || list.updated() < known {
            // It will not have been replaced within the hour.
            info!("{web}: the list there is older than the one known, and not used");
            return Ok(());
        }
        if let Some(path) = self.kept.clone() {
            let shown = path.clone();
            let kept = tokio::task::spawn_blocking(move || file::replace(&path, &bytes)).await;
            if let Ok(Err(error)) = kept {
                warn!("cannot keep the list in {}: {error}", shown.display());
            }
        }
        let (list, now) = (Arc::new(list), system_now());
        info!("{web}: fetched, {}", words(&list, now));
        self.noted = Some((Arc::clone(&list), has_expired(&list, now)));
        self.fetched = Some(Arc::clone(&list));
        self.told.send_replace(list);
        self.renewed = Some(now);
        Ok(())
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

/// Looks at the file at `path` once, as a [`Keeper`] does that goes by it at `now`. All words begin with the path. A disk that hangs
/// holds up whoever calls.
pub fn look(path: &Path, now: Utc) -> Look {
    match usable(path) {
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

/// The list in a file and when it was written; nothing if there is no such file, or in words why it is not used.
fn usable(path: &Path) -> Result<Option<(LeapSeconds, Utc)>, String> {
    match file::read(path) {
        Ok(Some((list, _))) if is_ancient(&list) => {
            Err(format!("{}: older than this program", path.display()))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

fn missing(path: &Path) -> String {
    format!("{}: no such file", path.display())
}

fn has_expired(list: &LeapSeconds, now: Utc) -> bool {
    list.expires().is_some_and(|expires| expires <= now)
}

/// How far a list reaches, for people.
fn words(list: &LeapSeconds, now: Utc) -> String {
    let last = format!(
        "the last leap second in it is that before {}",
        date(list.last())
    );
    match list.expires() {
        Some(expired) if expired <= now => {
            let expired = date(expired);
            format!("expired on {expired}; no leap second after that is known")
        }
        Some(expires) => format!("{last}, good until {}", date(expires)),
        None => format!("{last}; it does not say until when it is good"),
    }
}

/// How long to wait after a list could not be fetched, so many times before.
fn retry(failures: usize) -> Span {
    RETRIES[failures.min(RETRIES.len() - 1)]
}

/// Whether a list does not even know what every copy of this program knows.
fn is_ancient(list: &LeapSeconds) -> bool {
    list.last() < LeapSeconds::built_in().last()
}

/// The day of an instant.
fn date(instant: Utc) -> String {
    match Timestamp::from_second(instant.to_parts().0) {
        Ok(timestamp) => timestamp.strftime("%Y-%m-%d").to_string(),
        Err(_) => format!("{instant:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::leap_seconds::tests::REAL;

    #[test]
    fn a_list_is_told_once_when_it_comes_into_use_and_once_when_it_expires() {
        let list = Arc::new(LeapSeconds::parse(REAL.as_bytes()).expect("real"));
        let expires = list.expires().expect("it says so");
        let before = expires - Span::from_secs(1);
        let mut keeper = Keeper::with_files(vec![Place::usual("/none".into())], None, None);
        assert_eq!(
            keeper.news(&list, before).as_deref(),
            Some(
                "in use, the last leap second in it is that before 2017-01-01, good until 2026-06-28"
            )
        );
        let same = Arc::new(LeapSeconds::clone(&list));
        assert_eq!(keeper.news(&same, before), None);
        let expired = Some("expired on 2026-06-28; no leap second after that is known");
        assert_eq!(keeper.news(&list, expires).as_deref(), expired);
        assert_eq!(keeper.news(&list, expires), None);
        let other = Arc::new(LeapSeconds::built_in());
        assert!(keeper.news(&other, expires).is_some(), "another one");
    }

    #[test]
    fn a_list_is_due_when_the_newest_one_has_expired_or_is_a_month_old() {
        let mut keeper = Keeper::with_files(Vec::new(), None, None);
        let list = LeapSeconds::parse(REAL.as_bytes()).expect("real");
        let (updated, expires) = (list.updated(), list.expires());
        let (updated, expires) = updated.zip(expires).expect("it says so");
        assert!(keeper.is_due(updated), "what is built in has no date");
        keeper.told.send_replace(Arc::new(list));
        assert!(!keeper.is_due(updated));
        assert!(!keeper.is_due(updated + MAX_AGE));
        let late = updated + MAX_AGE + Span::from_nanos(1);
        assert!(keeper.is_due(late));
        keeper.renewed = Some(late);
        assert!(!keeper.is_due(late), "it was looked for then");
        keeper.renewed = Some(expires);
        assert!(keeper.is_due(expires));
    }

    #[test]
    fn a_list_that_cannot_be_fetched_is_tried_again_soon_and_then_every_hour() {
        let minutes =
            [0, 1, 2, 3, 4, usize::MAX].map(|failures| retry(failures).as_nanos() / 60_000_000_000);
        assert_eq!(minutes, [1, 5, 15, 60, 60, 60]);
    }
}
