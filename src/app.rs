//! Puts the parts together: builds everything that can fail, then lets it run.
//!
//! In: a checked configuration and the outputs. Out: a [`Daemon`] that is ready to run.

use crate::config::{Config, Source as SourceConfig};
use crate::engine::source::{Pace, Source};
use crate::engine::time::{Raw, Span};
use crate::engine::{Engine, Settings, SourceId, SourceSettings};
use crate::net::{Deadlines, Error, Target, TargetError, Tls};
use crate::output::Sink;
use crate::poller::{PollEnd, Poller, Upstream};
use crate::status::Status;
use crate::supervisor::{self, Supervisor, TaskEnded};
use crate::sys::clock::raw_now;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Greatest half-width of a bound that is believed.
const MAX_BOUND: Span = Span::from_millis(1_500);

/// A source that fails is asked again after this much at the latest (or after its poll interval, if that is longer).
const MAX_POLL: Span = Span::from_secs(64);

/// At the start the sources are asked one after the other, this far apart.
const START_APART: Span = Span::from_millis(100);

/// Why a daemon cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A source's URL is none that can be asked.
    #[error("source {name}: {cause}")]
    Target {
        /// Name of the source.
        name: String,
        /// What is wrong with it.
        cause: TargetError,
    },
    /// There is nothing to verify certificates with.
    #[error(transparent)]
    Roots(#[from] Error),
}

/// Everything built, nothing running.
pub struct Daemon {
    supervisor: Supervisor,
    pollers: Vec<Poller>,
    reports: mpsc::Receiver<PollEnd>,
    status: watch::Receiver<Option<Status>>,
}

impl Daemon {
    /// Builds a daemon; fails if a source cannot be asked at all.
    pub fn build(config: &Config, outputs: Vec<Box<dyn Sink>>) -> Result<Self, BuildError> {
        let now = raw_now();
        let settings = Settings {
            cycle: config.cycle,
            min_agreeing: None,
            max_bound: MAX_BOUND,
            sources: (0..).zip(&config.sources).map(source_settings).collect(),
        };
        let (sender, reports) = mpsc::channel(supervisor::REPORTS);
        let tls = Arc::new(Tls::new(Vec::new()));
        if config
            .sources
            .iter()
            .any(|source| matches!(source.url.scheme(), "https" | "wss"))
        {
            tls.load()?;
        }
        let pollers = config
            .sources
            .iter()
            .enumerate()
            .map(|(k, source)| {
                let target =
                    Target::new(source.url.clone()).map_err(|cause| BuildError::Target {
                        name: source.name.clone(),
                        cause,
                    })?;
                Ok(Poller {
                    id: SourceId(k as u64),
                    source: schedule(source, k, config.sources.len(), now),
                    upstream: Upstream::new(target, tls.clone(), Deadlines::default()),
                    reports: sender.clone(),
                })
            })
            .collect::<Result<_, BuildError>>()?;
        let (sender, status) = watch::channel(None);
        Ok(Self {
            supervisor: Supervisor {
                engine: Engine::new(settings, now),
                outputs,
                status: sender,
            },
            pollers,
            reports,
            status,
        })
    }

    /// The status, new with every cycle.
    pub fn status(&self) -> watch::Receiver<Option<Status>> {
        self.status.clone()
    }

    /// Runs until `stop` is done.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), TaskEnded> {
        self.supervisor.run(self.pollers, self.reports, stop).await
    }
}

fn source_settings((k, source): (u64, &SourceConfig)) -> SourceSettings {
    SourceSettings {
        id: SourceId(k),
        name: source.name.clone(),
        // Whoever runs a host runs all of it: two URLs of one host are one witness.
        operator: source.url.host_str().unwrap_or_default().to_owned(),
        poll: source.poll,
        prefer: false,
        noselect: false,
        coarse: false,
    }
}

/// The schedule of source number `k` of `count`: at once, and then each in its own part of the poll interval.
fn schedule(source: &SourceConfig, k: usize, count: usize, now: Raw) -> Source {
    let poll = source.poll;
    let (k, count) = (k as i64, count.max(1) as i64);
    let pace = Pace {
        poll,
        max_poll: poll.max(MAX_POLL),
        burst: 0,
        phase: Span::from_nanos(poll.times(2 * k + 1).as_nanos() / (2 * count)),
    };
    Source::new(
        pace,
        now + START_APART.times(k),
        RandomState::new().build_hasher().finish(),
    )
}
