//! The pollers: one task for each source, started, replaced, stopped, and started anew when one panics.
//!
//! In: sources of a configuration, and how to reach them. Out: running tasks that report to the supervisor. It reads no
//! report itself.

use super::World;
use crate::config::Source as SourceConfig;
use crate::engine::passage::Silence;
use crate::engine::poll::{self, Turns};
use crate::engine::source::{LEAST_APART, Pace, Source};
use crate::engine::time::{Raw, Span};
use crate::engine::{SourceId, SourceSettings};
use crate::poller::{Ask, Found, Handle, PollEnd, Poller};
use crate::protocol::kind::Kind;
use crate::sys::panic;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// At the start the sources are asked one after the other, this far apart.
const START_APART: Span = Span::from_millis(100);

/// Quick polls after the first one.
const BURST: u32 = 3;

/// A poller that panicked is started anew after this much, doubled with each further panic up to [`LONGEST_BACK_OFF`].
const BACK_OFF: Span = Span::from_secs(1);
const LONGEST_BACK_OFF: Span = Span::from_secs(64);

/// The tasks that poll.
pub(super) struct Roster {
    entries: Vec<Entry>,
    tasks: JoinSet<()>,
    reports: mpsc::Sender<PollEnd>,
    findings: mpsc::Sender<Found>,
    next_id: u64,
}

/// One source and the task that polls it.
struct Entry {
    id: SourceId,
    config: SourceConfig,
    /// What its server speaks, if that had to be found out; it holds for as long as the source is configured so.
    found: Option<Kind>,
    handle: Arc<Handle>,
    task: AbortHandle,
    panics: u32,
    /// When it is to be started anew, if it is not running.
    restart: Option<Raw>,
}

/// Sources that can all be reached out to, not started yet.
pub(super) struct Plan(Vec<Planned>);

struct Planned {
    config: SourceConfig,
    /// The server of a source that is new or changed; none for one that goes on as it is.
    server: Option<Box<dyn Ask>>,
}

/// What a change of the configuration did to the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) kept: usize,
    pub(super) started: usize,
    pub(super) stopped: usize,
}

/// A poller that panicked.
pub(super) struct Panicked {
    pub(super) id: SourceId,
    pub(super) name: String,
    /// How often it has by now.
    pub(super) times: u32,
    pub(super) cause: String,
}

impl Roster {
    /// No sources yet; their pollers will report to `reports`, and to `findings` what their servers turn out to speak.
    pub(super) fn new(reports: mpsc::Sender<PollEnd>, findings: mpsc::Sender<Found>) -> Self {
        Self {
            entries: Vec::new(),
            tasks: JoinSet::new(),
            reports,
            findings,
            next_id: 0,
        }
    }

    /// Builds what is needed to poll `sources`; fails without having changed anything.
    pub(super) fn plan(
        &self,
        sources: &[SourceConfig],
        world: &mut dyn World,
    ) -> anyhow::Result<Plan> {
        let planned = sources.iter().map(|config| {
            let runs = self.entries.iter().any(|entry| entry.is_of(config));
            let server = if runs {
                None
            } else {
                Some(world.server(config)?)
            };
            Ok(Planned {
                config: config.clone(),
                server,
            })
        });
        Ok(Plan(planned.collect::<anyhow::Result<_>>()?))
    }

    /// Stops the sources that are not in `plan` and starts those that are new; the others go on with their connections.
    pub(super) fn apply(&mut self, plan: Plan, now: Raw) -> Changes {
        let mut before = std::mem::take(&mut self.entries);
        let mut changes = Changes {
            kept: 0,
            started: 0,
            stopped: 0,
        };
        for planned in plan.0 {
            let kept = before.iter().position(|entry| entry.is_of(&planned.config));
            match (kept, planned.server) {
                (Some(place), _) => {
                    let kept = before.swap_remove(place);
                    self.entries.push(Entry {
                        config: planned.config,
                        ..kept
                    });
                    changes.kept += 1;
                }
                (None, Some(server)) => {
                    let first = now + START_APART.times(changes.started as i64);
                    let entry = self.start(planned.config, server, first);
                    self.entries.push(entry);
                    changes.started += 1;
                }
                // Planned as running and gone since: entries change only here.
                (None, None) => {}
            }
        }
        changes.stopped = before.len();
        for entry in before {
            entry.task.abort();
        }
        changes
    }

