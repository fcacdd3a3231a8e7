//! What to ask a server, as data.
//!
//! [`Kind`](crate::protocol::kind::Kind) makes it, the transport carries it out. It knows no URL and no
//! host, and nothing of the headers that every request has.

/// A request for the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// How to ask.
    pub method: Method,
    /// What to ask for.
    pub resource: Resource,
    /// Headers beside the usual ones.
    pub headers: &'static [(&'static str, &'static str)],
}

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// For a body.
    Get,
    /// For a head without a body.
    Head,
}

/// What a request asks for, seen from the URL in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The URL as given.
    Url,
    /// The URL with this text as its query, or at the end of the one that it has; over WebSocket the text
    /// alone.
    UrlWith(String),
    /// The URL with this text as its query, to get past caches; a URL that has a query of its own is left
    /// as it is, for one that was signed or counted may not bear another.
    UrlFresh(String),
    /// This path at the URL's host, whatever path and query the URL has.
    Path(&'static str),
    /// Nothing but an answer to these bits: over UDP, where neither method nor headers are sent.
    Nonce(u64),
}

impl Resource {
    /// The text that is put into the query.
    pub fn addition(&self) -> Option<&str> {
        match self {
            Self::UrlWith(text) | Self::UrlFresh(text) => Some(text),
            Self::Url | Self::Path(_) | Self::Nonce(_) => None,
        }
    }
}
