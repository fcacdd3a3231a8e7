//! What becomes of each fault in each kind of source.
//!
//! In: a kind, a fault. Out: the words that the refusal must have, or why the fault does no harm there. Not: the trying.

use std::time::Duration;

use crate::fake::{Dialect, Fault};

/// A way to ask for the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Door {
    /// `protocol` of the configuration.
    pub(super) kind: &'static str,
    /// What the fake speaks.
    pub(super) dialect: Dialect,
    /// Of the URL.
    pub(super) scheme: &'static str,
}

impl Door {
    const fn new(kind: &'static str, dialect: Dialect, scheme: &'static str) -> Self {
        Self {
            kind,
            dialect,
            scheme,
        }
    }
}

pub(super) const WEBNTP: Door = Door::new("webntp", Dialect::WebNtp, "http");
pub(super) const WEBSOCKET: Door = Door::new("webntp", Dialect::WebNtp, "ws");
pub(super) const NICT: Door = Door::new("nict", Dialect::Nict, "http");
pub(super) const HTPTIME: Door = Door::new("htptime", Dialect::HtpTime, "http");
pub(super) const HTTPS_TIME: Door = Door::new("https-time", Dialect::HttpsTime, "http");
pub(super) const X_TIME: Door = Door::new("x-time", Dialect::XTime, "http");
pub(super) const TEXT: Door = Door::new("text", Dialect::Text, "http");
pub(super) const ISO: Door = Door::new("text", Dialect::Iso, "http");
pub(super) const TRACE: Door = Door::new("text", Dialect::Trace, "http");
pub(super) const HTTP_DATE: Door = Door::new("http-date", Dialect::HttpDate, "http");

/// All of them.
pub(super) const DOORS: [Door; 10] = [
    WEBNTP, WEBSOCKET, NICT, HTPTIME, HTTPS_TIME, X_TIME, TEXT, ISO, TRACE, HTTP_DATE,
];

