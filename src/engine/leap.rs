//! Leap-second warnings: what a server or a list announces, and what a majority makes of it.
//!
//! In: what servers and `leap-seconds.list` name. Out: the warning that is due, on the last day of June or December only. When that
//! is on the raw clock, and what it does to history, is known in [`passage`](super::passage).

use super::time::{Span, Utc};
use std::collections::BTreeMap;

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

/// What `leap-seconds.list` says of the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// The instant after the leap second that comes next, or else after the last one that it knows of.
    pub last: Utc,
    /// What that one is or was: 1 for one that is inserted, −1 for one that is left out.
    pub step: i8,
    /// Until when it is complete.
    pub expires: Utc,
}

impl List {
    /// What it says at `now`; nothing once it has expired.
    pub fn says(&self, now: Utc) -> Option<Leap> {
        (now < self.expires).then(|| announced(self.last, self.step, now))
    }
}

/// A warning is due only this long before the event.
const NOTICE: Span = Span::from_secs(DAY_S);

const DAY_S: i64 = 86_400;

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

/// The end of the day, if that is the last one of June or December.
pub fn end_of_the_last_day(now: Utc) -> Option<Utc> {
    let (seconds, _) = now.to_parts();
    let days = seconds.div_euclid(DAY_S).saturating_add(1);
    let midnight = Utc::from_secs(days.saturating_mul(DAY_S));
    ends_june_or_december(midnight).then_some(midnight)
}

/// The warning that is due by what each candidate says, with its operator, and by the list. A falseticker is a candidate that says
/// nothing. `given` is the warning that servers gave for the same midnight before, if they did.
///
/// Every operator has one voice, and so has a list that has not expired. A warning needs more than half of those who speak; and
/// among them must be the list, or more than half of the candidates' operators, those counted who say nothing: the honest ones are
/// more than half, so a warning without a list is that of one of them at least, and most who can tell do not contradict it.
///
/// One that was given stays as long as more than half of those who speak give it, or nobody speaks: who falls silent takes nothing back.
pub fn warning<'a>(
    candidates: impl Iterator<Item = (&'a str, Option<Leap>)>,
    list: Option<Leap>,
    given: Option<Leap>,
) -> Leap {
    let mut said: BTreeMap<&str, Vec<Leap>> = BTreeMap::new();
    for (operator, leap) in candidates {
        said.entry(operator).or_default().extend(leap);
    }
    let operators = said.len();
    let spoken = said.into_values().filter(|said| !said.is_empty());
    let servers: Vec<Leap> = spoken.map(|said| majority(said.into_iter())).collect();
    let voices = || servers.iter().copied().chain(list);
    if let Some(given) = given {
        let for_it = voices().filter(|said| *said == given).count();
        if 2 * for_it > voices().count() || voices().count() == 0 {
            return given;
        }
    }
    let leap = majority(voices());
    let warning = servers.iter().filter(|said| **said == leap).count();
    if list == Some(leap) || 2 * warning > operators {
        leap
    } else {
        Leap::None
    }
}

