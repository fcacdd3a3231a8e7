//! Runs a scenario with each of its seeds and prints what came of it.
//!
//! `cargo test --test sim -- --nocapture` shows the table.

use crate::machine::{Machine, World};
use crate::oracle::{Point, Seen};
use crate::oscillator::{Habits, Oscillator};
use crate::random::Random;
use crate::system::Steering;
use crate::upstream::Upstream;
use std::ops::Range;
use webntpd::engine::estimate::Prior;
use webntpd::engine::time::Span;

/// Names the one seed to use.
const SEED: &str = "WEBNTPD_SIM_SEED";
/// Tells how many seeds to use, from the first of the usual ones on.
const SEEDS: &str = "WEBNTPD_SIM_SEEDS";

/// The least part of all decisions whose error must be no greater than is said.
pub(crate) const COVERAGE: f64 = 0.999;

/// Runs the worlds that `build` makes of `seeds`; no promise may be broken, and `judge` may ask for more of each.
pub(crate) fn simulate(
    name: &str,
    seeds: Range<u64>,
    build: impl Fn(&mut Random) -> World,
    judge: impl Fn(&Seen),
) {
    let seeds = asked_for(seeds);
    let mut all = Vec::new();
    for seed in seeds {
        let replay = Replay { name, seed };
        let mut random = Random::new(seed);
        let world = build(&mut random);
        let seen = play(&world, random.branch()).oracle.into_seen();
        judge(&seen);
        all.push(seen);
        drop(replay);
    }
    println!("{}", row(name, &all));
    let exceptions = uncovered(&all);
    for (at, point) in exceptions.iter().take(5) {
        println!("{:>30} run {at}: {point:?}", "not covered:");
    }
    let decided: usize = all.iter().map(|seen| seen.decisions.len()).sum();
    let covered = 1.0 - exceptions.len() as f64 / decided.max(1) as f64;
    assert!(
        covered >= COVERAGE,
        "{name}: only {covered} of all errors are covered"
    );
}

/// Runs a world to its end; no promise may be broken.
pub(crate) fn play(world: &World, random: Random) -> Machine<'_> {
    let mut machine = Machine::start(world, random);
    machine.run_until(Oscillator::start() + Span::from_secs_f64(world.length_s));
    let faults = &machine.oracle.seen.faults;
    assert!(
        faults.is_empty(),
        "promises are broken:\n{}",
        faults.join("\n")
    );
    machine
}

/// A world of these upstreams with the usual oscillator.
pub(crate) fn world(
    hours: f64,
    habits: &Habits,
    upstreams: Vec<Upstream>,
    random: &mut Random,
) -> World {
    let length_s = hours * 3_600.0;
    World {
        clock: Oscillator::new(habits, length_s, random.branch()),
        upstreams,
        cycle: Span::from_secs(16),
        begins_s: 0.0,
        length_s,
        hangs: 0.0,
        prior: Prior::default(),
        leap_list: None,
        steering: Steering::default(),
    }
}

/// The seeds to use: `usual` ones, unless the environment asks for others.
pub(crate) fn asked_for(usual: Range<u64>) -> Range<u64> {
    let number = |name| {
        let text = std::env::var(name).ok()?;
        Some(text.parse().expect("a number"))
    };
    let count: Option<u64> = number(SEEDS);
    let usual = count.map_or(usual.clone(), |count| usual.start..usual.start + count);
    number(SEED).map_or(usual, |seed: u64| seed..seed + 1)
}

/// Says how to run a simulation again that fails.
pub(crate) struct Replay<'a> {
    pub(crate) name: &'a str,
    pub(crate) seed: u64,
}

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: replay with {SEED}={}", self.name, self.seed);
        }
    }
}

impl Seen {
    /// The part of all cycles that ended with a decision.
    pub(crate) fn decided(&self) -> f64 {
        self.decisions.len() as f64 / self.cycles.max(1) as f64
    }

    /// Decisions from `from_s` to `to_s` after the start.
    pub(crate) fn between(&self, from_s: f64, to_s: f64) -> impl Iterator<Item = &Point> {
        let during = move |point: &&Point| from_s <= point.at_s && point.at_s < to_s;
        self.decisions.iter().filter(during)
    }
}

/// Root mean square of the errors (seconds).
pub(crate) fn rms<'a>(points: impl IntoIterator<Item = &'a Point>) -> f64 {
    let (sum, count) = points.into_iter().fold((0.0, 0), |(sum, count), point| {
        (sum + point.error_s.powi(2), count + 1)
    });
    (sum / f64::from(count.max(1))).sqrt()
}

/// The greatest error (seconds).
pub(crate) fn worst<'a>(points: impl IntoIterator<Item = &'a Point>) -> f64 {
    let errors = points.into_iter().map(|point| point.error_s.abs());
    errors.fold(0.0, f64::max)
}

fn uncovered(all: &[Seen]) -> Vec<(usize, Point)> {
    let runs = all.iter().enumerate();
    runs.flat_map(|(run, seen)| {
        let missed = seen.decisions.iter().filter(|point| !point.covered);
        missed.map(move |point| (run, *point))
    })
    .collect()
}

fn row(name: &str, all: &[Seen]) -> String {
    let points = || all.iter().flat_map(|seen| &seen.decisions);
    let sum = |of: fn(&Seen) -> usize| all.iter().map(of).sum::<usize>();
    let count = points().count();
    let mean_half = points().map(|point| point.half_width_s).sum::<f64>() / count.max(1) as f64;
    let covered = points().filter(|point| point.covered).count() as f64 / count.max(1) as f64;
    format!(
        "{name:<34} cycles {:>6} decisions {count:>6} rms {:>9.3} ms max {:>9.3} ms half-width {:>8.3} ms covered {:>8.4} % \
         | none: no-majority {} too-few {} no-candidates {} nothing-new {} uncertain {} stepped {} | misled {} ({} outside) beyond-model {}",
        sum(|seen| seen.cycles),
        1e3 * rms(points()),
        1e3 * worst(points()),
        1e3 * mean_half,
        100.0 * covered,
        sum(|seen| seen.no_majority),
        sum(|seen| seen.too_few),
        sum(|seen| seen.no_candidates),
        sum(|seen| seen.nothing_new),
        sum(|seen| seen.too_uncertain),
        sum(|seen| seen.stepped),
        sum(|seen| seen.misled.len()),
        sum(|seen| seen.misled_outside),
        sum(|seen| seen.beyond_model.len()),
    )
}
