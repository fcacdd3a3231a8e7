//! What can be wrong with a server, or stand in its place.
//!
//! In: a test's wish, also while the server runs. Out: the fault that the next reply has. Not: how it is put on the wire.
//!
//! Wherever it can be, a faulty reply is an honest one but for its fault: a client that overlooks the fault gets a
//! sample that looks good, and the test sees it.

use std::sync::Mutex;
use std::time::Duration;

use super::date::{UTC, ZONE};
use super::dialect::Dialect;
use super::json::Body;

/// A time before 2020: 2018-12-31T23:59:59 and a quarter.
const OLD_NS: i64 = 1_546_300_799_250_000_000;
/// A time after 2100: 2100-01-01T00:00:00 and a quarter.
const FAR_NS: i64 = 4_102_444_800_250_000_000;

/// One kind of wrong. Those that a WebSocket has no place for once it is open meet its upgrade request instead; those
/// that only a WebSocket can have leave HTTP alone, and those of the echo a dialect that has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Another status, with the time in the body all the same.
    Status(u16),
    /// A 302 to this address, with the time in the body all the same.
    Redirect(String),
    /// 503 with `Retry-After` in seconds.
    RetryAfter(u32),
    /// `Age: 7`: a cache made this.
    Age,
    /// `X-Cache: HIT from fake`: so did this.
    XCacheHit,
    /// The page of a captive portal, status 200; with the `Date` if the server has one.
    Html,
    /// Nothing where the JSON should be, status 200 (over WebSocket: an empty text frame), or after the name of the
    /// header.
    EmptyBody,
    /// The body, then blanks up to so many bytes, until the peer has had enough. After the reply to a HEAD or a 204,
    /// where no body may be, too.
    HugeBody(usize),
    /// 32 KiB of headers.
    HugeHeaders,
    /// Headers without an end, until the peer has had enough.
    EndlessHeaders,
    /// Claims `Content-Encoding: gzip`; the body is in clear, so that who does not look at the header is caught.
    ContentEncodingGzip,
    /// `it` differs from the request's in its last digit.
    WrongIt,
    /// `it` is what somebody else asked, years ago.
    ForeignIt,
    /// `it` is 0 whatever was asked.
    ItZero,
    /// The stamps are `NaN`.
    NotANumber,
    /// The stamps have a minus sign.
    NegativeStamp,
    /// The stamps have an exponent of zero (a date: its seconds).
    ExponentStamp,
    /// Another number (or date) follows the JSON or the header's own.
    TwoNumbers,
    /// A word follows the JSON or what the header has.
    TrailingText,
    /// The fraction is `1000000`, the bug of [`super::clock::Rounding::NearestWithoutCarry`] in every reply.
    SevenDigits,
    /// The stamps are this text.
    StampText(&'static str),
    /// No stamp at all: the header, or the member of the JSON, is not there.
    StampMissing,
    /// Two stamps: the header, or the member, comes a second time and says an hour more.
    StampTwice,
    /// The stamps are from 2018.
    StampBefore2020,
    /// The stamps are from 2100.
    StampAfter2100,
    /// No reply; the connection stays open.
    StallBeforeHeaders,
    /// The reply ends in the middle of the stamp; the connection stays open.
    StallInBody,
    /// The reply comes byte by byte, with this gap; a second is how long a slowloris takes.
    OneByteEvery(Duration),
    /// The connection ends in the middle of the stamp, under TLS without its closing alert.
    CloseMidBody,
    /// Two replies to one request, at once.
    TwoReplies,
    /// WebSocket: the reply is in a binary frame.
    BinaryFrame,
    /// WebSocket: a reply (with `it` 0) right after the upgrade, before any request.
    UnsolicitedReply,
    /// WebSocket: the JSON and blanks, 4 KiB in one frame.
    OversizeFrame,
    /// WebSocket: the same in 8 frames of 512 bytes.
    FragmentedOversize,
}

/// What is about to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// An HTTP request.
    Request,
    /// A WebSocket's upgrade request.
    Upgrade,
    /// Nothing: the WebSocket is open, nobody has asked.
    Opened,
    /// A WebSocket's text frame.
    Frame,
}

