//! The daemon's pure part, driven as the pollers and the supervisor drive it, by a virtual clock.
//!
//! In: a [`World`]. Out: what the [`Oracle`] saw. Tasks have their turns a little late, reports wait in a channel until the
//! supervisor looks; nothing here is asynchronous.

use crate::oracle::Oracle;
use crate::oscillator::Oscillator;
use crate::random::Random;
use crate::system::{Steering, System};
use crate::upstream::{Outcome, Upstream};
use std::collections::VecDeque;
use webntpd::engine::estimate::Prior;
use webntpd::engine::leap::List;
use webntpd::engine::poll::{Turns, phase};
use webntpd::engine::snapshot::{Decision, NoDecision};
use webntpd::engine::source::{Action, Pace, Report, Source, Ticket};
use webntpd::engine::time::{Raw, Span};
use webntpd::engine::{Engine, Settings, SourceId, SourceSettings};
use webntpd::output::Sample;
use webntpd::sys::continuity::Continuity;

// As the supervisor has them.
const MAX_BOUND: Span = Span::from_millis(1_500);
const START_APART: Span = Span::from_millis(100);
const BURST: u32 = 3;
const PANIC_BACK_OFF: Span = Span::from_secs(1);

/// All that is outside of the daemon.
pub(crate) struct World {
    pub(crate) clock: Oscillator,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) cycle: Span,
    /// When the daemon is started (seconds from the start of the simulation).
    pub(crate) begins_s: f64,
    /// How long the simulation lasts.
    pub(crate) length_s: f64,
    /// How often the supervisor hangs for some cycles.
    pub(crate) hangs: f64,
    /// What an earlier run found out about the oscillator.
    pub(crate) prior: Prior,
    /// A list of leap seconds.
    pub(crate) leap_list: Option<List>,
    /// What becomes of the system clock.
    pub(crate) steering: Steering,
}

pub(crate) struct Machine<'a> {
    clock: &'a Oscillator,
    engine: Engine,
    pollers: Vec<Poller>,
    /// Polls' ends that the supervisor has not looked at yet, and when it will.
    reports: VecDeque<(Raw, SourceId, Report)>,
    /// When the supervisor notices that a cycle has ended.
    cycle_at: Raw,
    continuity: Continuity,
    pub(crate) system: System<'a>,
    /// How every cycle ended.
    pub(crate) outcomes: Vec<(Raw, Result<Decision, NoDecision>)>,
    hangs: f64,
    /// The supervisor does nothing before.
    hangs_until: Raw,
    random: Random,
    pub(crate) oracle: Oracle<'a>,
}

struct Poller {
    upstream: Upstream,
    source: Source,
    pace: Pace,
    /// When it has its next turn.
    turn: Raw,
    waits_until: Raw,
    asked: Option<(Ticket, Outcome)>,
    woken: bool,
    /// When to ask, if it has been told and has not looked yet.
    told: Option<Turns>,
    follows: Option<Turns>,
    panics: u32,
}

enum Turn {
    Cycle,
    Report,
    Poller(usize),
}

