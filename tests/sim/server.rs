//! A server: what its clock shows, how it writes that down, and what it does to its connections.

use crate::oscillator::Midnight;
use crate::random::Random;
use webntpd::engine::leap::{Leap, announced};
use webntpd::engine::time::{Rate, Raw, Span, Utc};
use webntpd::protocol::decimal::{DecimalSeconds, Fixed};
use webntpd::protocol::stamp::{Rounding, ServerBounds, bounds};

/// How a server's clock is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lie {
    /// By always as much.
    Constant(Span),
    /// More and more, from the moment when it begins.
    Creeping(Rate),
    /// Elsewhere every so many seconds, up to so much either way.
    Jumping {
        every_s: f64,
        reach: Span,
        salt: u64,
    },
    /// Slowly from so much behind to as much ahead and back.
    Wandering { reach: Span, period_s: f64 },
    /// By so much in some of the replies, as chance has it; else not at all.
    Fitful { share: f64, by: Span, salt: u64 },
}

/// What a server tells of the moments when the request came and when the reply left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stamps {
    /// One stamp taken in between, written in decimal digits.
    One,
    /// Both, each good to so much, as NTP servers tell them.
    Both { resolution: Span },
    /// A lie: that nearly all of the round trip was its own stay, so that hardly anything is left open (0 to 1: all).
    Sure { share: f64 },
}

/// A lie and when it is told (seconds from the start).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Episode {
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    pub(crate) lie: Lie,
}

impl Episode {
    pub(crate) fn always(lie: Lie) -> Self {
        Self {
            from_s: 0.0,
            to_s: f64::INFINITY,
            lie,
        }
    }
}

/// What a server knows of a leap second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeapSecond {
    /// It says so, and its clock has it.
    Told,
    /// Its clock has it.
    Followed,
    /// Its clock has it little by little, from noon to noon.
    Smeared,
    /// It says that one is inserted, whatever comes.
    Claimed,
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) episodes: Vec<Episode>,
    pub(crate) leap_second: LeapSecond,
    /// Digits that it writes after the point.
    pub(crate) digits: usize,
    pub(crate) stamps: Stamps,
    /// How long it takes for a reply at the mean (seconds).
    pub(crate) stay_s: f64,
    /// Whether it rounds to the nearest instead of cutting digits off.
    pub(crate) rounds: bool,
    /// What we are told that it does.
    pub(crate) known: Rounding,
    /// It closes a connection after so many requests.
    pub(crate) requests_per_connection: u32,
    /// It closes a connection that was idle for so long (seconds).
    pub(crate) patience_s: f64,
    /// How often it closes a new connection without an answer.
    pub(crate) slams: f64,
    /// How often it answers with an error, and how often it asks to be left alone then.
    pub(crate) refuses: f64,
    pub(crate) asks_for_silence: f64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            episodes: Vec::new(),
            leap_second: LeapSecond::Followed,
            digits: 6,
            stamps: Stamps::One,
            stay_s: 100e-6,
            rounds: false,
            known: Rounding::Unknown,
            requests_per_connection: u32::MAX,
            patience_s: 60.0,
            slams: 0.0,
            refuses: 0.0,
            asks_for_silence: 0.0,
        }
    }
}

impl Server {
    /// One that has told this lie for ever.
    pub(crate) fn liar(lie: Lie) -> Self {
        Self {
            episodes: vec![Episode::always(lie)],
            ..Self::default()
        }
    }

    /// How much its clock is ahead.
    pub(crate) fn error(&self, start: Raw, at: Raw) -> Span {
        let at_s = (at - start).as_secs_f64();
        let told = self.episodes.iter();
        told.filter(|episode| episode.from_s <= at_s && at_s < episode.to_s)
            .map(|episode| match episode.lie {
                Lie::Constant(by) => by,
                Lie::Creeping(rate) => rate.over(Span::from_secs_f64(at_s - episode.from_s)),
                Lie::Jumping {
                    every_s,
                    reach,
                    salt,
                } => {
                    let place = (at_s / every_s) as u64;
                    let mut random = Random::new(salt ^ place.wrapping_mul(0x9e37_79b9));
                    Span::from_secs_f64(reach.as_secs_f64() * random.within(-1.0, 1.0))
                }
                Lie::Wandering { reach, period_s } => {
                    let turn = std::f64::consts::TAU * (at_s - episode.from_s) / period_s;
                    Span::from_secs_f64(reach.as_secs_f64() * turn.sin())
                }
                Lie::Fitful { share, by, salt } => {
                    let mut random = Random::new(salt ^ at.as_nanos().cast_unsigned());
                    if random.happens(share) {
                        by
                    } else {
                        Span::ZERO
                    }
                }
            })
            .fold(Span::ZERO, |sum, error| sum + error)
    }

    /// What its clock shows more for the sake of a leap second.
    pub(crate) fn leapt(&self, midnight: Option<Midnight>, at: Raw) -> Span {
        let Some(midnight) = midnight else {
            return Span::ZERO;
        };
        let since_s = (at - midnight.raw).as_secs_f64();
        let part = match self.leap_second {
            LeapSecond::Smeared => (since_s / 86_400.0 + 0.5).clamp(0.0, 1.0),
            _ => f64::from(u8::from(since_s >= 0.0)),
        };
        Span::from_secs_f64(midnight.shift().as_secs_f64() * part)
    }

    /// What it says of leap seconds when its clock shows `clock`.
    pub(crate) fn says(&self, midnight: Option<Midnight>, clock: Utc) -> Option<Leap> {
        let midnight = midnight?;
        match self.leap_second {
            LeapSecond::Told => Some(announced(midnight.utc, midnight.step, clock)),
            LeapSecond::Claimed => Some(announced(midnight.utc, 1, clock)),
            LeapSecond::Followed | LeapSecond::Smeared => None,
        }
    }

    /// What its answer proves when its clock shows `clock`, by way of the digits that it writes.
    pub(crate) fn stamp(&self, clock: Utc) -> ServerBounds {
        let unit = 10i64.pow(9 - self.digits as u32);
        let instant = if self.rounds {
            clock + Span::from_nanos(unit / 2)
        } else {
            clock
        };
        let written = Fixed {
            instant,
            digits: self.digits,
        }
        .to_string();
        let stamp = DecimalSeconds::parse(written.as_bytes()).expect("a plain number");
        bounds(stamp, self.known)
    }

    /// What its answer proves when its clock showed these at the arrival, in between and at the departure, after a way of `up` and
    /// before one of `down`.
    pub(crate) fn bounds(
        &self,
        [arrival, between, departure]: [Utc; 3],
        [up, down]: [Span; 2],
    ) -> ServerBounds {
        match self.stamps {
            Stamps::One => self.stamp(between),
            Stamps::Both { resolution } => ServerBounds {
                arrived_before: arrival + resolution,
                departed_after: departure - resolution,
            },
            Stamps::Sure { share } => {
                let part = |way: Span| Span::from_secs_f64(share * way.as_secs_f64());
                ServerBounds {
                    arrived_before: arrival - part(up),
                    departed_after: departure + part(down),
                }
            }
        }
    }
}
