//! Turns what happens into log lines: changes of state, never samples, and of each thing only so many that no peer can flood the
//! log.

use super::budget::Budget;
use super::continuity::Break;
use super::roster::{Changes, Panicked};
use crate::engine::snapshot::{NoDecision, SourceView, Tally};
use crate::engine::time::Raw;
use crate::output::{Published, SinkError};
use crate::status::Status;
use crate::sys::shm::ReaderState;
use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use tracing::{error, info, warn};

/// What was said last, of each thing that can change.
#[derive(Default)]
pub(super) struct Journal {
    outcome: Subject<Option<Result<(), Discriminant<NoDecision>>>>,
    sources: HashMap<String, Subject<SourceState>>,
    outputs: HashMap<usize, Subject<Option<OutputState>>>,
    hangs: Option<String>,
}

/// One thing that lines are about.
#[derive(Default)]
struct Subject<T> {
    said: T,
    budget: Budget,
}

/// What an operator should know of a source.
#[derive(Clone, Default, PartialEq, Eq)]
struct SourceState {
    trouble: Option<String>,
    falseticker: bool,
    answered: bool,
}

#[derive(PartialEq, Eq)]
enum OutputState {
    Published(Published),
    Failed(String),
}

/// A line and how much it matters.
enum Line {
    Good(String),
    Bad(String),
}

impl Budget {
    fn say(&mut self, now: Raw, line: Line) {
        let Some(unsaid) = self.take(now) else {
            return;
        };
        let rest = match unsaid {
            0 => String::new(),
            unsaid => format!(" ({unsaid} changes since the last line about it were not told)"),
        };
        match line {
            Line::Good(line) => info!("{line}{rest}"),
            Line::Bad(line) => warn!("{line}{rest}"),
        }
    }
}

impl Journal {
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
            "configuration read again, sources: {kept} go on, {started} started, {stopped} stopped"
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
        let now = status.clock.raw;
        let sources = &status.snapshot.sources;
        self.sources
            .retain(|name, _| sources.iter().any(|source| source.name == *name));
        for source in sources {
            self.sources
                .entry(source.name.clone())
                .or_default()
                .tell(source, now);
        }
        // Sources that are asked more rarely than a cycle leave some without news; that is no change of state.
        if status.snapshot.outcome == Err(NoDecision::NothingNew) {
            return;
        }
        let outcome = Some(
            status
                .snapshot
                .outcome
                .as_ref()
                .map(|_| ())
                .map_err(discriminant),
        );
        if self.outcome.said != outcome {
            self.outcome.said = outcome;
            let line = match status.snapshot.outcome {
                Ok(_) => Line::Good(format!("publishing: {}", status.summary())),
                Err(_) => Line::Bad(status.summary()),
            };
            self.outcome.budget.say(now, line);
        }
    }

    /// Tells what changed with the output number `k`.
    pub(super) fn published(&mut self, k: usize, result: Result<Published, SinkError>, now: Raw) {
        let state = match result {
            Ok(published) => OutputState::Published(published),
            Err(error) => OutputState::Failed(error.to_string()),
        };
        let output = self.outputs.entry(k).or_default();
        if output.said.as_ref() == Some(&state) {
            return;
        }
        let line = match &state {
            OutputState::Failed(error) => {
                Some(Line::Bad(format!("{error}; trying again each cycle")))
            }
            OutputState::Published(published) => line_of(published),
        };
        if let Some(line) = line {
            output.budget.say(now, line);
        }
        output.said = Some(state);
    }
}

/// What there is to say of samples that were taken.
fn line_of(published: &Published) -> Option<Line> {
    if let Some(notice) = &published.notice {
        return Some(Line::Bad(notice.clone()));
    }
    let name = &published.output;
    Some(Line::Good(match published.reader? {
        ReaderState::Live => format!("{name}: a daemon takes the samples"),
        ReaderState::Attached => {
            format!("{name}: a daemon has the segment, but has not taken the last sample")
        }
        ReaderState::Absent => format!("{name}: no daemon has the segment"),
    }))
}

impl Subject<SourceState> {
    fn tell(&mut self, source: &SourceView, now: Raw) {
        let name = &source.name;
        let state = SourceState {
            trouble: source.trouble.clone(),
            falseticker: match source.tally {
                Tally::Falseticker => true,
                // Whoever takes no part is not acquitted by that.
                Tally::Unusable(_) => self.said.falseticker,
                _ => false,
            },
            answered: self.said.answered || source.reading.is_some(),
        };
        let mut say = |line| self.budget.say(now, line);
        match (&self.said.trouble, &state.trouble) {
            (before, Some(reason)) if before.as_ref() != Some(reason) => {
                say(Line::Bad(format!("source {name}: {reason}")));
            }
            (Some(_), None) => say(Line::Good(format!("source {name}: answers again"))),
            (None, None) if state.answered && !self.said.answered => {
                say(Line::Good(format!("source {name}: answers")));
            }
            _ => {}
        }
        if state.falseticker && !self.said.falseticker {
            say(Line::Bad(format!(
                "source {name}: falseticker, it contradicts the majority"
            )));
        } else if self.said.falseticker && !state.falseticker {
            say(Line::Good(format!(
                "source {name}: agrees with the majority again"
            )));
        }
        if let Some(reading) = &source.reading
            && reading.misfits > 0
        {
            let dropped = reading.misfits;
            say(Line::Bad(format!(
                "source {name}: its time or its route stepped, {dropped} older samples were dropped"
            )));
        }
        self.said = state;
    }
}
