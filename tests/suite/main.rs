//! Tests.

mod layers;
mod serve;
mod server;
