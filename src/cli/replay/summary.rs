//! The table of `webntp replay --summary`: what a whole log came to, in memory that does not grow with it.

use crate::config::Config;
use crate::engine::snapshot::{Decision, Snapshot, Tally};
use std::fmt;
use unicode_width::UnicodeWidthStr;

/// What is counted.
pub(super) struct Summary {
    /// How many cycles there were, told at the end.
    cycles: u64,
    decisions: i64,
    jitter: Range,
    width: Range,
    rate: Range,
    sources: Vec<Source>,
}

#[derive(Default)]
struct Source {
    name: String,
    survived: i64,
    best: i64,
    falseticker: i64,
}

/// Of a quantity: the least, the mean, the greatest.
#[derive(Default)]
struct Range {
    least: Option<f64>,
    greatest: Option<f64>,
    sum: f64,
    count: u32,
}

impl Range {
    fn take(&mut self, value: f64) {
        self.least = Some(self.least.map_or(value, |least| least.min(value)));
        self.greatest = Some(self.greatest.map_or(value, |greatest| greatest.max(value)));
        self.sum += value;
        self.count += 1;
    }

    /// In a unit that is `scale` times smaller.
    fn row(&self, scale: f64, unit: &str) -> String {
        match (self.least, self.greatest) {
            (Some(least), Some(greatest)) => {
                let mean = self.sum / f64::from(self.count);
                format!(
                    "{:.3} to {:.3} {unit}, mean {:.3} {unit}",
                    least * scale,
                    greatest * scale,
                    mean * scale
                )
            }
            _ => "-".to_owned(),
        }
    }
}

impl Summary {
    pub(super) fn new(config: &Config) -> Self {
        let source = |source: &crate::config::Source| Source {
            name: source.name.clone(),
            ..Source::default()
        };
        Self {
            cycles: 0,
            decisions: 0,
            jitter: Range::default(),
            width: Range::default(),
            rate: Range::default(),
            sources: config.sources.iter().map(source).collect(),
        }
    }

    pub(super) fn take(&mut self, snapshot: &Snapshot) {
        let Ok(decision) = &snapshot.outcome else {
            return;
        };
        self.decided(decision);
        for (source, view) in self.sources.iter_mut().zip(&snapshot.sources) {
            source.survived += i64::from(view.tally.survives());
            source.best += i64::from(view.tally == Tally::Best);
            source.falseticker += i64::from(view.tally == Tally::Falseticker);
        }
    }

    /// So many cycles ended, those in which nothing was decided among them.
    pub(super) fn end(&mut self, cycles: u64) {
        self.cycles = cycles;
    }

    fn decided(&mut self, decision: &Decision) {
        self.decisions += 1;
        self.jitter.take(decision.jitter.as_secs_f64());
        self.width.take(decision.bound.half_width().as_secs_f64());
        self.rate.take(decision.rate.as_ppt() as f64);
    }

    fn part(&self, count: i64) -> String {
        match self.decisions {
            0 => "-".to_owned(),
            all => format!("{:.1} %", 100.0 * count as f64 / all as f64),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cycles, decisions, ..
        } = self;
        writeln!(f, "Decisions       : {decisions} in {cycles} cycles")?;
        writeln!(f, "Rate            : {}", self.rate.row(1e-6, "ppm"))?;
        writeln!(f, "Jitter          : {}", self.jitter.row(1e3, "ms"))?;
        writeln!(f, "Bound           : ± {}", self.width.row(1e3, "ms"))?;
        writeln!(f)?;
        let widths = self.sources.iter().map(|source| source.name.width());
        let width = widths.max().unwrap_or(0).max("Source".len());
        let mut row = |name: &str, cells: [&str; 3]| {
            let padding = " ".repeat(width - name.width());
            let [survived, best, falseticker] = cells;
            writeln!(
                f,
                "{name}{padding}  {survived:>8}  {best:>8}  {falseticker:>11}"
            )
        };
        row("Source", ["Survived", "Best", "Falseticker"])?;
        for source in &self.sources {
            let cells = [source.survived, source.best, source.falseticker];
            let cells = cells.map(|count| self.part(count));
            row(&source.name, cells.each_ref().map(String::as_str))?;
        }
        Ok(())
    }
}
