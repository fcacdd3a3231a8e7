//! What can be wrong with a server, or stand in its place.
//!
//! In: a test's wish, also while the server runs. Out: the fault that the next reply has. Not: how it is put on the wire.
//!
//! Wherever it can be, a faulty reply is an honest one but for its fault: a client that overlooks the fault gets a
//! sample that looks good, and the test sees it.

use std::sync::Mutex;
use std::time::Duration;

use super::json::Body;

/// A stamp from before 2020: 2018-12-31T23:59:59 and a quarter.
const OLD_STAMP: &str = "1546300799.250000";
/// A stamp from after 2100: 2100-01-01T00:00:00 and a quarter.
const FAR_STAMP: &str = "4102444800.250000";

/// One kind of wrong. Those that a WebSocket has no place for once it is open meet its upgrade request instead; those
/// that only a WebSocket can have leave HTTP alone.
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
    /// The page of a captive portal, status 200.
    Html,
    /// Nothing where the JSON should be, status 200 (over WebSocket: an empty text frame).
    EmptyBody,
    /// The JSON, then blanks up to so many bytes, until the peer has had enough.
    HugeBody(usize),
    /// 32 KiB of headers.
    HugeHeaders,
    /// Claims `Content-Encoding: gzip`; the body is in clear, so that who does not look at the header is caught.
    ContentEncodingGzip,
    /// `it` differs from the request's in its last digit.
    WrongIt,
    /// `it` is 0 whatever was asked.
    ItZero,
    /// The stamps are `NaN`.
    NotANumber,
    /// The stamps have a minus sign.
    NegativeStamp,
    /// The stamps have an exponent of zero.
    ExponentStamp,
    /// Another number follows the JSON (or the number of X-HTTPSTIME).
    TwoNumbers,
    /// A word follows the JSON (or the number of X-HTTPSTIME).
    TrailingText,
    /// The fraction is `1000000`, the bug of [`super::clock::Rounding::NearestWithoutCarry`] in every reply.
    SevenDigits,
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
            | Self::ContentEncodingGzip => matches!(stage, Stage::Request | Stage::Upgrade),
            Self::StallBeforeHeaders => stage != Stage::Opened,
            Self::BinaryFrame | Self::OversizeFrame | Self::FragmentedOversize => {
                stage == Stage::Frame
            }
            Self::UnsolicitedReply => stage == Stage::Opened,
            _ => matches!(stage, Stage::Request | Stage::Frame),
        }
    }

    /// The stamp that is shown instead of the honest one.
    pub(crate) fn stamp(&self, honest: String) -> String {
        match self {
            Self::NotANumber => "NaN".to_owned(),
            Self::NegativeStamp => format!("-{honest}"),
            Self::ExponentStamp => format!("{honest}e0"),
            Self::SevenDigits => {
                let seconds = honest.split('.').next().unwrap_or_default();
                format!("{seconds}.1000000")
            }
            Self::StampBefore2020 => OLD_STAMP.to_owned(),
            Self::StampAfter2100 => FAR_STAMP.to_owned(),
            _ => honest,
        }
    }

    /// The echo that is given instead of the honest one.
    pub(crate) fn it(&self, honest: String) -> String {
        match self {
            Self::ItZero => "0".to_owned(),
            Self::WrongIt => {
                let mut it = honest;
                let last = it.pop().and_then(|digit| digit.to_digit(10));
                format!("{it}{}", (last.unwrap_or_default() + 1) % 10)
            }
            _ => honest,
        }
    }

    /// What comes after the JSON or the number.
    pub(crate) fn tail(&self) -> &'static str {
        match self {
            Self::TwoNumbers => " 1790557227.05",
            Self::TrailingText => " trailing",
            _ => "",
        }
    }

    /// The JSON body as this fault leaves it.
    pub(crate) fn body(&self, honest: Body) -> Body {
        let mut body = honest;
        body.text.push_str(self.tail());
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
