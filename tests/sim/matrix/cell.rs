//! One cell of the matrix: so many servers, such ways to them, such a clock, a minority that lies in one way. A seed decides all.

use crate::machine::World;
use crate::oscillator::Habits;
use crate::path::{Path, Way};
use crate::random::Random;
use crate::scenario::world;
use crate::server::{Episode, Lie, Server, Stamps};
use crate::upstream::Upstream;
use webntpd::engine::time::{Rate, Span};
use webntpd::protocol::stamp::Rounding;

/// How the minority lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// All are honest.
    Nobody,
    /// Each by another constant, from a fifth of a second to an hour.
    Constant,
    /// All by the same, with more servers than one each.
    Together,
    /// By 20 ppm, from some moment on: one of them.
    Creeping,
    /// By 20 ppm in the same direction, from the same moment on: all of them.
    CreepingTogether,
    /// Elsewhere every minute or two.
    Jumping,
    /// To and fro, slowly, within what the others leave open.
    Wandering,
    /// By the same few milliseconds from near by, within what the others leave open, and surer of it than anybody.
    Inside,
    /// In some replies only.
    Fitful,
    /// While some of the honest are out, and silent else.
    Unobserved,
}

impl Family {
    pub(crate) const ALL: [Self; 10] = [
        Self::Nobody,
        Self::Constant,
        Self::Together,
        Self::Creeping,
        Self::CreepingTogether,
        Self::Jumping,
        Self::Wandering,
        Self::Inside,
        Self::Fitful,
        Self::Unobserved,
    ];

    pub(crate) fn creeps(self) -> bool {
        matches!(self, Self::Creeping | Self::CreepingTogether)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    Lan,
    Internet,
    Lte,
    Asymmetric,
    Lossy,
    Outages,
    Rerouted,
}

pub(crate) const NETWORKS: [Network; 7] = [
    Network::Lan,
    Network::Internet,
    Network::Lte,
    Network::Asymmetric,
    Network::Lossy,
    Network::Outages,
    Network::Rerouted,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    Steady,
    Wandering,
    /// The temperature changes, and the rate by up to 1.7 ppm.
    Stepping,
    Suspended,
}

const CLOCKS: [Clock; 4] = [
    Clock::Steady,
    Clock::Wandering,
    Clock::Stepping,
    Clock::Suspended,
];

const SERVERS: [usize; 4] = [3, 4, 5, 7];

/// What becomes of the liars in a world; all else is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liars {
    Lie,
    /// They tell the truth.
    Repent,
    /// They are measured only.
    Unheard,
}

/// What a simulation is about, in a word each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) family: Family,
    pub(crate) network: Network,
    pub(crate) clock: Clock,
    /// Operators, and how many of them lie. The honest ones come first.
    pub(crate) servers: usize,
    pub(crate) liars: usize,
    /// When the daemon is started, and when the lie begins (seconds from the start).
    pub(crate) begins_s: f64,
    pub(crate) from_s: f64,
}

impl Cell {
    /// What `seed` stands for: the families take turns, and in them the numbers of servers; the rest is left to chance.
    pub(crate) fn of(seed: u64) -> (Self, Random) {
        let mut random = Random::new(seed);
        let families = Family::ALL.len() as u64;
        let family = Family::ALL[(seed % families) as usize];
        let servers = SERVERS[(seed / families) as usize % SERVERS.len()];
        let cell = Self {
            family,
            network: NETWORKS[random.pick(NETWORKS.len())],
            clock: CLOCKS[random.pick(CLOCKS.len())],
            servers,
            liars: match family {
                Family::Nobody => 0,
                Family::Creeping => 1,
                _ => (servers - 1) / 2,
            },
            begins_s: random.within(0.0, 16.0),
            from_s: if family.creeps() {
                random.within(0.0, 900.0)
            } else {
                0.0
            },
        };
        (cell, random)
    }

    /// The world that the rest of the seed makes of it.
    pub(crate) fn world(&self, mut random: Random, liars: Liars) -> (World, Random) {
        let hours = if self.family.creeps() { 1.1 } else { 0.5 };
        let habits = self.habits(hours, &mut random);
        let honest = self.servers - self.liars;
        let mut upstreams: Vec<Upstream> = (0..honest)
            .map(|_| upstream(self.path(hours, &mut random), self.server(&mut random)))
            .collect();
        let salt = random.bits();
        for k in 0..self.liars {
            let mut liar = self.liar(k, salt, hours, &mut random);
            match liars {
                Liars::Lie => {}
                Liars::Repent => liar.server.episodes.clear(),
                Liars::Unheard => liar.noselect = true,
            }
            upstreams.push(liar);
        }
        if self.family == Family::Together {
            let accomplices: Vec<_> = (honest..self.servers)
                .map(|k| upstreams[k].clone().run_by(&format!("liar {k}")))
                .collect();
            upstreams.truncate(honest);
            upstreams.extend(accomplices.iter().flat_map(|liar| vec![liar.clone(); 2]));
        }
        if self.family == Family::Unobserved {
            // As many remain as are just more than those who lie; or one that lies is left alone, which is not enough to decide.
            let remaining = if self.liars == 1 && random.happens(0.5) {
                0
            } else {
                self.liars + 1
            };
            let (from, to) = (random.within(200.0, 600.0), random.within(900.0, 1_500.0));
            for upstream in &mut upstreams[remaining..honest] {
                upstream.path.outages.push((from, to));
            }
            for liar in &mut upstreams[honest..] {
                liar.path.outages.extend([(0.0, from), (to, f64::INFINITY)]);
            }
        }
        let world = World {
            begins_s: self.begins_s,
            ..world(hours, &habits, upstreams, &mut random)
        };
        (world, random)
    }

