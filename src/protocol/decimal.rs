//! Exact decimal seconds, as all these protocols write an instant: `1489217288.328757`.
//!
//! Digits are read one by one: an `f64` cannot hold a Unix time to better than 0.2 µs. Strict on
//! purpose: no sign, no exponent, no blanks, nothing around the number.

use crate::engine::time::{Span, Utc};
use std::fmt;

/// Most digits after the point that a nanosecond clock can hold.
const NANO_DIGITS: usize = 9;

/// Decimal seconds as they were written: the value and how finely it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecimalSeconds {
    /// The instant that was written; what stands behind the ninth digit is cut off.
    pub instant: Utc,
    /// The weight of the last digit written (`.05` has 10 ms), one nanosecond at the least.
    pub resolution: Span,
}

/// Why a text is not an instant in decimal seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Something else than digits, one point, digits.
    #[error("not a plain decimal number")]
    NotPlain,
    /// More seconds than a 64-bit count of nanoseconds holds (year 2262).
    #[error("beyond the year 2262")]
    Overflow,
    /// A fraction of exactly `1000000`: a server rounded microseconds up without carrying, so the
    /// stamp is nine tenths of a second early. Seen from real servers about once in two million replies.
    #[error("a fraction of 1000000 (microseconds rounded up without carry)")]
    Uncarried,
}

impl DecimalSeconds {
    /// Reads the whole of `text`.
    pub fn parse(text: &[u8]) -> Result<Self, DecimalError> {
        let mut parts = text.splitn(2, |&byte| byte == b'.');
        let seconds = digits(parts.next().unwrap_or_default())?;
        let fraction = match parts.next() {
            Some(fraction) => digits(fraction)?,
            None => &[],
        };
        Self::assemble(whole(seconds), fraction)
    }

    /// Reads the whole of `text` as milliseconds, without a point.
    pub fn parse_millis(text: &[u8]) -> Result<Self, DecimalError> {
        const MILLI_DIGITS: usize = 3;
        let digits = digits(text)?;
        let (seconds, fraction) = digits.split_at(digits.len().saturating_sub(MILLI_DIGITS));
        // With less than three digits this reads a wrong instant, of 1970 all the same.
        let read = Self::assemble(whole(seconds), fraction)?;
        Ok(Self {
            resolution: Span::from_millis(1),
            ..read
        })
    }

    /// So many seconds since 1970 and a fraction: the digits behind a point, if any.
    pub(super) fn with_fraction(
        seconds: i64,
        fraction: Option<&[u8]>,
    ) -> Result<Self, DecimalError> {
        let fraction = fraction.map(digits).transpose()?;
        Self::assemble(Some(seconds), fraction.unwrap_or_default())
    }

    fn assemble(seconds: Option<i64>, fraction: &[u8]) -> Result<Self, DecimalError> {
        if fraction == b"1000000" {
            return Err(DecimalError::Uncarried);
        }
        let kept = &fraction[..fraction.len().min(NANO_DIGITS)];
        let unit = 10i64.pow((NANO_DIGITS - kept.len()) as u32);
        let nanos = kept
            .iter()
            .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))
            * unit;
        let instant = seconds
            .and_then(|seconds| seconds.checked_mul(1_000_000_000)?.checked_add(nanos))
            .ok_or(DecimalError::Overflow)?;
        Ok(Self {
            instant: Utc::from_nanos(instant),
            resolution: Span::from_nanos(unit),
        })
    }
}

fn whole(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0i64, |sum, digit| {
        sum.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
    })
}

fn digits(text: &[u8]) -> Result<&[u8], DecimalError> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::NotPlain);
    }
    Ok(text)
}

/// An instant in decimal seconds with a fixed number of digits, cut off, never rounded up: a stamp must
/// not name a moment that has not come yet.
#[derive(Clone, Copy, Debug)]
pub struct Fixed {
    /// What to write; instants before 1970 are written as 0.
    pub instant: Utc,
    /// Digits after the point, 0 (no point at all) to 9.
    pub digits: usize,
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = self.instant.max(Utc::from_nanos(0)).to_parts();
        let digits = self.digits.min(NANO_DIGITS);
        if digits == 0 {
            return write!(f, "{seconds}");
        }
        let cut = nanos / 10u32.pow((NANO_DIGITS - digits) as u32);
        write!(f, "{seconds}.{cut:0digits$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Result<(i64, i64), DecimalError> {
        DecimalSeconds::parse(text.as_bytes())
            .map(|read| (read.instant.as_nanos(), read.resolution.as_nanos()))
    }

