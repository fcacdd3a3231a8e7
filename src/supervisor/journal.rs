//! Turns what happens into log lines: changes of state, never samples, and of each thing only so many that no peer can flood the
//! log.

mod leap_second;
mod source;

use super::budget::Budget;
use super::replay::Decided;
use super::roster::{Changes, Panicked};
use crate::config::{Output, Source};
use crate::engine::leap::Leap;
use crate::engine::snapshot::{NoDecision, Snapshot};
use crate::engine::source::Report;
use crate::engine::time::{Raw, Span, Utc};
use crate::output::{Published, SinkError};
use crate::protocol::kind::Kind;
use crate::status::Status;
use crate::status::ledger::SourceLedger;
use crate::status::table::Length;
use crate::sys::continuity::Break;
use crate::sys::reader::Reader;
use crate::sys::shm::ReaderState;
use crate::sys::sock::Listener;
use source::SourceState;
use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use tracing::{debug, error, info, warn};

/// What was said last, of each thing that can change.
#[derive(Default)]
pub(super) struct Journal {
    outcome: Subject<Option<Outcome>>,
    sources: HashMap<String, Subject<SourceState>>,
    outputs: HashMap<Output, Subject<OutputState>>,
    leap_second: Subject<Option<(Leap, Utc)>>,
    hangs: Option<String>,
}

/// One thing that lines are about.
#[derive(Default)]
struct Subject<T> {
    said: T,
    budget: Budget,
}

/// How a cycle ended.
#[derive(PartialEq, Eq)]
enum Outcome {
    Published(Quality),
    /// A decision that an output refused and nobody reads from the others.
    Refused,
    Undecided(Discriminant<NoDecision>),
}

/// What is told anew of a decision when it has changed.
#[derive(Clone, Copy)]
struct Quality {
    agreeing: usize,
    error: Span,
}

impl Eq for Quality {}

impl PartialEq for Quality {
    /// Whether the difference is not worth a line: as many sources, and an error of the same order.
    fn eq(&self, other: &Self) -> bool {
        let within = |a: Span, b: Span| a <= b.times(4);
        self.agreeing == other.agreeing
            && within(self.error, other.error)
            && within(other.error, self.error)
    }
}

/// What an operator should know of an output.
#[derive(Default)]
struct OutputState {
    failure: Option<String>,
    notice: Option<String>,
    reader: Option<Reader>,
}

/// A line for people, and what of it is also a field of the journal's entry.
#[derive(Default)]
struct Line<'a> {
    text: String,
    is_bad: bool,
    source: Option<&'a str>,
    reason: Option<&'a str>,
    offset: Option<Span>,
    bound: Option<Span>,
}

impl Line<'_> {
    fn good(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }

    fn bad(text: String) -> Self {
        Self {
            text,
            is_bad: true,
            ..Self::default()
        }
    }
}

impl Budget {
    fn say(&mut self, now: Raw, line: Line<'_>) {
        let Some(unsaid) = self.take(now) else {
            return;
        };
        let rest = match unsaid {
            0 => String::new(),
            unsaid => format!(" ({unsaid} changes since the last line about it were not told)"),
        };
        let Line {
            text,
            is_bad,
            source,
            reason,
            ..
        } = line;
        let offset_ns = line.offset.map(Span::as_nanos);
        let bound_ns = line.bound.map(Span::as_nanos);
        if is_bad {
            warn!(source, reason, offset_ns, bound_ns, "{text}{rest}");
        } else {
            info!(source, reason, offset_ns, bound_ns, "{text}{rest}");
        }
    }
}

impl Journal {
    /// Tells of a break of the raw clock.
    pub(super) fn broken(&mut self, broken: Break) {
        warn!("{broken}: all history is dropped, the sources are asked anew");
    }

    /// Tells what a server speaks, which nobody had said. That is found out once, so it cannot flood the log.
    pub(super) fn settled(&self, source: &Source, kind: Kind) {
        let name = &source.name;
        let spoken = kind.name();
        info!(
            source = name.as_str(),
            "source {name}: no protocol is given; its server was found to speak {spoken} ({}){}",
            kind.words(),
            kind.caution()
        );
    }

    /// Tells of a poller that panicked. It waits ever longer for its next start, so this cannot flood the log.
    pub(super) fn panicked(&mut self, panicked: &Panicked) {
        let Panicked {
            name, times, cause, ..
        } = panicked;
        error!(
            "source {name}: its poller panicked ({times} times by now) and is started anew: {cause}"
        );
    }

