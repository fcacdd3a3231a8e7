//! Which instants a server may state at all.
//!
//! Guards against clocks that were never set and against absurd numbers. It does not judge whether a
//! server is right: that is the engine's work.

use crate::engine::time::Utc;
use crate::protocol::refusal::Refusal;

/// 2026-11-01 UTC. Moved forward with each release; a packager's SOURCE_DATE_EPOCH may only lie later
/// (some build systems set it to 1970 or 1980, which would open the door to clocks that were never set).
const RELEASED_S: i64 = 1_793_491_200;

/// 2100-01-01 UTC: the first second that is not believed, here as in the outputs.
const HORIZON_S: i64 = 4_102_444_800;

/// The range of plausible stamps, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plausible {
    /// No clock that is right shows less.
    pub not_before: Utc,
    /// No stamp beyond is believed.
    pub not_after: Utc,
}

impl Plausible {
    /// From the release of this program to the year 2100.
    pub const fn release() -> Self {
        const NOT_BEFORE_S: i64 = match option_env!("SOURCE_DATE_EPOCH") {
            Some(text) => later(RELEASED_S, whole_seconds(text)),
            None => RELEASED_S,
        };
        Self {
            not_before: Utc::from_secs(NOT_BEFORE_S),
            not_after: Utc::from_nanos(HORIZON_S * 1_000_000_000 - 1),
        }
    }

    /// Refuses a stamp out of the range.
    pub fn check(&self, stamp: Utc) -> Result<(), Refusal> {
        if stamp < self.not_before {
            return Err(Refusal::BeforeRelease { stamp });
        }
        if stamp > self.not_after {
            return Err(Refusal::BeyondHorizon { stamp });
        }
        Ok(())
    }
}

const fn later(a: i64, b: i64) -> i64 {
    if a > b { a } else { b }
}

/// Fails the build when the text is not a number of seconds.
const fn whole_seconds(text: &str) -> i64 {
    match i64::from_str_radix(text, 10) {
        Ok(seconds) => seconds,
        Err(_) => panic!("SOURCE_DATE_EPOCH is not a number of seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Span;

    #[test]
    fn stamps_before_the_release_and_after_2100_are_refused() {
        let range = Plausible::release();
        let nanosecond = Span::from_nanos(1);
        assert_eq!(range.check(range.not_before), Ok(()));
        assert_eq!(range.check(range.not_after), Ok(()));
        let stamp = range.not_before - nanosecond;
        assert_eq!(range.check(stamp), Err(Refusal::BeforeRelease { stamp }));
        let stamp = range.not_after + nanosecond;
        assert_eq!(range.check(stamp), Err(Refusal::BeyondHorizon { stamp }));
    }

    #[test]
    fn the_first_second_of_2100_is_refused() {
        let stamp = Utc::from_secs(4_102_444_800);
        let refused = Plausible::release().check(stamp);
        assert_eq!(refused, Err(Refusal::BeyondHorizon { stamp }));
    }

    /// Midnight before the day of a heading like `## [1.2.3] - 2027-01-31`.
    fn released(heading: &str) -> Option<Utc> {
        let day = heading.strip_prefix("## [")?.split_once("] - ")?.1;
        let numbers: Vec<i64> = day.split('-').map_while(|part| part.parse().ok()).collect();
        let &[year, month, day] = &numbers[..] else {
            panic!("{heading:?} has no date");
        };
        // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", with years that begin in March.
        let (year, month) = if month > 2 {
            (year, month - 3)
        } else {
            (year - 1, month + 9)
        };
        let days =
            365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
        Some(Utc::from_secs(86_400 * days))
    }

    #[test]
    fn the_release_is_not_before_any_that_the_changelog_tells_of() {
        assert_eq!(
            released("## [1.0.0] - 2026-11-01"),
            Some(Utc::from_secs(1_793_491_200))
        );
        assert_eq!(
            released("## [1.0.0] - 2024-02-29"),
            Some(Utc::from_secs(1_709_164_800))
        );
        let headings = include_str!("../../CHANGELOG.md").lines();
        let newest = headings.filter_map(released).max();
        assert!(
            newest <= Some(Utc::from_secs(RELEASED_S)),
            "move RELEASED_S forward to {newest:?}"
        );
    }

    #[test]
    fn the_release_never_lies_before_the_source() {
        assert!(Plausible::release().not_before >= Utc::from_secs(RELEASED_S));
        assert_eq!(later(RELEASED_S, whole_seconds("315532800")), RELEASED_S);
        assert_eq!(later(RELEASED_S, RELEASED_S + 1), RELEASED_S + 1);
    }
}
