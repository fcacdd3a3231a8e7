//! A leap second that comes when hardly anything is known: the daemon has just been started, the machine has slept, or all stepped.

use super::{LeapSecond, list};
use crate::machine::World;
use crate::oracle::{Point, Seen};
use crate::oscillator::Habits;
use crate::path::Path;
use crate::random::Random;
use crate::scenario::{simulate, world};
use crate::server::{Episode, Lie, Server};
use crate::upstream::Upstream;
use webntpd::engine::time::Span;

/// When the last day ends, give or take a cycle (seconds from the start).
const MIDNIGHT_S: f64 = 1_200.0;

/// What goes wrong near midnight.
#[derive(Clone, Copy, Debug)]
enum Break {
    /// The daemon is started.
    Start,
    /// The machine sleeps for less than a second, or for some.
    Sleep { longest_s: f64 },
    /// All servers step to where they should be.
    Step,
}

const BREAKS: [Break; 4] = [
    Break::Start,
    Break::Sleep { longest_s: 1.0 },
    Break::Sleep { longest_s: 20.0 },
    Break::Step,
];

/// Half an hour with a leap second that the servers tell of, or else only the list, and a break within 20 s of it.
fn broken(what: Break, step: i8, told: bool, random: &mut Random) -> World {
    let midnight_s = MIDNIGHT_S + random.within(0.0, 16.0);
    let break_s = midnight_s + random.within(-20.0, 20.0);
    let mut server = Server {
        leap_second: if told {
            LeapSecond::Told
        } else {
            LeapSecond::Followed
        },
        ..Server::default()
    };
    let mut habits = Habits::usual(random);
    match what {
        Break::Start => {}
        Break::Sleep { longest_s } => {
            let slept_s = random.within(0.2, longest_s);
            habits.sleeps.push((break_s, slept_s));
        }
        Break::Step => server.episodes.push(Episode {
            from_s: 0.0,
            to_s: break_s,
            lie: Lie::Constant(Span::from_millis(500)),
        }),
    }
    let upstreams = (0..4).map(|_| Upstream::new(Path::of(10.0, 10.0), server.clone()));
    let mut world = world(0.5, &habits, upstreams.collect(), random);
    world.clock = world.clock.with_midnight(midnight_s, step);
    if matches!(what, Break::Start) {
        world.begins_s = break_s;
    }
    world.leap_list = (!told).then(|| list(step));
    world
}

/// All that was published, whoever was honest.
fn published(seen: &Seen) -> impl Iterator<Item = &Point> {
    let honest = seen.decisions.iter().chain(&seen.beyond_model);
    honest.chain(&seen.misled)
}

#[test]
fn nothing_is_published_that_a_leap_second_just_after_a_break_makes_wrong() {
    for what in BREAKS {
        // Before all have stepped, all are as wrong as that.
        let most_s = if matches!(what, Break::Step) {
            0.6
        } else {
            0.1
        };
        for (step, told) in [(1, true), (-1, true), (1, false), (-1, false)] {
            let by = if told { "servers" } else { "list" };
            simulate(
                &format!("{what:?}, {step} told by the {by}"),
                0..25,
                |random| broken(what, step, told, random),
                |seen| {
                    let worst_s = published(seen).map(|point| point.error_s.abs());
                    let worst_s = worst_s.fold(0.0, f64::max);
                    assert!(worst_s < most_s, "{worst_s}");
                    let is_late = |point: &&Point| point.at_s > MIDNIGHT_S + 90.0;
                    let late = published(seen).filter(is_late).count();
                    let cycles = ((1_800.0 - MIDNIGHT_S - 90.0) / 16.0) as usize;
                    assert!(late + 2 >= cycles, "{late} of {cycles}");
                },
            );
        }
    }
}

#[test]
fn who_is_told_of_no_leap_second_waits_for_none_after_a_break_at_midnight() {
    for what in BREAKS {
        simulate(
            &format!("{what:?}, no leap second"),
            0..10,
            |random| broken(what, 0, true, random),
            |seen| assert_eq!(seen.leap_second, 0),
        );
    }
}
