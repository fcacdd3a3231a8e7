//! The oracle: the truth is never outside what a correct client finds, and does not spare an incorrect one.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::client::{Exchange, HttpClient, WebSocketClient, nanoseconds};
use crate::fake::{
    Authority, Cut, Delay, Face, FakeUpstream, HttpShape, Interim, KnownClock, OsClock, Path,
    Place, Rounding, SECOND_NS, Setup, Tickets, Tls, WebSocketShape,
};

const EXCHANGES: usize = 300;
const MS_NS: i64 = 1_000_000;

/// An honest server far away in time and space.
fn distant(seed: u64) -> Setup {
    let cut = |at| Cut {
        at,
        gap: Delay::micros(150),
    };
    Setup {
        clock: KnownClock::sample()
            .ahead_by(-7_654_321_987)
            .gaining(40_000),
        path: Path {
            request: Delay::Uniform(Duration::ZERO, Duration::from_millis(3)),
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

fn under_tls(setup: Setup) -> Setup {
    Setup {
        tls: Some(Tls::of(&Authority::new())),
        ..setup
    }
}

/// The interval that an exchange with a truncating server proves, had the reply been here at `received`.
fn interval(exchange: &Exchange, received: i64) -> (i64, i64) {
    let (stamp, unit) = nanoseconds(exchange.member("st"));
    (stamp - received, stamp + unit - exchange.sent)
}

fn check(fake: &FakeUpstream, exchange: &Exchange) {
    let (low, high) = interval(exchange, exchange.received);
    for at in [exchange.sent, exchange.received] {
        let truth = fake.truth(at);
        assert!(
            (low..=high).contains(&truth),
            "{truth} is not in [{low}, {high}]: {exchange:?} of {:?}",
            fake.setup()
        );
    }
}

fn check_http(setup: Setup) {
    let fake = FakeUpstream::start(setup);
    let mut client = HttpClient::connect(&fake);
    for nth in 0..EXCHANGES {
        let exchange = client.exchange(&nth.to_string()).expect("a reply");
        assert_eq!(exchange.member("it"), nth.to_string());
        check(&fake, &exchange);
    }
    check_ledger(&fake);
}

fn check_websocket(setup: Setup) {
    let fake = FakeUpstream::start(setup);
    let mut client = WebSocketClient::connect(&fake);
    for nth in 0..EXCHANGES {
        let exchange = client.exchange(&nth.to_string()).expect("a reply");
        assert_eq!(exchange.member("it"), nth.to_string());
        check(&fake, &exchange);
    }
    check_ledger(&fake);
}

fn check_ledger(fake: &FakeUpstream) {
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
        let shown = Face::MICROSECONDS.show(stamped + fake.truth(stamped));
        assert_eq!(served.stamp, shown);
    }
}

#[test]
fn every_http_exchange_contains_the_truth() {
    check_http(distant(11));
}

#[test]
fn every_https_exchange_contains_the_truth() {
    check_http(under_tls(distant(12)));
}

#[test]
fn every_websocket_exchange_contains_the_truth() {
    check_websocket(distant(13));
}

#[test]
fn every_wss_exchange_contains_the_truth() {
    check_websocket(under_tls(distant(14)));
}

/// What comes early, this long before the stamp.
const EARLY: Delay = Delay::micros(5_000);

#[test]
fn a_client_that_stamps_its_first_read_loses_the_truth_by_a_1xx() {
    check_http_trap(Setup {
        http: HttpShape {
            interim: [100, 103]
                .map(|status| Interim { status, gap: EARLY })
                .into(),
            ..HttpShape::plain()
        },
        ..Setup::honest()
    });
}

#[test]
fn a_client_that_stamps_its_first_read_loses_the_truth_by_a_head_that_goes_ahead() {
    check_http_trap(Setup {
        http: HttpShape {
            head_first: Some(EARLY),
            ..HttpShape::plain()
        },
        ..Setup::honest()
    });
}

#[test]
fn a_client_that_stamps_its_first_read_loses_the_truth_by_a_session_ticket() {
    check_http_trap(Setup {
        tls: Some(Tls {
            tickets: Tickets::BeforeFirstReply(EARLY),
            ..Tls::of(&Authority::new())
        }),
        ..Setup::honest()
    });
}

#[test]
fn a_client_that_stamps_its_first_read_loses_the_truth_by_a_ping() {
    check_websocket_trap(WebSocketShape {
        ping_first: Some(EARLY),
        ..WebSocketShape::plain()
    });
}

#[test]
fn a_client_that_stamps_its_first_read_loses_the_truth_by_a_first_fragment() {
    check_websocket_trap(WebSocketShape {
        two_frames: Some(EARLY),
        ..WebSocketShape::plain()
    });
}

fn check_http_trap(setup: Setup) {
    let fake = FakeUpstream::start(setup);
    check_trap(&fake, || {
        HttpClient::connect(&fake).exchange("1").expect("a reply")
    });
}

fn check_websocket_trap(websocket: WebSocketShape) {
    let fake = FakeUpstream::start(Setup {
        websocket,
        ..Setup::honest()
    });
    check_trap(&fake, || {
        WebSocketClient::connect(&fake)
            .exchange("1")
            .expect("a reply")
    });
}

/// Who stamps the first read must fall into the trap, if not at once: what came early and the reply may merge in the
/// kernel where the client is slow.
fn check_trap(fake: &FakeUpstream, exchange: impl Fn() -> Exchange) {
    let caught = (0..50).map(|_| exchange()).any(|exchange| {
        check(fake, &exchange);
        let (wrong, _) = interval(&exchange, exchange.first_read);
        wrong > fake.truth(exchange.sent)
    });
    assert!(caught, "no trap for who stamps the first read");
}

#[test]
fn a_stamp_rounded_to_the_nearest_needs_half_a_digit_less_at_both_ends() {
    let fake = FakeUpstream::start(Setup {
        face: Face {
            digits: 2,
            rounding: Rounding::Nearest,
            cached: None,
        },
        ..Setup::honest()
    });
    let mut client = HttpClient::connect(&fake);
    for _ in 0..100 {
        let exchange = client.exchange("1").unwrap();
        let (stamp, unit) = nanoseconds(exchange.member("st"));
        assert_eq!(unit, 10 * MS_NS);
        let truth = fake.truth(exchange.sent);
        assert!(stamp - unit / 2 - exchange.received <= truth);
        assert!(truth <= stamp + unit / 2 - exchange.sent);
    }
}

#[test]
fn a_cached_stamp_is_a_lower_bound_but_an_upper_one_only_with_its_period() {
    let period_ns = 20 * MS_NS;
    let fake = FakeUpstream::start(Setup {
        face: Face {
            cached: Some(Duration::from_millis(20)),
            ..Face::MICROSECONDS
        },
        path: Path::between(Delay::micros(3_000), Delay::NONE),
        ..Setup::honest()
    });
    let mut client = HttpClient::connect(&fake);
    let mut lies = 0;
    for _ in 0..30 {
        let exchange = client.exchange("1").unwrap();
        let (low, high) = interval(&exchange, exchange.received);
        let truth = fake.truth(exchange.sent);
        assert!(low <= truth && truth <= high + period_ns, "{exchange:?}");
        lies += usize::from(high < truth);
    }
    assert!(lies > 0, "a cache that is never late is none");
}

#[test]
fn the_live_clock_follows_clock_realtime() {
    let offset_ns = 3 * SECOND_NS;
    let fake = FakeUpstream::start(Setup::with_clock(OsClock { offset_ns }));
    let before = clock_gettime(ClockId::CLOCK_REALTIME).unwrap();
    let exchange = HttpClient::connect(&fake).exchange("1").unwrap();
    let after = clock_gettime(ClockId::CLOCK_REALTIME).unwrap();
    let (stamp, unit) = nanoseconds(exchange.member("st"));
    let [before, after] =
        [before, after].map(|time| time.tv_sec() * SECOND_NS + time.tv_nsec() + offset_ns);
    assert!(before - unit < stamp && stamp <= after);
}
