//! The pure part: from exchanges to a decision. No IO, no clock, no randomness of its own.
//!
//! [`Engine`] is the only type that a supervisor needs; [`source::Source`] is what a poller needs. The way of a sample:
//! [`exchange`] → [`filter`] ([`bound`] and [`estimate`], one for each source) → [`select`] → [`cluster`] →
//! [`combine`] → [`Decision`](snapshot::Decision), shown in a [`Snapshot`]; and by [`poll`] back to when each source is asked next.
//! [`edge`] makes the most of servers that tell whole seconds only, [`leap`] and [`passage`] have the leap seconds.

pub mod bound;
pub mod cluster;
pub mod combine;
mod decision;
pub mod edge;
pub mod estimate;
pub mod exchange;
pub mod filter;
mod hull;
pub mod leap;
mod midnight;
mod oscillator;
pub mod passage;
pub mod poll;
pub mod reason;
mod route;
pub mod select;
pub mod snapshot;
pub mod source;
mod step;
pub mod time;
mod track;

#[cfg(test)]
mod tests;

use decision::Verdict;
use estimate::Prior;
use filter::{Filter, MEMORY, Reading};
use midnight::Warned;
use oscillator::Oscillator;
use passage::{Passage, Silence};
use poll::{Paced, Pacing, Turns};
use snapshot::{NoDecision, Snapshot, SourceView, Tally, Unusable};
use source::Report;
use std::collections::{BTreeMap, BTreeSet};
use time::{Raw, Span};

/// What the engine is told at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Length of a cycle (> 0); cycles end at its multiples on the raw clock.
    pub cycle: Span,
    /// How many operators must agree; by default one if there are no more than two, else two.
    pub min_agreeing: Option<usize>,
    /// Greatest half-width of a source's bound, and of a decision's.
    pub max_bound: Span,
    /// The sources, in the order in which they are shown.
    pub sources: Vec<SourceSettings>,
}

/// What the engine must know of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSettings {
    /// By what its reports name it; no two sources have the same.
    pub id: SourceId,
    /// Its name, for people.
    pub name: String,
    /// Who runs it; all sources of one operator have one vote.
    pub operator: String,
    /// Shortest time between polls (> 0).
    pub poll: Span,
    /// Longest time between polls (≥ `poll`).
    pub max_poll: Span,
    /// Whether its estimate replaces those of the others, while it survives.
    pub prefer: bool,
    /// Whether it is measured only.
    pub noselect: bool,
    /// Whether it is of a kind that tells whole seconds only (`http-date`). Another that does so is found out by its replies.
    pub coarse: bool,
}

/// One source for as long as it is configured alike; a source that is changed gets another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u64);

/// Filters, selection and decision of all sources.
///
/// The driver hands in every poll's end by [`report`](Self::report) and calls [`cycle`](Self::cycle) at
/// [`next_cycle`](Self::next_cycle), in the order of time: a cycle that ended before a sample was received comes first.
/// (If it does not, nothing breaks: a cycle uses only what was received by its end.)
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    needed: usize,
    next_cycle: Raw,
    /// In the order of the settings.
    sources: Vec<SourceState>,
    last_decision: Option<Raw>,
    /// Exchanges that began before are not taken.
    unbroken_since: Raw,
    oscillator: Oscillator,
    leap_list: Option<leap::List>,
    /// The leap second that the last decision warned of, and the one that passed last.
    coming: Option<Passage>,
    passed: Option<Passage>,
    /// What the last decision warned of.
    warned: Option<Warned>,
}

/// What the engine remembers of one source.
#[derive(Debug, Default)]
struct SourceState {
    filter: Filter,
    /// What that said at the end of the last cycle.
    reading: Option<Reading>,
    reach: u8,
    trouble: Option<String>,
    /// Whether it survived the last cycle, and whether it was the best then.
    survived: bool,
    was_best: bool,
    /// When it was last found to have stepped, whether the others had or not.
    stepped: Option<Raw>,
    /// When it was last found to creep, if it has not shown since that it does not.
    doubted: Option<Raw>,
    pacing: Pacing,
}

impl Settings {
    /// How many operators must agree.
    fn needed(&self) -> usize {
        let voters = self.sources.iter().filter(|source| !source.noselect);
        let operators: BTreeSet<&str> = voters.map(|source| source.operator.as_str()).collect();
        self.min_agreeing
            .unwrap_or(if operators.len() <= 2 { 1 } else { 2 })
    }
}

