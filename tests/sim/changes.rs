//! Scenarios in which servers are honest and what is around them changes: temperature, routes, sleep.

use crate::honest::five;
use crate::machine::World;
use crate::oracle::Seen;
use crate::oscillator::{Habits, Oscillator};
use crate::path::Path;
use crate::random::Random;
use crate::scenario::{Replay, asked_for, play, rms, simulate, world, worst};
use crate::server::Server;
use crate::upstream::Upstream;
use webntpd::engine::snapshot::NoDecision;
use webntpd::engine::time::{Raw, Span};
use webntpd::protocol::stamp::Rounding;

/// When what a scenario is about happens (seconds from the start), and some times before and after.
const CHANGE_S: f64 = 3_600.0;
const STAGES_S: [f64; 6] = [1_800.0, 3_600.0, 4_200.0, 5_400.0, 7_200.0, 9_000.0];

fn print_stages(seen: &Seen) {
    for stage in STAGES_S.windows(2) {
        let during = || seen.between(stage[0], stage[1]);
        println!(
            "{:>14} {:>5} to {:>5} s: rms {:>8.4} ms, max {:>8.4} ms",
            "",
            stage[0],
            stage[1],
            1e3 * rms(during()),
            1e3 * worst(during()),
        );
    }
}

/// Three servers next door.
fn lan(delay_ms: f64) -> Vec<Upstream> {
    let server = Server {
        digits: 9,
        known: Rounding::Truncates,
        ..Server::default()
    };
    (0..3)
        .map(|_| Upstream::new(Path::of(delay_ms, delay_ms), server.clone()))
        .collect()
}

/// A rate that changes once, by so much, and else not at all.
fn one_step(ppm: f64, random: &mut Random) -> Habits {
    Habits {
        wander_ppm: 0.0,
        wave_ppm: 0.0,
        steps: vec![(CHANGE_S, if random.happens(0.5) { ppm } else { -ppm })],
        ..Habits::usual(random)
    }
}

#[test]
fn a_change_of_temperature_is_covered_by_the_bound() {
    simulate(
        "rate steps by 2 ppm at 1 h",
        0..1,
        |random| {
            let upstreams = five(random);
            let habits = one_step(2.0, random);
            world(2.5, &habits, upstreams, random)
        },
        |seen| {
            print_stages(seen);
            assert_eq!(
                (seen.stepped, seen.falseticker.iter().sum::<usize>()),
                (0, 0)
            );
        },
    );
}

#[test]
fn in_a_lan_a_change_of_temperature_is_covered_by_the_bound() {
    simulate(
        "LAN, rate steps by 2 ppm at 1 h",
        0..1,
        |random| {
            let habits = one_step(2.0, random);
            world(2.5, &habits, lan(0.1), random)
        },
        |seen| {
            print_stages(seen);
            assert_eq!(seen.stepped, 0);
        },
    );
}

#[test]
fn a_change_of_rate_that_no_oscillator_makes_is_forgotten() {
    simulate(
        "LAN, rate steps by 10 ppm at 1 h",
        0..1,
        |random| {
            let habits = one_step(10.0, random);
            world(2.5, &habits, lan(0.1), random)
        },
        |seen| {
            print_stages(seen);
            println!(
                "{:>14} outside {} times, worst {:.4} ms",
                "",
                seen.beyond_model.len(),
                1e3 * worst(&seen.beyond_model)
            );
            for point in &seen.beyond_model {
                let few_cycles = CHANGE_S..CHANGE_S + 120.0;
                assert!(few_cycles.contains(&point.at_s), "still off: {point:?}");
            }
        },
    );
}

#[test]
fn a_restless_oscillator_is_covered_as_far_as_the_model_goes() {
    simulate(
        "LAN of 0.02 ms, restless oscillator",
        0..4,
        |random| {
            let steps = (0..3).map(|_| (random.within(0.0, 5_400.0), random.within(-1.0, 1.0)));
            let habits = Habits {
                steps: steps.collect(),
                wander_ppm: 0.3,
                wave_ppm: 0.3,
                ..Habits::usual(&mut random.branch())
            };
            world(1.5, &habits, lan(0.02), random)
        },
        |seen| assert!(seen.decided() > 0.9, "{}", seen.decided()),
    );
}

#[test]
fn another_route_one_way_is_covered_by_the_bound() {
    for all in [false, true] {
        let name = if all {
            "all routes 30 ms longer up at 1 h"
        } else {
            "one route 30 ms longer up at 1 h"
        };
        simulate(
            name,
            0..1,
            |random| {
                let mut upstreams = five(random);
                for upstream in &mut upstreams[..if all { 5 } else { 1 }] {
                    upstream.path.routes.push((CHANGE_S, 30.0, 0.0));
                }
                world(2.2, &Habits::usual(random), upstreams, random)
            },
            |seen| {
                print_stages(seen);
                assert_eq!(
                    (seen.stepped, seen.falseticker.iter().sum::<usize>()),
                    (0, 0)
                );
            },
        );
    }
}

