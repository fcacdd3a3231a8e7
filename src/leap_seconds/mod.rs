//! Where leap seconds come from: what is built in, files, and a place on the web if one is named.
//!
//! In: paths and a [`Web`], all of which may be missing. Out: a channel with the [`LeapSeconds`] to go by, which are replaced whenever
//! there are better ones; what was fetched is kept in a file. Nothing is fetched that was not asked for, and nothing that comes later
//! is worse than what is there: a list from the web that is broken, or older, changes nothing. Whatever hangs or panics on the way is
//! told and tried again. What leap seconds are for is not known here.

mod anew;
mod disk;
mod file;
mod place;
mod web;

pub use file::FileError;
pub use place::{Look, Place, look};
pub use web::{Web, WebError, shown};

use crate::engine::time::{Span, Utc};
use crate::net::KnownTime;
use crate::protocol::leap_seconds::LeapSeconds;
use crate::sys::clock::{raw_now, sleep_until, system_now};
use anyhow::bail;
use disk::Disk;
use place::{flaw, has_expired, is_ancient, words};
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Notify, watch};
use tracing::{debug, info, warn};

/// A list that is older than this is fetched anew even if it has not expired: leap seconds are announced
/// half a year ahead.
const MAX_AGE: Span = Span::from_secs(30 * 86_400);

/// How often files are read again, and it is looked whether a list is due.
const CHECK: Span = Span::from_secs(86_400);

/// The same as long as one of the files is no good: it may be put right at any time, and so may the clock that it is held against.
const CHECK_IN_TROUBLE: Span = Span::from_secs(3_600);

/// How long after a list could not be fetched: the first times it may have been the network, which was not there yet.
const RETRIES: [Span; 4] = [
    Span::from_secs(60),
    Span::from_secs(300),
    Span::from_secs(900),
    Span::from_secs(3_600),
];

/// Keeps leap seconds up to date.
#[derive(Clone, Debug)]
pub struct Keeper {
    files: Vec<Place>,
    /// Where what was fetched is kept.
    kept: Option<PathBuf>,
    disk: Disk,
    web: Option<Web>,
    known_time: KnownTime,
    told: watch::Sender<Arc<LeapSeconds>>,
    /// The list that was last fetched, or else read once, by this keeper.
    own: Option<Known>,
    /// When what is kept was written or fetched.
    renewed: Option<Utc>,
    /// The list that was last told of, and whether it had expired then.
    noted: Option<(Arc<LeapSeconds>, bool)>,
    /// The list on the web that was last told to be older than the one known.
    passed_over: Option<LeapSeconds>,
    again: Arc<Notify>,
}

/// A list, and where it came from, for people.
#[derive(Clone, Debug)]
struct Known {
    list: Arc<LeapSeconds>,
    from: String,
}

impl Keeper {
    /// Reads `kept`, if there is such a file, and never again; what is fetched from `web` is kept there. Fails if the file is no good.
    /// If the list in it is not used that is told, and behind it `instead`: what comes of it, and what to do.
    pub fn with_file(
        kept: Option<PathBuf>,
        web: Option<Web>,
        instead: &str,
    ) -> Result<Self, FileError> {
        let mut keeper = Self::with_files(Vec::new(), None, web);
        let Some(path) = kept else {
            return Ok(keeper);
        };
        keeper.kept = Some(path.clone());
        if let Some((list, written)) = file::read(&path)? {
            if let Some(flaw) = flaw(&list, keeper.now()) {
                warn!("{}: {flaw}, and not used; {instead}", path.display());
                return Ok(keeper);
            }
            keeper.renewed = Some(written);
            let known = Known {
                list: Arc::new(list),
                from: path.display().to_string(),
            };
            keeper.own = Some(known.clone());
            keeper.tell(known);
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
            disk: Disk::default(),
            web,
            known_time: KnownTime::default(),
            told: watch::Sender::new(Arc::new(LeapSeconds::built_in())),
            own: None,
            renewed: None,
            noted: None,
            passed_over: None,
            again: Arc::default(),
        }
    }

    /// Goes by this, too, where a date is yet to come by the system clock.
    pub fn with_known_time(mut self, known_time: KnownTime) -> Self {
        self.known_time = known_time;
        self
    }

    /// What to go by: what is built in to begin with.
    pub fn told(&self) -> watch::Receiver<Arc<LeapSeconds>> {
        self.told.subscribe()
    }

    /// Whoever notifies it has all files read again at once.
    pub fn again(&self) -> Arc<Notify> {
        Arc::clone(&self.again)
    }

    /// Keeps the list up to date, for ever. Should it panic, that is told, and it begins anew as it is now; what it told of stays in
    /// force until then.
    pub async fn run(self) -> Infallible {
        let keep = || self.clone().keep();
        anew::for_ever("the search for leap seconds", anew::BACK_OFF, keep).await
    }

