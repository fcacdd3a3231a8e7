//! The way between client and server: delays, and where a reply is cut into segments.
//!
//! In: distributions and a seeded generator. Out: durations, and places to cut a message. Not: the waiting and the
//! writing themselves, which belong to the connection.

use std::ops::Range;
use std::time::Duration;

use super::random::Random;

/// A distribution of delays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Delay {
    /// Always the same.
    Fixed(Duration),
    /// Anything between two limits, alike.
    Uniform(Duration, Duration),
    /// Pareto: rarely far longer than `least`, the more so the smaller `shape` is, but never longer than `cap`. This is
    /// also what a retransmission looks like from above.
    HeavyTail {
        /// The shortest.
        least: Duration,
        /// The exponent of the tail, > 0.
        shape: f64,
        /// The longest.
        cap: Duration,
    },
}

impl Delay {
    /// No delay.
    pub(crate) const NONE: Self = Self::Fixed(Duration::ZERO);

    /// Always so many microseconds.
    pub(crate) const fn micros(micros: u64) -> Self {
        Self::Fixed(Duration::from_micros(micros))
    }

    /// One draw.
    pub(crate) fn draw(&self, random: &mut Random) -> Duration {
        match *self {
            Self::Fixed(delay) => delay,
            Self::Uniform(least, most) => least + most.saturating_sub(least).mul_f64(random.unit()),
            Self::HeavyTail { least, shape, cap } => {
                let factor = random.unit().powf(-1.0 / shape);
                let seconds = (least.as_secs_f64() * factor).min(cap.as_secs_f64());
                Duration::from_secs_f64(seconds)
            }
        }
    }
}

/// A place in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Between the headers (or the frame's header) and the body.
    AfterHead,
    /// In the middle of the digits of the first stamp.
    InsideStamp,
    /// Before the last `}`.
    BeforeLastBrace,
    /// After so many bytes.
    Byte(usize),
}

/// A cut of the reply: what follows leaves later, in a segment of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cut {
    /// Where.
    pub(crate) at: Place,
    /// How much later.
    pub(crate) gap: Delay,
}

/// The way of one exchange. All of it is part of what a client measures; none of it touches the truth.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path {
    /// From the client to the server: the request counts as received only after it.
    pub(crate) request: Delay,
    /// Between arrival and stamp.
    pub(crate) think: Delay,
    /// From the server to the client: the reply has its stamp and is held so long before its first byte is written.
    pub(crate) reply: Delay,
    /// Where the reply is cut, in any order.
    pub(crate) cuts: Vec<Cut>,
}

impl Path {
    /// As fast as the loopback goes.
    pub(crate) fn direct() -> Self {
        Self::between(Delay::NONE, Delay::NONE)
    }

    /// A delay each way.
    pub(crate) fn between(request: Delay, reply: Delay) -> Self {
        Self {
            request,
            think: Delay::NONE,
            reply,
            cuts: Vec::new(),
        }
    }

    /// Where a message is cut, ascending; places that it does not have are left out.
    pub(crate) fn cuts_of(&self, message: &Message) -> Vec<(usize, Delay)> {
        let mut cuts: Vec<_> = self
            .cuts
            .iter()
            .filter_map(|cut| Some((message.find(cut.at)?, cut.gap)))
            .collect();
        cuts.sort_by_key(|(at, _)| *at);
        cuts
    }
}

/// The bytes of a reply, with the places that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// What goes on the wire (below it only TLS).
    pub(crate) bytes: Vec<u8>,
    /// Length of the headers, or of the frame's header.
    pub(crate) head: usize,
    /// From the first to the last digit of the first stamp.
    pub(crate) stamp: Option<Range<usize>>,
}

impl Message {
    /// The middle of the stamp; where there is none, of the message.
    pub(crate) fn middle(&self) -> usize {
        self.find(Place::InsideStamp)
            .unwrap_or(self.bytes.len() / 2)
    }

    /// How much of it can leave before the stamp is known: the head, or what precedes the stamp in it.
    pub(crate) fn unstamped(&self) -> usize {
        let stamp = self.stamp.as_ref().map_or(usize::MAX, |stamp| stamp.start);
        self.head.min(stamp)
    }

    fn find(&self, place: Place) -> Option<usize> {
        match place {
            Place::AfterHead => Some(self.head),
            Place::InsideStamp => self.stamp.as_ref().map(|s| s.start.midpoint(s.end)),
            Place::BeforeLastBrace => self.bytes.iter().rposition(|byte| *byte == b'}'),
            Place::Byte(at) => Some(at),
        }
        .filter(|at| *at < self.bytes.len())
    }
}
