//! The integration tests, in one binary.

mod daemon;
mod demo;
mod fake;
mod feeding;
mod host;
mod layers;
mod mishaps;
mod oracle;
mod serve;
mod server;
mod tool;
