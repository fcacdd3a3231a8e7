//! Takes typed values out of a table of the file, and keeps a list of what is wrong instead of stopping.
//!
//! serde would stop at the first unknown key or wrong type; a person wants to hear everything at once.
//! What a key takes stands in [`keys`](super::keys); what its value means is not known here.

use super::duration;
use super::keys::{
    AbsolutePath, Address, Choice, Correction, KINDS, Key, Kind, Length, Limit, Mode, Text,
};
use super::keys::{Switch, Whole};
use super::listen;
use super::mode;
use super::place;
use super::problem::{Fault, Report};
use crate::engine::time::Span;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
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

/// One table of the file while it is being read. What it is asked for and has not, or not so, is `None`.
pub(super) struct Table<'a> {
    pub(super) entries: &'a DeTable<'a>,
    /// The whole file.
    pub(super) text: &'a str,
    /// What its problems begin with, like `source "tokyo": `.
    pub(super) context: String,
}

impl<'a> Table<'a> {
    /// A text, whatever it says.
    pub(super) fn string(&self, key: &Key<Text>, report: &mut Report) -> Option<At<String>> {
        self.text(key, report)
    }

    /// `true` or `false`.
    pub(super) fn switch(&self, key: &Key<Switch>, report: &mut Report) -> Option<At<bool>> {
        let value = self.entries.get(key.name)?;
        let Some(is_on) = value.get_ref().as_bool() else {
            let examples = format!("{0} = true or {0} = false", key.name);
            self.wrong_type(key.name, value, "true or false", &examples, report);
            return None;
        };
        Some(self.at(value, is_on))
    }