    async fn keep(mut self) -> Infallible {
        let mut trouble = None;
        let mut failures = 0;
        // Whoever has a list on the web is not asked more often because a file of ours is no good.
        let mut next_fetch = raw_now();
        loop {
            self.read_again().await;
            let mut pause = CHECK;
            if self.files.iter().any(Place::is_in_trouble) {
                pause = CHECK_IN_TROUBLE;
            }
            if let Some(web) = self.web.clone() {
                let is_due = raw_now() >= next_fetch && self.is_due(system_now());
                if is_due && !self.renew(&web, &mut trouble).await {
                    pause = retry(failures);
                    failures += 1;
                } else {
                    failures = 0;
                    if is_due {
                        next_fetch = raw_now() + CHECK;
                    }
                }
            }
            tokio::select! {
                () = sleep_until(raw_now() + pause) => {}
                () = self.again.notified() => {}
            }
        }
    }

    /// The latest time that is known to have come.
    fn now(&self) -> Utc {
        system_now().max(self.known_time.floor())
    }

    /// Goes by the newest list there is.
    async fn read_again(&mut self) {
        let now = self.now();
        let mut best = self.own.clone();
        for place in &mut self.files {
            let Some((list, written)) = place.read(now).await else {
                continue;
            };
            if Some(&place.path) == self.kept.as_ref() {
                self.renewed = self.renewed.max(Some(written));
            }
            let age = |list: &LeapSeconds| (list.updated(), list.expires());
            if best
                .as_ref()
                .is_none_or(|best| age(&list) > age(&best.list))
            {
                best = Some(Known {
                    list: Arc::new(list),
                    from: place.path.display().to_string(),
                });
            }
        }
        match best {
            Some(known) => self.tell(known),
            None => {
                if self.noted.take().is_some() {
                    info!("no list of leap seconds is in use any more");
                }
                self.told.send_replace(Arc::new(LeapSeconds::built_in()));
            }
        }
        debug!("all lists of leap seconds were read");
    }

