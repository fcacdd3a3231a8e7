//! Families of metrics in Prometheus' text format, version 0.0.4.
//!
//! In: the table, and what it is about. Out: lines. Numbers are written as they are counted, in whole nanoseconds or whole
//! things: none goes through a float.

use super::Scene;
use super::families::Family;
use std::fmt::Write as _;

/// A number, exactly.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// Billionths: of a second, or of one.
    Nano(i64),
    /// Things.
    Count(u64),
    /// Whether something is so.
    Flag(bool),
}

/// The samples of one family, as they are added.
pub(super) struct Samples {
    name: &'static str,
    lines: String,
}

impl Samples {
    /// One sample, with its labels.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], value: Value) {
        self.lines.push_str(self.name);
        for (k, (label, text)) in labels.iter().enumerate() {
            self.lines.push(if k == 0 { '{' } else { ',' });
            self.lines.push_str(label);
            self.lines.push_str("=\"");
            escape(text, true, &mut self.lines);
            self.lines.push('"');
        }
        if !labels.is_empty() {
            self.lines.push('}');
        }
        self.lines.push(' ');
        value.write(&mut self.lines);
        self.lines.push('\n');
    }

    /// The family's only sample, if it is known.
    pub(super) fn only(&mut self, value: Option<Value>) {
        if let Some(value) = value {
            self.add(&[], value);
        }
    }

    /// One sample for each of `states`, 1 for the one that holds.
    pub(super) fn states(
        &mut self,
        labels: &[(&str, &str)],
        label: &str,
        states: &[&str],
        current: &str,
    ) {
        for state in states {
            let labels = [labels, &[(label, *state)]].concat();
            self.add(&labels, Value::Flag(*state == current));
        }
    }
}

impl Value {
    fn write(self, out: &mut String) {
        let _ = match self {
            Self::Nano(nano) => {
                let sign = if nano < 0 { "-" } else { "" };
                let nano = nano.unsigned_abs();
                let digits = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
                let digits = digits.trim_end_matches('0').trim_end_matches('.');
                write!(out, "{sign}{digits}")
            }
            Self::Count(count) => write!(out, "{count}"),
            Self::Flag(flag) => write!(out, "{}", u8::from(flag)),
        };
    }
}

/// The families that have any sample, each with its help and its type.
pub(super) fn render(families: &[Family], scene: &Scene) -> String {
    let mut text = String::new();
    for family in families {
        let mut samples = Samples {
            name: family.name,
            lines: String::new(),
        };
        (family.samples)(scene, &mut samples);
        if samples.lines.is_empty() {
            continue;
        }
        let _ = write!(text, "# HELP {} ", family.name);
        escape(family.help, false, &mut text);
        let _ = writeln!(text, "\n# TYPE {} {}", family.name, family.kind.name());
        text.push_str(&samples.lines);
    }
    text
}

/// A label has its quotes escaped, a help text does not.
fn escape(text: &str, quotes: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(labels: &[(&str, &str)], value: Value) -> String {
        let mut samples = Samples {
            name: "x",
            lines: String::new(),
        };
        samples.add(labels, value);
        samples.lines
    }

    #[test]
    fn labels_are_escaped_as_the_format_wants_it() {
        assert_eq!(
            line(&[("a", "q\"b\\n\nü"), ("b", "")], Value::Count(7)),
            "x{a=\"q\\\"b\\\\n\\nü\",b=\"\"} 7\n"
        );
    }

    #[test]
    fn numbers_are_exact_and_have_no_digits_that_say_nothing() {
        for (nano, text) in [
            (0, "0"),
            (1, "0.000000001"),
            (-25_000_000, "-0.025"),
            (1_795_000_016_000_000_001, "1795000016.000000001"),
            (-10_000_000_000, "-10"),
            (i64::MIN, "-9223372036.854775808"),
        ] {
            assert_eq!(line(&[], Value::Nano(nano)), format!("x {text}\n"));
        }
        assert_eq!(
            line(&[], Value::Count(u64::MAX)),
            "x 18446744073709551615\n"
        );
        assert_eq!(line(&[], Value::Flag(true)), "x 1\n");
    }
}
