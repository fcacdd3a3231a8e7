//! Scenarios in which all servers are honest and the rest of the world is as it is.

use crate::machine::World;
use crate::oscillator::Habits;
use crate::path::Path;
use crate::random::Random;
use crate::scenario::{rms, simulate, world};
use crate::server::Server;
use crate::upstream::Upstream;
use webntpd::engine::time::Span;
use webntpd::protocol::stamp::Rounding;

pub(crate) fn five(random: &mut Random) -> Vec<Upstream> {
    (0..5)
        .map(|_| Upstream::honest(Path::any(random)))
        .collect()
}

#[test]
fn five_honest_sources_are_followed() {
    simulate(
        "five honest",
        0..3,
        |random| {
            let upstreams = five(random);
            world(1.5, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            assert!(seen.decided() > 0.99, "{}", seen.decided());
            assert_eq!(seen.falseticker, [0; 5]);
        },
    );
}

#[test]
fn one_source_alone_is_followed() {
    simulate(
        "one source alone",
        0..2,
        |random| {
            let upstreams = vec![Upstream::honest(Path::any(random))];
            world(1.5, &Habits::usual(random), upstreams, random)
        },
        |seen| assert!(seen.decided() > 0.9, "{}", seen.decided()),
    );
}

#[test]
fn in_a_lan_the_error_is_microseconds() {
    simulate(
        "LAN, 0.1 ms each way",
        0..2,
        |random| {
            let server = Server {
                digits: 9,
                known: Rounding::Truncates,
                ..Server::default()
            };
            let upstreams = (0..3).map(|_| Upstream::new(Path::of(0.1, 0.1), server.clone()));
            let upstreams = upstreams.collect();
            world(1.5, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            let settled = rms(seen.between(1_800.0, 1e9));
            println!("{:>30} rms {:.1} us", "after half an hour:", 1e6 * settled);
            assert!(settled < 150e-6, "{settled}");
        },
    );
}

#[test]
fn an_asymmetric_path_is_covered_by_the_bound() {
    simulate(
        "asymmetric, 5 up 60 ms down",
        0..2,
        |random| {
            let upstreams = (0..3)
                .map(|_| Upstream::honest(Path::of(5.0, 60.0)))
                .collect();
            world(1.0, &Habits::usual(random), upstreams, random)
        },
        // It is off by half of the difference, and says so.
        |seen| assert!(rms(seen.between(600.0, 1e9)) < 0.035),
    );
}

#[test]
fn every_resolution_is_covered_by_the_bound() {
    simulate(
        "resolutions 1 us, 1 ms, 1 s",
        0..3,
        |random| {
            let server = |digits, rounds, known| Server {
                digits,
                rounds,
                known,
                ..Server::default()
            };
            let upstreams = vec![
                Upstream::new(Path::any(random), server(6, true, Rounding::Rounds)),
                Upstream::new(Path::any(random), server(3, true, Rounding::Unknown)),
                Upstream::new(Path::any(random), server(3, false, Rounding::Truncates)),
                Upstream::new(Path::any(random), server(0, false, Rounding::Truncates)).date(),
                // One that rounds and does not tell.
                Upstream::new(Path::any(random), server(0, true, Rounding::Truncates)).date(),
            ];
            world(1.0, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            assert!(seen.decided() > 0.99, "{}", seen.decided());
            assert_eq!(seen.falseticker, [0; 5]);
            assert_eq!(seen.survived[3..], [0, 0], "coarse ones are not needed");
        },
    );
}

#[test]
fn whole_seconds_alone_give_an_interval() {
    simulate(
        "whole seconds only",
        0..2,
        |random| {
            let server = || Server {
                known: Rounding::Truncates,
                ..Server::default()
            };
            let upstreams = (0..4)
                .map(|_| Upstream::new(Path::any(random), server()).date())
                .collect();
            world(1.0, &Habits::usual(random), upstreams, random)
        },
        |seen| assert!(seen.decided() > 0.99, "{}", seen.decided()),
    );
}

#[test]
fn a_rough_network_costs_samples_only() {
    simulate(
        "loss, outages, stale, refusals",
        0..6,
        |random| {
            let mut upstreams = five(random);
            for upstream in &mut upstreams {
                upstream.path.loss = 0.1;
                upstream.path.up.tail = 0.2;
                upstream.path.down.tail = 0.2;
                let from = random.within(0.0, 2_400.0);
                upstream
                    .path
                    .outages
                    .push((from, from + random.exponential(600.0)));
                upstream.server.requests_per_connection = [2, 5, u32::MAX][random.pick(3)];
                upstream.server.patience_s = [10.0, 60.0][random.pick(2)];
                upstream.server.slams = 0.2;
                upstream.server.refuses = 0.1;
                upstream.server.asks_for_silence = 0.3;
                upstream.panics = 0.002;
            }
            let all = random.within(1_000.0, 2_000.0);
            for upstream in &mut upstreams {
                upstream.path.outages.push((all, all + 300.0));
            }
            let world = world(1.0, &Habits::usual(random), upstreams, random);
            World {
                hangs: 0.01,
                ..world
            }
        },
        // What all ask for silence after an outage of all, for up to ten minutes, costs the most.
        |seen| assert!(seen.decided() > 0.4, "{}", seen.decided()),
    );
}

#[test]
fn a_fast_poll_keeps_its_manners() {
    simulate(
        "one poll a second",
        0..2,
        |random| {
            let upstreams = five(random)
                .into_iter()
                .map(|upstream| upstream.polled_every(1));
            let upstreams = upstreams.collect();
            let world = world(0.15, &Habits::usual(random), upstreams, random);
            World {
                cycle: Span::from_secs(4),
                ..world
            }
        },
        |seen| assert!(seen.decided() > 0.99, "{}", seen.decided()),
    );
}
