//! Scenarios in which servers are wrong, alone and together.

use crate::oscillator::Habits;
use crate::path::Path;
use crate::random::Random;
use crate::scenario::{rms, simulate, world, worst};
use crate::server::{Episode, Lie, Server};
use crate::upstream::Upstream;
use webntpd::engine::time::{Rate, Span};

const THREE_SECONDS: Lie = Lie::Constant(Span::from_secs(3));
const AN_HOUR: Lie = Lie::Constant(Span::from_secs(-3_600));
const CREEPING: Lie = Lie::Creeping(Rate::from_ppm(20));

fn honest(count: usize, random: &mut Random) -> Vec<Upstream> {
    (0..count)
        .map(|_| Upstream::honest(Path::any(random)))
        .collect()
}

fn liar(lie: Lie, random: &mut Random) -> Upstream {
    Upstream::new(Path::any(random), Server::liar(lie))
}

fn near(lie: Lie) -> Upstream {
    Upstream::new(Path::of(10.0, 10.0), Server::liar(lie))
}

#[test]
fn five_honest_sources_convict_three_liars() {
    simulate(
        "five honest, +3 s, -1 h, 20 ppm",
        0..1,
        |random| {
            let mut upstreams = honest(5, random);
            for lie in [THREE_SECONDS, AN_HOUR, CREEPING] {
                upstreams.push(liar(lie, random));
            }
            world(2.0, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            assert!(seen.decided() > 0.99, "{}", seen.decided());
            assert!(
                seen.falseticker[5] > 440 && seen.falseticker[6] > 440,
                "{:?}",
                seen.falseticker
            );
            println!(
                "{:>30} in {} of {} cycles",
                "20 ppm convicted:", seen.falseticker[7], seen.cycles
            );
            assert_eq!(seen.falseticker[..5], [0; 5]);
        },
    );
}

#[test]
fn three_of_five_wrong_in_three_ways_give_the_right_time_or_none() {
    simulate(
        "two honest, +3 s, -1 h, 20 ppm",
        0..2,
        |random| {
            let mut upstreams = honest(2, random);
            for lie in [THREE_SECONDS, AN_HOUR, CREEPING] {
                upstreams.push(liar(lie, random));
            }
            world(3.0, &Habits::usual(random), upstreams, random)
        },
        // No rule can know that the creeping one lies while it agrees with both others, but it cannot lead them away.
        |seen| {
            let worst = worst(&seen.misled);
            println!(
                "{:>30} {:.3} ms at the worst, of {} decisions",
                "while it is believed:",
                1e3 * worst,
                seen.misled.len()
            );
            assert!(worst < 0.12, "{worst}");
            assert!(seen.no_majority > 100, "{}", seen.no_majority);
        },
    );
}

#[test]
fn two_of_five_that_collude_move_nothing() {
    simulate(
        "three honest, two collude",
        0..3,
        |random| {
            let mut upstreams = honest(3, random);
            for _ in 0..2 {
                upstreams.push(liar(Lie::Constant(Span::from_millis(700)), random));
            }
            world(1.0, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            assert!(seen.decided() > 0.99, "{}", seen.decided());
            assert!(rms(seen.decisions.iter()) < 0.02);
        },
    );
}

#[test]
fn many_sources_of_one_liar_are_one_vote() {
    simulate(
        "two honest, four of one liar",
        0..3,
        |random| {
            let mut upstreams = honest(2, random);
            for k in 0..4 {
                let lie = Lie::Constant(Span::from_millis(900 + k));
                upstreams.push(liar(lie, random).run_by("liar"));
            }
            world(0.7, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            assert!(seen.decided() > 0.99, "{}", seen.decided());
            assert_eq!(seen.survived[2..], [0; 4]);
        },
    );
}

#[test]
fn a_liar_inside_the_bounds_of_others_is_covered_by_the_bound() {
    simulate(
        "four honest, a near one +1 ms",
        0..3,
        |random| {
            let mut upstreams = honest(4, random);
            let path = Path::of(0.3, 0.3);
            upstreams.push(Upstream::new(
                path,
                Server::liar(Lie::Constant(Span::from_millis(1))),
            ));
            world(1.0, &Habits::usual(random), upstreams, random)
        },
        |seen| assert!(seen.decided() > 0.99, "{}", seen.decided()),
    );
}

#[test]
fn two_that_creep_together_against_three_are_convicted() {
    simulate(
        "three honest, two creep by 20 ppm",
        0..1,
        |random| {
            let mut upstreams = honest(3, random);
            upstreams.push(near(CREEPING));
            upstreams.push(near(CREEPING));
            world(2.0, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            println!(
                "{:>30} in {:?} of {} cycles",
                "20 ppm convicted:",
                &seen.falseticker[3..],
                seen.cycles
            );
            assert!(seen.decided() > 0.9, "{}", seen.decided());
        },
    );
}

#[test]
fn a_source_that_creeps_is_not_heard_before_it_has_moved_the_offset_by_two_milliseconds() {
    simulate(
        "two honest, one creeps by 20 ppm",
        0..8,
        |random| {
            // Ways that are equally long, so that nothing else leads astray.
            let mut upstreams: Vec<_> = (0..3)
                .map(|_| Path::of(10.0, 10.0))
                .map(Upstream::honest)
                .collect();
            upstreams[2].server.episodes.push(Episode {
                from_s: random.within(0.0, 3_600.0),
                to_s: f64::INFINITY,
                lie: CREEPING,
            });
            world(2.5, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            let worst = worst(seen.between(600.0, 9_000.0));
            println!(
                "{:>30} {:.3} ms, convicted in {} of {} cycles",
                "at the worst",
                1e3 * worst,
                seen.falseticker[2],
                seen.cycles
            );
            assert!(worst < 0.002, "{worst}");
            assert!(seen.falseticker[2] > 0);
            assert_eq!(seen.falseticker[..2], [0; 2]);
        },
    );
}

#[test]
fn who_crept_once_counts_again_when_another_is_wrong() {
    simulate(
        "one crept, then another +1 s",
        0..3,
        |random| {
            let mut upstreams: Vec<_> = (0..3)
                .map(|_| Path::of(10.0, 10.0))
                .map(Upstream::honest)
                .collect();
            upstreams[0].server.episodes.push(Episode {
                from_s: 1_800.0,
                to_s: 2_400.0,
                lie: CREEPING,
            });
            upstreams[2].server.episodes.push(Episode {
                from_s: 2_500.0,
                to_s: f64::INFINITY,
                lie: Lie::Constant(Span::from_secs(1)),
            });
            world(2.5, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            // As long as it remembers how it crept, the rate that it proves is another than that of both others.
            let decided = seen.between(6_200.0, 9_000.0).count();
            assert!(decided > 170, "{decided} of 175");
            let worst = worst(seen.between(6_200.0, 9_000.0));
            assert!(worst < 0.01, "{worst}");
        },
    );
}

#[test]
fn who_rounds_to_whole_seconds_does_not_lead_those_who_tell_more() {
    simulate(
        "two honest, one rounds its seconds",
        0..3,
        |random| {
            let mut upstreams: Vec<_> = (0..3)
                .map(|_| Path::of(10.0, 10.0))
                .map(Upstream::honest)
                .collect();
            // Of a kind that may tell more.
            upstreams[2].server.digits = 0;
            upstreams[2].server.rounds = true;
            world(1.0, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            let error = rms(seen.between(600.0, 3_600.0));
            assert!(error < 0.000_3, "{error}");
            assert_eq!(seen.survived[2], 0);
        },
    );
}

#[test]
fn a_clock_that_jumps_about_is_no_help_and_no_harm() {
    simulate(
        "three honest, one jumps by 5 s",
        0..3,
        |random| {
            let mut upstreams = honest(3, random);
            let salt = random.bits();
            upstreams.push(liar(
                Lie::Jumping {
                    every_s: 120.0,
                    reach: Span::from_secs(5),
                    salt,
                },
                random,
            ));
            world(1.0, &Habits::usual(random), upstreams, random)
        },
        |seen| assert!(seen.decided() > 0.99, "{}", seen.decided()),
    );
}

#[test]
fn a_server_that_stepped_and_came_back_is_heard_again() {
    simulate(
        "four honest, one steps for 10 min",
        0..3,
        |random| {
            let mut upstreams = honest(5, random);
            let lie = Lie::Constant(Span::from_secs_f64(random.within(-2.0, 2.0)));
            upstreams[0].server.episodes.push(Episode {
                from_s: 1_200.0,
                to_s: 1_800.0,
                lie,
            });
            world(1.0, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            assert!(seen.decided() > 0.99, "{}", seen.decided());
            assert!(
                (30..45).contains(&seen.falseticker[0]),
                "{:?}",
                seen.falseticker
            );
        },
    );
}
