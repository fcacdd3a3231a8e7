//! Scenarios in which somebody steers the system clock: by hand, or by what the daemon itself publishes.

use crate::honest::five;
use crate::machine::{Machine, World};
use crate::oscillator::{Habits, Oscillator};
use crate::path::Path;
use crate::random::Random;
use crate::scenario::{Replay, asked_for, play, world};
use crate::server::Server;
use crate::system::{Reader, Steering};
use crate::upstream::Upstream;
use webntpd::engine::time::{Raw, Span};
use webntpd::protocol::stamp::Rounding;

/// The same world with another hand at its system clock.
fn with(steering: &Steering, build: impl Fn(&mut Random) -> World, seed: u64) -> (World, Random) {
    let mut random = Random::new(seed);
    let steering = steering.clone();
    let world = World {
        steering,
        ..build(&mut random)
    };
    (world, random.branch())
}

/// How far the system clock was from universal time from `from_s` to `to_s` after the start: root mean square, and at most.
fn errors(machine: &Machine, from_s: f64, to_s: f64) -> (f64, f64) {
    let at = |at_s| Oscillator::start() + Span::from_secs_f64(at_s);
    let during = at(from_s)..at(to_s);
    let errors = || {
        let seen = machine.system.errors.iter();
        let these = seen.filter(|(at, _)| during.contains(at));
        these.map(|(_, error)| error.as_secs_f64().abs())
    };
    let count = errors().count().max(1) as f64;
    let rms = (errors().map(|error| error.powi(2)).sum::<f64>() / count).sqrt();
    (rms, errors().fold(0.0, f64::max))
}

/// Everything that may happen to the machine while its clock is steered.
fn eventful(random: &mut Random) -> World {
    let mut upstreams = five(random);
    upstreams[1].path.loss = 0.1;
    upstreams[2].server.refuses = 0.1;
    upstreams[3].panics = 0.01;
    let habits = Habits {
        sleeps: vec![(random.within(600.0, 1_200.0), random.within(1.0, 3_600.0))],
        steps: vec![(1_000.0, 1.5)],
        ..Habits::usual(random)
    };
    let world = world(0.6, &habits, upstreams, random);
    World {
        hangs: 0.01,
        ..world
    }
}

#[test]
fn whatever_is_done_to_the_system_clock_changes_no_decision() {
    let ms = Span::from_millis;
    let hour = Span::from_secs(3_600);
    let hands = [
        ("stepped by 10 s", ms(-10_000), Reader::Steps, vec![]),
        ("slewed at 500 ppm", ms(900), Reader::Slews, vec![]),
        (
            "set by hand, read by nobody",
            ms(0),
            Reader::Nobody,
            vec![(500.0, hour), (500.5, -hour), (1_503.0, ms(-90))],
        ),
        (
            "set by hand, stepped back",
            ms(3),
            Reader::Steps,
            vec![(500.0, hour), (1_500.0, -hour), (1_501.0, ms(250))],
        ),
        (
            "set by hand, slewed back",
            ms(0),
            Reader::Slews,
            vec![(300.0, ms(400)), (700.0, ms(-10_000)), (1_600.0, hour)],
        ),
    ];
    for seed in asked_for(0..4) {
        let _replay = Replay {
            name: "eventful",
            seed,
        };
        let (free, random) = with(&Steering::default(), eventful, seed);
        let free = play(&free, random);
        assert!(free.outcomes.iter().filter(|(_, it)| it.is_ok()).count() > 80);
        for (name, ahead, reader, set) in hands.clone() {
            let steering = Steering { ahead, reader, set };
            let (steered, random) = with(&steering, eventful, seed);
            let steered = play(&steered, random);
            assert_ne!(steered.system.errors, free.system.errors, "{name}");
            assert_eq!(steered.outcomes, free.outcomes, "{name}");
        }
    }
}

/// How good the clock becomes: from half an hour after the start on.
fn follow(name: &str, steering: &Steering, build: impl Fn(&mut Random) -> World) -> (f64, f64) {
    let mut worst = (0.0_f64, 0.0_f64);
    for seed in asked_for(0..4) {
        let _replay = Replay { name, seed };
        let (world, random) = with(steering, &build, seed);
        let machine = play(&world, random);
        let (rms, most) = errors(&machine, 1_800.0, world.length_s);
        println!(
            "{name:<34} seed {seed}: system clock after half an hour: rms {:>8.4} ms, max {:>8.4} ms, {} steps",
            1e3 * rms,
            1e3 * most,
            machine.system.steps
        );
        worst = (worst.0.max(rms), worst.1.max(most));
    }
    worst
}

fn internet(random: &mut Random) -> World {
    // Ways that are equally long, so that the middle is the truth.
    let upstreams = [8.0, 12.0, 20.0]
        .map(|ms| Upstream::honest(Path::of(ms, ms)))
        .to_vec();
    world(1.5, &Habits::usual(random), upstreams, random)
}

fn lan(random: &mut Random) -> World {
    let server = Server {
        digits: 9,
        known: Rounding::Truncates,
        ..Server::default()
    };
    let upstreams = (0..3).map(|_| Upstream::new(Path::of(0.1, 0.1), server.clone()));
    let upstreams = upstreams.collect();
    world(1.5, &Habits::usual(random), upstreams, random)
}

fn begins(ahead: Span, reader: Reader) -> Steering {
    Steering {
        ahead,
        reader,
        ..Steering::default()
    }
}

#[test]
fn a_clock_that_is_steered_by_what_is_published_comes_to_the_truth_and_stays() {
    let ten_seconds = begins(Span::from_secs(10), Reader::Steps);
    let (rms, most) = follow("internet, 10 s off, stepped", &ten_seconds, internet);
    assert!(rms < 0.3e-3 && most < 1e-3, "{rms} {most}");
    let near = begins(Span::from_millis(-300), Reader::Slews);
    let (rms, most) = follow("internet, 0.3 s off, slewed", &near, internet);
    assert!(rms < 0.3e-3 && most < 1e-3, "{rms} {most}");
    let (rms, most) = follow("LAN, 10 s off, stepped", &ten_seconds, lan);
    assert!(rms < 0.05e-3 && most < 0.2e-3, "{rms} {most}");
}

#[test]
fn a_clock_that_is_set_wrong_by_hand_comes_back() {
    const SET_S: f64 = 3_000.0;
    let steering = Steering {
        set: vec![(SET_S, Span::from_secs(-7_200))],
        ..begins(Span::ZERO, Reader::Steps)
    };
    let (world, random) = with(&steering, internet, 1);
    let machine = play(&world, random);
    assert_eq!(machine.system.steps, 1);
    let (_, during) = errors(&machine, SET_S, SET_S + 32.0);
    assert!(during > 7_199.0, "{during}");
    let (_, after) = errors(&machine, SET_S + 32.0, world.length_s);
    assert!(after < 2e-3, "{after}");
}

#[test]
fn the_reader_itself_slews_no_faster_than_the_kernel_does() {
    let (world, random) = with(&begins(Span::from_secs(1), Reader::Slews), internet, 2);
    let machine = play(&world, random);
    let off = |at: &(Raw, Span)| at.1.as_secs_f64();
    let errors = &machine.system.errors;
    for two in errors.windows(2) {
        let run_s = (two[1].0 - two[0].0).as_secs_f64();
        // 500 ppm, and 50 of the oscillator.
        let most = 551e-6 * run_s;
        assert!((off(&two[1]) - off(&two[0])).abs() < most, "{two:?}");
    }
    assert_eq!(machine.system.steps, 0);
}
