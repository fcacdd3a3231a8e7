//! Scenarios on the last day of December, with a leap second and without.

mod broken;

use crate::honest::five;
use crate::machine::World;
use crate::oracle::{Point, Seen};
use crate::oscillator::{Habits, Oscillator};
use crate::path::Path;
use crate::random::Random;
use crate::scenario::{simulate, world};
use crate::server::{LeapSecond, Server};
use crate::upstream::Upstream;
use webntpd::engine::leap::{Leap, List};
use webntpd::engine::time::{Raw, Span, Utc};

/// When the last day ends, give or take a cycle (seconds from the start).
const MIDNIGHT_S: f64 = 4_000.0;
const HOUR_S: f64 = 3_600.0;

/// These servers, and an hour before and after the end of the year.
fn new_year(upstreams: Vec<Upstream>, step: i8, random: &mut Random) -> World {
    let habits = Habits::usual(random);
    let mut world = world(2.0, &habits, upstreams, random);
    world.clock = world
        .clock
        .with_midnight(MIDNIGHT_S + random.within(0.0, 16.0), step);
    world
}

fn knowing(leap_second: LeapSecond, random: &mut Random) -> Upstream {
    let server = Server {
        leap_second,
        ..Server::default()
    };
    Upstream::new(Path::any(random), server)
}

fn each(leap_seconds: &[LeapSecond], random: &mut Random) -> Vec<Upstream> {
    let leap_seconds = leap_seconds.iter();
    leap_seconds
        .map(|leap_second| knowing(*leap_second, random))
        .collect()
}

/// A list that is good for a month more.
fn list(step: i8) -> List {
    let last = Utc::from_secs(1_483_228_800);
    List {
        last,
        step,
        expires: last + Span::from_secs(30 * 86_400),
    }
}

fn widest<'a>(points: impl Iterator<Item = &'a Point>) -> f64 {
    points.map(|point| point.half_width_s).fold(0.0, f64::max)
}

/// What a leap second that was announced costs: a cycle at the most, and nothing of what was known.
fn passes_smoothly(seen: &Seen, leap: Leap) {
    assert_eq!(seen.asked_near, 0);
    assert!(seen.decisions.iter().all(|point| !point.is_near));
    assert!(seen.leap_second <= 2, "{}", seen.leap_second);
    assert_eq!((seen.stepped, seen.misled.len()), (0, 0));
    let warns = |point: &Point| point.leap == leap;
    assert!(seen.between(60.0, MIDNIGHT_S - 1.0).all(warns));
    let after = MIDNIGHT_S + 16.0 + 3.0 + 16.0;
    assert!(
        seen.between(after, 1e9)
            .all(|point| point.leap == Leap::None)
    );
    let soon = || seen.between(after, after + 60.0);
    assert!(soon().count() >= 3, "{}", soon().count());
    let before = widest(seen.between(MIDNIGHT_S - 600.0, MIDNIGHT_S));
    assert!(widest(soon()) < 1.1 * before, "{} {before}", widest(soon()));
    assert!(seen.decided() > 0.98, "{}", seen.decided());
}

#[test]
fn a_leap_second_that_servers_tell_of_passes_smoothly() {
    for (name, step, leap) in [
        ("leap second inserted", 1, Leap::Insert),
        ("leap second left out", -1, Leap::Delete),
    ] {
        simulate(
            name,
            0..4,
            |random| {
                let upstreams = each(&[LeapSecond::Told; 5], random);
                new_year(upstreams, step, random)
            },
            |seen| {
                passes_smoothly(seen, leap);
                assert_eq!(seen.falseticker, [0; 5]);
            },
        );
    }
}

