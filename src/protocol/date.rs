//! The date of an HTTP header: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7, IMF-fixdate).
//!
//! In: the value of a header. Out: the second that it names. Strict on purpose: one form, letter for
//! letter, and the day of the week must be that of the day. The two obsolete forms are told apart but not
//! read: RFC 9110 lets no server send them, and one of them has a year of two digits.

use crate::engine::time::Utc;

/// How long an IMF-fixdate is, in bytes.
const LENGTH: usize = 29;

const SECONDS_A_DAY: i64 = 86_400;

/// From Thursday on, the day that 1970 began with.
const WEEKDAYS: [&[u8]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];

const MONTHS: [(&[u8], i64); 12] = [
    (b"Jan", 31),
    (b"Feb", 28),
    (b"Mar", 31),
    (b"Apr", 30),
    (b"May", 31),
    (b"Jun", 30),
    (b"Jul", 31),
    (b"Aug", 31),
    (b"Sep", 30),
    (b"Oct", 31),
    (b"Nov", 30),
    (b"Dec", 31),
];

/// Why a text is no date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DateError {
    /// Not the one form that servers may send.
    #[error("not of the form \"Sun, 06 Nov 1994 08:49:37 GMT\"")]
    Form,
    /// One of the forms that were given up with HTTP/1.1.
    #[error("of a form that no server may send since HTTP/1.1 (RFC 850 or asctime)")]
    Obsolete,
    /// A day, hour, minute or second that does not exist.
    #[error("a day or time that does not exist")]
    OutOfRange,
    /// The second 60. No Unix time is its own, so it bounds nothing.
    #[error("within a leap second")]
    LeapSecond,
    /// The day of the week is not that of the day.
    #[error("on the wrong day of the week")]
    Weekday,
}

/// Reads the whole of `text`: the beginning of the second that it names, in the years 0 to 9999. What the
/// clock cannot hold (before 1677, after 2262) becomes the first or last instant that it can.
pub fn parse(text: &[u8]) -> Result<Utc, DateError> {
    if is_obsolete(text) {
        return Err(DateError::Obsolete);
    }
    let form = text.len() == LENGTH
        && [(3, b", "), (25, b" G"), (27, b"MT")]
            .iter()
            .all(|&(at, part)| text[at..].starts_with(part))
        && [(7, b' '), (11, b' '), (16, b' '), (19, b':'), (22, b':')]
            .iter()
            .all(|&(at, byte)| text[at] == byte);
    if !form {
        return Err(DateError::Form);
    }
    let weekday = WEEKDAYS.iter().position(|name| *name == &text[..3]);
    let month = MONTHS.iter().position(|(name, _)| *name == &text[8..11]);
    let (Some(weekday), Some(month)) = (weekday, month) else {
        return Err(DateError::Form);
    };
    let written = Civil {
        year: number(&text[12..16])?,
        month: month as i64 + 1,
        day: number(&text[5..7])?,
        hour: number(&text[17..19])?,
        minute: number(&text[20..22])?,
        second: number(&text[23..25])?,
    };
    let seconds = written.unix_seconds()?;
    if seconds.div_euclid(SECONDS_A_DAY).rem_euclid(7) != weekday as i64 {
        return Err(DateError::Weekday);
    }
    Ok(Utc::from_secs(seconds))
}

/// A second of the Gregorian calendar in UTC, as it was written.
pub(super) struct Civil {
    /// 0 to 9999.
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: i64,
    /// 1 to 31.
    pub(super) day: i64,
    /// 0 to 23.
    pub(super) hour: i64,
    /// 0 to 59.
    pub(super) minute: i64,
    /// 0 to 59.
    pub(super) second: i64,
}

impl Civil {
    /// Seconds since 1970-01-01 UTC, if there is such a second.
    pub(super) fn unix_seconds(&self) -> Result<i64, DateError> {
        let &Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self;
        if !(1..=12).contains(&month) {
            return Err(DateError::OutOfRange);
        }
        let month = month as usize - 1;
        let leap_day = i64::from(month == 1 && is_leap(year));
        if day < 1 || day > MONTHS[month].1 + leap_day || hour > 23 || minute > 59 || second > 60 {
            return Err(DateError::OutOfRange);
        }
        if second == 60 {
            return Err(DateError::LeapSecond);
        }
        let days = days_before(year) + day_of_year(year, month) + day - 1;
        Ok(days * SECONDS_A_DAY + hour * 3_600 + minute * 60 + second)
    }
}