    fn start(&mut self, config: SourceConfig, server: Box<dyn Ask>, first: Raw) -> Entry {
        let id = SourceId(self.next_id);
        self.next_id += 1;
        let handle = Arc::new(Handle::new(first));
        let source = Self::schedule(&config, id, first);
        let task = self.spawn(id, source, server, &handle);
        Entry {
            id,
            config,
            found: None,
            handle,
            task,
            panics: 0,
            restart: None,
        }
    }

    fn schedule(config: &SourceConfig, id: SourceId, first: Raw) -> Source {
        let seed = RandomState::new().build_hasher().finish();
        Source::new(pace(config, id), first, seed)
    }

    fn spawn(
        &mut self,
        id: SourceId,
        source: Source,
        server: Box<dyn Ask>,
        handle: &Arc<Handle>,
    ) -> AbortHandle {
        let poller = Poller {
            id,
            source,
            server,
            reports: self.reports.clone(),
            findings: self.findings.clone(),
            handle: Arc::clone(handle),
        };
        self.tasks.spawn(poller.run())
    }

    /// Goes on with a source whose kind has been found out, as if it had been configured, on the connection that there is. None if
    /// the source is gone.
    pub(super) fn settle(&mut self, found: Found) -> Option<&SourceConfig> {
        let Found {
            source: id,
            kind,
            server,
            at,
        } = found;
        let place = self.entries.iter().position(|entry| entry.id == id)?;
        self.entries[place].found = Some(kind);
        let config = self.entries[place].settled();
        let source = Self::schedule(&config, id, at + LEAST_APART).asked_at(at);
        let handle = Arc::clone(&self.entries[place].handle);
        handle.pulse.promise(at);
        let task = self.spawn(id, source, server, &handle);
        self.entries[place].task = task;
        Some(&self.entries[place].config)
    }

    /// Waits for a poller to panic; for ever if none does. It is started anew later, see [`next_restart`](Self::next_restart).
    pub(super) async fn panicked(&mut self, now: impl Fn() -> Raw) -> Panicked {
        loop {
            let error = match self.tasks.join_next().await {
                Some(Err(error)) if error.is_panic() => error,
                Some(_) => continue,
                None => std::future::pending().await,
            };
            if let Some(entry) = self
                .entries
                .iter_mut()
                .find(|entry| entry.task.id() == error.id())
            {
                let wait = BACK_OFF
                    .times(1 << entry.panics.min(16))
                    .min(LONGEST_BACK_OFF);
                entry.panics += 1;
                entry.restart = Some(now() + wait);
                return Panicked {
                    id: entry.id,
                    name: entry.config.name.clone(),
                    times: entry.panics,
                    cause: panic::words(error),
                };
            }
        }
    }

    /// When a poller that panicked is to be started anew, if one is.
    pub(super) fn next_restart(&self) -> Option<Raw> {
        self.entries.iter().filter_map(|entry| entry.restart).min()
    }

    /// Starts anew the pollers whose time it is; what kept some from it, in words.
    pub(super) fn restart(&mut self, world: &mut dyn World, now: Raw) -> Vec<String> {
        let mut failures = Vec::new();
        let count = self.entries.len();
        for k in 0..count {
            if self.entries[k].restart.is_none_or(|at| at > now) {
                continue;
            }
            let (id, config) = (self.entries[k].id, self.entries[k].settled());
            match world.server(&config) {
                Ok(server) => {
                    let handle = Arc::clone(&self.entries[k].handle);
                    handle.pulse.promise(now);
                    let source = Self::schedule(&config, id, now);
                    let task = self.spawn(id, source, server, &handle);
                    self.entries[k].task = task;
                    self.entries[k].restart = None;
                }
                // It could be built before; what is missing now may be back later.
                Err(error) => {
                    failures.push(format!("{error:#}"));
                    self.entries[k].restart = Some(now + LONGEST_BACK_OFF);
                }
            }
        }
        failures
    }

