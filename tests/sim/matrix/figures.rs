//! What many runs came to, in a line.

use super::{LED_S, Run};
use std::fmt;
use webntpd::engine::snapshot::Tally;

/// Sums and lists over runs.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    runs: usize,
    cycles: usize,
    decisions: usize,
    /// Decisions with the truth outside the bound, or the error greater than is said.
    outside: usize,
    uncovered: usize,
    /// Decisions while most who voted did not tell the truth.
    misled: usize,
    worst_s: f64,
    worst_part: f64,
    led_s: Vec<f64>,
    /// The most by what an honest source may be off, where it is more than a little.
    led_sigmas: f64,
    /// When the first decision was, for each run that has one.
    first_s: Vec<f64>,
    /// How long each liar was heard, and how long it took to convict it, from the beginning of the lie.
    heard_s: Vec<f64>,
    convicted_s: Vec<f64>,
    liars: usize,
}

impl Figures {
    /// The part of all decisions with the truth inside the bound.
    pub(crate) fn inside(&self) -> f64 {
        1.0 - part(self.outside, self.decisions)
    }

    /// The part of all decisions whose error is no greater than is said.
    pub(crate) fn as_said(&self) -> f64 {
        1.0 - part(self.uncovered, self.decisions)
    }

    /// How far the offset was led astray, in words.
    pub(crate) fn led(&self) -> String {
        let (p50, most) = middle_and_most(&self.led_s);
        format!(
            "led by {:.3}/{:.3} ms, by up to 2 ms in {:.1} % of {} worlds, else by up to {:.1} of an honest sigma",
            1e3 * p50,
            1e3 * most,
            100.0 * self.led_at_most(LED_S),
            self.led_s.len(),
            self.led_sigmas,
        )
    }

    /// The part of the runs that were looked at in which the offset was led astray by no more than that.
    pub(crate) fn led_at_most(&self, most_s: f64) -> f64 {
        let little = self.led_s.partition_point(|led_s| *led_s <= most_s);
        1.0 - part(self.led_s.len() - little, self.led_s.len())
    }
}

impl<'a> FromIterator<&'a Run> for Figures {
    fn from_iter<I: IntoIterator<Item = &'a Run>>(runs: I) -> Self {
        let mut all = Self::default();
        for run in runs {
            let Run {
                cell, seen, led, ..
            } = run;
            all.runs += 1;
            all.cycles += seen.cycles;
            all.decisions += seen.decisions.len() + seen.beyond_model.len();
            all.outside += seen.beyond_model.len();
            let uncovered = seen.decisions.iter().filter(|point| !point.covered);
            all.uncovered += uncovered.count() + seen.beyond_model.len();
            all.misled += seen.misled.len();
            for point in &seen.decisions {
                let error_s = point.error_s.abs();
                all.worst_s = all.worst_s.max(error_s);
                all.worst_part = all.worst_part.max(error_s / point.said_s);
            }
            all.led_s.extend(led.map(|led| led.most_s));
            let sigmas = led.map_or(0.0, |led| led.most_sigmas);
            all.led_sigmas = all.led_sigmas.max(sigmas);
            all.first_s.extend(run.first_s());
            for k in cell.servers - cell.liars..seen.requests.len() {
                all.liars += 1;
                let after = |is: fn(&Tally) -> bool| {
                    let tallies = seen.tallies.iter();
                    let these = tallies.filter(move |(_, tallies)| is(&tallies[k]));
                    these
                        .map(|(at_s, _)| at_s - cell.from_s)
                        .filter(|after_s| *after_s >= 0.0)
                };
                let convicted = after(|tally| *tally == Tally::Falseticker).next();
                all.convicted_s.extend(convicted);
                let heard = after(|tally| tally.survives()).next_back();
                all.heard_s.push(heard.unwrap_or(0.0));
            }
        }
        for list in [
            &mut all.led_s,
            &mut all.first_s,
            &mut all.heard_s,
            &mut all.convicted_s,
        ] {
            list.sort_by(f64::total_cmp);
        }
        all
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, most) = middle_and_most(&self.first_s);
        write!(
            f,
            "runs {:>5} cycles {:>7} decided {:>6.2} % truth inside {:>8.4} % error as said {:>8.4} % \
             worst {:>8.3} ms = {:.2} of bound, first decision {p50:.0}/{most:.0} s",
            self.runs,
            self.cycles,
            100.0 * part(self.decisions, self.cycles),
            100.0 * self.inside(),
            100.0 * self.as_said(),
            1e3 * self.worst_s,
            self.worst_part,
        )?;
        if self.liars > 0 {
            let (p50, most) = middle_and_most(&self.convicted_s);
            let (heard, longest) = middle_and_most(&self.heard_s);
            write!(
                f,
                ", liars {}: convicted {} after {p50:.0}/{most:.0} s, heard for {heard:.0}/{longest:.0} s",
                self.liars,
                self.convicted_s.len(),
            )?;
        }
        if !self.led_s.is_empty() {
            write!(f, ", {}", self.led())?;
        }
        if self.misled > 0 {
            write!(f, ", {} without an honest majority", self.misled)?;
        }
        Ok(())
    }
}

fn part(some: usize, all: usize) -> f64 {
    some as f64 / all.max(1) as f64
}

/// Of a list in order.
fn middle_and_most(list: &[f64]) -> (f64, f64) {
    let last = list.last().copied().unwrap_or(f64::NAN);
    (list.get(list.len() / 2).copied().unwrap_or(last), last)
}
