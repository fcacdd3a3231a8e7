//! A blocking client that is right: it takes its stamps below TLS, before the write and after the last read.
//!
//! In: a fake. Out: exchanges, with the first read's stamp too for the tests that are wrong on purpose. Not: any refusal
//! of what a fault does; the tests look at it.

use std::cell::Cell;
use std::fmt::Debug;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::client::ClientRequestBuilder;
use tungstenite::handshake::client::Response as Upgraded;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use crate::fake::{Clock, FakeUpstream, SECOND_NS, raw_now};

/// No test waits longer for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A stream of either kind.
pub(super) trait Stream: Read + Write + Debug {}
impl<T: Read + Write + Debug> Stream for T {}

/// When the socket was read since the request was sent.
#[derive(Debug, Default)]
pub(super) struct Reads {
    sent: Cell<i64>,
    first: Cell<Option<i64>>,
    last: Cell<i64>,
    count: Cell<usize>,
}

/// A socket that notes when it was read; TLS comes above it.
#[derive(Debug)]
struct Timed(TcpStream, Rc<Reads>);

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        let now = raw_now();
        self.1.first.set(self.1.first.get().or(Some(now)));
        self.1.last.set(now);
        self.1.count.set(self.1.count.get() + 1);
        Ok(count)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Reads {
    /// Call before the request is written.
    fn begin(&self) {
        self.first.set(None);
        self.count.set(0);
        self.sent.set(raw_now());
    }

    fn exchange(&self, head: String, body: String) -> Exchange {
        Exchange {
            sent: self.sent.get(),
            first_read: self.first.get().unwrap_or(self.last.get()),
            received: self.last.get(),
            reads: self.count.get(),
            head,
            body,
        }
    }
}

/// What one exchange brought.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    /// Not later than the request left, raw.
    pub(super) sent: i64,
    /// After the first read that brought anything.
    pub(super) first_read: i64,
    /// After the read that completed the reply.
    pub(super) received: i64,
    /// How many reads it took.
    pub(super) reads: usize,
    /// Of the final response; empty over WebSocket.
    pub(super) head: String,
    /// Its body, or the text of the message.
    pub(super) body: String,
}

impl Exchange {
    /// The token that stands for a member of the JSON: the last of that name, since decoys come first.
    pub(super) fn member(&self, name: &str) -> &str {
        let (_, rest) = self
            .body
            .rsplit_once(&format!("\"{name}\""))
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.body));
        let value = rest.trim_start().trim_start_matches(':').trim_start();
        let end = value.find([',', '}', '\r']).unwrap_or(value.len());
        value[..end].trim()
    }

    /// A header of the final response, its name in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).first().copied()
    }

    /// All values of a header of the final response, its name in lower case.
    pub(super) fn headers(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
            .collect()
    }

    /// The status of the final response.
    pub(super) fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).expect("a status line");
        status.parse().expect("a status")
    }
}

/// Decimal seconds as nanoseconds, and the value of the last digit.
pub(super) fn nanoseconds(stamp: &str) -> (i64, i64) {
    let (whole, fraction) = stamp.split_once('.').unwrap_or((stamp, ""));
    let unit = 10_i64.pow(9 - u32::try_from(fraction.len()).expect("few digits"));
    let fraction: i64 = format!("0{fraction}").parse().expect("digits");
    let whole: i64 = whole.parse().expect("digits");
    (whole * SECOND_NS + fraction * unit, unit)
}

/// Connects; completes the TLS handshake if the fake has TLS.
pub(super) fn connect<C: Clock>(fake: &FakeUpstream<C>) -> (Box<dyn Stream>, Rc<Reads>) {
    try_connect(fake).expect("the handshake succeeds")
}

/// Connects; tries to complete the TLS handshake if the fake has TLS.
pub(super) fn try_connect<C: Clock>(
    fake: &FakeUpstream<C>,
) -> io::Result<(Box<dyn Stream>, Rc<Reads>)> {
    let socket = TcpStream::connect(fake.addr()).expect("it listens");
    socket.set_nodelay(true).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let reads = Rc::new(Reads::default());
    let timed = Timed(socket, Rc::clone(&reads));
    let Some(authority) = fake.authority() else {
        return Ok((Box::new(timed), reads));
    };
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(authority.ca_pem().as_bytes()).expect("PEM");
    roots.add(ca).expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has suites for them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a valid configuration");
    let mut stream = StreamOwned::new(connection, timed);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok((Box::new(stream), reads))
}

/// HTTP/1.1 on one connection.
#[derive(Debug)]
pub(super) struct HttpClient {
    stream: Box<dyn Stream>,
    reads: Rc<Reads>,
    /// Read, and not part of a reply yet.
    pub(super) unread: Vec<u8>,
}

