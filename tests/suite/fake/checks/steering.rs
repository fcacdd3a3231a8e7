//! The clock can be steered while it runs, and the truth with it.

use super::client::{Exchange, HttpClient, nanoseconds};
use crate::fake::{FakeUpstream, KnownClock, OsClock, SECOND_NS, Setup, raw_now};

fn holds(fake: &FakeUpstream, exchange: &Exchange) -> bool {
    let (stamp, unit) = nanoseconds(exchange.member("st"));
    let interval = stamp - exchange.received..=stamp + unit - exchange.sent;
    interval.contains(&fake.truth(exchange.sent))
        && interval.contains(&fake.truth(exchange.received))
}

#[test]
fn a_step_moves_every_stamp_after_it_and_no_truth_before_it() {
    let fake = FakeUpstream::start(Setup::honest());
    let clock = fake.setup().clock;
    let mut client = HttpClient::connect(&fake);
    let mut exchanges = Vec::new();
    let mut offset = 0;
    for step_ns in [3 * SECOND_NS, -3_600 * SECOND_NS, 7] {
        exchanges.push(client.exchange("1").unwrap());
        let since = fake.step_clock(step_ns);
        assert_eq!(fake.truth(since - 1), clock.theta(since - 1) + offset);
        offset += step_ns;
        assert_eq!(fake.truth(since), clock.theta(since) + offset);
        exchanges.push(client.exchange("1").unwrap());
    }
    fake.restart_at_same_port();
    exchanges.push(HttpClient::connect(&fake).exchange("1").unwrap());
    assert!(exchanges.iter().all(|exchange| holds(&fake, exchange)));
    let times: Vec<_> = exchanges
        .iter()
        .map(|exchange| nanoseconds(exchange.member("st")).0)
        .collect();
    assert!(times[1] - times[0] >= 3 * SECOND_NS);
    assert!(times[3] < times[2] - 3_000 * SECOND_NS);
}

#[test]
fn a_rate_changes_the_slope_from_there_on_and_bends_without_a_jump() {
    let fake = FakeUpstream::start(Setup::with_clock(KnownClock::sample().gaining(10_000)));
    let mut client = HttpClient::connect(&fake);
    let slope = |at: i64| fake.truth(at + SECOND_NS) - fake.truth(at);
    assert_eq!(slope(raw_now()), 10_000);
    // A rate at which a reply shows it: a tenth more.
    let fast = fake.skew_clock(100_000_000);
    assert!((fake.truth(fast) - fake.truth(fast - 1)).abs() <= 1);
    assert_eq!(slope(fast), 100_010_000);
    for _ in 0..20 {
        let exchange = client.exchange("1").unwrap();
        let served = fake.ledger().pop().unwrap();
        let stamped = served.stamped_raw_ns.unwrap();
        let (stamp, unit) = nanoseconds(exchange.member("st"));
        let utc_ns = stamped + fake.truth(stamped);
        assert!((stamp..stamp + unit).contains(&utc_ns));
        assert!(utc_ns - stamped > fake.truth(fast) + (stamped - fast) / 10 - 1);
    }
    let gained = fake.truth(raw_now()) - fake.truth(fast);
    let calm = fake.skew_clock(0);
    assert!(fake.truth(calm) - fake.truth(fast) >= gained);
    assert_eq!(slope(calm), 10_000);
    // Steps and rates do not undo each other.
    fake.skew_clock(-20_000);
    let stepped = fake.step_clock(SECOND_NS);
    assert_eq!(slope(stepped), -10_000);
    assert!(holds(&fake, &client.exchange("1").unwrap()));
}

#[test]
fn a_live_clock_can_be_steered_too() {
    let fake = FakeUpstream::start(Setup::with_clock(OsClock { offset_ns: 0 }));
    let mut client = HttpClient::connect(&fake);
    let mut read = || nanoseconds(client.exchange("1").unwrap().member("st")).0;
    let before = read();
    fake.step_clock(-3_600 * SECOND_NS);
    let after = read();
    assert!((before - 3_600 * SECOND_NS..before).contains(&after));
}
