//! Scenarios in which servers are wrong, alone and together.

use crate::oscillator::Habits;
use crate::path::{Path, Way};
use crate::random::Random;
use crate::scenario::{rms, simulate, world, worst};
use crate::server::{Episode, Lie, Server, Stamps};
use crate::upstream::Upstream;
use std::ops::Range;
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

/// Honest ones with ways that are all equally long, so that nothing else leads astray.
fn alike(count: usize) -> Vec<Upstream> {
    (0..count)
        .map(|_| Upstream::honest(Path::of(10.0, 10.0)))
        .collect()
}

/// From then to then it lies.
fn lies(upstream: &mut Upstream, from_s: f64, to_s: f64, lie: Lie) {
    upstream.server.episodes.push(Episode { from_s, to_s, lie });
}

/// So many honest ones that tell the time, so many web servers, and some that creep by so many ppm from a moment within `from_s` on, all
/// over ways that are equally long. Until they are found out they lead the offset by less than `most_s`.
fn lead_little(
    name: &str,
    [precise, dates]: [usize; 2],
    creeps: &[i64],
    from_s: Range<f64>,
    most_s: f64,
) {
    simulate(
        name,
        0..6,
        |random| {
            let mut upstreams = alike(precise + dates + creeps.len());
            for date in &mut upstreams[precise..precise + dates] {
                *date = date.clone().date();
            }
            let begins_s = random.within(from_s.start, from_s.end);
            for (liar, ppm) in upstreams[precise + dates..].iter_mut().zip(creeps) {
                let lie = Lie::Creeping(Rate::from_ppm(*ppm));
                lies(liar, begins_s, f64::INFINITY, lie);
            }
            world(3.0, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            let worst = worst(seen.between(600.0, 10_800.0));
            let honest = precise + dates;
            println!(
                "{:>30} {:.3} ms, convicted in {:?} of {} cycles",
                "at the worst",
                1e3 * worst,
                &seen.falseticker[honest..],
                seen.cycles
            );
            assert!(worst < most_s, "{worst}");
            // Heard to the end, and nobody else.
            let (_, last) = seen.tallies.last().expect("cycles");
            assert!(last[..precise].iter().all(|tally| tally.survives()));
            assert!(!last[honest..].iter().any(|tally| tally.survives()));
        },
    );
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
fn who_claims_to_be_certain_does_not_lead_two_others_by_all_that_they_leave_open() {
    simulate(
        "two honest, a certain one +8 ms",
        0..8,
        |random| {
            let mut upstreams = alike(2);
            let path = Path::of(0.3, 0.3);
            let mut certain = Server::liar(Lie::Constant(Span::from_millis(8)));
            certain.stamps = Stamps::Sure { share: 0.99 };
            upstreams.push(Upstream::new(path, certain));
            world(1.0, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            let worst = worst(seen.between(300.0, 3_600.0));
            println!("{:>30} {:.3} ms", "at the worst", 1e3 * worst);
            // Two of their sigmas, and a fifth of what they leave open.
            assert!(worst < 0.0045, "{worst}");
        },
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
            let mut upstreams = alike(3);
            let from_s = random.within(0.0, 3_600.0);
            lies(&mut upstreams[2], from_s, f64::INFINITY, CREEPING);
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
fn two_of_five_that_creep_do_not_lead_the_only_precise_one_beside_two_web_servers() {
    let name = "a precise one, two dates, two creep";
    lead_little(name, [1, 2], &[20, 20], 600.0..1_800.0, 0.005);
}

#[test]
fn two_of_five_that_creep_do_not_lead_two_precise_ones_beside_a_web_server() {
    let name = "two precise ones, a date, two creep";
    lead_little(name, [2, 1], &[20, 20], 600.0..1_800.0, 0.002);
}

#[test]
fn three_of_seven_that_creep_find_no_company_among_those_who_know_the_time_less_well() {
    for ppm in [5, 10] {
        simulate(
            &format!("two near, two far, three at {ppm} ppm"),
            0..2,
            |random| {
                let way = |ms| Upstream::honest(Path::of(ms, ms));
                let mut upstreams = [0.3, 0.3, 80.0, 80.0, 1.0, 1.0, 1.0].map(way).to_vec();
                for liar in &mut upstreams[4..] {
                    let lie = Lie::Creeping(Rate::from_ppm(ppm));
                    lies(liar, 900.0, f64::INFINITY, lie);
                }
                // An hour after they were found out nothing has changed.
                world(1.6, &Habits::usual(random), upstreams, random)
            },
            |seen| {
                let worst = worst(seen.between(600.0, 5_760.0));
                println!("{:>30} {:.3} ms", "at the worst", 1e3 * worst);
                assert!(worst < 0.005, "{worst}");
                let (_, last) = seen.tallies.last().expect("cycles");
                assert!(last[..2].iter().all(|tally| tally.survives()));
                assert!(!last[4..].iter().any(|tally| tally.survives()));
            },
        );
    }
}

#[test]
fn who_begins_to_creep_after_an_hour_leads_the_offset_by_less_than_two_milliseconds() {
    let name = "three honest, two creep after 1 h";
    lead_little(name, [3, 0], &[20, 20], 3_600.0..5_400.0, 0.002);
}

#[test]
fn who_begins_to_creep_over_lte_after_hours_leads_the_offset_little_further_than_honest_ones_are_off()
 {
    let way = Way {
        base_ms: 20.0,
        queue_ms: 15.0,
        tail: 0.03,
    };
    let lte = Path {
        up: way,
        down: way,
        ..Path::of(0.0, 0.0)
    };
    simulate(
        "two honest, one creeps after 3 h",
        0..6,
        |random| {
            let mut upstreams = vec![Upstream::honest(lte.clone()); 3];
            let from_s = random.within(9_000.0, 10_800.0);
            lies(&mut upstreams[2], from_s, f64::INFINITY, CREEPING);
            world(4.5, &Habits::usual(random), upstreams, random)
        },
        |seen| {
            let worst = worst(seen.between(9_000.0, 16_200.0));
            println!("{:>30} {:.3} ms", "at the worst", 1e3 * worst);
            assert!(worst < 0.0035, "{worst}");
        },
    );
}

#[test]
fn who_creeps_in_opposite_directions_leads_the_offset_nowhere() {
    let name = "three honest, two creep apart";
    lead_little(name, [3, 0], &[20, -20], 600.0..1_800.0, 0.002);
}

#[test]
fn who_crept_once_counts_again_when_another_is_wrong() {
    simulate(
        "one crept, then another +1 s",
        0..3,
        |random| {
            let mut upstreams = alike(3);
            lies(&mut upstreams[0], 1_800.0, 2_400.0, CREEPING);
            let a_second = Lie::Constant(Span::from_secs(1));
            lies(&mut upstreams[2], 2_500.0, f64::INFINITY, a_second);
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
            let mut upstreams = alike(3);
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
            lies(&mut upstreams[0], 1_200.0, 1_800.0, lie);
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
