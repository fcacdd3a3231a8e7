//! The search as a source's machine makes it, against servers and paths that are known.

use super::*;
use crate::engine::estimate::Prior;
use crate::engine::filter::Filter;
use crate::engine::source::{Action, Aftermath, Failure, Fault, Pace, Report, Source, TWO_APART};
use crate::engine::time::Utc;
use proptest::prelude::*;

const PACE: Pace = Pace {
    poll: Span::from_secs(16),
    max_poll: Span::from_secs(64),
    phase: Span::from_secs(5),
    burst: 3,
    coarse: true,
};

const START: Raw = Raw::from_nanos(1_000_000_000_000);

/// A server may have closed a connection that was idle for so long.
const IDLE: Span = Span::from_secs(3);

/// A server that tells whole seconds, and the way to it; times in milliseconds.
#[derive(Clone, Debug)]
struct World {
    seed: u64,
    /// Least delays and mean queues each way.
    up: f64,
    down: f64,
    queue: f64,
    ppm: f64,
    /// How long it may keep the text of a second.
    stale: f64,
    rounds: bool,
    /// One request of so many fails.
    failing: u64,
    /// How long a new connection takes: the first one, and one after a pause.
    connecting: f64,
    /// From the start to a step of the server by so much.
    step: Option<(f64, f64)>,
}

impl World {
    fn of(up: f64, down: f64, queue: f64) -> Self {
        Self {
            seed: 0,
            up,
            down,
            queue,
            ppm: 30.0,
            stale: 0.0,
            rounds: false,
            failing: u64::MAX,
            connecting: 0.0,
            step: None,
        }
    }

    /// Another start, another oscillator.
    fn seeded(&self, seed: u64) -> Self {
        Self {
            seed,
            ppm: (seed as f64 * 0.618).fract() * 100.0 - 50.0,
            ..self.clone()
        }
    }
}

/// Chance: SplitMix64 (Steele, Lea, Flood 2014).
struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

fn ms(millis: f64) -> Span {
    Span::from_secs_f64(millis / 1e3)
}

/// What was known after an exchange; seconds from the start, the others in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Known {
    at: f64,
    due: Raw,
    /// Whether a search ends with it.
    is_found: bool,
    /// Width of what is left, and how far its middle is off.
    left: f64,
    middle: f64,
    /// How far the source's estimate is off, and how far the truth is outside its bound (negative: inside).
    estimate: f64,
    outside: f64,
    least_delay: f64,
    typical_delay: f64,
}

