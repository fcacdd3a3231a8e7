//! webntpd: correct time where UDP port 123 is closed.

pub mod cli;
pub mod engine;
pub mod protocol;
pub mod server;
pub mod sys;
