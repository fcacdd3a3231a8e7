//! The wire formats, pure: bytes in, server stamps or a refusal out. No IO, no clock.

pub mod decimal;
