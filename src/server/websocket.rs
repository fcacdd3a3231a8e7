//! A WebSocket once it is open: for every text frame a reply, until the client falls silent.
//!
//! In: the bytes after the handshake. Out: the same JSON as over HTTP. Pings are answered, but do not
//! keep the connection open.

use super::{Limits, Service};
use crate::engine::time::Raw;
use crate::sys::clock::{raw_now, sleep_until};
use futures_util::{SinkExt, StreamExt};
use std::future::Future;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Longest message of a client, in bytes: a stamp has twenty.
const MAX_MESSAGE: usize = 1024;

/// Serves a client that asked `host`; `early` is what it sent before it had our 101.
pub(super) async fn serve<S>(
    stream: S,
    early: Vec<u8>,
    host: &str,
    service: &Service,
    limits: Limits,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // tungstenite's own buffers have 128 KiB each way, and most connections are idle.
    let config = WebSocketConfig::default()
        .read_buffer_size(MAX_MESSAGE)
        .write_buffer_size(0)
        .max_write_buffer_size(16 * MAX_MESSAGE)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let mut socket =
        WebSocketStream::from_partially_read(stream, early, Role::Server, Some(config)).await;
    let mut deadline = raw_now() + limits.idle;
    let (code, reason) = loop {
        let Some(message) = by(deadline, socket.next()).await else {
            break (CloseCode::Away, "idle");
        };
        match message {
            Some(Ok(Message::Text(sent))) => {
                let json = service.json(host, sent.as_bytes());
                let reply = Message::text(json.stamped(service.clock.now()));
                match by(deadline, socket.send(reply)).await {
                    Some(sent) => sent?,
                    // It asks, but does not read the answers: nor would it read a farewell.
                    None => return Ok(()),
                }
                deadline = raw_now() + limits.idle;
            }
            Some(Ok(Message::Binary(_))) => break (CloseCode::Unsupported, "text frames only"),
            // Answered by tungstenite, or of no meaning.
            Some(Ok(
                Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_),
            )) => {}
            Some(Err(Error::Capacity(_))) => break (CloseCode::Size, "1 KiB at most"),
            Some(Err(Error::Utf8(_))) => break (CloseCode::Invalid, "not UTF-8"),
            Some(Err(Error::Protocol(_))) => break (CloseCode::Protocol, "not a WebSocket"),
            Some(Err(Error::ConnectionClosed)) | None => return Ok(()),
            Some(Err(error)) => return Err(error),
        }
    };
    by(raw_now() + limits.closing, close(socket, code, reason))
        .await
        .unwrap_or(Ok(()))
}

/// Says why, and waits for the client to hang up: were the rest of its bytes left unread, the system
/// would reset the connection, and the client might never see the reason.
async fn close<S>(
    mut socket: WebSocketStream<S>,
    code: CloseCode,
    reason: &'static str,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    socket.close(Some(frame)).await?;
    let stream = socket.get_mut();
    stream.shutdown().await?;
    tokio::io::copy(stream, &mut tokio::io::sink()).await?;
    Ok(())
}

/// What `work` gives, if it is done by `deadline`.
async fn by<T>(deadline: Raw, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = sleep_until(deadline) => None,
    }
}
