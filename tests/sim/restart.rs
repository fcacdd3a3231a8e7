//! What it is worth to know the oscillator's rate from an earlier run, in the first minutes after a start.

use crate::machine::World;
use crate::oracle::Point;
use crate::oscillator::Habits;
use crate::path::Path;
use crate::random::Random;
use crate::scenario::{rms, simulate, world};
use crate::server::Server;
use crate::upstream::Upstream;
use std::cell::RefCell;
use webntpd::engine::estimate::Prior;
use webntpd::engine::time::Rate;
use webntpd::protocol::stamp::Rounding;

/// How fast universal time gains on the raw clock (ppm).
const OFF_PPM: f64 = 40.0;

/// What an earlier run found: a little wrong, and it says how much.
const KNOWN: Prior = Prior {
    rate: Rate::from_ppb(39_000),
    sigma: Rate::from_ppm(2),
};

/// The decisions of the first five minutes.
fn decisions(
    name: &str,
    prior: Prior,
    upstreams: impl Fn(&mut Random) -> Vec<Upstream>,
) -> Vec<Point> {
    let points: RefCell<Vec<Point>> = RefCell::default();
    simulate(
        name,
        0..20,
        |random| {
            let habits = Habits {
                rate_ppm: OFF_PPM,
                ..Habits::usual(random)
            };
            let upstreams = upstreams(random);
            World {
                prior,
                ..world(0.1, &habits, upstreams, random)
            }
        },
        |seen| points.borrow_mut().extend(seen.between(0.0, 300.0)),
    );
    points.into_inner()
}

/// RMS of the errors five minutes after each decision, when nothing has come since (seconds).
fn rms_later(points: &[Point]) -> f64 {
    let later = points.iter().map(|point| Point {
        error_s: point.error_later_s,
        ..*point
    });
    rms(&later.collect::<Vec<_>>())
}

/// How many times smaller the errors are with the rate known: when published, and five minutes later. The bounds are the same.
fn worth(name: &str, upstreams: impl Fn(&mut Random) -> Vec<Upstream>) -> (f64, f64) {
    let without = decisions(
        &format!("{name}, rate unknown"),
        Prior::default(),
        &upstreams,
    );
    let with = decisions(&format!("{name}, rate known"), KNOWN, &upstreams);
    let half_widths = |points: &[Point]| points.iter().map(|point| point.half_width_s).collect();
    let (bounds_without, bounds_with): (Vec<f64>, Vec<f64>) =
        (half_widths(&without), half_widths(&with));
    assert_eq!(bounds_without, bounds_with, "a prior proves nothing");
    let (now, later) = (
        rms(&without) / rms(&with),
        rms_later(&without) / rms_later(&with),
    );
    println!("{name}: errors {now:.1} times smaller, {later:.1} times five minutes later");
    (now, later)
}

#[test]
fn over_the_internet_a_known_rate_carries_the_time_on_through_the_first_minutes() {
    let (now, later) = worth("internet", |random| {
        (0..3)
            .map(|_| Upstream::honest(Path::any(random)).at_a_fixed_poll())
            .collect()
    });
    assert!(now > 1.15 && later > 3.0, "{now} {later}");
}

#[test]
fn in_a_lan_a_known_rate_carries_the_time_on_through_the_first_minutes() {
    let (now, later) = worth("LAN", |_| {
        let server = Server {
            digits: 9,
            known: Rounding::Truncates,
            ..Server::default()
        };
        (0..3)
            .map(|_| Upstream::new(Path::of(0.1, 0.1), server.clone()).at_a_fixed_poll())
            .collect()
    });
    assert!(now > 2.5 && later > 6.0, "{now} {later}");
}
