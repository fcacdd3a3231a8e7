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
mod metrics;
mod mishaps;
mod operator;
mod oracle;
mod package;
mod packaging;
mod panel;
mod readme;
mod serve;
mod server;
mod setup;
mod shm;
mod sock;
mod state;
mod tool;
mod unit;
