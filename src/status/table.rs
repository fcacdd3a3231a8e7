//! A report as a table, in the manner of `chronyc sources`.
//!
//! Offsets have the sign that ntpq gives them: positive when the system clock is behind.

use super::report::{Report, Source};
use crate::engine::time::Span;
use std::fmt::{self, Write as _};

/// What the marks of the first column mean.
pub const LEGEND: &str = "\
* best, + combined with it, - not needed, x falseticker, ? unusable
offset: what must be added to the system clock; bound: its greatest error if the source is honest";

impl Report {
    /// One row for each source and the decision below, several lines, each ended.
    pub fn table(&self) -> String {
        let names = self
            .sources
            .iter()
            .map(|source| source.name.chars().count());
        let width = names.max().unwrap_or(0).max("source".len());
        let mut table = format!(
            "  {:width$}  reach  last      offset       delay         bound\n",
            "source"
        );
        for source in &self.sources {
            row(&mut table, source, width).expect("a string takes all");
        }
        let _ = writeln!(table, "  {}", self.summary);
        table
    }
}

fn row(table: &mut String, source: &Source, width: usize) -> fmt::Result {
    let symbol = source.symbol();
    write!(
        table,
        "{symbol} {:width$}  {:>5o}",
        source.name, source.reach
    )?;
    match &source.reading {
        Some(reading) => write!(
            table,
            "  {:>4}  {:>10}  {:>10}  {:>12}",
            Age(Span::from_nanos(reading.age_ns)).to_string(),
            Signed(Span::from_nanos(reading.offset_ns)).to_string(),
            Length(Span::from_nanos(reading.delay_ns)).to_string(),
            format!("± {}", Length(Span::from_nanos(reading.bound_ns))),
        )?,
        None => write!(table, "  {:>4}  {:>10}  {:>10}  {:>12}", "-", "-", "-", "-")?,
    }
    match &source.reason {
        Some(reason) => writeln!(table, "  {reason}"),
        None => writeln!(table),
    }
}

/// A span with its sign, in the unit that suits it.
pub struct Signed(pub Span);

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < Span::ZERO { '-' } else { '+' };
        write!(f, "{sign}{}", Length(self.0.abs()))
    }
}

/// A length of time in the unit that suits it: seconds, milliseconds, microseconds.
pub struct Length(pub Span);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        match seconds.abs() {
            length if length >= 0.9995 => write!(f, "{seconds:.3} s"),
            length if length >= 0.999_5e-3 => write!(f, "{:.3} ms", seconds * 1e3),
            _ => write!(f, "{:.3} us", seconds * 1e6),
        }
    }
}

/// How long ago, as chronyc writes it: seconds, then minutes, hours, days.
pub struct Age(pub Span);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_nanos().max(0) / 1_000_000_000;
        match seconds {
            0..1_000 => write!(f, "{seconds}"),
            1_000..60_000 => write!(f, "{}m", seconds / 60),
            60_000..360_000 => write!(f, "{}h", seconds / 3_600),
            _ => write!(f, "{}d", seconds / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::rig;

    #[test]
    fn the_table_has_a_row_for_each_source_and_the_decision_below() {
        let expected = "  \
  source  reach  last      offset       delay         bound
* tokyo       1     3  +25.000 ms   20.000 ms   ± 12.004 ms
+ osaka       1     3  +26.000 ms   20.000 ms   ± 12.004 ms
x liar        1     3    +1.025 s   20.000 ms   ± 12.004 ms
? dead        0     -           -           -             -  connection refused
  2 of 4 sources agree, offset +25.500 ms ± 11.504 ms, jitter 500.000 us
";
        let status = rig::status();
        assert_eq!(Report::new(&status, status.clock.raw).table(), expected);
    }

    #[test]
    fn the_unit_suits_the_length() {
        let written = |nanos| Length(Span::from_nanos(nanos)).to_string();
        assert_eq!(written(999), "0.999 us");
        assert_eq!(written(999_600), "1.000 ms");
        assert_eq!(written(25_012_000), "25.012 ms");
        assert_eq!(written(1_000_000_000), "1.000 s");
        assert_eq!(Signed(Span::from_nanos(-1_500)).to_string(), "-1.500 us");
        assert_eq!(Age(Span::from_secs(1_200)).to_string(), "20m");
    }
}
