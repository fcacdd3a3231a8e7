//! The wire formats, pure: bytes in, server stamps or a refusal out. No IO, no clock.
//!
//! [`kind`] knows how each kind of source is asked and which of the others reads its reply: [`head`] judges
//! the head of all of them, [`webntp`] and [`text`] read bodies, [`sntp`] the packets of NTP, [`header`] the headers that carry time; [`plausible`]
//! and [`stamp`] judge what the server said. [`finding`] finds out the kind where nobody has said it. Whatever is wrong becomes a [`refusal::Refusal`].

pub mod date;
pub mod decimal;
pub mod excerpt;
pub mod finding;
pub mod head;
pub mod header;
pub mod json;
pub mod kind;
pub mod leap_seconds;
pub mod plausible;
pub mod refusal;
pub mod request;
pub mod sntp;
pub mod stamp;
pub mod text;
pub mod webntp;

/// Longest body or WebSocket message that is read (bytes). No honest reply comes near it.
pub const BODY_LIMIT: usize = 1024;

/// Longest head of an HTTP reply that is read (bytes).
pub const HEAD_LIMIT: usize = 16 * 1024;
