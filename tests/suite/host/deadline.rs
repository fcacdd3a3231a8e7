//! Waiting with a limit.
//!
//! In: how long at most, what to look at. Out: the event, or nothing when the time is up.
//! Not: sleeping until something has surely happened.

use std::thread;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A moment on CLOCK_MONOTONIC.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Duration);

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self(now() + limit)
    }

    /// What is left; zero when it has passed.
    pub(crate) fn remaining(self) -> Duration {
        self.0.saturating_sub(now())
    }
}

/// Looks until there is something to see, at least once, and a last time when the limit is over.
pub(crate) fn poll<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    // Short beside any event awaited, long beside one look, which may start a program.
    const PAUSE: Duration = Duration::from_millis(50);
    let deadline = Deadline::after(limit);
    loop {
        let remaining = deadline.remaining();
        if let Some(seen) = look() {
            return Some(seen);
        }
        if remaining.is_zero() {
            return None;
        }
        thread::sleep(PAUSE.min(remaining));
    }
}

fn now() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has CLOCK_MONOTONIC"))
}
