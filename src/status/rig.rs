//! For tests: a status with two sources that agree, a liar, and one that does not answer.

use super::Status;
use super::ledger::Ledger;
use crate::config::{Config, Source};
use crate::engine::exchange::Exchange;
use crate::engine::source::{Fault, Report};
use crate::engine::time::{Raw, Span, Theta, Utc};
use crate::engine::{Engine, Settings, SourceId, SourceSettings};
use crate::sys::clock::ClockPair;
use crate::sys::reader::Reader;
use crate::sys::shm::ReaderState;

const CYCLE: Span = Span::from_secs(16);
const NAMES: [&str; 4] = ["tokyo", "osaka", "liar", "dead"];

/// The status at the end of its first cycle. The clocks show 16 s and 2026-11-18 11:06:56 UTC; the truth is some 25 ms ahead of
/// the system clock.
pub(crate) fn status() -> Status {
    let start = Raw::from_nanos(0);
    let at_start = ClockPair {
        raw: start,
        system: Utc::from_secs(1_795_000_000),
    };
    let clock = ClockPair {
        raw: start + CYCLE,
        system: Utc::from_secs(1_795_000_016),
    };
    let ids = || (0..).map(SourceId).take(NAMES.len());
    let mut ledger = Ledger::new(at_start);
    ledger.reconfigure(&config(), ids());
    let outputs = config().outputs();
    ledger.outputs_changed(&outputs);
    let mut engine = Engine::new(settings(), start);
    for (id, ahead_ms) in ids().zip([25, 26, 1_025]) {
        let sent = start + Span::from_secs(12);
        let stamp =
            sent + Theta::from_nanos(1_795_000_000_000_000_000) + Span::from_millis(10 + ahead_ms);
        let exchange = Exchange::new(sent, sent + Span::from_millis(20), stamp, stamp, None);
        let report = Report::Sample(exchange.expect("possible"));
        ledger.polled(id, &report);
        engine.report(id, report);
    }
    let missed = Report::Missed {
        fault: Fault::Network,
        reason: "connection refused".into(),
    };
    ledger.polled(SourceId(3), &missed);
    engine.report(SourceId(3), missed);
    let snapshot = engine.cycle(clock.raw).expect("a cycle ends");
    let reader = Some(Reader::Segment(ReaderState::Live));
    ledger.written(&outputs[0], reader, None);
    ledger.cycle_ended(&snapshot, false, clock);
    Status {
        snapshot,
        clock,
        refused: None,
        ledger,
    }
}

fn config() -> Config {
    let source = |name: &&str| {
        let url = format!("https://{name}.example.org/json?key=secret");
        Source::new(name, url.parse().expect("a URL"), CYCLE)
    };
    Config::of(NAMES.iter().map(source).collect())
}

fn settings() -> Settings {
    let source = |(id, name): (u64, &str)| SourceSettings {
        id: SourceId(id),
        name: name.into(),
        operator: name.into(),
        poll: CYCLE,
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
