//! The supervisor in a world that a test sets up: servers that answer, hang or panic at will, clocks that break.

mod found;
mod kept;
mod late;
mod leap_second;
mod recorded;
mod turns;
mod watchdog;

use super::*;
use crate::config::{Shm, Sock, Source, State};
use crate::engine::exchange::Exchange;
use crate::engine::source::Failure;
use crate::output::recorder::Recorder;
use crate::poller::FindingOut;
use crate::protocol::kind::Kind;
use crate::sys::clock::{Readings, SystemClocks};
use crate::sys::sock::Listener;
use crate::sys::testing::{in_time, until};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

const CYCLE: Span = Span::from_millis(200);

/// What a server does when it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Answers,
    Hangs,
    Panics,
}

/// What a test can change while the supervisor runs, and what it sees.
#[derive(Default)]
struct Stage {
    manners: HashMap<String, Manner>,
    built: HashMap<String, usize>,
    /// What each server was told to speak whenever it was built.
    kinds: HashMap<String, Vec<Option<Kind>>>,
    asked: HashMap<String, usize>,
    /// When each was asked last.
    turns: HashMap<String, Raw>,
    /// What they speak is told only then, if that is to wait for something.
    told: Option<Arc<Notify>>,
    reload: Option<Result<Config, String>>,
    outputs: usize,
    /// What is wrong with the outputs that are opened.
    not_opened: Option<SinkError>,
    /// Times that are known to have come.
    come: Vec<Utc>,
    /// What the test's clocks show more than the machine's.
    system_ahead: Span,
    slept: Span,
    /// How far the servers' clocks are ahead of the machine's.
    servers_ahead: Span,
    /// From when on they show how much more: a leap second.
    leap: Option<(Utc, Span)>,
    /// How much earlier requests seem to have left: so much less is known by each exchange.
    late: Span,
    /// When they were asked, by their clocks if these had not had it.
    asked_at: Vec<Utc>,
    leap_seconds: Option<watch::Receiver<Arc<LeapSeconds>>>,
    /// Where the supervisor tells its status, and what it has told: a `watch` keeps only the last one.
    status: Option<watch::Receiver<Status>>,
    told_statuses: Vec<Status>,
}

#[derive(Clone, Default)]
struct World {
    stage: Arc<Mutex<Stage>>,
    recorder: Recorder,
    /// What the sockets get.
    other: Recorder,
}

struct Server {
    name: String,
    stage: Arc<Mutex<Stage>>,
    /// Questions of what it speaks that must still be asked.
    questions: usize,
}

impl Ask for Server {
    fn exchange(&mut self) -> Pin<Box<dyn Future<Output = Result<Exchange, Failure>> + Send + '_>> {
        let manner = {
            let mut stage = self.stage.lock().unwrap();
            *stage.asked.entry(self.name.clone()).or_default() += 1;
            stage.turns.insert(self.name.clone(), raw_now());
            stage
                .manners
                .get(&self.name)
                .copied()
                .unwrap_or(Manner::Answers)
        };
        Box::pin(async move {
            match manner {
                Manner::Answers => {
                    // Universal time is the machine's own, unless the test has another one.
                    let clock = SystemClocks.read().pair;
                    let (stamp, late) = {
                        let mut stage = self.stage.lock().unwrap();
                        (stage.shown(clock.system), stage.late)
                    };
                    let sent = clock.raw - late;
                    Ok(Exchange::new(sent, raw_now(), stamp, stamp, None).expect("possible"))
                }
                Manner::Hangs => std::future::pending().await,
                Manner::Panics => panic!("as told"),
            }
        })
    }

    fn find_out(&mut self) -> Option<FindingOut<'_>> {
        self.questions = self.questions.checked_sub(1)?;
        if self.questions > 0 {
            return Some(Box::pin(std::future::ready(Ok(None))));
        }
        let told = self.stage.lock().unwrap().told.clone();
        Some(Box::pin(async move {
            if let Some(told) = told {
                told.notified().await;
            }
            Ok(Some(Kind::WebNtp))
        }))
    }

    fn close(&mut self) {}

    fn limit(&self) -> Span {
        Span::from_secs(1)
    }
}

impl Stage {
    /// What a server's clock shows when it is asked and the machine's shows `system`.
    fn shown(&mut self, system: Utc) -> Utc {
        let shown = system + self.servers_ahead;
        self.asked_at.push(shown);
        match self.leap {
            Some((edge, shift)) if shown >= edge => shown + shift,
            _ => shown,
        }
    }

