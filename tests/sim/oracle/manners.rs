//! What a source's machine owes its server, its poller and the engine: its pace, an end to every poll, and a next turn.

use crate::upstream::Outcome;
use std::collections::VecDeque;
use webntpd::engine::edge;
use webntpd::engine::source::{Aftermath, Pace, TWO_APART};
use webntpd::engine::time::{Raw, Span};

const HOUR: Span = Span::from_secs(3_600);

/// Polls' ends that may wait for a supervisor that hangs.
const MOST_UNREPORTED: i64 = 40;

pub(super) struct Manners {
    pace: Pace,
    asked: Option<Raw>,
    /// When the last request was due; its turn came a little later.
    due: Option<Raw>,
    /// When the one before was.
    due_before: Option<Raw>,
    /// How many requests may still come so soon after the last one.
    hasty: u32,
    is_out: bool,
    /// The connection turned out to be stale: one more try at once is right.
    may_retry: bool,
    is_retry: bool,
    /// The requests of the last hour.
    requests: VecDeque<Raw>,
    /// How many more than the pace there may be of them. A burst may have to wait for a server that is out.
    allowed: VecDeque<(Raw, usize)>,
    all_requests: usize,
    /// Polls that ended and were not reported yet.
    unreported: i64,
    /// How long the server asked to be left alone.
    silence: Span,
    silent_until: Option<Raw>,
    /// Until when it waits.
    waits_until: Option<Raw>,
}

impl Manners {
    pub(super) fn new(pace: Pace, start: Raw) -> Self {
        let mut manners = Self {
            pace,
            asked: None,
            due: None,
            due_before: None,
            hasty: 0,
            is_out: false,
            may_retry: false,
            is_retry: false,
            requests: VecDeque::new(),
            allowed: VecDeque::new(),
            all_requests: 0,
            unreported: 0,
            silence: Span::ZERO,
            silent_until: None,
            waits_until: None,
        };
        manners.woken(start);
        manners
    }

    pub(super) fn requests(&self) -> usize {
        self.all_requests
    }

    pub(super) fn asked(&mut self, now: Raw) -> Option<String> {
        let due = self.waits_until.take().unwrap_or(now).min(now);
        self.asked = Some(now);
        let last = self.due.replace(due);
        let before = std::mem::replace(&mut self.due_before, last);
        let is_soon = last.is_some_and(|last| now - last < Span::from_secs(1));
        // The search at the start may be hasty; later ones keep a second apart.
        let (last, apart) = if is_soon && self.hasty > 0 {
            self.hasty -= 1;
            (before, TWO_APART)
        } else {
            (last, Span::from_secs(1))
        };
        self.all_requests += 1;
        self.requests.push_back(now);
        while self.requests.front().is_some_and(|at| now - *at > HOUR) {
            self.requests.pop_front();
        }
        while self
            .allowed
            .front()
            .is_some_and(|(at, _)| now - *at > HOUR.times(2))
        {
            self.allowed.pop_front();
        }
        self.is_retry = std::mem::take(&mut self.may_retry);
        if std::mem::replace(&mut self.is_out, true) {
            return Some("asked while an exchange was out".into());
        }
        if self.silent_until.is_some_and(|until| now < until) {
            return Some("asked although the server wants to be left alone".into());
        }
        if let Some(last) = last
            && now - last < apart
            && !self.is_retry
        {
            return Some(format!("asked again after {:?}", now - last));
        }
        let more: usize = self.allowed.iter().map(|(_, more)| more).sum();
        let due = (HOUR.as_nanos() / self.pace.poll.as_nanos()) as usize;
        // What is lost is searched for again, but not over and over.
        let searches = match self.pace.coarse {
            true => (due / 2).max(2 * (edge::QUICK as usize + 1)),
            false => 0,
        };
        let limit = due + searches + 2 + more;
        let count = self.requests.len();
        (count > limit).then(|| format!("asked {count} times in an hour, {limit} are due"))
    }

    pub(super) fn answered(&mut self, outcome: &Outcome, now: Raw) -> Option<String> {
        let was_out = std::mem::replace(&mut self.is_out, false);
        self.silence = Span::ZERO;
        match &outcome.result {
            Err(failure) if failure.connection == Aftermath::Stale && !self.is_retry => {
                self.may_retry = true;
                self.allowed.push_back((now, 1));
            }
            Err(failure) => {
                self.unreported += 1;
                // Its next turn after the back-off may be nearer than a poll.
                self.allowed.push_back((now, 1));
                self.silence = failure.retry_after.unwrap_or_default();
                self.silent_until = failure.retry_after.map(|silence| now + silence.min(HOUR));
            }
            Ok(_) => self.unreported += 1,
        }
        (!was_out).then(|| "answered without being asked".into())
    }

    pub(super) fn reported(&mut self) -> Option<String> {
        self.unreported -= 1;
        (self.unreported < 0).then(|| "reported a poll that did not end".into())
    }

    pub(super) fn waits(&mut self, now: Raw, until: Raw) -> Option<String> {
        if self.may_retry {
            return Some("did not try anew although the connection was stale".into());
        }
        self.waits_until = Some(until);
        let poll = self.pace.poll;
        let longest = (poll + self.pace.max_poll)
            .max(self.pace.max_poll.times(5).half().half())
            .max(self.silence.min(HOUR))
            + Span::from_secs(1);
        (until <= now || until - now > longest).then(|| format!("waits {:?}", until - now))
    }

    pub(super) fn woken(&mut self, now: Raw) {
        let burst = match self.pace.coarse {
            true => edge::QUICK,
            false => self.pace.burst,
        };
        self.hasty = if self.pace.coarse { burst + 1 } else { 0 };
        self.allowed.push_back((now, burst as usize + 2));
    }

    pub(super) fn panicked(&mut self, now: Raw) {
        self.is_out = false;
        self.may_retry = false;
        // The new machine knows nothing of what the old one was told.
        self.silent_until = None;
        self.woken(now);
    }

    /// Whether it still lives when the simulation ends.
    pub(super) fn ended(&mut self, now: Raw) -> Option<String> {
        if self.unreported > MOST_UNREPORTED {
            return Some(format!("{} polls were not reported", self.unreported));
        }
        let waits = self
            .waits_until
            .is_some_and(|until| until + Span::from_secs(1) > now);
        // A poller that panicked has not said yet for how long it waits.
        let restarts = self
            .asked
            .is_some_and(|last| now - last < Span::from_secs(120));
        (!waits && !self.is_out && !restarts).then(|| "is stuck".into())
    }
}
