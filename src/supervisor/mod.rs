//! The supervisor: one task for each source, a cycle on the grid, a word to the service manager.
//!
//! In: everything that `app` has built. Out: samples to the outputs, a status after every cycle, log lines when something
//! changes. It returns when it is told to stop, or when a task that must not end has ended; it decides nothing itself.

mod journal;

use crate::engine::Engine;
use crate::engine::snapshot::Decision;
use crate::engine::source::Report;
use crate::output::{Sample, Sink};
use crate::poller::{PollEnd, Poller};
use crate::status::Status;
use crate::sys::clock::{ClockPair, pair_now, raw_now, sleep_until};
use crate::sys::notify;
use journal::Journal;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// How many polls' ends may wait for the supervisor. A source has one exchange in flight, so this is never reached.
pub const REPORTS: usize = 64;

/// A task that must not end has ended: the process should end, too, so that it is started anew.
#[derive(Debug, thiserror::Error)]
#[error("the task that polls a source has ended: {0}")]
pub struct TaskEnded(String);

/// Everything that runs.
pub struct Supervisor {
    /// Filters, selection, decision.
    pub engine: Engine,
    /// Where decisions go.
    pub outputs: Vec<Box<dyn Sink>>,
    /// Where each cycle's status goes.
    pub status: watch::Sender<Option<Status>>,
}

impl Supervisor {
    /// Runs until `stop` is done; then all pollers are ended, and the outputs withdraw when they are dropped.
    pub async fn run(
        mut self,
        pollers: Vec<Poller>,
        mut reports: mpsc::Receiver<PollEnd>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), TaskEnded> {
        let mut journal = Journal::new();
        let mut tasks = JoinSet::new();
        for poller in pollers {
            tasks.spawn(poller.run());
        }
        tokio::pin!(stop);
        let mut next_ping = raw_now();
        let ping_interval = notify::watchdog_interval();
        notify::ready();
        loop {
            let ping_due = async {
                match ping_interval {
                    Some(_) => sleep_until(next_ping).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = ping_due => {
                    notify::alive();
                    next_ping = raw_now() + ping_interval.unwrap_or_default();
                }
                () = sleep_until(self.engine.next_cycle()) => self.end_cycle(&mut journal),
                Some(end) = reports.recv() => self.take(end, &mut journal),
                Some(ended) = tasks.join_next() => {
                    return Err(TaskEnded(ended.err().map_or("without a cause".into(), |error| error.to_string())));
                }
            }
        }
        notify::stopping();
        Ok(())
    }

    fn take(&mut self, end: PollEnd, journal: &mut Journal) {
        // A cycle that ended before this was received comes first.
        if let Report::Sample(exchange) = &end.report
            && exchange.received() >= self.engine.next_cycle()
        {
            self.end_cycle(journal);
        }
        self.engine.report(end.source, end.report);
    }

    fn end_cycle(&mut self, journal: &mut Journal) {
        let Some(snapshot) = self.engine.cycle(raw_now()) else {
            return;
        };
        let clock = pair_now();
        if let Ok(decision) = &snapshot.outcome {
            let sample = sample(decision, clock);
            for (k, output) in self.outputs.iter_mut().enumerate() {
                journal.published(k, output.publish(&sample));
            }
        }
        let status = Status { snapshot, clock };
        journal.cycle_ended(&status);
        notify::status(&status.summary());
        self.status.send_replace(Some(status));
    }
}

/// What a decision says of the system clock at the instant of `clock`.
fn sample(decision: &Decision, clock: ClockPair) -> Sample {
    Sample {
        receive: clock.system,
        clock: clock.raw + decision.theta_at(clock.raw),
        bound: decision.bound.half_width(),
        leap: decision.leap,
    }
}
