//! How much may be said of one thing: a few lines at once, then one now and then, so that nothing that flaps, and no peer that
//! makes it flap, fills the log.

use crate::engine::time::{Raw, Span};

/// Lines that may be said at once of what strangers have a hand in.
const AT_ONCE: u32 = 6;

/// Lines that may be said at once of what only this machine's programs have a hand in.
const AT_ONCE_AT_HOME: u32 = 20;

/// After this much another line may be said.
const REFILL: Span = Span::from_secs(600);

/// What is left to say of one thing.
#[derive(Debug)]
pub(super) struct Budget {
    most: u32,
    lines: u32,
    /// Since when the lines have been counted up.
    since: Option<Raw>,
    unsaid: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(AT_ONCE)
    }
}

impl Budget {
    /// For what only this machine's programs have a hand in.
    pub(super) fn at_home() -> Self {
        Self::of(AT_ONCE_AT_HOME)
    }

    fn of(most: u32) -> Self {
        Self {
            most,
            lines: most,
            since: None,
            unsaid: 0,
        }
    }

    /// Whether a line may be said at `now`. If so, how many before it were not.
    pub(super) fn take(&mut self, now: Raw) -> Option<u32> {
        let since = *self.since.get_or_insert(now);
        let refills = (now - since).as_nanos().max(0) / REFILL.as_nanos();
        if refills > 0 {
            self.since = Some(since + REFILL.times(refills));
            self.lines = u32::try_from(refills).map_or(self.most, |more| {
                self.lines.saturating_add(more).min(self.most)
            });
        }
        if self.lines == 0 {
            self.unsaid = self.unsaid.saturating_add(1);
            return None;
        }
        self.lines -= 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Raw {
        Raw::from_nanos(0) + Span::from_secs(seconds)
    }

    #[test]
    fn after_a_few_lines_at_once_only_one_now_and_then_is_said() {
        let mut budget = Budget::default();
        let said: Vec<i64> = (0..3_600)
            .filter(|second| budget.take(at(*second)).is_some())
            .collect();
        assert_eq!(said, [0, 1, 2, 3, 4, 5, 600, 1_200, 1_800, 2_400, 3_000]);
    }

    #[test]
    fn what_was_not_said_is_counted_for_the_next_line() {
        let mut budget = Budget::default();
        for second in 0..10 {
            budget.take(at(second));
        }
        assert_eq!(budget.take(at(600)), Some(4));
    }

    #[test]
    fn a_long_silence_gives_back_no_more_than_there_was() {
        let mut budget = Budget::default();
        for _ in 0..9 {
            budget.take(at(0));
        }
        let said = (0..20)
            .filter(|_| budget.take(at(1_000_000)).is_some())
            .count();
        assert_eq!(said, AT_ONCE as usize);
    }
}