    /// Tells of pollers that could not be started anew; they are tried again about once a minute.
    pub(super) fn not_restarted(&mut self, failures: &[String]) {
        for failure in failures {
            error!("cannot start its poller anew: {failure}");
        }
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

    /// Tells what a new configuration changed; `others` are tables beside the sources.
    pub(super) fn reloaded(&mut self, changes: Changes, others: &[&str]) {
        let Changes {
            kept,
            started,
            stopped,
        } = changes;
        let others = match others {
            [] => String::new(),
            others => format!("; changed as well: {}", others.join(", ")),
        };
        info!(
            "configuration read again, sources: {kept} go on, {started} started, {stopped} stopped{others}"
        );
    }

    /// Tells why the old configuration stays.
    pub(super) fn not_reloaded(&mut self, problems: &str) {
        for problem in problems.lines() {
            error!("{problem}");
        }
        error!("the configuration was not taken over, the old one stays in force");
    }

    /// Tells of each decision, in the words of `webntp replay`: to compare the two.
    pub(super) fn decided(&self, snapshot: &Snapshot) {
        if let Some(decided) = Decided::of(snapshot) {
            debug!("decided: {decided}");
        }
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
        if let Ok(decision) = &status.snapshot.outcome {
            self.leap_second.tell(decision, now);
        }
        // Sources that are asked more rarely than a cycle leave some without news; that is no change of state, and neither is that a
        // leap second passes, of which everybody has been told.
        if let Err(NoDecision::NothingNew | NoDecision::LeapSecond) = status.snapshot.outcome {
            return;
        }
        let outcome = match (&status.snapshot.outcome, &status.refused) {
            (Ok(decision), None) => Outcome::Published(Quality {
                agreeing: status.agreeing(),
                error: decision.error_at(now),
            }),
            (Ok(_), Some(_)) => Outcome::Refused,
            (Err(why), _) => Outcome::Undecided(discriminant(why)),
        };
        if self.outcome.said.as_ref() == Some(&outcome) {
            return;
        }
        // A first cycle may end a moment after the start. It is no trouble that is worth a word before all have been asked.
        let is_early = status.ledger.sources.iter().any(SourceLedger::is_unheard);
        if matches!(outcome, Outcome::Undecided(_)) && is_early {
            return;
        }
        let reason = status
            .snapshot
            .outcome
            .as_ref()
            .err()
            .map(ToString::to_string);
        let line = match &status.snapshot.outcome {
            Ok(decision) if status.refused.is_none() => Line {
                offset: Some(status.clock.offset(decision.theta_at(now))),
                bound: Some(decision.error_at(now)),
                ..Line::good(format!("publishing: {}", status.summary()))
            },
            _ => Line {
                reason: status.refused.as_deref().or(reason.as_deref()),
                ..Line::bad(status.summary())
            },
        };
        self.outcome.said = Some(outcome);
        self.outcome.budget.say(now, line);
    }

    /// Forgets the outputs that are not among these.
    pub(super) fn outputs_changed(&mut self, to: &[Output]) {
        self.outputs.retain(|output, _| to.contains(output));
    }

    /// Tells what changed with an output.
    pub(super) fn published(
        &mut self,
        output: &Output,
        result: &Result<Published, SinkError>,
        now: Raw,
    ) {
        let of_an_output = || Subject {
            said: OutputState::default(),
            budget: Budget::at_home(),
        };
        let Subject { said, budget } = self
            .outputs
            .entry(output.clone())
            .or_insert_with(of_an_output);
        match result {
            Err(error) => {
                let failure = error.to_string();
                if said.failure.as_deref().map(gist) != Some(gist(&failure)) {
                    budget.say(
                        now,
                        Line::bad(format!("{failure}; trying again each cycle")),
                    );
                }
                said.failure = Some(failure);
            }
            Ok(published) => {
                if said.failure.take().is_some() {
                    if published.reader == Some(Reader::Socket(Listener::Absent)) {
                        // What was in the way is gone, and the socket with it.
                        said.reader = None;
                    } else {
                        budget.say(now, Line::good(format!("{output}: works again")));
                    }
                }
                if said.notice != published.notice {
                    budget.say(
                        now,
                        match &published.notice {
                            Some(notice) => Line::bad(notice.clone()),
                            None => Line::good(format!("{output}: all is well with it again")),
                        },
                    );
                    said.notice = published.notice.clone();
                }
                if let Some(reader) = published.reader
                    && said.reader != Some(reader)
                {
                    said.reader = Some(reader);
                    budget.say(now, Line::good(format!("{output}: {}", told(reader))));
                }
            }
        }
    }

    /// Tells how each poll ended, to those who ask for that much.
    pub(super) fn polled(&self, name: &str, report: &Report) {
        match report {
            Report::Sample(exchange) => {
                debug!("source {name}: sample, delay {}", Length(exchange.delay()))
            }
            Report::Missed { reason, .. } => debug!("source {name}: no sample: {reason}"),
        }
    }
}

fn told(reader: Reader) -> &'static str {
    match reader {
        Reader::Segment(ReaderState::Live) => "a daemon takes the samples",
        Reader::Segment(ReaderState::Attached) => "a daemon has the segment, but takes no samples",
        Reader::Segment(ReaderState::Absent) => {
            "no daemon has the segment yet; is it configured, and was it restarted since?"
        }
        Reader::Socket(Listener::Bound) => {
            "a daemon has the socket; whether it takes the samples, only it can tell"
        }
        Reader::Socket(Listener::Absent) => {
            "no daemon has the socket yet; is it configured, and was it restarted since?"
        }
    }
}

/// A reason without its numbers, but for that of a status: many quote a stamp, which is another in every reply, and are no
/// news for that.
fn gist(reason: &str) -> String {
    let mut gist = String::new();
    for (nth, part) in reason.split("status ").enumerate() {
        let code = if nth == 0 { 0 } else { 3 };
        let kept = part
            .char_indices()
            .filter(|(at, letter)| *at < code || !letter.is_ascii_digit());
        gist.extend(kept.map(|(_, letter)| letter));
    }
    gist
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_the_same_whatever_stamp_it_quotes_and_another_with_another_status() {
        let at = |stamp: &str| gist(&format!("the server says {stamp}, which is too early"));
        assert_eq!(at("1489224472.995"), at("1489224473.1"));
        assert_ne!(gist("status 500"), gist("status 503"));
        assert_eq!(
            gist("status 503, asking for a pause of 9 s"),
            gist("status 503, asking for a pause of 10 s")
        );
    }
}
