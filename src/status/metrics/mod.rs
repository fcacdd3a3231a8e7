//! Metrics for Prometheus, in its text format (version 0.0.4), at `/metrics`.
//!
//! * `families`: the table of all that there is, with what it means
//! * `text`: a table in the format
//! * `process`: what the kernel knows of this process
//! * `server`: who may fetch it, and how fast
//!
//! In: a [`Status`] and the clocks at the moment of asking. Out: the text. What is not known is absent: a number that stands
//! for "unknown" would be taken for one. Times are in seconds, shares are ratios, and what only grows ends in `_total`.
//!
//! The format is written here and not by a crate: the usual ones keep numbers of their own, which one counts up where things
//! happen, and bring locks and a registry for that. All that is to be told is in a [`Report`] already; to write it down
//! takes less than to feed it to them. `promtool check metrics` says in the tests whether it was written down rightly.

mod families;
mod process;
mod server;
mod text;

pub use families::{FAMILIES, Family, Kind};
pub use server::{BindError, MetricsServer};

use super::Status;
use super::report::Report;
use crate::sys::clock::ClockPair;
use process::Process;

/// What the families are taken from.
pub struct Scene<'a> {
    status: &'a Status,
    report: Report,
    /// The clocks at the moment of asking.
    now: ClockPair,
    process: Process,
}

/// All families in the text format.
fn exposition(status: &Status, now: ClockPair) -> String {
    let scene = Scene {
        status,
        report: Report::new(status, now.raw),
        now,
        process: Process::read(),
    };
    text::render(FAMILIES, &scene)
}
