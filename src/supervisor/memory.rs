//! What is carried from one run of the daemon to the next: the last known good time, and the oscillator's rate.
//!
//! In: what was kept, and each decision that was published. Out: a [`Prior`] for the engine, a time that is known to have come,
//! and about once an hour a file. A disk that hangs keeps nobody waiting: one thread at a time writes, and is looked after now
//! and then.

use super::budget::Budget;
use crate::engine::bound::Interval;
use crate::engine::estimate::Prior;
use crate::engine::snapshot::Decision;
use crate::engine::time::{Rate, Raw, Span, Utc};
use crate::protocol::plausible::Plausible;
use crate::sys::state::{self, KnownRate, State};
use jiff::Timestamp;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::{info, warn};

/// No release is in use for longer than this.
const LONGEST_USE: Span = Span::from_secs(20 * 366 * 86_400);

/// From one file to the next.
const APART: Span = Span::from_secs(3_600);

/// How long the end of the daemon waits for the last one.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A rate that is not known better than this is that of any oscillator.
const WORTH_KEEPING: Rate = Rate::from_ppm(20);

/// How much the rate of a quartz may change with the temperature from one run to the next (one sigma).
const WARMTH: Rate = Rate::from_ppm(1);

/// How much more it may in another boot: where the processor does not tell the frequency of its counter, the kernel measures it
/// anew each time, against another clock and for no longer than a second.
const CALIBRATION: Rate = Rate::from_ppm(5);

/// Of a state directory.
pub(super) struct Memory {
    /// `None`: nothing is kept.
    directory: Option<PathBuf>,
    boot: Option<String>,
    /// What was found at the start, as long as it has not been held against a decision.
    found_time: Option<Utc>,
    /// The rate that an earlier run found, until this one has had an hour to do better.
    found_rate: Option<KnownRate>,
    /// What the last decision that was published says, unless that has been written.
    unwritten: Option<State>,
    /// When the next file is due; at once without.
    next: Option<Raw>,
    writing: Option<oneshot::Receiver<io::Result<()>>>,
    trouble: Option<ErrorKind>,
    budget: Budget,
}

impl Memory {
    /// What is kept in `directory`. Says so if that is of no use.
    pub(super) fn open(directory: Option<&Path>) -> Self {
        let found = directory.and_then(|directory| match state::read(directory) {
            Ok(found) => found,
            Err(why) => {
                let path = state::path(directory);
                let path = path.display();
                warn!("{path} {why}: beginning without what an earlier run found out");
                None
            }
        });
        let (found_time, found_rate) = match found {
            Some(State { time, rate }) => (Some(time).filter(is_plausible), rate),
            None => (None, None),
        };
        Self {
            directory: directory.map(Path::to_owned),
            boot: state::boot_id(),
            found_time,
            found_rate,
            unwritten: None,
            next: None,
            writing: None,
            trouble: None,
            budget: Budget::at_home(),
        }
    }

    /// Keeps what is to come in another directory.
    pub(super) fn move_to(&mut self, directory: Option<&Path>) {
        if self.directory.as_deref() == directory {
            return;
        }
        self.directory = directory.map(Path::to_owned);
        self.next = None;
        self.trouble = None;
        self.budget = Budget::at_home();
    }

    /// A time that an earlier run knew to have come. Says so if the system clock shows an earlier one.
    pub(super) fn time(&self, clock: Utc, has_certificates: bool) -> Option<Utc> {
        let release = Plausible::release().not_before;
        let found = self.found_time.filter(|found| *found > release);
        let floor = found.unwrap_or(release);
        if has_certificates && clock < floor {
            let (shown, come) = (date(clock), date(floor));
            let whence = match (found, &self.directory) {
                (Some(_), Some(directory)) => {
                    format!(
                        " (by {}; remove it if that is wrong)",
                        state::path(directory).display()
                    )
                }
                _ => String::new(),
            };
            warn!(
                "the system clock says {shown}, and {come} is known to have come{whence}: certificates are judged at the later one \
                 until the clock is set"
            );
        }
        self.found_time
    }

    /// What an earlier run knew of the oscillator.
    pub(super) fn prior(&self) -> Option<Prior> {
        let known = self.found_rate.as_ref()?;
        let mut sigma = known.error.as_ppt().saturating_add(WARMTH.as_ppt());
        if known.boot.is_none() || known.boot != self.boot {
            sigma = sigma.saturating_add(CALIBRATION.as_ppt());
        }
        let prior = Prior {
            rate: known.rate,
            sigma: Rate::from_ppt(sigma),
        };
        (prior.sigma < WORTH_KEEPING).then_some(prior)
    }