    /// Keeps the status if it is another one than before.
    fn look(&mut self) {
        let Some(status) = &self.status else {
            return;
        };
        let status = status.borrow();
        let last = self.told_statuses.last();
        if last.is_none_or(|last| last.snapshot.at != status.snapshot.at) {
            self.told_statuses.push(status.clone());
        }
    }
}

impl super::World for World {
    fn server(&mut self, source: &Source) -> anyhow::Result<Box<dyn Ask>> {
        anyhow::ensure!(
            source.name != "impossible",
            "source impossible: cannot be asked"
        );
        let mut stage = self.stage.lock().unwrap();
        *stage.built.entry(source.name.clone()).or_default() += 1;
        let kinds = stage.kinds.entry(source.name.clone()).or_default();
        kinds.push(source.protocol);
        Ok(Box::new(Server {
            questions: if source.protocol.is_none() { 2 } else { 0 },
            ..self.answering(&source.name)
        }))
    }

    fn output(&mut self, output: &Output) -> (Box<dyn Sink>, Result<(), SinkError>) {
        let mut stage = self.stage.lock().unwrap();
        stage.outputs += 1;
        let recorder = match output {
            Output::Shm(_) => &self.recorder,
            Output::Sock(_) => &self.other,
        };
        let opened = stage.not_opened.clone().map_or(Ok(()), Err);
        (Box::new(recorder.clone()), opened)
    }

    fn listen(&mut self, _: &Config, status: watch::Receiver<Status>) -> anyhow::Result<()> {
        self.stage.lock().unwrap().status = Some(status);
        Ok(())
    }

    fn reload(&mut self) -> Result<Config, String> {
        self.stage
            .lock()
            .unwrap()
            .reload
            .take()
            .expect("the test has set what to read")
    }

    fn leap_seconds(&mut self, _: &Config) -> Option<watch::Receiver<Arc<LeapSeconds>>> {
        self.stage.lock().unwrap().leap_seconds.clone()
    }

    fn time_has_come(&mut self, time: Utc) {
        self.stage.lock().unwrap().come.push(time);
    }
}

impl World {
    /// A server of which it is known what it speaks.
    fn answering(&self, name: &str) -> Server {
        Server {
            name: name.to_owned(),
            stage: Arc::clone(&self.stage),
            questions: 0,
        }
    }

    /// The statuses of all cycles that have ended.
    fn statuses(&self) -> Vec<Status> {
        let mut stage = self.stage.lock().unwrap();
        stage.look();
        stage.told_statuses.clone()
    }
}

impl Clocks for World {
    fn read(&self) -> Readings {
        let mut stage = self.stage.lock().unwrap();
        // A cycle reads the clocks before it ends: here the one before it can still be seen.
        stage.look();
        let mut now = SystemClocks.read();
        now.pair.system = now.pair.system + stage.system_ahead;
        now.boottime += stage.slept;
        now
    }
}

fn config(names: &[&str]) -> Config {
    let source = |(k, name): (usize, &&str)| {
        let url = format!("http://127.0.0.{}/", k + 1).parse().expect("a URL");
        Source {
            protocol: Some(Kind::WebNtp),
            ..Source::new(name, url, CYCLE)
        }
    };
    Config {
        cycle: CYCLE,
        shm: Shm::of_unit(2),
        state: State { directory: None },
        ..Config::of(names.iter().enumerate().map(source).collect())
    }
}

/// A running supervisor and the ways to it.
struct Running {
    world: World,
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(names: &[&str], world: &World) -> Self {
        let supervisor = supervisor(names, world);
        let status = supervisor.status();
        let (commands, receiver) = mpsc::channel(1);
        Self {
            world: world.clone(),
            commands,
            status,
            task: tokio::spawn(supervisor.run(receiver)),
        }
    }

    async fn wait(&mut self, wanted: impl Fn(&Status) -> bool) -> Status {
        let found = in_time(self.status.wait_for(&wanted)).await;
        found.expect("the supervisor runs").clone()
    }

    /// The status of the next cycle that ends.
    async fn next(&mut self) -> Status {
        let changed = in_time(self.status.changed()).await;
        changed.expect("the supervisor runs");
        self.status.borrow_and_update().clone()
    }

    /// The status of a cycle in which this output takes a sample, after another.
    async fn wait_sample(&mut self, output: &Recorder) -> Status {
        let before = output.samples().len();
        in_time(async {
            loop {
                let status = self.next().await;
                // A cycle that ended right after it may have brought nothing.
                if output.samples().len() > before && status.snapshot.outcome.is_ok() {
                    return status;
                }
            }
        })
        .await
    }

