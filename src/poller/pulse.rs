//! Signs of life: each task promises when it will have its next turn; who looks after that is told.

use crate::engine::time::{Raw, Span};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// How late a turn may be on a busy machine.
const GRACE: Span = Span::from_secs(10);

/// One task's promise.
#[derive(Debug)]
pub struct Pulse(AtomicI64);

impl Pulse {
    /// A task that will have its first turn at once.
    pub fn new(now: Raw) -> Self {
        Self(AtomicI64::new(now.as_nanos()))
    }

    /// Promises another turn not later than `by`.
    pub fn promise(&self, by: Raw) {
        self.0.store(by.as_nanos(), Relaxed);
    }

    /// Whether the promised turn is long overdue.
    pub fn is_overdue(&self, now: Raw) -> bool {
        now - Raw::from_nanos(self.0.load(Relaxed)) > GRACE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_overdue_only_well_after_the_promise() {
        let start = Raw::from_nanos(0);
        let pulse = Pulse::new(start);
        assert!(!pulse.is_overdue(start + GRACE));
        assert!(pulse.is_overdue(start + GRACE + Span::from_nanos(1)));
        pulse.promise(start + Span::from_secs(60));
        assert!(!pulse.is_overdue(start + Span::from_secs(70)));
        assert!(pulse.is_overdue(start + Span::from_secs(71)));
    }
}