    #[test]
    fn the_last_digit_is_the_resolution() {
        assert_eq!(
            parsed("1790557227.05"),
            Ok((1_790_557_227_050_000_000, 10_000_000))
        );
        assert_eq!(
            parsed("1489217288.328757"),
            Ok((1_489_217_288_328_757_000, 1_000))
        );
        assert_eq!(parsed("7"), Ok((7_000_000_000, 1_000_000_000)));
        assert_eq!(parsed("7.1234567899"), Ok((7_123_456_789, 1)));
    }

    #[test]
    fn whatever_is_not_a_plain_number_is_refused() {
        for text in [
            "", ".", "1.", ".5", "+1", "-1", "1e9", "1.5e9", "1,5", "1 ", " 1", "0x10", "nan",
            "inf", "1.2.3", "1_0", "١",
        ] {
            assert_eq!(parsed(text), Err(DecimalError::NotPlain), "{text:?}");
        }
    }

    #[test]
    fn a_year_that_would_overflow_is_refused() {
        assert_eq!(
            parsed("9223372036"),
            Ok((9_223_372_036_000_000_000, 1_000_000_000))
        );
        for text in ["9223372037", "9223372036.9", "99999999999999999999999999"] {
            assert_eq!(parsed(text), Err(DecimalError::Overflow), "{text:?}");
        }
    }

    #[test]
    fn seven_digits_that_were_rounded_up_without_carry_are_refused() {
        assert_eq!(parsed("1489224472.1000000"), Err(DecimalError::Uncarried));
        assert!(parsed("1489224472.1000001").is_ok());
        assert!(parsed("1489224472.100000").is_ok());
    }

    #[test]
    fn milliseconds_are_whole_numbers() {
        let parsed = |text: &str| {
            DecimalSeconds::parse_millis(text.as_bytes())
                .map(|read| (read.instant.as_nanos(), read.resolution.as_nanos()))
        };
        assert_eq!(
            parsed("1790557227050"),
            Ok((1_790_557_227_050_000_000, 1_000_000))
        );
        assert_eq!(parsed("7001"), Ok((7_001_000_000, 1_000_000)));
        for text in ["", "1790557227050.5", "-1", "1e12", " 1", "1,2", "0x1"] {
            assert_eq!(parsed(text), Err(DecimalError::NotPlain), "{text:?}");
        }
        for text in ["9223372037000", "99999999999999999999999999"] {
            assert_eq!(parsed(text), Err(DecimalError::Overflow), "{text:?}");
        }
        assert!(parsed("5").is_ok_and(|(nanos, _)| nanos < 1_000_000_000));
    }

    #[test]
    fn writing_cuts_off() {
        let instant = Utc::from_nanos(1_999_999_999);
        for (digits, text) in [(0, "1"), (3, "1.999"), (6, "1.999999"), (9, "1.999999999")] {
            assert_eq!(Fixed { instant, digits }.to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same_instant_cut_off(nanos in 0i64.., digits in 0usize..=9) {
            let instant = Utc::from_nanos(nanos);
            let read = DecimalSeconds::parse(Fixed { instant, digits }.to_string().as_bytes());
            // ".1000000" is a legal way to write a tenth with seven digits; it is never taken for one.
            prop_assume!(read != Err(DecimalError::Uncarried));
            let read = read.expect("what we write is plain");
            prop_assert!(read.instant <= instant && instant < read.instant + read.resolution);
        }

        #[test]
        fn no_bytes_panic(text: Vec<u8>) {
            let _ = DecimalSeconds::parse(&text);
            let _ = DecimalSeconds::parse_millis(&text);
            let _ = DecimalSeconds::with_fraction(i64::MAX, Some(&text));
        }
    }
}