    async fn reload(&mut self, what: Result<Config, String>) {
        self.stage().reload = Some(what);
        self.commands
            .send(Command::Reload)
            .await
            .expect("the supervisor runs");
        in_time(async {
            while self.stage().reload.is_some() {
                self.next().await;
            }
        })
        .await;
        self.next().await;
    }

    fn stage(&self) -> std::sync::MutexGuard<'_, Stage> {
        self.world.stage.lock().unwrap()
    }

    async fn stop(self) {
        self.commands
            .send(Command::Stop)
            .await
            .expect("the supervisor runs");
        in_time(self.task).await.expect("it ends by itself");
    }
}

fn supervisor(names: &[&str], world: &World) -> Supervisor<World> {
    Supervisor::start(config(names), world.clone(), Box::new(world.clone()))
        .expect("nothing is in the way")
}

fn reach(status: &Status, name: &str) -> u8 {
    let source = status
        .snapshot
        .sources
        .iter()
        .find(|source| source.name == name);
    source.map_or(0, |source| source.reach)
}

#[tokio::test]
async fn samples_reach_the_output_once_a_cycle_and_stop_with_the_end() {
    let world = World::default();
    let mut running = Running::start(&["a", "b"], &world);
    running.wait_sample(&world.recorder).await;
    running.wait_sample(&world.recorder).await;
    running.stop().await;
    let samples = world.recorder.samples();
    assert!(samples.len() >= 2);
    for pair in samples.windows(2) {
        assert!(pair[0].receive < pair[1].receive);
    }
}

#[tokio::test]
async fn a_decision_that_no_output_takes_is_not_called_published() {
    let world = World::default();
    let refusal = SinkError::OutOfRange {
        what: "true time",
        instant: Utc::from_secs(-1),
    };
    world.recorder.fail_with(Some(refusal.clone()));
    let mut running = Running::start(&["a"], &world);
    let status = running.wait(|status| status.snapshot.outcome.is_ok()).await;
    assert_eq!(status.refused, Some(refusal.to_string()));
    world.recorder.fail_with(None);
    running
        .wait(|status| status.snapshot.outcome.is_ok() && status.refused.is_none())
        .await;
    running.stop().await;
}

/// The same sources, and a socket beside the segment.
fn config_with_sock(names: &[&str]) -> Config {
    Config {
        socks: vec![Sock {
            path: "/run/a".into(),
        }],
        ..config(names)
    }
}

#[tokio::test]
async fn an_output_that_fails_does_the_others_no_harm_and_counts_only_if_nobody_reads_them() {
    let world = World::default();
    let refusal = SinkError::OutOfRange {
        what: "true time",
        instant: Utc::from_secs(-1),
    };
    world.recorder.fail_with(Some(refusal.clone()));
    let mut running = Running::start(&["a"], &world);
    running.reload(Ok(config_with_sock(&["a"]))).await;
    for (listener, refused) in [
        (Listener::Bound, None),
        (Listener::Absent, Some(refusal.to_string())),
    ] {
        world.other.set_reader(Some(Reader::Socket(listener)));
        let status = running.wait_sample(&world.other).await;
        assert_eq!(status.refused, refused, "{listener:?}");
    }
    // And the other way round: nobody there yet is no failure.
    world.recorder.fail_with(None);
    let absent = running.wait_sample(&world.recorder).await;
    world.other.fail_with(Some(refusal));
    let refused = running.wait_sample(&world.recorder).await;
    assert_eq!((absent.refused, refused.refused), (None, None));
    running.stop().await;
}

#[tokio::test]
async fn an_output_that_cannot_be_opened_is_in_trouble_before_the_first_sample() {
    let world = World::default();
    let refusal = SinkError::OutOfRange {
        what: "true time",
        instant: Utc::from_secs(-1),
    };
    world.stage.lock().unwrap().not_opened = Some(refusal.clone());
    let supervisor = supervisor(&["a"], &world);
    let status = supervisor.status().borrow().clone();
    let output = &status.ledger.outputs[0];
    assert_eq!(output.trouble, Some(refusal.to_string()));
    assert_eq!((output.written, output.failed), (0, 0));
}

