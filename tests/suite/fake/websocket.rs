//! WebSocket (RFC 6455) as the fake speaks it: frames, and the manners of a server.
//!
//! In: bytes. Out: frames of the client unmasked, frames of the server. Not: the upgrade, nor when frames are sent.

use super::path::{Delay, Message};

/// The subprotocol of WebNTP.
pub(crate) const SUBPROTOCOL: &str = "webntp.shogo82148.com";
/// The longest frame that the server takes.
pub(crate) const LONGEST_FRAME: usize = 1024;

/// The manners of one server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WebSocketShape {
    /// A ping comes before each reply, by this; the stamp is taken after it.
    pub(crate) ping_first: Option<Delay>,
    /// Each reply comes in two frames, cut before the first stamp; it is taken this long after the first frame.
    pub(crate) two_frames: Option<Delay>,
    /// Replies on one connection, after which the server closes it.
    pub(crate) replies: Option<usize>,
}

impl WebSocketShape {
    /// One frame for each reply, for ever.
    pub(crate) fn plain() -> Self {
        Self {
            ping_first: None,
            two_frames: None,
            replies: None,
        }
    }
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    /// More of a message.
    Continuation = 0,
    /// A text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end.
    Close = 8,
    /// Are you there?
    Ping = 9,
    /// Yes.
    Pong = 10,
}

/// A frame of the server.
pub(crate) fn frame(last: bool, opcode: Opcode, payload: &[u8]) -> Message {
    let mut bytes = vec![u8::from(last) << 7 | opcode as u8];
    match u16::try_from(payload.len()) {
        Ok(short @ 0..126) => bytes.push(short.to_be_bytes()[1]),
        Ok(long) => {
            bytes.push(126);
            bytes.extend_from_slice(&long.to_be_bytes());
        }
        Err(_) => {
            bytes.push(127);
            bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    let head = bytes.len();
    bytes.extend_from_slice(payload);
    Message {
        bytes,
        head,
        stamp: None,
    }
}

/// A frame of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Of its message.
    pub(crate) last: bool,
    /// Its low four bits, as they came.
    pub(crate) opcode: u8,
    /// Unmasked.
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Takes a frame off the front of what was read: None while it is incomplete, an error if it is unmasked or too long.
    pub(crate) fn take(unread: &mut Vec<u8>) -> Result<Option<Self>, BadFrame> {
        let &[first, second, ref rest @ ..] = unread.as_slice() else {
            return Ok(None);
        };
        if second & 0x80 == 0 {
            return Err(BadFrame);
        }
        let (length, extended) = match (second & 0x7F, rest) {
            (127, _) => return Err(BadFrame),
            (126, &[high, low, ..]) => (usize::from(u16::from_be_bytes([high, low])), 2),
            (126, _) => return Ok(None),
            (short, _) => (usize::from(short), 0),
        };
        if length > LONGEST_FRAME {
            return Err(BadFrame);
        }
        let masked = 2 + extended;
        let end = masked + 4 + length;
        if unread.len() < end {
            return Ok(None);
        }
        let taken: Vec<u8> = unread.drain(..end).collect();
        let (mask, payload) = taken[masked..].split_at(4);
        let payload = payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask);
        Ok(Some(Self {
            last: first & 0x80 != 0,
            opcode: first & 0x0F,
            payload: payload.collect(),
        }))
    }
}

/// A frame that a client may not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadFrame;
