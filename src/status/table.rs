//! A status as a table, in the manner of `chronyc sources`, and in a line.
//!
//! Offsets have the sign that ntpq gives them: positive when the system clock is behind.

use super::Status;
use crate::engine::snapshot::{Decision, SourceView, Tally};
use crate::engine::time::Span;
use std::fmt::{self, Write as _};

/// What the marks of the first column mean.
pub const LEGEND: &str = "\
* best, + combined with it, - not needed, x falseticker, ? unusable
offset: what must be added to the system clock; bound: its greatest error if the source is honest";

impl Status {
    /// One row for each source and the decision below, several lines, each ended.
    pub fn table(&self) -> String {
        let names = self
            .snapshot
            .sources
            .iter()
            .map(|source| source.name.chars().count());
        let width = names.max().unwrap_or(0).max("source".len());
        let mut table = format!(
            "  {:width$}  reach  last      offset       delay         bound\n",
            "source"
        );
        for source in &self.snapshot.sources {
            self.row(&mut table, source, width)
                .expect("a string takes all");
        }
        let _ = writeln!(table, "  {}", self.summary());
        table
    }

    fn row(&self, table: &mut String, source: &SourceView, width: usize) -> fmt::Result {
        let symbol = source.tally.symbol();
        write!(
            table,
            "{symbol} {:width$}  {:>5o}",
            source.name, source.reach
        )?;
        match &source.reading {
            Some(reading) => write!(
                table,
                "  {:>4}  {:>10}  {:>10}  {:>12}",
                Age(self.clock.raw - reading.newest).to_string(),
                Signed(self.clock.offset(reading.estimate.theta)).to_string(),
                Length(reading.delay).to_string(),
                format!("± {}", Length(reading.error())),
            )?,
            None => write!(table, "  {:>4}  {:>10}  {:>10}  {:>12}", "-", "-", "-", "-")?,
        }
        match (&source.tally, &source.trouble) {
            (_, Some(trouble)) => writeln!(table, "  {trouble}"),
            (Tally::Unusable(why), None) => writeln!(table, "  {why}"),
            _ => writeln!(table),
        }
    }

    /// The decision, or why there is none, in a line: `3 of 4 sources agree, offset +1.200 ms ± 8.100 ms`.
    pub fn summary(&self) -> String {
        match (&self.snapshot.outcome, &self.refused) {
            (Ok(decision), None) => self.agreement(decision),
            (Ok(decision), Some(refused)) => {
                format!("nothing published: {refused}; {}", self.agreement(decision))
            }
            (Err(why), _) => format!("nothing published: {why}"),
        }
    }

    /// How many sources agree with the majority.
    pub fn agreeing(&self) -> usize {
        let agrees =
            |source: &&SourceView| !matches!(source.tally, Tally::Falseticker | Tally::Unusable(_));
        self.snapshot.sources.iter().filter(agrees).count()
    }

    fn agreement(&self, decision: &Decision) -> String {
        let (agreeing, all) = (self.agreeing(), self.snapshot.sources.len());
        let agree = if all == 1 {
            "source agrees"
        } else {
            "sources agree"
        };
        format!(
            "{agreeing} of {all} {agree}, offset {} ± {}, jitter {}",
            Signed(self.clock.offset(decision.theta_at(self.clock.raw))),
            Length(decision.error_at(self.clock.raw)),
            Length(decision.jitter),
        )
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
struct Age(Span);

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
    use crate::engine::exchange::Exchange;
    use crate::engine::source::Report;
    use crate::engine::time::{Raw, Theta, Utc};
    use crate::engine::{Engine, Settings, SourceId, SourceSettings};
    use crate::sys::clock::ClockPair;

    fn status() -> Status {
        let source = |(id, name): (u64, &str)| SourceSettings {
            id: SourceId(id),
            name: name.into(),
            operator: name.into(),
            poll: Span::from_secs(16),
            prefer: false,
            noselect: false,
            coarse: false,
        };
        let start = Raw::from_nanos(0);
        let mut engine = Engine::new(
            Settings {
                cycle: Span::from_secs(16),
                min_agreeing: None,
                max_bound: Span::from_millis(1_500),
                sources: (0..)
                    .zip(["tokyo", "osaka", "liar", "dead"])
                    .map(source)
                    .collect(),
            },
            start,
        );
        for (k, ahead_ms) in (0..).zip([25, 26, 1_025]) {
            let sent = start + Span::from_secs(12);
            let stamp = sent
                + Theta::from_nanos(1_795_000_000_000_000_000)
                + Span::from_millis(10 + ahead_ms);
            let exchange = Exchange::new(sent, sent + Span::from_millis(20), stamp, stamp, None);
            engine.report(SourceId(k), Report::Sample(exchange.expect("possible")));
        }
        engine.report(SourceId(3), Report::Missed("connection refused".into()));
        let snapshot = engine
            .cycle(start + Span::from_secs(16))
            .expect("a cycle ends");
        let clock = ClockPair {
            raw: start + Span::from_secs(16),
            system: Utc::from_secs(1_795_000_016),
        };
        Status {
            snapshot,
            clock,
            refused: None,
        }
    }

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
        assert_eq!(status().table(), expected);
    }

    #[test]
    fn without_a_decision_the_reason_stands_below() {
        let mut status = status();
        status.snapshot.outcome = Err(crate::engine::snapshot::NoDecision::NothingNew);
        assert_eq!(
            status.summary(),
            "nothing published: nothing new from any source"
        );
    }

    #[test]
    fn a_decision_that_no_output_took_is_not_called_published() {
        let mut status = status();
        status.refused = Some("SHM(2): no room".into());
        assert!(
            status
                .summary()
                .starts_with("nothing published: SHM(2): no room; 2 of 4 sources agree, ")
        );
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