impl<'a> Machine<'a> {
    pub(crate) fn start(world: &'a World, mut random: Random) -> Self {
        let start = Oscillator::start() + Span::from_secs_f64(world.begins_s);
        let pollers: Vec<Poller> = (0..)
            .zip(&world.upstreams)
            .map(|(k, upstream)| {
                let first = start + START_APART.times(k as i64);
                let poll = upstream.poll;
                let pace = Pace {
                    poll,
                    max_poll: upstream.max_poll.max(upstream.poll),
                    phase: phase(SourceId(k), poll),
                    burst: BURST,
                    coarse: upstream.coarse,
                };
                Poller {
                    upstream: upstream.clone(),
                    source: Source::new(pace, first, random.bits()),
                    // The source finds out by the replies.
                    pace: Pace {
                        coarse: upstream.coarse || upstream.server.digits == 0,
                        ..pace
                    },
                    turn: first,
                    waits_until: first,
                    asked: None,
                    woken: false,
                    told: None,
                    follows: None,
                    panics: 0,
                }
            })
            .collect();
        let settings = settings(world);
        let mut engine = Engine::new(settings.clone(), start);
        engine.remember_rate(world.prior);
        engine.know_leap_seconds(world.leap_list);
        Self {
            clock: &world.clock,
            cycle_at: engine.next_cycle(),
            oracle: Oracle::new(
                &world.clock,
                start,
                settings,
                pollers.iter().map(|poller| poller.pace).collect(),
            ),
            engine,
            pollers,
            reports: VecDeque::new(),
            continuity: Continuity::default(),
            system: System::new(&world.clock, &world.steering),
            outcomes: Vec::new(),
            hangs: world.hangs,
            hangs_until: start,
            random,
        }
    }

    /// Runs until the raw clock shows `end`.
    pub(crate) fn run_until(&mut self, end: Raw) {
        let mut now = Oscillator::start();
        loop {
            let (at, turn) = self.next_turn();
            assert!(at >= now, "time runs backwards");
            now = at;
            if now >= end {
                break;
            }
            match turn {
                Turn::Cycle => self.end_cycle(now),
                Turn::Report => {
                    if let Some((_, source, report)) = self.reports.pop_front() {
                        self.take(source, report, now);
                    }
                }
                Turn::Poller(k) => self.poller_turn(k, now),
            }
        }
        self.oracle.ended(&self.engine, end);
    }

    fn next_turn(&self) -> (Raw, Turn) {
        let mut next = (self.cycle_at.max(self.hangs_until), Turn::Cycle);
        if let Some((at, ..)) = self.reports.front() {
            let at = self.hangs_until.max(*at);
            if at < next.0 {
                next = (at, Turn::Report);
            }
        }
        for (k, poller) in self.pollers.iter().enumerate() {
            if poller.turn < next.0 {
                next = (poller.turn, Turn::Poller(k));
            }
        }
        next
    }

    // What follows is `Poller::run`.

    fn poller_turn(&mut self, k: usize, now: Raw) {
        let poller = &mut self.pollers[k];
        if let Some((ticket, outcome)) = poller.asked.take() {
            if self.random.happens(poller.upstream.panics) {
                self.restart_poller(k, now);
                return;
            }
            self.oracle.answered(k, &outcome, now);
            poller.source.completed(ticket, now, outcome.result);
        } else if poller.woken && (now < poller.waits_until || self.random.happens(0.5)) {
            // Both may be ready at once; then chance decides which one it is.
            poller.woken = false;
            poller.source.wake(now);
        } else if let Some(turns) = poller.told.take() {
            poller.source.follow(turns, now);
        }
        loop {
            poller.source.hush(self.engine.silence());
            match poller.source.next(now) {
                Action::Exchange(ticket) => {
                    self.oracle.asked(k, now);
                    let outcome = poller.upstream.exchange(now, self.clock, &mut self.random);
                    poller.turn = outcome.done + self.random.lateness();
                    poller.asked = Some((ticket, outcome));
                    break;
                }
                Action::Wait(until) => {
                    if poller.woken {
                        poller.woken = false;
                        poller.source.wake(now);
                        continue;
                    }
                    if let Some(turns) = poller.told.take() {
                        poller.source.follow(turns, now);
                        continue;
                    }
                    self.oracle.waits(k, now, until);
                    poller.waits_until = until;
                    poller.turn = until.max(now) + self.random.lateness();
                    break;
                }
                Action::Close => {
                    poller.upstream.kept = None;
                }
                Action::Report(report) => {
                    let seen = now + self.random.lateness();
                    let seen = self
                        .reports
                        .back()
                        .map_or(seen, |(last, ..)| seen.max(*last));
                    self.reports.push_back((seen, SourceId(k as u64), report));
                }
            }
        }
    }