/// Asks until `seconds` have gone, holds every bound against the truth, and every request against manners.
fn ask(world: &World, seconds: f64) -> Vec<Known> {
    let mut chance = Chance(world.seed);
    let theta = (Utc::from_secs(1_800_000_000) + ms(1e3 * chance.unit())) - START;
    let rate = Rate::from_ppt((world.ppm * 1e6) as i64);
    let truth = |at: Raw| {
        let stepped = world.step.filter(|(from, _)| at >= START + ms(from * 1e3));
        theta + rate.over(at - START) + stepped.map_or(Span::ZERO, |(_, by)| ms(by))
    };
    let mut source = Source::new(PACE, START, 1);
    let (mut filter, mut edge) = (Filter::default(), Edge::default());
    let (mut now, mut due, mut all) = (START, START, Vec::new());
    let (mut left_at, mut idle_from) = (Vec::new(), None);
    while now - START < ms(seconds * 1e3) {
        match source.next(now) {
            Action::Wait(until) => {
                due = until;
                now = until + ms(chance.exponential(0.1));
            }
            Action::Exchange(ticket) if chance.bits().is_multiple_of(world.failing) => {
                left_at.push(now);
                now = now + ms(world.up + world.down);
                let failure = Failure {
                    fault: Fault::Server,
                    reason: "busy".into(),
                    connection: Aftermath::Usable,
                    retry_after: None,
                };
                source.completed(ticket, now, Err(failure));
            }
            Action::Exchange(ticket) => {
                let is_new = idle_from.is_none_or(|from| now - from > IDLE);
                let sent = now + ms(if is_new { world.connecting } else { 0.0 }) + ms(0.02);
                left_at.push(sent);
                idle_from = Some(sent);
                let stamped = sent + ms(world.up + chance.exponential(world.queue));
                let received = stamped + ms(world.down + chance.exponential(world.queue));
                let mut clock = stamped + truth(stamped);
                if world.rounds {
                    clock = clock + Span::from_millis(500);
                }
                // It is the second that it tells of which it keeps the text.
                if f64::from(clock.to_parts().1) / 1e6 < world.stale * chance.unit() {
                    clock = clock - Span::from_secs(1);
                }
                // As the protocol reads a `Date`.
                let second = Utc::from_secs(clock.to_parts().0);
                let (before, after) = (Span::from_millis(1_020), Span::from_millis(500));
                let exchange = Exchange::new(sent, received, second + before, second - after, None)
                    .expect("possible");
                filter.add(exchange);
                edge.see(due, &exchange);
                now = received + ms(0.02);
                source.completed(ticket, now, Ok(exchange));
                let reading = filter.read(now, Prior::default()).expect("one is there");
                let (left, bound) = (edge.left(now).expect("one is there"), reading.fit.bound);
                let off = |theta: Theta| 1e3 * (theta - truth(now)).as_secs_f64();
                all.push(Known {
                    at: (sent - START).as_secs_f64(),
                    due,
                    is_found: edge.is_found(now),
                    left: 1e3 * (left.hi - left.lo).as_secs_f64(),
                    middle: off(left.middle()),
                    estimate: off(reading.estimate.theta),
                    outside: off(bound.lo).max(-off(bound.hi)),
                    least_delay: 1e3 * edge.least_delay().as_secs_f64(),
                    typical_delay: 1e3 * edge.typical_delay().as_secs_f64(),
                });
            }
            Action::Report(Report::Sample(_) | Report::Missed { .. }) | Action::Close => {}
        }
    }
    for three in left_at.windows(3) {
        assert!(three[2] - three[0] >= TWO_APART, "{three:?} {world:?}");
    }
    all
}

/// The exchanges of the first search.
fn search(known: &[Known]) -> &[Known] {
    let most = &known[..known.len().min(QUICK as usize + 1)];
    let found = most.iter().position(|known| known.is_found);
    &most[..found.map_or(most.len(), |last| last + 1)]
}

/// The median, and the greatest.
fn figures(values: impl Iterator<Item = f64>) -> String {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.last() {
        Some(last) => format!("{:6.2} {last:6.2}", values[values.len() / 2]),
        None => format!("{:>6} {:>6}", "-", "-"),
    }
}

/// Searches with many starts; prints what they came to.
fn searches(name: &str, world: &World) -> Vec<Vec<Known>> {
    let followed = |seed: u64| seed.is_multiple_of(10);
    let runs: Vec<Vec<Known>> = (0..300)
        .map(|seed| {
            ask(
                &world.seeded(seed),
                if followed(seed) { 400.0 } else { 30.0 },
            )
        })
        .collect();
    for known in runs.iter().flatten() {
        assert!(known.outside <= 0.0, "{name}: {known:?}");
    }
    let mut row = format!("{name:24}");
    for limit in [10.0, 1.0] {
        let found = runs.iter().filter_map(|run| {
            let first = search(run).iter().position(|known| known.left <= limit);
            first.map(|k| ((k + 1) as f64, run[k].at))
        });
        row += &format!(
            " | {:3} {} {}",
            found.clone().count(),
            figures(found.clone().map(|(count, _)| count)),
            figures(found.map(|(_, at)| at))
        );
    }
    let ends = || runs.iter().map(|run| search(run)[search(run).len() - 1]);
    let followed = runs.iter().step_by(10).map(|run| run[run.len() - 1]);
    row += &format!(
        " | {} {} | {} | {} | {} | {}",
        figures(runs.iter().map(|run| search(run).len() as f64)),
        figures(ends().map(|end| end.at)),
        figures(ends().map(|end| end.left / 2.0)),
        figures(ends().map(|end| end.middle.abs())),
        figures(ends().map(|end| end.estimate.abs())),
        figures(followed.map(|known| known.estimate.abs())),
    );
    println!("{row}");
    runs
}