impl Engine {
    /// An engine whose first cycle ends at the first multiple of `settings.cycle` after `now`.
    pub fn new(settings: Settings, now: Raw) -> Self {
        Self {
            needed: settings.needed(),
            next_cycle: last_multiple(settings.cycle, now) + settings.cycle,
            sources: settings
                .sources
                .iter()
                .map(|_| SourceState::default())
                .collect(),
            settings,
            last_decision: None,
            unbroken_since: Raw::from_nanos(i64::MIN),
            oscillator: Oscillator::default(),
            leap_list: None,
            coming: None,
            passed: None,
            warned: None,
        }
    }

    /// From now on the list of leap seconds is this one, or none.
    pub fn know_leap_seconds(&mut self, list: Option<leap::List>) {
        self.leap_list = list;
    }

    /// When no source is to be asked and nothing to be published, as far as that is known by now: around the leap second that
    /// the last decision warned of, or else around the last one.
    pub fn silence(&self) -> Option<Silence> {
        self.coming.or(self.passed).map(|passage| passage.silence())
    }

    /// Takes over what an earlier run, or an earlier hour, found out about the oscillator. Estimates lean on it as long as there
    /// are few exchanges, also after [`forget`](Self::forget); bounds never do. What this run knows better already stays.
    pub fn remember_rate(&mut self, prior: Prior) {
        self.oscillator.remember(prior);
    }

    /// Goes on with other settings. Sources that are in both keep their history; cycles end at multiples of the new length.
    pub fn reconfigure(&mut self, settings: Settings, now: Raw) {
        let ids = self.settings.sources.iter().map(|source| source.id);
        let mut kept: BTreeMap<SourceId, SourceState> = ids.zip(self.sources.drain(..)).collect();
        let sources = settings.sources.iter();
        self.sources = sources
            .map(|source| kept.remove(&source.id).unwrap_or_default())
            .collect();
        self.needed = settings.needed();
        if settings.cycle != self.settings.cycle {
            self.next_cycle = last_multiple(settings.cycle, now) + settings.cycle;
        }
        self.settings = settings;
    }

    /// Drops all history, and every exchange still to come that began before `now`: what was measured before says nothing
    /// about what follows, since the machine slept or the raw clock paused.
    pub fn forget(&mut self, now: Raw) {
        self.oscillator.forget();
        self.begin_anew(now);
        self.passed = None;
    }

    /// Who was found to creep goes on to do so while the machine sleeps: a doubt does not go with history, but by itself.
    fn begin_anew(&mut self, now: Raw) {
        for state in &mut self.sources {
            state.filter = Filter::default();
            state.reading = None;
            state.pacing = Pacing::default();
            state.stepped = None;
        }
        self.last_decision = None;
        self.unbroken_since = now;
        self.coming = None;
    }

    /// When each source is to be asked, until the next cycle has ended or history is dropped.
    pub fn turns(&self) -> impl Iterator<Item = (SourceId, Turns)> {
        let configured = self.settings.sources.iter().zip(&self.sources);
        configured.map(|(settings, state)| {
            let turns = state.pacing.turns(self.settings.cycle, settings);
            (settings.id, turns)
        })
    }

    /// When [`cycle`](Self::cycle) is to be called next.
    pub fn next_cycle(&self) -> Raw {
        self.next_cycle
    }

    /// Takes in how a poll ended.
    pub fn report(&mut self, source: SourceId, report: Report) {
        let mut configured = self.settings.sources.iter();
        let Some(state) = configured
            .position(|settings| settings.id == source)
            .and_then(|k| self.sources.get_mut(k))
        else {
            return;
        };
        state.reach <<= 1;
        match report {
            Report::Sample(exchange) => {
                let carried = match &self.passed {
                    Some(passage) => passage.carried(&exchange),
                    None => Some(exchange),
                };
                if let Some(exchange) = carried
                    && exchange.sent() >= self.unbroken_since
                {
                    state.filter.add(exchange);
                }
                state.reach |= 1;
                state.trouble = None;
            }
            Report::Missed { reason, .. } => state.trouble = Some(reason),
        }
    }

    /// What can be said before the first cycle has ended.
    pub fn preview(&self, now: Raw) -> Snapshot {
        self.undecided(now, NoDecision::NoCandidates)
    }

    /// What is shown when no source is looked at: what each said last, without what was news then.
    fn undecided(&self, at: Raw, why: NoDecision) -> Snapshot {
        let configured = self.settings.sources.iter().zip(&self.sources);
        let (readings, verdicts) = configured
            .map(|(source, state)| {
                let reading = state.reading.map(|reading| Reading {
                    misfits: 0,
                    ..reading
                });
                let why = self.unusable(source, state.pacing.slowest(source), reading.as_ref(), at);
                let verdict = Verdict::unusable(why.unwrap_or(Unusable::NoMajority), state.doubted);
                (reading, verdict)
            })
            .unzip();
        Snapshot {
            at,
            outcome: Err(why),
            sources: self.views(readings, verdicts),
        }
    }

