//! Turns what happens into log lines: changes of state, never samples, so that no peer can flood the log.
//!
//! A state that flickers is told ever more rarely ([`Flicker`]), a reason that changes while the state stays is not told at all.

mod flicker;

use crate::engine::snapshot::{NoDecision, SourceView, Tally};
use crate::engine::time::Raw;
use crate::output::{Published, SinkError};
use crate::status::Status;
use crate::sys::shm::ReaderState;
use flicker::{Flicker, Turn};
use std::collections::{HashMap, HashSet};
use std::mem::{Discriminant, discriminant};
use tracing::{info, warn};

/// What was said last, of each thing that can change.
pub(super) struct Journal {
    published: bool,
    silence: Flicker,
    /// Why nothing is published, as far as it was told since that began.
    reasons: HashSet<Discriminant<NoDecision>>,
    sources: HashMap<String, SourceState>,
    outputs: HashMap<usize, OutputState>,
}

/// What an operator should know of a source.
#[derive(Clone, Copy, Default)]
struct SourceState {
    trouble: Flicker,
    falseticker: Flicker,
    steps: Flicker,
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
            published: false,
            silence: Flicker::default(),
            reasons: HashSet::new(),
            sources: HashMap::new(),
            outputs: HashMap::new(),
        }
    }

    /// Tells what changed with the cycle that ended.
    pub(super) fn cycle_ended(&mut self, status: &Status) {
        let at = status.snapshot.at;
        for source in &status.snapshot.sources {
            self.source(source, at);
        }
        // Sources that are asked more rarely than a cycle leave some without news; that is no change of state.
        if status.snapshot.outcome == Err(NoDecision::NothingNew) {
            return;
        }
        let turn = self.silence.observe(at, status.snapshot.outcome.is_err());
        match &status.snapshot.outcome {
            Ok(decision) if turn == Some(Turn::Ends) || !self.published => {
                self.published = true;
                info!(
                    offset_ns = status
                        .clock
                        .offset(decision.theta_at(status.clock.raw))
                        .as_nanos(),
                    bound_ns = decision.bound.half_width().as_nanos(),
                    "publishing: {}",
                    status.summary()
                );
            }
            Ok(_) => {}
            Err(reason) => {
                if turn == Some(Turn::Begins) {
                    self.reasons.clear();
                }
                if self.reasons.insert(discriminant(reason)) {
                    warn!(%reason, "{}", status.summary());
                }
            }
        }
    }

    fn source(&mut self, source: &SourceView, at: Raw) {
        let name = source.name.as_str();
        let said = self.sources.entry(name.to_owned()).or_default();
        match (
            said.trouble.observe(at, source.trouble.is_some()),
            &source.trouble,
        ) {
            (Some(Turn::Begins), Some(reason)) => {
                warn!(source = name, %reason, "source {name}: {reason}");
            }
            (Some(Turn::Ends), _) => info!(source = name, "source {name}: answers again"),
            (None, None) if !said.answered && source.reading.is_some() => {
                info!(source = name, "source {name}: answers");
            }
            _ => {}
        }
        said.answered |= source.reading.is_some();
        // Whoever takes no part is not acquitted by that.
        if !matches!(source.tally, Tally::Unusable(_)) {
            let falseticker = source.tally == Tally::Falseticker;
            match said.falseticker.observe(at, falseticker) {
                Some(Turn::Begins) => warn!(
                    source = name,
                    "source {name}: falseticker, it contradicts the majority"
                ),
                Some(Turn::Ends) => {
                    info!(
                        source = name,
                        "source {name}: agrees with the majority again"
                    );
                }
                None => {}
            }
        }
        let misfits = source.reading.map_or(0, |reading| reading.misfits);
        if said.steps.observe(at, misfits > 0) == Some(Turn::Begins) {
            warn!(
                source = name,
                "source {name}: its time or its route stepped, {misfits} older samples were dropped"
            );
        }
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