    fn habits(&self, hours: f64, random: &mut Random) -> Habits {
        let usual = Habits::usual(random);
        let at_s = random.within(300.0, hours * 3_600.0 - 300.0);
        match self.clock {
            Clock::Steady => Habits {
                wander_ppm: 0.0,
                wave_ppm: 0.0,
                ..usual
            },
            Clock::Wandering => usual,
            Clock::Stepping => Habits {
                steps: vec![(at_s, random.within(-1.7, 1.7))],
                ..usual
            },
            Clock::Suspended => Habits {
                sleeps: vec![(at_s, 0.2 + random.exponential(1_800.0))],
                ..usual
            },
        }
    }

    fn path(&self, hours: f64, random: &mut Random) -> Path {
        let mut path = match self.network {
            Network::Lan => {
                let ms = random.within(0.1, 0.5);
                Path::of(ms, ms)
            }
            Network::Lte => {
                let way = Way {
                    base_ms: random.within(15.0, 30.0),
                    queue_ms: 15.0,
                    tail: 0.03,
                };
                Path {
                    up: way,
                    down: way,
                    ..Path::of(0.0, 0.0)
                }
            }
            Network::Asymmetric if random.happens(0.5) => Path::of(5.0, 60.0),
            Network::Asymmetric => Path::of(60.0, 5.0),
            _ => Path::any(random),
        };
        let at_s = random.within(100.0, hours * 3_600.0);
        match self.network {
            Network::Lossy => {
                path.loss = 0.1;
                path.up.tail = 0.2;
                path.down.tail = 0.2;
            }
            Network::Outages => path.outages.push((at_s, at_s + random.exponential(300.0))),
            Network::Rerouted => {
                let (up_ms, down_ms) = (random.within(0.0, 40.0), random.within(0.0, 40.0));
                path.routes.push((at_s, up_ms, down_ms));
            }
            _ => {}
        }
        path
    }

    /// An honest server of any kind.
    fn server(&self, random: &mut Random) -> Server {
        let (digits, rounds, known) = [
            (6, false, Rounding::Unknown),
            (6, true, Rounding::Rounds),
            (9, false, Rounding::Truncates),
            // As `x-time` and NICT have it.
            (3, false, Rounding::Truncates),
            (3, true, Rounding::Unknown),
            (6, false, Rounding::Unknown),
            // `Date`. It has no say in rates, so it is no help against those who creep.
            (0, true, Rounding::Unknown),
        ][random.pick(if self.family.creeps() { 6 } else { 7 })];
        let server = Server {
            digits,
            rounds,
            known,
            ..Server::default()
        };
        if digits == 9 {
            return Server {
                // As `ntp` has it: a precision of 2^-20 s.
                stamps: Stamps::Both {
                    resolution: Span::from_nanos(954),
                },
                stay_s: random.within(20e-6, 500e-6),
                ..server
            };
        }
        server
    }

    fn liar(&self, k: usize, salt: u64, hours: f64, random: &mut Random) -> Upstream {
        let common = &mut Random::new(salt);
        let sign = if common.happens(0.5) { 1.0 } else { -1.0 };
        let seconds = |seconds: f64| Span::from_secs_f64(sign * seconds);
        let of_its_own = if random.happens(0.5) { 1.0 } else { -1.0 };
        let lie = match self.family {
            Family::Nobody | Family::Constant => Lie::Constant(Span::from_secs_f64(
                of_its_own * 0.2 * 18_000_f64.powf(random.unit()),
            )),
            Family::Together => Lie::Constant(seconds(0.1 * 20_f64.powf(common.unit()))),
            Family::Creeping | Family::CreepingTogether => {
                Lie::Creeping(Rate::from_ppm(20 * sign as i64))
            }
            Family::Jumping => Lie::Jumping {
                every_s: random.within(40.0, 130.0),
                reach: Span::from_secs_f64(0.005 * 1_000_f64.powf(random.unit())),
                salt: random.bits(),
            },
            Family::Wandering => Lie::Wandering {
                reach: seconds(common.within(0.001, 0.02)),
                period_s: common.within(300.0, 3_600.0),
            },
            Family::Inside => Lie::Constant(seconds(common.within(0.0, 0.03))),
            Family::Fitful => Lie::Fitful {
                share: random.within(0.02, 0.9),
                by: Span::from_secs_f64(of_its_own * 0.002 * 1_000_f64.powf(random.unit())),
                salt: random.bits(),
            },
            Family::Unobserved if k.is_multiple_of(2) => Lie::Constant(seconds(0.05)),
            Family::Unobserved => Lie::Creeping(Rate::from_ppm(20 * sign as i64)),
        };
        let mut server = self.server(random);
        server.episodes.push(Episode {
            from_s: self.from_s,
            to_s: f64::INFINITY,
            lie,
        });
        let mut path = self.path(hours, random);
        if self.family == Family::Inside {
            path = Path::of(0.3, 0.3);
            server.stamps = if k.is_multiple_of(2) {
                Stamps::Sure { share: 0.95 }
            } else {
                Stamps::One
            };
        }
        upstream(path, server)
    }
}

fn upstream(path: Path, server: Server) -> Upstream {
    let is_date = server.digits == 0;
    let upstream = Upstream::new(path, server);
    if is_date { upstream.date() } else { upstream }
}
