//! The integration tests, in one binary.

mod daemon;
mod demo;
mod fake;
mod feeding;
mod flood;
mod host;
mod hostile;
mod journal;
mod keys;
mod layers;
mod mishaps;
mod oracle;
mod package;
mod packaging;
mod panel;
mod readme;
mod serve;
mod server;
mod sock;
mod tool;
mod unit;
