//! The numbers of another daemon's configuration, from what is known of ours.
//!
//! In: how often samples are written, how far off they may be, how much they scatter. Out: exponents of poll intervals, and lengths of
//! time that are rounded up to what a person would write. Pure; it words nothing.

use crate::engine::time::Span;
use std::fmt;

/// Least exponent of a poll interval, 16 s: a loop that is fed faster gains nothing from samples that say much the same.
const LEAST_POLL: u8 = 4;

/// A bound below this is not handed on: tomorrow's path may be a little worse, and half a millisecond keeps nobody out.
pub(super) const LEAST_BOUND: Span = Span::from_micros(500);

/// Samples in shared memory have nanoseconds, those of a socket microseconds.
const LEAST_PRECISION: Span = Span::from_micros(1);

/// What a person would write, times a power of ten. Neighbours are at most half as much again.
const READABLE: [i64; 8] = [10, 15, 20, 30, 40, 50, 60, 80];

/// The exponent of the poll interval, log2 s: two samples at least in each, so that one may fail. A chronyd up to 4.6 takes no poll
/// that has fewer samples than its `filter`, and ntpd shows a gap in its reach.
pub(super) fn poll(cycle: Span) -> u8 {
    let holds_two = |poll: &u8| Span::from_secs(1 << poll) >= cycle.times(2);
    // No cycle is longer than that.
    (LEAST_POLL..17).find(holds_two).unwrap_or(17)
}

/// chrony's `delay`: it takes half of it for the greatest error.
pub(super) fn delay(bound: Span) -> Span {
    readable(with_margin(bound).times(2))
}

/// ntpd's `tos mindist`: the least error that it reckons with.
pub(super) fn least_distance(bound: Span) -> Span {
    readable(with_margin(bound))
}

/// chrony's `precision`: by how much samples scatter.
pub(super) fn precision(jitter: Span) -> Span {
    readable(jitter.max(LEAST_PRECISION))
}

/// The bound is that of one moment; it breathes with the path. A quarter more.
fn with_margin(bound: Span) -> Span {
    let bound = bound.max(LEAST_BOUND).as_nanos();
    Span::from_nanos(bound.saturating_add(bound / 4))
}

/// The next length that is not below `span` and has a digit or two.
pub(super) fn readable(span: Span) -> Span {
    let nanos = span.as_nanos();
    let mut scale = 1_i64;
    loop {
        let fits = READABLE
            .iter()
            .map(|step| step.saturating_mul(scale))
            .find(|step| *step >= nanos);
        if let Some(step) = fits {
            return Span::from_nanos(step);
        }
        scale = scale.saturating_mul(10);
    }
}

/// Seconds with no more digits than there are: `0.05`.
pub(super) struct Seconds(pub(super) Span);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos().max(0);
        let (whole, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        let text = format!("{whole}.{rest:09}");
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(span: Span) -> String {
        Seconds(span).to_string()
    }

    #[test]
    fn a_poll_holds_two_samples_and_is_no_longer_than_that_takes() {
        for (cycle, expected) in [
            (1, 4),
            (8, 4),
            (9, 5),
            (16, 5),
            (17, 6),
            (64, 7),
            (1_024, 11),
        ] {
            assert_eq!(poll(Span::from_secs(cycle)), expected, "{cycle} s");
        }
    }

    #[test]
    fn lengths_are_rounded_up_to_what_a_person_would_write() {
        let millis = |n| readable(Span::from_millis(n));
        for (given, expected) in [(1, "0.001"), (41, "0.05"), (50, "0.05"), (51, "0.06")] {
            assert_eq!(seconds(millis(given)), expected);
        }
        assert_eq!(seconds(millis(81)), "0.1");
        assert_eq!(seconds(millis(3_001)), "4");
        assert_eq!(seconds(millis(10_001)), "15");
        assert_eq!(seconds(Span::ZERO), "0");
    }

    #[test]
    fn the_delay_is_twice_the_bound_and_a_margin() {
        assert_eq!(seconds(delay(Span::from_millis(20))), "0.05");
        assert_eq!(seconds(delay(Span::from_micros(8_100))), "0.03");
        assert_eq!(seconds(least_distance(Span::from_millis(20))), "0.03");
        assert_eq!(seconds(delay(Span::from_micros(10))), "0.0015");
    }

    #[test]
    fn the_precision_is_what_the_samples_scatter_by() {
        assert_eq!(seconds(precision(Span::from_micros(81))), "0.0001");
        assert_eq!(seconds(precision(Span::ZERO)), "0.000001");
    }

    proptest! {
        #[test]
        fn no_number_is_smaller_than_what_it_stands_for_or_wildly_larger(bound in 1_000_000..10_000_000_000_i64) {
            let bound = Span::from_nanos(bound);
            for (number, least) in [(delay(bound), bound.times(2)), (least_distance(bound), bound)] {
                prop_assert!(number >= Span::from_nanos(least.as_nanos() / 5 * 6));
                prop_assert!(number < least.times(2));
            }
        }

        #[test]
        fn any_length_has_a_readable_one(nanos in any::<i64>()) {
            prop_assert!(readable(Span::from_nanos(nanos)) >= Span::from_nanos(nanos));
        }
    }
}