/// `Sunday, 06-Nov-94 08:49:37 GMT` or `Sun Nov  6 08:49:37 1994`.
fn is_obsolete(text: &[u8]) -> bool {
    let rfc850 = text.windows(5).any(|five| five == b"day, ");
    let asctime = text.len() == 24 && text[3] == b' ' && text[13] == b':' && text[16] == b':';
    rfc850 || asctime
}

/// A number of so few digits that it cannot overflow.
pub(super) fn number(digits: &[u8]) -> Result<i64, DateError> {
    digits.iter().try_fold(0, |sum, digit| match digit {
        b'0'..=b'9' => Ok(sum * 10 + i64::from(digit - b'0')),
        _ => Err(DateError::Form),
    })
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days from 1970-01-01 to the first of January of `year` (negative before).
fn days_before(year: i64) -> i64 {
    /// Days from the first of January of the year 1 to that of 1970, Gregorian.
    const EPOCH: i64 = 719_162;
    let whole = year - 1;
    let leap_days = whole.div_euclid(4) - whole.div_euclid(100) + whole.div_euclid(400);
    whole * 365 + leap_days - EPOCH
}

/// Days of `year` before its month number `month` (0 to 11).
fn day_of_year(year: i64, month: usize) -> i64 {
    let days: i64 = MONTHS[..month].iter().map(|(_, days)| days).sum();
    days + i64::from(month > 1 && is_leap(year))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(text: &str) -> Result<i64, DateError> {
        parse(text.as_bytes()).map(|instant| instant.to_parts().0)
    }

    /// Writes a date by counting days one by one, unlike the reader.
    fn written(seconds: i64) -> String {
        let (days, within) = (
            seconds.div_euclid(SECONDS_A_DAY),
            seconds.rem_euclid(SECONDS_A_DAY),
        );
        let (mut year, mut month, mut left) = (1970, 0, days);
        loop {
            let length = MONTHS[month].1 + i64::from(month == 1 && is_leap(year));
            if left < length {
                break;
            }
            left -= length;
            month += 1;
            if month == 12 {
                (year, month) = (year + 1, 0);
            }
        }
        format!(
            "{}, {:02} {} {year} {:02}:{:02}:{:02} GMT",
            String::from_utf8_lossy(WEEKDAYS[days.rem_euclid(7) as usize]),
            left + 1,
            String::from_utf8_lossy(MONTHS[month].0),
            within / 3_600,
            within / 60 % 60,
            within % 60
        )
    }

    #[test]
    fn the_example_of_the_rfc_is_read() {
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Ok(784_111_777));
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Ok(0));
        assert_eq!(seconds("Tue, 29 Feb 2028 23:59:59 GMT"), Ok(1_835_481_599));
        assert_eq!(seconds("Thu, 31 Dec 2099 23:59:59 GMT"), Ok(4_102_444_799));
    }

    #[test]
    fn a_text_of_another_form_is_refused() {
        for text in [
            "",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 gmt",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 NOV 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 06 Nov 1994  8:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 +000",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun; 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 19é4 08:49:37 GMT",
            "784111777",
        ] {
            assert_eq!(seconds(text), Err(DateError::Form), "{text:?}");
        }
    }

    #[test]
    fn the_obsolete_forms_are_told_apart() {
        for text in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(seconds(text), Err(DateError::Obsolete), "{text:?}");
        }
    }

    #[test]
    fn a_day_or_time_that_does_not_exist_is_refused() {
        for text in [
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Mon, 29 Feb 2027 08:49:37 GMT",
            "Mon, 29 Feb 2100 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
        ] {
            assert_eq!(seconds(text), Err(DateError::OutOfRange), "{text:?}");
        }
        let leap = "Sat, 31 Dec 2016 23:59:60 GMT";
        assert_eq!(seconds(leap), Err(DateError::LeapSecond));
        let wrong = "Mon, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(seconds(wrong), Err(DateError::Weekday));
    }

    proptest! {
        #[test]
        fn every_second_until_2200_reads_back(second in 0i64..7_258_118_400) {
            prop_assert_eq!(seconds(&written(second)), Ok(second));
        }

        #[test]
        fn no_bytes_panic(text: Vec<u8>) {
            let _ = parse(&text);
        }

        #[test]
        fn no_date_panics(text in "[A-Z][a-z]{2}, [0-9]{2} (Jan|Feb|Dec) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn one_byte_off_never_panics(second in 0i64..4_102_444_800, at in 0usize..LENGTH, byte: u8) {
            let mut text = written(second).into_bytes();
            text[at] = byte;
            let _ = parse(&text);
        }
    }
}
