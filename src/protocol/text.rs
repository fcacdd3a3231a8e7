//! A body of plain text that says the time, in one of three forms:
//!
//! * decimal seconds, `1790557227.050` (Akamai's `time.akamai.com/?ms`);
//! * a date and time of ISO 8601, `2026-09-28T01:00:27.050Z` (the UTCTiming servers of MPEG-DASH, `http-iso` and
//!   `http-xsdate`, ISO/IEC 23009-1 §5.8.5.7);
//! * lines of `name=value`, of which one is `ts=1790557227.050` (Cloudflare's `/cdn-cgi/trace`).
//!
//! In: the body. Out: the stamp, with the weight of its last digit, and where it ends. Strict on purpose: blanks may
//! stand around the text, nothing else. It cannot tell a fraction that a server makes up.

use crate::protocol::date::{Civil, number};
use crate::protocol::decimal::DecimalSeconds;
use crate::protocol::excerpt::Excerpt;
use crate::protocol::header::fault_of;
use crate::protocol::plausible::Plausible;
use crate::protocol::refusal::{HeaderFault, Refusal, is_html};

/// What a text said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// When the reply was made.
    pub stamp: DecimalSeconds,
    /// Offset in the body just behind the stamp.
    pub stamp_end: usize,
}

/// The line that counts among many.
const LINE: &[u8] = b"ts=";

/// `1994-11-06T08:49:37`, what precedes the fraction and the zone.
const ISO_LENGTH: usize = 19;

/// Reads a whole body.
pub fn parse(body: &[u8], plausible: &Plausible) -> Result<Reply, Refusal> {
    let text = body.trim_ascii();
    if text.is_empty() {
        return Err(Refusal::EmptyBody);
    }
    if is_html(body) {
        return Err(Refusal::Html);
    }
    let value = if may_be_time(text) {
        text
    } else {
        line_of(text)?
    };
    let stamp = time(value).map_err(|why| Refusal::BadText {
        value: Excerpt::of(value),
        why,
    })?;
    plausible.check(stamp.instant)?;
    Ok(Reply {
        stamp,
        // It is a piece of the body.
        stamp_end: value.as_ptr_range().end as usize - body.as_ptr() as usize,
    })
}

/// Whether a text tries to be a time, well or badly.
fn may_be_time(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").or(text.strip_prefix(b"+"));
    let first = unsigned.unwrap_or(text).first();
    first.is_some_and(u8::is_ascii_digit)
}

/// The value of the one line that counts, among others of its form.
fn line_of(text: &[u8]) -> Result<&[u8], Refusal> {
    let none = || Refusal::NoTime {
        beginning: Excerpt::of(text),
    };
    let mut found = None;
    for line in text.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.contains(&b'=') {
            return Err(none());
        }
        let Some(value) = line.strip_prefix(LINE) else {
            continue;
        };
        if found.replace(value).is_some() {
            return Err(Refusal::BadText {
                value: Excerpt::of(line),
                why: HeaderFault::Several,
            });
        }
    }
    found.ok_or_else(none)
}

fn time(value: &[u8]) -> Result<DecimalSeconds, HeaderFault> {
    if value.get(4) == Some(&b'-') {
        return iso(value);
    }
    DecimalSeconds::parse(value).map_err(|why| fault_of(why, value))
}

/// `1994-11-06T08:49:37`, a fraction or none, `Z` or how far the zone is ahead, `+09:00` (RFC 3339 §5.6).
fn iso(value: &[u8]) -> Result<DecimalSeconds, HeaderFault> {
    let (written, rest) = value.split_at_checked(ISO_LENGTH).ok_or(HeaderFault::Iso)?;
    let signs = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if signs.iter().any(|&(at, sign)| written[at] != sign) {
        return Err(HeaderFault::Iso);
    }
    let field = |at: usize, digits| number(&written[at..at + digits]).map_err(|_| HeaderFault::Iso);
    let civil = Civil {
        year: field(0, 4)?,
        month: field(5, 2)?,
        day: field(8, 2)?,
        hour: field(11, 2)?,
        minute: field(14, 2)?,
        second: field(17, 2)?,
    };
    let digits = match rest.strip_prefix(b".") {
        None => None,
        Some(rest) => {
            let end = rest.iter().position(|byte| !byte.is_ascii_digit());
            Some(&rest[..end.unwrap_or(rest.len())])
        }
    };
    let zone = &rest[digits.map_or(0, |digits| digits.len() + 1)..];
    let seconds = civil.unix_seconds()? - ahead(zone)?;
    DecimalSeconds::with_fraction(seconds, digits).map_err(HeaderFault::Number)
}

