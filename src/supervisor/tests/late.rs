//! What a supervisor records when it is kept waiting, by clocks of the test's own.

use super::leap_second::replayed;
use super::*;
use crate::engine::time::Theta;
use crate::supervisor::replay::Decided;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

/// True UTC minus raw clock.
const THETA: Theta = Theta::from_nanos(1_795_000_000_000_000_000);

/// Clocks that stand still but for a microsecond at each look.
#[derive(Clone)]
struct Paused(Arc<Mutex<Readings>>);

impl Clocks for Paused {
    fn read(&self) -> Readings {
        self.pass(Span::from_nanos(1_000), Span::ZERO);
        *self.0.lock().unwrap()
    }
}

impl Paused {
    fn new() -> Self {
        let raw = Raw::from_nanos(77_000_000_007);
        Self(Arc::new(Mutex::new(Readings {
            pair: ClockPair {
                raw,
                system: raw + THETA,
            },
            monotonic: Span::ZERO,
            boottime: Span::ZERO,
        })))
    }

    /// Goes on, and has slept.
    fn pass(&self, awake: Span, slept: Span) {
        let mut now = self.0.lock().unwrap();
        now.pair.raw = now.pair.raw + awake;
        now.pair.system = now.pair.system + awake + slept;
        now.monotonic += awake;
        now.boottime += awake + slept;
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Nobody looks for so many milliseconds.
    Stall(u32),
    /// The machine slept.
    Sleep,
    /// The loop looks whether the cycle is due.
    Look,
    /// A reply of a source that came so many milliseconds ago; when a cycle is due, it lay there already or comes just after.
    Reply(usize, u32, bool),
    /// The configuration is read again, with the third source another one or not.
    Reload(bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_u32..9_000).prop_map(Event::Stall),
        1 => (9_000_u32..70_000).prop_map(Event::Stall),
        1 => Just(Event::Sleep),
        6 => Just(Event::Look),
        10 => (0_usize..3, 0_u32..40_000, any::<bool>())
            .prop_map(|(source, ago, waits)| Event::Reply(source, ago, waits)),
        1 => any::<bool>().prop_map(Event::Reload),
    ]
}

/// A supervisor whose loop is the test.
struct Driven {
    supervisor: Supervisor<World>,
    world: World,
    clocks: Paused,
    log: PathBuf,
    /// When each source's last reply came.
    received: [Raw; 3],
    decided: Vec<(Raw, String)>,
}

impl Driven {
    fn start(log: &Path) -> Self {
        let (world, clocks) = (World::default(), Paused::new());
        let config = Self::config(log, false);
        let supervisor = Supervisor::start(config, world.clone(), Box::new(clocks.clone()));
        Self {
            supervisor: supervisor.expect("nothing is in the way"),
            world,
            clocks,
            log: log.to_owned(),
            received: [Raw::from_nanos(0); 3],
            decided: Vec::new(),
        }
    }

    fn config(log: &Path, other: bool) -> Config {
        let mut config = config(&["a", "b", "c"]);
        config.cycle = Span::from_secs(16);
        for source in &mut config.sources {
            (source.min_poll, source.max_poll) = (config.cycle, config.cycle);
        }
        config.sources[2].burst = other;
        config.log.measurements = Some(log.to_owned());
        config
    }

    fn is_due(&self) -> bool {
        self.supervisor.now() >= self.supervisor.engine.next_cycle()
    }

    fn end_cycle(&mut self) {
        self.supervisor.end_cycle();
        self.note();
    }

    /// Writes down the decision of the last cycle, if it is another one.
    fn note(&mut self) {
        let status = self.supervisor.status.borrow();
        let at = status.snapshot.at;
        if let Some(decided) = Decided::of(&status.snapshot)
            && self.decided.last().is_none_or(|(last, _)| *last != at)
        {
            self.decided.push((at, decided.to_string()));
        }
    }

    fn take(&mut self, event: Event) {
        let now = self.supervisor.now();
        match event {
            Event::Stall(millis) => {
                self.clocks
                    .pass(Span::from_millis(millis.into()), Span::ZERO);
            }
            Event::Sleep => self.clocks.pass(Span::ZERO, Span::from_secs(100)),
            Event::Look if self.is_due() => self.end_cycle(),
            Event::Look => {}
            Event::Reply(source, ago, waits) => {
                let received = now - Span::from_millis(ago.into());
                let sent = received - Span::from_millis(20);
                if sent <= self.received[source] {
                    return;
                }
                self.received[source] = received;
                // The ways differ.
                let stamp = sent + THETA + Span::from_millis(i64::from(ago % 17) + 1);
                let exchange = Exchange::new(sent, received, stamp, stamp, None);
                let end = PollEnd {
                    source: self.supervisor.roster.ids().nth(source).expect("of three"),
                    report: Report::Sample(exchange.expect("it is possible")),
                };
                match (self.is_due(), waits) {
                    (true, true) => {
                        self.supervisor.report(end);
                        self.end_cycle();
                        return;
                    }
                    (true, false) => self.end_cycle(),
                    _ => {}
                }
                self.supervisor.take(end);
                self.note();
            }
            Event::Reload(other) => {
                let read = Self::config(&self.log, other);
                self.world.stage.lock().unwrap().reload = Some(Ok(read));
                self.supervisor.reload();
                self.note();
            }
        }
    }

    async fn end(self) -> Vec<(Raw, String)> {
        let now = self.supervisor.now();
        let due = self.supervisor.engine.next_cycle();
        self.supervisor.measurements.close(due, now).await;
        self.decided
    }
}

/// The decisions that were made, and those of the replay of what was recorded.
fn lived_and_replayed(events: &[Event]) -> [Vec<(Raw, String)>; 2] {
    let name = format!("webntpd-late-{}-{:p}.jsonl", std::process::id(), events);
    let log = std::env::temp_dir().join(name);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let lived = runtime.expect("a runtime").block_on(async {
        let mut driven = Driven::start(&log);
        for event in events {
            driven.take(*event);
        }
        driven.end().await
    });
    let replayed = replayed(&Driven::config(&log, false), &log);
    std::fs::remove_file(log).expect("it is ours");
    [lived, replayed]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn however_late_it_looks_a_replay_decides_the_same(events in prop::collection::vec(event(), 20..200)) {
        let [lived, replayed] = lived_and_replayed(&events);
        prop_assert_eq!(lived, replayed);
    }
}

#[test]
fn the_cycles_before_one_that_ends_late_are_those_of_the_replay_too() {
    let round = [0, 1, 2].map(|source| Event::Reply(source, 0, false));
    let mut events = Vec::new();
    for stall in [16_000, 16_000, 40_000, 16_000, 40_000] {
        events.extend(round);
        events.extend([Event::Stall(stall), Event::Look]);
    }
    let [lived, replayed] = lived_and_replayed(&events);
    assert_eq!(lived.len(), 5, "{lived:?}");
    assert_eq!(lived, replayed);
}