#[test]
fn sleep_costs_nothing_but_time() {
    simulate(
        "suspends of 0.2 s to 2 h",
        0..6,
        |random| {
            let upstreams = five(random);
            let mut habits = Habits::usual(random);
            let mut at = 300.0;
            while at < 3_300.0 {
                habits
                    .sleeps
                    .push((at, 0.2 + random.exponential(1_200.0).min(7_200.0)));
                at += random.within(60.0, 900.0);
            }
            world(1.0, &habits, upstreams, random)
        },
        |seen| assert!(seen.decided() > 0.9, "{}", seen.decided()),
    );
}

#[test]
fn an_exchange_that_a_sleep_interrupts_proves_nothing() {
    simulate(
        "sleeps in the midst of exchanges",
        0..2,
        |random| {
            let upstreams = vec![Upstream::honest(Path::of(200.0, 200.0)).polled_every(2)];
            let mut habits = Habits::usual(random);
            let mut at = 30.0;
            while at < 1_800.0 {
                habits.sleeps.push((at, random.within(0.2, 60.0)));
                at += random.within(10.0, 30.0);
            }
            let world = world(0.5, &habits, upstreams, random);
            World {
                cycle: Span::from_secs(2),
                ..world
            }
        },
        |seen| assert!(seen.decided() > 0.5, "{}", seen.decided()),
    );
}

#[test]
fn a_pause_that_nobody_notices_is_forgotten_within_a_few_cycles() {
    simulate(
        "hidden pause of 90 ms at 2000 s",
        0..6,
        |random| {
            let upstreams = (0..4)
                .map(|_| Upstream::honest(Path::of(10.0, 12.0)))
                .collect();
            let habits = Habits {
                sleeps: vec![(random.within(2_000.0, 2_016.0), 0.09)],
                ..Habits::usual(random)
            };
            world(1.0, &habits, upstreams, random)
        },
        |seen| {
            assert!(seen.decided() > 0.97, "{}", seen.decided());
            for point in &seen.beyond_model {
                let since = 2_000.0..2_016.0 + 4.0 * 16.0;
                assert!(since.contains(&point.at_s), "still off: {point:?}");
            }
        },
    );
}

#[test]
fn a_halt_that_nobody_notices_is_over_within_a_few_cycles_however_rarely_sources_are_asked() {
    for seed in asked_for(0..1) {
        for count in [4, 5, 8] {
            let name = "hidden halt of 500 ms at 9000 s";
            let replay = Replay { name, seed };
            let mut random = Random::new(seed);
            let upstreams = (0..count).map(|_| Upstream::honest(Path::of(40.0, 40.0)));
            let halt_s = 9_000.0 + random.within(0.0, 16.0);
            let habits = Habits {
                halts: vec![(halt_s, 0.5)],
                ..Habits::usual(&mut random)
            };
            let world = world(2.6, &habits, upstreams.collect(), &mut random);
            let machine = play(&world, random.branch());

            let asked = machine.oracle.seen.asked.iter().flatten();
            let before = asked.filter(|at_s| (halt_s - 3_600.0..halt_s).contains(*at_s));
            assert!(before.count() < 180 * count, "polls have not grown");
            let halt = Oscillator::start() + Span::from_secs_f64(halt_s);
            let since_s = |at: Raw| (at - halt).as_secs_f64();
            let after = || machine.outcomes.iter().filter(|(at, _)| *at >= halt);
            let stepped = after().filter(|(_, it)| matches!(it, Err(NoDecision::Stepped { .. })));
            let stepped: Vec<f64> = stepped.map(|(at, _)| since_s(*at)).collect();
            assert!(stepped.len() == 1 && stepped[0] < 48.0, "{stepped:?}");
            // All that the cycle has in which it comes may be from before.
            let later = || after().filter(|(at, _)| since_s(*at) >= 16.0);
            let decided = || later().filter_map(|(at, it)| Some((*at, it.as_ref().ok()?)));
            for (at, decision) in decided() {
                let error = (decision.theta - world.clock.theta(at)).abs();
                let said = decision.error_at(at);
                assert!(error <= said, "{error:?} {} s after", since_s(at));
            }
            let back = decided().map(|(at, _)| since_s(at)).next();
            let back_s = back.expect("a decision");
            println!(
                "{name:<34} sources {count} noticed after {:>4.1} s, over after {back_s:>4.1} s",
                stepped[0]
            );
            assert!(back_s <= stepped[0] + 32.0);
            drop(replay);
        }
    }
}
