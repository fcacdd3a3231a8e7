//! What a sample costs the engine.

use crate::random::Random;
use std::hint::black_box;
use webntpd::engine::bound::Limits;
use webntpd::engine::estimate::{Estimate, Prior};
use webntpd::engine::exchange::Exchange;
use webntpd::engine::filter::Filter;
use webntpd::engine::source::Report;
use webntpd::engine::time::{Raw, Span, Utc};
use webntpd::engine::{Engine, Settings, SourceId, SourceSettings};
use webntpd::sys::clock::processor_time;

pub(crate) fn print() {
    println!("\nprocessor time of a sample, its share of the cycle included (µs)");
    print!("{:>10}", "kept");
    for sources in SOURCES {
        print!("{sources:>10} src");
    }
    println!();
    for kept in KEPT {
        print!("{kept:>10}");
        for sources in SOURCES {
            print!("{:>14.1}", cost_us(sources, kept));
        }
        println!();
    }
    println!("\nprocessor time of one source's reading (µs)");
    println!(
        "{:>10}{:>20}{:>14}{:>14}",
        "kept", "bound from nothing", "estimate", "filter"
    );
    for kept in KEPT {
        let [bound, estimate] = reading_us(kept);
        let filter = filter_us(kept);
        println!("{kept:>10}{bound:>20.1}{estimate:>14.1}{filter:>14.1}");
    }
}

const SOURCES: [usize; 3] = [1, 8, 64];
/// Up to as many as the filter keeps.
const KEPT: [usize; 5] = [64, 128, 256, 512, 1_024];

/// Cycles that are timed.
const TIMED: i64 = 64;

/// Fills an engine, and then times full cycles.
fn cost_us(sources: usize, kept: usize) -> f64 {
    // As many as are to be kept come within the hour that is remembered.
    let cycle = Span::from_nanos(3_600_000_000_000 / kept as i64);
    let source = |k: usize| SourceSettings {
        id: SourceId(k as u64),
        name: k.to_string(),
        operator: k.to_string(),
        poll: cycle,
        max_poll: cycle,
        prefer: false,
        noselect: false,
        coarse: false,
    };
    let settings = Settings {
        cycle,
        min_agreeing: None,
        max_bound: Span::from_millis(1_500),
        sources: (0..sources).map(source).collect(),
    };
    let mut engine = Engine::new(settings, Raw::from_nanos(0));
    let mut random = Random::new(1);
    let mut feed = |engine: &mut Engine| {
        let end = engine.next_cycle();
        for k in 0..sources {
            let exchange = exchange(end - Span::from_secs(2), &mut random);
            engine.report(SourceId(k as u64), Report::Sample(exchange));
        }
        let snapshot = engine.cycle(end).expect("it is due");
        assert!(snapshot.outcome.is_ok());
    };
    for _ in 0..kept {
        feed(&mut engine);
    }
    let before = processor_time();
    for _ in 0..TIMED {
        feed(&mut engine);
    }
    let took = (processor_time() - before).as_secs_f64();
    1e6 * took / (TIMED * sources as i64) as f64
}

/// What the filter does with one more exchange and at the end of a cycle: it keeps what a bound from nothing finds anew.
fn filter_us(kept: usize) -> f64 {
    let apart = Span::from_nanos(3_600_000_000_000 / kept as i64);
    let (mut filter, mut random) = (Filter::default(), Random::new(1));
    let mut now = Raw::from_nanos(0);
    let mut feed = |filter: &mut Filter| {
        filter.add(exchange(now, &mut random));
        now = now + apart;
        black_box(filter.read(now, Prior::default()));
    };
    for _ in 0..kept {
        feed(&mut filter);
    }
    let before = processor_time();
    for _ in 0..TIMED {
        feed(&mut filter);
    }
    1e6 * (processor_time() - before).as_secs_f64() / TIMED as f64
}

/// What the bound from nothing and the estimate cost, without what is kept for the next time.
fn reading_us(kept: usize) -> [f64; 2] {
    let apart = Span::from_nanos(3_600_000_000_000 / kept as i64);
    let mut random = Random::new(1);
    let sent = (0..kept as i64).map(|k| Raw::from_nanos(0) + apart.times(k));
    let exchanges: Vec<Exchange> = sent.map(|sent| exchange(sent, &mut random)).collect();
    let now = Raw::from_nanos(0) + apart.times(kept as i64);
    let bound = || {
        let limits = Limits::new(exchanges.iter(), now);
        assert_eq!(limits.misfits(), 0);
        limits.fit().expect("a line fits")
    };
    let fit = bound();
    [
        timed_us(bound),
        timed_us(|| Estimate::new(exchanges.iter(), &fit, Prior::default(), now)),
    ]
}

fn timed_us<T>(what: impl Fn() -> T) -> f64 {
    let before = processor_time();
    for _ in 0..TIMED {
        black_box(what());
    }
    1e6 * (processor_time() - before).as_secs_f64() / TIMED as f64
}

/// One with a right server, 10 ms away.
fn exchange(sent: Raw, random: &mut Random) -> Exchange {
    let mut way = || Span::from_secs_f64(0.01 + random.exponential(0.002));
    let (up, down) = (way(), way());
    let stamp = Utc::from_secs(1_800_000_000) + ((sent + up) - Raw::from_nanos(0));
    Exchange::new(sent, sent + up + down, stamp, stamp, None).expect("it is possible")
}
