//! The oracle in every dialect: the truth is never outside what a correct client finds.

use std::thread;
use std::time::Duration;

use super::client::{Exchange, HttpClient};
use super::manner::{ask, stamp};
use crate::fake::{
    Authority, Cut, Delay, Dialect, Face, FakeUpstream, HttpShape, KnownClock, Path, Place,
    Rounding, SECOND_NS, Setup, Tls, raw_now,
};

const EXCHANGES: usize = 120;
const MS_NS: i64 = 1_000_000;

/// An honest server far away in time and space, whose replies come in pieces.
fn distant(dialect: Dialect, seed: u64) -> Setup {
    let cut = |at| Cut {
        at,
        gap: Delay::micros(150),
    };
    Setup {
        clock: KnownClock::sample()
            .ahead_by(5_432_198_765)
            .gaining(-40_000),
        dialect,
        path: Path {
            request: Delay::Uniform(Duration::ZERO, Duration::from_millis(2)),
            think: Delay::micros(50),
            reply: Delay::HeavyTail {
                least: Duration::from_micros(100),
                shape: 1.2,
                cap: Duration::from_millis(3),
            },
            cuts: vec![cut(Place::AfterHead), cut(Place::InsideStamp)],
        },
        seed,
        ..Setup::honest()
    }
}

/// The interval that an exchange proves, by what the server does to its last digit.
fn interval(dialect: Dialect, rounding: Rounding, exchange: &Exchange) -> (i64, i64) {
    let (stamp, unit) = stamp(dialect, exchange);
    let (before, after) = match rounding {
        Rounding::Truncate => (0, unit),
        Rounding::Nearest | Rounding::NearestWithoutCarry => (unit / 2, unit / 2),
    };
    (
        stamp - before - exchange.received,
        stamp + after - exchange.sent,
    )
}

fn check(fake: &FakeUpstream, exchange: &Exchange) {
    let setup = fake.setup();
    let (low, high) = interval(setup.dialect, setup.face.rounding, exchange);
    for at in [exchange.sent, exchange.received] {
        let truth = fake.truth(at);
        assert!(
            (low..=high).contains(&truth),
            "{truth} is not in [{low}, {high}]: {exchange:?} of {setup:?}"
        );
    }
}

/// Many exchanges on one connection, each with the truth in it, and the book in order.
fn check_many(setup: Setup) {
    let fake = FakeUpstream::start(setup);
    let Setup { dialect, face, .. } = *fake.setup();
    let mut client = HttpClient::connect(&fake);
    for nth in 0..EXCHANGES {
        check(
            &fake,
            &ask(&mut client, dialect, &nth.to_string()).expect("a reply"),
        );
    }
    assert_eq!((fake.served(), fake.connections()), (EXCHANGES, 1));
    for served in fake.ledger() {
        let stamped = served.stamped_raw_ns.expect("no fault");
        let order = [
            served.read_raw_ns,
            served.arrived_raw_ns,
            stamped,
            served.departed_raw_ns,
        ];
        assert!(order.is_sorted(), "{served:?}");
        let shown = dialect.show(face, stamped + fake.truth(stamped));
        assert_eq!(served.stamp, shown);
    }
}

/// They mostly wait: all at once.
fn check_all(setup: impl Fn(Dialect) -> Setup + Sync) {
    let setup = &setup;
    thread::scope(|scope| {
        for dialect in Dialect::ALL {
            scope.spawn(move || check_many(setup(dialect)));
        }
    });
}

#[test]
fn every_exchange_of_every_dialect_contains_the_truth() {
    check_all(|dialect| distant(dialect, 21));
}

#[test]
fn every_exchange_of_every_dialect_contains_the_truth_under_tls() {
    let authority = Authority::new();
    check_all(|dialect| Setup {
        tls: Some(Tls::of(&authority)),
        ..distant(dialect, 22)
    });
}

#[test]
fn every_exchange_of_every_dialect_contains_the_truth_when_its_head_goes_ahead() {
    check_all(|dialect| Setup {
        http: HttpShape {
            head_first: Some(Delay::micros(500)),
            ..HttpShape::plain()
        },
        ..distant(dialect, 23)
    });
}

#[test]
fn a_client_that_stamps_its_first_read_loses_the_truth_by_a_header_that_lags_behind_its_status() {
    let fake = FakeUpstream::start(Setup {
        dialect: Dialect::HttpsTime,
        http: HttpShape {
            head_first: Some(Delay::micros(5_000)),
            ..HttpShape::plain()
        },
        ..Setup::honest()
    });
    let mut client = HttpClient::connect(&fake);
    // Not each time: where the client is slow the pieces merge.
    let caught = (0..50).any(|_| {
        let exchange = ask(&mut client, Dialect::HttpsTime, "1").expect("a reply");
        check(&fake, &exchange);
        let (stamp, _) = stamp(Dialect::HttpsTime, &exchange);
        stamp - exchange.first_read > fake.truth(exchange.sent)
    });
    assert!(caught, "no trap for who stamps the first read");
}

#[test]
fn a_date_holds_the_truth_in_every_part_of_the_second_truncated_or_rounded() {
    for rounding in [Rounding::Truncate, Rounding::Nearest] {
        let mut ahead = 0;
        for tenth in 0..10 {
            let fake = FakeUpstream::start(Setup {
                clock: KnownClock::sample().ahead_by(tenth * 100 * MS_NS),
                dialect: Dialect::HttpDate,
                face: Face {
                    rounding,
                    ..Face::MICROSECONDS
                },
                ..Setup::honest()
            });
            let mut client = HttpClient::connect(&fake);
            for _ in 0..5 {
                let exchange = ask(&mut client, Dialect::HttpDate, "1").expect("a reply");
                check(&fake, &exchange);
                let (stamp, _) = stamp(Dialect::HttpDate, &exchange);
                let latest = exchange.received + fake.truth(exchange.received);
                ahead += usize::from(stamp > latest);
            }
        }
        assert_eq!(ahead > 0, rounding == Rounding::Nearest, "{ahead}");
    }
}

#[test]
fn a_cached_date_is_late_at_the_edge_by_no_more_than_its_period() {
    let period_ns = 20 * MS_NS;
    // Not each time: the first request may come too late for the edge.
    let caught = (0..50).any(|_| {
        let clock = KnownClock::sample();
        let now = raw_now();
        let fraction = (now + clock.theta(now)).rem_euclid(SECOND_NS);
        let fake = FakeUpstream::start(Setup {
            // The second ends in 10 ms.
            clock: clock.ahead_by(SECOND_NS - 10 * MS_NS - fraction),
            dialect: Dialect::HttpDate,
            face: Face {
                cached: Some(Duration::from_millis(20)),
                ..Face::MICROSECONDS
            },
            ..Setup::honest()
        });
        let mut client = HttpClient::connect(&fake);
        let (mut lies, end) = (0, raw_now() + 40 * MS_NS);
        while raw_now() < end {
            let exchange = ask(&mut client, Dialect::HttpDate, "1").expect("a reply");
            let (low, high) = interval(Dialect::HttpDate, Rounding::Truncate, &exchange);
            let truth = fake.truth(exchange.sent);
            assert!(low <= truth && truth <= high + period_ns, "{exchange:?}");
            lies += usize::from(high < truth);
        }
        lies > 0
    });
    assert!(caught, "a cache that is never late is none");
}
