//! HTTP/1.1 as the fake speaks it: parsing requests, putting replies together.
//!
//! In: bytes of a request; a body, a fault. Out: requests; messages ready for the wire. Not: when they are sent.

use std::time::Duration;

use super::fault::Fault;
use super::json::Body;
use super::path::{Delay, Message};

/// The longest head of a request.
pub(crate) const LONGEST_HEAD: usize = 16_384;

const PORTAL: &str = "<!DOCTYPE html><html><head><title>Welcome</title></head>\
    <body>Please accept our terms. It is 1790557227.050000 o'clock.</body></html>\n";

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Content-Length`.
    ContentLength,
    /// Chunks of at most so many bytes.
    Chunked(usize),
    /// It ends with the connection.
    UntilClose,
}

/// A response before the response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interim {
    /// 100 or 103.
    pub(crate) status: u16,
    /// How long after it the rest comes; the stamp is taken after that.
    pub(crate) gap: Delay,
}

/// When a server has enough of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeepAlive {
    /// Requests answered on one connection.
    pub(crate) requests: usize,
    /// The last reply says `Connection: close`; else the end comes unannounced.
    pub(crate) announced: bool,
}

/// The manners of one server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HttpShape {
    /// The status of a good reply.
    pub(crate) status: u16,
    /// How the end of a body is found.
    pub(crate) framing: Framing,
    /// 1xx responses before the reply.
    pub(crate) interim: Vec<Interim>,
    /// The headers leave first, then after this the stamp is taken and the body made. The body is chunked then, whatever
    /// `framing` says, unless it ends with the connection.
    pub(crate) head_first: Option<Delay>,
    /// More headers, as name and value.
    pub(crate) headers: Vec<(String, String)>,
    /// Header names in a mixture of cases.
    pub(crate) mixed_case: bool,
    /// When it closes a connection; None: never by itself.
    pub(crate) keep_alive: Option<KeepAlive>,
    /// It closes a connection that is idle for so long.
    pub(crate) idle: Option<Duration>,
}

impl HttpShape {
    /// Content-Length, connections kept for ever.
    pub(crate) fn plain() -> Self {
        Self {
            status: 200,
            framing: Framing::ContentLength,
            interim: Vec::new(),
            head_first: None,
            headers: Vec::new(),
            mixed_case: false,
            keep_alive: None,
            idle: None,
        }
    }

    /// The framing that is used in the end.
    pub(crate) fn framing(&self) -> Framing {
        match (self.head_first, self.framing) {
            (Some(_), Framing::ContentLength) => Framing::Chunked(usize::MAX),
            (_, framing) => framing,
        }
    }
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The method.
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    /// What comes after the question mark, or nothing.
    pub(crate) query: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// Takes a request off the front of what was read: None while it is incomplete, an error if it is none.
    pub(crate) fn take(unread: &mut Vec<u8>) -> Result<Option<Self>, NotHttp> {
        let Some(end) = unread.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if unread.len() > LONGEST_HEAD {
                Err(NotHttp)
            } else {
                Ok(None)
            };
        };
        let head: Vec<u8> = unread.drain(..end + 4).collect();
        let head = String::from_utf8(head).map_err(|_| NotHttp)?;
        let mut lines = head.trim_end().split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1")) =
            (first.next(), first.next(), first.next())
        else {
            return Err(NotHttp);
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Ok(Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
        }))
    }

    /// The value of a header, its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    /// Whether the client wants no further reply on this connection.
    pub(crate) fn wants_close(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// What came is no HTTP/1.1 request, or its head is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotHttp;

/// A reply before it is put into bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// Headers but those of the framing.
    pub(crate) headers: Vec<(String, String)>,
    /// The body; None where none is allowed.
    pub(crate) body: Option<Body>,
    /// Blanks that the length promises after the body, and that are sent apart.
    pub(crate) padding: usize,
}

impl Reply {
    /// One with a body of this media type.
    pub(crate) fn with_body(status: u16, media: &str, body: Body) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), media.to_owned())],
            body: Some(body),
            padding: 0,
        }
    }

    /// One without a body.
    pub(crate) fn bare(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: None,
            padding: 0,
        }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same reply with a fault; what stamp, echo and tail of the body have of it is in there already.
    pub(crate) fn spoilt_by(mut self, fault: &Fault) -> Self {
        match fault {
            Fault::Status(status) => self.status = *status,
            Fault::Redirect(to) => {
                self.status = 302;
                return self.header("Location", to);
            }
            Fault::RetryAfter(seconds) => {
                self.status = 503;
                return self.header("Retry-After", &seconds.to_string());
            }
            Fault::Age => return self.header("Age", "7"),
            Fault::XCacheHit => return self.header("X-Cache", "HIT from fake"),
            Fault::ContentEncodingGzip => return self.header("Content-Encoding", "gzip"),
            Fault::Html => {
                let page = Body {
                    text: PORTAL.to_owned(),
                    stamp: None,
                };
                let bodiless = self.body.is_none();
                self = Self::with_body(200, "text/html; charset=utf-8", page);
                self.body.take_if(|_| bodiless);
            }
            Fault::HugeBody(bytes) => {
                let made = self.body.as_ref().map_or(0, |body| body.text.len());
                self.padding = bytes.saturating_sub(made);
            }
            Fault::HugeHeaders => {
                let filler = "x".repeat(1015);
                for nth in 0..32 {
                    self = self.header(&format!("X-{nth:02}"), &filler);
                }
            }
            _ => {}
        }
        self
    }

    /// The bytes.
    pub(crate) fn message(&self, shape: &HttpShape, close: bool) -> Message {
        let mut headers = self.headers.clone();
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        let framing = match shape.framing() {
            _ if self.padding > 0 => Framing::ContentLength,
            framing => framing,
        };
        if let Some(body) = &self.body {
            match framing {
                Framing::ContentLength => {
                    add(
                        "Content-Length",
                        (body.text.len() + self.padding).to_string(),
                    );
                }
                Framing::Chunked(_) => add("Transfer-Encoding", "chunked".to_owned()),
                Framing::UntilClose => {}
            }
        }
        if close {
            add("Connection", "close".to_owned());
        }
        headers.extend(shape.headers.iter().cloned());

        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &headers {
            let name = if shape.mixed_case {
                mix_case(name)
            } else {
                name.clone()
            };
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut message = Message {
            head: head.len(),
            bytes: head.into_bytes(),
            stamp: None,
        };
        if let Some(body) = &self.body {
            let chunk = match framing {
                Framing::Chunked(size) => Some(size),
                Framing::ContentLength | Framing::UntilClose => None,
            };
            append(&mut message, body, chunk);
        }
        message
    }
}

/// Appends the body, in chunks or as it is, and finds its stamp's new place.
fn append(message: &mut Message, body: &Body, chunk: Option<usize>) {
    let size = chunk.unwrap_or(usize::MAX).max(1);
    // Where each byte of the body went.
    let mut places = Vec::with_capacity(body.text.len());
    for piece in body.text.as_bytes().chunks(size) {
        if chunk.is_some() {
            let length = format!("{:x}\r\n", piece.len());
            message.bytes.extend_from_slice(length.as_bytes());
        }
        places.extend((0..piece.len()).map(|nth| message.bytes.len() + nth));
        message.bytes.extend_from_slice(piece);
        if chunk.is_some() {
            message.bytes.extend_from_slice(b"\r\n");
        }
    }
    if chunk.is_some() {
        message.bytes.extend_from_slice(b"0\r\n\r\n");
    }
    message.stamp = body
        .stamp
        .as_ref()
        .map(|stamp| places[stamp.start]..places[stamp.end - 1] + 1);
}

/// Status line of a response before the response.
pub(crate) fn interim(status: u16) -> String {
    let hint = if status == 103 {
        "Link: </style.css>; rel=preload\r\n"
    } else {
        ""
    };
    format!("HTTP/1.1 {status} {}\r\n{hint}\r\n", reason(status))
}

fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        204 => "No Content",
        302 => "Found",
        405 => "Method Not Allowed",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

fn mix_case(name: &str) -> String {
    name.char_indices()
        .map(|(nth, letter)| {
            if nth % 2 == 0 {
                letter.to_ascii_lowercase()
            } else {
                letter.to_ascii_uppercase()
            }
        })
        .collect()
}
