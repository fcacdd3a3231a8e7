//! WebNTP over WebSocket: what is answered to which frame.
//!
//! In: frames. Out: replies with their stamps, as frames. Not: the upgrade; bytes on the wire.

use std::io::{self, ErrorKind};

use super::answer::{Asked, Shown, json, stamp};
use super::clock::{Clock, raw_now};
use super::connection::Connection;
use super::fault::{Fault, Stage};
use super::json::Body;
use super::path::Message;
use super::websocket::{Frame, Opcode, frame};

/// Fragments of this size make up a message that is too long.
const FRAGMENT: usize = 512;

impl<C: Clock> Connection<'_, C> {
    /// Serves the connection from the reply to its upgrade, which is held. A reply to no request leaves in one segment
    /// with that, so that no client can take it for the reply to its first frame.
    pub(super) fn serve_websocket(&mut self, id: &str) -> io::Result<()> {
        if self.shared.faults.take(Stage::Opened).is_some() {
            let now = raw_now();
            let asked = self.arrive("", None, now)?;
            self.tell(id, asked, None)?;
        } else {
            self.send(&[])?;
        }
        let most = self.setup.websocket.replies.unwrap_or(usize::MAX);
        let mut replies = 0;
        while replies < most {
            let Some(frame) = self.read_frame()? else {
                return self.wire.finish();
            };
            let read_raw_ns = raw_now();
            match (frame.opcode, frame.last) {
                (op, true) if op == Opcode::Text as u8 => {
                    let text = String::from_utf8(frame.payload).unwrap_or_default();
                    let asked = self.arrive(&text, None, read_raw_ns)?;
                    let fault = self.shared.faults.take(Stage::Frame);
                    self.tell(id, asked, fault.as_ref())?;
                    replies += 1;
                }
                (op, _) if op == Opcode::Ping as u8 => {
                    self.send_frame(Opcode::Pong, &frame.payload)?;
                }
                (op, _) if op == Opcode::Pong as u8 => {}
                (op, _) if op == Opcode::Close as u8 => {
                    self.send_frame(Opcode::Close, &frame.payload)?;
                    return self.wire.finish();
                }
                // Binary, or in fragments: no client of ours does that.
                _ => return self.close(1003),
            }
        }
        self.close(1000)
    }

    fn read_frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            match Frame::take(&mut self.wire.unread) {
                Ok(None) => {}
                Ok(frame) => return Ok(frame),
                Err(_) => {
                    self.close(1009)?;
                    return Ok(None);
                }
            }
            match self.wire.fill(self.setup.http.idle) {
                Ok(0) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                read => read?,
            };
        }
    }

    fn tell(&mut self, id: &str, asked: Asked, fault: Option<&Fault>) -> io::Result<()> {
        if fault == Some(&Fault::StallBeforeHeaders) {
            return self.stall(asked);
        }
        let setup = self.setup;
        if let Some(gap) = setup.websocket.ping_first {
            let ping = frame(true, Opcode::Ping, b"fake");
            self.send_early(&ping.bytes, gap)?;
        }
        let mut gone = 0;
        if let (Some(gap), None) = (setup.websocket.two_frames, fault) {
            let draft = json(setup, id, &asked.it, &Shown::draft(fault), fault);
            gone = draft.stamp.map_or(0, |stamp| stamp.start);
            if gone > 0 {
                let first = frame(false, Opcode::Text, &draft.text.as_bytes()[..gone]);
                self.send_early(&first.bytes, gap)?;
            }
        }
        let shown = stamp(setup, self.shared, fault);
        let body = json(setup, id, &asked.it, &shown, fault);
        let message = frames(&body, gone, fault);
        self.depart(asked, Some((shown.raw_ns, shown.first())))?;
        self.deliver(&message, 0, fault)
    }

    fn send_frame(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        let message = frame(true, opcode, payload);
        self.send(&message.bytes)
    }

    fn close(&mut self, code: u16) -> io::Result<()> {
        self.send_frame(Opcode::Close, &code.to_be_bytes())?;
        self.wire.finish()?;
        // The client's own close frame comes yet; to close on it unread would take the reply away again.
        self.wire.drain()
    }
}

/// A body, but for what went ahead in a first fragment, as frames.
fn frames(body: &Body, gone: usize, fault: Option<&Fault>) -> Message {
    let payload = &body.text.as_bytes()[gone..];
    let mut message = match fault {
        Some(Fault::BinaryFrame) => frame(true, Opcode::Binary, payload),
        Some(Fault::FragmentedOversize) => {
            let mut all = Message::default();
            let count = payload.len().div_ceil(FRAGMENT);
            for (nth, piece) in payload.chunks(FRAGMENT).enumerate() {
                let opcode = if nth == 0 {
                    Opcode::Text
                } else {
                    Opcode::Continuation
                };
                let fragment = frame(nth + 1 == count, opcode, piece);
                all.bytes.extend_from_slice(&fragment.bytes);
            }
            return all;
        }
        _ if gone > 0 => frame(true, Opcode::Continuation, payload),
        _ => frame(true, Opcode::Text, payload),
    };
    let head = message.head;
    message.stamp = body
        .stamp
        .as_ref()
        .map(|stamp| stamp.start + head - gone..stamp.end + head - gone);
    if fault == Some(&Fault::TwoReplies) {
        message.bytes.extend_from_within(..);
    }
    message
}
