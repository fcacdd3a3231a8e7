//! webntpd: correct time where UDP port 123 is closed.

pub mod config;
pub mod engine;
pub mod output;
pub mod protocol;
pub mod sys;
