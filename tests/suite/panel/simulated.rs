//! The engine alone, with exchanges made up here, on a virtual clock.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use webntpd::config::{Config, Source};
use webntpd::engine::bound::Bound;
use webntpd::engine::exchange::Exchange;
use webntpd::engine::snapshot::{Snapshot, SourceView, Tally};
use webntpd::engine::source::{Fault, Report};
use webntpd::engine::time::{Rate, Raw, Span, Theta, Utc};
use webntpd::engine::{Engine, Settings, SourceId, SourceSettings};
use webntpd::status::ledger::Ledger;
use webntpd::status::{Status, report};
use webntpd::sys::clock::ClockPair;

const CYCLE: Span = Span::from_secs(16);
const START: Raw = Raw::from_nanos(0);

/// A server's clock, and how it is shown.
#[derive(Clone, Copy, Debug)]
struct Server {
    /// How far it is ahead at the start.
    lie: Span,
    /// What it gains on the truth.
    creep: Rate,
    /// The worth of its last digit, of which the rest is cut off.
    resolution: Span,
}

const MICROSECOND: Span = Span::from_micros(1);
const MILLISECOND: Span = Span::from_millis(1);
const SECOND: Span = Span::from_secs(1);

impl Server {
    const fn honest(resolution: Span) -> Self {
        Self {
            lie: Span::ZERO,
            creep: Rate::from_ppm(0),
            resolution,
        }
    }

    const fn lying(lie: Span) -> Self {
        Self {
            lie,
            ..Self::honest(MICROSECOND)
        }
    }
}

/// What the raw clock lacks: it runs slow by `rate`.
#[derive(Clone, Copy, Debug)]
struct Truth {
    rate: Rate,
}

impl Truth {
    /// At the start the year is 2027.
    fn theta(self, at: Raw) -> Theta {
        Theta::from_nanos(1_800_000_000_000_000_000) + self.rate.over(at - START)
    }

    /// The exchange with `server` that is begun at `sent` and takes so long each way; `extra` is added to its lie.
    fn exchange(self, server: Server, sent: Raw, [up, down]: [Span; 2], extra: Span) -> Exchange {
        let arrival = sent + up;
        let lie = server.lie + server.creep.over(arrival - START) + extra;
        let shown = (arrival + self.theta(arrival) + lie).as_nanos();
        let resolution = server.resolution.as_nanos();
        let stamp = Utc::from_nanos(shown.div_euclid(resolution) * resolution);
        Exchange::new(sent, arrival + down, stamp + server.resolution, stamp, None)
            .expect("it is possible")
    }
}

/// An engine that every one of these has a vote in. Who tells whole seconds only is a web server.
fn engine(sources: &[(&str, Server)]) -> Engine {
    let sources = (0..)
        .zip(sources)
        .map(|(id, (name, server))| SourceSettings {
            id: SourceId(id),
            name: (*name).into(),
            operator: (*name).into(),
            poll: CYCLE,
            max_poll: CYCLE,
            prefer: false,
            noselect: false,
            coarse: server.resolution == SECOND,
        });
    let settings = Settings {
        cycle: CYCLE,
        min_agreeing: None,
        max_bound: Span::from_millis(1_500),
        sources: sources.collect(),
    };
    Engine::new(settings, START)
}

fn end_of(cycle: i64) -> Raw {
    START + CYCLE.times(cycle)
}

fn contains(outer: &Bound, inner: &Bound) -> bool {
    outer.lo <= inner.lo && inner.hi <= outer.hi
}

/// Up to 9 ms each way, never the same both ways for long.
fn delays(cycle: i64, source: i64) -> [Span; 2] {
    let millis = |factor: i64| Span::from_millis(1 + (cycle * factor + source * 5) % 9);
    [millis(7), millis(4)]
}

