//! The supervisor: one task for each source, a cycle on the grid, a word to the service manager.
//!
//! In: a configuration, and the [`World`] that it runs in. Out: samples to the outputs, a status after every cycle, log lines when
//! something changes. It decides nothing itself.
//!
//! What may go wrong around it does not end it: a poller that panics is started anew, a configuration that cannot be used leaves
//! the old one in force, an output that fails is tried again. Only if its own loop, its cycles or a poller hang does it keep the
//! service manager waiting for a sign of life, and is killed and started anew.

mod almanac;
mod budget;
mod journal;
pub mod measurements;
mod memory;
mod reload;
pub mod replay;
mod roster;
mod watchdog;

#[cfg(test)]
mod tests;

use crate::config::{Config, Output, Source as SourceConfig};
use crate::engine::leap::List;
use crate::engine::snapshot::{Decision, NoDecision};
use crate::engine::source::Report;
use crate::engine::time::{Raw, Span, Utc};
use crate::engine::{Engine, Settings, SourceSettings};
use crate::output::{Sample, Sink, SinkError};
use crate::poller::{Ask, Found, PollEnd};
use crate::protocol::leap_seconds::LeapSeconds;
use crate::status::Status;
use crate::status::ledger::Ledger;
use crate::sys::clock::{ClockPair, Clocks, at, raw_now, sleep_until};
use crate::sys::continuity::Continuity;
use crate::sys::notify;
use crate::sys::reader::Reader;
use almanac::Almanac;
use journal::Journal;
use measurements::Measurements;
use memory::Memory;
use reload::switch_outputs;
use roster::Roster;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use watchdog::Watchdog;

/// How many polls' ends may wait for the supervisor; then the pollers wait.
const REPORTS: usize = 64;

/// How many findings may wait for the supervisor: each poller has one at the most.
const FINDINGS: usize = 16;

/// A cycle that has not ended this long after its time never will.
const CYCLE_GRACE: Span = Span::from_secs(10);

/// What the supervisor needs from outside: the real thing, or a test's.
pub trait World: Send {
    /// A source's server, not connected yet; fails if it cannot be asked at all.
    fn server(&mut self, source: &SourceConfig) -> anyhow::Result<Box<dyn Ask>>;

    /// Where samples go, and what is wrong with it by now; it is tried again with each sample.
    fn output(&mut self, output: &Output) -> (Box<dyn Sink>, Result<(), SinkError>);

    /// Opens what the daemon is asked on, as `config` has it, in place of what was open. Fails without having changed anything.
    fn listen(&mut self, config: &Config, status: watch::Receiver<Status>) -> anyhow::Result<()>;

    /// Reads the configuration again. Fails with all that is wrong with it, a line each.
    fn reload(&mut self) -> Result<Config, String>;

    /// Begins to look for leap seconds where `config` has them, in place of where they came from before; what is found comes later, and
    /// may be replaced at any time.
    fn leap_seconds(&mut self, _config: &Config) -> Option<watch::Receiver<Arc<LeapSeconds>>> {
        None
    }

    /// Learns a time that is known to have come, whatever the system clock says; the last one holds.
    fn time_has_come(&mut self, _time: Utc) {}
}

/// What the supervisor is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Read the configuration again.
    Reload,
    /// End.
    Stop,
}

/// Where samples go, each as the configuration has it.
type Outputs = Vec<(Output, Box<dyn Sink>)>;

/// Everything that runs.
pub struct Supervisor<W> {
    world: W,
    clocks: Box<dyn Clocks>,
    config: Config,
    engine: Engine,
    roster: Roster,
    outputs: Outputs,
    reports: mpsc::Receiver<PollEnd>,
    findings: mpsc::Receiver<Found>,
    status: watch::Sender<Status>,
    continuity: Continuity,
    journal: Journal,
    ledger: Ledger,
    memory: Memory,
    measurements: Measurements,
    leap_seconds: Almanac,
}