#[test]
fn the_edge_is_found_to_a_millisecond_or_as_well_as_the_path_allows() {
    println!(
        "of 300 starts so many came within 10 ms and within 1 ms, after so many requests and seconds (median, greatest); requests and \
         seconds to the end of the search; there: half of what is left, error of its middle, error of the estimate (ms); error after 400 s"
    );
    for (name, each_way, queue) in [("0.05 ms each way", 0.05, 0.02), ("0.3 ms", 0.3, 0.02)] {
        let runs = searches(name, &World::of(each_way, each_way, queue));
        let mut rough = 0;
        for run in &runs {
            let found = search(run).iter().position(|known| known.left <= 1.0);
            let found = found.expect("it was found");
            let end = search(run)[search(run).len() - 1];
            assert!(found < 14 && run[found].at <= 8.0, "{:?}", search(run));
            rough += usize::from(end.estimate.abs() > 0.5);
            assert!(run[found].middle.abs() <= 0.5, "{:?}", search(run));
            assert!(end.middle.abs() <= 0.5, "{:?}", search(run));
            assert!(end.estimate.abs() <= 0.6, "{:?}", search(run));
        }
        assert!(rough * 100 <= runs.len(), "{name}: {rough}");
    }
    // What a queue adds to a round trip is as wide as what is left in the end.
    for run in searches("1 ms, queue 0.1 ms", &World::of(1.0, 1.0, 0.1)) {
        let end = search(&run)[search(&run).len() - 1];
        assert!(end.left <= 2.0 && end.middle.abs() <= 1.0, "{end:?}");
        assert!(end.estimate.abs() <= 1.0, "{end:?}");
    }
    for (name, down, queue) in [
        ("10 ms, queue 1 ms", 10.0, 1.0),
        ("10 ms, queue 5 ms", 10.0, 5.0),
        ("10 ms up, 30 ms down", 30.0, 2.0),
    ] {
        let mut wide = 0;
        let runs = searches(name, &World::of(10.0, down, queue));
        for run in &runs {
            let end = search(run)[search(run).len() - 1];
            // What is unsure is the round trip at the most, as a rule; half of what its two ways may differ by can be wrong besides.
            wide += usize::from(end.left > end.typical_delay);
            assert!(end.middle.abs() <= (end.left + end.least_delay) / 2.0);
        }
        assert!(wide * 50 <= runs.len(), "{name}: {wide}");
    }
    let late = World {
        stale: 20.0,
        ..World::of(10.0, 10.0, 1.0)
    };
    for run in searches("10 ms, 20 ms late", &late) {
        let end = search(&run)[search(&run).len() - 1];
        assert!(end.left <= end.typical_delay + 20.0, "{end:?}");
        assert!(end.middle.abs() <= end.left / 2.0 + 20.0, "{end:?}");
    }
}

#[test]
fn what_is_left_stays_narrow_while_the_edge_is_followed() {
    for seed in 0..20 {
        let run = ask(&World::of(1.0, 1.0, 0.1).seeded(seed), 1_200.0);
        for known in run.iter().filter(|known| known.at > 300.0) {
            assert!(known.left < 1.5, "seed {seed}: {known:?}");
            assert!(known.estimate.abs() < 0.5, "seed {seed}: {known:?}");
        }
    }
}

