//! One connection of the fake from its first request to its end.
//!
//! In: a wire, the setup, the faults. Out: replies, and their entries in the ledger. Not: the accepting; the formats.
//!
//! The order of every exchange: the request is read and has its way behind it (*arrived*); what comes early (tickets,
//! 1xx, pings, a head that goes ahead) leaves; the clock is read (*stamped*); the reply is held for its way; it leaves
//! (*departed*). So the stamp always lies between arrival and departure, and what a client reads early was sent before it.

use std::io::{self, ErrorKind};
use std::mem;

use tungstenite::handshake::derive_accept_key;

use super::answer::{Asked, Shown, compose, stamp};
use super::clock::{Clock, raw_now};
use super::dialect::Dialect;
use super::fault::{Fault, Stage};
use super::http::{Framing, Request, interim};
use super::ledger::Served;
use super::life::Life;
use super::path::{Delay, Message};
use super::random::Random;
use super::reply::Reply;
use super::websocket::SUBPROTOCOL;
use super::wire::Wire;
use super::{Setup, Shared};

/// An accepted connection.
pub(super) struct Connection<'a, C> {
    pub(super) number: usize,
    pub(super) setup: &'a Setup<C>,
    pub(super) shared: &'a Shared,
    pub(super) life: &'a Life,
    pub(super) wire: Wire<'a>,
    pub(super) random: Random,
    /// Leaves in one segment with what is sent next.
    pub(super) held: Vec<u8>,
}

