//! The headers that carry time: `X-HTTPSTIME` (Kamp, "Time over HTTPS", 2015), `X-Time` as GrapheneOS's
//! servers have it, and `Date` (RFC 9110 §6.6.1).
//!
//! In: the fields of a head. Out: the stamp, with the weight of its last digit. Whether the reply was made
//! for us and just now is judged before, by [`head`](crate::protocol::head).

use crate::engine::time::Span;
use crate::protocol::date;
use crate::protocol::decimal::{DecimalError, DecimalSeconds};
use crate::protocol::excerpt::Excerpt;
use crate::protocol::plausible::Plausible;
use crate::protocol::refusal::{HeaderFault, Refusal};

/// The header of Time over HTTPS; servers write it in any case.
pub const X_HTTPSTIME: &str = "X-HTTPSTIME";

/// The header of GrapheneOS's time servers: milliseconds since 1970, a whole number.
pub const X_TIME: &str = "X-Time";

/// The header that nearly every reply has.
pub const DATE: &str = "Date";

/// The fields of a head, in the order in which they came.
pub type Fields<'a> = [(&'a str, &'a [u8])];

/// The stamp in `X-HTTPSTIME`, from a reply with the fields `fields`; `body` tells whether one came.
pub fn https_time(
    fields: &Fields<'_>,
    body: &[u8],
    plausible: &Plausible,
) -> Result<DecimalSeconds, Refusal> {
    number(X_HTTPSTIME, DecimalSeconds::parse, fields, body, plausible)
}

/// The stamp in `X-Time`, likewise.
pub fn x_time(
    fields: &Fields<'_>,
    body: &[u8],
    plausible: &Plausible,
) -> Result<DecimalSeconds, Refusal> {
    number(
        X_TIME,
        DecimalSeconds::parse_millis,
        fields,
        body,
        plausible,
    )
}

/// The stamp in a header that holds a number, as `parse` reads it.
fn number(
    header: &'static str,
    parse: impl Fn(&[u8]) -> Result<DecimalSeconds, DecimalError>,
    fields: &Fields<'_>,
    body: &[u8],
    plausible: &Plausible,
) -> Result<DecimalSeconds, Refusal> {
    let value = match only(fields, header) {
        Err(Refusal::HeaderMissing { header }) if !body.is_empty() || announces_body(fields) => {
            return Err(Refusal::PageInstead { header });
        }
        found => found?,
    };
    let stamp = parse(value).map_err(|why| Refusal::BadHeader {
        header,
        value: Excerpt::of(value),
        why: fault_of(why, value),
    })?;
    plausible.check(stamp.instant)?;
    Ok(stamp)
}

/// The stamp in `Date`: a whole second.
pub fn http_date(fields: &Fields<'_>, plausible: &Plausible) -> Result<DecimalSeconds, Refusal> {
    let value = only(fields, DATE)?;
    let instant = date::parse(value).map_err(|why| Refusal::BadHeader {
        header: DATE,
        value: Excerpt::of(value),
        why: why.into(),
    })?;
    plausible.check(instant)?;
    Ok(DecimalSeconds {
        instant,
        resolution: Span::from_secs(1),
    })
}

/// The value of a header that must be there, once, without the blanks around it.
fn only<'a>(fields: &Fields<'a>, header: &'static str) -> Result<&'a [u8], Refusal> {
    let mut found = fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(header));
    match (found.next(), found.next()) {
        (None, _) => Err(Refusal::HeaderMissing { header }),
        (Some((_, value)), None) => Ok(value.trim_ascii()),
        (Some(_), Some(_)) => Err(Refusal::HeaderTwice { header }),
    }
}

/// Whether a head says that a GET would have got a body.
fn announces_body(fields: &Fields<'_>) -> bool {
    fields.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("transfer-encoding")
            || name.eq_ignore_ascii_case("content-length") && value.trim_ascii() != b"0"
    })
}

