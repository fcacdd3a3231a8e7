//! The wire formats, pure: bytes in, server stamps or a refusal out. No IO, no clock.
//!
//! [`head`] judges the head of a reply, one module for each kind of source its body, [`plausible`] and
//! [`stamp`] what the server said. Whatever is wrong becomes a [`refusal::Refusal`].

pub mod decimal;
pub mod excerpt;
pub mod head;
pub mod json;
pub mod leap_seconds;
pub mod plausible;
pub mod refusal;
pub mod stamp;
pub mod webntp;

/// Longest body or WebSocket message that is read (bytes). No honest reply comes near it.
pub const BODY_LIMIT: usize = 1024;

/// Longest head of an HTTP reply that is read (bytes).
pub const HEAD_LIMIT: usize = 16 * 1024;
