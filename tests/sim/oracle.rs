//! What must hold at every instant of every simulation, checked against the truth, and the figures that come of it.
//!
//! It judges what the engine and the machines of the sources do by what they promise; it takes part in nothing.

mod manners;

use crate::oscillator::Oscillator;
use crate::upstream::Outcome;
use manners::Manners;
use std::collections::BTreeSet;
use webntpd::engine::bound::Bound;
use webntpd::engine::exchange::Exchange;
use webntpd::engine::filter::{CAPACITY, MEMORY};
use webntpd::engine::leap::Leap;
use webntpd::engine::select::COARSE_MARGIN;
use webntpd::engine::snapshot::{Decision, NoDecision, Snapshot, Tally, Unusable};
use webntpd::engine::source::{Aftermath, Pace};
use webntpd::engine::time::{Raw, Span, Theta};
use webntpd::engine::{Engine, Settings};
use webntpd::output::Sample;

/// A trace longer than this helps nobody.
const MOST_FAULTS: usize = 12;

pub(crate) struct Oracle<'a> {
    clock: &'a Oscillator,
    settings: Settings,
    sources: Vec<Watched>,
    /// What was measured before plays no part any more.
    forgot: Raw,
    last_cycle: Option<Raw>,
    memory_checked: Raw,
    pub(crate) seen: Seen,
}

struct Watched {
    manners: Manners,
    /// When it last proved what is not true.
    lied: Option<Raw>,
}

/// What was seen in a simulation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Broken promises. There must be none.
    pub(crate) faults: Vec<String>,
    /// Cycles that ended.
    pub(crate) cycles: usize,
    /// Those that ended with a decision while most operators that voted were honest.
    pub(crate) decisions: Vec<Point>,
    /// Those that ended with one while they were not.
    pub(crate) misled: Vec<Point>,
    /// Of these, how often the truth was outside the bound.
    pub(crate) misled_outside: usize,
    /// Decisions with the truth outside the bound since the oscillator did what the bound does not allow for.
    pub(crate) beyond_model: Vec<Point>,
    pub(crate) nothing_new: usize,
    pub(crate) no_majority: usize,
    pub(crate) too_few: usize,
    pub(crate) no_candidates: usize,
    pub(crate) too_uncertain: usize,
    pub(crate) stepped: usize,
    pub(crate) leap_second: usize,
    /// How often a server was asked within a second of a leap second.
    pub(crate) asked_near: usize,
    /// For each source, in how many cycles it was a falseticker, and in how many its estimate counted.
    pub(crate) falseticker: Vec<usize>,
    pub(crate) survived: Vec<usize>,
    pub(crate) requests: Vec<usize>,
    /// For each cycle, its end (seconds from the start) and what became of each source.
    pub(crate) tallies: Vec<(f64, Vec<Tally>)>,
    /// The estimates of all decisions, whoever voted.
    pub(crate) published: Vec<(Raw, Theta)>,
    /// For each source, when it was asked (seconds from the start), but for tries on a connection that it had closed.
    pub(crate) asked: Vec<Vec<f64>>,
}

