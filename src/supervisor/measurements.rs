//! The measurement log: every accepted exchange and what else the engine is told, for `webntp replay`.
//!
//! In: what the supervisor hands to the engine, as it does. Out: lines in the order of `received`, on their way to a file. A cycle's
//! lines are held until it has ended, since two pollers need not report in that order. Where the engine was not told what the times
//! in the log suggest (a cycle that ended late, a reply that was looked at late), a line of its own says so: a replay then does the
//! same. Each file begins with what the engine knows beside its exchanges, so that it can be understood by itself.

pub mod line;

use super::budget::Budget;
use crate::engine::estimate::Prior;
use crate::engine::exchange::Exchange;
use crate::engine::leap::List;
use crate::engine::time::{Raw, Span};
use crate::protocol::kind::Kind;
use crate::sys::append::Appender;
use crate::sys::continuity::Break;
use crate::sys::state;
use line::Item;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tracing::warn;

/// The file is opened anew at least this often: it may have been out of reach, or renamed without a word.
const REOPEN: Span = Span::from_secs(3_600);

/// Lines wait no longer for the end of their cycle.
const HELD: Span = Span::from_secs(16);

/// How long the end of the daemon waits for the last lines.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where the daemon records what it is told; nowhere, if nobody wants that.
pub(super) struct Measurements {
    file: Option<Appender>,
    /// What was received since lines were last written.
    held: Vec<(Raw, String)>,
    /// The last cycle: its end, and when that was noticed.
    last: Option<(Raw, Raw)>,
    reopen: Raw,
    boot: String,
    known: Known,
    budget: Budget,
}

/// What was told that a file needs and its exchanges do not say.
#[derive(Default)]
struct Known {
    /// What the servers of sources were found to speak, by the sources' names.
    kinds: BTreeMap<String, Kind>,
    leap_list: Option<List>,
    /// The best one that was told. What the engine has found out itself since is in no file that begins without that.
    prior: Option<Prior>,
}

impl Measurements {
    /// Begins a log at `path`.
    pub(super) fn open(path: Option<&Path>, now: Raw) -> Self {
        let mut log = Self {
            file: None,
            held: Vec::new(),
            last: None,
            reopen: now + REOPEN,
            boot: state::boot_id().unwrap_or_default(),
            known: Known::default(),
            budget: Budget::at_home(),
        };
        log.begin(path, now);
        let boot = log.boot.as_str().into();
        log.add(&Item::Start { boot, raw: now });
        // A replay of a log of more starts in one boot must not go on with what it had before.
        let why = line::START.into();
        log.add(&Item::Reset { raw: now, why });
        log
    }

    /// From now on all goes into this file.
    fn begin(&mut self, path: Option<&Path>, now: Raw) {
        self.file = path.and_then(|path| {
            let started = Appender::start(path);
            if let Err(error) = &started
                && self.budget.take(now).is_some()
            {
                let path = path.display();
                warn!("measurements are not recorded: {path}: {error}");
            }
            started.ok()
        });
    }

    /// Takes in an exchange that goes to the engine; `offset` has been added to its stamps.
    pub(super) fn exchange(&mut self, source: &str, exchange: &Exchange, offset: Span) {
        if self.file.is_none() {
            return;
        }
        // No server's stamps are so far off that this could fail.
        if let Ok(exchange) = line::moved(exchange, -offset)
            && let Some(line) = Item::Exchange(source.into(), exchange).line()
        {
            self.held.push((exchange.received(), line));
        }
    }

    /// Writes what has been held for too long, before a cycle ends.
    pub(super) fn keep_pace(&mut self, now: Raw) {
        let has_waited = |(received, _): &(Raw, String)| now - *received > HELD;
        if self.held.iter().any(has_waited) {
            self.write(None);
        }
    }

    /// The cycle that was to end at `due` ended as that of `at`, with what was received by `now`.
    pub(super) fn cycle_ended(&mut self, due: Raw, at: Raw, now: Raw) {
        let is_usual = at == due && self.held.iter().all(|(received, _)| *received <= at);
        self.write((!is_usual).then_some(now));
        self.last = Some((at, now));
        if now >= self.reopen {
            self.reopen(now);
        }
    }

    /// All history went; the cycle that ends next is due at `due`.
    pub(super) fn broken(&mut self, broken: Break, due: Raw, now: Raw) {
        let why = match broken {
            Break::Suspended(_) => "suspend",
            Break::Paused(_) => "paused clock",
        };
        self.write((now >= due).then_some(now));
        let why = why.into();
        self.add(&Item::Reset { raw: now, why });
    }

    /// The engine knows this of the oscillator from now on.
    pub(super) fn rate(&mut self, prior: Prior, now: Raw) {
        self.write(None);
        self.add(&Item::Rate { raw: now, prior });
        let best = self.known.prior;
        self.known.prior = best
            .filter(|best| best.sigma <= prior.sigma)
            .or(Some(prior));
    }

    /// The server of a source was found to speak this; no exchange with it came before, so no cycle depends on when it is told.
    pub(super) fn settled(&mut self, source: &str, kind: Kind, now: Raw) {
        self.known.kinds.insert(source.to_owned(), kind);
        let source = source.into();
        self.add(&Item::Protocol {
            raw: now,
            source,
            kind,
        });
    }

    /// The engine's list of leap seconds is this one from now on, or none.
    pub(super) fn leap_list(&mut self, list: Option<List>, now: Raw) {
        self.write(None);
        self.add(&Item::LeapList { raw: now, list });
        self.known.leap_list = list;
    }

