//! Turns what happens into log lines: changes of state, never samples, so that no peer can flood the log.

use crate::engine::snapshot::{NoDecision, SourceView, Tally};
use crate::output::{Published, SinkError};
use crate::status::Status;
use crate::sys::shm::ReaderState;
use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use tracing::{info, warn};

/// What was said last, of each thing that can change.
pub(super) struct Journal {
    outcome: Option<Result<(), Discriminant<NoDecision>>>,
    sources: HashMap<String, SourceState>,
    outputs: HashMap<usize, OutputState>,
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
        }
    }

    /// Tells what changed with the cycle that ended.
    pub(super) fn cycle_ended(&mut self, status: &Status) {
        for source in &status.snapshot.sources {
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
