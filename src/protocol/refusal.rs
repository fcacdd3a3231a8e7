//! Why a reply is not used: one cause for each thing that somebody can act on.
//!
//! A refusal costs one sample, never the source. Its text is for the operator: what came, and what it
//! means. Whatever a peer sent stands in it only as an [`Excerpt`].

use crate::engine::time::{Span, Utc};
use crate::protocol::date::DateError;
use crate::protocol::decimal::{DecimalError, Fixed};
use crate::protocol::excerpt::Excerpt;
use crate::protocol::sntp::PacketFault;

/// Why a reply was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A status other than 2xx. 429 and 503 may say how long they want to be left alone.
    #[error("status {code}{}", pause(*.retry_after))]
    Status {
        /// The status code.
        code: u16,
        /// What `Retry-After` says.
        retry_after: Option<Span>,
    },
    /// A 4xx of Time over HTTPS: the server does not want to be asked so.
    #[error(
        "status {code}: the server does not tell the time so, it is left alone for {} s",
        .pause.as_secs_f64()
    )]
    Unwilling {
        /// The status code.
        code: u16,
        /// How long it is not asked again.
        pause: Span,
    },
    /// A redirect: it carries no time, the URL in the configuration should name its goal.
    #[error(
        "redirected with status {code} to {location}; configure that URL if it is the right one"
    )]
    Redirect {
        /// The status code.
        code: u16,
        /// Where to.
        location: Excerpt,
    },
    /// A redirect in clear text to another host, from one whose replies would not name the question: portals answer so to anybody,
    /// and what they say would pass for the server's time.
    #[error(
        "redirected with status {code} in clear text to another host, {location}, as captive portals do; configure that URL if it is the right one"
    )]
    Elsewhere {
        /// The status code.
        code: u16,
        /// Where to.
        location: Excerpt,
    },
    /// An `Age` header: the reply comes out of a cache.
    #[error("the reply has an Age of {age}: it comes out of a cache")]
    Aged {
        /// What the header says.
        age: Excerpt,
    },
    /// An `X-Cache` header with a hit: the reply comes out of a cache.
    #[error("the reply comes out of a cache (X-Cache: HIT)")]
    CacheHit,
    /// A content coding that was not asked for.
    #[error("the reply is coded as {coding}, which was not asked for")]
    Coded {
        /// What `Content-Encoding` says.
        coding: Excerpt,
    },
    /// A head above [`HEAD_LIMIT`](crate::protocol::HEAD_LIMIT), or with more than a hundred fields.
    #[error("the head of the reply is above 16 KiB")]
    HeadTooLarge,
    /// A body above [`BODY_LIMIT`](crate::protocol::BODY_LIMIT); the rest was not read.
    #[error("the body of the reply is above 1 KiB")]
    BodyTooLarge,
    /// No body. Real servers answer so to a query that they cannot read.
    #[error("the reply is empty")]
    EmptyBody,
    /// HTML where JSON was due: mostly the log-in page of a captive portal, or a wrong path.
    #[error("the reply is HTML: a captive portal, or a wrong path in the URL")]
    Html,
    /// Not JSON.
    #[error("the reply is not JSON: malformed at byte {at}")]
    Malformed {
        /// Offset of the first byte that cannot stand there.
        at: usize,
    },
    /// JSON nested deeper than anything honest.
    #[error("the reply nests JSON too deeply")]
    TooDeep,
    /// Text behind the object.
    #[error("something follows the JSON object at byte {at}")]
    Trailing {
        /// Offset of the first such byte.
        at: usize,
    },
    /// A member that counts is there twice.
    #[error("the member \"{member}\" is there twice")]
    Duplicate {
        /// Its name.
        member: &'static str,
    },
    /// A member that must be there is not.
    #[error("the member \"{member}\" is missing")]
    Missing {
        /// Its name.
        member: &'static str,
    },
    /// A member that must be a number is something else.
    #[error("the member \"{member}\" is not a number")]
    NotNumber {
        /// Its name.
        member: &'static str,
    },
    /// A number with a sign.
    #[error("the member \"{member}\" has a sign")]
    Signed {
        /// Its name.
        member: &'static str,
    },
    /// A number with an exponent: it has been through a float, its digits are not what the clock said.
    #[error("the member \"{member}\" is written with an exponent")]
    Exponent {
        /// Its name.
        member: &'static str,
    },
    /// A number that is no instant.
    #[error("the member \"{member}\" is {why}")]
    Number {
        /// Its name.
        member: &'static str,
        /// What is wrong with it.
        why: DecimalError,
    },
    /// A header that must be there is not.
    #[error("the reply has no {header} header")]
    HeaderMissing {
        /// Its name.
        header: &'static str,
    },
    /// A header that counts is there twice.
    #[error("the reply has more than one {header} header")]
    HeaderTwice {
        /// Its name.
        header: &'static str,
    },
    /// A page, without the header that must be there: this server does not know what we ask for.
    #[error("the reply has a page and no {header} header: not a time server, or a captive portal")]
    PageInstead {
        /// Its name.
        header: &'static str,
    },
    /// A header that carries time, but not as it should.
    #[error("the header {header} is {value}: {why}")]
    BadHeader {
        /// Its name.
        header: &'static str,
        /// What stands in it.
        value: Excerpt,
        /// What is wrong with that.
        why: HeaderFault,
    },
    /// Text without a time in it.
    #[error("the reply, which begins with {beginning}, has no time in it")]
    NoTime {
        /// How it begins.
        beginning: Excerpt,
    },
    /// Text that says a time, but not as it should.
    #[error("the reply says {value}: {why}")]
    BadText {
        /// What it says.
        value: Excerpt,
        /// What is wrong with that.
        why: HeaderFault,
    },
    /// A kiss code of NTP: the server says something else than the time.
    #[error("the server sends a kiss code {code} instead of the time{}", left_alone(*.pause))]
    Kiss {
        /// The four letters.
        code: Excerpt,
        /// How long it is not asked again.
        pause: Option<Span>,
    },
    /// A packet of NTP that is not used.
    #[error("the reply is a packet {0}")]
    Packet(#[from] PacketFault),
    /// Bytes behind the head of a reply to HEAD, which ends there.
    #[error("a body came with the reply to HEAD, which has none")]
    BodyToHead,
    /// The echo is of another request: an answer to somebody else, or out of a cache.
    #[error(
        "the reply answers {theirs}, not our {ours}: meant for somebody else, or out of a cache"
    )]
    WrongEcho {
        /// What we sent.
        ours: Excerpt,
        /// What came back.
        theirs: Excerpt,
    },
    /// A stamp before the release of this program.
    #[error("the server says {}, which is before this program was released", seconds(*.stamp))]
    BeforeRelease {
        /// What the server said.
        stamp: Utc,
    },
    /// A stamp after the year 2100.
    #[error("the server says {}, which is after the year 2100", seconds(*.stamp))]
    BeyondHorizon {
        /// What the server said.
        stamp: Utc,
    },
    /// Two stamps of one reply that are the same by definition differ.
    #[error("\"st\" and \"time\" differ by more than a second")]
    Disagreement,
    /// What the server says about leap seconds cannot be.
    #[error("the leap second's \"{member}\" cannot be")]
    LeapNonsense {
        /// The member at fault.
        member: &'static str,
    },
    /// The server answered the request to upgrade with a page.
    #[error("status {code} instead of a WebSocket: wrong path in the URL?")]
    NotWebSocket {
        /// The status code.
        code: u16,
    },
    /// The server agreed to upgrade, but not as asked.
    #[error("a broken WebSocket handshake: {header} is wrong")]
    BadHandshake {
        /// The header at fault.
        header: &'static str,
    },
    /// A WebSocket message that answers no request, or an HTTP reply to none.
    #[error("a reply that answers no request")]
    Unsolicited,
    /// A second reply to one request.
    #[error("two replies to one request")]
    SecondReply,
    /// A binary message where text was due.
    #[error("a binary WebSocket message")]
    BinaryFrame,
    /// A WebSocket message or frame above [`BODY_LIMIT`](crate::protocol::BODY_LIMIT).
    #[error("a WebSocket message above 1 KiB")]
    FrameTooLarge,
    /// A text message that is not UTF-8.
    #[error("a WebSocket text that is not UTF-8")]
    NotText,
}

