//! The WebNTP server on the wire: raw bytes over TCP, and tungstenite's client.

mod http;
mod limits;
mod websocket;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use webntpd::engine::time::{Span, Utc};
use webntpd::protocol::decimal::DecimalSeconds;
use webntpd::server::{Limits, Server, ServerClock};
use webntpd::sys::clock::system_now;

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

    /// Waits for the server to hang up on a request without having answered it.
    async fn refused(mut self) {
        // The server may have hung up already.
        let _ = self.0.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        let answer = within(self.0.read_u8()).await;
        assert!(answer.is_err(), "one too many was answered");
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
