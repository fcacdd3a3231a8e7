//! The pure part: from exchanges to a decision. No IO, no clock, no randomness of its own.

pub mod leap;
pub mod time;
