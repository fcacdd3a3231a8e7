//! Tests.

mod fake;
