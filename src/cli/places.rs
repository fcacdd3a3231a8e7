//! Files and directories that the configuration points to, and without which the daemon runs all the same: its list of leap seconds,
//! where it records, what it keeps.
//!
//! In: a configuration. Out: for `webntpd --check` and `webntp doctor`, how it is with each. Nothing is written, and who may write is
//! not looked at.

use super::doctor::known_time;
use crate::config::{Config, Leap, State};
use crate::engine::time::Utc;
use crate::leap_seconds::{self, Look};
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

/// How it is with one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The key that names it.
    pub(super) key: &'static str,
    /// Whether the file names it.
    pub(super) is_named: bool,
    pub(super) text: String,
    /// What to do; nothing if all is well.
    pub(super) remedy: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.text)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

/// Looks at all of them, as they are at `now`.
pub(super) fn look(config: &Config, now: Utc) -> Vec<Place> {
    let places = [list(config, now), measurements(config), state(config)];
    places.into_iter().flatten().collect()
}

fn list(config: &Config, now: Utc) -> Option<Place> {
    let named = config.leap.list.as_deref();
    let path = named.unwrap_or(Path::new(Leap::USUAL_LIST));
    let look = leap_seconds::look(path, now, &known_time(config));
    let renew = match named {
        Some(_) => "put a newer one there, or name one in [leap] that is kept up to date",
        None => "upgrade tzdata",
    };
    let mend = match named {
        Some(_) => "put leap-seconds.list there, or name another file",
        None => "install tzdata again",
    };
    let unused = "this list of leap seconds is not used";
    let (text, remedy) = match look {
        Look::Good(text) => (text, None),
        Look::Expired(text) => (text, Some(renew)),
        Look::Unusable(text) => (format!("{text}; {unused}"), Some(mend)),
        Look::Missing(text) if named.is_some() => (format!("{text}; {unused}"), Some(mend)),
        // Not every machine has tzdata.
        Look::Missing(_) => return None,
    };
    let fetched = config.leap.url.as_ref();
    let remedy = remedy.map(|remedy| match fetched {
        Some(url) => {
            let url = leap_seconds::shown(url);
            format!("{remedy}; another one is fetched from {url}")
        }
        None => remedy.to_owned(),
    });
    Some(Place {
        key: "[leap] list",
        is_named: named.is_some(),
        text,
        remedy,
    })
}

fn measurements(config: &Config) -> Option<Place> {
    let path = config.log.measurements.as_deref()?;
    let shown = path.display();
    let odd = |text, remedy: &str| (text, Some(remedy.to_owned()));
    let directory = path.parent().unwrap_or(path);
    let (text, remedy) = if path.is_dir() {
        odd(
            format!("{shown}: is a directory; nothing is recorded"),
            "name a file in it",
        )
    } else if is_missing(directory) {
        odd(
            format!(
                "{shown}: there is no directory {}; nothing is recorded",
                directory.display()
            ),
            "make it such that webntpd may write there",
        )
    } else {
        (format!("{shown}: its directory is there"), None)
    };
    Some(Place {
        key: "[log] measurements",
        is_named: true,
        text,
        remedy,
    })
}

fn state(config: &Config) -> Option<Place> {
    let path = config.state.directory.as_deref()?;
    let shown = path.display();
    let is_named = config.state != State::default();
    let is_file = path.metadata().is_ok_and(|data| !data.is_dir());
    let (text, remedy) = if is_file {
        (
            format!("{shown}: is no directory; nothing is kept for the next start"),
            Some("name a directory".to_owned()),
        )
    } else if is_named && is_missing(path) {
        (
            format!("{shown}: there is no such directory; nothing is kept for the next start"),
            Some("make it such that webntpd may write there".to_owned()),
        )
    } else {
        // The package makes the usual one when the daemon starts.
        return None;
    };
    Some(Place {
        key: "[state] directory",
        is_named,
        text,
        remedy,
    })
}

