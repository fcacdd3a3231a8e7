//! The WebSocket handshake (RFC 6455 §4), from the client's side.
//!
//! In: a fresh connection. Out: its stream, ready for frames, and the bytes that came behind the head.
//! tungstenite's own handshake is not used: it refuses servers that do not name the subprotocol in their
//! reply, as RFC 6455 lets them, or say `Connection: keep-alive, Upgrade`; and here a refusal is told
//! like that of any other HTTP reply.

use crate::net::connect::{Connected, Socket};
use crate::net::error::Error;
use crate::net::link::Link;
use crate::net::request::{begin, check};
use crate::net::target::Target;
use crate::protocol::refusal::Refusal;
use crate::protocol::webntp::SUBPROTOCOL;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, StatusCode};
use std::io;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Asks for a WebSocket, and checks that the server means one.
pub(super) async fn upgrade(
    connected: Connected,
    target: &Target,
) -> Result<(Box<dyn Socket>, Bytes), Error> {
    let mut link = Link::new(connected.socket).await?;
    let key = generate_key();
    let request = begin(target, Method::GET, &target.path)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key)
        .header(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        .body(Empty::new())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
        .map_err(Error::Io)?;
    link.ready().await?;
    let response = link.send(request).await?;
    let status = response.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        let code = status.as_u16();
        check(code, response.headers())?;
        return Err(Refusal::NotWebSocket { code }.into());
    }
    check_handshake(response.headers(), &key)?;
    Ok(link.into_upgraded().await)
}

fn check_handshake(headers: &HeaderMap, key: &str) -> Result<(), Refusal> {
    let wrong = |header| Err(Refusal::BadHandshake { header });
    if !lists(headers, &UPGRADE, "websocket") {
        return wrong("Upgrade");
    }
    if !lists(headers, &CONNECTION, "upgrade") {
        return wrong("Connection");
    }
    let accept = headers.get(SEC_WEBSOCKET_ACCEPT);
    if accept.is_none_or(|accept| accept != derive_accept_key(key.as_bytes()).as_str()) {
        return wrong("Sec-WebSocket-Accept");
    }
    let protocol = headers.get(SEC_WEBSOCKET_PROTOCOL);
    if protocol.is_some_and(|protocol| protocol != SUBPROTOCOL) {
        return wrong("Sec-WebSocket-Protocol");
    }
    if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return wrong("Sec-WebSocket-Extensions");
    }
    Ok(())
}

/// Whether a header that is a list holds `token`, in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_handshake_that_was_asked_for_is_accepted() {
        // The example of RFC 6455 §1.3.
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let good = [
            (UPGRADE, "WebSocket"),
            (CONNECTION, "keep-alive, Upgrade"),
            (SEC_WEBSOCKET_ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ];
        let with = |extra: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in good.iter().chain(extra) {
                headers.insert(name, value.parse().unwrap());
            }
            check_handshake(&headers, key)
        };
        assert_eq!(with(&[]), Ok(()));
        assert_eq!(with(&[(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)]), Ok(()));
        for (name, value, header) in [
            (UPGRADE, "h2c", "Upgrade"),
            (CONNECTION, "close", "Connection"),
            (SEC_WEBSOCKET_ACCEPT, "x", "Sec-WebSocket-Accept"),
            (SEC_WEBSOCKET_PROTOCOL, "chat", "Sec-WebSocket-Protocol"),
            (
                SEC_WEBSOCKET_EXTENSIONS,
                "permessage-deflate",
                "Sec-WebSocket-Extensions",
            ),
        ] {
            let refused = Err(Refusal::BadHandshake { header });
            assert_eq!(with(&[(name, value)]), refused);
        }
    }
}