#[test]
fn a_leap_second_at_the_end_of_a_cycle_costs_that_cycle_alone() {
    // Cycles end at the multiples of 16 s on the raw clock.
    let after_s = (Oscillator::start() - Raw::from_nanos(0)).as_secs_f64() + MIDNIGHT_S;
    let ends_s = MIDNIGHT_S + 16.0 - after_s % 16.0;
    for (step, leap) in [(1, Leap::Insert), (-1, Leap::Delete)] {
        simulate(
            &format!("{step} at the end of a cycle"),
            0..4,
            |random| {
                let upstreams = each(&[LeapSecond::Told; 4], random);
                let mut world = new_year(upstreams, step, random);
                let midnight_s = ends_s + random.within(-0.9, 0.9);
                world.clock = world.clock.with_midnight(midnight_s, step);
                world
            },
            |seen| {
                passes_smoothly(seen, leap);
                let is_silent = |at_s: f64| (at_s - ends_s).abs() < 1.0;
                assert!(seen.tallies.iter().any(|(at_s, _)| is_silent(*at_s)));
                assert!(seen.leap_second >= 1);
                assert!(!seen.decisions.iter().any(|point| is_silent(point.at_s)));
            },
        );
    }
}

#[test]
fn after_a_leap_second_nobody_is_asked_more_often_than_before() {
    for (name, is_coarse) in [("requests", false), ("requests of web servers", true)] {
        for step in [1, -1] {
            simulate(
                &format!("{step}, {name}"),
                0..4,
                |random| {
                    let mut upstreams = each(&[LeapSecond::Followed; 4], random);
                    if is_coarse {
                        upstreams = upstreams.into_iter().map(Upstream::date).collect();
                    }
                    let world = new_year(upstreams, step, random);
                    World {
                        leap_list: Some(list(step)),
                        ..world
                    }
                },
                |seen| {
                    let asked = |from_s: f64| {
                        let times = seen.asked.iter().flatten();
                        let is_then = |at_s: &&f64| (from_s..from_s + 300.0).contains(*at_s);
                        times.filter(is_then).count()
                    };
                    let (before, after) = (asked(MIDNIGHT_S - 300.0), asked(MIDNIGHT_S));
                    println!("{:>30} {before}, then {after}", "in five minutes:");
                    if is_coarse {
                        // Polls may fall, since the first request is not aimed; but nobody searches, with a request a second.
                        for times in &seen.asked {
                            let after = |pair: &&[f64]| pair[0] > MIDNIGHT_S;
                            let apart = times.windows(2).filter(after);
                            let least = apart.map(|pair| pair[1] - pair[0]);
                            let least = least.fold(f64::INFINITY, f64::min);
                            assert!(least > 2.5, "{least} s");
                        }
                    } else {
                        // One of each is not at its turn.
                        assert!(after <= before + 8, "{before} {after}");
                    }
                },
            );
        }
    }
}

#[test]
fn a_leap_second_that_only_the_list_tells_of_passes_smoothly() {
    for (name, step, leap) in [
        ("inserted, by the list", 1, Leap::Insert),
        ("left out, by the list", -1, Leap::Delete),
    ] {
        simulate(
            name,
            0..3,
            |random| {
                let upstreams = each(&[LeapSecond::Followed; 4], random);
                let world = new_year(upstreams, step, random);
                World {
                    leap_list: Some(list(step)),
                    ..world
                }
            },
            |seen| passes_smoothly(seen, leap),
        );
    }
}

#[test]
fn a_supervisor_that_hangs_publishes_nothing_across_a_leap_second() {
    simulate(
        "inserted, supervisor hangs",
        0..12,
        |random| {
            let upstreams = each(&[LeapSecond::Told; 5], random);
            let world = new_year(upstreams, 1, random);
            World {
                hangs: 0.6,
                ..world
            }
        },
        |seen| {
            assert!(seen.decisions.iter().all(|point| !point.is_near));
            // What was decided before would be wrong by a second after it.
            let points = seen.decisions.iter().chain(&seen.misled);
            let errors = points.map(|point| point.error_s.abs());
            let worst_s = errors.fold(0.0, f64::max);
            assert!(worst_s < 0.1, "{worst_s}");
        },
    );
}