/// The warning that more than half of those who say anything agree on.
fn majority(said: impl Iterator<Item = Leap>) -> Leap {
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
        assert_eq!(announced(LAST, 1, before(86_400)), Insert);
        assert_eq!(announced(LAST, -1, before(1)), Delete);
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
                announced(next, 1, next - NOTICE) == Insert,
                expected,
                "{seconds}"
            );
        }
    }

    #[test]
    fn a_leap_second_is_at_midnight() {
        for off in [Span::from_nanos(1), Span::from_secs(43_200)] {
            assert_eq!(announced(LAST + off, 1, LAST), Leap::None, "{off:?}");
        }
    }

    #[test]
    fn every_year_from_1970_on_has_two_days_that_may_end_with_a_leap_second() {
        let mut day = 0;
        for year in 1970..2262 {
            let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let to_july = if is_leap_year { 182 } else { 181 };
            for day_of_year in 0..to_july + 184 {
                let ends = ends_june_or_december(Utc::from_secs(day * DAY_S));
                let expected = day_of_year == 0 || day_of_year == to_july;
                assert_eq!(ends, expected, "day {day_of_year} of {year}");
                day += 1;
            }
        }
    }

    #[test]
    fn only_the_last_days_of_june_and_december_end_with_a_leap_second() {
        for (seconds, expected) in [
            (1_483_228_799, Some(1_483_228_800)), // 2016-12-31 23:59:59
            (1_483_142_400, Some(1_483_228_800)), // 2016-12-31
            (1_483_142_399, None),
            (1_483_228_800, None),
            (1_435_700_000, Some(1_435_708_800)), // 2015-06-30
        ] {
            let end = end_of_the_last_day(Utc::from_secs(seconds));
            assert_eq!(end, expected.map(Utc::from_secs), "{seconds}");
        }
        for extreme in [i64::MIN, i64::MAX] {
            let _ = end_of_the_last_day(Utc::from_nanos(extreme));
        }
    }

    use Leap::{Delete, Insert};
    const SILENT: Option<Leap> = None;
    const NO: Option<Leap> = Some(Leap::None);
    const YES: Option<Leap> = Some(Insert);

    /// Servers of an operator each, and a list.
    fn each(servers: &[Option<Leap>], list: Option<Leap>) -> Leap {
        let names = ["a", "b", "c", "d", "e"];
        warning(names.into_iter().zip(servers.iter().copied()), list, None)
    }

    /// The same after a warning that an inserted second comes.
    fn after_a_warning(servers: &[Option<Leap>], list: Option<Leap>) -> Leap {
        let names = ["a", "b", "c", "d", "e"];
        let said = names.into_iter().zip(servers.iter().copied());
        warning(said, list, Some(Insert))
    }

    #[test]
    fn a_warning_needs_more_than_half_of_those_who_speak() {
        assert_eq!(each(&[], SILENT), Leap::None);
        assert_eq!(each(&[YES, NO], SILENT), Leap::None);
        assert_eq!(each(&[YES, YES, NO], SILENT), Insert);
        assert_eq!(each(&[YES, YES, NO, NO], YES), Insert);
        assert_eq!(each(&[NO, NO], YES), Leap::None);
        let delete = Some(Delete);
        assert_eq!(each(&[delete, YES, delete], SILENT), Delete);
        assert_eq!(each(&[delete, YES], SILENT), Leap::None);
    }

    #[test]
    fn no_minority_of_the_operators_can_warn_because_the_others_cannot_tell() {
        assert_eq!(each(&[YES, SILENT, SILENT], SILENT), Leap::None);
        assert_eq!(each(&[YES, SILENT], SILENT), Leap::None);
        assert_eq!(each(&[YES, YES, SILENT, SILENT], SILENT), Leap::None);
        assert_eq!(each(&[YES, YES, SILENT], SILENT), Insert);
        assert_eq!(each(&[YES], SILENT), Insert);
        // Nor because some of the others say that there is none.
        assert_eq!(each(&[YES, YES, NO, SILENT, SILENT], SILENT), Leap::None);
        // Nor because the list says that there is none, or for a second that would be left out.
        assert_eq!(each(&[YES, SILENT, SILENT], NO), Leap::None);
        assert_eq!(each(&[YES, SILENT, SILENT], Some(Delete)), Leap::None);
    }

    #[test]
    fn the_list_is_one_voice_and_decides_where_no_server_can_tell() {
        assert_eq!(each(&[SILENT, SILENT, SILENT], YES), Insert);
        assert_eq!(each(&[SILENT, SILENT, SILENT], NO), Leap::None);
        assert_eq!(each(&[YES, SILENT, SILENT], YES), Insert);
        assert_eq!(each(&[NO, SILENT, SILENT], YES), Leap::None, "one each");
        assert_eq!(each(&[YES, YES, SILENT], NO), Insert, "two of three");
    }

    #[test]
    fn all_servers_of_one_operator_have_one_voice() {
        let said = [("a", YES), ("a", YES), ("a", YES), ("b", NO), ("c", NO)];
        assert_eq!(warning(said.into_iter(), SILENT, None), Leap::None);
        let divided = [("a", YES), ("a", NO), ("b", YES), ("c", YES), ("c", SILENT)];
        assert_eq!(warning(divided.into_iter(), SILENT, None), Insert);
        let fewer = divided.into_iter().take(3);
        assert_eq!(warning(fewer, SILENT, None), Leap::None);
    }

    #[test]
    fn a_warning_that_was_given_stays_while_most_who_speak_give_it() {
        assert_eq!(after_a_warning(&[YES, YES, SILENT, SILENT], SILENT), Insert);
        assert_eq!(after_a_warning(&[SILENT, SILENT], SILENT), Insert);
        assert_eq!(after_a_warning(&[YES, YES, NO, SILENT], SILENT), Insert);
        assert_eq!(after_a_warning(&[YES, NO, SILENT], SILENT), Leap::None);
        assert_eq!(after_a_warning(&[YES, NO, NO], SILENT), Leap::None);
        assert_eq!(after_a_warning(&[NO, SILENT, SILENT], SILENT), Leap::None);
        assert_eq!(after_a_warning(&[YES, NO, SILENT], NO), Leap::None);
        let delete = Some(Delete);
        assert_eq!(after_a_warning(&[delete, delete, delete], SILENT), Delete);
    }

    #[test]
    fn a_list_says_nothing_once_it_has_expired() {
        let day = Span::from_secs(86_400);
        let list = List {
            last: LAST,
            step: 1,
            expires: LAST + day,
        };
        let before = |seconds| LAST - Span::from_secs(seconds);
        assert_eq!(list.says(before(1)), Some(Insert));
        assert_eq!(list.says(before(100_000)), Some(Leap::None));
        assert_eq!(list.says(LAST), Some(Leap::None));
        assert_eq!(list.says(LAST + day), None);
    }
}
