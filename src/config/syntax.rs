//! Where a text is not TOML: the parser's findings in the words of the person who wrote the file.
//!
//! The parser goes on after a fault and guesses what was meant. Its guesses are used to find further
//! problems, never as a configuration.

use super::keys;
use super::problem::{Fault, Report};
use toml::Spanned;
use toml::de::{DeTable, Error};

/// Reads `text` as TOML as far as it can be, and reports where it cannot.
pub(super) fn parse<'t>(text: &'t str, report: &mut Report) -> Spanned<DeTable<'t>> {
    let (table, mut errors) = DeTable::parse_recoverable(text);
    let offset = |error: &Error| error.span().map_or(0, |span| span.start);
    errors.sort_by_key(offset);
    let lines: Vec<_> = errors
        .chunk_by(|a, b| report.line(offset(a)) == report.line(offset(b)))
        .collect();
    for errors in lines {
        // The others on the line follow from the first.
        let first = &errors[0];
        let line = line_of(text, offset(first));
        // A broken header puts the keys below it into the wrong table, an open bracket swallows lines.
        let structural = line.trim_start().starts_with('[')
            || errors
                .iter()
                .any(|error| error.message().starts_with("missing comma"));
        report.add_syntax(offset(first), structural, fault(text, line, first));
    }
    table
}

fn fault(text: &str, line: &str, error: &Error) -> Fault {
    if error.message() == "duplicate key" {
        let key = error
            .span()
            .and_then(|span| text.get(span))
            .unwrap_or_default();
        // A header of one pair of brackets beside others of two.
        let header = format!("[{key}]");
        let remedy = if keys::KINDS
            .iter()
            .any(|kind| kind.header == format!("[{header}]"))
        {
            format!("write each of them as [{header}]")
        } else {
            "keep one of them".to_owned()
        };
        return Fault::new(format!("{key} is given twice"), remedy);
    }
    match unquoted_value(line) {
        Some(value) => Fault::new(
            format!("{value} is not in quotes"),
            format!("write \"{value}\""),
        ),
        None => Fault::new(
            format!("not TOML: {}", error.message()),
            "correct this line",
        ),
    }
}

/// The value of a line like `poll = 16s  # comment`, where only the quotes are forgotten.
fn unquoted_value(line: &str) -> Option<&str> {
    let (_, value) = line.split_once('=')?;
    let value = value.split(" #").next().unwrap_or_default().trim();
    let plain = |c: char| c.is_alphanumeric() || "._:/+-".contains(c);
    (!value.is_empty() && value.chars().all(plain)).then_some(value)
}

/// The line around the byte at `offset`, or the end of the text when it lies beyond.
fn line_of(text: &str, offset: usize) -> &str {
    let (before, after) = text.split_at_checked(offset).unwrap_or((text, ""));
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let end = after
        .find('\n')
        .map_or(text.len(), |newline| offset + newline);
    text.get(start..end).unwrap_or_default()
}