/// Whether it is known not to be there.
fn is_missing(path: &Path) -> bool {
    let found = path.metadata();
    found.is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Span;
    use crate::protocol::leap_seconds::LeapSeconds;
    use crate::protocol::leap_seconds::tests::made;
    use crate::sys::state::{self, State as KeptState};
    use std::fs;
    use std::path::PathBuf;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let name = format!("webntpd-places-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).expect("writable");
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            // Left behind at the worst.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn told(config: &Config, now: Utc, key: &str) -> Option<Place> {
        look(config, now).into_iter().find(|place| place.key == key)
    }

    #[test]
    fn a_list_that_is_named_is_good_expired_broken_or_missing() {
        let directory = Directory::new("list");
        let path = directory.0.join("list");
        let mut config = Config::of(Vec::new());
        config.leap.list = Some(path.clone());
        let text = made(Some("3992284800"), Some("4275590400"));
        let parsed = LeapSeconds::parse(text.as_bytes()).expect("it is made well");
        let expires = parsed.expires().expect("it says so");
        let now = expires - Span::from_secs(1);
        let list = |now| told(&config, now, "[leap] list").expect("it is named");

        let missing = list(now).to_string();
        assert!(missing.contains("no such file; this list"), "{missing}");
        fs::write(&path, &text).expect("writable");
        assert_eq!(list(now).remedy, None);
        assert!(list(now).text.ends_with("good until 2035-06-28"));
        assert!(list(expires).text.contains("expired on 2035-06-28"));
        assert!(list(expires).remedy.is_some());
        fs::write(&path, format!("{text}nonsense\n")).expect("writable");
        let broken = list(now).to_string();
        assert!(
            broken.contains(": line ") && broken.contains("is not used"),
            "{broken}"
        );
        fs::remove_file(&path).expect("it is there");
        fs::create_dir(&path).expect("writable");
        assert!(list(now).text.contains("cannot read"), "a directory");
    }

    #[test]
    fn the_query_of_a_place_on_the_web_is_not_told() {
        let mut config = Config::of(Vec::new());
        config.leap.list = Some("/none".into());
        config.leap.url = Some("https://example/list?key=secret".parse().expect("a URL"));
        let place = told(&config, Utc::from_secs(0), "[leap] list").expect("it is named");
        let ends = "; another one is fetched from https://example/list";
        assert!(place.to_string().ends_with(ends), "{place}");
    }

    #[test]
    fn a_list_without_an_end_is_not_used() {
        let directory = Directory::new("endless");
        let path = directory.0.join("list");
        let mut config = Config::of(Vec::new());
        config.leap.list = Some(path.clone());
        fs::write(&path, made(Some("3992284800"), None)).expect("writable");
        let now = Utc::from_secs(1_795_000_000);
        let place = told(&config, now, "[leap] list").expect("it is named");
        let begins = "does not say until when it is good; this list of leap seconds is not used";
        assert!(place.text.ends_with(begins), "{place}");
        assert!(place.remedy.is_some());
    }

    #[test]
    fn a_list_that_is_dated_ahead_is_used_once_its_date_was_known_to_have_come() {
        let directory = Directory::new("ahead");
        let path = directory.0.join("list");
        let mut config = Config::of(Vec::new());
        config.leap.list = Some(path.clone());
        config.state.directory = Some(directory.0.clone());
        // 2035-06-28 and 2180-01-01.
        fs::write(&path, made(Some("4275590400"), Some("8835955200"))).expect("writable");
        let now = Utc::from_secs(1_795_000_000);
        let list = || told(&config, now, "[leap] list").expect("it is named");
        let ahead = list().to_string();
        assert!(
            ahead.contains("dated 2035-06-28, which is yet to come"),
            "{ahead}"
        );
        let kept = KeptState {
            time: Utc::from_secs(4_275_590_400 - 2_208_988_800),
            rate: None,
        };
        state::write(&directory.0, &kept).expect("writable");
        assert_eq!(list().remedy, None);
    }

    #[test]
    fn measurements_that_cannot_be_recorded_are_told_with_the_reason() {
        let directory = Directory::new("log");
        let mut config = Config::of(Vec::new());
        let now = Utc::from_secs(0);
        assert_eq!(told(&config, now, "[log] measurements"), None);
        for (path, remedy) in [
            ("", Some("name a file in it")),
            (
                "none/log",
                Some("make it such that webntpd may write there"),
            ),
            ("log", None),
        ] {
            config.log.measurements = Some(directory.0.join(path));
            let place = told(&config, now, "[log] measurements").expect("it is named");
            assert_eq!(place.remedy.as_deref(), remedy, "{place}");
        }
    }

    #[test]
    fn a_state_directory_that_is_none_is_told_and_the_usual_one_need_not_be_there() {
        let directory = Directory::new("state");
        let now = Utc::from_secs(0);
        let file = directory.0.join("file");
        fs::write(&file, "").expect("writable");
        let state = |path: &Path| {
            let mut config = Config::of(Vec::new());
            config.state.directory = Some(path.to_owned());
            told(&config, now, "[state] directory")
        };
        assert_eq!(state(&directory.0), None);
        assert!(state(&file).is_some_and(|place| place.text.contains("is no directory")));
        let missing = state(&directory.0.join("none"));
        assert!(missing.is_some_and(|place| place.text.contains("no such directory")));
        let usual = Config::of(Vec::new());
        assert_eq!(told(&usual, now, "[state] directory"), None);
    }
}