/// What is wrong with a header, or a line of text, that carries time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// A number with a sign.
    #[error("a number with a sign")]
    Signed,
    /// A number with an exponent: it has been through a float, its digits are not what the clock said.
    #[error("a number with an exponent")]
    Exponent,
    /// Something behind the number, a second one mostly.
    #[error("more than one number")]
    Several,
    /// A number that is no instant, or none at all.
    #[error(transparent)]
    Number(#[from] DecimalError),
    /// No date.
    #[error(transparent)]
    Date(#[from] DateError),
    /// A date and time of ISO 8601 that is not written as it should be.
    #[error("not of the form \"1994-11-06T08:49:37Z\"")]
    Iso,
    /// A date and time that may be of any zone.
    #[error("a time without its zone")]
    NoZone,
}

impl Refusal {
    /// The refusal of a redirect that leads to another host in clear text; what is no redirect stays as it is.
    pub fn not_followed(self) -> Self {
        match self {
            Self::Redirect { code, location } => Self::Elsewhere { code, location },
            other => other,
        }
    }

    /// How long the server wants to be left alone, if it said so.
    pub fn retry_after(&self) -> Option<Span> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Unwilling { pause, .. } => Some(*pause),
            Self::Kiss { pause, .. } => *pause,
            _ => None,
        }
    }

    /// The refusal of a body that is too large, from its beginning: the pages of captive portals mostly are.
    pub fn oversized(beginning: &[u8]) -> Self {
        if is_html(beginning) {
            Self::Html
        } else {
            Self::BodyTooLarge
        }
    }
}

