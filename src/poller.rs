//! One task for each source: carries out what the source's machine asks for, nothing else.
//!
//! In: a schedule and where to ask. Out: a [`Report`] at the end of every poll. It judges no sample.

mod pulse;
mod upstream;

pub use upstream::{Trouble, Upstream, UpstreamSettings};

use crate::engine::SourceId;
use crate::engine::exchange::Exchange;
use crate::engine::poll::Turns;
use crate::engine::source::{Action, Failure, Report, Source};
use crate::engine::time::{Raw, Span};
use crate::sys::clock::{raw_now, sleep_until};
use pulse::Pulse;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};

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
    /// When to ask, once that has been decided.
    pub turns: watch::Sender<Option<Turns>>,
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
        let mut turns = self.handle.turns.subscribe();
        // They may have been decided for a poller before this one.
        turns.mark_changed();
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
                        Ok(()) = turns.changed() => {
                            if let Some(turns) = *turns.borrow_and_update() {
                                self.source.follow(turns, raw_now());
                            }
                        }
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
            turns: watch::Sender::new(None),
        }
    }
}

/// How a poll of a source ended.
pub struct PollEnd {
    /// Which source.
    pub source: SourceId,
    /// With or without a sample.
    pub report: Report,
}
