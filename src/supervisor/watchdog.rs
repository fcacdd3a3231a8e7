//! When the service manager gets its sign of life.
//!
//! In: whether anything hangs. Out: signs of life, three in the interval that it wants, and none while something does. Not: what hangs.

use crate::engine::time::{Raw, Span};
use crate::sys::clock::at;
use crate::sys::notify;

/// The service manager's watchdog, fed three times in its interval.
pub(super) struct Watchdog {
    apart: Option<Span>,
    next: Raw,
}

impl Watchdog {
    pub(super) fn new(now: Raw) -> Self {
        let third = |interval: Span| Span::from_nanos(interval.as_nanos() / 3);
        Self {
            apart: notify::watchdog_interval().map(third),
            next: now,
        }
    }

    pub(super) async fn due(&self) {
        at(self.apart.map(|_| self.next)).await;
    }

    pub(super) fn feed(&mut self, now: Raw, alive: bool) {
        if alive {
            notify::alive();
        }
        self.next = now + self.apart.unwrap_or_default();
    }
}