impl<W: World> Supervisor<W> {
    /// Builds everything that can fail and starts the pollers. Must be called inside a tokio runtime.
    pub fn start(config: Config, mut world: W, clocks: Box<dyn Clocks>) -> anyhow::Result<Self> {
        let (sender, reports) = mpsc::channel(REPORTS);
        let (finder, findings) = mpsc::channel(FINDINGS);
        let mut roster = Roster::new(sender, finder);
        let plan = roster.plan(&config.sources, &mut world)?;
        let clock = clocks.read().pair;
        let now = clock.raw;
        let mut journal = Journal::default();
        let mut ledger = Ledger::new(clock);
        let mut outputs = Vec::new();
        switch_outputs(
            &mut outputs,
            &config,
            &mut world,
            &mut journal,
            &mut ledger,
            now,
        );
        let memory = Memory::open(config.state.directory.as_deref());
        let has_certificates = config.sources.iter().any(SourceConfig::is_encrypted);
        if let Some(time) = memory.time(clock.system, has_certificates) {
            world.time_has_come(time);
        }
        roster.apply(plan, now);
        let mut engine = Engine::new(settings(&config, roster.settings()), now);
        let mut measurements = Measurements::open(config.log.measurements.as_deref(), now);
        if let Some(prior) = memory.prior() {
            engine.remember_rate(prior);
            measurements.rate(prior, now);
        }
        ledger.reconfigure(&config, roster.ids());
        let (status, receiver) = watch::channel(Status {
            snapshot: engine.preview(now),
            clock,
            refused: None,
            ledger: ledger.clone(),
        });
        world.listen(&config, receiver)?;
        let leap_seconds = Almanac::new(world.leap_seconds(&config));
        Ok(Self {
            engine,
            world,
            clocks,
            config,
            roster,
            outputs,
            reports,
            findings,
            status,
            continuity: Continuity::default(),
            journal,
            ledger,
            memory,
            measurements,
            leap_seconds,
        })
    }