impl Fault {
    fn concerns(&self, stage: Stage) -> bool {
        match self {
            Self::Status(_)
            | Self::Redirect(_)
            | Self::RetryAfter(_)
            | Self::Age
            | Self::XCacheHit
            | Self::Html
            | Self::HugeBody(_)
            | Self::HugeHeaders
            | Self::EndlessHeaders
            | Self::ContentEncodingGzip => matches!(stage, Stage::Request | Stage::Upgrade),
            Self::StallBeforeHeaders => stage != Stage::Opened,
            Self::BinaryFrame | Self::OversizeFrame | Self::FragmentedOversize => {
                stage == Stage::Frame
            }
            Self::UnsolicitedReply => stage == Stage::Opened,
            _ => matches!(stage, Stage::Request | Stage::Frame),
        }
    }

    /// The time that is told instead of the honest one, nanoseconds.
    pub(crate) fn time(&self) -> Option<i64> {
        match self {
            Self::StampBefore2020 => Some(OLD_NS),
            Self::StampAfter2100 => Some(FAR_NS),
            _ => None,
        }
    }

    /// The stamps that are shown instead of the honest one.
    pub(crate) fn stamps(&self, honest: String, other: impl Fn() -> String) -> Vec<String> {
        match self {
            Self::EmptyBody => vec![String::new()],
            Self::StampMissing => Vec::new(),
            Self::StampTwice => vec![honest, other()],
            _ => vec![self.stamp(honest)],
        }
    }

    fn stamp(&self, honest: String) -> String {
        let zones = [ZONE, UTC].into_iter();
        let zone = zones.filter(|zone| honest.ends_with(zone)).max();
        let zone = zone.unwrap_or_default();
        let digits = honest.strip_suffix(zone).unwrap_or_default();
        match self {
            Self::NotANumber => "NaN".to_owned(),
            Self::NegativeStamp => format!("-{honest}"),
            Self::ExponentStamp => format!("{digits}e0{zone}"),
            Self::SevenDigits => {
                let seconds = digits.split('.').next().unwrap_or_default();
                format!("{seconds}.1000000{zone}")
            }
            Self::StampText(text) => (*text).to_owned(),
            _ => honest,
        }
    }

    /// The echo that is given instead of the honest one.
    pub(crate) fn it(&self, honest: String) -> String {
        match self {
            Self::ItZero => "0".to_owned(),
            Self::ForeignIt => "1489217288.328757".to_owned(),
            Self::WrongIt => {
                let mut it = honest;
                let last = it.pop().and_then(|digit| digit.to_digit(10));
                format!("{it}{}", (last.unwrap_or_default() + 1) % 10)
            }
            _ => honest,
        }
    }

    /// What comes after the JSON, the number or the date.
    pub(crate) fn tail(&self, dialect: Dialect) -> &'static str {
        match self {
            Self::TwoNumbers if dialect == Dialect::HttpDate => ", Sun, 06 Nov 1994 08:49:37 GMT",
            Self::TwoNumbers => " 1790557227.05",
            Self::TrailingText => " trailing",
            _ => "",
        }
    }

    /// The JSON body as this fault leaves it.
    pub(crate) fn body(&self, honest: Body, dialect: Dialect) -> Body {
        let mut body = honest;
        body.text.push_str(self.tail(dialect));
        match self {
            Self::EmptyBody => Body::default(),
            Self::OversizeFrame | Self::FragmentedOversize => {
                body.text = format!("{:4096}", body.text);
                body
            }
            _ => body,
        }
    }
}

/// The fault that is set, and for how many more replies.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Option<(Fault, usize)>>);

impl Faults {
    /// From now on every reply that it concerns has this fault, or none.
    pub(crate) fn set(&self, fault: Option<Fault>) {
        self.set_for(fault, usize::MAX);
    }

    /// The next `replies` that it concerns have this fault.
    pub(crate) fn set_for(&self, fault: Option<Fault>, replies: usize) {
        *self.0.lock().expect("nobody panics while holding it") =
            fault.map(|fault| (fault, replies));
    }

    /// The fault of the reply that is about to be made.
    pub(crate) fn take(&self, stage: Stage) -> Option<Fault> {
        let mut set = self.0.lock().expect("nobody panics while holding it");
        let (fault, replies) = set.as_mut()?;
        if *replies == 0 || !fault.concerns(stage) {
            return None;
        }
        *replies -= 1;
        Some(fault.clone())
    }
}