    /// Tells the pollers when their sources are to be asked.
    pub(super) fn follow(&self, turns: impl Iterator<Item = (SourceId, Turns)>) {
        for (id, turns) in turns {
            if let Some(entry) = self.entries.iter().find(|entry| entry.id == id) {
                entry.handle.turns.send_if_modified(|before| {
                    let is_news = *before != Some(turns);
                    *before = Some(turns);
                    is_news
                });
            }
        }
    }

    /// Has every source asked at once.
    pub(super) fn wake(&self) {
        for entry in &self.entries {
            entry.handle.wake.notify_one();
        }
    }

    /// Has no source asked in this time.
    pub(super) fn hush(&self, silence: Option<Silence>) {
        for entry in &self.entries {
            entry.handle.hush.set(silence);
        }
    }

    /// A source whose poller has not had a turn for far too long, although it has not panicked.
    pub(super) fn silent(&self, now: Raw) -> Option<&str> {
        let is_silent =
            |entry: &&Entry| entry.restart.is_none() && entry.handle.pulse.is_overdue(now);
        self.entries
            .iter()
            .find(is_silent)
            .map(|entry| entry.config.name.as_str())
    }

    /// A source, as long as it is configured.
    pub(super) fn source(&self, id: SourceId) -> Option<&SourceConfig> {
        let entry = self.entries.iter().find(|entry| entry.id == id);
        entry.map(|entry| &entry.config)
    }

    /// What people call a source.
    pub(super) fn name(&self, id: SourceId) -> &str {
        self.source(id).map_or("(gone)", |source| &source.name)
    }

    /// The sources' numbers, in the order of the configuration.
    pub(super) fn ids(&self) -> impl Iterator<Item = SourceId> {
        self.entries.iter().map(|entry| entry.id)
    }

    /// The sources as the engine knows them.
    pub(super) fn settings(&self) -> Vec<SourceSettings> {
        let settings = |entry: &Entry| settings(entry.id, &entry.settled());
        self.entries.iter().map(settings).collect()
    }
}

impl Entry {
    /// Whether it goes on under this configuration: its own, or one that differs only in that it names what has been found out.
    fn is_of(&self, config: &SourceConfig) -> bool {
        let named = || SourceConfig {
            protocol: self.config.protocol.or(self.found),
            ..self.config.clone()
        };
        self.config == *config || named() == *config
    }

    /// The source as if what has been found out of it had been configured.
    fn settled(&self) -> SourceConfig {
        let mut config = self.config.clone();
        if let (None, Some(kind)) = (config.protocol, self.found) {
            config.protocol = Some(kind);
            config.min_poll = config.min_poll.max(kind.least_poll());
            config.max_poll = config.max_poll.max(config.min_poll);
        }
        config
    }
}

/// What the engine is told of a source.
pub(super) fn settings(id: SourceId, source: &SourceConfig) -> SourceSettings {
    SourceSettings {
        id,
        name: source.name.clone(),
        operator: source.operator.clone(),
        poll: source.min_poll,
        max_poll: source.max_poll,
        prefer: source.prefer,
        noselect: source.noselect,
        // One of a kind that is not known has no samples.
        coarse: source.protocol.is_some_and(Kind::is_coarse),
    }
}

/// The pace of a source.
fn pace(source: &SourceConfig, id: SourceId) -> Pace {
    Pace {
        poll: source.min_poll,
        max_poll: source.max_poll,
        phase: poll::phase(id, source.min_poll),
        burst: if source.burst { BURST } else { 0 },
        coarse: source.protocol.is_some_and(Kind::is_coarse),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_keep_apart_whichever_sources_come_and_go() {
        let url = "http://127.0.0.1/".parse().expect("a URL");
        let source = SourceConfig::new("any", url, Span::from_secs(16));
        for first in 0..50 {
            let mut phases: Vec<Span> = (first..first + 8)
                .map(|id| pace(&source, SourceId(id)).phase)
                .collect();
            phases.sort();
            assert!(phases[0] >= Span::ZERO && phases[7] < Span::from_secs(16));
            for pair in phases.windows(2) {
                assert!(pair[1] - pair[0] > Span::from_millis(700), "{phases:?}");
            }
        }
    }
}
