//! Tests.

mod serve;
mod server;
