//! What has been counted since the start: polls by their end, samples by output, reloads, breaks.
//!
//! The supervisor enters what happens; a copy goes into every [`Status`](super::Status). Numbers only grow, except that a source
//! that is changed or an output that is replaced begins anew. It decides nothing.

use crate::config::{Config, Output, Protocol};
use crate::engine::SourceId;
use crate::engine::snapshot::{Decision, NoDecision, Snapshot, Tally};
use crate::engine::source::{Fault, Report};
use crate::engine::time::{Raw, Span};
use crate::sys::clock::ClockPair;
use crate::sys::reader::Reader;

/// All that is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// When the daemon started.
    pub started: ClockPair,
    /// How often the sources are judged.
    pub cycle: Span,
    /// Cycles that have ended.
    pub cycles: u64,
    /// Times that all history was dropped: the machine slept, the raw clock broke, or most sources stepped together.
    pub resets: u64,
    /// Configurations taken over, not counting the first.
    pub reloads: u64,
    /// Configurations refused.
    pub reloads_refused: u64,
    /// How the last cycle ended that had any news.
    pub state: State,
    /// Why that one handed nothing on, if it did not.
    pub reason: Option<String>,
    /// The last decision that some output took, and the clocks when it did.
    pub last: Option<(Decision, ClockPair)>,
    /// In the order of the configuration.
    pub sources: Vec<SourceLedger>,
    /// In the order of the configuration.
    pub outputs: Vec<OutputLedger>,
}

/// How things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No cycle has ended yet.
    Starting,
    /// Samples are being handed on.
    Publishing,
    /// The time is known, but no output takes it.
    Refused,
    /// The time is not known.
    Undecided,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Starting,
        Self::Publishing,
        Self::Refused,
        Self::Undecided,
    ];

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Publishing => "publishing",
            Self::Refused => "refused",
            Self::Undecided => "undecided",
        }
    }
}

/// What is counted of one source, and what the configuration says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLedger {
    /// As the engine knows it.
    pub id: SourceId,
    /// As people know it.
    pub name: String,
    /// Where it is, without what follows a `?`: that may be a secret.
    pub url: String,
    /// What it speaks, once that is known.
    pub protocol: Option<Protocol>,
    /// Whose vote it is part of.
    pub operator: String,
    /// Whether it is only measured, and has no vote.
    pub noselect: bool,
    /// Polls that gave a sample.
    pub samples: u64,
    /// Polls that gave none, in the order of [`Fault::ALL`].
    pub missed: [u64; Fault::ALL.len()],
    /// When the last sample was received.
    pub last_sample: Option<Raw>,
    /// Cycles at whose end it contradicted the majority.
    pub falseticker: u64,
    /// Times that its time or its route stepped.
    pub steps: u64,
    /// Times that its poller was started anew after a panic.
    pub restarts: u64,
}

/// What is counted of one output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputLedger {
    /// As the configuration has it.
    pub output: Output,
    /// Samples handed on.
    pub written: u64,
    /// Samples that it did not take.
    pub failed: u64,
    /// Whether anybody reads, as far as the last sample told.
    pub reader: Option<Reader>,
    /// Why it did not take the last sample, or could not be opened, or what a person should do although it takes them.
    pub trouble: Option<String>,
}

impl SourceLedger {
    /// Whether none of its polls has ended yet, be it in a panic.
    pub fn is_unheard(&self) -> bool {
        self.samples == 0 && self.missed.iter().all(|count| *count == 0) && self.restarts == 0
    }
}