#[tokio::test]
async fn a_reload_opens_only_the_outputs_that_are_new() {
    let world = World::default();
    let mut running = Running::start(&["a"], &world);
    let opened = |running: &Running| running.stage().outputs;
    running.reload(Ok(config_with_sock(&["a"]))).await;
    assert_eq!(opened(&running), 2, "the socket is new");
    let mut other_unit = config_with_sock(&["a"]);
    other_unit.shm.unit = 3;
    running.reload(Ok(other_unit.clone())).await;
    assert_eq!(opened(&running), 3, "the segment is another");
    running.reload(Ok(other_unit.clone())).await;
    assert_eq!(opened(&running), 3, "nothing is new");
    let mut no_shm = other_unit;
    no_shm.shm.enable = false;
    running.reload(Ok(no_shm)).await;
    let before = world.recorder.samples().len();
    running.wait_sample(&world.other).await;
    assert_eq!(opened(&running), 3, "nothing is new");
    assert_eq!(world.recorder.samples().len(), before, "it is closed");
    running.stop().await;
}

#[tokio::test]
async fn a_poller_that_panics_is_started_anew_and_the_others_go_on() {
    let world = World::default();
    world
        .stage
        .lock()
        .unwrap()
        .manners
        .insert("b".into(), Manner::Panics);
    let mut running = Running::start(&["a", "b"], &world);
    running
        .wait(|status| reach(status, "a") & 0b11 == 0b11)
        .await;
    assert_eq!(reach(&running.next().await, "b"), 0);
    running.stage().manners.clear();
    running.wait(|status| reach(status, "b") & 1 == 1).await;
    assert!(running.stage().built["b"] >= 2, "it was built anew");
    assert_eq!(running.stage().built["a"], 1);
    running.stop().await;
}

#[tokio::test]
async fn a_reload_keeps_what_has_not_changed_and_starts_and_stops_the_rest() {
    let world = World::default();
    let mut running = Running::start(&["a", "b"], &world);
    running
        .wait(|status| reach(status, "a") & 0b11 == 0b11 && reach(status, "b") & 0b11 == 0b11)
        .await;
    let before = running.next().await;
    let mut changed = config(&["a", "b", "c"]);
    changed.sources[1].timeout = Span::from_secs(1);
    // However many cycles end before somebody looks, it has no other history than that from before.
    running.stage().manners.insert("b".into(), Manner::Hangs);
    running.reload(Ok(changed)).await;
    let after = running.next().await;
    assert!(
        reach(&after, "a") >= reach(&before, "a"),
        "its history goes on"
    );
    assert_eq!(reach(&after, "b"), 0, "it begins anew");
    running.wait(|status| reach(status, "c") & 1 == 1).await;
    let built = |name: &str| world.stage.lock().unwrap().built[name];
    assert_eq!((built("a"), built("b"), built("c")), (1, 2, 1));
    assert_eq!(running.stage().outputs, 1, "the same segment is kept");

    running.reload(Ok(config(&["c"]))).await;
    assert_eq!(running.next().await.snapshot.sources.len(), 1);
    let asked = running.stage().asked["a"];
    running.next().await;
    running.next().await;
    assert_eq!(
        running.stage().asked["a"],
        asked,
        "who is not configured any more is not asked"
    );
    running.stop().await;
}

#[tokio::test]
async fn what_happens_is_counted_and_a_source_that_goes_on_keeps_its_counts() {
    let world = World::default();
    let manners = [("b", Manner::Panics)];
    world.stage.lock().unwrap().manners =
        manners.map(|(name, manner)| (name.into(), manner)).into();
    let mut running = Running::start(&["a", "b"], &world);
    let status = running
        .wait(|status| {
            let ledger = &status.ledger;
            let is_written = ledger.outputs[0].written >= 1;
            is_written && ledger.sources[0].samples >= 2 && ledger.sources[1].restarts >= 1
        })
        .await;
    // From now on it has no other counts than those from before.
    running.stage().manners.insert("a".into(), Manner::Hangs);
    running.reload(Err("nonsense".into())).await;
    running.reload(Ok(config(&["a", "c"]))).await;
    let after = running.next().await.ledger;
    assert_eq!((after.reloads, after.reloads_refused), (1, 1));
    let names: Vec<&str> = after
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    assert_eq!(names, ["a", "c"]);
    assert!(after.sources[0].samples >= status.ledger.sources[0].samples);
    running.stop().await;
}

