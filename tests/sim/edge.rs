//! Scenarios in which nobody tells more than whole seconds: the edge between two of them is all there is.

use crate::oracle::Seen;
use crate::oscillator::Habits;
use crate::path::Path;
use crate::scenario::{rms, simulate, world, worst};
use crate::server::Server;
use crate::upstream::Upstream;

/// Before the first cycle has ended there is no decision; the search takes some ten seconds.
const FOUND_S: f64 = 20.0;

/// Prints the errors while the edge is followed, the longer the better.
fn print_stages(seen: &Seen) {
    for stage in [FOUND_S, 120.0, 600.0, 1e9].windows(2) {
        let during = || seen.between(stage[0], stage[1]);
        println!(
            "{:>30} {:>5} s: rms {:>8.4} ms, max {:>8.4} ms",
            "from",
            stage[0],
            1e3 * rms(during()),
            1e3 * worst(during()),
        );
    }
}

#[test]
fn one_web_server_near_by_tells_milliseconds() {
    simulate(
        "one web server, 0.1 ms each way",
        0..6,
        |random| {
            let upstreams = vec![Upstream::honest(Path::of(0.1, 0.1)).date()];
            world(1.0, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            print_stages(seen);
            assert!(seen.decided() > 0.95, "{}", seen.decided());
            assert!(worst(seen.between(FOUND_S, 1e9)) < 2e-3);
            assert!(rms(seen.between(600.0, 1e9)) < 0.2e-3);
        },
    );
}

#[test]
fn a_web_server_is_pressed_by_no_pace() {
    for seconds in [1, 4, 128, 1_024] {
        simulate(
            &format!("one web server every {seconds} s"),
            0..if seconds == 1_024 { 40 } else { 2 },
            |random| {
                let upstream = Upstream::honest(Path::of(5.0, 5.0)).date();
                let upstreams = vec![upstream.polled_every(seconds)];
                world(2.0, &Habits::usual(random), upstreams, random)
            },
            |seen| {
                let worst = worst(seen.between(FOUND_S, 1e9));
                assert!(worst < 20e-3 + 100e-6 * seconds as f64, "{worst}");
            },
        );
    }
}

#[test]
fn a_web_server_that_closes_its_connections_is_met_as_well() {
    for patience_s in [5.0, 60.0] {
        simulate(
            &format!("connections closed after {patience_s} s"),
            0..3,
            |random| {
                let server = Server {
                    patience_s,
                    ..Server::default()
                };
                let upstreams = vec![Upstream::new(Path::of(10.0, 10.0), server).date()];
                world(1.0, &Habits::usual(random), upstreams, random)
            },
            |seen| {
                print_stages(seen);
                assert!(worst(seen.between(600.0, 1e9)) < 3e-3);
            },
        );
    }
}

#[test]
fn web_servers_far_away_tell_what_their_paths_allow() {
    simulate(
        "three web servers",
        0..4,
        |random| {
            let upstreams = (0..3).map(|_| Upstream::honest(Path::any(random)).date());
            let upstreams = upstreams.collect();
            world(1.0, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            print_stages(seen);
            assert!(seen.decided() > 0.95, "{}", seen.decided());
            // Each may be off by half of what its two ways differ by.
            assert!(worst(seen.between(FOUND_S, 1e9)) < 20e-3);
        },
    );
}

#[test]
fn the_edge_is_searched_for_again_after_every_sleep() {
    simulate(
        "a web server and sleep",
        0..4,
        |random| {
            let habits = Habits {
                sleeps: (1..6)
                    .map(|k| (600.0 * f64::from(k) + random.within(0.0, 300.0), 1_234.5))
                    .collect(),
                ..Habits::usual(random)
            };
            let upstreams = vec![Upstream::honest(Path::of(1.0, 1.0)).date()];
            world(1.0, &habits, upstreams, random)
        },
        |seen| {
            assert!(seen.decided() > 0.9, "{}", seen.decided());
            assert!(rms(seen.between(FOUND_S, 1e9)) < 1e-3);
        },
    );
}

#[test]
fn servers_that_round_or_tell_their_seconds_late_are_covered_by_the_bound() {
    for (name, rounds, stale_s) in [
        ("a web server that rounds", true, 0.0),
        ("a web server that is 20 ms late", false, 0.02),
    ] {
        simulate(
            name,
            0..3,
            |random| {
                let server = Server {
                    rounds,
                    stale_s,
                    ..Server::default()
                };
                let upstreams = vec![Upstream::new(Path::any(random), server).date()];
                world(1.0, &Habits::usual(random), upstreams, random)
            },
            |seen| {
                assert!(seen.decided() > 0.9, "{}", seen.decided());
                let most = if rounds { 0.55 } else { 0.05 };
                assert!(worst(seen.between(FOUND_S, 1e9)) < most);
            },
        );
    }
}
