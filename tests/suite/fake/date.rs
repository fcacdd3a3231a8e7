//! Dates as HTTP has them (RFC 9110 §5.6.7, IMF-fixdate).
//!
//! In: Unix seconds. Out: texts. Not: other zones than GMT, leap seconds, the obsolete formats.

use super::clock::SECOND_NS;

/// The zone, which is always the same.
pub(crate) const ZONE: &str = " GMT";

const DAY_S: i64 = 86_400;
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `Sun, 06 Nov 1994 08:49:37 GMT`, of a time of whole seconds from 1970 on.
pub(crate) fn fixdate(utc_ns: i64) -> String {
    let unix_s = utc_ns / SECOND_NS;
    let (days, second) = (unix_s / DAY_S, unix_s % DAY_S);
    let (mut year, mut day) = (1970, days);
    while day >= 365 + i64::from(is_leap(year)) {
        day -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let mut month = 0;
    while day >= length(year, month) {
        day -= length(year, month);
        month += 1;
    }
    let weekday = WEEKDAYS[usize::try_from(days % 7).expect("it is after 1970")];
    format!(
        "{weekday}, {:02} {} {year} {:02}:{:02}:{:02}{ZONE}",
        day + 1,
        MONTHS[month],
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month, counted from 0.
fn length(year: i64, month: usize) -> i64 {
    match month {
        1 => 28 + i64::from(is_leap(year)),
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}
