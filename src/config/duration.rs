//! Lengths of time as a person writes them: `250ms`, `16s`, `5m`, `2h`.
//!
//! A whole number and one unit, nothing between and nothing around: exact, and read in one way only.
//! Ranges are the business of whoever asked.

use super::problem::Fault;
use crate::engine::time::Span;

/// The units and their lengths in nanoseconds. `ms` stands before `s`: it ends in one.
const UNITS: [(&str, i64); 4] = [
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
];

/// Reads the whole of `text`. What is longer than a [`Span`] holds becomes [`Span::MAX`]: no range goes
/// that far.
pub(super) fn parse(text: &str) -> Result<Span, Fault> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if !number.is_empty() && unit.is_empty() {
        return Err(Fault::new(
            format!("{text:?} has no unit"),
            format!("write \"{text}s\""),
        ));
    }
    let length = UNITS.iter().find(|(name, _)| *name == unit);
    let (Some(&(_, nanos)), false) = (length, number.is_empty()) else {
        return Err(Fault::new(
            format!("{text:?} is not a duration"),
            "write a whole number and one of ms, s, m, h, like \"16s\"",
        ));
    };
    // All digits: only a number too large can fail.
    let number = number.parse().unwrap_or(i64::MAX);
    Ok(Span::from_nanos(nanos).times(number))
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

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = parse(&text);
        }
    }
}