    /// The status, new with every cycle.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Runs until it is told to stop, or nobody is left to tell it; then the outputs withdraw, and what is worth it is kept.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut watchdog = Watchdog::new(self.now());
        notify::ready();
        loop {
            let restart = self.roster.next_restart();
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Reload) => self.reload(),
                    Some(Command::Stop) | None => break,
                },
                () = watchdog.due() => {
                    let now = self.now();
                    let hangs = self.hangs(now);
                    self.journal.hangs(hangs.as_deref());
                    watchdog.feed(now, hangs.is_none());
                }
                () = sleep_until(self.engine.next_cycle()) => self.end_cycle(),
                Some(end) = self.reports.recv() => self.take(end),
                Some(found) = self.findings.recv() => self.settle(found),
                panicked = self.roster.panicked(raw_now) => {
                    self.ledger.panicked(panicked.id);
                    self.journal.panicked(&panicked);
                }
                () = at(restart) => {
                    let failures = self.roster.restart(&mut self.world, raw_now());
                    self.journal.not_restarted(&failures);
                }
            }
        }
        notify::stopping();
        self.outputs.clear();
        let now = self.now();
        self.measurements.close(self.engine.next_cycle(), now).await;
        self.memory.close(now).await;
    }

    fn now(&self) -> Raw {
        self.clocks.read().pair.raw
    }

    /// What should have had a turn and has not.
    fn hangs(&self, now: Raw) -> Option<String> {
        if now - self.engine.next_cycle() > CYCLE_GRACE {
            return Some("the cycle".into());
        }
        self.roster
            .silent(now)
            .map(|source| format!("the poller of source {source}"))
    }

    fn take(&mut self, end: PollEnd) {
        let now = self.look_for_a_break().raw;
        // A cycle that ended before this was received comes first.
        if let Report::Sample(exchange) = &end.report
            && exchange.received() >= self.engine.next_cycle()
        {
            self.end_cycle();
        }
        self.report(end);
        self.measurements.keep_pace(now);
    }

    fn report(&mut self, end: PollEnd) {
        if let Report::Sample(exchange) = &end.report
            && let Some(source) = self.roster.source(end.source)
        {
            self.measurements
                .exchange(&source.name, exchange, source.offset);
        }
        self.journal
            .polled(self.roster.name(end.source), &end.report);
        self.ledger.polled(end.source, &end.report);
        self.engine.report(end.source, end.report);
    }

    /// Goes on with a source of which it is known now what its server speaks. Whatever depends on that is right before it is measured.
    fn settle(&mut self, found: Found) {
        let (id, kind, now) = (found.source, found.kind, self.now());
        let Some(source) = self.roster.settle(found) else {
            return;
        };
        self.journal.settled(source, kind);
        self.measurements.settled(&source.name, kind, now);
        self.ledger.settled(id, kind);
        self.engine
            .reconfigure(settings(&self.config, self.roster.settings()), now);
    }

    /// After a break of the raw clock all history goes, and all sources are asked anew.
    fn look_for_a_break(&mut self) -> ClockPair {
        let now = self.clocks.read();
        if let Some(broken) = self.continuity.check(now) {
            self.journal.broken(broken);
            self.measurements
                .broken(broken, self.engine.next_cycle(), now.pair.raw);
            self.ledger.resets += 1;
            self.engine.forget(now.pair.raw);
            self.roster.follow(self.engine.turns());
            self.roster.wake();
        }
        now.pair
    }

    fn end_cycle(&mut self) {
        let clock = self.look_for_a_break();
        // What was received by the end of the cycle belongs to it, even if nobody has looked yet.
        while let Ok(end) = self.reports.try_recv() {
            self.report(end);
        }
        let due = self.engine.next_cycle();
        let Some(mut snapshot) = self.engine.cycle(clock.raw) else {
            return;
        };
        self.roster.follow(self.engine.turns());
        self.measurements.cycle_ended(due, snapshot.at, clock.raw);
        self.journal.decided(&snapshot);
        let silence = self.engine.silence();
        self.roster.hush(silence);
        // The cycle may have ended in time, and nobody looked until it was too late.
        if silence.is_some_and(|silence| silence.forbids(snapshot.at, clock.raw)) {
            snapshot.outcome = Err(NoDecision::LeapSecond);
        }
        let refused = match &snapshot.outcome {
            Ok(decision) => self.publish(decision, clock),
            Err(_) => None,
        };
        if matches!(snapshot.outcome, Err(NoDecision::Stepped { .. })) {
            self.roster.wake();
        }
        if let (Ok(decision), None) = (&snapshot.outcome, &refused) {
            self.remember(decision, clock);
        }
        self.ledger
            .cycle_ended(&snapshot, refused.as_deref(), clock);
        let decision = snapshot.outcome.as_ref().ok();
        let time = decision.map(|decision| clock.raw + decision.theta_at(clock.raw));
        let status = Status {
            snapshot,
            clock,
            refused,
            ledger: self.ledger.clone(),
        };
        self.journal.cycle_ended(&status);
        notify::status(&status.summary());
        self.status.send_replace(status);
        if let Some(list) = self.leap_seconds.news(time, clock.system) {
            self.know_leap_seconds(list, clock.raw);
        }
    }

    fn know_leap_seconds(&mut self, list: Option<List>, now: Raw) {
        self.engine.know_leap_seconds(list);
        self.measurements.leap_list(list, now);
    }

    /// Hands a decision to every output, for the instant of `clock`, up to which the raw clock had no break. If one refuses it, and
    /// nobody is there to read the others: why.
    fn publish(&mut self, decision: &Decision, clock: ClockPair) -> Option<String> {
        let sample = Sample::of(decision, clock);
        let mut refusal = None;
        let mut is_heard = false;
        for (output, sink) in &mut self.outputs {
            let result = sink.publish(&sample);
            match &result {
                Ok(published) => {
                    let notice = published.notice.as_deref();
                    self.ledger.written(output, published.reader, notice);
                }
                Err(error) => self.ledger.not_written(output, error.to_string()),
            }
            self.journal.published(output, &result, clock.raw);
            match result {
                Ok(published) => is_heard |= !published.reader.is_some_and(Reader::is_absent),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        refusal.filter(|_| !is_heard).map(|error| error.to_string())
    }

    /// Keeps what a decision that was published says for the next start.
    fn remember(&mut self, decision: &Decision, clock: ClockPair) {
        if let Some(time) = self.memory.decided(decision, clock.raw) {
            self.world.time_has_come(time);
            if let Some(prior) = self.memory.prior() {
                self.engine.remember_rate(prior);
                self.measurements.rate(prior, clock.raw);
            }
        }
    }
}

/// What the engine is told of a configuration, with the sources as it knows them.
fn settings(config: &Config, sources: Vec<SourceSettings>) -> Settings {
    Settings {
        cycle: config.cycle,
        min_agreeing: config.select.min_agreeing,
        max_bound: config.select.max_bound,
        sources,
    }
}
