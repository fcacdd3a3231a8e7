//! Puts the parts together: builds everything that can fail, then lets it run.
//!
//! In: a checked configuration and the outputs. Out: a [`Daemon`] that is ready to run.

use crate::config::{self, CaFileError, Config, Source as SourceConfig};
use crate::engine::source::{Pace, Source};
use crate::engine::time::{Raw, Span};
use crate::engine::{Engine, Settings, SourceId, SourceSettings};
use crate::net::{Deadlines, Error, Target, TargetError, Tls};
use crate::output::Sink;
use crate::poller::{Known, PollEnd, Poller, Upstream};
use crate::status::Status;
use crate::supervisor::{self, Supervisor, TaskEnded};
use crate::sys::clock::raw_now;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

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
    /// A source's `ca-file` has changed since the configuration was checked.
    #[error("source {name}: ca-file {cause}")]
    CaFile {
        /// Name of the source.
        name: String,
        /// What is wrong with it.
        cause: CaFileError,
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
            min_agreeing: config.select.min_agreeing,
            max_bound: config.select.max_bound,
            sources: config.sources.iter().map(source_settings).collect(),
        };
        let (sender, reports) = mpsc::channel(supervisor::REPORTS);
        let tls = Arc::new(Tls::new(Vec::new()));
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
                    id: SourceId(k),
                    source: schedule(source, k, config.sources.len(), now),
                    upstream: Upstream::new(
                        target.with_address_family(source.address_family),
                        source_tls(source, &tls)?,
                        Deadlines::each(source.timeout),
                    )
                    .with_known(Known {
                        rounding: source.rounding,
                        offset: source.offset,
                    }),
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

/// How to speak TLS to a source: as to all of them, unless it has certificates of its own to trust. They are
/// loaded at once if they will be needed.
fn source_tls(source: &SourceConfig, shared: &Arc<Tls>) -> Result<Arc<Tls>, BuildError> {
    let tls = match &source.ca_file {
        None => Arc::clone(shared),
        Some(path) => {
            let roots = config::certificates(path).map_err(|cause| BuildError::CaFile {
                name: source.name.clone(),
                cause,
            })?;
            Arc::new(Tls::new(roots))
        }
    };
    if source.is_encrypted() {
        tls.load()?;
    }
    Ok(tls)
}

fn source_settings(source: &SourceConfig) -> SourceSettings {
    SourceSettings {
        name: source.name.clone(),
        operator: source.operator.clone(),
        poll: source.min_poll,
        prefer: source.prefer,
        noselect: source.noselect,
        coarse: false,
    }
}

/// The schedule of source number `k` of `count`: at once, and then each in its own part of the poll interval.
fn schedule(source: &SourceConfig, k: usize, count: usize, now: Raw) -> Source {
    let poll = source.min_poll;
    let (k, count) = (k as i64, count.max(1) as i64);
    let pace = Pace {
        poll,
        max_poll: source.max_poll,
        phase: Span::from_nanos(poll.times(2 * k + 1).as_nanos() / (2 * count)),
    };
    Source::new(
        pace,
        now + START_APART.times(k),
        RandomState::new().build_hasher().finish(),
    )
}
