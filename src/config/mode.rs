//! Who may use a segment, as `chmod` and `ipcs` write it: `0666`.
//!
//! In quotes, so that it is read in one way only: 666 is another number in octal than in decimal, and TOML
//! has no number that begins with a zero.

use super::problem::Fault;

/// Its owner reads and writes, nobody else does: the least that is of use, for we may be the owner.
const LEAST: u32 = 0o600;
/// Everybody reads and writes. There is nothing in it to execute.
const MOST: u32 = 0o666;

/// How to write one.
pub(super) const FORM: &str = "write it in octal and in quotes, like \"0666\"";

/// Reads the whole of `text`: three octal digits, with or without a zero in front.
pub(super) fn parse(text: &str) -> Result<u32, Fault> {
    let digits = match text.len() {
        4 => text.strip_prefix('0').unwrap_or_default(),
        _ => text,
    };
    let is_octal = digits.len() == 3 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = match u32::from_str_radix(digits, 8) {
        Ok(mode) if is_octal => mode,
        _ => return Err(Fault::new(format!("{text:?} is not a mode"), FORM)),
    };
    let meant = (mode | LEAST) & MOST;
    let what = if mode & LEAST != LEAST {
        "keeps its owner from reading or writing"
    } else if mode & !MOST != 0 {
        "lets somebody execute what cannot be executed"
    } else {
        return Ok(mode);
    };
    Err(Fault::new(
        format!("{text:?} {what}"),
        format!("write \"{meant:04o}\""),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn three_octal_digits_are_a_mode() {
        for (text, mode) in [
            ("0666", 0o666),
            ("666", 0o666),
            ("0600", 0o600),
            ("0660", 0o660),
            ("644", 0o644),
        ] {
            assert_eq!(parse(text), Ok(mode), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_mode_or_of_no_use_is_told_with_what_is() {
        for text in [
            "",
            "0",
            "66",
            "06666",
            "1666",
            "0o666",
            "0888",
            "rw-rw-rw-",
            "+666",
            "é66",
        ] {
            let fault = Fault::new(format!("{text:?} is not a mode"), FORM);
            assert_eq!(parse(text), Err(fault));
        }
        for (text, what, remedy) in [
            (
                "0066",
                "\"0066\" keeps its owner from reading or writing",
                "write \"0666\"",
            ),
            (
                "444",
                "\"444\" keeps its owner from reading or writing",
                "write \"0644\"",
            ),
            (
                "0777",
                "\"0777\" lets somebody execute what cannot be executed",
                "write \"0666\"",
            ),
        ] {
            assert_eq!(parse(text), Err(Fault::new(what, remedy)));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_every_remedy_is_a_mode(text in "\\PC*|0?[0-7]{3}") {
            if let Err(fault) = parse(&text)
                && let Some(meant) = fault.remedy.strip_prefix("write \"")
            {
                prop_assert!(parse(meant.trim_end_matches('"')).is_ok());
            }
        }
    }
}
