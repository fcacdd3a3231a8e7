//! What is shown to people: reads snapshots, changes nothing.

pub mod table;

use crate::engine::snapshot::Snapshot;
use crate::sys::clock::ClockPair;

/// A snapshot and what the clocks showed when it was taken: enough to speak of offsets of the system clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The engine at the end of a cycle.
    pub snapshot: Snapshot,
    /// The clocks a moment later.
    pub clock: ClockPair,
    /// Why nobody gets the decision, if there is one: an output refused it, and those that took it have no reader.
    pub refused: Option<String>,
}
