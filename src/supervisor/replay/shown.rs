//! The ends of cycles as the lines that `webntp replay` prints.

use crate::engine::leap::Leap;
use crate::engine::snapshot::{Snapshot, SourceView, Tally};
use serde::Serialize;
use std::fmt;

/// A cycle with a decision. Times are nanoseconds.
#[derive(Debug, Serialize)]
pub struct Decided<'a> {
    /// On CLOCK_MONOTONIC_RAW, a multiple of `cycle`.
    pub at: i64,
    /// Estimate of UTC minus raw clock at `at`.
    pub offset: i64,
    /// The bound: no less than this.
    pub lo: i64,
    /// And no more than this.
    pub hi: i64,
    /// RMS jitter of the combined estimate.
    pub jitter: i64,
    /// `insert`, `delete` or `none`.
    pub leap: &'static str,
    /// Whose estimates are in it, by name.
    pub survivors: Vec<&'a str>,
    /// Who contradicts the majority, by name.
    pub falsetickers: Vec<&'a str>,
    /// Estimate of the raw clock's frequency error (10⁻⁹), positive where it runs slow.
    pub rate_ppb: i64,
}

/// A cycle without one.
#[derive(Debug, Serialize)]
pub struct Undecided {
    /// On CLOCK_MONOTONIC_RAW (nanoseconds), a multiple of `cycle`.
    pub at: i64,
    /// Why.
    pub why: String,
}

impl<'a> Decided<'a> {
    /// What is shown of a cycle, if it has a decision.
    pub fn of(snapshot: &'a Snapshot) -> Option<Self> {
        let decision = snapshot.outcome.as_ref().ok()?;
        Some(Self {
            at: decision.at.as_nanos(),
            offset: decision.theta.as_nanos(),
            lo: decision.bound.lo.as_nanos(),
            hi: decision.bound.hi.as_nanos(),
            jitter: decision.jitter.as_nanos(),
            leap: match decision.leap {
                Leap::None => "none",
                Leap::Insert => "insert",
                Leap::Delete => "delete",
            },
            survivors: names(snapshot, Tally::survives),
            falsetickers: names(snapshot, |tally| tally == Tally::Falseticker),
            rate_ppb: rounded(decision.rate.as_ppt()),
        })
    }
}

impl fmt::Display for Decided<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Undecided {
    /// What is shown of a cycle, if it has no decision.
    pub fn of(snapshot: &Snapshot) -> Option<Self> {
        let why = snapshot.outcome.as_ref().err()?;
        Some(Self {
            at: snapshot.at.as_nanos(),
            why: why.to_string(),
        })
    }
}

fn names(snapshot: &Snapshot, wanted: impl Fn(Tally) -> bool) -> Vec<&str> {
    let wanted = snapshot.sources.iter().filter(|view| wanted(view.tally));
    let mut names: Vec<&str> = wanted.map(|view: &SourceView| &*view.name).collect();
    names.sort_unstable();
    names
}

/// 10⁻¹² as 10⁻⁹, to the nearest.
fn rounded(ppt: i64) -> i64 {
    let half = if ppt < 0 { -500 } else { 500 };
    ppt.saturating_add(half) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_rounded_to_the_nearest() {
        for (ppt, ppb) in [
            (499, 0),
            (500, 1),
            (-499, 0),
            (-500, -1),
            (-31_250_100, -31_250),
        ] {
            assert_eq!(rounded(ppt), ppb);
        }
    }
}
