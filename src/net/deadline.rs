//! How long each phase of an exchange may take, so that no peer can hold one open.
//!
//! In: a future and its phase. Out: what it gives, or [`Error::Deadline`]. It does not retry.

use crate::engine::time::Span;
use crate::net::error::Error;
use crate::net::stream::Stamps;
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use tokio::task::unconstrained;
use tokio::time::{sleep, timeout};

/// Longest duration of each phase (each > 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Name look-up.
    pub lookup: Span,
    /// TCP connect, all addresses of the name together.
    pub connect: Span,
    /// TLS handshake.
    pub tls: Span,
    /// WebSocket handshake.
    pub upgrade: Span,
    /// From the request to the first byte that comes back.
    pub first_byte: Span,
    /// From the first byte to the end of the reply.
    pub rest: Span,
}

impl Default for Deadlines {
    /// Five seconds each.
    fn default() -> Self {
        Self::each(Span::from_secs(5))
    }
}

impl Deadlines {
    /// The same for each phase (> 0).
    pub const fn each(limit: Span) -> Self {
        Self {
            lookup: limit,
            connect: limit,
            tls: limit,
            upgrade: limit,
            first_byte: limit,
            rest: limit,
        }
    }

    /// How long an exchange may take in all, on a new connection.
    pub fn total(&self) -> Span {
        self.lookup + self.connect + self.tls + self.upgrade + self.first_byte + self.rest
    }
}

/// A phase of an exchange that has a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Name look-up.
    Lookup,
    /// TCP connect.
    Connect,
    /// TLS handshake.
    Tls,
    /// WebSocket handshake.
    Upgrade,
    /// Waiting for the reply.
    FirstByte,
    /// Reading the reply.
    Rest,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lookup => "answer to the name look-up",
            Self::Connect => "answer to connect",
            Self::Tls => "end of the TLS handshake",
            Self::Upgrade => "end of the WebSocket handshake",
            Self::FirstByte => "answer to the request",
            Self::Rest => "end of the reply",
        })
    }
}

impl Deadlines {
    fn of(&self, phase: Phase) -> Span {
        match phase {
            Phase::Lookup => self.lookup,
            Phase::Connect => self.connect,
            Phase::Tls => self.tls,
            Phase::Upgrade => self.upgrade,
            Phase::FirstByte => self.first_byte,
            Phase::Rest => self.rest,
        }
    }

    pub(super) fn missed(&self, phase: Phase) -> Error {
        let limit = self.of(phase);
        Error::Deadline { phase, limit }
    }

    /// What `future` gives, if it does so in time.
    pub(super) async fn within<T>(
        &self,
        phase: Phase,
        future: impl Future<Output = T>,
    ) -> Result<T, Error> {
        timeout(self.of(phase).to_duration(), future)
            .await
            .map_err(|_| self.missed(phase))
    }

    /// What `exchange` gives, if the first byte comes in time and then the rest does. Bytes of any layer
    /// count as the first: the socket cannot tell a session ticket from a reply.
    pub(super) async fn reply<T>(
        &self,
        stamps: &Stamps,
        exchange: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut exchange = pin!(exchange);
        let mut phase = Phase::FirstByte;
        let mut deadline = pin!(sleep(self.first_byte.to_duration()));
        poll_fn(|cx| {
            if let Poll::Ready(result) = exchange.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            if phase == Phase::FirstByte && stamps.first_read().is_some() {
                phase = Phase::Rest;
                deadline.set(sleep(self.rest.to_duration()));
            }
            // A peer that keeps the exchange busy uses up the task's budget, and a timer without budget would never fire.
            let mut deadline = unconstrained(deadline.as_mut());
            Pin::new(&mut deadline)
                .poll(cx)
                .map(|()| Err(self.missed(phase)))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_limit_holds_for_each_phase() {
        use Phase::{Connect, FirstByte, Lookup, Rest, Tls, Upgrade};
        let limit = Span::from_millis(250);
        let deadlines = Deadlines::each(limit);
        for phase in [Lookup, Connect, Tls, Upgrade, FirstByte, Rest] {
            assert_eq!(deadlines.of(phase), limit, "{phase}");
        }
    }

    #[tokio::test]
    async fn a_missed_deadline_names_phase_and_limit() {
        let deadlines = Deadlines {
            connect: Span::from_millis(50),
            ..Deadlines::default()
        };
        let error = deadlines
            .within(Phase::Connect, std::future::pending::<()>())
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "no answer to connect within 0.05 s");
        let error = Deadlines::default().missed(Phase::Tls);
        assert_eq!(error.to_string(), "no end of the TLS handshake within 5 s");
    }
}