    /// Goes by this list, and says so once, and once more when it has expired.
    fn tell(&mut self, known: Known) {
        if let Some(news) = self.news(&known.list, self.now()) {
            info!("{}: {news}", known.from);
        }
        self.told.send_replace(known.list);
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
        let Err(error) = self.try_to_renew(web, trouble.is_some()).await else {
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

    /// `is_missed`: that it could not be fetched was told, so that it could is told as well.
    async fn try_to_renew(&mut self, web: &Web, is_missed: bool) -> anyhow::Result<()> {
        let bytes = web.fetch().await?;
        let list = LeapSeconds::parse(&bytes)?;
        let known = self.told.borrow().updated();
        if is_ancient(&list) || list.updated() < known {
            // It will not have been replaced within the hour.
            if is_missed || self.passed_over.as_ref() != Some(&list) {
                info!("{web}: the list there is older than the one known, and not used");
            }
            self.passed_over = Some(list);
            return Ok(());
        }
        if let Some(flaw) = flaw(&list, self.now()) {
            bail!("{flaw}");
        }
        if let Some(path) = self.kept.clone() {
            let shown = path.clone();
            let kept = self.disk.run(move || file::replace(&path, &bytes)).await;
            if let Err(error) = kept.unwrap_or_else(|hangs| Err(io::Error::other(hangs))) {
                warn!("cannot keep the list in {}: {error}", shown.display());
            }
        }
        let (list, now) = (Arc::new(list), self.now());
        let noted = Some((Arc::clone(&list), has_expired(&list, now)));
        if is_missed || self.noted != noted {
            info!("{web}: fetched, {}", words(&list, now));
        }
        self.noted = noted;
        self.passed_over = None;
        self.own = Some(Known {
            list: Arc::clone(&list),
            from: web.to_string(),
        });
        self.told.send_replace(list);
        self.renewed = Some(system_now());
        Ok(())
    }
}

/// How long to wait after a list could not be fetched, so many times before.
fn retry(failures: usize) -> Span {
    RETRIES[failures.min(RETRIES.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Tls;
    use crate::protocol::leap_seconds::tests::{REAL, made};
    use crate::sys::log::testing::with_priority;
    use crate::sys::testing::in_time;
    use std::fs;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Dates in NTP seconds: 2026-07-06, 2035-06-28, 2180-01-01, 2190-01-01.
    const UPDATED: &str = "3992284800";
    const EXPIRES: &str = "4275590400";
    const FAR: &str = "8835955200";
    const FARTHER: &str = "9151574400";

    /// A file with this text, which goes with its guard.
    struct Written(PathBuf);

    impl Written {
        fn new(name: &str, text: &str) -> Self {
            let name = format!("webntpd-leap-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::write(&path, text).expect("writable");
            Self(path)
        }
    }

    impl Drop for Written {
        fn drop(&mut self) {
            // Left behind at the worst.
            let _ = fs::remove_file(&self.0);
        }
    }

    /// What is logged until this has come to its end.
    fn log_of(work: impl Future<Output = ()>) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let lines = with_priority(|| runtime.block_on(in_time(work)));
        let lines = lines.lines().filter(|line| !line.starts_with("<7>"));
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// A place on the web that gives these lists, one after the other.
    async fn web_with(lists: Vec<String>) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/list", listener.local_addr().expect("bound"));
        tokio::spawn(async move {
            for list in lists {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.expect("a whole head"));
                }
                let length = list.len();
                let response = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{list}"
                );
                let sent = stream.write_all(response.as_bytes()).await;
                sent.expect("somebody reads it");
            }
        });
        Web::new(&url, &Tls::new(Vec::new())).expect("a good URL")
    }

    #[test]
    fn a_list_that_is_dated_ahead_of_our_time_is_not_used_wherever_it_comes_from() {
        let ahead = "dated 2180-01-01, which is yet to come, unless our clock is behind";
        let file = Written::new("ahead", &made(Some(FAR), Some(FARTHER)));
        let path = file.0.display().to_string();
        let known_time = KnownTime::default();
        let named = || Keeper::with_files(vec![Place::named(file.0.clone())], None, None);
        let lines = log_of(async {
            let mut keeper = named().with_known_time(known_time.clone());
            keeper.read_again().await;
            assert_eq!(keeper.told.borrow().updated(), None);
            // A day is a matter of whose clock is right.
            known_time.learn(Utc::from_secs(8_835_955_200 - 2_208_988_800 - 86_400));
            keeper.read_again().await;
            assert!(keeper.told.borrow().updated().is_some(), "it has come");
        });
        let told = format!("<4>{path}: {ahead}; this list of leap seconds is not used\n");
        assert!(lines.starts_with(&told), "{lines}");
        assert_eq!(lines.lines().count(), 2, "{lines}");

        let lines = log_of(async {
            let keeper =
                Keeper::with_file(Some(file.0.clone()), None, "mend it").expect("it is a list");
            assert_eq!(keeper.told.borrow().updated(), None);
        });
        assert_eq!(
            lines,
            format!("<4>{path}: {ahead}, and not used; mend it\n")
        );

        let kept = Written::new("not-ahead", "");
        let lines = log_of(async {
            let lists = [FAR, UPDATED].map(|date| made(Some(date), Some(FARTHER)));
            let web = web_with(lists.to_vec()).await;
            let mut keeper = Keeper::with_files(Vec::new(), Some(kept.0.clone()), None);
            assert!(!keeper.renew(&web, &mut None).await);
            assert_eq!(fs::read(&kept.0).expect("it is there"), b"");
            assert!(keeper.renew(&web, &mut None).await);
            let updated = keeper.told.borrow().updated();
            assert_eq!(updated, Some(Utc::from_secs(1_783_296_000)));
        });
        assert!(
            lines.contains(&format!("/list: {ahead}; keeping")),
            "{lines}"
        );
    }

    #[test]
    fn a_list_that_is_known_to_have_expired_is_not_called_good_by_a_clock_that_is_behind() {
        let file = Written::new("behind", &made(Some(UPDATED), Some(EXPIRES)));
        let known_time = KnownTime::default();
        known_time.learn(Utc::from_secs(4_275_590_400 - 2_208_988_800));
        let expired = "expired on 2035-06-28; no leap second after that is known";
        let look = look(&file.0, Utc::from_secs(0), &known_time);
        let path = file.0.display();
        assert_eq!(look, Look::Expired(format!("{path}: {expired}")));
        let lines = log_of(async {
            let web = web_with(vec![made(Some(UPDATED), Some(EXPIRES))]).await;
            let files = vec![Place::named(file.0.clone())];
            let keeper = Keeper::with_files(files, None, None);
            let mut keeper = keeper.with_known_time(known_time.clone());
            keeper.read_again().await;
            keeper.noted = None;
            assert!(keeper.renew(&web, &mut None).await);
        });
        let told: Vec<&str> = lines.lines().collect();
        assert_eq!(told[0], format!("<6>{path}: {expired}"));
        assert!(told[1].ends_with(&format!("/list: fetched, {expired}")));
    }

    #[test]
    fn an_expired_list_is_fetched_once_a_day_though_files_are_read_more_often() {
        let after = (UPDATED.parse::<u64>().expect("a number") + 86_400).to_string();
        let expired = made(Some(UPDATED), Some(&after));
        let lines = log_of(async {
            // Who asks once more is refused, and that would be told.
            let web = web_with(vec![expired]).await;
            let files = vec![Place::named("/none/list".into())];
            let keeper = Keeper::with_files(files, None, Some(web));
            let (mut told, again) = (keeper.told(), keeper.again());
            let rounds = async {
                let fetched = told.wait_for(|list| list.updated().is_some()).await;
                fetched.expect("it is kept");
                // All lists are told anew each time: the second begins when the first has ended.
                for _ in 0..2 {
                    told.mark_unchanged();
                    again.notify_one();
                    told.changed().await.expect("it is kept");
                }
            };
            tokio::select! {
                () = rounds => {}
                never = keeper.run() => match never {},
            }
        });
        let told: Vec<&str> = lines.lines().collect();
        assert!(told.len() == 2, "{lines}");
        assert!(told[0].contains("/none/list: no such file"), "{lines}");
        assert!(told[1].contains("/list: fetched, expired on"), "{lines}");
    }

    #[test]
    fn a_list_from_the_web_is_told_when_it_is_another_one() {
        let lines = log_of(async {
            let (new, old) = (made(Some(UPDATED), Some(EXPIRES)), REAL.to_owned());
            let other = made(Some(UPDATED), Some(FAR));
            let web = web_with(vec![new.clone(), new, old.clone(), old, other]).await;
            let mut keeper = Keeper::with_files(Vec::new(), None, None);
            for _ in 0..5 {
                assert!(keeper.renew(&web, &mut None).await);
            }
        });
        let told: Vec<&str> = lines.lines().collect();
        assert!(told.len() == 3, "{lines}");
        assert!(told[0].ends_with("good until 2035-06-28"), "{lines}");
        assert!(told[1].ends_with("is older than the one known, and not used"));
        assert!(told[2].ends_with("good until 2180-01-01"), "{lines}");
    }

    #[test]
    fn that_a_list_can_be_fetched_again_is_told_also_if_it_is_the_same() {
        let lines = log_of(async {
            let (new, old) = (made(Some(UPDATED), Some(EXPIRES)), REAL.to_owned());
            let lists = [&new, "no list", &new, &old, "no list", &old];
            let web = web_with(lists.map(str::to_owned).to_vec()).await;
            let mut keeper = Keeper::with_files(Vec::new(), None, None);
            let mut trouble = None;
            for is_good in [true, false, true, true, false, true] {
                assert_eq!(keeper.renew(&web, &mut trouble).await, is_good);
            }
        });
        let told = [
            "/list: fetched, ",
            "; keeping ",
            "/list: fetched, ",
            " is older than ",
            "; keeping ",
            " is older than ",
        ];
        assert_eq!(lines.lines().count(), told.len(), "{lines}");
        for (line, told) in lines.lines().zip(told) {
            assert!(line.contains(told), "{line}");
        }
    }

    #[test]
    fn a_list_without_an_end_is_told_and_goes_before_no_other() {
        let endless = Written::new("endless", &made(Some("3992284801"), None));
        let other = Written::new("other", &made(Some(UPDATED), Some(EXPIRES)));
        let paths = [&endless, &other].map(|file| file.0.display().to_string());
        let lines = log_of(async {
            let files = [&endless, &other].map(|file| Place::named(file.0.clone()));
            let mut keeper = Keeper::with_files(files.to_vec(), None, None);
            keeper.read_again().await;
            assert!(keeper.told.borrow().expires().is_some());
        });
        let told = format!(
            "<4>{}: does not say until when it is good; this list of leap seconds is not used\n<6>{}: in use, the last leap second in it is that before 2017-01-01, good until 2035-06-28\n",
            paths[0], paths[1]
        );
        assert_eq!(lines, told);
    }

    #[test]
    fn that_a_list_has_expired_is_told_once_wherever_it_came_from() {
        let list = Arc::new(LeapSeconds::parse(REAL.as_bytes()).expect("real"));
        let told = ": expired on 2026-06-28; no leap second after that is known\n";
        // Such as are there in a daemon, and in a server, which reads none again.
        for files in [vec![Place::usual("/none".into())], Vec::new()] {
            let lines = log_of(async {
                let mut keeper = Keeper::with_files(files, None, None);
                // As it is once it was fetched and had not expired.
                keeper.own = Some(Known {
                    list: Arc::clone(&list),
                    from: "https://example/list".to_owned(),
                });
                keeper.noted = Some((Arc::clone(&list), false));
                keeper.read_again().await;
                keeper.read_again().await;
                assert_eq!(*keeper.told.borrow().as_ref(), *list);
            });
            assert_eq!(lines, format!("<6>https://example/list{told}"));
        }
        let file = Written::new("expired", REAL);
        let lines = log_of(async {
            let mut keeper =
                Keeper::with_file(Some(file.0.clone()), None, "").expect("it is a good list");
            keeper.read_again().await;
            assert_eq!(*keeper.told.borrow().as_ref(), *list);
        });
        assert_eq!(lines, format!("<6>{}{told}", file.0.display()));
    }

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