/// A decision beside the truth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// From the start (raw clock).
    pub(crate) at_s: f64,
    /// Estimate less truth, when it is published.
    pub(crate) error_s: f64,
    /// The same, five minutes after, when nothing has come since.
    pub(crate) error_later_s: f64,
    pub(crate) half_width_s: f64,
    pub(crate) leap: Leap,
    /// Whether it was published within a second of a leap second.
    pub(crate) is_near: bool,
    /// How great the error is said to be at the most, when it is published.
    pub(crate) said_s: f64,
    /// Whether the error is no greater than is said.
    pub(crate) covered: bool,
    /// How far off one of those that vote may well be (seconds): one sigma, and how far they are from each other.
    pub(crate) sigma_s: f64,
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(
        clock: &'a Oscillator,
        start: Raw,
        settings: Settings,
        paces: Vec<Pace>,
    ) -> Self {
        let count = paces.len();
        Self {
            clock,
            settings,
            sources: paces
                .into_iter()
                .map(|pace| Watched {
                    manners: Manners::new(pace, start),
                    lied: None,
                })
                .collect(),
            forgot: start - Span::from_secs(1),
            last_cycle: None,
            memory_checked: start,
            seen: Seen {
                falseticker: vec![0; count],
                survived: vec![0; count],
                asked: vec![Vec::new(); count],
                ..Seen::default()
            },
        }
    }

    fn is_near(&self, now: Raw) -> bool {
        let midnight = self.clock.midnight();
        midnight.is_some_and(|midnight| midnight.is_near(now))
    }

    pub(crate) fn asked(&mut self, source: usize, now: Raw) {
        self.seen.asked_near += usize::from(self.is_near(now));
        let at_s = (now - Oscillator::start()).as_secs_f64();
        self.seen.asked[source].push(at_s);
        let fault = self.sources[source].manners.asked(now);
        self.record(now, source, fault);
    }

    pub(crate) fn answered(&mut self, source: usize, outcome: &Outcome, now: Raw) {
        if matches!(&outcome.result, Err(failure) if failure.connection == Aftermath::Stale) {
            self.seen.asked[source].pop();
        }
        let fault = self.sources[source].manners.answered(outcome, now);
        self.record(now, source, fault);
        if let Ok(exchange) = &outcome.result
            && !self.is_true(source, exchange)
        {
            self.sources[source].lied = Some(exchange.received());
        }
    }

    pub(crate) fn waits(&mut self, source: usize, now: Raw, until: Raw) {
        let fault = self.sources[source].manners.waits(now, until);
        self.record(now, source, fault);
    }

    pub(crate) fn reported(&mut self, source: usize) {
        let fault = self.sources[source].manners.reported();
        self.record(self.last_cycle.unwrap_or(self.forgot), source, fault);
    }

    pub(crate) fn woken(&mut self, source: usize, now: Raw) {
        self.sources[source].manners.woken(now);
    }

    pub(crate) fn panicked(&mut self, source: usize, now: Raw) {
        self.sources[source].manners.panicked(now);
    }

    pub(crate) fn forgot(&mut self, now: Raw) {
        self.forgot = now;
    }

    /// What is written of the system clock is what was decided, no more and no less.
    pub(crate) fn published(&mut self, sample: &Sample, decision: &Decision, now: Raw) {
        self.seen.published.push((decision.at, decision.theta));
        let truth = self.clock.theta(now);
        if sample.clock - (now + truth) != decision.theta_at(now) - truth
            || sample.receive + sample.offset() != sample.clock
            || sample.bound != decision.error_at(now)
        {
            self.fault(now, format!("{sample:?} is not what was decided"));
        }
    }

    pub(crate) fn cycle_ended(&mut self, snapshot: &Snapshot, engine: &Engine, now: Raw) {
        self.seen.cycles += 1;
        self.check_grid(snapshot.at, engine, now);
        for (k, view) in snapshot.sources.iter().enumerate() {
            self.seen.falseticker[k] += usize::from(view.tally == Tally::Falseticker);
            self.seen.survived[k] += usize::from(view.tally.survives());
        }
        let at_s = (snapshot.at - Oscillator::start()).as_secs_f64();
        let tallies = snapshot.sources.iter().map(|view| view.tally);
        self.seen.tallies.push((at_s, tallies.collect()));
        let seen = &mut self.seen;
        match &snapshot.outcome {
            Ok(decision) => self.check_decision(decision, snapshot, now),
            Err(NoDecision::NoCandidates) => seen.no_candidates += 1,
            Err(NoDecision::NoMajority { .. }) => seen.no_majority += 1,
            Err(NoDecision::TooFewAgreeing { .. }) => seen.too_few += 1,
            Err(NoDecision::TooUncertain { .. }) => seen.too_uncertain += 1,
            Err(NoDecision::NothingNew) => seen.nothing_new += 1,
            Err(NoDecision::Stepped { .. }) => seen.stepped += 1,
            Err(NoDecision::LeapSecond) => seen.leap_second += 1,
        }
        if now - self.memory_checked > MEMORY {
            self.memory_checked = now;
            self.check_memory(engine, now);
        }
    }

    /// Ends the simulation.
    pub(crate) fn ended(&mut self, engine: &Engine, now: Raw) {
        self.check_memory(engine, now);
        for source in 0..self.sources.len() {
            let fault = self.sources[source].manners.ended(now);
            self.record(now, source, fault);
            self.seen
                .requests
                .push(self.sources[source].manners.requests());
        }
    }

    pub(crate) fn into_seen(self) -> Seen {
        self.seen
    }

    /// Cycles end on the grid, one after the other, each in its own time.
    fn check_grid(&mut self, at: Raw, engine: &Engine, now: Raw) {
        let cycle = self.settings.cycle;
        if at.as_nanos() % cycle.as_nanos() != 0 || at > now || now - at >= cycle {
            self.fault(now, format!("the cycle of {at:?} is off the grid"));
        }
        if self.last_cycle.is_some_and(|last| at - last < cycle) {
            self.fault(now, format!("the cycle of {at:?} ended twice"));
        }
        if engine.next_cycle() != at + cycle {
            self.fault(now, format!("the next cycle is {:?}", engine.next_cycle()));
        }
        self.last_cycle = Some(at);
    }

    fn check_decision(&mut self, decision: &Decision, snapshot: &Snapshot, now: Raw) {
        let bound = decision.bound;
        let at = decision.at;
        if decision.theta < bound.lo || bound.hi < decision.theta {
            self.fault(
                now,
                format!("the estimate is outside the bound: {decision:?}"),
            );
        }
        let voters = self.operators(snapshot, |_, _| true);
        let agreeing = self.operators(snapshot, |_, tally| tally != Tally::Falseticker);
        if 2 * agreeing <= voters {
            let text = format!("published with {agreeing} of {voters} agreeing");
            self.fault(now, text);
        }
        if agreeing < self.needed() {
            let text = format!("published with only {agreeing} agreeing");
            self.fault(now, text);
        }
        let honest = self.operators(snapshot, |k, _| self.is_honest(k, at));
        let truth = self.clock.theta(at);
        let is_outside = truth < bound.lo || bound.hi < truth;
        let error = decision.theta_at(now) - self.clock.theta(now);
        let later = now + Span::from_secs(300);
        let error_later = decision.theta_at(later) - self.clock.theta(later);
        let point = Point {
            at_s: (at - Oscillator::start()).as_secs_f64(),
            error_s: error.as_secs_f64(),
            error_later_s: error_later.as_secs_f64(),
            half_width_s: bound.half_width().as_secs_f64(),
            leap: decision.leap,
            is_near: self.is_near(now),
            said_s: decision.error_at(now).as_secs_f64(),
            covered: error.abs() <= decision.error_at(now),
            sigma_s: sigma_s(snapshot),
        };
        if 2 * honest <= voters {
            self.seen.misled.push(point);
            self.seen.misled_outside += usize::from(is_outside);
            return;
        }
        if is_outside && !self.clock.is_within_model(self.forgot, at) {
            self.seen.beyond_model.push(point);
            return;
        }
        self.seen.decisions.push(point);
        if let Some(hull) = self.honest_hull(snapshot)
            && hull.clamp(decision.theta) != decision.theta
        {
            let text = format!("no honest source allows the estimate: {hull:?}, {decision:?}");
            self.fault(now, text);
        }
        if is_outside {
            let views = snapshot.sources.iter();
            let tallies: String = views.map(|view| view.tally.symbol()).collect();
            let by = (bound.lo - truth).max(truth - bound.hi);
            let text = format!("the truth is outside by {by:?} [{tallies}]: {decision:?}");
            self.fault(now, text);
        }
    }

    /// How many operators must agree.
    fn needed(&self) -> usize {
        let voters = self.settings.sources.iter().filter(|it| !it.noselect);
        let operators: BTreeSet<&str> = voters.map(|it| it.operator.as_str()).collect();
        let usual = if operators.len() <= 2 { 1 } else { 2 };
        self.settings.min_agreeing.unwrap_or(usual)
    }

    /// How many operators have a source that votes and that `counts`.
    fn operators(&self, snapshot: &Snapshot, counts: impl Fn(usize, Tally) -> bool) -> usize {
        let views = snapshot.sources.iter().enumerate();
        views
            .filter(|(_, view)| {
                !matches!(view.tally, Tally::Unusable(why) if why != Unusable::NoMajority)
            })
            .filter(|(k, view)| counts(*k, view.tally))
            .map(|(k, _)| self.settings.sources[k].operator.as_str())
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// From the least to the greatest that any honest source that votes allows.
    fn honest_hull(&self, snapshot: &Snapshot) -> Option<Bound> {
        let views = snapshot.sources.iter().enumerate();
        views
            .filter(|(_, view)| !matches!(view.tally, Tally::Unusable(_)))
            .filter(|(k, _)| self.is_honest(*k, snapshot.at))
            .filter_map(|(k, view)| {
                let bound = view.reading?.fit.bound;
                Some(bound.widened(self.margin(k)))
            })
            .reduce(|hull, bound| Bound {
                lo: hull.lo.min(bound.lo),
                hi: hull.hi.max(bound.hi),
            })
    }

    /// By how much more than it says a source may be off and yet be honest.
    fn margin(&self, source: usize) -> Span {
        if self.settings.sources[source].coarse {
            COARSE_MARGIN
        } else {
            Span::ZERO
        }
    }

    /// Whether all that is remembered of a source is true.
    fn is_honest(&self, source: usize, now: Raw) -> bool {
        let lied = self.sources[source].lied;
        lied.is_none_or(|lied| lied < self.forgot || now - lied > MEMORY)
    }

    /// Whether an exchange proves what is so. A lie that stays within what the path leaves open does no harm.
    fn is_true(&self, source: usize, exchange: &Exchange) -> bool {
        let margin = self.margin(source);
        exchange.lower() - margin <= self.clock.theta(exchange.received())
            && self.clock.theta(exchange.sent()) <= exchange.upper() + margin
    }

    /// What the engine holds on to, by its own account of itself.
    fn check_memory(&mut self, engine: &Engine, now: Raw) {
        let held = format!("{engine:?}").matches("Exchange {").count();
        if held > CAPACITY * self.sources.len() {
            self.fault(now, format!("{held} exchanges are remembered"));
        }
    }

    fn record(&mut self, now: Raw, source: usize, fault: Option<String>) {
        if let Some(fault) = fault {
            self.fault(now, format!("source {source}: {fault}"));
        }
    }

    fn fault(&mut self, now: Raw, text: String) {
        if self.seen.faults.len() < MOST_FAULTS {
            let at_s = (now - Oscillator::start()).as_secs_f64();
            self.seen.faults.push(format!("{at_s:.3} s: {text}"));
        }
    }
}

/// RMS of what those that vote may be off by their own account, and of how far they are from their mean, weighted by what each knows.
fn sigma_s(snapshot: &Snapshot) -> f64 {
    let voters = snapshot.sources.iter();
    let voters = voters.filter(|view| !matches!(view.tally, Tally::Unusable(_)));
    let estimates = voters.filter_map(|view| Some(view.reading?.estimate));
    let estimates: Vec<(f64, Theta)> = estimates
        .map(|estimate| (estimate.error.as_secs_f64().max(1e-9), estimate.theta))
        .collect();
    let Some((_, base)) = estimates.first().copied() else {
        return 0.0;
    };
    let mean = |value: &dyn Fn(f64, f64) -> f64| {
        let weighted = estimates.iter().map(|(error_s, theta)| {
            let weight = error_s.recip();
            (
                weight,
                weight * value(*error_s, (*theta - base).as_secs_f64()),
            )
        });
        let (total, sum) = weighted.fold((0.0, 0.0), |sums, it| (sums.0 + it.0, sums.1 + it.1));
        sum / total
    };
    let middle_s = mean(&|_, at_s| at_s);
    mean(&|error_s, at_s| error_s.powi(2) + (at_s - middle_s).powi(2)).sqrt()
}
