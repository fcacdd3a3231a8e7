//! A day on which everything goes wrong that may: suspends, temperature, outages, other routes, liars, panics.

use crate::machine::World;
use crate::oscillator::Habits;
use crate::path::Path;
use crate::random::Random;
use crate::scenario::{simulate, world};
use crate::server::{Episode, Lie, Server};
use crate::upstream::Upstream;
use webntpd::engine::time::{Rate, Span};

/// Moments of a Poisson process.
fn moments(hours: f64, mean_hours: f64, random: &mut Random) -> Vec<f64> {
    let mut moments = Vec::new();
    let mut at_s = random.exponential(mean_hours * 3_600.0);
    while at_s < hours * 3_600.0 {
        moments.push(at_s);
        at_s += random.exponential(mean_hours * 3_600.0);
    }
    moments
}

fn lie(random: &mut Random) -> Lie {
    match random.pick(5) {
        0 => Lie::Constant(Span::from_secs(3)),
        1 => Lie::Constant(Span::from_secs(-3_600)),
        2 => Lie::Creeping(Rate::from_ppm(20)),
        3 => Lie::Constant(Span::from_secs_f64(random.within(-0.2, 0.2))),
        _ => Lie::Jumping {
            every_s: 60.0,
            reach: Span::from_secs(1),
            salt: random.bits(),
        },
    }
}

fn mishaps(hours: f64, random: &mut Random) -> World {
    let mut habits = Habits::usual(random);
    // Steps of the rate are an hour apart: more is not in the bound's model.
    for at_s in moments(hours, 6.0, random) {
        let late_enough = habits
            .steps
            .last()
            .is_none_or(|(last, _)| at_s - last > 3_700.0);
        if late_enough {
            habits.steps.push((at_s, random.within(-1.7, 1.7)));
        }
    }
    for at_s in moments(hours, 4.0, random) {
        habits
            .sleeps
            .push((at_s, 0.2 + random.exponential(1_800.0)));
    }
    let mut upstreams = Vec::new();
    for poll in [16, 16, 32, 64, 16] {
        let mut path = Path::any(random);
        path.loss = random.within(0.0, 0.05);
        for at_s in moments(hours, 5.0, random) {
            path.outages.push((at_s, at_s + random.exponential(900.0)));
        }
        for at_s in moments(hours, 8.0, random) {
            path.routes
                .push((at_s, random.within(0.0, 40.0), random.within(0.0, 40.0)));
        }
        let mut server = Server {
            digits: [3, 6, 9][random.pick(3)],
            requests_per_connection: [2, 100, u32::MAX][random.pick(3)],
            refuses: 0.01,
            asks_for_silence: 0.2,
            ..Server::default()
        };
        for from_s in moments(hours, 8.0, random) {
            let to_s = from_s + random.exponential(1_200.0);
            server.episodes.push(Episode {
                from_s,
                to_s,
                lie: lie(random),
            });
        }
        let mut upstream = Upstream::new(path, server).polled_every(poll);
        upstream.panics = 0.000_3;
        upstreams.push(upstream);
    }
    for at_s in moments(hours, 6.0, random) {
        let to_s = at_s + random.exponential(600.0);
        for upstream in &mut upstreams {
            upstream.path.outages.push((at_s, to_s));
        }
    }
    let world = world(hours, &habits, upstreams, random);
    World {
        hangs: 0.001,
        ..world
    }
}

#[test]
fn a_day_of_mishaps_never_excludes_the_truth() {
    simulate(
        "24 h of mishaps",
        0..1,
        |random| mishaps(24.0, random),
        |seen| {
            assert!(seen.cycles > 5_300, "{}", seen.cycles);
            assert!(seen.decided() > 0.6, "{}", seen.decided());
            println!(
                "{:>30} {:?}, convicted {:?}",
                "requests:", seen.requests, seen.falseticker
            );
        },
    );
}

#[test]
fn many_short_runs_of_mishaps_never_exclude_the_truth() {
    simulate(
        "1.5 h of mishaps",
        100..108,
        |random| mishaps(1.5, random),
        |_| {},
    );
}