/// The table as somebody sees it whose system clock is 25 ms behind.
fn table(snapshot: &Snapshot, truth: Truth) -> String {
    let raw = snapshot.at;
    let system = raw + truth.theta(raw) - Span::from_millis(25);
    let clock = ClockPair { raw, system };
    let source = |view: &SourceView| {
        let url = "http://localhost/".parse().expect("a URL");
        Source::new(&view.name, url, CYCLE)
    };
    let config = Config::of(snapshot.sources.iter().map(source).collect());
    let mut ledger = Ledger::new(clock);
    ledger.reconfigure(&config, (0..).map(SourceId));
    ledger.cycle_ended(snapshot, None, clock);
    let status = Status {
        snapshot: snapshot.clone(),
        clock,
        refused: None,
        ledger,
    };
    report::Report::new(&status, raw).table()
}

#[test]
fn a_source_that_creeps_is_convicted_when_it_has_left_the_others_and_moves_nothing_before() {
    const HONEST: usize = 5;
    const CREEPING: usize = 7;
    let sources = [
        ("webntp", Server::honest(MICROSECOND)),
        ("nict", Server::honest(MILLISECOND)),
        ("htptime", Server::honest(MICROSECOND)),
        ("https-time", Server::honest(MICROSECOND)),
        ("http-date", Server::honest(SECOND)),
        ("plus-3s", Server::lying(Span::from_secs(3))),
        ("minus-1h", Server::lying(Span::from_secs(-3_600))),
        (
            "creeping",
            Server {
                creep: Rate::from_ppm(20),
                ..Server::honest(MICROSECOND)
            },
        ),
    ];
    let truth = Truth {
        rate: Rate::from_ppm(12),
    };
    let (mut all, mut honest) = (engine(&sources), engine(&sources[..HONEST]));
    let mut convicted = None;
    let mut last = None;
    for cycle in 1..=200 {
        let end = end_of(cycle);
        for (k, (_, server)) in (0..).zip(sources) {
            let sent = end - Span::from_secs(k + 2);
            let exchange = truth.exchange(server, sent, delays(cycle, k), Span::ZERO);
            for engine in [&mut all, &mut honest] {
                engine.report(SourceId(k as u64), Report::Sample(exchange));
            }
        }
        let snapshot = all.cycle(end).expect("a cycle ends");
        let without = honest.cycle(end).expect("a cycle ends");

        for (k, view) in snapshot.sources.iter().enumerate() {
            let is_convicted = view.tally == Tally::Falseticker;
            if k == CREEPING {
                assert!(is_convicted || convicted.is_none(), "{cycle}: {view:?}");
                convicted = convicted.or(is_convicted.then_some(cycle));
            } else {
                assert_eq!(is_convicted, k >= HONEST, "{cycle}: {view:?}");
            }
        }

        // No liar widens what the honest alone would publish, let alone leads out of it.
        let (decision, without) = (
            snapshot.outcome.expect("the majority is honest"),
            without.outcome.expect("all are honest"),
        );
        let right = truth.theta(end);
        assert!(
            contains(&without.bound, &decision.bound),
            "{cycle}: {decision:?} {without:?}"
        );
        assert!(
            decision.bound.lo <= right && right <= decision.bound.hi,
            "{cycle}: {decision:?} {right:?}"
        );
        assert!(
            (decision.theta - right).abs() <= decision.error_at(end),
            "{cycle}: {decision:?} {right:?}"
        );
        last = Some(snapshot);
    }
    // It is honest enough at first.
    assert!(
        convicted.is_some_and(|cycle| cycle > 2),
        "convicted in {convicted:?}"
    );
    let table = table(&last.expect("cycles ended"), truth);
    for liar in ["x plus-3s ", "x minus-1h ", "x creeping "] {
        assert!(table.contains(liar), "{table}");
    }
    assert!(table.contains("5 of 8 sources agree, offset +2"), "{table}");
}

/// Times so far apart that no two liars ever hold a common one: a hundred milliseconds of lie and as much of bound.
const WAYS_TO_LIE_MS: [i64; 6] = [-3_600_000, -3_000, -400, 0, 700, 3_000];

