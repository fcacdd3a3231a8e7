//! Turns what happens into log lines: changes of state, never samples, so that no peer can flood the log.

use super::continuity::Break;
use super::roster::{Changes, Panicked};
use crate::engine::snapshot::{NoDecision, SourceView, Tally};
use crate::output::{Published, SinkError};
use crate::status::Status;
use crate::sys::shm::ReaderState;
use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use tracing::{error, info, warn};

/// What was said last, of each thing that can change.
pub(super) struct Journal {
    outcome: Option<Result<(), Discriminant<NoDecision>>>,
    sources: HashMap<String, SourceState>,
    outputs: HashMap<usize, OutputState>,
    hangs: Option<String>,
}

/// What an operator should know of a source.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct SourceState {
    in_trouble: bool,
    falseticker: bool,
    answered: bool,
}

#[derive(PartialEq, Eq)]
enum OutputState {
    Published(Published),
    Failed(String),
}

impl Journal {
    pub(super) fn new() -> Self {
        Self {
            outcome: None,
            sources: HashMap::new(),
            outputs: HashMap::new(),
            hangs: None,
        }
    }

    /// Tells of a break of the raw clock.
    pub(super) fn broken(&mut self, broken: Break) {
        warn!("{broken}: all history is dropped, the sources are asked anew");
    }

    /// Tells of a poller that panicked. It waits ever longer for its next start, so this cannot flood the log.
    pub(super) fn panicked(&mut self, panicked: &Panicked) {
        let Panicked { name, times, cause } = panicked;
        error!(
            "source {name}: its poller panicked ({times} times by now) and is started anew: {cause}"
        );
    }

    /// Tells once what hangs, and when it goes on.
    pub(super) fn hangs(&mut self, what: Option<&str>) {
        match what {
            Some(what) if self.hangs.is_none() => {
                error!("{what} hangs: the watchdog is not fed any more")
            }
            None if self.hangs.is_some() => warn!("nothing hangs any more"),
            _ => {}
        }
        self.hangs = what.map(str::to_owned);
    }

    /// Tells what a new configuration changed.
    pub(super) fn reloaded(&mut self, changes: Changes) {
        let Changes {
            kept,
            started,
            stopped,
        } = changes;
        info!(
            "configuration read again: {kept} sources go on, {started} started, {stopped} stopped"
        );
        self.outputs.clear();
    }

    /// Tells why the old configuration stays.
    pub(super) fn not_reloaded(&mut self, problems: &str) {
        for problem in problems.lines() {
            error!("{problem}");
        }
        error!("the configuration was not taken over, the old one stays in force");
    }

    /// Tells what changed with the cycle that ended.
    pub(super) fn cycle_ended(&mut self, status: &Status) {
        let sources = &status.snapshot.sources;
        self.sources
            .retain(|name, _| sources.iter().any(|source| source.name == *name));
        for source in sources {
            self.source(source);
        }
        // Sources that are asked more rarely than a cycle leave some without news; that is no change of state.
        if status.snapshot.outcome == Err(NoDecision::NothingNew) {
            return;
        }
        let outcome = status
            .snapshot
            .outcome
            .as_ref()
            .map(|_| ())
            .map_err(discriminant);
        if self.outcome.replace(outcome) != Some(outcome) {
            match outcome {
                Ok(()) => info!("publishing: {}", status.summary()),
                Err(_) => warn!("{}", status.summary()),
            }
        }
    }

    fn source(&mut self, source: &SourceView) {
        let name = &source.name;
        let said = self.sources.entry(name.clone()).or_default();
        let now = SourceState {
            in_trouble: source.trouble.is_some(),
            falseticker: match source.tally {
                Tally::Falseticker => true,
                // Whoever takes no part is not acquitted by that.
                Tally::Unusable(_) => said.falseticker,
                _ => false,
            },
            answered: said.answered || source.reading.is_some(),
        };
        match &source.trouble {
            Some(reason) if !said.in_trouble => warn!("source {name}: {reason}"),
            None if said.in_trouble => info!("source {name}: answers again"),
            None if now.answered && !said.answered => info!("source {name}: answers"),
            _ => {}
        }
        if now.falseticker && !said.falseticker {
            warn!("source {name}: falseticker, it contradicts the majority");
        } else if said.falseticker && !now.falseticker {
            info!("source {name}: agrees with the majority again");
        }
        if let Some(reading) = &source.reading
            && reading.misfits > 0
        {
            warn!(
                "source {name}: its time or its route stepped, {} older samples were dropped",
                reading.misfits
            );
        }
        *said = now;
    }

    /// Tells what changed with the output number `k`.
    pub(super) fn published(&mut self, k: usize, result: Result<Published, SinkError>) {
        let now = match result {
            Ok(published) => OutputState::Published(published),
            Err(error) => OutputState::Failed(error.to_string()),
        };
        let said = self.outputs.get(&k);
        if said == Some(&now) {
            return;
        }
        match &now {
            OutputState::Failed(error) => warn!("{error}; trying again each cycle"),
            OutputState::Published(published) => {
                if let Some(notice) = &published.notice {
                    warn!("{notice}");
                }
                match published.reader {
                    Some(ReaderState::Live) => info!("a daemon takes the samples"),
                    Some(ReaderState::Attached) => {
                        info!("a daemon has the segment, but takes no samples")
                    }
                    Some(ReaderState::Absent) => info!("no daemon has the segment yet"),
                    None => {}
                }
            }
        }
        self.outputs.insert(k, now);
    }
}