/// Whether a body looks like HTML or XML.
pub(super) fn is_html(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

fn pause(retry_after: Option<Span>) -> String {
    retry_after.map_or_else(String::new, |span| {
        format!(", asking for a pause of {} s", span.as_secs_f64())
    })
}

fn left_alone(pause: Option<Span>) -> String {
    pause.map_or_else(String::new, |span| {
        format!(", it is left alone for {} s", span.as_secs_f64())
    })
}

fn seconds(instant: Utc) -> Fixed {
    Fixed { instant, digits: 3 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_tell_what_came_and_what_it_means() {
        let cases = [
            (
                Refusal::Status {
                    code: 503,
                    retry_after: Some(Span::from_secs(120)),
                },
                "status 503, asking for a pause of 120 s",
            ),
            (
                Refusal::Redirect {
                    code: 302,
                    location: Excerpt::of(b"http://portal/\r\n"),
                },
                r#"redirected with status 302 to "http://portal/\r\n"; configure that URL if it is the right one"#,
            ),
            (
                Refusal::Redirect {
                    code: 302,
                    location: Excerpt::of(b"http://portal/"),
                }
                .not_followed(),
                r#"redirected with status 302 in clear text to another host, "http://portal/", as captive portals do; configure that URL if it is the right one"#,
            ),
            (
                Refusal::Number {
                    member: "st",
                    why: DecimalError::Uncarried,
                },
                "the member \"st\" is a fraction of 1000000 (microseconds rounded up without carry)",
            ),
            (
                Refusal::BeforeRelease {
                    stamp: Utc::from_nanos(1_489_224_472_995_564_000),
                },
                "the server says 1489224472.995, which is before this program was released",
            ),
            (
                Refusal::BadHeader {
                    header: "X-HTTPSTIME",
                    value: Excerpt::of(b"1e9"),
                    why: HeaderFault::Exponent,
                },
                r#"the header X-HTTPSTIME is "1e9": a number with an exponent"#,
            ),
            (
                Refusal::NoTime {
                    beginning: Excerpt::of(b"Not found\n"),
                },
                r#"the reply, which begins with "Not found\n", has no time in it"#,
            ),
            (
                Refusal::BadText {
                    value: Excerpt::of(b"1994-11-06T08:49:37"),
                    why: HeaderFault::NoZone,
                },
                r#"the reply says "1994-11-06T08:49:37": a time without its zone"#,
            ),
            (
                Refusal::BadHeader {
                    header: "Date",
                    value: Excerpt::of(b"now"),
                    why: DateError::Form.into(),
                },
                r#"the header Date is "now": not of the form "Sun, 06 Nov 1994 08:49:37 GMT""#,
            ),
            (
                Refusal::Unwilling {
                    code: 405,
                    pause: Span::from_secs(3_600),
                },
                "status 405: the server does not tell the time so, it is left alone for 3600 s",
            ),
        ];
        for (refusal, text) in cases {
            assert_eq!(refusal.to_string(), text);
        }
    }

    #[test]
    fn a_large_page_is_told_as_html() {
        assert_eq!(Refusal::oversized(b"\r\n <!doctype html>"), Refusal::Html);
        assert_eq!(Refusal::oversized(b"{}"), Refusal::BodyTooLarge);
    }
}
