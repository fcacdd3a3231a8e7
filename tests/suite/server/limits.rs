//! What a server does not put up with, and what it leaves behind.

use super::websocket::{exchange, websocket};
use super::{BRIEF, Client, header, running, short, within};
use futures_util::StreamExt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use webntpd::server::Limits;
use webntpd::sys::clock::raw_now;

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
        Client::of(&server).await.refused().await;
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
        let _ = client.0.shutdown().await;
        client.hung_up().await;
    }
    let _open = Client::of(&server).await;
    for _ in 0..50 {
        Client::of(&server).await.hung_up().await;
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
