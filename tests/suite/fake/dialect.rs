//! The kinds of time source that the fake can be.
//!
//! In: a time. Out: its text in a dialect; what the dialect has and lacks. Not: whole replies, see `answer`.

use super::clock::{Face, SECOND_NS};
use super::date::{fixdate, iso};

/// What a source speaks. Each is as true as the others: a stamp in a header is taken right before the head is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// JSON to a GET of any path and over WebSocket; X-HTTPSTIME to a HEAD.
    WebNtp,
    /// NICT's JSON to a GET of any path: `id it st leap next step`, three decimals at most.
    Nict,
    /// htptime's JSON to a GET of any path: `id time`, nothing echoed.
    HtpTime,
    /// Time over HTTPS (Kamp, 2015): X-HTTPSTIME to a HEAD.
    HttpsTime,
    /// GrapheneOS's header to GET and HEAD of any path: X-Time, whole milliseconds.
    XTime,
    /// Text to a GET of any path: decimal seconds and nothing else.
    Text,
    /// Text to a GET of any path: a date and time of ISO 8601 in UTC.
    Iso,
    /// Text to a GET of any path, as Cloudflare's `/cdn-cgi/trace` has it: lines of names and values, one of which is
    /// `ts` and decimal seconds.
    Trace,
    /// Any web server: a `Date` and a page to GET and HEAD of any path, whatever the query. Whole seconds only; the
    /// rounding and the cache are those of the face.
    HttpDate,
}

impl Dialect {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::WebNtp,
        Self::Nict,
        Self::HtpTime,
        Self::HttpsTime,
        Self::XTime,
        Self::Text,
        Self::Iso,
        Self::Trace,
        Self::HttpDate,
    ];

    /// Those that are plain text.
    pub(crate) const TEXTS: [Self; 3] = [Self::Text, Self::Iso, Self::Trace];

    /// The members of its JSON, in the order of its documentation.
    pub(crate) fn members(self) -> &'static [&'static str] {
        match self {
            Self::WebNtp => &["id", "it", "st", "time", "leap", "next", "step"],
            Self::Nict => &["id", "it", "st", "leap", "next", "step"],
            Self::HtpTime => &["id", "time"],
            _ => &[],
        }
    }

    /// Whether it echoes the question, and so looks at it.
    pub(crate) fn echoes(self) -> bool {
        self.members().contains(&"it")
    }

    /// A face with no other digits than this dialect has.
    pub(crate) fn face(self, face: Face) -> Face {
        let digits = match self {
            Self::HttpDate => 0,
            Self::Nict => face.digits.min(3),
            // Milliseconds whatever happens.
            Self::XTime => 3,
            _ => face.digits,
        };
        Face { digits, ..face }
    }

    /// A time as text. Times before 1970 are not for this.
    pub(crate) fn show(self, face: Face, utc_ns: i64) -> String {
        let shown = self.face(face).show(utc_ns);
        match self {
            Self::HttpDate => {
                let seconds: i64 = shown.parse().expect("no fraction was asked for");
                fixdate(seconds * SECOND_NS)
            }
            Self::XTime => shown.replace('.', ""),
            Self::Iso => {
                let (seconds, fraction) = shown.split_once('.').unwrap_or((&shown, ""));
                let seconds: i64 = seconds.parse().expect("digits");
                iso(seconds * SECOND_NS, fraction)
            }
            _ => shown,
        }
    }
}

/// The manners of one server with X-HTTPSTIME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HttpsTimeShape {
    /// The status of a good reply: 204, some have 200.
    pub(crate) status: u16,
    /// How the header's name is written.
    pub(crate) name: &'static str,
    /// HEAD has it on every path, else only on `/.well-known/time`.
    pub(crate) everywhere: bool,
    /// GET is answered as HEAD is, else with 405. (Under WebNTP, GET is for the JSON.)
    pub(crate) get: bool,
    /// There is no such header: the time is in the body, of which HEAD tells the length only.
    pub(crate) in_body: bool,
}

impl HttpsTimeShape {
    /// As it is described.
    pub(crate) fn plain() -> Self {
        Self {
            status: 204,
            name: "X-HTTPSTIME",
            everywhere: false,
            get: false,
            in_body: false,
        }
    }
}
