//! Leap-second warnings: what a server announces, and what a majority of survivors makes of it.

use super::time::{Span, Utc};

/// What the last minute of the current month will have, as far as anybody knows (RFC 5905 §7.3, LI).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Leap {
    /// Sixty seconds.
    #[default]
    None,
    /// Sixty-one seconds.
    Insert,
    /// Fifty-nine seconds.
    Delete,
}

impl Leap {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Insert, Self::Delete];

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Insert => "insert",
            Self::Delete => "delete",
        }
    }
}

/// A warning is due only this long before the event.
const NOTICE: Span = Span::from_secs(86_400);

/// What a server says at `now` that names `next` as the instant after the coming (or else the last) leap second
/// and `step` as its sign.
///
/// Passed on only when the event is ahead, within a day, and where leap seconds are: at the end of June or
/// December. Readers of shared memory act on nothing else either.
pub fn announced(next: Utc, step: i8, now: Utc) -> Leap {
    let ahead = next - now;
    if ahead <= Span::ZERO || ahead > NOTICE || !ends_june_or_december(next) {
        return Leap::None;
    }
    match step {
        1 => Leap::Insert,
        -1 => Leap::Delete,
        _ => Leap::None,
    }
}

/// The warning that more than half of those who say anything agree on.
pub fn majority(said: impl Iterator<Item = Leap>) -> Leap {
    let (mut all, mut insert, mut delete) = (0, 0, 0);
    for leap in said {
        all += 1;
        match leap {
            Leap::None => {}
            Leap::Insert => insert += 1,
            Leap::Delete => delete += 1,
        }
    }
    if 2 * insert > all {
        Leap::Insert
    } else if 2 * delete > all {
        Leap::Delete
    } else {
        Leap::None
    }
}

/// Whether `instant` is midnight of the first of July or of January.
fn ends_june_or_december(instant: Utc) -> bool {
    const DAY_S: i64 = 86_400;
    let (seconds, nanos) = instant.to_parts();
    if nanos != 0 || seconds.rem_euclid(DAY_S) != 0 {
        return false;
    }
    // Days are counted in years that begin in March, so that the leap day comes last; 400 such years have
    // 146 097 days. The first of July is day 122 of such a year, the first of January day 306.
    let day = (seconds.div_euclid(DAY_S) + 719_468).rem_euclid(146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    matches!(day_of_year, 122 | 306)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2017-01-01, after the last leap second so far.
    const LAST: Utc = Utc::from_secs(1_483_228_800);

    #[test]
    fn a_warning_is_due_only_within_the_last_day() {
        let before = |seconds| LAST - Span::from_secs(seconds);
        assert_eq!(announced(LAST, 1, before(86_401)), Leap::None);
        assert_eq!(announced(LAST, 1, before(86_400)), Leap::Insert);
        assert_eq!(announced(LAST, -1, before(1)), Leap::Delete);
        assert_eq!(announced(LAST, 1, LAST), Leap::None);
        assert_eq!(announced(LAST, 0, before(1)), Leap::None);
        assert_eq!(announced(LAST, 2, before(1)), Leap::None);
    }

    #[test]
    fn leap_seconds_are_at_the_end_of_june_and_december_only() {
        let midnights = [
            (1_483_228_800, true),  // 2017-01-01
            (1_435_708_800, true),  // 2015-07-01
            (951_868_800, false),   // 2000-03-01
            (4_102_444_800, true),  // 2100-01-01
            (1_490_000_000, false), // some afternoon
            (1_475_280_000, false), // 2016-10-01
            (0, true),              // 1970-01-01
        ];
        for (seconds, expected) in midnights {
            let next = Utc::from_secs(seconds);
            assert_eq!(
                announced(next, 1, next - NOTICE) == Leap::Insert,
                expected,
                "{seconds}"
            );
        }
    }

    #[test]
    fn a_warning_needs_more_than_half_of_those_who_speak() {
        use Leap::{Delete, Insert};
        assert_eq!(majority([].into_iter()), Leap::None);
        assert_eq!(majority([Insert, Leap::None].into_iter()), Leap::None);
        assert_eq!(majority([Insert, Insert, Leap::None].into_iter()), Insert);
        assert_eq!(majority([Delete, Insert, Delete].into_iter()), Delete);
    }
}
