//! webntpd: correct time where UDP port 123 is closed.

pub mod engine;
pub mod net;
pub mod protocol;
pub mod sys;
