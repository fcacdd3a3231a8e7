//! How many requests it takes, and what they are worth.
//!
//! `cargo test --test sim requests -- --nocapture` prints requests an hour and errors with fixed polls of 16 s and with those that
//! the engine decides. Requests are those that a server got; connections that it had closed meanwhile are not counted.

use crate::oracle::Seen;
use crate::oscillator::Habits;
use crate::path::{Path, Way};
use crate::scenario::{rms, simulate, world};
use crate::server::Server;
use crate::upstream::Upstream;
use std::cell::RefCell;
use webntpd::protocol::stamp::Rounding;

const HOUR_S: f64 = 3_600.0;

/// The first hour is not counted.
const LENGTH_H: f64 = 3.0;

/// A request every 16 s.
const FIXED: f64 = HOUR_S / 16.0;

/// As in `benches/filter`: least delay of one way, and mean of its queues (milliseconds).
const INTERNET: [f64; 2] = [10.0, 2.0];
const FAR: [f64; 2] = [40.0, 4.0];
const LTE: [f64; 2] = [20.0, 15.0];
const LAN: [f64; 2] = [0.1, 0.02];

/// How often a packet is lost on a path that is lossy; in a third of the cases the whole exchange is.
const LOSSY: f64 = 0.02;

/// What it takes (requests an hour) and what comes of it (RMS of the errors in seconds, the part of all cycles with a sample).
#[derive(Clone, Copy)]
struct Price {
    requests: f64,
    rms_s: f64,
    decided: f64,
}

fn upstream(path: [f64; 2]) -> Upstream {
    // A reply that is lost costs a cycle its sample.
    upstream_losing(0.0, path)
}

fn upstream_losing(loss: f64, [base_ms, queue_ms]: [f64; 2]) -> Upstream {
    let way = Way {
        base_ms,
        queue_ms,
        tail: 0.03,
    };
    let path = Path {
        up: way,
        down: way,
        loss,
        ..Path::of(base_ms, base_ms)
    };
    let server = Server {
        digits: 9,
        known: Rounding::Truncates,
        ..Server::default()
    };
    Upstream::new(path, server)
}

