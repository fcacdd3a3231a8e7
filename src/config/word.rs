//! Names of sources and operators: one visible word each, since they stand in tables, logs and metrics.

use super::problem::Fault;

/// Longest name of a source, in characters: it heads a column of a table.
pub(super) const LONGEST_NAME: usize = 32;
pub(super) const NAME_RANGE: &str = "1 to 32 visible characters";

/// Longest name of an operator, in characters: the longest name of a host, which it may be.
pub(super) const LONGEST_OPERATOR: usize = 253;
pub(super) const OPERATOR_RANGE: &str = "1 to 253 visible characters";

/// What is wrong with `word`, if anything: it may hold letters and digits of any script, and ASCII
/// punctuation, and be `longest` characters long.
pub(super) fn fault(word: &str, longest: usize) -> Option<Fault> {
    let length = word.chars().count();
    let stray = word
        .chars()
        .find(|c| !c.is_ascii_graphic() && !c.is_alphanumeric());
    if word.is_empty() {
        let remedy = format!("give it 1 to {longest} characters");
        Some(Fault::new("is empty", remedy))
    } else if let Some(stray) = stray {
        Some(Fault::new(
            format!("{word:?} holds {stray:?}"),
            "use letters, digits and punctuation only",
        ))
    } else if length > longest {
        Some(Fault::new(
            format!("{word:?} has {length} characters"),
            format!("shorten it to at most {longest}"),
        ))
    } else {
        None
    }
}