    /// Takes in a decision that was published at `now`, and writes if that is due: then the time that is written, and the
    /// [`prior`](Self::prior) is another.
    pub(super) fn decided(&mut self, decision: &Decision, now: Raw) -> Option<Utc> {
        self.look_after(now);
        let time = now + decision.theta_at(now);
        if let Some(found) = self.found_time.take()
            && found > time + decision.error_at(now)
            && let Some(directory) = &self.directory
        {
            let path = state::path(directory);
            warn!(
                "{}: the last known good time in it has not come yet by what the sources say: it is replaced",
                path.display()
            );
        }
        let is_due = self.next.is_none_or(|next| now >= next);
        // By then the sources' own history says more, also if that is less exact.
        let has_settled = self.next.is_some() && is_due;
        let rate = self.best_rate(decision, has_settled);
        let state = State { time, rate };
        self.unwritten = Some(state.clone());
        if !is_due {
            return None;
        }
        self.next = Some(now + APART);
        if has_settled {
            self.found_rate.clone_from(&state.rate);
        }
        // If the last file still is not on the disk, one more would hang as well.
        if self.writing.is_none() {
            self.write();
        }
        Some(state.time)
    }

    /// The better one of what this run has found and what an earlier one had, if the sources do not contradict it.
    fn best_rate(&self, decision: &Decision, has_settled: bool) -> Option<KnownRate> {
        let Interval { lo, hi } = decision.rates;
        let rate = decision.rate;
        let error = (hi.as_ppt() - rate.as_ppt()).max(rate.as_ppt() - lo.as_ppt());
        let ours = KnownRate {
            rate,
            error: Rate::from_ppt(error.max(1)),
            boot: self.boot.clone(),
        };
        let ours = (ours.error < WORTH_KEEPING).then_some(ours);
        let found = self.found_rate.clone();
        let found = found.filter(|found| decision.rates.clamp(found.rate) == found.rate);
        match (ours, found) {
            (Some(ours), Some(found)) if !has_settled && found.error < ours.error => Some(found),
            (Some(ours), _) => Some(ours),
            (None, found) => found,
        }
    }

    fn write(&mut self) {
        let Some((directory, state)) = self.directory.clone().zip(self.unwritten.take()) else {
            return;
        };
        let (done, writing) = oneshot::channel();
        // A thread of its own, for which nobody waits at the end of the runtime either.
        let thread = std::thread::Builder::new().name("state".to_owned());
        let spawned = thread.spawn(move || {
            // Nobody listens any more when the daemon has ended.
            let _ = done.send(state::write(&directory, &state));
        });
        match spawned {
            Ok(_) => self.writing = Some(writing),
            Err(error) => self.written(&Err(error), None),
        }
    }

    /// Looks whether the last file has been written by now.
    fn look_after(&mut self, now: Raw) {
        let Some(writing) = &mut self.writing else {
            return;
        };
        let result = match writing.try_recv() {
            Ok(result) => result,
            Err(oneshot::error::TryRecvError::Empty) => return,
            Err(oneshot::error::TryRecvError::Closed) => Err(ErrorKind::Other.into()),
        };
        self.writing = None;
        self.written(&result, Some(now));
    }

    /// Says once that nothing can be kept, and when it can again.
    fn written(&mut self, result: &io::Result<()>, now: Option<Raw>) {
        let trouble = result.as_ref().err().map(io::Error::kind);
        let before = std::mem::replace(&mut self.trouble, trouble);
        if trouble == before || now.is_some_and(|now| self.budget.take(now).is_none()) {
            return;
        }
        let Some(directory) = &self.directory else {
            return;
        };
        let directory = directory.display();
        match result {
            Ok(()) => info!("the time and the oscillator's rate are kept in {directory} again"),
            // Run by hand.
            Err(error) if is_elsewhere(error.kind()) => info!(
                "nothing is kept for the next start: cannot write into {directory}: {error}; \
                 let this user write there, or name another directory in [state]"
            ),
            Err(error) => warn!(
                "nothing is kept for the next start, trying again within the hour: cannot write into {directory}: {error}"
            ),
        }
    }

    /// Writes what has come since the last file, and waits for it a little.
    pub(super) async fn close(mut self, now: Raw) {
        self.look_after(now);
        if self.writing.is_none() {
            self.write();
        }
        let Some(writing) = self.writing.take() else {
            return;
        };
        match tokio::time::timeout(LAST_WORDS, writing).await {
            Ok(Ok(result)) => self.written(&result, None),
            Ok(Err(_)) => {}
            Err(_) => warn!("the disk hangs: what was found out by now is not kept"),
        }
    }
}

/// Whether a last known good time can be one. One that cannot would have every certificate look expired on a machine whose clock was
/// never set, for ever: no server could mend it.
fn is_plausible(time: &Utc) -> bool {
    let is_plausible = *time < Plausible::release().not_before + LONGEST_USE;
    if !is_plausible {
        warn!(
            "the last known good time that was kept, {}, cannot be: beginning without one",
            date(*time)
        );
    }
    is_plausible
}

fn date(time: Utc) -> String {
    let time = Timestamp::from_nanosecond(time.as_nanos().into());
    time.map_or_else(
        |_| "nonsense".to_owned(),
        |time| time.strftime("%F").to_string(),
    )
}

/// Whether the directory is not meant for who runs the daemon now.
fn is_elsewhere(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    )
}

#[cfg(test)]
mod tests;