fn price(name: &str, count: usize, upstream: &Upstream) -> Price {
    let all: RefCell<Vec<Seen>> = RefCell::default();
    simulate(
        name,
        0..4,
        |random| {
            let upstreams = vec![upstream.clone(); count];
            world(LENGTH_H, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            let least = 0.997 - upstream.path.loss;
            assert!(seen.decided() > least, "{name}: {}", seen.decided());
            all.borrow_mut().push(seen.clone());
        },
    );
    let all = all.into_inner();
    let hours = (LENGTH_H - 1.0) * all.len() as f64;
    let asked = all.iter().map(|seen| requests(seen, HOUR_S, f64::MAX));
    let decisions = all.iter().flat_map(|seen| seen.between(HOUR_S, f64::MAX));
    Price {
        requests: asked.sum::<usize>() as f64 / hours,
        rms_s: rms(decisions),
        decided: all.iter().map(Seen::decided).sum::<f64>() / all.len() as f64,
    }
}

/// How many of all sources there were from `from_s` to `to_s`.
fn requests(seen: &Seen, from_s: f64, to_s: f64) -> usize {
    let during = |at_s: &&f64| from_s <= **at_s && **at_s < to_s;
    seen.asked.iter().flatten().filter(during).count()
}

/// The prices with fixed polls and with those that the engine decides.
fn prices(name: &str, count: usize, upstream: &Upstream) -> [Price; 2] {
    let [fixed, decided] = [
        price(
            &format!("{name}, fixed polls"),
            count,
            &upstream.clone().at_a_fixed_poll(),
        ),
        price(name, count, upstream),
    ];
    println!(
        "{name:>30}: {:.0} requests an hour and rms {:.1} us with fixed polls, {:.0} and {:.1} us with those decided; {:.2} and {:.2} % of all cycles without a sample",
        fixed.requests,
        1e6 * fixed.rms_s,
        decided.requests,
        1e6 * decided.rms_s,
        100.0 * (1.0 - fixed.decided),
        100.0 * (1.0 - decided.decided),
    );
    [fixed, decided]
}

#[test]
fn four_good_sources_are_asked_far_less_and_every_cycle_has_its_sample() {
    for (name, path) in [
        ("four over 10 ms", INTERNET),
        ("four over 40 ms", FAR),
        ("four over LTE", LTE),
    ] {
        let [fixed, decided] = prices(name, 4, &upstream(path));
        assert!(fixed.requests > 3.95 * FIXED, "{}", fixed.requests);
        assert!(
            decided.requests < 0.6 * fixed.requests,
            "{}",
            decided.requests
        );
        assert!(decided.requests > FIXED, "{}", decided.requests);
        // Fewer exchanges tell less, but no more so than in proportion.
        let saved = fixed.requests / decided.requests;
        assert!(
            decided.rms_s < 1.2 * saved * fixed.rms_s,
            "{}",
            decided.rms_s
        );
    }
}

#[test]
fn where_packets_are_lost_polls_are_long_all_the_same_and_a_cycle_without_a_sample_is_rare() {
    for (name, path) in [
        ("four over 10 ms, 2 % lost", INTERNET),
        ("four over LTE, 2 % lost", LTE),
    ] {
        let [fixed, decided] = prices(name, 4, &upstream_losing(LOSSY, path));
        assert!(
            decided.requests < 0.6 * fixed.requests,
            "{}",
            decided.requests
        );
        assert!(decided.requests > FIXED, "{}", decided.requests);
        assert!(decided.rms_s < 3.0 * fixed.rms_s, "{}", decided.rms_s);
        // Where only one is asked in a cycle: a third of what is lost, and what is late.
        assert!(decided.decided > 1.0 - LOSSY / 2.0, "{}", decided.decided);
        assert!(fixed.decided > 0.9999, "{}", fixed.decided);
    }
    let name = "one over 10 ms, 2 % lost";
    let [fixed, decided] = prices(name, 1, &upstream_losing(LOSSY, INTERNET));
    for price in [fixed, decided] {
        let of_fixed = price.requests / FIXED;
        assert!(0.97 < of_fixed && of_fixed < 1.03, "{}", price.requests);
    }
}

#[test]
fn in_a_lan_the_time_is_no_worse_than_with_fixed_polls() {
    let [fixed, decided] = prices("four in a LAN", 4, &upstream(LAN));
    assert!(decided.rms_s < 1.1 * fixed.rms_s, "{}", decided.rms_s);
}

#[test]
fn one_source_alone_is_asked_in_every_cycle() {
    for (name, path) in [("one over 10 ms", INTERNET), ("one over LTE", LTE)] {
        let [fixed, decided] = prices(name, 1, &upstream(path));
        for price in [fixed, decided] {
            let of_fixed = price.requests / FIXED;
            assert!(0.98 < of_fixed && of_fixed < 1.02, "{}", price.requests);
        }
    }
}

/// When something happens.
const CHANGE_S: f64 = 3.0 * HOUR_S;

/// All four as often as they may be for five minutes.
const ALL: usize = 4 * 300 / 16;

/// Requests in each five minutes from an hour before the change to three hours after it, if `change` makes it.
fn around(name: &str, change: impl Fn(&mut Habits)) -> Vec<[Vec<usize>; 2]> {
    let all = RefCell::new(Vec::new());
    simulate(
        name,
        0..4,
        |random| {
            // Nothing else happens.
            let mut habits = Habits {
                wander_ppm: 0.001,
                wave_ppm: 0.0,
                ..Habits::usual(random)
            };
            change(&mut habits);
            world(6.0, &habits, vec![upstream(FAR); 4], random)
        },
        |seen| {
            let five_minutes = |k: i32| {
                let from_s = CHANGE_S + 300.0 * f64::from(k);
                requests(seen, from_s, from_s + 300.0)
            };
            let before: Vec<usize> = (-12..0).map(five_minutes).collect();
            let after: Vec<usize> = (0..36).map(five_minutes).collect();
            println!("{name:>30}: {before:?}, then {after:?}");
            all.borrow_mut().push([before, after]);
        },
    );
    all.into_inner()
}

/// Whether sources were asked rarely for a while; now and then something surprises the engine although nothing has happened.
fn has_been_calm(counts: &[usize]) -> bool {
    counts.iter().any(|count| 5 * count < 2 * ALL)
}

#[test]
fn after_a_change_of_temperature_polls_fall_and_grow_again() {
    for [before, after] in around("requests, rate steps by 2 ppm", |habits| {
        habits.steps.push((CHANGE_S, 2.0));
    }) {
        assert!(has_been_calm(&before), "{before:?}");
        // It takes some samples until it shows.
        let busiest = after[..10].iter().max();
        assert!(busiest >= Some(&(ALL * 9 / 10)), "{after:?}");
        assert!(has_been_calm(&after[10..]), "{after:?}");
    }
}

#[test]
fn after_a_suspend_polls_fall_and_grow_again() {
    for [before, after] in around("requests, 20 min of sleep", |habits| {
        habits.sleeps.push((CHANGE_S, 1_200.0));
    }) {
        assert!(has_been_calm(&before), "{before:?}");
        // A burst, and then as at the start.
        assert!(after[0] > ALL, "{after:?}");
        assert!(has_been_calm(&after[10..]), "{after:?}");
    }
}