/// What must become of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is refused, in these words.
    Refused(&'static str),
    /// It is used: its time is right for this reason.
    Used(&'static str),
    /// It may be refused or used, which is right as well; the reason says on what that hangs.
    Either(&'static str),
    /// There is no such reply in this kind.
    Absent,
}

use Verdict::{Absent, Either, Refused, Used};

/// The refusal after which nobody asks for an hour.
pub(super) const UNWILLING: Verdict = Refused("status 404: the server does not tell the time so");

/// All faults.
pub(super) fn faults() -> Vec<Fault> {
    vec![
        Fault::Status(404),
        Fault::Status(500),
        Fault::Redirect("/elsewhere".to_owned()),
        Fault::Redirect("gopher://127.0.0.1/".to_owned()),
        Fault::RetryAfter(1),
        Fault::Age,
        Fault::XCacheHit,
        Fault::Html,
        Fault::EmptyBody,
        Fault::HugeBody(256 << 20),
        Fault::HugeHeaders,
        Fault::EndlessHeaders,
        Fault::ContentEncodingGzip,
        Fault::WrongIt,
        Fault::ForeignIt,
        Fault::ItZero,
        Fault::NotANumber,
        Fault::NegativeStamp,
        Fault::ExponentStamp,
        Fault::TwoNumbers,
        Fault::TrailingText,
        Fault::SevenDigits,
        Fault::StampText("Infinity"),
        Fault::StampText("\"1790557227.05\""),
        Fault::StampText("184467440737095516160.5"),
        Fault::StampMissing,
        Fault::StampTwice,
        Fault::StampBefore2020,
        Fault::StampAfter2100,
        Fault::StallBeforeHeaders,
        Fault::StallInBody,
        Fault::OneByteEvery(Duration::from_secs(1)),
        Fault::CloseMidBody,
        Fault::TwoReplies,
        Fault::BinaryFrame,
        Fault::UnsolicitedReply,
        Fault::OversizeFrame,
        Fault::FragmentedOversize,
    ]
}

/// What must become of a reply with this fault.
pub(super) fn verdict(door: Door, fault: &Fault) -> Verdict {
    let special = match door {
        WEBSOCKET => websocket(fault),
        HTTPS_TIME => https_time(fault),
        X_TIME => x_time(fault),
        TEXT | ISO | TRACE => text(fault),
        HTTP_DATE => http_date(fault),
        _ => json(fault),
    };
    special.unwrap_or_else(|| everywhere(door, fault))
}

fn everywhere(door: Door, fault: &Fault) -> Verdict {
    match fault {
        Fault::Status(404) if door == HTTPS_TIME => UNWILLING,
        Fault::Status(404) => Refused("status 404"),
        Fault::Status(_) => Refused("status 500"),
        Fault::Redirect(_) => Refused("redirected with status 302"),
        Fault::RetryAfter(_) => Refused("status 503, asking for a pause of 1 s"),
        Fault::Age => Refused("has an Age of"),
        Fault::XCacheHit => Refused("X-Cache: HIT"),
        Fault::HugeHeaders | Fault::EndlessHeaders => Refused("above 16 KiB"),
        Fault::ContentEncodingGzip => Refused("coded as"),
        Fault::WrongIt | Fault::ForeignIt | Fault::ItZero if !door.dialect.echoes() => {
            Used("nothing is echoed")
        }
        Fault::WrongIt => {
            Either("servers re-format the echo: its last digit may be off by one, not by nine")
        }
        Fault::ItZero => Used("this is how a server says that it could not read the question"),
        Fault::ForeignIt => Refused("meant for somebody else"),
        Fault::StampBefore2020 => Refused("before this program was released"),
        Fault::StampAfter2100 => Refused("after the year 2100"),
        Fault::StallBeforeHeaders => Refused("no answer to the request within 1 s"),
        Fault::StallInBody | Fault::OneByteEvery(_) => Refused("no end of the reply within 1 s"),
        Fault::CloseMidBody => Refused("closed the connection before its reply was complete"),
        _ => Absent,
    }
}

/// Where the time is in a JSON body.
fn json(fault: &Fault) -> Option<Verdict> {
    Some(match fault {
        Fault::Html => Refused("the reply is HTML"),
        Fault::EmptyBody => Refused("the reply is empty"),
        Fault::HugeBody(_) => Refused("the body of the reply is above 1 KiB"),
        Fault::NotANumber | Fault::StampText("Infinity") => Refused("not JSON: malformed"),
        Fault::NegativeStamp => Refused("has a sign"),
        Fault::ExponentStamp => Refused("is written with an exponent"),
        Fault::TwoNumbers | Fault::TrailingText => Refused("something follows the JSON object"),
        Fault::SevenDigits => Refused("rounded up without carry"),
        Fault::StampText(text) if text.starts_with('"') => Refused("is not a number"),
        Fault::StampText(_) => Refused("the member \""),
        Fault::StampMissing => Refused("is missing"),
        Fault::StampTwice => Refused("is there twice"),
        Fault::TwoReplies => Refused("two replies to one request"),
        _ => return None,
    })
}

/// The same in a frame; what concerns the head meets the upgrade.
fn websocket(fault: &Fault) -> Option<Verdict> {
    Some(match fault {
        Fault::Html | Fault::HugeBody(_) => Refused("status 200 instead of a WebSocket"),
        Fault::StallBeforeHeaders => Refused("no end of the WebSocket handshake within 1 s"),
        Fault::BinaryFrame => Refused("a binary WebSocket message"),
        Fault::UnsolicitedReply => Refused("a reply that answers no request"),
        Fault::OversizeFrame | Fault::FragmentedOversize => {
            Refused("a WebSocket message above 1 KiB")
        }
        _ => return json(fault),
    })
}

/// Where the time is in a header, and no body may come.
fn https_time(fault: &Fault) -> Option<Verdict> {
    Some(match fault {
        Fault::Html => Refused("not a time server, or a captive portal"),
        Fault::TwoNumbers | Fault::TrailingText => Refused("more than one number"),
        Fault::NegativeStamp => Refused("a number with a sign"),
        Fault::ExponentStamp => Refused("a number with an exponent"),
        Fault::SevenDigits => Refused("rounded up without carry"),
        Fault::StampMissing => Refused("has no X-HTTPSTIME header"),
        Fault::EmptyBody | Fault::NotANumber | Fault::StampText(_) => {
            Refused("the header X-HTTPSTIME is ")
        }
        _ => return header(fault),
    })
}

/// The same in milliseconds, to a GET.
fn x_time(fault: &Fault) -> Option<Verdict> {
    Some(match fault {
        Fault::Html => Refused("not a time server, or a captive portal"),
        Fault::TwoNumbers | Fault::TrailingText => Refused("more than one number"),
        Fault::NegativeStamp => Refused("a number with a sign"),
        Fault::ExponentStamp => Refused("a number with an exponent"),
        Fault::StampMissing => Refused("has no X-Time header"),
        Fault::EmptyBody | Fault::NotANumber | Fault::SevenDigits | Fault::StampText(_) => {
            Refused("the header X-Time is ")
        }
        Fault::StampTwice => Refused("has more than one"),
        Fault::TwoReplies => Refused("two replies to one request"),
        Fault::HugeBody(_) => Either(
            "nothing of a body after a 204 is read; the head is refused if some of it is there already",
        ),
        _ => return None,
    })
}

/// Where the time is a text, or a line of one.
fn text(fault: &Fault) -> Option<Verdict> {
    Some(match fault {
        Fault::Html => Refused("the reply is HTML"),
        Fault::EmptyBody => Refused("the reply is empty"),
        Fault::HugeBody(_) => Refused("the body of the reply is above 1 KiB"),
        Fault::NegativeStamp | Fault::ExponentStamp | Fault::SevenDigits => {
            Refused("the reply says ")
        }
        Fault::NotANumber | Fault::StampText(_) | Fault::TwoNumbers | Fault::TrailingText => {
            Refused("the reply")
        }
        Fault::StampMissing => Refused("has no time in it"),
        Fault::StampTwice => Refused("the reply says "),
        Fault::TwoReplies => Refused("two replies to one request"),
        _ => return None,
    })
}

/// The same with `Date`, which every portal has, too.
fn http_date(fault: &Fault) -> Option<Verdict> {
    Some(match fault {
        Fault::Html => Used("a portal has a clock like any other web server"),
        Fault::StampMissing => Refused("has no Date header"),
        Fault::EmptyBody
        | Fault::NotANumber
        | Fault::NegativeStamp
        | Fault::ExponentStamp
        | Fault::TwoNumbers
        | Fault::TrailingText
        | Fault::SevenDigits
        | Fault::StampText(_) => Refused("the header Date is "),
        _ => return header(fault),
    })
}

fn header(fault: &Fault) -> Option<Verdict> {
    Some(match fault {
        Fault::StampTwice => Refused("has more than one"),
        Fault::TwoReplies => Refused("a body came with the reply to HEAD"),
        Fault::HugeBody(_) => Either(
            "nothing of a body after HEAD is read; the head is refused if some of it is there already",
        ),
        _ => return None,
    })
}