#[test]
fn every_poll_is_aimed_and_none_is_far_from_its_turn() {
    let run = ask(&World::of(10.0, 10.0, 1.0), 1_200.0);
    let polls = &run[search(&run).len()..];
    assert!(polls.len() > 60);
    for known in polls {
        let since = (known.due - Raw::from_nanos(0)) - PACE.phase;
        let apart = since.as_nanos().rem_euclid(PACE.poll.as_nanos());
        let apart = apart.min(PACE.poll.as_nanos() - apart);
        assert!(apart < 1_100_000_000, "{known:?}");
    }
    // One that comes at a random place in the second meets what is left once in a hundred times.
    let mut narrowed = 0;
    for two in polls.windows(2) {
        narrowed += usize::from(two[1].left < two[0].left + 1.0);
    }
    assert!(narrowed > polls.len() / 3, "{narrowed}");
}

#[test]
fn a_server_that_steps_is_searched_for_again_but_not_over_and_over() {
    for (seed, by) in (0..).zip([300.0, -300.0, 4_321.0, -77_777.0]) {
        let world = World {
            step: Some((1_000.0, by)),
            ..World::of(1.0, 1.0, 0.1).seeded(seed)
        };
        let run = ask(&world, 1_300.0);
        let before = run.iter().filter(|known| known.at < 1_000.0).count();
        let after = &run[before..];
        assert!(after.len() <= 16 + 300 / 16 + 1, "{}", after.len());
        let last = after[after.len() - 1];
        assert!(last.left < 3.0 && last.middle.abs() < 1.5, "{last:?}");
    }
    // One that always does is asked little more than any other.
    let mut asked = 0;
    let mut source = Source::new(PACE, START, 1);
    let mut now = START;
    while now - START < Span::from_secs(7_200) {
        match source.next(now) {
            Action::Wait(until) => now = until,
            Action::Exchange(ticket) => {
                asked += 1;
                let second = Utc::from_secs(1_800_000_000 + 1_000 * asked);
                let lasting = Span::from_secs(1);
                let exchange = Exchange::new(now, now, second + lasting, second, None);
                source.completed(ticket, now, Ok(exchange.expect("possible")));
            }
            _ => {}
        }
    }
    assert!(asked < 7_200 / 16 * 3 / 2 + 16, "{asked}");
}

#[test]
fn a_server_that_turns_out_to_tell_whole_seconds_is_aimed_at_from_then_on() {
    let pace = Pace {
        coarse: false,
        ..PACE
    };
    let mut source = Source::new(pace, START, 1);
    let second = Utc::from_secs(1_800_000_000);
    for (resolution, aimed) in [(1, false), (1_000, true)] {
        let now = source_is_due(&mut source);
        let Action::Exchange(ticket) = source.next(now) else {
            panic!("an exchange is due");
        };
        let resolution = Span::from_millis(resolution);
        let exchange = Exchange::new(now, now, second + resolution, second, None);
        source.completed(ticket, now, Ok(exchange.expect("possible")));
        assert_eq!(source.is_aimed(), aimed);
    }
}

/// When it wants to ask next.
fn source_is_due(source: &mut Source) -> Raw {
    loop {
        if let Action::Wait(due) = source.next(Raw::from_nanos(i64::MIN)) {
            return due;
        }
    }
}

#[test]
fn a_later_search_keeps_a_second_apart_and_finds_the_edge_as_well() {
    for seed in 0..20 {
        let world = World {
            step: Some((1_000.0, 400.0)),
            ..World::of(1.0, 1.0, 0.1).seeded(seed)
        };
        let run = ask(&world, 1_300.0);
        let pairs = || run.windows(2).map(|two| (two[0].at, two[1].at - two[0].at));
        let later = pairs().filter(|(at, _)| *at > 100.0);
        let nearest = later.clone().map(|(_, apart)| apart);
        let nearest = nearest.fold(f64::INFINITY, f64::min);
        assert!(nearest > 0.999, "seed {seed}: {nearest}");
        assert!(later.filter(|(_, apart)| *apart < 3.0).count() > 5);
        assert!(pairs().any(|(_, apart)| apart < 0.9));
        let last = run[run.len() - 1];
        assert!(last.left < 3.0 && last.middle.abs() < 1.5, "{last:?}");
    }
}

