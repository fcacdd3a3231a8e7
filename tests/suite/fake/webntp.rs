//! WebNTP itself: what is answered to what, over HTTP and over WebSocket.
//!
//! In: requests, text frames. Out: replies with their stamps. Not: bytes on the wire.

use std::io::{self, ErrorKind};

use super::clock::{Clock, Reading, raw_now};
use super::connection::Connection;
use super::fault::{Fault, Stage};
use super::http::{Reply, Request};
use super::json::Body;
use super::path::Message;
use super::websocket::{Frame, Opcode, frame};
use super::{Setup, Shared};

/// Fragments of this size make up a message that is too long.
const FRAGMENT: usize = 512;

/// A request that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) it: String,
    pub(super) read_raw_ns: i64,
    pub(super) arrived_raw_ns: i64,
}

/// Reads the clock, or the cache in its place, and shows it as the face and the fault have it.
pub(super) fn stamp<C: Clock>(
    setup: &Setup<C>,
    shared: &Shared,
    fault: Option<&Fault>,
) -> (Reading, String) {
    let mut shown = shared.shown.lock().expect("nobody panics while holding it");
    let now = setup.clock.read();
    let reading = match (*shown, setup.face.cached) {
        (Some(old), Some(period))
            if i128::from(now.raw_ns - old.raw_ns) < period.as_nanos().cast_signed() =>
        {
            old
        }
        _ => now,
    };
    *shown = Some(reading);
    let text = setup.face.show(reading.utc_ns);
    (
        reading,
        fault.map_or(text.clone(), |fault| fault.stamp(text)),
    )
}

/// The reply to a request.
pub(super) fn compose<C>(
    setup: &Setup<C>,
    request: &Request,
    it: &str,
    stamp: &str,
    fault: Option<&Fault>,
) -> Reply {
    let reply = match request.method.as_str() {
        "HEAD" if request.path.ends_with("/.well-known/time") => {
            let tail = fault.map_or("", Fault::tail);
            Reply::bare(204).header("X-HTTPSTIME", &format!("{stamp}{tail}"))
        }
        "GET" => {
            let id = request.header("host").unwrap_or_default();
            let body = body(setup, id, it, stamp, fault);
            Reply::with_body(setup.http.status, "application/json; charset=utf-8", body)
        }
        _ => Reply::bare(405),
    };
    match fault {
        Some(fault) => reply.spoilt_by(fault),
        None => reply,
    }
}

/// The JSON; nothing, as real servers have it, if the question was no number.
fn body<C>(setup: &Setup<C>, id: &str, it: &str, stamp: &str, fault: Option<&Fault>) -> Body {
    let Some(echo) = setup.json.echo(it) else {
        return Body::default();
    };
    match fault {
        None => setup.json.render(id, &echo, stamp),
        Some(fault) => fault.body(setup.json.render(id, &fault.it(echo), stamp)),
    }
}

impl<C: Clock> Connection<'_, C> {
    /// Serves the connection after its upgrade.
    pub(super) fn serve_websocket(&mut self, id: &str) -> io::Result<()> {
        if self.shared.faults.take(Stage::Opened).is_some() {
            let now = raw_now();
            let asked = self.arrive("", now)?;
            self.tell(id, asked, None)?;
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
                    let asked = self.arrive(&text, read_raw_ns)?;
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
            let draft = body(setup, id, &asked.it, "0", fault);
            gone = draft.stamp.map_or(0, |stamp| stamp.start);
            if gone > 0 {
                let first = frame(false, Opcode::Text, &draft.text.as_bytes()[..gone]);
                self.send_early(&first.bytes, gap)?;
            }
        }
        let (reading, shown) = stamp(setup, self.shared, fault);
        let body = body(setup, id, &asked.it, &shown, fault);
        let message = frames(&body, gone, fault);
        self.depart(asked, Some((reading.raw_ns, shown)))?;
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
