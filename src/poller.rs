//! One task for each source: carries out what the source's machine asks for, nothing else.
//!
//! In: a schedule and where to ask. Out: a [`Report`] at the end of every poll. It judges no sample.

mod pulse;

use crate::engine::SourceId;
use crate::engine::exchange::{Exchange, Impossible};
use crate::engine::leap;
use crate::engine::source::{Action, Aftermath, Failure, Report, Source};
use crate::engine::time::{Raw, Span};
use crate::net::{Connection, Deadlines, Error, Target, Tls};
use crate::protocol::decimal::Fixed;
use crate::protocol::plausible::Plausible;
use crate::protocol::refusal::Refusal;
use crate::protocol::stamp::{Rounding, bounds};
use crate::protocol::webntp;
use crate::sys::clock::{raw_now, sleep_until, system_now};
use pulse::Pulse;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// Digits after the point in the stamp that we send; servers echo it.
const SENT_DIGITS: usize = 6;

/// Asks one source for ever.
pub struct Poller {
    /// Which source, as the engine knows it.
    pub id: SourceId,
    /// When to ask.
    pub source: Source,
    /// Whom to ask.
    pub server: Box<dyn Ask>,
    /// Where the polls' ends are told.
    pub reports: mpsc::Sender<PollEnd>,
    /// How the supervisor reaches it.
    pub handle: Arc<Handle>,
}

/// What a poller and its supervisor share.
#[derive(Debug)]
pub struct Handle {
    /// The poller's signs of life.
    pub pulse: Pulse,
    /// Told when it is worth asking at once.
    pub wake: Notify,
}

/// Whom a poller asks: a server on the network, or a test's.
pub trait Ask: Send {
    /// Runs one exchange.
    fn exchange(&mut self) -> Pin<Box<dyn Future<Output = Result<Exchange, Failure>> + Send + '_>>;

    /// Drops what is kept between exchanges.
    fn close(&mut self);

    /// How long an exchange may take at the most.
    fn limit(&self) -> Span;
}

impl Poller {
    /// Runs until nobody listens to the reports any more.
    pub async fn run(mut self) {
        loop {
            let now = raw_now();
            match self.source.next(now) {
                Action::Exchange(ticket) => {
                    self.handle.pulse.promise(now + self.server.limit());
                    let result = self.server.exchange().await;
                    self.source.completed(ticket, raw_now(), result);
                }
                Action::Wait(until) => {
                    self.handle.pulse.promise(until);
                    tokio::select! {
                        () = sleep_until(until) => {}
                        () = self.handle.wake.notified() => self.source.wake(raw_now()),
                    }
                }
                Action::Close => self.server.close(),
                Action::Report(report) => {
                    self.handle.pulse.promise(now);
                    let source = self.id;
                    if self.reports.send(PollEnd { source, report }).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

impl Handle {
    /// For a poller that will have its first turn at once.
    pub fn new(now: Raw) -> Self {
        Self {
            pulse: Pulse::new(now),
            wake: Notify::new(),
        }
    }
}

impl Ask for Upstream {
    fn exchange(&mut self) -> Pin<Box<dyn Future<Output = Result<Exchange, Failure>> + Send + '_>> {
        Box::pin(async {
            Upstream::exchange(self)
                .await
                .map_err(Trouble::into_failure)
        })
    }

    fn close(&mut self) {
        self.connection = None;
    }

    fn limit(&self) -> Span {
        self.deadlines.total()
    }
}

/// How a poll of a source ended.
pub struct PollEnd {
    /// Which source.
    pub source: SourceId,
    /// With or without a sample.
    pub report: Report,
}

/// A server and the connection kept to it.
pub struct Upstream {
    target: Target,
    tls: Arc<Tls>,
    deadlines: Deadlines,
    known: Known,
    connection: Option<Connection>,
}

/// What is known of a server's clock before it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Known {
    /// What it does with the digits that it does not send.
    pub rounding: Rounding,
    /// What must be added to its time to make it right.
    pub offset: Span,
}

/// Why an exchange with an upstream gave nothing.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Trouble {
    error: Cause,
    /// What is left of the connection.
    connection: Aftermath,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Net(#[from] Error),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Impossible(#[from] Impossible),
}

impl Upstream {
    /// An upstream that is not connected yet.
    pub fn new(target: Target, tls: Arc<Tls>, deadlines: Deadlines) -> Self {
        Self {
            target,
            tls,
            deadlines,
            known: Known::default(),
            connection: None,
        }
    }

    /// The same, with what is known of its clock.
    pub fn with_known(self, known: Known) -> Self {
        Self { known, ..self }
    }

    /// Runs one exchange, on the kept connection or a new one; a handshake is never part of what is measured.
    pub async fn exchange(&mut self) -> Result<Exchange, Trouble> {
        self.measure().await.map_err(|error| {
            let connection = match (&error, &self.connection) {
                (Cause::Net(Error::Closed), _) => Aftermath::Stale,
                (_, Some(connection)) if connection.is_open() => Aftermath::Usable,
                _ => Aftermath::Broken,
            };
            Trouble { error, connection }
        })
    }

    /// Drops the connection, if there is one.
    pub fn close(&mut self) {
        self.connection = None;
    }

    async fn measure(&mut self) -> Result<Exchange, Cause> {
        let connection = match &mut self.connection {
            Some(kept) => kept,
            none => none.insert(Connection::open(&self.target, &self.tls, &self.deadlines).await?),
        };
        let asked = Fixed {
            instant: system_now(),
            digits: SENT_DIGITS,
        }
        .to_string();
        let answer = connection.exchange(&asked, &self.deadlines).await?;
        let reply = webntp::parse(&answer.body, &asked, &Plausible::release())?;
        let Known { rounding, offset } = self.known;
        let server = bounds(reply.stamp, rounding);
        let notice = reply.leap;
        Ok(Exchange::new(
            answer.sent,
            answer.received_through(reply.stamp_end),
            server.arrived_before + offset,
            server.departed_after + offset,
            notice.map(|notice| leap::announced(notice.next, notice.step, reply.stamp.instant)),
        )?)
    }
}

impl Trouble {
    /// What the source's machine must know of it.
    pub fn into_failure(self) -> Failure {
        let retry_after = match &self.error {
            Cause::Net(Error::Refused(Refusal::Status { retry_after, .. })) => *retry_after,
            _ => None,
        };
        Failure {
            reason: self.to_string(),
            connection: self.connection,
            retry_after,
        }
    }
}
