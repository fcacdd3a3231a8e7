//! When sources are asked, whatever their number, their places and the moment of the start.

use crate::oracle::Seen;
use crate::oscillator::{Habits, Oscillator};
use crate::path::Path;
use crate::random::Random;
use crate::scenario::{Replay, asked_for, play, world};
use crate::upstream::Upstream;
use webntpd::engine::time::Raw;

const CYCLE_S: f64 = 16.0;

const MOST_SOURCES: usize = 8;

/// A path on which nothing is lost: that would cost a cycle its sample.
fn path() -> Path {
    Path {
        loss: 0.0,
        ..Path::of(10.0, 10.0)
    }
}

/// Some cycles, begun at `begins_s`.
fn seen(upstreams: Vec<Upstream>, begins_s: f64, seed: u64) -> Seen {
    let mut random = Random::new(seed);
    let habits = Habits::usual(&mut random);
    let mut world = world(0.06, &habits, upstreams, &mut random);
    world.begins_s = begins_s;
    play(&world, random.branch()).oracle.into_seen()
}

/// The cycles from the second one on in which `source` was not asked, by number.
fn left_out(seen: &Seen, source: usize, begins_s: f64) -> Vec<usize> {
    // Cycles end at multiples on the raw clock.
    let start_s = (Oscillator::start() - Raw::from_nanos(0)).as_secs_f64() % CYCLE_S;
    let number = |at_s: f64| ((start_s + at_s) / CYCLE_S) as usize;
    let asked = || seen.asked[source].iter().map(|at_s| number(*at_s));
    let last = asked().max().unwrap_or(0);
    let cycles = number(begins_s) + 1..last;
    cycles
        .filter(|cycle| !asked().any(|at| at == *cycle))
        .collect()
}

/// Every half second of a cycle, as starts and seeds.
fn starts() -> impl Iterator<Item = (f64, u64)> {
    asked_for(0..32).map(|seed| (0.5 * (seed % 32) as f64 + 0.1, seed))
}

#[test]
fn who_is_asked_once_a_cycle_is_asked_in_every_one_from_the_second_on() {
    for (begins_s, seed) in starts() {
        for count in 1..=MOST_SOURCES {
            let upstream = Upstream::honest(path()).at_a_fixed_poll();
            let seen = seen(vec![upstream; count], begins_s, seed);
            for source in 0..count {
                let left_out = left_out(&seen, source, begins_s);
                assert!(
                    left_out.is_empty(),
                    "source {source} of {count}, begun at {begins_s} s: {left_out:?}"
                );
            }
        }
    }
}

#[test]
fn one_with_a_vote_among_others_without_brings_a_sample_in_every_cycle_from_the_second_on() {
    for (begins_s, seed) in starts() {
        for others in 1..4 {
            let voter = Upstream::honest(path());
            let mut upstreams = vec![voter.clone(); others + 1];
            for other in &mut upstreams[..others] {
                other.noselect = true;
            }
            let seen = seen(upstreams, begins_s, seed);
            assert!(
                seen.nothing_new == 0,
                "begun at {begins_s} s beside {others}"
            );
        }
    }
}

/// Servers that tell whole seconds, others, and milliseconds each way to all of them.
const IN_CALM: [(usize, usize, f64); 7] = [
    (1, 0, 10.0),
    (2, 0, 10.0),
    (3, 0, 40.0),
    (4, 0, 10.0),
    (4, 0, 40.0),
    (2, 2, 10.0),
    (0, 4, 40.0),
];

/// How long it is left in peace.
const CALM_H: f64 = 3.0;

#[test]
fn who_is_asked_rarely_brings_a_sample_in_every_cycle_whatever_the_sources_tell() {
    for (coarse, precise, each_way_ms) in IN_CALM {
        let name = format!("{coarse} that tell whole seconds and {precise} that do not");
        for seed in asked_for(0..2) {
            let replay = Replay { name: &name, seed };
            let mut random = Random::new(seed);
            let upstream = Upstream::honest(Path {
                loss: 0.0,
                ..Path::of(each_way_ms, each_way_ms)
            });
            let mut upstreams = vec![upstream.clone().date(); coarse];
            upstreams.resize(coarse + precise, upstream);
            let habits = Habits::usual(&mut random);
            let world = world(CALM_H, &habits, upstreams, &mut random);
            let seen = play(&world, random.branch()).oracle.into_seen();
            let asked: usize = seen.asked.iter().map(Vec::len).sum();
            let by_cycle = asked as f64 / seen.cycles as f64;
            println!("{name}, {each_way_ms} ms: {by_cycle:.2} requests a cycle");
            assert_eq!(seen.nothing_new, 0, "{name}");
            let sources = coarse + precise;
            assert!(sources == 1 || by_cycle < 0.75 * sources as f64);
            drop(replay);
        }
    }
}