/// A liar: which way, how far from there, how it creeps.
type Lie = (i64, i64, i64);

fn three_lies() -> impl Strategy<Value = Vec<Lie>> {
    let ways = prop::sample::subsequence(WAYS_TO_LIE_MS.to_vec(), 3).prop_shuffle();
    let details = prop::collection::vec((-40i64..=40, -20i64..=20), 3);
    (ways, details).prop_map(|(ways, details)| {
        let lies = ways.into_iter().zip(details);
        lies.map(|(way, (near, ppm))| (way, near, ppm)).collect()
    })
}

/// One poll: microseconds each way, milliseconds that a liar adds, and whether it fails (0).
type Poll = (i64, i64, i64, u8);

fn polls() -> impl Strategy<Value = Vec<Vec<Poll>>> {
    let poll = (1i64..20_000, 1i64..20_000, -30i64..=30, 0u8..6);
    prop::collection::vec(prop::collection::vec(poll, 5), 1..40)
}

#[test]
fn of_two_honest_and_three_that_lie_each_in_its_own_way_comes_the_right_time_or_nothing() {
    const HONEST: usize = 2;
    let (right, nothing) = (Cell::new(0), Cell::new(0));
    let strategy = (three_lies(), -300i64..300, any::<bool>(), polls());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(128));
    let result = runner.run(&strategy, |(lies, ppm, unsteady, polls)| {
        let truth = Truth {
            rate: Rate::from_ppm(ppm),
        };
        let mut sources = vec![
            ("honest", Server::honest(MICROSECOND)),
            ("honest-too", Server::honest(MILLISECOND)),
        ];
        for (name, (way, near, ppm)) in ["liar", "fraud", "cheat"].into_iter().zip(lies) {
            let creep = Rate::from_ppm(ppm);
            let lying = Server::lying(Span::from_millis(way + near));
            sources.push((name, Server { creep, ..lying }));
        }
        let mut engine = engine(&sources);
        for (cycle, polls) in (1..).zip(polls) {
            let end = end_of(cycle);
            for (k, (up, down, extra, luck)) in polls.into_iter().enumerate() {
                let extra = Span::from_millis(if unsteady && k >= HONEST { extra } else { 0 });
                let ways = [Span::from_micros(up), Span::from_micros(down)];
                let sent = end - Span::from_secs(k as i64 + 1);
                let report = match luck {
                    0 => Report::Missed {
                        fault: Fault::Network,
                        reason: "unlucky".into(),
                    },
                    _ => Report::Sample(truth.exchange(sources[k].1, sent, ways, extra)),
                };
                engine.report(SourceId(k as u64), report);
            }
            let snapshot = engine.cycle(end).expect("a cycle ends");
            let Ok(decision) = snapshot.outcome else {
                nothing.set(nothing.get() + 1);
                continue;
            };
            right.set(right.get() + 1);
            let hull = hull(&snapshot.sources[..HONEST]);
            let hull = hull.expect("liars alone do not agree");
            let theta = truth.theta(end);
            prop_assert!(hull.lo <= theta && theta <= hull.hi, "{theta:?} {hull:?}");
            prop_assert!(contains(&hull, &decision.bound), "{decision:?} {hull:?}");
            prop_assert!(
                decision.bound.lo <= decision.theta && decision.theta <= decision.bound.hi
            );
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    let (right, nothing) = (right.get(), nothing.get());
    assert!(
        right > 0 && nothing > 0,
        "{right} were right, {nothing} nothing: too little was tried"
    );
}

/// The span of all that those who took part hold.
fn hull(sources: &[SourceView]) -> Option<Bound> {
    let voters = sources
        .iter()
        .filter(|source| !matches!(source.tally, Tally::Unusable(_)));
    let bounds = voters.filter_map(|source| Some(source.reading.as_ref()?.fit.bound));
    bounds.reduce(|a, b| Bound {
        lo: a.lo.min(b.lo),
        hi: a.hi.max(b.hi),
    })
}
