//! One accepted connection as a stream of bytes, in clear or under TLS, whose every write is a segment of its own.
//!
//! In: a socket, a TLS configuration, the run's life. Out: bytes in, bytes out, session tickets when they are due. Not:
//! HTTP or WebSocket.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ProtocolVersion, ServerConfig, ServerConnection};

use super::life::Life;
use super::path::Delay;
use super::random::Random;
use super::tls::{Tickets, Tls};

/// The longest piece that one write takes: one TLS record.
const PIECE: usize = 16_384;

/// A connection's bytes.
#[derive(Debug)]
pub(crate) struct Wire<'a> {
    socket: TcpStream,
    life: &'a Life,
    /// Read and not yet used.
    pub(crate) unread: Vec<u8>,
    tls: Option<Session<'a>>,
}

#[derive(Debug)]
struct Session<'a> {
    connection: Box<ServerConnection>,
    shape: &'a Tls,
    held: Option<Delay>,
}

impl<'a> Wire<'a> {
    /// Sets up a socket; completes the TLS handshake if there is to be one.
    pub(crate) fn open(
        socket: TcpStream,
        life: &'a Life,
        tls: Option<(&'a Tls, Arc<ServerConfig>)>,
    ) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let mut wire = Self {
            socket,
            life,
            unread: Vec::new(),
            tls: None,
        };
        if let Some((shape, config)) = tls {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            let mut session = Session {
                connection: Box::new(connection),
                shape,
                held: None,
            };
            session.handshake(&mut wire.socket)?;
            wire.tls = Some(session);
        }
        Ok(wire)
    }

    /// Reads some more into `unread`; 0 at the end of the stream. With a limit, fails when nothing came for so long.
    pub(crate) fn fill(&mut self, limit: Option<Duration>) -> io::Result<usize> {
        self.socket.set_read_timeout(limit)?;
        let mut buffer = [0; 4096];
        let count = match &mut self.tls {
            None => self.socket.read(&mut buffer)?,
            Some(session) => session.read(&mut self.socket, &mut buffer)?,
        };
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    /// Reads and forgets until the peer, or the run, ends the connection.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        while self.fill(None)? > 0 {
            self.unread.clear();
        }
        Ok(())
    }

    /// Writes now.
    pub(crate) fn send(&mut self, bytes: &[u8], random: &mut Random) -> io::Result<()> {
        let Some(session) = &mut self.tls else {
            return self.socket.write_all(bytes);
        };
        for piece in bytes.chunks(PIECE) {
            session.connection.writer().write_all(piece)?;
            let out = session.pending()?;
            let late = session.shape.late_last_byte;
            let (first, last) = out.split_at(out.len() - usize::from(late.is_some()));
            self.socket.write_all(first)?;
            if let Some(late) = late {
                self.life.pause(late.draw(random))?;
                self.socket.write_all(last)?;
            }
        }
        Ok(())
    }

    /// Sends the session tickets that were held back, if any, and waits for their gap.
    pub(crate) fn release_tickets(&mut self, random: &mut Random) -> io::Result<()> {
        let Some(session) = &mut self.tls else {
            return Ok(());
        };
        let Some(gap) = session.held.take() else {
            return Ok(());
        };
        self.socket.write_all(&session.pending()?)?;
        self.life.pause(gap.draw(random))
    }

    /// Ends our side in order; the peer sees a clean end.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if let Some(session) = &mut self.tls {
            session.connection.send_close_notify();
            self.socket.write_all(&session.pending()?)?;
        }
        self.socket.shutdown(Shutdown::Write)
    }
}

impl Session<'_> {
    fn handshake(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        while self.connection.is_handshaking() {
            if self.connection.wants_write() {
                socket.write_all(&self.pending()?)?;
            } else if self.read_record(socket)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        // What is left to write is the tickets, under TLS 1.2 with the rest of the handshake.
        match self.shape.tickets {
            Tickets::BeforeFirstReply(gap)
                if self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3) =>
            {
                self.held = Some(gap);
                Ok(())
            }
            _ => socket.write_all(&self.pending()?),
        }
    }

    fn read(&mut self, socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.read_record(socket)?,
                done => return done,
            };
        }
    }

    fn read_record(&mut self, socket: &mut TcpStream) -> io::Result<usize> {
        let count = self.connection.read_tls(socket)?;
        if let Err(error) = self.connection.process_new_packets() {
            // The alert is a courtesy: the error is what counts.
            let _ = socket.write_all(&self.pending()?);
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
        Ok(count)
    }

    fn pending(&mut self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut out)?;
        }
        Ok(out)
    }
}
