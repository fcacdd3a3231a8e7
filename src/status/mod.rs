//! What is shown to people and programs: reads what the daemon knows, changes nothing.
//!
//! * `ledger`: what has been counted
//! * `report`: all of it as plain data for others, and as JSON
//! * `segment`: what is wrong with a shared memory segment, in words
//! * `table`, `tracking`: a report for people
//! * `columns`, `words`: what these are made of
//! * `control`: the socket on which the daemon hands out its report
//! * `door`: a listener that can be let go of at once
//! * `metrics`: the same for Prometheus

mod columns;
pub mod control;
mod door;
pub mod ledger;
pub mod metrics;
pub mod report;
pub mod segment;
pub mod table;
pub mod tracking;
pub mod words;

#[cfg(test)]
pub(crate) mod rig;

use crate::engine::snapshot::{Decision, NoDecision, Snapshot, SourceView, Tally};
use crate::sys::clock::ClockPair;
use ledger::{Ledger, State};
use table::{Length, Signed};
use words::long;

/// A snapshot, what the clocks showed when it was taken (enough to speak of offsets of the system clock), and what has been
/// counted until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The engine at the end of a cycle.
    pub snapshot: Snapshot,
    /// The clocks a moment later.
    pub clock: ClockPair,
    /// Why nobody gets the decision, if there is one: an output refused it, and those that took it have no reader.
    pub refused: Option<String>,
    /// What has been counted; its sources are those of the snapshot, in the same order.
    pub ledger: Ledger,
}

impl Status {
    /// The decision, or why there is none, in a line: `3 of 4 sources agree, offset +1.200 ms ± 8.100 ms`.
    pub fn summary(&self) -> String {
        match (&self.snapshot.outcome, &self.refused) {
            (Ok(decision), None) => self.agreement(decision),
            (Ok(decision), Some(refused)) => {
                format!("nothing published: {refused}; {}", self.agreement(decision))
            }
            // Takes nothing back: some sources are asked more rarely than cycles end.
            (Err(NoDecision::NothingNew), _)
                if self.ledger.state == State::Publishing
                    && let Some((decision, clock)) = &self.ledger.last =>
            {
                format!(
                    "no news in the last cycle; published {} ago, offset {} ± {}",
                    long(self.clock.raw - clock.raw),
                    Signed(clock.offset(decision.theta_at(clock.raw))),
                    Length(decision.error_at(clock.raw)),
                )
            }
            (Err(NoDecision::NothingNew), _) if let Some(why) = &self.ledger.reason => {
                format!("nothing published: {why}")
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

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn without_a_decision_the_summary_is_the_reason() {
        let mut status = rig::status();
        status.snapshot.outcome = Err(NoDecision::NoCandidates);
        assert_eq!(status.summary(), "nothing published: no usable source");
    }

    #[test]
    fn a_cycle_without_news_takes_nothing_back() {
        let mut status = rig::status();
        status.snapshot.outcome = Err(NoDecision::NothingNew);
        status.clock.raw = status.clock.raw + crate::engine::time::Span::from_secs(16);
        assert_eq!(
            status.summary(),
            "no news in the last cycle; published 16 s ago, offset +25.500 ms ± 11.504 ms"
        );
        status.ledger.state = State::Undecided;
        assert_eq!(
            status.summary(),
            "nothing published: nothing new from any source"
        );
    }

    #[test]
    fn a_decision_that_no_output_took_is_not_called_published() {
        let mut status = rig::status();
        status.refused = Some("SHM(2): no room".into());
        assert!(
            status
                .summary()
                .starts_with("nothing published: SHM(2): no room; 2 of 4 sources agree, ")
        );
    }
}
