//! One task for each source: carries out what the source's machine asks for, nothing else.
//!
//! In: a schedule and where to ask. Out: a [`Report`] at the end of every poll; before the first one, where that is not known, what
//! the server speaks. It judges no sample.

mod finder;
mod pulse;
mod upstream;

pub use finder::Finder;
pub use upstream::{Trouble, Upstream, UpstreamSettings};

use crate::engine::SourceId;
use crate::engine::exchange::Exchange;
use crate::engine::passage::Silence;
use crate::engine::poll::Turns;
use crate::engine::source::{Action, Failure, Report, Source};
use crate::engine::time::{Raw, Span};
use crate::protocol::kind::Kind;
use crate::sys::clock::{raw_now, sleep_in_time, sleep_until};
use pulse::Pulse;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
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
    /// Where it is told what the server speaks, if that had to be found out.
    pub findings: mpsc::Sender<Found>,
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
    /// When it is to ask nobody.
    pub hush: Hush,
    /// When to ask, once that has been decided.
    pub turns: watch::Sender<Option<Turns>>,
}

/// A time in which nobody is to be asked, if there is one.
#[derive(Debug, Default)]
pub struct Hush(Mutex<Option<Silence>>);

impl Hush {
    /// From now on it is this one.
    pub fn set(&self, silence: Option<Silence>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = silence;
    }

    fn get(&self) -> Option<Silence> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom a poller asks: a server on the network, or a test's.
pub trait Ask: Send {
    /// Runs one exchange.
    fn exchange(&mut self) -> Pin<Box<dyn Future<Output = Result<Exchange, Failure>> + Send + '_>>;

    /// Asks one question of what the server speaks, if that is not known: no exchange can be run before. Gives the kind once it is
    /// known.
    fn find_out(&mut self) -> Option<FindingOut<'_>> {
        None
    }

    /// Drops what is kept between exchanges.
    fn close(&mut self);

    /// How long an exchange may take at the most.
    fn limit(&self) -> Span;
}

/// A question of what a server speaks.
pub type FindingOut<'a> = Pin<Box<dyn Future<Output = Result<Option<Kind>, Failure>> + Send + 'a>>;

impl Poller {
    /// Runs until nobody listens to the reports any more, or until it has found out what the server speaks: that changes how it is
    /// asked, and another poller takes over.
    pub async fn run(mut self) {
        let mut turns = self.handle.turns.subscribe();
        // They may have been decided for a poller before this one.
        turns.mark_changed();
        loop {
            let now = raw_now();
            self.source.hush(self.handle.hush.get());
            match self.source.next(now) {
                Action::Exchange(ticket) => {
                    self.handle.pulse.promise(now + self.server.limit());
                    let finding = match self.server.find_out() {
                        Some(finding) => Some(finding.await),
                        None => None,
                    };
                    let result = match finding {
                        None => self.server.exchange().await,
                        Some(Err(failure)) => Err(failure),
                        Some(Ok(None)) => {
                            self.source.goes_on(ticket, raw_now());
                            continue;
                        }
                        Some(Ok(Some(kind))) => return self.found(kind).await,
                    };
                    self.source.completed(ticket, raw_now(), result);
                }
                Action::Wait(until) => {
                    self.handle.pulse.promise(until);
                    tokio::select! {
                        () = wait(until, self.source.is_aimed()) => {}
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

    async fn found(self, kind: Kind) {
        let found = Found {
            source: self.id,
            kind,
            server: self.server,
            at: raw_now(),
        };
        self.handle.pulse.promise(found.at);
        // If nobody listens, all ends.
        let _ = self.findings.send(found).await;
    }
}

/// Waits until the raw clock shows `until`.
async fn wait(until: Raw, in_time: bool) {
    if in_time {
        sleep_in_time(until).await;
    } else {
        sleep_until(until).await;
    }
}

impl Handle {
    /// For a poller that will have its first turn at once.
    pub fn new(now: Raw) -> Self {
        Self {
            pulse: Pulse::new(now),
            wake: Notify::new(),
            hush: Hush::default(),
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

/// What a server speaks.
pub struct Found {
    /// Which source.
    pub source: SourceId,
    /// What it speaks.
    pub kind: Kind,
    /// The server, with the connection to it.
    pub server: Box<dyn Ask>,
    /// When it was asked last.
    pub at: Raw,
}
