//! One connection from its first byte to its last, in one task: HTTP, then perhaps a WebSocket.
//!
//! One rule bounds every way to dawdle (a head in drops, an idle connection, replies that nobody
//! reads): the next request must be here in time, counted from the one before.

use super::answer::{answer, host};
use super::{Limits, Service, websocket};
use crate::engine::time::Raw;
use crate::sys::clock::{raw_now, sleep_until};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::ready;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite;

/// Longest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Why a connection ended other than by the client's wish.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The client sent no request in time, or does not read the replies.
    #[error("no request in time")]
    Idle,
    /// Not HTTP, or the connection broke.
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// Not the WebSocket protocol, or the connection broke.
    #[error("WebSocket: {0}")]
    WebSocket(#[from] tungstenite::Error),
}

/// Serves `stream` to its end.
pub(super) async fn serve(stream: TcpStream, service: Service, limits: Limits) -> Result<(), End> {
    let Some((upgrade, host)) = serve_http(stream, &service, limits).await? else {
        return Ok(());
    };
    match upgrade.await?.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => {
            let (stream, early) = (parts.io.into_inner(), parts.read_buf.into());
            websocket::serve(stream, early, &host, &service, limits).await?;
            Ok(())
        }
        Err(_) => unreachable!("the upgraded stream is the one that went in"),
    }
}

/// Serves HTTP; if the connection became a WebSocket, gives what is to come and the host asked for.
async fn serve_http(
    stream: TcpStream,
    answers: &Service,
    limits: Limits,
) -> Result<Option<(OnUpgrade, String)>, End> {
    let deadline = Deadline::at(raw_now() + limits.first_request);
    let upgrade = Mutex::new(None);
    let service = service_fn(|mut request: Request<Incoming>| {
        deadline.set(raw_now() + limits.idle);
        let host = host(&request);
        let response = answer(&request, &host, answers);
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let coming = (hyper::upgrade::on(&mut request), host);
            *upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(coming);
        }
        ready(Ok::<_, Infallible>(response))
    });
    let http = http1::Builder::new()
        .auto_date_header(false)
        .header_read_timeout(None)
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        biased;
        served = http => served?,
        () = deadline.passed() => return Err(End::Idle),
    }
    Ok(upgrade.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// A deadline that can be moved while somebody waits for it.
struct Deadline(AtomicI64);

impl Deadline {
    fn at(at: Raw) -> Self {
        Self(AtomicI64::new(at.as_nanos()))
    }

    fn set(&self, at: Raw) {
        self.0.store(at.as_nanos(), Ordering::Relaxed);
    }

    async fn passed(&self) {
        loop {
            let at = self.0.load(Ordering::Relaxed);
            sleep_until(Raw::from_nanos(at)).await;
            if at == self.0.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Span;

    #[tokio::test]
    async fn a_deadline_that_was_moved_is_waited_for() {
        let start = raw_now();
        let deadline = Deadline::at(start + Span::from_millis(2));
        let later = start + Span::from_millis(20);
        tokio::join!(deadline.passed(), async { deadline.set(later) });
        assert!(raw_now() >= later);
    }
}