impl HttpClient {
    /// Connects.
    pub(super) fn connect<C: Clock>(fake: &FakeUpstream<C>) -> Self {
        let (stream, reads) = connect(fake);
        Self {
            stream,
            reads,
            unread: Vec::new(),
        }
    }

    /// Asks for the time.
    pub(super) fn exchange(&mut self, it: &str) -> io::Result<Exchange> {
        self.request("GET", &format!("/json?{it}"))
    }

    /// Asks for anything.
    pub(super) fn request(&mut self, method: &str, target: &str) -> io::Result<Exchange> {
        self.send(method, target)?;
        loop {
            if let Some((head, body)) = self.response(method == "HEAD", false) {
                return Ok(self.reads.exchange(head, body));
            }
            if self.fill()? == 0 {
                let (head, body) = self
                    .response(method == "HEAD", true)
                    .ok_or(ErrorKind::UnexpectedEof)?;
                return Ok(self.reads.exchange(head, body));
            }
        }
    }

    /// Writes a request only.
    pub(super) fn send(&mut self, method: &str, target: &str) -> io::Result<()> {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: fake.test\r\n\r\n");
        self.reads.begin();
        self.stream.write_all(request.as_bytes())
    }

    /// Reads whatever comes, once; 0 at the end.
    pub(super) fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    fn response(&mut self, headless: bool, ended: bool) -> Option<(String, String)> {
        let text = String::from_utf8(self.unread.clone()).expect("ASCII");
        let mut rest = text.as_str();
        let head = loop {
            let (head, after) = rest.split_once("\r\n\r\n")?;
            rest = after;
            if !head.starts_with("HTTP/1.1 1") {
                break head;
            }
        };
        let lower = head.to_ascii_lowercase();
        let length = lower
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "));
        let mut body = String::new();
        if headless || head.starts_with("HTTP/1.1 204") {
        } else if let Some(length) = length {
            let length = length.parse().expect("a length");
            body.push_str(rest.get(..length)?);
            rest = &rest[length..];
        } else if lower.contains("transfer-encoding: chunked") {
            loop {
                let (size, after) = rest.split_once("\r\n")?;
                let size = usize::from_str_radix(size, 16).expect("a chunk's length");
                body.push_str(after.get(..size)?);
                rest = after.get(size + 2..)?;
                if size == 0 {
                    break;
                }
            }
        } else if ended {
            body.push_str(rest);
            rest = "";
        } else {
            return None;
        }
        self.unread = rest.as_bytes().to_vec();
        Some((head.to_owned(), body))
    }
}

/// WebSocket on one connection.
#[derive(Debug)]
pub(super) struct WebSocketClient {
    pub(super) socket: WebSocket<Box<dyn Stream>>,
    reads: Rc<Reads>,
}

/// What went wrong, as tungstenite says it.
pub(super) type WebSocketError = Box<tungstenite::Error>;

impl WebSocketClient {
    /// Connects and upgrades.
    pub(super) fn connect<C: Clock>(fake: &FakeUpstream<C>) -> Self {
        Self::upgrade(fake, WebSocketConfig::default())
            .expect("the upgrade succeeds")
            .0
    }

    /// Connects and tries to upgrade.
    pub(super) fn upgrade<C: Clock>(
        fake: &FakeUpstream<C>,
        config: WebSocketConfig,
    ) -> Result<(Self, Upgraded), WebSocketError> {
        let (stream, reads) = connect(fake);
        let scheme = if fake.authority().is_some() {
            "wss"
        } else {
            "ws"
        };
        let uri = fake.url(scheme, "/websocket").parse().expect("a URI");
        let request = ClientRequestBuilder::new(uri).with_sub_protocol("webntp.shogo82148.com");
        reads.begin();
        match tungstenite::client::client_with_config(request, stream, Some(config)) {
            Ok((socket, upgraded)) => Ok((Self { socket, reads }, upgraded)),
            Err(tungstenite::HandshakeError::Failure(error)) => Err(Box::new(error)),
            Err(error) => panic!("a blocking stream is never interrupted: {error}"),
        }
    }

    /// Asks for the time.
    pub(super) fn exchange(&mut self, it: &str) -> Result<Exchange, WebSocketError> {
        self.reads.begin();
        self.socket.send(Message::text(it))?;
        loop {
            if let Message::Text(text) = self.socket.read()? {
                return Ok(self.reads.exchange(String::new(), text.as_str().to_owned()));
            }
        }
    }

    /// Reads whatever message comes.
    pub(super) fn read(&mut self) -> Result<Message, WebSocketError> {
        Ok(self.socket.read()?)
    }
}
