//! The integration tests, in one binary.

mod fake;
mod host;
