//! The pure part: from exchanges to a decision. No IO, no clock, no randomness of its own.

pub mod bound;
pub mod cluster;
pub mod combine;
pub mod estimate;
pub mod exchange;
pub mod filter;
pub mod leap;
pub mod select;
pub mod time;
