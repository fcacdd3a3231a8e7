//! The fake upstream: a WebNTP server that knows the truth. So far: its clock and its delays.

mod checks;
mod clock;
mod path;
mod random;

pub(crate) use clock::{Face, KnownClock, Rounding, SECOND_NS, raw_now};
pub(crate) use path::Delay;
