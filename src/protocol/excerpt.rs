//! A piece of what a peer sent, fit for a message: escaped and bounded.
//!
//! The only way by which bytes from the network get into a text that people or the log see.

use std::fmt;

/// Bytes of a peer's text that are kept at the most.
const LONGEST: usize = 64;

/// The beginning of a text of unknown origin, in quotes, printable ASCII only, 259 characters at the most.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// The beginning of `bytes`; an ellipsis tells that there was more.
    pub fn of(bytes: &[u8]) -> Self {
        let kept = &bytes[..bytes.len().min(LONGEST)];
        let more = if bytes.len() > LONGEST { "…" } else { "" };
        Self(format!("\"{}\"{more}", kept.escape_ascii()))
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_and_quotes_are_escaped() {
        assert_eq!(
            Excerpt::of(b"a\n\x1b[2J\"\\\xff").to_string(),
            r#""a\n\x1b[2J\"\\\xff""#
        );
    }

    proptest! {
        #[test]
        fn whatever_a_peer_sends_is_bounded_and_printable(bytes: Vec<u8>) {
            let text = Excerpt::of(&bytes).to_string();
            prop_assert!(text.chars().count() <= 4 * LONGEST + 3);
            prop_assert!(text.chars().all(|c| c == '…' || c == ' ' || c.is_ascii_graphic()));
            prop_assert_eq!(text.ends_with('…'), bytes.len() > LONGEST);
        }
    }
}
