//! The parts that need no wire: the clock's line, its face, the delays.

use std::time::Duration;

use crate::fake::random::Random;
use crate::fake::{Delay, Face, KnownClock, Rounding, SECOND_NS, raw_now};

fn face(digits: u8, rounding: Rounding) -> Face {
    Face {
        digits,
        rounding,
        cached: None,
    }
}

#[test]
fn theta_is_a_line_over_the_raw_clock() {
    let now = raw_now();
    let still = KnownClock::sample();
    assert_eq!(still.theta(now), still.theta(now + 1_000 * SECOND_NS));
    assert_eq!(still.ahead_by(-5).theta(now), still.theta(now) - 5);
    let fast = still.gaining(20_000);
    assert_eq!(fast.theta(now + SECOND_NS), fast.theta(now) + 20_000);
}

#[test]
fn truncation_cuts_off_and_keeps_leading_zeros() {
    let show = |digits, ns| face(digits, Rounding::Truncate).show(ns);
    assert_eq!(show(6, 5 * SECOND_NS + 9_999), "5.000009");
    assert_eq!(show(9, 5 * SECOND_NS + 1), "5.000000001");
    assert_eq!(show(0, 6 * SECOND_NS - 1), "5");
}

#[test]
fn rounding_to_the_nearest_carries_into_the_seconds() {
    let show = |digits, ns| face(digits, Rounding::Nearest).show(ns);
    assert_eq!(show(6, 6 * SECOND_NS - 501), "5.999999");
    assert_eq!(show(6, 6 * SECOND_NS - 500), "6.000000");
    assert_eq!(show(0, 6 * SECOND_NS - 500_000_000), "6");
}

#[test]
fn rounding_without_carry_prints_a_digit_too_many() {
    let show = |ns| face(6, Rounding::NearestWithoutCarry).show(ns);
    assert_eq!(show(6 * SECOND_NS - 500), "5.1000000");
    assert_eq!(show(6 * SECOND_NS - 501), "5.999999");
    assert_eq!(show(6 * SECOND_NS), "6.000000");
}

#[test]
fn delays_stay_within_their_limits_and_repeat_with_their_seed() {
    let (least, most) = (Duration::from_micros(200), Duration::from_millis(3));
    let tail = Delay::HeavyTail {
        least,
        shape: 1.0,
        cap: most,
    };
    for delay in [Delay::Uniform(least, most), tail] {
        let draws = |stream| -> Vec<_> {
            let mut random = Random::new(7, stream);
            (0..1_000).map(|_| delay.draw(&mut random)).collect()
        };
        let some = draws(1);
        assert!(some.iter().all(|drawn| (least..=most).contains(drawn)));
        assert_eq!(some, draws(1));
        assert_ne!(some, draws(2));
    }
}

#[test]
fn a_heavy_tail_is_mostly_short_and_sometimes_as_long_as_may_be() {
    let (least, cap) = (Duration::from_millis(1), Duration::from_millis(50));
    let delay = Delay::HeavyTail {
        least,
        shape: 1.0,
        cap,
    };
    let mut random = Random::new(7, 0);
    let draws: Vec<_> = (0..1_000).map(|_| delay.draw(&mut random)).collect();
    let short = draws.iter().filter(|drawn| **drawn < 2 * least).count();
    let longest = draws.iter().filter(|drawn| **drawn == cap).count();
    assert!((400..600).contains(&short), "{short} of 1000 are short");
    assert!((5..50).contains(&longest), "{longest} of 1000 are capped");
}