#[test]
fn an_edge_is_not_lost_for_half_of_the_time_that_it_is_remembered_however_rare_requests_are() {
    let mut edge = Edge::default();
    let told = |now: Raw, second| {
        let told = Utc::from_secs(second);
        Exchange::new(now, now, told + Span::from_secs(1), told, None).expect("possible")
    };
    let after = START + Span::from_millis(1_001);
    edge.see(START, &told(START, 1_800_000_000));
    edge.see(after, &told(after, 1_800_000_002));
    let is_lost = |later: Span| edge.is_lost(after + later, after + later + MEMORY.times(2));
    let half = MEMORY.half();
    assert!(!is_lost(Span::ZERO) && !is_lost(half - Span::from_secs(2)));
    assert!(is_lost(half));
}

#[test]
fn an_edge_that_will_be_forgotten_before_the_next_request_is_lost() {
    let mut edge = Edge::default();
    let second = Utc::from_secs(1_800_000_000);
    let seen_at = |now: Raw, told: Utc| {
        Exchange::new(now, now, told + Span::from_secs(1), told, None).expect("possible")
    };
    let (before, after) = (START, START + Span::from_millis(1_001));
    // One at the end of a second, one at the beginning of the next but one.
    edge.see(before, &seen_at(before, second));
    edge.see(after, &seen_at(after, second + Span::from_secs(2)));
    let late = START + MEMORY - Span::from_secs(9);
    let third = late.max(after) + Span::from_millis(500);
    edge.see(
        late,
        &seen_at(third, second + ((third + Span::from_secs(1)) - START)),
    );
    assert!(!edge.is_lost(third, third));
    assert!(edge.is_lost(third, third + Span::from_secs(16)));
    edge.see(
        third,
        &seen_at(
            third + Span::from_secs(16),
            second + ((third + Span::from_secs(17)) - START),
        ),
    );
    assert_eq!(edge.seen.len(), 2);
}

#[test]
fn a_request_that_fails_in_the_middle_costs_time_only() {
    for seed in 0..20 {
        let world = World {
            failing: 4,
            ..World::of(1.0, 1.0, 0.1).seeded(seed)
        };
        let run = ask(&world, 900.0);
        let last = run[run.len() - 1];
        assert!(last.left < 4.0 && last.middle.abs() < 2.0, "{last:?}");
    }
}

#[test]
fn seconds_that_are_told_late_are_no_reason_to_search_for_ever() {
    for seed in 0..20 {
        let world = World {
            stale: 20.0,
            ..World::of(1.0, 1.0, 0.1).seeded(seed)
        };
        let run = ask(&world, 600.0);
        let last = run[run.len() - 1];
        assert!(search(&run).len() <= 17 && run.len() <= 16 + 600 / 16 + 1);
        assert!(last.left < 50.0 && last.estimate.abs() < 25.0, "{last:?}");
    }
}

/// Anything, often near the ends or near to others.
fn absurd() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        Just(i64::MIN),
        Just(i64::MAX),
        0i64..4_000_000_000_000,
        (0i64..20).prop_map(|seconds| seconds * 1_000_000_000),
        (0i64..9).prop_map(|days| days * 86_400_000_000_000),
    ]
}

