//! A server that does exactly what a test says, byte by byte.

use crate::engine::time::{Raw, Span};
use crate::net::connect::Socket;
use crate::net::deadline::Deadlines;
use crate::net::stream::Stamps;
use crate::net::{Connection, Error, Target, Tls};
use crate::protocol::request::{Method, Request, Resource};
use crate::sys::clock;
use std::sync::{Arc, LazyLock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::yield_now;
use url::Url;

pub(super) const IT: &str = "1893456000.328757";
pub(super) const BODY: &str = r#"{"it":1893456000.328757,"st":1893456001.995564}"#;

/// The request that [`BODY`] answers.
pub(super) fn get() -> &'static Request {
    static GET: LazyLock<Request> = LazyLock::new(|| Request {
        method: Method::Get,
        resource: Resource::UrlWith(IT.into()),
        headers: &[],
    });
    &GET
}

/// The server's end of a connection.
pub(super) struct Peer<S = Box<dyn Socket>>(pub(super) S);

impl<S: Socket> Peer<S> {
    /// The next request up to its empty line; nothing when the client has closed.
    pub(super) async fn request(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.ok()?);
        }
        Some(String::from_utf8(head).unwrap())
    }

    pub(super) async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Reads until the client closes.
    pub(super) async fn until_closed(&mut self) {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest).await;
    }
}

/// A listener on a free port, and a URL of it.
pub(super) async fn listen(scheme: &str) -> (TcpListener, Url) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("{scheme}://localhost:{port}/json");
    (listener, Url::parse(&url).unwrap())
}

pub(super) async fn accept(listener: &TcpListener) -> Peer {
    Peer(Box::new(listener.accept().await.unwrap().0))
}

/// Runs `script` for each connection, one after the other, for as long as the test runs.
pub(super) async fn serve<F>(
    scheme: &str,
    script: impl Fn(Peer) -> F + Send + Sync + 'static,
) -> Target
where
    F: Future<Output = ()> + Send,
{
    let (listener, url) = listen(scheme).await;
    tokio::spawn(async move {
        loop {
            script(accept(&listener).await).await;
        }
    });
    Target::new(url).unwrap()
}

/// Answers each request with the same text.
pub(super) async fn serve_always(text: String) -> Target {
    serve("http", move |mut peer| {
        let text = text.clone();
        async move {
            while peer.request().await.is_some() {
                peer.send(&text).await;
            }
        }
    })
    .await
}

/// Opens a connection without TLS.
pub(super) async fn open(target: &Target) -> Result<Connection, Error> {
    Connection::open(target, &Tls::new(vec![]), &Deadlines::default()).await
}

/// One exchange on a fresh connection, and whether it was kept.
pub(super) async fn ask_once(target: &Target) -> (Result<super::Answer, Error>, bool) {
    ask_once_for(get(), target).await
}

/// The same for another request.
pub(super) async fn ask_once_for(
    request: &Request,
    target: &Target,
) -> (Result<super::Answer, Error>, bool) {
    let mut connection = open(target).await.unwrap();
    let result = connection.exchange(request, &Deadlines::default()).await;
    (result, connection.is_open())
}

/// Waits until the client has read something of this exchange, and gives the time after that.
pub(super) async fn after_first_read(stamps: &Arc<Stamps>) -> Raw {
    while stamps.first_read().is_none() {
        yield_now().await;
    }
    clock::raw_now()
}

pub(super) fn ok(body: &str) -> String {
    reply("200 OK", "", body)
}

/// An HTTP reply; `headers` end their lines themselves.
pub(super) fn reply(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

pub(super) fn short() -> Deadlines {
    Deadlines {
        tls: Span::from_millis(50),
        upgrade: Span::from_millis(50),
        first_byte: Span::from_millis(50),
        rest: Span::from_millis(50),
        ..Deadlines::default()
    }
}
