//! HTTP/1.1 as the fake speaks it: the manners of a server, parsing requests.
//!
//! In: bytes of a request. Out: requests; the texts that are the same in every reply. Not: replies, see `reply`.

use std::time::Duration;

use super::path::Delay;

/// The longest head of a request.
pub(crate) const LONGEST_HEAD: usize = 16_384;

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
    /// The status of a good reply; X-HTTPSTIME has its own.
    pub(crate) status: u16,
    /// How the end of a body is found.
    pub(crate) framing: Framing,
    /// 1xx responses before the reply.
    pub(crate) interim: Vec<Interim>,
    /// The headers leave first, then after this the stamp is taken and the body made. The body is chunked then, whatever
    /// `framing` says, unless it ends with the connection. Where the stamp is in a header, what precedes it leaves first.
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

/// Status line of a response before the response.
pub(crate) fn interim(status: u16) -> String {
    let hint = if status == 103 {
        "Link: </style.css>; rel=preload\r\n"
    } else {
        ""
    };
    format!("HTTP/1.1 {status} {}\r\n{hint}\r\n", reason(status))
}

/// The phrase after a status.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        204 => "No Content",
        302 => "Found",
        404 => "Not Found",
        405 => "Method Not Allowed",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