    /// What the roster does with a poller that panicked.
    fn restart_poller(&mut self, k: usize, now: Raw) {
        let poller = &mut self.pollers[k];
        let first = now + PANIC_BACK_OFF.times(1 << poller.panics.min(6));
        poller.panics += 1;
        poller.source = Source::new(poller.pace, first, self.random.bits());
        poller.told = poller.follows;
        poller.upstream.kept = None;
        poller.turn = first;
        poller.waits_until = first;
        self.oracle.panicked(k, now);
    }

    // What follows is `Supervisor::run`.

    fn take(&mut self, source: SourceId, report: Report, now: Raw) {
        self.look_for_a_break(now);
        if let Report::Sample(exchange) = &report
            && exchange.received() >= self.engine.next_cycle()
        {
            self.end_cycle(now);
        }
        self.report(source, report);
    }

    fn report(&mut self, source: SourceId, report: Report) {
        self.oracle.reported(source.0 as usize);
        self.engine.report(source, report);
    }

    fn look_for_a_break(&mut self, now: Raw) {
        let readings = self.system.read(now);
        if self.continuity.check(readings).is_some() {
            self.engine.forget(now);
            self.oracle.forgot(now);
            self.follow(now);
            self.wake(now);
        }
    }

    fn follow(&mut self, now: Raw) {
        for (id, turns) in self.engine.turns() {
            let poller = &mut self.pollers[id.0 as usize];
            if poller.follows.replace(turns) == Some(turns) {
                continue;
            }
            poller.told = Some(turns);
            if poller.asked.is_none() {
                poller.turn = poller.turn.min(now + self.random.lateness());
            }
        }
    }

    fn wake(&mut self, now: Raw) {
        for (k, poller) in self.pollers.iter_mut().enumerate() {
            self.oracle.woken(k, now);
            poller.woken = true;
            if poller.asked.is_none() {
                poller.turn = poller.turn.min(now + self.random.lateness());
            }
        }
    }

    fn end_cycle(&mut self, now: Raw) {
        self.look_for_a_break(now);
        while let Some((_, source, report)) = self.reports.pop_front() {
            self.report(source, report);
        }
        if let Some(mut snapshot) = self.engine.cycle(now) {
            self.follow(now);
            let silence = self.engine.silence();
            if silence.is_some_and(|silence| silence.forbids(snapshot.at, now)) {
                snapshot.outcome = Err(NoDecision::LeapSecond);
            }
            if matches!(snapshot.outcome, Err(NoDecision::Stepped { .. })) {
                self.oracle.forgot(now);
                self.wake(now);
            }
            if let Ok(decision) = &snapshot.outcome {
                let sample = Sample::of(decision, self.system.read(now).pair);
                self.oracle.published(&sample, decision, now);
                self.system.published(&sample, now);
            }
            self.outcomes.push((snapshot.at, snapshot.outcome));
            self.oracle.cycle_ended(&snapshot, &self.engine, now);
        }
        if self.random.happens(self.hangs) {
            self.hangs_until = now + Span::from_secs_f64(self.random.within(1.0, 50.0));
        }
        self.cycle_at = self.engine.next_cycle() + self.random.lateness();
    }
}

fn settings(world: &World) -> Settings {
    let sources = (0..)
        .zip(&world.upstreams)
        .map(|(k, upstream)| SourceSettings {
            id: SourceId(k),
            name: format!("s{k}"),
            operator: if upstream.operator.is_empty() {
                format!("s{k}")
            } else {
                upstream.operator.clone()
            },
            poll: upstream.poll,
            max_poll: upstream.max_poll.max(upstream.poll),
            prefer: false,
            noselect: upstream.noselect,
            coarse: upstream.coarse,
        });
    Settings {
        cycle: world.cycle,
        min_agreeing: None,
        max_bound: MAX_BOUND,
        sources: sources.collect(),
    }
}
