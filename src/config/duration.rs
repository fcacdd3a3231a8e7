//! Lengths of time as a person writes them: `250ms`, `16s`, `5m`, `2h`; corrections, which have a sign:
//! `-2ms`, `1500us`.
//!
//! A whole number and one unit, nothing between and nothing around: exact, and read in one way only.
//! Ranges are the business of whoever asked.

use super::problem::Fault;
use crate::engine::time::Span;

/// Units and their lengths in nanoseconds. `ms` stands before `s`: it ends in one.
type Units = [(&'static str, i64)];

const UNITS: &Units = &[
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
];

const SMALL_UNITS: &Units = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
];

/// How to write a length of time.
pub(super) const FORM: &str = "write a whole number and one of ms, s, m, h, like \"16s\"";

/// How to write a correction.
pub(super) const SIGNED_FORM: &str =
    "write a whole number, with or without a sign, and one of ns, us, ms, s, like \"-2ms\"";

/// Reads the whole of `text` as a length of time. What is longer than a [`Span`] holds becomes
/// [`Span::MAX`]: no range goes that far.
pub(super) fn parse(text: &str) -> Result<Span, Fault> {
    let (number, unit) = split(text);
    if !number.is_empty() && unit.is_empty() {
        return Err(Fault::new(
            format!("{text:?} has no unit"),
            format!("write \"{text}s\""),
        ));
    }
    span(number, unit, UNITS).ok_or_else(|| Fault::new(format!("{text:?} is not a duration"), FORM))
}

/// Reads the whole of `text` as a correction; a `+` or `-` may stand in front.
pub(super) fn parse_signed(text: &str) -> Result<Span, Fault> {
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (number, unit) = split(unsigned);
    let what = if !number.is_empty() && unit.is_empty() {
        "has no unit"
    } else {
        "is not a correction"
    };
    let span = span(number, unit, SMALL_UNITS)
        .ok_or_else(|| Fault::new(format!("{text:?} {what}"), SIGNED_FORM))?;
    Ok(if is_negative { -span } else { span })
}

/// The digits at the beginning, and what follows.
fn split(text: &str) -> (&str, &str) {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(digits)
}

/// `number` is all digits.
fn span(number: &str, unit: &str, units: &Units) -> Option<Span> {
    let &(_, nanos) = units.iter().find(|(name, _)| *name == unit)?;
    if number.is_empty() {
        return None;
    }
    // Only a number too large can fail.
    let number = number.parse().unwrap_or(i64::MAX);
    Some(Span::from_nanos(nanos).times(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_and_a_unit_is_exact() {
        for (text, span) in [
            ("250ms", Span::from_millis(250)),
            ("16s", Span::from_secs(16)),
            ("5m", Span::from_secs(300)),
            ("2h", Span::from_secs(7_200)),
            ("007s", Span::from_secs(7)),
            ("0s", Span::ZERO),
            ("99999999999999999999h", Span::MAX),
            ("9999999999999h", Span::MAX),
        ] {
            assert_eq!(parse(text), Ok(span), "{text}");
        }
    }

    #[test]
    fn a_number_without_a_unit_is_told_how_to_get_one() {
        assert_eq!(
            parse("16"),
            Err(Fault::new("\"16\" has no unit", "write \"16s\""))
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", "s", "-5s", "+5s", "1.5s", "5 s", " 5s", "5s ", "5S", "5min", "1m30s", "٥s", "5us",
        ] {
            let fault = parse(text).expect_err(text);
            assert_eq!(fault.what, format!("{text:?} is not a duration"));
        }
    }

    #[test]
    fn a_correction_has_a_sign_and_small_units() {
        for (text, nanos) in [
            ("-2ms", -2_000_000),
            ("1500us", 1_500_000),
            ("+1500us", 1_500_000),
            ("-7ns", -7),
            ("37s", 37_000_000_000),
            ("-0s", 0),
            ("-99999999999999999999s", -i64::MAX),
        ] {
            assert_eq!(parse_signed(text), Ok(Span::from_nanos(nanos)), "{text}");
        }
        let told = |what: &str| Err(Fault::new(what, SIGNED_FORM));
        assert_eq!(parse_signed("-2"), told("\"-2\" has no unit"));
        for text in [
            "", "-", "--2ms", "+-2ms", "- 2ms", "1.5ms", "2m", "2h", "-ms", "−2ms",
        ] {
            assert_eq!(
                parse_signed(text),
                told(&format!("{text:?} is not a correction"))
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = parse(&text);
            let _ = parse_signed(&text);
        }

        #[test]
        fn every_correction_in_nanoseconds_is_exact(nanos in -i64::MAX..=i64::MAX) {
            prop_assert_eq!(parse_signed(&format!("{nanos}ns")), Ok(Span::from_nanos(nanos)));
        }
    }
}
