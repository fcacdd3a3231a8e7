//! The measurement log: every accepted exchange and what else the engine is told, for `webntp replay`.
//!
//! In: what the supervisor hands to the engine, as it does. Out: lines in the order of `received`, on their way to a file. A cycle's
//! lines are held until it has ended, since two pollers need not report in that order. Where the engine was not told what the times
//! in the log suggest (a cycle that ended late, a reply that was looked at late), a line of its own says so: a replay then does the
//! same.

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
    /// The end of the last cycle.
    last: Option<Raw>,
    reopen: Raw,
    budget: Budget,
}

impl Measurements {
    /// Begins a log at `path`.
    pub(super) fn open(path: Option<&Path>, now: Raw) -> Self {
        let mut log = Self {
            file: None,
            held: Vec::new(),
            last: None,
            reopen: now + REOPEN,
            budget: Budget::at_home(),
        };
        log.start(path, now);
        log
    }

    fn start(&mut self, path: Option<&Path>, now: Raw) {
        self.held.clear();
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
        let boot = state::boot_id().unwrap_or_default().into();
        self.add(&Item::Start { boot, raw: now });
        // A replay of a log of more starts in one boot must not go on with what it had before.
        let why = line::START.into();
        self.add(&Item::Reset { raw: now, why });
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
        self.last = Some(at);
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
    }

    /// The server of a source was found to speak this; no exchange with it came before, so no cycle depends on when it is told.
    pub(super) fn settled(&mut self, source: &str, kind: Kind, now: Raw) {
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
    }

    /// The configuration was read again; the sources `anew` begin without history. The file is opened anew, or another one begun.
    pub(super) fn reloaded(&mut self, path: Option<&Path>, anew: &[&str], now: Raw) {
        self.write(None);
        if self.file.as_ref().map(Appender::path) != path {
            self.start(path, now);
            return;
        }
        self.reopen(now);
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
            file.reopen();
        }
    }

    /// Writes what is held, in the order of `received`; `late` if it belongs to a cycle that ends only then.
    fn write(&mut self, late: Option<Raw>) {
        self.held.sort_by_key(|(received, _)| *received);
        let mut lines = String::new();
        if let (Some(last), Some((first, _))) = (self.last, self.held.first())
            && *first <= last
        {
            lines += &Item::Cycle { raw: last }.line().unwrap_or_default();
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