    /// The configuration was read again; the sources `anew` begin without history. The file is opened anew, or another one begun.
    pub(super) fn reloaded(&mut self, path: Option<&Path>, anew: &[&str], now: Raw) {
        self.write(None);
        self.known.kinds.retain(|name, _| !anew.contains(&&**name));
        if self.file.as_ref().map(Appender::path) != path {
            // The daemon goes on, in another file.
            self.begin(path, now);
            self.add_lines(self.continued(now));
        } else {
            self.reopen(now);
        }
        let anew = anew.iter().map(|name| (*name).into()).collect();
        self.add(&Item::Reload { raw: now, anew });
    }

    /// Writes what is held, and waits for it a little; no cycle that is due at `due` or later has ended.
    pub(super) async fn close(mut self, due: Raw, now: Raw) {
        self.write(None);
        let raw = now.min(due - Span::from_nanos(1));
        self.add(&Item::Stop { raw });
        if let Some(file) = self.file {
            file.close(LAST_WORDS).await;
        }
    }

    fn reopen(&mut self, now: Raw) {
        self.reopen = now + REOPEN;
        if let Some(file) = &self.file {
            file.reopen(self.continued(now));
        }
    }

    /// What a file begins with in the midst of a run.
    fn continued(&self, now: Raw) -> String {
        let boot = self.boot.as_str().into();
        let continued = Item::Continued { boot, raw: now }.line();
        continued.unwrap_or_default() + &self.known.lines(now)
    }

    /// Writes what is held, in the order of `received`; `late` if it belongs to a cycle that ends only then.
    fn write(&mut self, late: Option<Raw>) {
        self.held.sort_by_key(|(received, _)| *received);
        let mut lines = String::new();
        let first = self.held.first().map(|(received, _)| *received);
        // What follows would else be taken for a part of the last cycle, or for its end.
        if let Some((at, noticed)) = self.last
            && (late.is_some() || first.is_some_and(|first| first <= at))
        {
            lines += &Item::Cycle { raw: noticed }.line().unwrap_or_default();
        }
        if let Some(raw) = late {
            lines += &Item::Late { raw }.line().unwrap_or_default();
        }
        lines.extend(self.held.drain(..).map(|(_, line)| line));
        self.add_lines(lines);
    }

    fn add(&self, item: &Item<'_>) {
        self.add_lines(item.line().unwrap_or_default());
    }

    fn add_lines(&self, lines: String) {
        if let Some(file) = &self.file
            && !lines.is_empty()
        {
            file.add(lines);
        }
    }
}

impl Known {
    /// As lines for a file that knows nothing of it.
    fn lines(&self, now: Raw) -> String {
        let raw = now;
        let protocols = self.kinds.iter().map(|(source, kind)| Item::Protocol {
            raw,
            source: source.into(),
            kind: *kind,
        });
        let list = self.leap_list.map(|list| Item::LeapList {
            raw,
            list: Some(list),
        });
        let rate = self.prior.map(|prior| Item::Rate { raw, prior });
        let items = protocols.chain(list).chain(rate);
        items.filter_map(|item| item.line()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::{Rate, Utc};
    use crate::sys::testing::until;

    #[tokio::test]
    async fn a_file_that_was_renamed_is_followed_by_one_that_says_what_the_engine_knows() {
        let name = format!("webntpd-measurements-{}.jsonl", std::process::id());
        let path = std::env::temp_dir().join(name);
        let renamed = path.with_extension("1");
        let at = |seconds: i64| Raw::from_nanos(seconds * 1_000_000_000);
        let list = List {
            last: Utc::from_nanos(5),
            step: 1,
            expires: Utc::from_nanos(6),
        };
        let prior = |sigma| Prior {
            rate: Rate::from_ppt(-7),
            sigma: Rate::from_ppt(sigma),
        };
        let mut log = Measurements::open(Some(&path), at(1));
        log.settled("page", Kind::HttpDate, at(2));
        log.settled("gone", Kind::Ntp, at(2));
        log.leap_list(Some(list), at(3));
        log.rate(prior(8), at(3));
        log.rate(prior(9), at(3));
        let lines = |path: &Path| std::fs::read_to_string(path);
        let has_last_line = |path: &Path| lines(path).is_ok_and(|text| text.contains(":9}"));
        until(|| has_last_line(&path)).await;
        log.reloaded(Some(&path), &["gone"], at(4));
        // The same file goes on.
        until(|| lines(&path).is_ok_and(|text| text.contains("reload"))).await;
        assert!(!lines(&path).expect("it is there").contains("continued"));
        std::fs::rename(&path, &renamed).expect("it is ours");
        // Nobody has said a word, but the hour is over.
        log.cycle_ended(at(4_000), at(4_000), at(4_001));
        log.close(at(5_000), at(4_002)).await;

        let told = lines(&path).expect("it is there");
        let boot = state::boot_id().unwrap_or_default();
        let expected = [
            format!(r#"{{"event":"continued","boot":"{boot}","raw":4001000000000}}"#),
            r#"{"event":"protocol","raw":4001000000000,"source":"page","protocol":"http-date"}"#
                .into(),
            r#"{"event":"leap-list","raw":4001000000000,"last":5,"step":1,"expires":6}"#.into(),
            r#"{"event":"rate","raw":4001000000000,"rate_ppt":-7,"sigma_ppt":8}"#.into(),
            r#"{"event":"stop","raw":4002000000000}"#.into(),
        ];
        assert_eq!(told.lines().collect::<Vec<_>>(), expected);
        for path in [path, renamed] {
            std::fs::remove_file(path).expect("it is ours");
        }
    }
}
