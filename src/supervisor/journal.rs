//! Turns what happens into log lines: changes of state, never samples, and of each thing only so many that no peer can flood the
//! log.

mod leap_second;

use super::budget::Budget;
use super::replay::Decided;
use super::roster::{Changes, Panicked};
use crate::config::{Output, Source};
use crate::engine::leap::Leap;
use crate::engine::reason::Reason;
use crate::engine::snapshot::{NoDecision, Snapshot, SourceView, Tally};
use crate::engine::source::Report;
use crate::engine::time::{Raw, Span, Utc};
use crate::output::{Published, SinkError};
use crate::protocol::kind::Kind;
use crate::status::Status;
use crate::status::ledger::SourceLedger;
use crate::status::table::Length;
use crate::status::words;
use crate::sys::continuity::Break;
use crate::sys::reader::Reader;
use crate::sys::shm::ReaderState;
use crate::sys::sock::Listener;
use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use tracing::{debug, error, info, warn};

/// What somebody should know who expected more.
const COARSE: &str = "; if it speaks a finer kind, name that as its protocol";

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

/// What an operator should know of a source.
#[derive(Clone, Default, PartialEq, Eq)]
struct SourceState {
    trouble: Option<String>,
    falseticker: bool,
    creeps: bool,
    answered: bool,
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
            if kind.is_coarse() { COARSE } else { "" }
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
            creeps: match source.reason {
                Some(Reason::Creeps { .. }) => true,
                _ => self.said.creeps && !source.tally.survives(),
            },
            answered: self.said.answered || source.reading.is_some(),
        };
        let mut say = |is_bad, reason, what: &str| {
            let text = format!("source {name}: {what}");
            self.budget.say(
                now,
                Line {
                    text,
                    is_bad,
                    reason,
                    source: Some(name),
                    ..Line::default()
                },
            );
        };
        match (&self.said.trouble, &state.trouble) {
            (before, Some(reason)) if before.as_deref().map(gist) != Some(gist(reason)) => {
                say(true, Some(reason.as_str()), reason)
            }
            (Some(_), None) => say(false, None, "answers again"),
            (None, None) if state.answered && !self.said.answered => say(false, None, "answers"),
            _ => {}
        }
        let why = source.reason.as_ref().map(words::reason);
        let why = why.as_deref();
        let because = why.map_or_else(String::new, |why| format!(": {why}"));
        if state.falseticker && !self.said.falseticker {
            let what = format!("falseticker, it contradicts the majority{because}");
            say(true, why, &what);
        } else if self.said.falseticker && !state.falseticker {
            say(false, None, "agrees with the majority again");
        }
        // One that is convicted as a falseticker as well has had its line.
        if state.creeps && !self.said.creeps && !state.falseticker {
            say(true, why, &format!("not heard{because}"));
        } else if self.said.creeps && !state.creeps {
            say(false, None, "shows the same rate as the others again");
        }
        if let Some(reading) = &source.reading
            && reading.misfits > 0
        {
            let dropped = reading.misfits;
            say(
                true,
                None,
                &format!("its time or its route stepped, {dropped} older samples were dropped"),
            );
        }
        self.said = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::snapshot::Unusable;
    use crate::engine::time::Rate;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is said of a source that had these tallies, and these reasons for them.
    fn said(views: &[(Tally, Option<Reason>)]) -> String {
        let memory = Memory::default();
        let out = memory.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || out.clone())
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let mut subject = Subject::<SourceState>::default();
            for &(tally, reason) in views {
                let view = SourceView {
                    name: "c".into(),
                    tally,
                    reason,
                    poll: Span::from_secs(16),
                    reach: 1,
                    reading: None,
                    trouble: None,
                };
                subject.tell(&view, Raw::from_nanos(0));
            }
        });
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_source_that_creeps_is_told_of_once_and_again_when_it_is_heard() {
        let creeps = |ppm| Reason::Creeps {
            by: Rate::from_ppm(ppm),
        };
        let stale = (Tally::Unusable(Unusable::Stale), None);
        let lines = said(&[
            (Tally::Outlier, Some(creeps(20))),
            (Tally::Outlier, Some(creeps(21))),
            stale,
            (Tally::Outlier, Some(creeps(19))),
            (Tally::Survivor, None),
        ]);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        let line =
            "WARN source c: not heard: creeps, its clock runs 20.0 ppm faster than the others";
        assert!(lines[0].trim().starts_with(line), "{lines:?}");
        let line = "INFO source c: shows the same rate as the others again";
        assert!(lines[1].trim().starts_with(line), "{lines:?}");
    }

    #[test]
    fn a_falseticker_is_told_of_with_its_reason_and_not_as_a_creeping_one_as_well() {
        let creeps = Some(Reason::Creeps {
            by: Rate::from_ppm(20),
        });
        let off = Some(Reason::OffTheMajority {
            by: Span::from_secs(-3),
        });
        let lines = said(&[
            (Tally::Falseticker, off),
            (Tally::Outlier, creeps),
            (Tally::Falseticker, off),
        ]);
        let told =
            "falseticker, it contradicts the majority: 3.000 s behind what the majority holds";
        assert_eq!(lines.matches(told).count(), 2, "{lines}");
        assert_eq!(lines.matches("not heard: creeps").count(), 1, "{lines}");
        assert_eq!(
            lines.matches("agrees with the majority").count(),
            1,
            "{lines}"
        );
    }

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