/// What is wrong with `value`, which is no number because of `why`, in the words that help most.
pub(super) fn fault_of(why: DecimalError, value: &[u8]) -> HeaderFault {
    let has = |sign: &[u8]| value.iter().any(|byte| sign.contains(byte));
    match (why, value.first()) {
        (DecimalError::NotPlain, Some(b'+' | b'-')) => HeaderFault::Signed,
        (DecimalError::NotPlain, Some(b'0'..=b'9')) if has(b",; \t\r\n") => HeaderFault::Several,
        (DecimalError::NotPlain, Some(b'0'..=b'9')) if has(b"eE") => HeaderFault::Exponent,
        _ => HeaderFault::Number(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Utc;
    use crate::protocol::date::DateError;
    use proptest::prelude::*;

    const TIME: &str = "1893456001.285965";
    const DATE_TEXT: &str = "Tue, 01 Jan 2030 00:00:01 GMT";

    fn fields<'a>(of: &'a [(&'a str, &'a str)]) -> Vec<(&'a str, &'a [u8])> {
        of.iter().map(|(n, v)| (*n, v.as_bytes())).collect()
    }

    fn time(of: &[(&str, &str)]) -> Result<DecimalSeconds, Refusal> {
        https_time(&fields(of), b"", &Plausible::release())
    }

    fn dated(of: &[(&str, &str)]) -> Result<DecimalSeconds, Refusal> {
        http_date(&fields(of), &Plausible::release())
    }

    fn bad(header: &'static str, value: &str, why: HeaderFault) -> Refusal {
        let value = Excerpt::of(value.as_bytes());
        Refusal::BadHeader { header, value, why }
    }

    #[test]
    fn the_time_header_is_read_in_any_case_with_any_fraction() {
        for (name, value, nanos, resolution) in [
            (X_HTTPSTIME, TIME, 285_965_000, 1_000),
            ("x-httpstime", " 1893456001.285965 ", 285_965_000, 1_000),
            ("X-HttpsTime", "1893456001", 0, 1_000_000_000),
            ("X-HTTPSTIME", "1893456001.000000001", 1, 1),
        ] {
            let stamp = time(&[("Date", "x"), (name, value)]);
            let expected = DecimalSeconds {
                instant: Utc::from_secs(1_893_456_001) + Span::from_nanos(nanos),
                resolution: Span::from_nanos(resolution),
            };
            assert_eq!(stamp, Ok(expected), "{value}");
        }
    }

    #[test]
    fn the_example_of_the_paper_is_read() {
        let then = Plausible {
            not_before: Utc::from_secs(1_500_000_000),
            not_after: Utc::from_secs(1_600_000_000),
        };
        let of = [("X-HTTPSTIME", "1558915632.285965")];
        let stamp = https_time(&fields(&of), b"", &then).expect("it is real");
        assert_eq!(
            stamp.instant,
            Utc::from_nanos(1_558_915_632_285_965_000),
            "to the microsecond"
        );
    }

    #[test]
    fn a_header_that_is_missing_is_told_and_so_is_a_page_without_it() {
        let header = X_HTTPSTIME;
        for quiet in [&[][..], &[("Content-Length", "0"), ("Date", DATE_TEXT)]] {
            assert_eq!(time(quiet), Err(Refusal::HeaderMissing { header }));
        }
        for page in [("content-length", "512"), ("Transfer-Encoding", "chunked")] {
            assert_eq!(time(&[page]), Err(Refusal::PageInstead { header }));
        }
        let came = https_time(&[], b"<html>", &Plausible::release());
        assert_eq!(came, Err(Refusal::PageInstead { header }));
        let header = DATE;
        assert_eq!(dated(&[]), Err(Refusal::HeaderMissing { header }));
    }

    #[test]
    fn a_header_that_is_there_twice_is_refused_even_if_both_are_the_same() {
        let twice = [("X-HTTPSTIME", TIME), ("x-httpstime", TIME)];
        let header = X_HTTPSTIME;
        assert_eq!(time(&twice), Err(Refusal::HeaderTwice { header }));
        let twice = [("Date", DATE_TEXT), ("date", DATE_TEXT)];
        let header = DATE;
        assert_eq!(dated(&twice), Err(Refusal::HeaderTwice { header }));
    }

    #[test]
    fn a_time_header_that_is_not_one_plain_number_is_refused_by_cause() {
        let plain = HeaderFault::Number(DecimalError::NotPlain);
        for (value, why) in [
            ("-1893456001.5", HeaderFault::Signed),
            ("+1893456001.5", HeaderFault::Signed),
            ("1.893456001e9", HeaderFault::Exponent),
            ("1893456001, 1893456002", HeaderFault::Several),
            ("1893456001 s", HeaderFault::Several),
            ("nan", plain),
            ("inf", plain),
            ("", plain),
            ("now", plain),
            ("1893456001.", plain),
            (
                "1893456001.1000000",
                HeaderFault::Number(DecimalError::Uncarried),
            ),
            (
                "99999999999999999999",
                HeaderFault::Number(DecimalError::Overflow),
            ),
        ] {
            assert_eq!(
                time(&[("X-HTTPSTIME", value)]),
                Err(bad(X_HTTPSTIME, value, why)),
                "{value:?}"
            );
        }
    }

    #[test]
    fn x_time_is_a_whole_number_of_milliseconds() {
        let read = |value: &str| {
            let of = [("x-time", value)];
            x_time(&fields(&of), b"", &Plausible::release())
        };
        assert_eq!(
            read(" 1893456001285 "),
            Ok(DecimalSeconds {
                instant: Utc::from_nanos(1_893_456_001_285_000_000),
                resolution: Span::from_millis(1),
            })
        );
        let plain = HeaderFault::Number(DecimalError::NotPlain);
        for (value, why) in [
            ("-1893456001285", HeaderFault::Signed),
            ("1893456001285e0", HeaderFault::Exponent),
            ("1893456001285, 1893456001286", HeaderFault::Several),
            ("1893456001.285", plain),
            ("", plain),
            (
                "99999999999999999999999",
                HeaderFault::Number(DecimalError::Overflow),
            ),
        ] {
            assert_eq!(read(value), Err(bad(X_TIME, value, why)), "{value:?}");
        }
        // Seconds where milliseconds are due are of January 1970.
        assert!(matches!(
            read("1893456001"),
            Err(Refusal::BeforeRelease { .. })
        ));
    }

    #[test]
    fn x_time_must_be_there_once_and_a_portals_page_has_none() {
        let read = |of: &[(&str, &str)], body: &[u8]| {
            x_time(&fields(of), body, &Plausible::release()).expect_err("no time")
        };
        let header = X_TIME;
        assert_eq!(
            read(&[("X-HTTPSTIME", TIME)], b""),
            Refusal::HeaderMissing { header }
        );
        assert_eq!(read(&[], b"<html>"), Refusal::PageInstead { header });
        let twice = [("X-Time", "1893456001285"), ("x-time", "1893456001285")];
        assert_eq!(read(&twice, b""), Refusal::HeaderTwice { header });
    }

    #[test]
    fn a_date_is_a_whole_second() {
        assert_eq!(
            dated(&[("date", DATE_TEXT)]),
            Ok(DecimalSeconds {
                instant: Utc::from_secs(1_893_456_001),
                resolution: Span::from_secs(1),
            })
        );
    }

    #[test]
    fn a_date_that_is_none_is_refused_by_cause() {
        for (value, why) in [
            ("0", DateError::Form),
            ("Tue Jan  1 00:00:01 2030", DateError::Obsolete),
            ("Wed, 01 Jan 2030 00:00:01 GMT", DateError::Weekday),
        ] {
            let refused = Err(bad(DATE, value, why.into()));
            assert_eq!(dated(&[("Date", value)]), refused, "{value:?}");
        }
    }

    #[test]
    fn implausible_times_are_refused() {
        let before = |result| matches!(result, Err(Refusal::BeforeRelease { .. }));
        let beyond = |result| matches!(result, Err(Refusal::BeyondHorizon { .. }));
        assert!(before(time(&[("X-HTTPSTIME", "1558915632.285965")])));
        assert!(beyond(time(&[("X-HTTPSTIME", "4102444801")])));
        assert!(before(dated(&[("Date", "Sun, 06 Nov 1994 08:49:37 GMT")])));
        assert!(beyond(dated(&[("Date", "Fri, 31 Dec 9999 23:59:59 GMT")])));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(name: String, value: Vec<u8>, body: Vec<u8>) {
            let fields = [X_HTTPSTIME, X_TIME, DATE, &name].map(|name| (name, &value[..]));
            let _ = https_time(&fields, &body, &Plausible::release());
            let _ = x_time(&fields, &body, &Plausible::release());
            let _ = http_date(&fields, &Plausible::release());
            let _ = announces_body(&fields);
        }
    }
}