#[test]
fn a_liar_that_warns_alone_is_not_believed() {
    use LeapSecond::{Claimed, Followed, Told};
    for others in [Told, Followed] {
        simulate(
            "one claims a leap second",
            0..2,
            |random| {
                let upstreams = each(&[Claimed, others, others], random);
                new_year(upstreams, 0, random)
            },
            |seen| {
                let warned = seen.decisions.iter().any(|point| point.leap != Leap::None);
                assert!(!warned && seen.leap_second == 0);
                assert!(seen.decided() > 0.99, "{}", seen.decided());
            },
        );
    }
}

#[test]
fn liars_that_all_warn_of_nothing_cost_a_cycle_or_two() {
    simulate(
        "all claim a leap second",
        0..3,
        |random| {
            let upstreams = each(&[LeapSecond::Claimed; 4], random);
            new_year(upstreams, 0, random)
        },
        |seen| {
            assert!(seen.stepped <= 1, "{}", seen.stepped);
            assert!(seen.decided() > 0.97, "{}", seen.decided());
        },
    );
}

#[test]
fn a_server_that_smears_is_a_falseticker_around_the_leap_second() {
    use LeapSecond::{Smeared, Told};
    simulate(
        "one smears, four leap",
        0..3,
        |random| {
            let upstreams = each(&[Told, Told, Smeared, Told, Told], random);
            new_year(upstreams, 1, random)
        },
        |seen| {
            passes_smoothly(seen, Leap::Insert);
            let convicted = seen.falseticker[2];
            assert!(
                convicted + 4 > seen.cycles,
                "{convicted} of {}",
                seen.cycles
            );
            assert_eq!(seen.survived[2], 0);
        },
    );
}

#[test]
fn a_server_that_begins_to_smear_moves_nobody() {
    let worst = |smears: bool| {
        let seen = std::cell::RefCell::new(Vec::new());
        simulate(
            if smears {
                "one of four begins to smear"
            } else {
                "the same without"
            },
            0..2,
            |random| {
                let mut upstreams = five(random);
                upstreams.truncate(4);
                if smears {
                    upstreams[1].server.leap_second = LeapSecond::Smeared;
                }
                let mut world = world(4.0, &Habits::usual(random), upstreams, random);
                // It begins after an hour.
                world.clock = world.clock.with_midnight(13.0 * HOUR_S, 1);
                world
            },
            |run| {
                seen.borrow_mut()
                    .push(crate::scenario::worst(run.between(HOUR_S, 1e9)));
                if smears {
                    println!(
                        "{:>30} {:?} of {} cycles",
                        "convicted in:", run.falseticker, run.cycles
                    );
                }
            },
        );
        seen.into_inner()
    };
    for (with, without) in worst(true).into_iter().zip(worst(false)) {
        println!(
            "{:>30} {:.3} ms, without {:.3} ms",
            "worst:",
            1e3 * with,
            1e3 * without
        );
        assert!(with < without + 0.005, "{with} {without}");
    }
}

#[test]
fn nobody_is_warned_before_the_last_day() {
    simulate(
        "a day and an hour before",
        0..1,
        |random| {
            let upstreams = each(&[LeapSecond::Told; 3], random);
            let mut upstreams: Vec<Upstream> = upstreams;
            for upstream in &mut upstreams {
                upstream.poll = Span::from_secs(256);
            }
            let mut world = world(26.0, &Habits::usual(random), upstreams, random);
            world.clock = world.clock.with_midnight(25.0 * HOUR_S, 1);
            World {
                cycle: Span::from_secs(256),
                ..world
            }
        },
        |seen| {
            let is = |leap| move |point: &Point| point.leap == leap;
            assert!(seen.between(0.0, HOUR_S).all(is(Leap::None)));
            assert!(
                seen.between(HOUR_S + 300.0, 25.0 * HOUR_S)
                    .all(is(Leap::Insert))
            );
            assert!(seen.between(25.0 * HOUR_S, 1e9).all(is(Leap::None)));
            assert!(seen.decided() > 0.97, "{}", seen.decided());
        },
    );
}
