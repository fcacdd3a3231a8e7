//! Dates as HTTP has them (RFC 9110 §5.6.7, IMF-fixdate), and as ISO 8601 has them (RFC 3339 §5.6).
//!
//! In: Unix seconds. Out: texts. Not: other zones than GMT, leap seconds, the obsolete formats.

use super::clock::SECOND_NS;

/// The zone, which is always the same.
pub(crate) const ZONE: &str = " GMT";
/// The same in ISO 8601.
pub(crate) const UTC: &str = "Z";

const DAY_S: i64 = 86_400;
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `Sun, 06 Nov 1994 08:49:37 GMT`, of a time of whole seconds from 1970 on.
pub(crate) fn fixdate(utc_ns: i64) -> String {
    let Civil {
        year,
        month,
        day,
        weekday,
        second,
    } = civil(utc_ns);
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02}{ZONE}",
        WEEKDAYS[weekday],
        MONTHS[month],
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

/// `1994-11-06T08:49:37.5Z`, of such a time and the digits of a fraction.
pub(crate) fn iso(utc_ns: i64, fraction: &str) -> String {
    let Civil {
        year,
        month,
        day,
        second,
        ..
    } = civil(utc_ns);
    let point = if fraction.is_empty() { "" } else { "." };
    format!(
        "{year:04}-{:02}-{day:02}T{:02}:{:02}:{:02}{point}{fraction}{UTC}",
        month + 1,
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

/// A second of the calendar.
struct Civil {
    year: i64,
    /// 0 is January.
    month: usize,
    /// 1 is the first.
    day: i64,
    /// 0 is Thursday.
    weekday: usize,
    /// Of the day.
    second: i64,
}

fn civil(utc_ns: i64) -> Civil {
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
    Civil {
        year,
        month,
        day: day + 1,
        weekday: usize::try_from(days % 7).expect("it is after 1970"),
        second,
    }
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
