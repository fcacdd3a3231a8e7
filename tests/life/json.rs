//! The lines of `journalctl -o json`.
//!
//! In: one object of fields. Out: the fields that are texts, by name.
//! Not: JSON at large. What is not a text (a binary value is a list of bytes, a long one is null) is left out.

use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Chars;

/// The fields of one entry.
pub(crate) type Entry = HashMap<String, String>;

pub(crate) fn entry(line: &str) -> Entry {
    let mut rest = line.trim().chars().peekable();
    let mut entry = Entry::new();
    assert_eq!(rest.next(), Some('{'), "no object: {line}");
    loop {
        match rest.next() {
            Some('"') => {
                let name = text(&mut rest);
                let colon = rest.find(|c| !c.is_whitespace());
                assert_eq!(colon, Some(':'), "{line}");
                if let Some(value) = value(&mut rest) {
                    entry.insert(name, value);
                }
            }
            Some('}') => return entry,
            Some(_) => {}
            None => panic!("the object has no end: {line}"),
        }
    }
}

fn value(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    while rest.next_if(|c| c.is_whitespace()).is_some() {}
    if rest.next_if_eq(&'"').is_some() {
        return Some(text(rest));
    }
    // A number, null, or a list of numbers, or of texts where a field is there twice.
    let mut depth = 0;
    while let Some(&c) = rest.peek() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' | '}' if depth == 0 => break,
            '"' => {
                rest.next();
                text(rest);
                continue;
            }
            _ => {}
        }
        rest.next();
    }
    None
}

/// What is left of a text whose opening quote was read.
fn text(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut text = String::new();
    loop {
        match rest.next().expect("a text has its end") {
            '"' => return text,
            '\\' => match rest.next().expect("something is escaped") {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'b' => text.push('\u{8}'),
                'f' => text.push('\u{c}'),
                'u' => {
                    let digits: String = rest.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).expect("four digits");
                    // journald writes whole characters as they are; only control characters come like this.
                    text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}
