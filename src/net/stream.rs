//! A TCP stream that notes when bytes left and came.
//!
//! It sits below TLS, HTTP and WebSocket, which know nothing of it; whoever runs an exchange keeps the
//! other end of its [`Stamps`]. In: bytes. Out: the same bytes, and readings of the raw clock. It does
//! not know where a request or a reply begins.

use crate::engine::time::Raw;
use crate::sys::clock;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Stands for a stamp that has not been taken: no clock shows it.
const NEVER: i64 = i64::MIN;

/// When bytes passed since the last [`arm`](Self::arm).
///
/// Relaxed atomics serve: the stream and the reader of its stamps are polled by one task, and a task
/// that moves to another thread is synchronised by the runtime.
#[derive(Debug)]
pub(super) struct Stamps {
    sent: AtomicI64,
    first_read: AtomicI64,
    last_read: AtomicI64,
}

impl Stamps {
    fn new() -> Self {
        Self {
            sent: AtomicI64::new(NEVER),
            first_read: AtomicI64::new(NEVER),
            last_read: AtomicI64::new(NEVER),
        }
    }

    /// Forgets everything: what comes now belongs to a new exchange.
    pub(super) fn arm(&self) {
        for stamp in [&self.sent, &self.first_read, &self.last_read] {
            stamp.store(NEVER, Relaxed);
        }
    }

    /// Taken just before the first write that took bytes. Before, not after: a server on the same
    /// machine may have answered before the writer gets the processor back.
    pub(super) fn sent(&self) -> Option<Raw> {
        reading(&self.sent)
    }

    /// Taken just after the first read that brought bytes.
    pub(super) fn first_read(&self) -> Option<Raw> {
        reading(&self.first_read)
    }

    /// Taken just after the latest read that brought bytes.
    pub(super) fn last_read(&self) -> Option<Raw> {
        reading(&self.last_read)
    }
}

fn reading(stamp: &AtomicI64) -> Option<Raw> {
    Some(stamp.load(Relaxed))
        .filter(|&nanos| nanos != NEVER)
        .map(Raw::from_nanos)
}

/// Sets a stamp that is taken only once after each arming.
fn once(stamp: &AtomicI64, now: Raw) {
    if stamp.load(Relaxed) == NEVER {
        stamp.store(now.as_nanos(), Relaxed);
    }
}

/// A TCP stream that keeps [`Stamps`].
#[derive(Debug)]
pub(super) struct TimedStream {
    tcp: TcpStream,
    stamps: Arc<Stamps>,
}

impl TimedStream {
    /// Wraps a connected stream; small writes go out at once from now on (TCP_NODELAY).
    pub(super) fn new(tcp: TcpStream) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        Ok(Self {
            tcp,
            stamps: Arc::new(Stamps::new()),
        })
    }

    /// The stamps, to be kept by whoever runs the exchanges.
    pub(super) fn stamps(&self) -> Arc<Stamps> {
        Arc::clone(&self.stamps)
    }

    fn write_with(
        mut self: Pin<&mut Self>,
        write: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let before = clock::raw_now();
        let written = ready!(write(Pin::new(&mut self.tcp)))?;
        if written > 0 {
            once(&self.stamps.sent, before);
        }
        Poll::Ready(Ok(written))
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            let now = clock::raw_now();
            once(&self.stamps.first_read, now);
            self.stamps.last_read.store(now.as_nanos(), Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write_with(|tcp| tcp.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write_with(|tcp| tcp.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (TimedStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (server, _) = listener.accept().await.unwrap();
        (TimedStream::new(client.unwrap()).unwrap(), server)
    }

    #[tokio::test]
    async fn sent_is_taken_before_the_first_write_and_received_after_each_read() {
        let (mut client, mut server) = pair().await;
        let stamps = client.stamps();
        assert!(client.tcp.nodelay().unwrap());
        assert_eq!((stamps.sent(), stamps.last_read()), (None, None));

        let before = clock::raw_now();
        client.write_all(b"a").await.unwrap();
        let sent = stamps.sent().unwrap();
        assert!(before <= sent);
        server.read_u8().await.unwrap();
        assert!(sent <= clock::raw_now());
        client.write_all(b"b").await.unwrap();
        assert_eq!(stamps.sent(), Some(sent), "only the first write counts");

        server.write_all(b"x").await.unwrap();
        client.read_u8().await.unwrap();
        let first = stamps.first_read().unwrap();
        assert_eq!(stamps.last_read(), Some(first));
        let before_second = clock::raw_now();
        server.write_all(b"y").await.unwrap();
        client.read_u8().await.unwrap();
        assert_eq!(stamps.first_read(), Some(first));
        assert!(stamps.last_read().unwrap() >= before_second);

        stamps.arm();
        assert_eq!((stamps.sent(), stamps.last_read()), (None, None));
    }

    #[tokio::test]
    async fn the_end_of_the_stream_is_no_arrival() {
        let (mut client, server) = pair().await;
        drop(server);
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(client.stamps().last_read(), None);
    }

    #[test]
    fn a_stream_may_move_between_threads() {
        fn is_send<T: Send>() {}
        is_send::<TimedStream>();
    }
}
