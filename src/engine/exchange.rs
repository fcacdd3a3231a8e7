//! One exchange with a server, and the interval that it proves.
//!
//! `departed_after − received ≤ θ ≤ arrived_before − sent`, whatever the protocol and the path.

use super::leap::Leap;
use super::time::{Raw, Span, Theta, Utc};

/// No deadline is longer; it keeps the products of the exact fit within their integers.
const LONGEST: Span = Span::from_secs(3_600);

/// The resolution of a server that tells whole seconds only.
const WHOLE: Span = Span::from_secs(1);

/// The four facts of one exchange, known to be possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    sent: Raw,
    received: Raw,
    arrived_before: Utc,
    departed_after: Utc,
    leap: Option<Leap>,
}

/// Why four stamps cannot be one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// The reply was here before the request had left.
    #[error("the reply was received before the request was sent")]
    Backwards,
    /// It took longer than anybody waits.
    #[error("the exchange took more than an hour")]
    Endless,
    /// The server claims to have held the request for longer than the whole exchange took.
    #[error("the server claims to have taken longer than the whole exchange")]
    TooLongInside,
}

impl Exchange {
    /// * `sent`: not later than the moment when the request left.
    /// * `received`: not earlier than the moment when the reply was here.
    /// * `arrived_before`: upper bound of the server's clock when the request arrived.
    /// * `departed_after`: lower bound of the server's clock when the reply left.
    /// * `leap`: what the server says of leap seconds, if it says anything.
    pub fn new(
        sent: Raw,
        received: Raw,
        arrived_before: Utc,
        departed_after: Utc,
        leap: Option<Leap>,
    ) -> Result<Self, Impossible> {
        if received < sent {
            return Err(Impossible::Backwards);
        }
        if received - sent > LONGEST {
            return Err(Impossible::Endless);
        }
        if departed_after - arrived_before > received - sent {
            return Err(Impossible::TooLongInside);
        }
        Ok(Self {
            sent,
            received,
            arrived_before,
            departed_after,
            leap,
        })
    }

    /// The same with both of the server's stamps moved by `by`.
    pub fn moved(&self, by: Span) -> Self {
        Self {
            arrived_before: self.arrived_before + by,
            departed_after: self.departed_after + by,
            ..*self
        }
    }

    /// When the request left, or a little before.
    pub fn sent(&self) -> Raw {
        self.sent
    }

    /// When the reply was here, or a little after.
    pub fn received(&self) -> Raw {
        self.received
    }

    /// Upper bound of the server's clock when the request arrived.
    pub fn arrived_before(&self) -> Utc {
        self.arrived_before
    }

    /// Lower bound of the server's clock when the reply left.
    pub fn departed_after(&self) -> Utc {
        self.departed_after
    }

    /// What the server says of leap seconds; `None` when it says nothing.
    pub fn leap(&self) -> Option<Leap> {
        self.leap
    }

    /// θ was no greater than this at [`sent`](Self::sent): the server's clock, which does not run
    /// backwards, had not yet reached `arrived_before`.
    pub fn upper(&self) -> Theta {
        self.arrived_before - self.sent
    }

    /// θ was no less than this at [`received`](Self::received).
    pub fn lower(&self) -> Theta {
        self.departed_after - self.received
    }

    /// Middle of the interval: right if both ways take equally long.
    pub fn middle(&self) -> Theta {
        self.lower().midpoint(self.upper())
    }

    /// Raw time midway between request and reply, to which [`middle`](Self::middle) belongs.
    pub fn midway(&self) -> Raw {
        self.sent + (self.received - self.sent).half()
    }

    /// How much of the interval is due to the resolution of the server's stamps and not to the way: none where the server tells
    /// a stay longer than that.
    pub fn coarseness(&self) -> Span {
        (self.arrived_before - self.departed_after).max(Span::ZERO)
    }

    /// The coarseness, if the server tells whole seconds only, else nothing.
    pub fn whole(&self) -> Span {
        let coarseness = self.coarseness();
        if coarseness >= WHOLE {
            coarseness
        } else {
            Span::ZERO
        }
    }

    /// What the same stamps say if a server that tells whole seconds cuts them off, and tells each in time, as nearly all do. The
    /// interval that they prove allows for half a second more where that is not known, and for a text that is kept a little too
    /// long.
    ///
    /// For guesses, never for a bound. Finer stamps are left as they are.
    pub fn likely(&self) -> Self {
        let allowed = self.whole() - WHOLE;
        if allowed < Span::ZERO {
            return *self;
        }
        let rounded = if allowed >= WHOLE.half() {
            WHOLE.half()
        } else {
            Span::ZERO
        };
        let departed_after = self.departed_after + rounded;
        Self {
            departed_after,
            arrived_before: departed_after + WHOLE,
            ..*self
        }
    }

    /// Width of the interval: the round trip without the server's known stay, plus the resolution of its stamps.
    pub fn delay(&self) -> Span {
        self.upper() - self.lower()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(
        sent: i64,
        received: i64,
        arrived: i64,
        departed: i64,
    ) -> Result<Exchange, Impossible> {
        Exchange::new(
            Raw::from_nanos(sent),
            Raw::from_nanos(received),
            Utc::from_nanos(arrived),
            Utc::from_nanos(departed),
            None,
        )
    }

    #[test]
    fn the_interval_is_what_the_stamps_prove() {
        let exchange = exchange(100, 130, 1_111, 1_110).expect("possible");
        assert_eq!(exchange.upper(), Theta::from_nanos(1_011));
        assert_eq!(exchange.lower(), Theta::from_nanos(980));
        assert_eq!(exchange.delay(), Span::from_nanos(31));
        assert_eq!(exchange.coarseness(), Span::from_nanos(1));
        assert_eq!(exchange.middle(), Theta::from_nanos(995));
        assert_eq!(exchange.midway(), Raw::from_nanos(115));
    }

    #[test]
    fn a_whole_second_is_likely_to_be_cut_off_and_told_in_time() {
        let second = 5_000_000_000;
        let of = |before: i64, after: i64| {
            exchange(
                0,
                0,
                second + after * 1_000_000,
                second - before * 1_000_000,
            )
            .expect("possible")
        };
        // By what is known of the server: that it cuts off, nothing, that it rounds; each with an allowance.
        for (before, after, middle) in [(0, 1_020, 500), (500, 1_020, 500), (500, 520, 0)] {
            let likely = of(before, after).likely();
            assert_eq!(likely.delay(), WHOLE);
            assert_eq!(likely.middle().as_nanos(), second + middle * 1_000_000);
        }
        let fine = of(500, 499);
        assert_eq!((fine.likely(), fine.whole()), (fine, Span::ZERO));
    }

    #[test]
    fn a_reply_before_its_request_is_impossible() {
        assert_eq!(exchange(100, 99, 0, 0), Err(Impossible::Backwards));
    }

    #[test]
    fn an_exchange_ends_within_the_hour() {
        let hour = LONGEST.as_nanos();
        assert!(exchange(0, hour, 0, 0).is_ok());
        assert_eq!(exchange(0, hour + 1, 0, 0), Err(Impossible::Endless));
        assert_eq!(exchange(i64::MIN, i64::MAX, 0, 0), Err(Impossible::Endless));
    }

    #[test]
    fn a_server_cannot_hold_a_request_for_longer_than_the_exchange_took() {
        assert!(exchange(100, 130, 1_000, 1_030).is_ok());
        assert_eq!(
            exchange(100, 130, 1_000, 1_031),
            Err(Impossible::TooLongInside)
        );
    }
}