impl Ledger {
    /// Nothing has happened yet.
    pub fn new(started: ClockPair) -> Self {
        Self {
            started,
            cycle: Span::ZERO,
            cycles: 0,
            resets: 0,
            reloads: 0,
            reloads_refused: 0,
            state: State::Starting,
            reason: None,
            last: None,
            sources: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Goes on with the sources of another configuration; `ids` are theirs, in the same order.
    pub fn reconfigure(&mut self, config: &Config, ids: impl Iterator<Item = SourceId>) {
        self.cycle = config.cycle;
        let mut before = std::mem::take(&mut self.sources);
        for (source, id) in config.sources.iter().zip(ids) {
            let kept = before.iter().position(|entry| entry.id == id);
            let entry = kept.map(|place| before.swap_remove(place));
            self.sources.push(entry.unwrap_or_else(|| SourceLedger {
                id,
                name: source.name.clone(),
                url: without_query(&source.url),
                protocol: source.protocol,
                operator: source.operator.clone(),
                noselect: source.noselect,
                samples: 0,
                missed: [0; Fault::ALL.len()],
                last_sample: None,
                falseticker: 0,
                steps: 0,
                restarts: 0,
            }));
        }
    }

    /// Samples go to these outputs now; those that were there before go on.
    pub fn outputs_changed(&mut self, to: &[Output]) {
        let mut before = std::mem::take(&mut self.outputs);
        for output in to {
            let kept = before.iter().position(|entry| entry.output == *output);
            let entry = kept.map(|place| before.swap_remove(place));
            self.outputs.push(entry.unwrap_or_else(|| OutputLedger {
                output: output.clone(),
                written: 0,
                failed: 0,
                reader: None,
                trouble: None,
            }));
        }
    }

    /// A poll ended.
    pub fn polled(&mut self, id: SourceId, report: &Report) {
        let Some(source) = self.source(id) else {
            return;
        };
        match report {
            Report::Sample(exchange) => {
                source.samples += 1;
                source.last_sample = Some(exchange.received());
            }
            Report::Missed { fault, .. } => {
                let counts = source.missed.iter_mut().zip(Fault::ALL);
                for (count, _) in counts.filter(|(_, each)| each == fault) {
                    *count += 1;
                }
            }
        }
    }

    /// It was found out what a server speaks.
    pub fn settled(&mut self, id: SourceId, protocol: Protocol) {
        if let Some(source) = self.source(id) {
            source.protocol = Some(protocol);
        }
    }

    /// A poller panicked and is started anew.
    pub fn panicked(&mut self, id: SourceId) {
        if let Some(source) = self.source(id) {
            source.restarts += 1;
        }
    }

    /// An output took a sample; what is known of its reader, and what a person should do although it did.
    pub fn written(&mut self, to: &Output, reader: Option<Reader>, notice: Option<&str>) {
        if let Some(output) = self.output(to) {
            output.written += 1;
            output.reader = reader;
            output.trouble = notice.map(str::to_owned);
        }
    }

    /// An output could not be opened, and why. It is tried again with each sample; none has been lost yet.
    pub fn not_opened(&mut self, output: &Output, why: String) {
        if let Some(output) = self.output(output) {
            output.trouble = Some(why);
        }
    }

    /// An output did not take a sample, and why. Of its reader nothing is known then.
    pub fn not_written(&mut self, to: &Output, why: String) {
        if let Some(output) = self.output(to) {
            output.failed += 1;
            output.reader = None;
            output.trouble = Some(why);
        }
    }

    /// A cycle ended, at whose end the clocks showed `clock`; `refused` says why nobody got its decision.
    pub fn cycle_ended(&mut self, snapshot: &Snapshot, refused: Option<&str>, clock: ClockPair) {
        self.cycles += 1;
        for (source, view) in self.sources.iter_mut().zip(&snapshot.sources) {
            source.falseticker += u64::from(view.tally == Tally::Falseticker);
            source.steps += u64::from(view.reading.is_some_and(|reading| reading.misfits > 0));
        }
        match (&snapshot.outcome, refused) {
            (Ok(_), Some(why)) => {
                self.state = State::Refused;
                self.reason = Some(why.to_owned());
            }
            (Ok(decision), None) => {
                self.state = State::Publishing;
                self.reason = None;
                self.last = Some((*decision, clock));
            }
            // Sources that are asked more rarely than a cycle leave some without news.
            (Err(NoDecision::NothingNew), _) => {}
            (Err(why), _) => {
                self.state = State::Undecided;
                self.reason = Some(why.to_string());
            }
        }
        if matches!(snapshot.outcome, Err(NoDecision::Stepped { .. })) {
            self.resets += 1;
        }
    }

    fn output(&mut self, of: &Output) -> Option<&mut OutputLedger> {
        self.outputs.iter_mut().find(|entry| entry.output == *of)
    }

    fn source(&mut self, id: SourceId) -> Option<&mut SourceLedger> {
        self.sources.iter_mut().find(|source| source.id == id)
    }
}

fn without_query(url: &url::Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}
