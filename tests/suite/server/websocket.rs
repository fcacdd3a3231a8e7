//! WebSocket: tungstenite's client, and frames by hand.

use super::{BRIEF, Client, Running, assert_truth, running, short, stamp, within};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use webntpd::engine::time::Span;
use webntpd::server::Limits;
use webntpd::sys::clock::raw_now;

pub(super) type Socket = WebSocketStream<TcpStream>;

pub(super) async fn websocket(
    server: &Running,
    headers: &[(&'static str, &str)],
) -> Result<(Socket, Option<String>), Error> {
    let mut request = format!("ws://{}/any/path", server.address).into_client_request()?;
    for (name, value) in headers {
        request
            .headers_mut()
            .append(*name, value.parse().expect("a header"));
    }
    let stream = Client::of(server).await.0;
    let (socket, response) = within(client_async(request, stream)).await?;
    let protocol = response.headers().get("sec-websocket-protocol");
    Ok((
        socket,
        protocol.map(|p| p.to_str().expect("text").to_owned()),
    ))
}

pub(super) async fn exchange(socket: &mut Socket, sent: &str) -> String {
    within(socket.send(Message::text(sent)))
        .await
        .expect("the server reads");
    match within(socket.next()).await {
        Some(Ok(Message::Text(reply))) => reply.to_string(),
        other => panic!("not a reply: {other:?}"),
    }
}

/// The code that the server closes with.
async fn closed(socket: &mut Socket) -> CloseCode {
    loop {
        match within(socket.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code,
            Some(Ok(Message::Pong(_))) => {}
            other => panic!("not closed: {other:?}"),
        }
    }
}

const SUBPROTOCOL: (&str, &str) = ("sec-websocket-protocol", "webntp.shogo82148.com");

#[tokio::test]
async fn every_text_frame_gets_a_reply_that_tells_the_truth() {
    let server = running(Limits::default()).await;
    let id = server.address.to_string();
    let (mut socket, protocol) = websocket(&server, &[SUBPROTOCOL])
        .await
        .expect("a WebSocket");
    assert_eq!(protocol.as_deref(), Some(SUBPROTOCOL.1));
    for (sent, it) in [
        ("1489217288.328757", "1489217288.328757"),
        ("", "0"),
        ("x", "0"),
        ("7", "7"),
    ] {
        assert_truth(Span::ZERO, async {
            stamp(&exchange(&mut socket, sent).await, &id, it)
        })
        .await;
    }
    within(socket.send(Message::Ping(Bytes::from_static(b"x"))))
        .await
        .expect("a ping");
    let pong = within(socket.next()).await.expect("open").expect("a frame");
    assert_eq!(pong, Message::Pong(Bytes::from_static(b"x")));
    within(socket.close(None)).await.expect("a farewell");
    assert!(matches!(
        within(socket.next()).await,
        Some(Ok(Message::Close(_)))
    ));
    assert!(within(socket.next()).await.is_none());
}

#[tokio::test]
async fn a_frame_sent_along_with_the_handshake_is_answered() {
    let server = running(Limits::default()).await;
    let mut client = Client::of(&server).await;
    // FIN, text; masked with zeros; "7".
    let mut bytes = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    bytes.extend([0x81, 0x81, 0, 0, 0, 0, b'7']);
    within(client.0.write_all(&bytes))
        .await
        .expect("the server reads");
    let (head, _) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(within(client.0.read_u8()).await.expect("a frame"), 0x81);
    let length = within(client.0.read_u8()).await.expect("its length");
    let mut reply = vec![0; length.into()];
    within(client.0.read_exact(&mut reply))
        .await
        .expect("a whole frame");
    stamp(&String::from_utf8(reply).expect("text"), "h", "7");
}

#[tokio::test]
async fn a_foreign_origin_gets_no_websocket() {
    let server = running(Limits::default()).await;
    let own = format!("http://{}", server.address);
    websocket(&server, &[("origin", &own)])
        .await
        .expect("our own page");
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
        match websocket(&server, &[("origin", origin)]).await {
            Err(Error::Http(response)) => assert_eq!(response.status(), 403),
            other => panic!("{origin}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_binary_frame_closes_with_1003() {
    let server = running(Limits::default()).await;
    let (mut socket, _) = websocket(&server, &[]).await.expect("a WebSocket");
    within(socket.send(Message::binary("7")))
        .await
        .expect("the server reads");
    assert_eq!(closed(&mut socket).await, CloseCode::Unsupported);
}

#[tokio::test]
async fn a_frame_over_one_kibibyte_closes_with_1009() {
    let server = running(Limits::default()).await;
    let (mut socket, _) = websocket(&server, &[]).await.expect("a WebSocket");
    let id = server.address.to_string();
    stamp(&exchange(&mut socket, &"x".repeat(1024)).await, &id, "0");
    within(socket.send(Message::text("x".repeat(1025))))
        .await
        .expect("the server reads");
    assert_eq!(closed(&mut socket).await, CloseCode::Size);
    let (mut socket, _) = websocket(&server, &[]).await.expect("a WebSocket");
    // Bytes that the server leaves unread would reset the connection under the reason.
    within(socket.send(Message::text("x".repeat(1 << 20))))
        .await
        .expect("the server reads");
    assert_eq!(closed(&mut socket).await, CloseCode::Size);
    let end = within(socket.next()).await;
    assert!(end.is_none(), "{end:?}");
}

#[tokio::test]
async fn pings_do_not_keep_a_websocket_open_and_texts_do() {
    let server = running(short("idle")).await;
    let (mut socket, _) = websocket(&server, &[]).await.expect("a WebSocket");
    let later = raw_now() + BRIEF.times(2);
    while raw_now() < later {
        exchange(&mut socket, "7").await;
    }
    let pinged = within(async {
        loop {
            let ping = Message::Ping(Bytes::new());
            socket.send(ping).await.expect("open");
            match socket.next().await {
                Some(Ok(Message::Pong(_))) => {}
                Some(Ok(Message::Close(Some(frame)))) => break frame.code,
                other => panic!("not closed: {other:?}"),
            }
        }
    });
    assert_eq!(pinged.await, CloseCode::Away);
}

#[tokio::test]
async fn a_websocket_that_does_not_hang_up_when_told_to_is_cut_off() {
    let server = running(short("closing")).await;
    let (mut socket, _) = websocket(&server, &[]).await.expect("a WebSocket");
    within(socket.send(Message::binary("7")))
        .await
        .expect("the server reads");
    let stream = socket.get_mut();
    let refused = within(async {
        loop {
            if stream.write_all(&[0; 1024]).await.is_err() {
                break;
            }
        }
    });
    refused.await;
}
