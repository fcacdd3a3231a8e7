//! `webntp -shm UNIT URL…`: asks every minute and feeds NTP shared memory, as go-webntp does.
//!
//! In: what to ask. Out: the lines of a query for each round, and one sample in shared memory for each round that the
//! servers agree in. Rounds know nothing of each other: webntpd is for whoever wants history, logs and a service.

use super::complain;
use super::query::{Options, Query};
use crate::engine::snapshot::Decision;
use crate::engine::time::Span;
use crate::output::{Sample, ShmSink, Sink};
use crate::sys::clock::{ClockPair, Clocks, SystemClocks, raw_now, sleep_until};
use crate::sys::continuity::Continuity;
use crate::sys::shm::{Policy, Unit};
use crate::sys::signals::{Signal, Signals};
use anyhow::Context;
use std::hash::{BuildHasher, Hasher, RandomState};

/// From the end of one round to the beginning of the next, at the least.
const PAUSE: Span = Span::from_secs(59);

/// What is added to that at random, at the most, lest all machines ask at once.
const SPREAD: Span = Span::from_secs(2);

/// Greatest half-width of a bound that is written.
const MAX_BOUND: Span = Span::from_millis(1_500);

/// Feeds until SIGINT or SIGTERM; then takes back a sample that nobody has read.
pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let mut signals = Signals::new(&Signal::ENDING).context("cannot catch signals")?;
    let unit = Unit(options.shm);
    let mut feed = Feed {
        query: Query::new(&options.urls, options.samples, MAX_BOUND),
        shm: ShmSink::new(unit, Policy::usual(unit)),
        told: None,
    };
    tokio::select! {
        biased;
        _ = signals.next() => Ok(()),
        result = feed.run() => result,
    }
}

struct Feed {
    query: Query,
    shm: ShmSink,
    /// What was last said about the shared memory.
    told: Option<String>,
}

impl Feed {
    /// Ends only when nobody reads what is printed.
    async fn run(&mut self) -> anyhow::Result<()> {
        if let Err(error) = self.shm.attach() {
            self.tell(Some(format!("{error}; trying again each time")));
        }
        let mut continuity = Continuity::default();
        loop {
            continuity.check(SystemClocks.read());
            let round = self.query.round().await?;
            let now = SystemClocks.read();
            match (round, continuity.check(now)) {
                (Ok(decision), None) => self.publish(&decision, now.pair),
                // What was measured before says nothing about now.
                (Ok(_), Some(broken)) => complain(&format!("{broken}; nothing written")),
                (Err(why), _) => complain(&format!("{why}; nothing written")),
            }
            sleep_until(raw_now() + PAUSE + spread()).await;
        }
    }

    fn publish(&mut self, decision: &Decision, clock: ClockPair) {
        let sample = Sample::of(decision, clock);
        match self.shm.publish(&sample) {
            Ok(published) => self.tell(published.notice),
            Err(error) => self.tell(Some(error.to_string())),
        }
    }

    /// Says it once, as long as it stays the same.
    fn tell(&mut self, what: Option<String>) {
        if let Some(what) = &what
            && self.told.as_ref() != Some(what)
        {
            complain(what);
        }
        self.told = what;
    }
}

fn spread() -> Span {
    let random = RandomState::new().build_hasher().finish() >> 1;
    Span::from_nanos(random as i64 % SPREAD.as_nanos())
}
