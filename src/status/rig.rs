//! For tests: how things stand with two sources that agree, a liar, and one that does not answer; before that, and when all is
//! worse.

use super::Status;
use super::ledger::Ledger;
use crate::config::{Config, Protocol, Source};
use crate::engine::exchange::Exchange;
use crate::engine::source::{Fault, Report};
use crate::engine::time::{Raw, Span, Utc};
use crate::engine::{Engine, Settings, SourceId, SourceSettings};
use crate::sys::clock::ClockPair;
use crate::sys::reader::Reader;
use crate::sys::shm::ReaderState;

const CYCLE: Span = Span::from_secs(16);
const NAMES: [&str; 4] = ["tokyo", "osaka", "liar", "dead"];

/// The status at the end of its first cycle. The clocks show 16 s and 2026-11-18 11:06:56 UTC; the truth is some 25 ms ahead of
/// the system clock.
pub(crate) fn status() -> Status {
    after_a_cycle([Some(25), Some(26), Some(1_025), None])
}

/// The status at the end of a first cycle in which nobody answered.
pub(crate) fn silent() -> Status {
    after_a_cycle([None; 4])
}

/// The status at the end of a second cycle, whose decision no output took.
pub(crate) fn refused() -> Status {
    let mut status = status();
    status.refused = Some("SHM(2): no room".into());
    let snapshot = status.snapshot.clone();
    let refused = status.refused.as_deref();
    status.ledger.cycle_ended(&snapshot, refused, status.clock);
    let output = status.ledger.outputs[0].output.clone();
    status.ledger.not_written(&output, "no room".into());
    status
}

/// The status before the end of the first cycle.
pub(crate) fn starting() -> Status {
    let clock = clock_after(Span::ZERO);
    Status {
        snapshot: Engine::new(settings(), clock.raw).preview(clock.raw),
        clock,
        refused: None,
        ledger: ledger(),
    }
}

/// A status at the end of a first cycle; each source is so many milliseconds ahead of the system clock, or does not answer.
fn after_a_cycle(ahead_ms: [Option<i64>; NAMES.len()]) -> Status {
    let (start, clock) = (clock_after(Span::ZERO), clock_after(CYCLE));
    let mut ledger = ledger();
    let mut engine = Engine::new(settings(), start.raw);
    for (id, ahead_ms) in (0..).map(SourceId).zip(ahead_ms) {
        let sent = start.raw + Span::from_secs(12);
        let report = match ahead_ms {
            Some(ahead_ms) => {
                let stamp = start.system + (sent - start.raw) + Span::from_millis(10 + ahead_ms);
                let exchange =
                    Exchange::new(sent, sent + Span::from_millis(20), stamp, stamp, None);
                Report::Sample(exchange.expect("possible"))
            }
            None => Report::Missed {
                fault: Fault::Network,
                reason: "connection refused".into(),
            },
        };
        ledger.polled(id, &report);
        engine.report(id, report);
    }
    let snapshot = engine.cycle(clock.raw).expect("a cycle ends");
    if snapshot.outcome.is_ok() {
        let reader = Some(Reader::Segment(ReaderState::Live));
        ledger.written(&config().outputs()[0], reader, None);
    }
    ledger.cycle_ended(&snapshot, None, clock);
    Status {
        snapshot,
        clock,
        refused: None,
        ledger,
    }
}

fn clock_after(since: Span) -> ClockPair {
    ClockPair {
        raw: Raw::from_nanos(0) + since,
        system: Utc::from_secs(1_795_000_000) + since,
    }
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::new(clock_after(Span::ZERO));
    ledger.reconfigure(&config(), (0..).map(SourceId).take(NAMES.len()));
    ledger.outputs_changed(&config().outputs());
    ledger
}

fn config() -> Config {
    let source = |name: &&str| {
        let url = format!("https://{name}.example.org/json?key=secret");
        Source {
            protocol: Some(Protocol::WebNtp),
            ..Source::new(name, url.parse().expect("a URL"), CYCLE)
        }
    };
    Config::of(NAMES.iter().map(source).collect())
}

fn settings() -> Settings {
    let source = |(id, name): (u64, &str)| SourceSettings {
        id: SourceId(id),
        name: name.into(),
        operator: name.into(),
        poll: CYCLE,
        max_poll: CYCLE,
        prefer: false,
        noselect: false,
        coarse: false,
    };
    Settings {
        cycle: CYCLE,
        min_agreeing: None,
        max_bound: Span::from_millis(1_500),
        sources: (0..).zip(NAMES).map(source).collect(),
    }
}