/// How far a zone is ahead of UTC, seconds.
fn ahead(zone: &[u8]) -> Result<i64, HeaderFault> {
    let (sign, digits) = match zone {
        b"Z" => return Ok(0),
        b"" => return Err(HeaderFault::NoZone),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        [b' ' | b',' | b';' | b'\t' | b'\r' | b'\n', ..] => return Err(HeaderFault::Several),
        _ => return Err(HeaderFault::Iso),
    };
    let &[h, k, b':', m, n] = digits else {
        return Err(HeaderFault::Iso);
    };
    let pair = |pair: [u8; 2]| number(&pair).map_err(|_| HeaderFault::Iso);
    let (hours, minutes) = (pair([h, k])?, pair([m, n])?);
    if hours > 23 || minutes > 59 {
        return Err(HeaderFault::Iso);
    }
    Ok(sign * (hours * 3_600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::{Span, Utc};
    use crate::protocol::date::DateError;
    use crate::protocol::decimal::DecimalError;
    use proptest::prelude::*;

    const TRACE: &str = "fl=123f45\nh=www.example.com\nip=192.0.2.1\nts=1893456001.050\n\
        visit_scheme=https\nuag=a=b ts=1\ncolo=NRT\n";

    fn read(body: &str) -> Result<Reply, Refusal> {
        parse(body.as_bytes(), &Plausible::release())
    }

    /// Nanoseconds, those of the last digit, and what precedes the end of the stamp.
    fn parts(body: &str) -> (i64, i64, &str) {
        let Reply { stamp, stamp_end } = read(body).expect(body);
        let (nanos, unit) = (stamp.instant.as_nanos(), stamp.resolution.as_nanos());
        (nanos, unit, &body[..stamp_end])
    }

    fn refused(body: &str) -> HeaderFault {
        match read(body) {
            Err(Refusal::BadText { why, .. }) => why,
            other => panic!("{body:?}: {other:?}"),
        }
    }

    #[test]
    fn each_form_is_read_to_its_last_digit() {
        let second = 1_893_456_001_000_000_000;
        for (body, nanos, unit, until) in [
            ("1893456001.05", 50_000_000, 10_000_000, "1893456001.05"),
            ("1893456001\n", 0, 1_000_000_000, "1893456001"),
            (
                " \r\n1893456001.5\r\n",
                500_000_000,
                100_000_000,
                " \r\n1893456001.5",
            ),
            (
                "2030-01-01T00:00:01Z",
                0,
                1_000_000_000,
                "2030-01-01T00:00:01Z",
            ),
            (
                "2030-01-01T00:00:01.285965Z\n",
                285_965_000,
                1_000,
                "2030-01-01T00:00:01.285965Z",
            ),
            (
                "2030-01-01T09:00:01.3+09:00",
                300_000_000,
                100_000_000,
                "2030-01-01T09:00:01.3+09:00",
            ),
            (
                "2029-12-31T20:30:01-03:30",
                0,
                1_000_000_000,
                "2029-12-31T20:30:01-03:30",
            ),
        ] {
            assert_eq!(parts(body), (second + nanos, unit, until), "{body:?}");
        }
        let (nanos, unit, until) = parts(TRACE);
        assert_eq!((nanos, unit), (second + 50_000_000, 1_000_000));
        assert!(until.ends_with("\nts=1893456001.050"), "{until:?}");
        assert_eq!(parts("ts=1893456001\r\na=b").2, "ts=1893456001");
        assert_eq!(parts("a=b\nts=2030-01-01T00:00:01Z").0, second);
    }

    #[test]
    fn what_is_no_text_of_this_kind_is_refused_by_cause() {
        assert_eq!(read(""), Err(Refusal::EmptyBody));
        assert_eq!(read(" \r\n"), Err(Refusal::EmptyBody));
        assert_eq!(read("<!DOCTYPE html>"), Err(Refusal::Html));
        for body in [
            "now",
            "NaN",
            "{\"st\":1893456001.5}",
            "\"1893456001.5\"",
            "a=b\nc=d",
            "now\nts=1893456001.5",
            "a=b\n\nts=1893456001.5",
            "xts=1893456001.5",
            "TS=1893456001.5",
            "a=b\n ts=1893456001.5",
        ] {
            let beginning = Excerpt::of(body.as_bytes());
            assert_eq!(read(body), Err(Refusal::NoTime { beginning }), "{body:?}");
        }
    }

    #[test]
    fn a_text_that_is_not_one_plain_time_is_refused_by_cause() {
        let plain = HeaderFault::Number(DecimalError::NotPlain);
        let uncarried = HeaderFault::Number(DecimalError::Uncarried);
        let of = |error: DateError| HeaderFault::Date(error);
        for (body, why) in [
            ("-1893456001.5", HeaderFault::Signed),
            ("+1893456001.5", HeaderFault::Signed),
            ("1.893456001e9", HeaderFault::Exponent),
            ("1893456001.5\n1893456002.5", HeaderFault::Several),
            ("1893456001.5 s", HeaderFault::Several),
            ("1893456001.1000000", uncarried),
            ("1893456001.", plain),
            (
                "99999999999999999999",
                HeaderFault::Number(DecimalError::Overflow),
            ),
            ("ts=", plain),
            ("ts=1893456001.5 \na=b", HeaderFault::Several),
            ("ts=1893456001.5 x\na=b", HeaderFault::Several),
            ("ts=1893456001.5\nts=1893456001.5", HeaderFault::Several),
            ("ts=-1893456001.5", HeaderFault::Signed),
            ("2030-01-01", HeaderFault::Iso),
            ("2030-01-01 00:00:01Z", HeaderFault::Iso),
            ("2030-01-01t00:00:01Z", HeaderFault::Iso),
            ("2030-01-01T00:00:01z", HeaderFault::Iso),
            ("2030-1-01T00:00:001Z", HeaderFault::Iso),
            ("2030-+1-01T00:00:01Z", HeaderFault::Iso),
            ("2030-01-01T00:00:01.5", HeaderFault::NoZone),
            ("2030-01-01T00:00:01+0900", HeaderFault::Iso),
            ("2030-01-01T00:00:01+24:00", HeaderFault::Iso),
            ("2030-01-01T00:00:01+09:60", HeaderFault::Iso),
            ("2030-01-01T00:00:01,5Z", HeaderFault::Several),
            (
                "2030-01-01T00:00:01Z 2030-01-01T00:00:02Z",
                HeaderFault::Iso,
            ),
            ("2030-01-01T00:00:01e0Z", HeaderFault::Iso),
            ("2030-01-01T00:00:01.Z", plain),
            ("2030-01-01T00:00:01.1000000Z", uncarried),
            ("2030-02-29T00:00:01Z", of(DateError::OutOfRange)),
            ("2030-00-01T00:00:01Z", of(DateError::OutOfRange)),
            ("2030-13-01T00:00:01Z", of(DateError::OutOfRange)),
            ("2030-01-01T24:00:00Z", of(DateError::OutOfRange)),
            ("2030-12-31T23:59:60Z", of(DateError::LeapSecond)),
        ] {
            assert_eq!(refused(body), why, "{body:?}");
        }
    }

    #[test]
    fn implausible_times_are_refused() {
        for body in ["1558915632.285965", "2019-05-27T00:07:12Z", "ts=1558915632"] {
            assert!(
                matches!(read(body), Err(Refusal::BeforeRelease { .. })),
                "{body}"
            );
        }
        for body in ["4102444801", "2100-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
            let refused = read(body);
            let (beyond, overflow) = (
                matches!(refused, Err(Refusal::BeyondHorizon { .. })),
                matches!(refused, Err(Refusal::BadText { .. })),
            );
            assert!(
                beyond || overflow && body.starts_with("9999"),
                "{refused:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_zone_changes_how_an_instant_is_written_and_not_the_instant(
            minutes in -1_439i64..=1_439, second in 0i64..1_000_000_000,
        ) {
            let instant = Utc::from_secs(1_893_456_000 + second);
            let zoned = instant + Span::from_secs(60).times(minutes);
            let (sign, ahead) = (if minutes < 0 { '-' } else { '+' }, minutes.abs());
            let zone = format!("{sign}{:02}:{:02}", ahead / 60, ahead % 60);
            let text = format!("{}{zone}", written(zoned));
            prop_assert_eq!(read(&text).map(|reply| reply.stamp.instant), Ok(instant), "{}", text);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes, &Plausible::release());
        }

        #[test]
        fn no_text_panics(text in "(ts=|a=b\n)?[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,12}[Z+-]{0,2}[0-9:]{0,5}") {
            let _ = read(&text);
        }

        #[test]
        fn one_byte_off_never_panics(at in 0usize..27, byte: u8) {
            let mut text = b"2030-01-01T00:00:01.5+09:00".to_vec();
            text[at] = byte;
            let _ = parse(&text, &Plausible::release());
        }
    }

    /// Date and time of day without a zone, by Howard Hinnant's `civil_from_days`, unlike the reader.
    fn written(instant: Utc) -> String {
        let (seconds, _) = instant.to_parts();
        let (days, within) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let shifted = days + 719_468;
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march + 2) / 5 + 1;
        let month = if march < 10 { march + 3 } else { march - 9 };
        let year = year + era * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (within / 3_600, within / 60 % 60, within % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}
