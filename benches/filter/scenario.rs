//! The ways and clocks on which the filters are compared, and the exchanges that come of them.

use crate::oscillator::{Habits, Oscillator};
use crate::path::{Path, Way};
use crate::random::Random;
use webntpd::engine::exchange::Exchange;
use webntpd::engine::time::{Raw, Span, Utc};

/// How long one run lasts, and how much of its beginning is not counted (seconds).
pub(crate) const LENGTH_S: f64 = 6.0 * 3_600.0;
pub(crate) const UNCOUNTED_S: f64 = 900.0;

/// When what a scenario is about happens (seconds from the start).
const CHANGE_S: f64 = 2.0 * 3_600.0;

/// One row of the table.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Least delay of one way, and mean of the queues up and down (milliseconds).
    base_ms: f64,
    queues_ms: [f64; 2],
    /// What the server's stamps are cut to.
    resolution: Span,
    outage: bool,
    rate_step_ppm: f64,
    /// Time from one request to the next.
    pub(crate) poll: Span,
    route: Option<Route>,
    /// Whether it counts for the mean of all.
    pub(crate) is_counted: bool,
}

/// A way up that is longer for some time.
struct Route {
    longer_up_ms: f64,
    from_s: f64,
    to_s: f64,
    /// Whether only the first of the servers is behind it.
    is_first_only: bool,
}

const LONGER: Route = Route {
    longer_up_ms: 30.0,
    from_s: CHANGE_S,
    to_s: f64::INFINITY,
    is_first_only: false,
};

const USUAL: Scenario = Scenario {
    name: "10 ms, 2 ms both ways",
    base_ms: 10.0,
    queues_ms: [2.0, 2.0],
    resolution: Span::from_micros(1),
    outage: false,
    rate_step_ppm: 0.0,
    poll: Span::from_secs(16),
    route: None,
    is_counted: true,
};

pub(crate) const ALL: [Scenario; 11] = [
    USUAL,
    Scenario {
        name: "10 ms, 2 ms up, 8 ms down",
        queues_ms: [2.0, 8.0],
        ..USUAL
    },
    Scenario {
        name: "20 ms, 15 ms (LTE)",
        base_ms: 20.0,
        queues_ms: [15.0, 15.0],
        ..USUAL
    },
    Scenario {
        name: "10 ms, 2 ms, stamps of 1 ms",
        resolution: Span::from_millis(1),
        ..USUAL
    },
    Scenario {
        name: "10 ms, 2 ms, outage of an hour",
        outage: true,
        ..USUAL
    },
    Scenario {
        name: "LAN, 0.1 ms, 0.02 ms",
        base_ms: 0.1,
        queues_ms: [0.02, 0.02],
        is_counted: false,
        ..USUAL
    },
    Scenario {
        name: "10 ms, 2 ms, rate steps by 2 ppm",
        rate_step_ppm: 2.0,
        is_counted: false,
        ..USUAL
    },
    Scenario {
        name: "10 ms, 2 ms, polled every second",
        poll: Span::from_secs(1),
        is_counted: false,
        ..USUAL
    },
    Scenario {
        name: "10 ms, 2 ms, route 30 ms longer up",
        route: Some(LONGER),
        is_counted: false,
        ..USUAL
    },
    Scenario {
        name: "the same from 5 min to 2 h only",
        route: Some(Route {
            from_s: 300.0,
            to_s: CHANGE_S,
            ..LONGER
        }),
        is_counted: false,
        ..USUAL
    },
    Scenario {
        name: "the same for good, to one of three",
        route: Some(Route {
            is_first_only: true,
            ..LONGER
        }),
        is_counted: false,
        ..USUAL
    },
];

impl Route {
    fn changes(&self) -> Vec<(f64, f64, f64)> {
        vec![(self.from_s, self.longer_up_ms, 0.0), (self.to_s, 0.0, 0.0)]
    }
}

/// A reply, and what a clock of perfect rate would have made of it.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) exchange: Exchange,
    /// Error of the middle (seconds).
    pub(crate) error_s: f64,
    pub(crate) delay_s: f64,
}

impl Scenario {
    /// An oscillator of up to ±50 ppm, with 0.02 ppm of wander in 1000 s and a wave of 0.1 ppm.
    pub(crate) fn clock(&self, random: &mut Random) -> Oscillator {
        let mut habits = Habits::usual(random);
        if self.rate_step_ppm != 0.0 {
            habits.steps.push((CHANGE_S, self.rate_step_ppm));
        }
        Oscillator::new(&habits, LENGTH_S, random.branch())
    }

    /// Whether it is about so many servers.
    pub(crate) fn is_for(&self, servers: usize) -> bool {
        servers > 1 || self.route.as_ref().is_none_or(|route| !route.is_first_only)
    }

    /// The way to one of the servers.
    pub(crate) fn path(&self, server: usize) -> Path {
        let way = |queue_ms| Way {
            base_ms: self.base_ms,
            queue_ms,
            tail: 0.03,
        };
        let [up, down] = self.queues_ms.map(way);
        let outage = (CHANGE_S, CHANGE_S + 3_600.0);
        let has_route = |route: &&Route| server == 0 || !route.is_first_only;
        let route = self.route.as_ref().filter(has_route);
        Path {
            up,
            down,
            loss: 0.0,
            outages: self.outage.then_some(outage).into_iter().collect(),
            routes: route.map_or_else(Vec::new, Route::changes),
        }
    }

    /// The exchange that begins at `sent`; `None` when nothing gets through.
    pub(crate) fn sample(
        &self,
        clock: &Oscillator,
        path: &Path,
        sent: Raw,
        random: &mut Random,
    ) -> Option<Sample> {
        let at_s = (sent - Oscillator::start()).as_secs_f64();
        let (up, down) = path.delays(at_s, random)?;
        if path.is_out(at_s) {
            return None;
        }
        let stamped = clock.utc(sent) + up;
        let received = clock.raw(stamped + down);
        let unit = self.resolution.as_nanos();
        let stamp = Utc::from_nanos(stamped.as_nanos().div_euclid(unit) * unit);
        let exchange = Exchange::new(sent, received, stamp + self.resolution, stamp, None);
        let exchange = exchange.expect("it happened");
        let error = exchange.middle() - clock.theta(exchange.midway());
        Some(Sample {
            exchange,
            error_s: error.as_secs_f64(),
            delay_s: exchange.delay().as_secs_f64(),
        })
    }
}
