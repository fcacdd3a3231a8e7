//! The WebNTP server on the wire: raw bytes over TCP, and tungstenite's client.

use futures_util::{SinkExt, StreamExt};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use webntpd::engine::time::{Span, Utc};
use webntpd::protocol::decimal::DecimalSeconds;
use webntpd::server::{Limits, Server, ServerClock};
use webntpd::sys::clock::{raw_now, system_now};

/// How long a test waits for what must come before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

async fn running_with(clock: ServerClock, limits: Limits) -> Running {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::bind(&[any], clock)
        .await
        .expect("loopback is here")
        .with_limits(limits);
    let address = server.local_addr();
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Running {
        address,
        stop,
        ended,
    }
}

async fn running(limits: Limits) -> Running {
    running_with(ServerClock::default(), limits).await
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("what must come came in time")
}

struct Client(TcpStream);

impl Client {
    async fn of(server: &Running) -> Self {
        Self(
            within(TcpStream::connect(server.address))
                .await
                .expect("the server listens"),
        )
    }

    async fn send(&mut self, text: &str) -> &mut Self {
        within(self.0.write_all(text.as_bytes()))
            .await
            .expect("the server reads");
        self
    }

    /// Head and body of one response.
    async fn response(&mut self) -> (String, String) {
        within(async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await.expect("a head"));
            }
            let head = String::from_utf8(head).expect("a head is text");
            let length =
                header(&head, "content-length").map_or(0, |n| n.parse().expect("a number"));
            let mut body = vec![0; length];
            self.0
                .read_exact(&mut body)
                .await
                .expect("the promised length");
            (head, String::from_utf8(body).expect("JSON is UTF-8"))
        })
        .await
    }

    async fn get(&mut self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"))
            .await;
        self.response().await.1
    }

    /// Waits for the server to hang up.
    async fn hung_up(mut self) {
        let mut rest = Vec::new();
        match within(self.0.read_to_end(&mut rest)).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The stamp of a reply that must be all that the rest says, to the byte.
fn stamp(body: &str, id: &str, it: &str) -> Utc {
    let rest = body
        .strip_prefix(&format!(r#"{{"id":"{id}","it":{it},"st":"#))
        .unwrap_or_else(|| panic!("not from {id} to {it}: {body}"));
    let (stamp, rest) = rest.split_once(',').expect("more members");
    assert_eq!(
        rest,
        format!(r#""time":{stamp},"leap":36,"next":1483228800,"step":1}}"#)
    );
    let read = DecimalSeconds::parse(stamp.as_bytes()).expect("decimal seconds");
    assert_eq!(read.resolution, Span::from_micros(1));
    read.instant
}

/// What `ask` gives lies between the readings of the system clock before and after it.
async fn assert_truth(offset: Span, ask: impl Future<Output = Utc>) {
    let sent = system_now();
    let stamp = ask.await;
    let received = system_now();
    assert!(
        sent + offset < stamp + Span::from_micros(1),
        "{sent:?} {stamp:?}"
    );
    assert!(stamp <= received + offset, "{stamp:?} {received:?}");
}

#[tokio::test]
async fn get_on_any_path_answers_json_that_tells_the_truth() {
    let server = running(Limits::default()).await;
    let mut client = Client::of(&server).await;
    for (path, it) in [
        ("/", "0"),
        ("/json", "0"),
        ("/?1489217288.328757", "1489217288.328757"),
        ("/any/where?7", "7"),
        ("/.well-known/time?7", "7"),
        ("/?", "0"),
        ("/?t=7", "0"),
        ("/?7&8", "0"),
        ("/?%37", "0"),
        ("/?-7", "0"),
        ("/?1e9", "0"),
    ] {
        assert_truth(Span::ZERO, async {
            stamp(&client.get(path).await, "h", it)
        })
        .await;
    }
}

#[tokio::test]
async fn a_reply_may_be_read_by_any_page_and_kept_by_none() {
    let server = running(Limits::default()).await;
    let mut client = Client::of(&server).await;
    client
        .send("GET / HTTP/1.1\r\nHost: h\r\nOrigin: https://evil.example\r\n\r\n")
        .await;
    let (head, _) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(header(&head, "content-type"), Some("application/json"));
    assert_eq!(header(&head, "cache-control"), Some("no-store"));
    assert_eq!(header(&head, "access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn a_server_that_is_wrong_is_wrong_by_its_offset_everywhere() {
    let offset = Span::from_secs(86_400);
    let server = running_with(ServerClock { offset }, Limits::default()).await;
    let mut client = Client::of(&server).await;
    assert_truth(offset, async { stamp(&client.get("/").await, "h", "0") }).await;
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let (head, _) = client.response().await;
    let ahead = |seconds: i64| (system_now() + Span::from_secs(seconds)).to_parts().0;
    let told = header(&head, "x-httpstime").expect("HEAD is stamped");
    let told: i64 = told
        .split_once('.')
        .expect("a fraction")
        .0
        .parse()
        .expect("seconds");
    assert!((ahead(86_399)..=ahead(86_400)).contains(&told), "{head}");
    let date = jiff::fmt::rfc2822::parse(header(&head, "date").expect("a date")).expect("RFC 9110");
    assert!(
        (ahead(86_398)..=ahead(86_400)).contains(&date.timestamp().as_second()),
        "{head}"
    );
}

#[tokio::test]
async fn head_tells_the_time_in_a_header() {
    let server = running(Limits::default()).await;
    let mut client = Client::of(&server).await;
    for (path, status) in [
        ("/.well-known/time", "204"),
        ("/", "200"),
        ("/json?7", "200"),
    ] {
        assert_truth(Span::ZERO, async {
            client
                .send(&format!("HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n"))
                .await;
            let (head, _) = client.response().await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            let told = header(&head, "x-httpstime").expect("HEAD is stamped");
            DecimalSeconds::parse(told.as_bytes())
                .expect("decimal seconds")
                .instant
        })
        .await;
    }
}

#[tokio::test]
async fn another_method_is_refused_and_told_which_there_are() {
    let server = running(Limits::default()).await;
    for request in [
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        let (head, _) = Client::of(&server)
            .await
            .send(request)
            .await
            .response()
            .await;
        assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
        assert_eq!(header(&head, "allow"), Some("GET, HEAD"));
    }
}

#[tokio::test]
async fn whatever_the_host_says_the_reply_is_json() {
    let server = running(Limits::default()).await;
    for (request, id) in [
        ("GET / HTTP/1.1\r\n\r\n", ""),
        ("GET / HTTP/1.0\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", ""),
        (
            "GET / HTTP/1.1\r\nHost: a\"b\\c\td\r\n\r\n",
            r#"a\"b\\c\u0009d"#,
        ),
        ("GET / HTTP/1.1\r\nHost: é\r\n\r\n", "é"),
        ("GET http://uri:1/ HTTP/1.1\r\nHost: h\r\n\r\n", "uri:1"),
    ] {
        let (head, body) = Client::of(&server)
            .await
            .send(request)
            .await
            .response()
            .await;
        assert!(head.contains(" 200 OK\r\n"), "{head}");
        stamp(&body, id, "0");
    }
    let long = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(9000));
    let (_, body) = Client::of(&server).await.send(&long).await.response().await;
    stamp(&body, &"x".repeat(255), "0");
    // Bytes that HTTP does not allow never reach the reply.
    let evil = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";
    let (head, _) = Client::of(&server).await.send(evil).await.response().await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
}

#[tokio::test]
async fn requests_in_one_segment_are_all_answered_in_their_order() {
    let server = running(Limits::default()).await;
    let mut client = Client::of(&server).await;
    let requests: String = (1..=50)
        .map(|n| format!("GET /?{n} HTTP/1.1\r\nHost: h\r\n\r\n"))
        .collect();
    client.send(&requests).await;
    let mut last = Utc::from_nanos(0);
    for n in 1..=50 {
        let stamp = stamp(&client.response().await.1, "h", &n.to_string());
        assert!(last <= stamp);
        last = stamp;
    }
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let server = running(Limits::default()).await;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
        "x".repeat(16 * 1024)
    );
    let mut client = Client::of(&server).await;
    // The server may hang up while we still write.
    let _ = client.0.write_all(request.as_bytes()).await;
    let (head, _) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 431 "), "{head}");
    client.hung_up().await;
}

#[tokio::test]
async fn a_large_body_is_refused_and_never_taken_for_a_request() {
    let server = running(Limits::default()).await;
    let smuggled = "GET /?7 HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100);
    let request = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{smuggled}",
        smuggled.len()
    );
    let mut client = Client::of(&server).await;
    client.send(&request).await;
    let (head, _) = client.response().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    assert_eq!(header(&head, "connection"), Some("close"));
    let mut rest = Vec::new();
    let _ = within(client.0.read_to_end(&mut rest)).await;
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

/// A limit that tests wait for: short, but no stall of a busy machine.
const BRIEF: Span = Span::from_millis(300);

fn short(span: &str) -> Limits {
    let mut limits = Limits::default();
    match span {
        "first request" => limits.first_request = BRIEF,
        "idle" => limits.idle = BRIEF,
        _ => limits.closing = BRIEF,
    }
    limits
}

#[tokio::test]
async fn who_does_not_finish_the_first_request_is_cut_off() {
    let server = running(short("first request")).await;
    Client::of(&server).await.hung_up().await;
    let mut client = Client::of(&server).await;
    client.send("GET / HTTP/1.1\r\nHost: ").await;
    client.hung_up().await;
    // Not so a connection that made its request in time.
    let mut client = Client::of(&server).await;
    client.get("/").await;
    let later = raw_now() + BRIEF.times(2);
    while raw_now() < later {
        client.get("/").await;
    }
}

#[tokio::test]
async fn who_keeps_a_connection_without_asking_is_cut_off() {
    let server = running(short("idle")).await;
    let mut client = Client::of(&server).await;
    client.get("/").await;
    client.send("GET").await;
    client.hung_up().await;
}

#[tokio::test]
async fn who_asks_but_never_reads_is_cut_off() {
    let server = running(short("idle")).await;
    let mut client = Client::of(&server).await;
    let many = "GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100);
    let refused = within(async {
        loop {
            if let Err(error) = client.0.write_all(many.as_bytes()).await {
                break error;
            }
        }
    });
    use ErrorKind::{BrokenPipe, ConnectionReset};
    let kind = refused.await.kind();
    assert!(matches!(kind, BrokenPipe | ConnectionReset), "{kind}");
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_room_is_used_again() {
    let limits = Limits {
        connections: 3,
        ..Limits::default()
    };
    let server = running(limits).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::of(&server).await;
        client.get("/").await;
        clients.push(client);
    }
    for _ in 0..100 {
        Client::of(&server).await.hung_up().await;
    }
    for client in &mut clients {
        client.get("/").await;
    }
    drop(clients.pop());
    within(async {
        loop {
            let mut client = Client::of(&server).await;
            let asked = client
                .0
                .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                .await;
            if asked.is_ok() && client.0.read_u8().await.is_ok() {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn many_idle_connections_leave_room_for_one_more() {
    let server = running(Limits::default()).await;
    // Not the full thousand: both ends count against what this process may open.
    let mut clients = Vec::new();
    for _ in 0..300 {
        let mut client = Client::of(&server).await;
        client.get("/").await;
        clients.push(client);
    }
    Client::of(&server).await.get("/").await;
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("no test panicked here")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_peer_fills_the_log() {
    let memory = Memory::default();
    let out = memory.clone();
    let log = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || out.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(log);
    let limits = Limits {
        connections: 1,
        ..short("first request")
    };
    let server = running(limits).await;
    for evil in ["\0\0\0\0\r\n\r\n", "BREW / HTTP/1.1\r\n\r\n", "GET", ""] {
        let mut client = Client::of(&server).await;
        client.send(evil).await;
        for _ in 0..20 {
            Client::of(&server).await.hung_up().await;
        }
    }
    let log = memory.0.lock().expect("no test panicked here").clone();
    let log = String::from_utf8(log).expect("text");
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("1 connections are open"), "{log}");
}

#[tokio::test]
async fn stop_closes_every_connection_and_leaves_no_task() {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let server = running(Limits::default()).await;
    let mut asked = Client::of(&server).await;
    asked.get("/").await;
    let mut half = Client::of(&server).await;
    half.send("GET / HT").await;
    let (mut socket, _) = websocket(&server, &[]).await.expect("a WebSocket");
    exchange(&mut socket, "7").await;
    server.stop.send(()).expect("it runs");
    within(server.ended).await.expect("no panic");
    assert_eq!(tasks(), before);
    asked.hung_up().await;
    half.hung_up().await;
    assert!(!matches!(within(socket.next()).await, Some(Ok(_))));
    let refused = TcpStream::connect(server.address)
        .await
        .expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

type Socket = WebSocketStream<TcpStream>;

async fn websocket(
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

async fn exchange(socket: &mut Socket, sent: &str) -> String {
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
    // More than the buffers on the way hold: the reason must arrive all the same.
    let _ = within(socket.send(Message::text("x".repeat(1 << 20)))).await;
    assert_eq!(closed(&mut socket).await, CloseCode::Size);
}

#[tokio::test]
async fn pings_do_not_keep_a_websocket_open_and_texts_do() {
    let server = running(short("idle")).await;
    let (mut socket, _) = websocket(&server, &[]).await.expect("a WebSocket");
    let later = raw_now() + BRIEF.times(2);
    while raw_now() < later {
        exchange(&mut socket, "7").await;
    }
    let code = loop {
        within(socket.send(Message::Ping(Bytes::new())))
            .await
            .expect("open");
        match within(socket.next()).await {
            Some(Ok(Message::Pong(_))) => {}
            Some(Ok(Message::Close(Some(frame)))) => break frame.code,
            other => panic!("not closed: {other:?}"),
        }
    };
    assert_eq!(code, CloseCode::Away);
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