impl<C: Clock> Connection<'_, C> {
    /// Serves until one of the two has enough.
    pub(super) fn serve(mut self) -> io::Result<()> {
        for nth in 1_usize.. {
            let Some(request) = self.read_request()? else {
                break;
            };
            let read_raw_ns = raw_now();
            let upgrade = request.header("sec-websocket-key").map(derive_key);
            if let Some(accept) = upgrade.filter(|_| self.setup.dialect == Dialect::WebNtp) {
                match self.shared.faults.take(Stage::Upgrade) {
                    None => {
                        self.held = self.upgrade(&request, &accept)?;
                        let id = request.header("host").unwrap_or_default();
                        return self.serve_websocket(id);
                    }
                    fault => self.answer(&request, read_raw_ns, fault, true)?,
                }
                break;
            }
            let fault = self.shared.faults.take(Stage::Request);
            let http = &self.setup.http;
            let spent = http.keep_alive.filter(|keep| nth >= keep.requests);
            let announced = request.wants_close() || spent.is_some_and(|keep| keep.announced);
            self.answer(&request, read_raw_ns, fault, announced)?;
            if announced || spent.is_some() || http.framing() == Framing::UntilClose {
                break;
            }
        }
        self.wire.finish()
    }

    fn read_request(&mut self) -> io::Result<Option<Request>> {
        loop {
            match Request::take(&mut self.wire.unread) {
                Ok(None) => {}
                Ok(request) => return Ok(request),
                Err(_) => return Err(ErrorKind::InvalidData.into()),
            }
            match self.wire.fill(self.setup.http.idle) {
                Ok(0) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                read => read?,
            };
        }
    }

    fn upgrade(&mut self, request: &Request, accept: &str) -> io::Result<Vec<u8>> {
        let mut reply = Reply::bare(101)
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Accept", accept);
        let offered = request.header("sec-websocket-protocol").unwrap_or_default();
        if offered.split(',').any(|name| name.trim() == SUBPROTOCOL) {
            reply = reply.header("Sec-WebSocket-Protocol", SUBPROTOCOL);
        }
        self.wire.release_tickets(&mut self.random)?;
        Ok(reply.message(&self.setup.http, false).bytes)
    }

    fn answer(
        &mut self,
        request: &Request,
        read_raw_ns: i64,
        fault: Option<Fault>,
        close: bool,
    ) -> io::Result<()> {
        let asked = self.arrive(&request.query, Some(request), read_raw_ns)?;
        self.wire.release_tickets(&mut self.random)?;
        if fault == Some(Fault::StallBeforeHeaders) {
            return self.stall(asked);
        }
        let setup = self.setup;
        for first in &setup.http.interim {
            self.send_early(interim(first.status).as_bytes(), first.gap)?;
        }
        let mut gone = 0;
        if let Some(gap) = setup.http.head_first {
            let draft = Shown::draft(fault.as_ref());
            let draft = compose(setup, request, &asked.it, &draft, fault.as_ref());
            let draft = draft.message(&setup.http, close);
            gone = draft.unstamped();
            self.send_early(&draft.bytes[..gone], gap)?;
        }

        let shown = stamp(setup, self.shared, fault.as_ref());
        let reply = compose(setup, request, &asked.it, &shown, fault.as_ref());
        let mut message = reply.message(&setup.http, close);
        if fault == Some(Fault::TwoReplies) {
            message.bytes.extend_from_within(..);
        }
        let sent = message.stamp.as_ref().map(|_| shown.first());
        self.depart(asked, Some((shown.raw_ns, sent.unwrap_or_default())))?;
        self.deliver(&message, gone, fault.as_ref())?;
        self.pad(reply.padding)
    }

    /// The request has its way, and the server's thinking, behind it.
    pub(super) fn arrive(
        &mut self,
        it: &str,
        request: Option<&Request>,
        read_raw_ns: i64,
    ) -> io::Result<Asked> {
        let path = &self.setup.path;
        self.pause(path.request)?;
        let arrived_raw_ns = raw_now();
        self.pause(path.think)?;
        Ok(Asked {
            it: it.to_owned(),
            request: request.cloned(),
            read_raw_ns,
            arrived_raw_ns,
        })
    }

    /// Holds the reply for its way and enters it into the ledger.
    pub(super) fn depart(&mut self, asked: Asked, stamp: Option<(i64, String)>) -> io::Result<()> {
        self.pause(self.setup.path.reply)?;
        let (stamped_raw_ns, stamp) = stamp.unzip();
        self.shared.ledger.enter(Served {
            connection: self.number,
            it: asked.it,
            request: asked.request,
            read_raw_ns: asked.read_raw_ns,
            arrived_raw_ns: asked.arrived_raw_ns,
            stamped_raw_ns,
            stamp: stamp.unwrap_or_default(),
            departed_raw_ns: raw_now(),
        });
        Ok(())
    }

    /// Sends a message but for its first `gone` bytes, cut as the path wants it or as the fault does.
    pub(super) fn deliver(
        &mut self,
        message: &Message,
        gone: usize,
        fault: Option<&Fault>,
    ) -> io::Result<()> {
        let bytes = &message.bytes;
        match fault {
            Some(Fault::StallInBody) => {
                self.send(&bytes[gone..message.middle().max(gone)])?;
                self.hang()
            }
            Some(Fault::CloseMidBody) => {
                self.send(&bytes[gone..message.middle().max(gone)])?;
                Err(ErrorKind::ConnectionAborted.into())
            }
            Some(Fault::OneByteEvery(gap)) => {
                for byte in &bytes[gone..] {
                    self.send(&[*byte])?;
                    self.life.pause(*gap)?;
                }
                Ok(())
            }
            Some(Fault::EndlessHeaders) => {
                // All but the empty line that ends the head.
                self.send(&bytes[gone..(message.head - 2).max(gone)])?;
                let more = format!("X-More: {}\r\n", "x".repeat(1012)).repeat(4);
                loop {
                    self.send(more.as_bytes())?;
                }
            }
            _ => {
                let mut from = gone;
                for (at, gap) in self.setup.path.cuts_of(message) {
                    if at > from {
                        self.send(&bytes[from..at])?;
                        from = at;
                        self.pause(gap)?;
                    }
                }
                self.send(&bytes[from..])
            }
        }
    }

    /// Never answers; enters that into the ledger.
    pub(super) fn stall(&mut self, asked: Asked) -> io::Result<()> {
        self.depart(asked, None)?;
        self.hang()
    }

    /// Sends something that is not yet the reply, and lets a while pass.
    pub(super) fn send_early(&mut self, bytes: &[u8], gap: Delay) -> io::Result<()> {
        self.send(bytes)?;
        self.pause(gap)
    }

    /// Sends now.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut all = mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        self.wire.send(&all, &mut self.random)
    }

    fn pad(&mut self, padding: usize) -> io::Result<()> {
        let blanks = [b' '; 4096];
        let mut left = padding;
        while left > 0 {
            let some = left.min(blanks.len());
            self.send(&blanks[..some])?;
            left -= some;
        }
        Ok(())
    }

    fn hang(&mut self) -> io::Result<()> {
        self.wire.drain()?;
        Err(ErrorKind::ConnectionAborted.into())
    }

    fn pause(&mut self, delay: Delay) -> io::Result<()> {
        self.life.pause(delay.draw(&mut self.random))
    }
}

fn derive_key(key: &str) -> String {
    derive_accept_key(key.as_bytes())
}