    /// A whole number in its range.
    pub(super) fn whole(&self, key: &Key<Whole>, report: &mut Report) -> Option<At<i64>> {
        let value = self.entries.get(key.name)?;
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong_type(key.name, value, "an integer", &key.example(), report);
            return None;
        };
        // Too large a number becomes the largest there is: no range goes that far.
        let too_large = if number.as_str().starts_with('-') {
            i64::MIN
        } else {
            i64::MAX
        };
        let read = i64::from_str_radix(number.as_str(), number.radix()).unwrap_or(too_large);
        let Whole { low, high } = key.takes;
        self.in_range(
            key.name,
            self.at(value, read),
            (low, low),
            (high, high),
            report,
        )
    }

    /// A length of time in its range.
    pub(super) fn length(&self, key: &Key<Length>, report: &mut Report) -> Option<At<Span>> {
        let Length { low, high } = key.takes;
        let with_seconds = |number: &str| {
            let plain = number.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| format!("write \"{number}s\""))
        };
        self.not_bare(key, with_seconds, duration::FORM, report)?;
        self.span(key, duration::parse, low, high, report)
    }

    /// A correction in its range.
    pub(super) fn correction(
        &self,
        key: &Key<Correction>,
        report: &mut Report,
    ) -> Option<At<Span>> {
        let Correction { low, high } = key.takes;
        self.not_bare(key, |_| None, duration::SIGNED_FORM, report)?;
        self.span(key, duration::parse_signed, low, high, report)
    }

    /// A mode.
    pub(super) fn mode(&self, key: &Key<Mode>, report: &mut Report) -> Option<At<u32>> {
        let in_quotes = |number: &str| {
            let digits = number.strip_prefix("0o").unwrap_or(number);
            let mode = mode::parse(digits).ok()?;
            Some(format!("write \"{mode:04o}\""))
        };
        self.not_bare(key, in_quotes, mode::FORM, report)?;
        self.parsed(key, mode::parse, report)
    }

    /// A path from the root on.
    pub(super) fn path(&self, key: &Key<AbsolutePath>, report: &mut Report) -> Option<At<PathBuf>> {
        self.parsed(key, |text| place::parse(key.takes, text), report)
    }

    /// Where to listen.
    pub(super) fn addresses(
        &self,
        key: &Key<Address>,
        report: &mut Report,
    ) -> Option<At<Vec<SocketAddr>>> {
        self.parsed(key, listen::parse, report)
    }

    /// One of the words that the key takes.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &Key<Choice<T>>,
        report: &mut Report,
    ) -> Option<At<T>> {
        let of = |text: &str| {
            let chosen = key.takes.0.iter().find(|(name, _)| *name == text);
            chosen.map(|&(_, value)| value).ok_or_else(|| {
                Fault::new(
                    format!("{text:?} is unknown"),
                    format!("write {} or leave it out", key.takes.list()),
                )
            })
        };
        self.parsed(key, of, report)
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
    /// be guessed.
    pub(super) fn refuse_unknown(&self, kind: &Kind, report: &mut Report) {
        for key in self.entries.keys() {
            let name: &str = key.get_ref();
            if !kind.names().any(|known| known == name) {
                let fault = Fault::new(format!("unknown key {name:?}"), advice(name, kind));
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

    /// Nothing, and a problem, when the value is a number where a text with a unit or a meaning is due.
    /// `remedy` knows what was meant by some numbers, `form` will do for the others.
    fn not_bare<K>(
        &self,
        key: &Key<K>,
        remedy: impl Fn(&str) -> Option<String>,
        form: &str,
        report: &mut Report,
    ) -> Option<()> {
        let value = self.entries.get(key.name)?;
        if let DeValue::Integer(_) | DeValue::Float(_) = value.get_ref() {
            let number = self.written(value.span());
            let remedy = remedy(number).unwrap_or_else(|| form.to_owned());
            let fault = Fault::new(format!("{} is the bare number {number}", key.name), remedy);
            self.add(value.span().start, fault, report);
            return None;
        }
        Some(())
    }

    fn span<K>(
        &self,
        key: &Key<K>,
        parse: impl Fn(&str) -> Result<Span, Fault>,
        low: Limit,
        high: Limit,
        report: &mut Report,
    ) -> Option<At<Span>> {
        let span = self.parsed(key, parse, report)?;
        self.in_range(key.name, span, low, high, report)
    }

    /// A text that means something.
    fn parsed<K, T>(
        &self,
        key: &Key<K>,
        parse: impl Fn(&str) -> Result<T, Fault>,
        report: &mut Report,
    ) -> Option<At<T>> {
        let At {
            value,
            written,
            offset,
        } = self.text(key, report)?;
        match parse(&value) {
            Ok(value) => Some(At {
                value,
                written,
                offset,
            }),
            Err(fault) => {
                self.add_about(key.name, offset, fault, report);
                None
            }
        }
    }

    fn text<K>(&self, key: &Key<K>, report: &mut Report) -> Option<At<String>> {
        let value = self.entries.get(key.name)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key.name, value, "a string", &key.example(), report);
            return None;
        };
        Some(At {
            value: text.to_owned(),
            written: text.to_owned(),
            offset: value.span().start,
        })
    }

    fn in_range<T: PartialOrd>(
        &self,
        name: &str,
        found: At<T>,
        (low, shown_low): (T, impl Display),
        (high, shown_high): (T, impl Display),
        report: &mut Report,
    ) -> Option<At<T>> {
        let written = &found.written;
        let fault = if found.value < low {
            Fault::new(
                format!("{written} is below {shown_low}"),
                format!("raise it to at least {shown_low}"),
            )
        } else if found.value > high {
            Fault::new(
                format!("{written} is above {shown_high}"),
                format!("lower it to at most {shown_high}"),
            )
        } else {
            return Some(found);
        };
        self.add_about(name, found.offset, fault, report);
        None
    }

    fn at<T>(&self, value: &Spanned<DeValue<'_>>, read: T) -> At<T> {
        At {
            value: read,
            written: self.written(value.span()).to_owned(),
            offset: value.span().start,
        }
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
fn advice(name: &str, kind: &Kind) -> String {
    let lower = name.to_lowercase();
    let distance = |key: &str| strsim::osa_distance(&lower, key);
    let nearest = kind.names().min_by_key(|key| distance(key));
    // A third of the letters: more is another word.
    if let Some(key) = nearest
        && distance(key) <= key.len() / 3
    {
        return format!("did you mean {key:?}?");
    }
    let home = KINDS
        .iter()
        .find(|other| other.names().any(|known| known == lower));
    match home {
        Some(home) => format!("move it {}", home.place),
        None => {
            let names: Vec<_> = kind.names().collect();
            format!("remove it, the keys here are {}", names.join(", "))
        }
    }
}
