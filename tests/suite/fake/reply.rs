//! Replies of HTTP/1.1: putting them together, spoiling them, turning them into bytes.
//!
//! In: a status, headers, a body, a fault. Out: messages ready for the wire, with the place of the stamp. Not: what is
//! answered to what, nor when it is sent.

use super::fault::Fault;
use super::http::{Framing, HttpShape, reason};
use super::json::Body;
use super::path::Message;

const PORTAL: &str = "<!DOCTYPE html><html><head><title>Welcome</title></head>\
    <body>Please accept our terms. It is 1790557227.050000 o'clock.</body></html>\n";

/// A reply before it is put into bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// Headers but those of the framing.
    pub(crate) headers: Vec<(String, String)>,
    /// The header whose value begins with the stamp, and the length of the latter.
    pub(crate) stamp: Option<(usize, usize)>,
    /// The body; None where none is allowed.
    pub(crate) body: Option<Body>,
    /// It answers a HEAD: the length of the body is told, the body is not.
    pub(crate) head_only: bool,
    /// Blanks that the length promises after the body, and that are sent apart (to a HEAD as well: a server out of its
    /// mind).
    pub(crate) padding: usize,
}

impl Reply {
    /// One with a body of this media type.
    pub(crate) fn with_body(status: u16, media: &str, body: Body) -> Self {
        Self {
            body: Some(body),
            ..Self::bare(status).header("Content-Type", media)
        }
    }

    /// One with an empty body.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            body: Some(Body::default()),
            ..Self::bare(status)
        }
    }

    /// One without a body.
    pub(crate) fn bare(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            stamp: None,
            body: None,
            head_only: false,
            padding: 0,
        }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a header for each stamp, with what comes after it.
    pub(crate) fn stamped(mut self, name: &str, stamps: &[String], tail: &str) -> Self {
        if let Some(first) = stamps.first().filter(|first| !first.is_empty()) {
            self.stamp = Some((self.headers.len(), first.len()));
        }
        for stamp in stamps {
            self = self.header(name, &format!("{stamp}{tail}"));
        }
        self
    }

    /// The same reply with a fault; what stamp, echo and tail have of it is in there already.
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
            Fault::Html => return self.portal(),
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

    /// The page of a portal in its place. A `Date` stays: portals are web servers like any other.
    fn portal(self) -> Self {
        let page = Body {
            text: PORTAL.to_owned(),
            stamp: None,
        };
        let mut headers = self.headers;
        headers.retain(|(name, _)| name == "Date");
        Self {
            stamp: self.stamp.filter(|_| !headers.is_empty()),
            headers,
            body: Some(page),
            head_only: self.head_only,
            ..Self::bare(200)
        }
        .header("Content-Type", "text/html; charset=utf-8")
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
        let mut stamp = None;
        for (nth, (name, value)) in headers.iter().enumerate() {
            let name = if shape.mixed_case {
                mix_case(name)
            } else {
                name.clone()
            };
            head.push_str(&format!("{name}: "));
            if let Some((_, length)) = self.stamp.filter(|(which, _)| *which == nth) {
                stamp = Some(head.len()..head.len() + length);
            }
            head.push_str(&format!("{value}\r\n"));
        }
        head.push_str("\r\n");
        let mut message = Message {
            head: head.len(),
            bytes: head.into_bytes(),
            stamp,
        };
        if let Some(body) = self.body.as_ref().filter(|_| !self.head_only) {
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
    if let Some(stamp) = &body.stamp {
        message.stamp = Some(places[stamp.start]..places[stamp.end - 1] + 1);
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
