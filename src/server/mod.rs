//! The WebNTP server: tells the time to whoever asks, over HTTP and WebSocket.
//!
//! In: a [`ServerClock`], the leap seconds, and an address to listen at. Out: on any path, GET gives the WebNTP JSON, a
//! WebSocket gives the same for every text frame, HEAD gives `X-HTTPSTIME`. It needs no configuration
//! of its own, knows nothing of sources or decisions, speaks no TLS (a reverse proxy does), and
//! publishes only what it is asked for.
//!
//! Nothing that a peer does grows without a limit ([`Limits`]) or fills the log: what a single
//! connection does wrong is told at debug level, and a condition of the whole server twice, when it
//! comes and when it has gone.

mod answer;
mod connection;
mod episode;
mod handshake;
mod reply;
mod websocket;

use crate::engine::time::{Span, Utc};
use crate::protocol::leap_seconds::LeapSeconds;
use crate::sys::clock::{raw_now, system_now};
use crate::sys::listen::is_missing;
use episode::Episode;
use reply::Json;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

/// How long no connection is accepted after the system refused us one: file descriptors come back
/// when connections end, not by asking again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The time that a server tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerClock {
    /// What is added to the system clock: zero, unless the server is to be wrong on purpose.
    pub offset: Span,
}

impl ServerClock {
    /// What the server believes the time to be, now.
    pub fn now(self) -> Utc {
        system_now() + self.offset
    }
}

/// How much and how long a server puts up with. The defaults are meant for everybody; tests shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once; one more is accepted and closed. 1024.
    pub connections: usize,
    /// From the connection to the end of its first request's head. 10 s.
    pub first_request: Span,
    /// From one request or text frame to the end of the next, the reply's way to the peer included. 90 s.
    pub idle: Span,
    /// How long a peer may take to hang up once it was told to. 1 s.
    pub closing: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            first_request: Span::from_secs(10),
            idle: Span::from_secs(90),
            closing: Span::from_secs(1),
        }
    }
}

/// What all connections share: what is told, and to whom.
#[derive(Clone, Debug)]
struct Service {
    clock: ServerClock,
    leap_seconds: watch::Receiver<Arc<LeapSeconds>>,
    /// Whether pages from anywhere may open a WebSocket.
    cross_origin: bool,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            clock: ServerClock::default(),
            // A channel whose sender is gone keeps its value.
            leap_seconds: watch::channel(Arc::new(LeapSeconds::built_in())).1,
            cross_origin: false,
        }
    }
}

impl Service {
    /// The reply, but for its stamp, to a client that asked `host` and sent `sent`.
    fn json(&self, host: &str, sent: &[u8]) -> Json {
        let leap = self.leap_seconds.borrow().at(self.clock.now());
        Json::new(host, sent, &leap)
    }
}

/// A listening server. Nobody is answered before [`Server::run`].
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    service: Service,
    limits: Limits,
}

impl Server {
    /// Listens at the first of `addresses` that this machine has; port 0 takes any free one.
    ///
    /// Only an address that does not exist here (IPv6 is off, say) leads on to the next: one that is
    /// taken or forbidden is an error even if the next were free, or the server would stand where
    /// nobody looks for it. Must be called inside a tokio runtime with IO.
    pub async fn bind(addresses: &[SocketAddr], clock: ServerClock) -> io::Result<Self> {
        let mut missing = io::Error::new(ErrorKind::InvalidInput, "no address to listen at");
        for address in addresses {
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    return Ok(Self {
                        address: listener.local_addr()?,
                        listener,
                        service: Service {
                            clock,
                            ..Service::default()
                        },
                        limits: Limits::default(),
                    });
                }
                Err(error) if is_missing(&error) => missing = error,
                Err(error) => return Err(error),
            }
        }
        Err(missing)
    }

    /// The same server with other limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same server with leap seconds from elsewhere, which may be replaced while it serves.
    pub fn with_leap_seconds(mut self, leap_seconds: watch::Receiver<Arc<LeapSeconds>>) -> Self {
        self.service.leap_seconds = leap_seconds;
        self
    }

    /// The same server; with `allowed`, pages from anywhere may open a WebSocket to it, else only its own.
    pub fn with_cross_origin(mut self, allowed: bool) -> Self {
        self.service.cross_origin = allowed;
        self
    }

    /// Where it listens, with the port that it really has.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is ready; then closes every connection at once. No task is left behind,
    /// neither then nor when the future is dropped.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut connections = JoinSet::new();
        let mut full = Episode::default();
        let mut failing = Episode::default();
        loop {
            // In this order: a crowd at the door can delay neither the end nor the count of who left.
            let accepted = tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        error!("a connection ended with a bug: {error}");
                    }
                    continue;
                }
                accepted = self.listener.accept() => accepted,
            };
            let now = raw_now();
            match accepted {
                Ok((stream, peer)) => {
                    if let Some(times) = failing.end(now) {
                        info!("connections are accepted again (failed {times} times)");
                    }
                    if connections.len() >= self.limits.connections {
                        if full.note(now) {
                            let most = self.limits.connections;
                            warn!("{most} connections are open: further ones are refused");
                        }
                        continue;
                    }
                    if let Some(times) = full.end(now) {
                        info!("connections are no longer refused ({times} were)");
                    }
                    connections.spawn(self.connection(stream, peer));
                }
                Err(error) if is_of_one_connection(&error) => debug!("not accepted: {error}"),
                Err(error) => {
                    if failing.note(now) {
                        warn!("connections cannot be accepted, trying again: {error}");
                    }
                    tokio::select! {
                        () = &mut stop => break,
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    }
                }
            }
        }
        connections.shutdown().await;
    }

    fn connection(&self, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + use<> {
        let (service, limits) = (self.service.clone(), self.limits);
        async move {
            // Nagle's algorithm would hold a stamped reply back.
            if let Err(error) = stream.set_nodelay(true) {
                debug!(%peer, "{peer}: TCP_NODELAY: {error}");
            }
            if let Err(end) = connection::serve(stream, service, limits).await {
                debug!(%peer, "{peer}: {end}");
            }
        }
    }
}

/// Whether only the connection that was about to be accepted is broken, not the listener (`accept(2)`).
fn is_of_one_connection(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn bind(addresses: &[&str]) -> io::Result<Server> {
        let addresses: Vec<SocketAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        Server::bind(&addresses, ServerClock::default()).await
    }

    #[tokio::test]
    async fn an_address_that_is_not_here_leads_on_to_the_next() {
        // 192.0.2.0/24 is for documentation, RFC 5737.
        let server = bind(&["192.0.2.1:0", "127.0.0.1:0"]).await.unwrap();
        assert!(server.local_addr().ip().is_loopback());
        assert_ne!(server.local_addr().port(), 0);
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_an_error_even_if_the_next_is_free() {
        let first = bind(&["127.0.0.1:0"]).await.unwrap();
        let taken = first.local_addr().to_string();
        let error = bind(&[&taken, "127.0.0.1:0"]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn no_address_is_an_error() {
        let error = bind(&[]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
