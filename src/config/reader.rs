//! Takes typed values out of a table of the file, and keeps a list of what is wrong instead of stopping.
//!
//! serde would stop at the first unknown key or wrong type; a person wants to hear everything at once.
//! What a value means, and in which range it must be, is not known here.

use super::duration;
use super::problem::{Fault, Report};
use crate::engine::time::Span;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value, as it was written and where.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    /// The text of the value, without quotes; for messages.
    pub(super) written: String,
    /// Where in the file it begins, in bytes.
    pub(super) offset: usize,
}

/// A kind of table: how it is called, where it stands, and the keys that it may have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Where a stray key of this table should go.
    pub(super) place: &'static str,
    pub(super) keys: &'static [&'static str],
}

/// One table of the file while it is being read.
pub(super) struct Table<'a> {
    pub(super) entries: &'a DeTable<'a>,
    /// The whole file.
    pub(super) text: &'a str,
    /// What its problems begin with, like `source "tokyo": `.
    pub(super) context: String,
}

impl<'a> Table<'a> {
    /// A string, if the key is there and it is one.
    pub(super) fn string(
        &self,
        key: &str,
        example: &str,
        report: &mut Report,
    ) -> Option<At<String>> {
        let value = self.entries.get(key)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "a string", example, report);
            return None;
        };
        Some(At {
            value: text.to_owned(),
            written: text.to_owned(),
            offset: value.span().start,
        })
    }

    /// A whole number, if the key is there and it is one. Too large a one becomes the largest there is.
    pub(super) fn integer(&self, key: &str, example: &str, report: &mut Report) -> Option<At<i64>> {
        let value = self.entries.get(key)?;
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, "an integer", example, report);
            return None;
        };
        let too_large = if number.as_str().starts_with('-') {
            i64::MIN
        } else {
            i64::MAX
        };
        Some(At {
            value: i64::from_str_radix(number.as_str(), number.radix()).unwrap_or(too_large),
            written: self.written(value.span()).to_owned(),
            offset: value.span().start,
        })
    }

    /// A length of time, if the key is there and it is one.
    pub(super) fn duration(
        &self,
        key: &str,
        example: &str,
        report: &mut Report,
    ) -> Option<At<Span>> {
        let value = self.entries.get(key)?;
        if let DeValue::Integer(_) | DeValue::Float(_) = value.get_ref() {
            let number = self.written(value.span());
            let plain = number.bytes().all(|byte| byte.is_ascii_digit());
            let remedy = if plain {
                format!("write \"{number}s\"")
            } else {
                "write a whole number and one of ms, s, m, h, like \"16s\"".to_owned()
            };
            let fault = Fault::new(format!("{key} is the bare number {number}"), remedy);
            self.add(value.span().start, fault, report);
            return None;
        }
        let text = self.string(key, example, report)?;
        match duration::parse(&text.value) {
            Ok(value) => Some(At {
                value,
                written: text.written,
                offset: text.offset,
            }),
            Err(fault) => {
                self.add_about(key, text.offset, fault, report);
                None
            }
        }
    }

    /// A table below this one, if the key is there and it is one.
    pub(super) fn table(&self, key: &str, report: &mut Report) -> Option<Table<'a>> {
        let value = self.entries.get(key)?;
        let Some(entries) = value.get_ref().as_table() else {
            self.wrong_type(key, value, "a table", &format!("[{key}]"), report);
            return None;
        };
        Some(Table {
            entries,
            text: self.text,
            context: format!("{key}: "),
        })
    }

    /// The tables of an array of tables, each with the offset where it begins and its number from 1.
    pub(super) fn tables(&self, key: &str, report: &mut Report) -> Vec<(usize, Table<'a>)> {
        let Some(value) = self.entries.get(key) else {
            return Vec::new();
        };
        let example = format!("[[{key}]]");
        let Some(elements) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "an array of tables", &example, report);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (element, number) in elements.iter().zip(1..) {
            let name = format!("{key} {number}");
            match element.get_ref().as_table() {
                Some(entries) => {
                    let table = Table {
                        entries,
                        text: self.text,
                        context: format!("{name}: "),
                    };
                    tables.push((element.span().start, table));
                }
                None => self.wrong_type(&name, element, "a table", &example, report),
            }
        }
        tables
    }

    /// Names every key that a table of this `kind` does not have, with the one that was meant if that can
    /// be guessed. `kinds` are all the tables there are.
    pub(super) fn refuse_unknown(&self, kind: &Kind, kinds: &[Kind], report: &mut Report) {
        for key in self.entries.keys() {
            let name: &str = key.get_ref();
            if !kind.keys.contains(&name) {
                let fault = Fault::new(format!("unknown key {name:?}"), advice(name, kind, kinds));
                self.add(key.span().start, fault, report);
            }
        }
    }

    /// Something wrong in this table.
    pub(super) fn add(&self, offset: usize, fault: Fault, report: &mut Report) {
        report.add(offset, self.in_context(fault));
    }

    /// Something wrong with the value of `key`.
    pub(super) fn add_about(&self, key: &str, offset: usize, fault: Fault, report: &mut Report) {
        let fault = Fault::new(format!("{key} {}", fault.what), fault.remedy);
        self.add(offset, fault, report);
    }

    /// Something missing from this table, which begins at `offset`.
    pub(super) fn add_missing(&self, offset: usize, fault: Fault, report: &mut Report) {
        report.add_missing(offset, self.in_context(fault));
    }

    fn in_context(&self, fault: Fault) -> Fault {
        Fault::new(format!("{}{}", self.context, fault.what), fault.remedy)
    }

    fn wrong_type(
        &self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &str,
        example: &str,
        report: &mut Report,
    ) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        let what = format!("{name} is {found}, not {expected}");
        let fault = Fault::new(what, format!("write {example}"));
        self.add(value.span().start, fault, report);
    }

    fn written(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }
}

/// What to do about a key that `kind` does not have.
fn advice(name: &str, kind: &Kind, kinds: &[Kind]) -> String {
    let lower = name.to_lowercase();
    let distance = |key: &str| strsim::osa_distance(&lower, key);
    let nearest = kind.keys.iter().min_by_key(|key| distance(key));
    // A third of the letters: more is another word.
    if let Some(key) = nearest
        && distance(key) <= key.len() / 3
    {
        return format!("did you mean {key:?}?");
    }
    let home = kinds.iter().find(|other| other.keys.contains(&&*lower));
    match home {
        Some(home) => format!("move it {}", home.place),
        None => format!("remove it, the keys here are {}", kind.keys.join(", ")),
    }
}