#[test]
fn what_else_a_reload_changed_is_named_as_in_the_file() {
    let before = config(&["a"]);
    let mut after = config(&["b"]);
    assert_eq!(before.differs_from(&after), [""; 0]);
    after.cycle = Span::from_secs(7);
    after.shm.unit = 9;
    after.log.level = crate::config::Level::Debug;
    let names = ["cycle", "[shm]", "[log] level (needs a restart)"];
    assert_eq!(before.differs_from(&after), names);
}

#[tokio::test]
async fn a_bad_reload_changes_nothing() {
    let world = World::default();
    let mut running = Running::start(&["a"], &world);
    running.wait(|status| reach(status, "a") & 1 == 1).await;
    running.reload(Err("webntpd.toml:1: nonsense".into())).await;
    running.reload(Ok(config(&["b", "impossible"]))).await;
    let status = running.next().await;
    assert_eq!(status.snapshot.sources.len(), 1);
    assert!(reach(&status, "a") & 1 == 1);
    assert_eq!(running.stage().built.get("a"), Some(&1));
    running.stop().await;
}

#[tokio::test]
async fn another_segment_is_attached_when_the_unit_changes() {
    let world = World::default();
    let mut running = Running::start(&["a"], &world);
    let mut changed = config(&["a"]);
    changed.shm.unit = 3;
    running.reload(Ok(changed)).await;
    assert_eq!(running.stage().outputs, 2);
    running.stop().await;
}

#[tokio::test]
async fn after_a_suspend_history_goes_and_all_are_asked_anew() {
    let world = World::default();
    let mut running = Running::start(&["a"], &world);
    running
        .wait(|status| {
            status.snapshot.sources[0]
                .reading
                .is_some_and(|reading| reading.fit.rates.hi < MAX)
        })
        .await;
    running.stage().slept = Span::from_secs(3_600);
    // With one exchange or none the rate of the oscillator is anybody's guess again.
    running
        .wait(|status| {
            status.snapshot.sources[0]
                .reading
                .is_none_or(|reading| reading.fit.rates.hi == MAX)
        })
        .await;
    running.wait(|status| status.snapshot.outcome.is_ok()).await;
    running.stop().await;
}

const MAX: crate::engine::time::Rate = crate::engine::bound::MAX_RATE;

#[tokio::test]
async fn a_step_of_the_system_clock_costs_no_history_and_shows_in_the_next_sample() {
    let world = World::default();
    let mut running = Running::start(&["a"], &world);
    let before = running
        .wait(|status| reach(status, "a") & 0b111 == 0b111)
        .await;
    let newest = |status: &Status| {
        status.snapshot.sources[0]
            .reading
            .expect("it has answered")
            .fit
            .bound
    };
    running.stage().system_ahead = Span::from_secs(10);
    running.next().await;
    let after = running.next().await;
    assert!(newest(&after).overlaps(&newest(&before).widened(Span::from_millis(5))));
    let offset = world.recorder.samples().last().expect("a sample").offset();
    assert!(
        (offset + Span::from_secs(10)).abs() < Span::from_secs(4),
        "{offset:?}: beside ten seconds no load of a machine counts"
    );
    running.stop().await;
}

#[tokio::test]
async fn a_poller_that_hangs_is_missed_and_one_that_waits_is_not() {
    // One promised a turn within its limit of a second, the other within the two seconds between the polls of a burst.
    for (manner, missed) in [(Manner::Hangs, Some("a")), (Manner::Answers, None)] {
        let world = World::default();
        world.stage.lock().unwrap().manners = HashMap::from([("a".into(), manner)]);
        let mut config = config(&["a"]);
        config.sources[0].min_poll = Span::from_secs(100);
        config.sources[0].max_poll = Span::from_secs(100);
        let clocks = Box::new(world.clone());
        let supervisor =
            Supervisor::start(config, world.clone(), clocks).expect("nothing is in the way");
        let asked_at = || world.stage.lock().unwrap().turns.get("a").copied();
        until(|| asked_at().is_some()).await;
        let asked = asked_at().expect("it was");
        assert_eq!(supervisor.roster.silent(asked), None);
        let later = asked + Span::from_millis(11_500);
        assert_eq!(supervisor.roster.silent(later), missed);
        assert_eq!(supervisor.hangs(asked), None);
    }
}

#[tokio::test]
async fn a_cycle_that_does_not_end_is_missed() {
    let world = World::default();
    let supervisor = supervisor(&["a"], &world);
    let due = supervisor.engine.next_cycle();
    assert_eq!(supervisor.hangs(due), None);
    assert_eq!(
        supervisor.hangs(due + CYCLE_GRACE + Span::from_nanos(1)),
        Some("the cycle".into())
    );
}