    /// Ends the cycle that is due; `None` when none is. Of several that are overdue (the machine slept), only the last is
    /// worth anything.
    pub fn cycle(&mut self, now: Raw) -> Option<Snapshot> {
        if now < self.next_cycle {
            return None;
        }
        let at = last_multiple(self.settings.cycle, now);
        self.next_cycle = at + self.settings.cycle;
        if self.is_silent(at) {
            return Some(self.undecided(at, NoDecision::LeapSecond));
        }

        for state in &mut self.sources {
            state.doubted = state.doubted.filter(|found| at - *found < MEMORY);
        }
        let prior = self.oscillator.prior();
        let readings: Vec<Option<Reading>> = self
            .sources
            .iter_mut()
            .map(|source| {
                source.reading = source.filter.read(at, prior);
                source.reading
            })
            .collect();
        let configured = self.settings.sources.iter().zip(&self.sources);
        let mut verdicts: Vec<Verdict> = configured
            .zip(&readings)
            .map(|((source, state), reading)| {
                let poll = state.pacing.slowest(source);
                let why = self.unusable(source, poll, reading.as_ref(), at);
                Verdict::unusable(why.unwrap_or(Unusable::NoMajority), state.doubted)
            })
            .collect();
        let mut outcome = match self.stepped_together(at, &readings) {
            Some(operators) => {
                // Not `now`: what a cycle makes of its samples must not depend on when it was called. The rate may be another as well.
                self.oscillator.distrust();
                self.begin_anew(at);
                Err(NoDecision::Stepped { operators })
            }
            None if self.waits_for_answers(at, &readings, &mut verdicts) => {
                return Some(Snapshot {
                    at,
                    outcome: Err(NoDecision::LeapSecond),
                    sources: self.views(readings, verdicts),
                });
            }
            None => self.decide(at, &readings, &mut verdicts),
        };
        for (state, verdict) in self.sources.iter_mut().zip(&verdicts) {
            state.doubted = verdict.doubted;
            state.survived = verdict.tally.survives();
            state.was_best = verdict.tally == Tally::Best;
        }
        if let Ok(decision) = &outcome {
            self.coming = Passage::of(decision);
            let doubtful = self.doubtful(decision).filter(|_| self.coming.is_none());
            if doubtful.is_none() {
                let is_warned = self.coming.is_some();
                let warned = is_warned.then(|| self.warned_by(decision, &readings, &verdicts));
                self.warned = warned.flatten();
            }
            self.coming = self.coming.or(doubtful);
            if self.is_silent(at) || doubtful.is_some() {
                outcome = Err(NoDecision::LeapSecond);
            }
        }
        let is_alarmed = self.is_alarmed(at, &readings);
        let has_majority = matches!(outcome, Ok(_) | Err(NoDecision::NothingNew));
        self.pace(at, has_majority && !is_alarmed, &readings, &verdicts);
        if let Ok(decision) = &outcome {
            self.last_decision = Some(at);
            self.oscillator.learn(decision);
        }
        Some(Snapshot {
            at,
            outcome,
            sources: self.views(readings, verdicts),
        })
    }

    /// Decides how often each source is asked from now on.
    fn pace(&mut self, at: Raw, is_calm: bool, readings: &[Option<Reading>], verdicts: &[Verdict]) {
        let configured = self.settings.sources.iter().zip(&mut self.sources);
        let mut paced: Vec<Paced<'_>> = configured
            .zip(readings.iter().zip(verdicts))
            .map(|((settings, state), (reading, verdict))| Paced {
                settings,
                reading: reading.as_ref(),
                tally: verdict.tally,
                pacing: &mut state.pacing,
            })
            .collect();
        poll::pace(self.settings.cycle, at, is_calm, &mut paced);
    }

    fn views(&self, readings: Vec<Option<Reading>>, verdicts: Vec<Verdict>) -> Vec<SourceView> {
        let configured = self.settings.sources.iter().zip(&self.sources);
        configured
            .zip(readings.into_iter().zip(verdicts))
            .map(|((settings, state), (reading, verdict))| SourceView {
                name: settings.name.clone(),
                tally: verdict.tally,
                reason: verdict.reason,
                poll: state.pacing.poll(settings),
                reach: state.reach,
                reading,
                trouble: state.trouble.clone(),
            })
            .collect()
    }
}

/// The last multiple of `cycle` that is not after `now`.
fn last_multiple(cycle: Span, now: Raw) -> Raw {
    let cycle = cycle.as_nanos().max(1);
    Raw::from_nanos(now.as_nanos().div_euclid(cycle).saturating_mul(cycle))
}
