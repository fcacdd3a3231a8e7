//! The pure part: from exchanges to a decision. No IO, no clock, no randomness of its own.
//!
//! [`Engine`] is the only type that a supervisor needs; [`source::Source`] is what a poller needs. The way of a sample:
//! [`exchange`] → [`filter`] ([`bound`] and [`estimate`], one for each source) → [`select`] → [`cluster`] →
//! [`combine`] → [`Decision`], shown in a [`Snapshot`].

pub mod bound;
pub mod cluster;
pub mod combine;
pub mod estimate;
pub mod exchange;
pub mod filter;
pub mod leap;
pub mod select;
pub mod snapshot;
pub mod source;
pub mod time;
mod track;

#[cfg(test)]
mod tests;

use bound::{Bound, Interval};
use cluster::{Member, Seen};
use estimate::Prior;
use filter::{Filter, Reading};
use select::{Candidate, Vote};
use snapshot::{Decision, NoDecision, Snapshot, SourceView, Tally, Unusable};
use source::Report;
use std::collections::{BTreeMap, BTreeSet};
use time::{Rate, Raw, Span};

/// A source whose newest sample is older than this many polls is no candidate.
const CANDIDATE_POLLS: i64 = 4;

/// The best survivor stays the best until another one's uncertainty is below this part of its own.
const LOYALTY: f64 = 0.8;

/// A rate that is not known better than this is that of any oscillator.
const WORTH_KEEPING: Rate = Rate::from_ppm(20);

/// How much the rate of a quartz may change with the temperature from one hour to the next (one sigma).
const WARMTH: Rate = Rate::from_ppm(1);

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
    /// Time between polls.
    pub poll: Span,
    /// Whether its estimate replaces those of the others, while it survives.
    pub prefer: bool,
    /// Whether it is measured only.
    pub noselect: bool,
    /// Whether it tells whole seconds only (`http-date`).
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
    /// What is known of the oscillator from before the oldest exchange.
    prior: Prior,
    /// What will be, when all that it was found from is forgotten.
    learned: Option<(Raw, Rate)>,
    /// What the last decision found out about the rate, if that is worth keeping.
    last_rate: Option<Rate>,
}