#[test]
fn what_is_left_goes_along_with_a_leap_second_once() {
    let second = |seconds: i64| START + Span::from_secs(seconds);
    let whole = |sent: Raw, ahead: i64| {
        let told = Utc::from_secs((sent - START).as_nanos() / 1_000_000_000 + ahead);
        let received = sent + Span::from_millis(20);
        let stamps = (
            told + Span::from_millis(1_020),
            told - Span::from_millis(500),
        );
        Exchange::new(sent, received, stamps.0, stamps.1, None).expect("possible")
    };
    let silence = Silence {
        from: second(100),
        to: second(103),
        shift: Span::from_secs(-1),
    };
    let mut edge = Edge::default();
    for seconds in [70, 80, 90] {
        edge.see(second(seconds), &whole(second(seconds), 7));
    }
    let before = edge.left(second(110)).expect("some are there");
    edge.pass(&silence, &whole(second(95), 7));
    assert_eq!(edge.left(second(110)), Some(before), "it has not passed");
    let after = whole(second(110), 6);
    edge.pass(&silence, &after);
    let moved = Bound {
        lo: before.lo - Span::from_secs(1),
        hi: before.hi - Span::from_secs(1),
    };
    assert_eq!(edge.left(second(110)), Some(moved));
    edge.see(second(110), &after);
    let left = edge.left(second(120));
    edge.pass(&silence, &whole(second(120), 6));
    assert_eq!(edge.left(second(120)), left, "it has passed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_truth_is_inside_and_the_server_is_not_pressed(
        seed: u64,
        (up, down, queue) in (0.01f64..100.0, 0.01f64..100.0, 0.0f64..30.0),
        ppm in -500.0f64..500.0,
        stale in prop_oneof![Just(0.0), 0.0f64..20.0],
        rounds: bool,
        failing in prop_oneof![Just(u64::MAX), 3u64..20],
        connecting in 0.0f64..400.0,
    ) {
        let world = World { seed, up, down, queue, ppm, stale, rounds, failing, connecting, step: None };
        let run = ask(&world, 200.0);
        let error = if rounds { 500.0 } else { 0.0 };
        for known in &run {
            prop_assert!(known.outside <= 0.0, "{known:?}");
            // Half of the way is what its two parts may differ by, if the rate is usual. What is a second wide may be the one before.
            if ppm.abs() <= 60.0 && known.left < 1_000.0 {
                let outside = (known.middle - error).abs() - known.left / 2.0;
                prop_assert!(outside <= known.least_delay / 2.0 + stale + 0.001, "{known:?}");
            }
        }
    }

    #[test]
    fn no_source_however_absurd_its_exchanges_brings_its_machine_or_its_filter_down(
        exchanges in prop::collection::vec((absurd(), 0i64..3_600_000_000_000, absurd(), 0i64..3_000_000_000, absurd()), 1..40),
    ) {
        let (mut source, mut filter) = (Source::new(PACE, START, 1), Filter::default());
        let mut edge = Edge::default();
        let mut now = START;
        for (sent, taken, stamp, coarse, at) in exchanges {
            let (sent, taken) = (Raw::from_nanos(sent), Span::from_nanos(taken));
            let stamp = Utc::from_nanos(stamp);
            let at = Raw::from_nanos(at);
            let Ok(exchange) = Exchange::new(sent, sent + taken, stamp + Span::from_nanos(coarse), stamp, None) else {
                continue;
            };
            filter.add(exchange);
            let _ = filter.read(at, Prior::default());
            edge.see(at, &exchange);
            for earliest in [at, exchange.received() + Span::from_secs(16)] {
                let _ = edge.aim(earliest, None);
            }
            let _ = (edge.left(at), edge.is_found(at), edge.is_lost(at, sent));
            for _ in 0..4 {
                match source.next(now) {
                    Action::Exchange(ticket) => source.completed(ticket, now, Ok(exchange)),
                    Action::Wait(until) => now = now.max(until),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn nothing_absurd_panics(
        exchanges in prop::collection::vec((any::<i64>(), 0i64..i64::MAX / 2, any::<i64>(), 0i64..3_000_000_000), 0..12),
        (earliest, free) in (any::<i64>(), any::<i64>()),
    ) {
        let mut edge = Edge::default();
        for (sent, taken, stamp, coarse) in exchanges {
            let (sent, taken) = (Raw::from_nanos(sent), Span::from_nanos(taken));
            let stamp = Utc::from_nanos(stamp);
            if let Ok(exchange) = Exchange::new(sent, sent + taken, stamp + Span::from_nanos(coarse), stamp, None) {
                edge.see(sent, &exchange);
                let _ = edge.aim(Raw::from_nanos(earliest), Some(Raw::from_nanos(free)));
                let _ = (edge.left(Raw::from_nanos(earliest)), edge.is_found(sent), edge.is_lost(sent, Raw::from_nanos(earliest)));
            }
        }
    }
}