/// What the engine remembers of one source.
#[derive(Debug, Default)]
struct SourceState {
    filter: Filter,
    reach: u8,
    trouble: Option<String>,
    /// Whether it survived the last cycle, and whether it was the best then.
    survived: bool,
    was_best: bool,
    /// Whether it was found to creep, and has not shown since that it does not.
    doubted: bool,
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
            prior: Prior::default(),
            learned: None,
            last_rate: None,
        }
    }

    /// Takes over what an earlier run, or an earlier hour, found out about the oscillator. Estimates lean on it as long as there
    /// are few exchanges, also after [`forget`](Self::forget); bounds never do. What this run knows better already stays.
    pub fn remember_rate(&mut self, prior: Prior) {
        if prior.sigma < self.prior.sigma {
            self.prior = prior;
        }
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
        // None of what it was found from is left, so nothing counts twice.
        if let Some(rate) = self.last_rate {
            self.adopt(rate);
        }
        self.begin_anew(now);
    }

    fn begin_anew(&mut self, now: Raw) {
        self.learned = None;
        self.last_rate = None;
        for state in &mut self.sources {
            state.filter = Filter::default();
        }
        self.last_decision = None;
        self.unbroken_since = now;
    }

    fn adopt(&mut self, rate: Rate) {
        self.prior = Prior {
            rate,
            sigma: WARMTH,
        };
    }

    /// Keeps what a decision says of the rate until it is older than any exchange that is remembered.
    fn learn(&mut self, decision: &Decision) {
        let Interval { lo, hi } = decision.rates;
        let half_width = Rate::from_ppt(hi.as_ppt().saturating_sub(lo.as_ppt()) / 2);
        self.last_rate = (half_width < WORTH_KEEPING).then_some(decision.rate);
        let Some(rate) = self.last_rate else {
            return;
        };
        match self.learned {
            Some((since, _)) if decision.at - since <= filter::MEMORY => {}
            Some((_, learned)) => {
                self.adopt(learned);
                self.learned = Some((decision.at, rate));
            }
            None => self.learned = Some((decision.at, rate)),
        }
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
                if exchange.sent() >= self.unbroken_since {
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
        let nothing = |_: &SourceState| (None, Tally::Unusable(Unusable::NoSample));
        let (readings, tallies) = self.sources.iter().map(nothing).unzip();
        Snapshot {
            at: now,
            outcome: Err(NoDecision::NoCandidates),
            sources: self.views(readings, tallies),
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

        let prior = self.prior;
        let readings: Vec<Option<Reading>> = self
            .sources
            .iter_mut()
            .map(|source| source.filter.read(at, prior))
            .collect();
        let mut tallies: Vec<Tally> = self
            .settings
            .sources
            .iter()
            .zip(&readings)
            .map(
                |(source, reading)| match self.unusable(source, reading.as_ref(), at) {
                    Some(why) => Tally::Unusable(why),
                    None => Tally::Unusable(Unusable::NoMajority),
                },
            )
            .collect();
        let mut doubted: Vec<bool> = self.sources.iter().map(|source| source.doubted).collect();
        let outcome = match self.stepped_together(&readings) {
            Some(operators) => {
                // Not `now`: what a cycle makes of its samples must not depend on when it was called. The rate may be another as well.
                self.begin_anew(at);
                Err(NoDecision::Stepped { operators })
            }
            None => self.decide(at, &readings, &mut tallies, &mut doubted),
        };
        for (state, doubted) in self.sources.iter_mut().zip(doubted) {
            state.doubted = doubted;
        }
        for (state, tally) in self.sources.iter_mut().zip(&tallies) {
            state.survived = tally.survives();
            state.was_best = *tally == Tally::Best;
        }
        if let Ok(decision) = &outcome {
            self.last_decision = Some(at);
            self.learn(decision);
        }
        Some(Snapshot {
            at,
            outcome,
            sources: self.views(readings, tallies),
        })
    }

    /// How many operators' sources contradict their own past in this very cycle, if these are most of those that have a vote and
    /// more than one: then it is the raw clock that stepped against the rest of the world.
    fn stepped_together(&self, readings: &[Option<Reading>]) -> Option<usize> {
        let mut has_stepped: BTreeMap<&str, bool> = BTreeMap::new();
        for (source, reading) in self.settings.sources.iter().zip(readings) {
            if let Some(reading) = reading
                && !source.noselect
            {
                *has_stepped.entry(&source.operator).or_insert(true) &= reading.misfits > 0;
            }
        }
        let stepped = has_stepped.values().filter(|stepped| **stepped).count();
        (stepped > 1 && 2 * stepped > has_stepped.len()).then_some(stepped)
    }

    /// Why a source is no candidate, if it is none.
    fn unusable(
        &self,
        source: &SourceSettings,
        reading: Option<&Reading>,
        at: Raw,
    ) -> Option<Unusable> {
        let Some(reading) = reading else {
            return Some(Unusable::NoSample);
        };
        if source.noselect {
            Some(Unusable::NoSelect)
        } else if at - reading.newest >= source.poll.times(CANDIDATE_POLLS) {
            Some(Unusable::Stale)
        } else if reading.fit.bound.half_width() >= self.settings.max_bound {
            Some(Unusable::TooUncertain)
        } else {
            None
        }
    }

    /// From readings to a decision; marks in `tallies` what becomes of each candidate, and in `doubted` who creeps.
    fn decide(
        &self,
        at: Raw,
        readings: &[Option<Reading>],
        tallies: &mut [Tally],
        doubted: &mut [bool],
    ) -> Result<Decision, NoDecision> {
        let candidates: Vec<(usize, &Reading)> = readings
            .iter()
            .enumerate()
            .filter(|(k, _)| tallies[*k] == Tally::Unusable(Unusable::NoMajority))
            .filter_map(|(k, reading)| Some((k, reading.as_ref()?)))
            .collect();
        if candidates.is_empty() {
            return Err(NoDecision::NoCandidates);
        }
        let voters: Vec<Candidate> = candidates
            .iter()
            .map(|(k, reading)| Candidate {
                operator: &self.settings.sources[*k].operator,
                bound: reading.fit.bound,
                rates: reading.fit.rates,
                coarse: self.settings.sources[*k].coarse,
            })
            .collect();
        let selection = select::select(&voters).ok_or_else(|| NoDecision::NoMajority {
            votes: voters
                .iter()
                .map(|voter| voter.operator)
                .collect::<BTreeSet<_>>()
                .len(),
        })?;
        for ((k, _), truechimer) in candidates.iter().zip(&selection.truechimers) {
            tallies[*k] = if *truechimer {
                Tally::Outlier
            } else {
                Tally::Falseticker
            };
        }
        if selection.agreeing < self.needed {
            return Err(NoDecision::TooFewAgreeing {
                agreeing: selection.agreeing,
                needed: self.needed,
            });
        }
        let half_width = selection.bound.half_width();
        if half_width >= self.settings.max_bound {
            return Err(NoDecision::TooUncertain { half_width });
        }

        let survivors = self.cluster(&candidates, tallies, doubted, selection.bound);
        let best = self.best_of(&survivors);
        for (k, ..) in &survivors {
            tallies[*k] = if Some(*k) == best {
                Tally::Best
            } else {
                Tally::Survivor
            };
        }
        let last = self.last_decision;
        if !survivors
            .iter()
            .any(|(_, reading, _)| last.is_none_or(|last| reading.newest > last))
        {
            return Err(NoDecision::NothingNew);
        }
        combined(
            at,
            &survivors,
            selection.bound,
            self.common_rates(&candidates),
        )
        .ok_or(NoDecision::NoCandidates)
    }

    /// The truechimers (marked as outliers so far) that survive clustering. Coarse ones only if there are no others.
    fn cluster<'a>(
        &self,
        candidates: &[(usize, &'a Reading)],
        tallies: &[Tally],
        doubted: &mut [bool],
        bound: Bound,
    ) -> Vec<(usize, &'a Reading, Member)> {
        let is_coarse = |k: usize| self.settings.sources[k].coarse;
        let truechimers = || {
            candidates
                .iter()
                .filter(|(k, _)| tallies[*k] == Tally::Outlier)
        };
        let all_coarse = truechimers().all(|(k, _)| is_coarse(*k));
        let heard: Vec<(usize, &Reading)> = truechimers()
            .filter(|(k, _)| all_coarse || !is_coarse(*k))
            .copied()
            .collect();
        let slope = |rate: Rate| rate.as_ppt() as f64 / 1e12;
        let seen: Vec<Seen> = heard
            .iter()
            .map(|(k, reading)| Seen {
                operator: &self.settings.sources[*k].operator,
                rate: slope(reading.estimate.rate),
                sigma: slope(reading.estimate.rate_error),
                doubted: doubted[*k],
                prefer: self.settings.sources[*k].prefer,
            })
            .collect();
        let agrees = cluster::of_common_rate(&seen);
        for ((k, _), agrees) in heard.iter().zip(&agrees) {
            doubted[*k] = !agrees;
        }
        let members: Vec<(usize, &Reading, Member)> = heard
            .iter()
            .zip(agrees)
            .filter_map(|(heard, agrees)| agrees.then_some(heard))
            .map(|&(k, reading)| {
                let member = Member {
                    offset_s: (reading.estimate.theta - bound.middle()).as_secs_f64(),
                    jitter_s: reading.estimate.jitter.as_secs_f64(),
                    uncertainty_s: reading.fit.bound.half_width().as_secs_f64(),
                    loyal: self.sources[k].survived,
                    prefer: self.settings.sources[k].prefer,
                };
                (k, reading, member)
            })
            .collect();
        let survives = cluster::survivors(
            &members
                .iter()
                .map(|(.., member)| *member)
                .collect::<Vec<_>>(),
        );
        members
            .into_iter()
            .zip(survives)
            .filter_map(|(member, survives)| survives.then_some(member))
            .collect()
    }

    /// The survivor that counts most: a preferred one before others, then the surest; the last best one if it is as good.
    fn best_of(&self, survivors: &[(usize, &Reading, Member)]) -> Option<usize> {
        let rank = |k: usize, member: &Member| {
            let loyalty = if self.sources[k].was_best {
                LOYALTY
            } else {
                1.0
            };
            (!member.prefer, loyalty * member.uncertainty_s)
        };
        survivors
            .iter()
            .map(|(k, _, member)| (*k, rank(*k, member)))
            .min_by(|(_, a), (_, b)| a.0.cmp(&b.0).then_with(|| a.1.total_cmp(&b.1)))
            .map(|(k, _)| k)
    }

    /// The range of the oscillator's rate by the rule that makes the published bound: no minority can forge it.
    fn common_rates(&self, candidates: &[(usize, &Reading)]) -> Option<Interval<Rate>> {
        let mut by_operator: BTreeMap<&str, Vec<Interval<Rate>>> = BTreeMap::new();
        for (k, reading) in candidates {
            let operator = self.settings.sources[*k].operator.as_str();
            by_operator
                .entry(operator)
                .or_default()
                .push(reading.fit.rates);
        }
        select::of_honest_majority(
            &by_operator
                .into_values()
                .map(Vote::union)
                .collect::<Vec<_>>(),
        )
    }

    fn views(&self, readings: Vec<Option<Reading>>, tallies: Vec<Tally>) -> Vec<SourceView> {
        let configured = self.settings.sources.iter().zip(&self.sources);
        configured
            .zip(readings.into_iter().zip(tallies))
            .map(|((settings, state), (reading, tally))| SourceView {
                name: settings.name.clone(),
                tally,
                poll: settings.poll,
                reach: state.reach,
                reading,
                trouble: state.trouble.clone(),
            })
            .collect()
    }
}

/// One decision out of the survivors', clamped into what all of them allow if there is such a thing, and in any case into
/// the published bound.
fn combined(
    at: Raw,
    survivors: &[(usize, &Reading, Member)],
    bound: Bound,
    common_rates: Option<Interval<Rate>>,
) -> Option<Decision> {
    let members: Vec<(Member, f64)> = survivors
        .iter()
        .map(|(_, reading, member)| (*member, reading.estimate.rate.as_ppt() as f64))
        .collect();
    let mean = combine::combine(&members)?;
    let theta = bound.middle() + Span::from_secs_f64(mean.offset_s);
    let in_common = survivors.iter().try_fold(bound, |common, (_, reading, _)| {
        common.intersection(&reading.fit.bound)
    });
    let rate = Rate::from_ppt(mean.rate.round() as i64);
    // The rates need not have a majority of their own; then any rate is possible.
    let rates = common_rates.unwrap_or(Interval {
        lo: Rate::from_ppt(-bound::MAX_RATE.as_ppt()),
        hi: bound::MAX_RATE,
    });
    Some(Decision {
        at,
        theta: in_common.unwrap_or(bound).clamp(theta),
        bound,
        rate: rates.clamp(rate),
        rates,
        jitter: Span::from_secs_f64(mean.jitter_s),
        leap: leap::majority(survivors.iter().filter_map(|(_, reading, _)| reading.leap)),
    })
}

/// The last multiple of `cycle` that is not after `now`.
fn last_multiple(cycle: Span, now: Raw) -> Raw {
    let cycle = cycle.as_nanos().max(1);
    Raw::from_nanos(now.as_nanos().div_euclid(cycle).saturating_mul(cycle))
}
