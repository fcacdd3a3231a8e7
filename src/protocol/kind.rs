//! The kinds of source: how each is asked, and what its reply says.
//!
//! In: our time, and later the fields and the body of a reply. Out: a [`Request`], and a [`Reading`] or a
//! refusal. It does not ask (the transport does), nor judge the status and the signs of a cache
//! ([`head`](crate::protocol::head) does).

use crate::engine::time::{Span, Utc};
use crate::protocol::decimal::{DecimalSeconds, Fixed};
use crate::protocol::header::{self, Fields};
use crate::protocol::plausible::Plausible;
use crate::protocol::refusal::Refusal;
use crate::protocol::request::{Method, Request, Resource};
use crate::protocol::sntp::{self, PacketFault, Warning};
use crate::protocol::stamp::{Rounding, ServerBounds, bounds};
use crate::protocol::text;
use crate::protocol::webntp::{self, LeapNotice};

/// What a source speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// `webntp`: JSON over HTTP or WebSocket, as `https://github.com/shogo82148/go-webntp` does.
    #[default]
    WebNtp,
    /// `nict`: its forerunner at Japan's NICT, with three digits. The service ended in 2022, others speak
    /// like it.
    Nict,
    /// `htptime`: JSON whose stamp is `time`, with no echo of the request.
    HtpTime,
    /// `https-time`: the header `X-HTTPSTIME` (Kamp, "Time over HTTPS", 2015).
    HttpsTime,
    /// `x-time`: the header `X-Time`, milliseconds, as GrapheneOS's servers have it.
    XTime,
    /// `text`: a body of plain text that says the time.
    Text,
    /// `ntp`: packets over UDP (RFC 4330).
    Ntp,
    /// `http-date`: the header `Date` that nearly every web server sends.
    HttpDate,
}

/// What a reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What the server's clock showed at the least and at the most.
    pub server: ServerBounds,
    /// Where the stamp stands: once it was here, the server had read its clock.
    pub place: Place,
    /// Whether it names the request that it answers.
    pub echoes: bool,
    /// What the server says about leap seconds, if anything.
    pub leap: Option<LeapNotice>,
    /// The same from a server that says no more than whether one comes today.
    pub warning: Option<Warning>,
}

/// Where in a reply a stamp stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In its head.
    Head,
    /// In its body.
    Body {
        /// Offset in the body just behind the last digit.
        end: usize,
    },
}

/// Where Time over HTTPS is asked for (RFC 8615, the well-known name "time").
const WELL_KNOWN: &str = "/.well-known/time";

/// For replies without an echo: whatever lies between should ask the server itself.
const PAST_CACHES: &[(&str, &str)] = &[("Cache-Control", "no-cache")];

/// Digits after the point in the time that we send.
const WEBNTP_DIGITS: usize = 6;
const NICT_DIGITS: usize = 3;

/// How much longer than its second a `Date` may be sent: some servers keep the text in a cache, and
/// renew it a little late.
const DATE_STALE: Span = Span::from_millis(20);

/// How long a server that is unwilling to tell the time is left alone.
const UNWILLING_PAUSE: Span = Span::from_secs(3_600);

impl Kind {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::WebNtp,
        Self::Nict,
        Self::HtpTime,
        Self::HttpsTime,
        Self::XTime,
        Self::Text,
        Self::HttpDate,
        Self::Ntp,
    ];

    /// Those that are spoken over HTTP.
    pub const OVER_HTTP: [Self; 7] = [
        Self::WebNtp,
        Self::Nict,
        Self::HtpTime,
        Self::HttpsTime,
        Self::XTime,
        Self::Text,
        Self::HttpDate,
    ];

    /// What it is called in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebNtp => "webntp",
            Self::Nict => "nict",
            Self::HtpTime => "htptime",
            Self::HttpsTime => "https-time",
            Self::XTime => "x-time",
            Self::Text => "text",
            Self::HttpDate => "http-date",
            Self::Ntp => "ntp",
        }
    }

    /// Where its time stands, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::WebNtp | Self::Nict => "JSON that answers our time",
            Self::HtpTime => "JSON",
            Self::HttpsTime => "the header X-HTTPSTIME",
            Self::XTime => "the header X-Time",
            Self::Text => "plain text",
            Self::Ntp => "packets over UDP",
            Self::HttpDate => "the header Date, whole seconds",
        }
    }

    /// The kind that is called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it is spoken over WebSocket as well as over HTTP.
    pub const fn over_websocket(self) -> bool {
        matches!(self, Self::WebNtp)
    }

    /// The kind that a URL's scheme alone tells; over HTTP there are several.
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "ntp" => Some(Self::Ntp),
            "ws" | "wss" => Some(Self::WebNtp),
            _ => None,
        }
    }

    /// What is tried under a URL with this scheme by those who find nothing out.
    pub fn usual(scheme: &str) -> Self {
        if scheme == "ntp" {
            Self::Ntp
        } else {
            Self::default()
        }
    }

    /// Whether it is spoken under URLs with this scheme.
    pub fn is_spoken_over(self, scheme: &str) -> bool {
        match scheme {
            "ntp" => self == Self::Ntp,
            "ws" | "wss" => self.over_websocket(),
            _ => self != Self::Ntp,
        }
    }

    /// How often a server of this kind may be asked as a rule: those of NTP every 16 s and no more (RFC 4330 §10).
    pub const fn least_poll(self) -> Span {
        match self {
            Self::Ntp => Span::from_secs(16),
            _ => Span::from_secs(1),
        }
    }

    /// What somebody should know whose server was found to speak it, to be put behind that; mostly nothing.
    pub const fn caution(self) -> &'static str {
        match self {
            Self::HttpDate => {
                "; if it speaks a finer kind, name that as its protocol: a server that rounds its Date is half a second off, and nobody can tell"
            }
            _ => "",
        }
    }

    /// Whether its replies name the question that they answer. Over UDP they have to, over HTTP the others have no place for it.
    pub const fn echoes(self) -> bool {
        matches!(self, Self::WebNtp | Self::Nict | Self::Ntp)
    }

    /// Whether its stamps are whole seconds, so that it must not outvote a finer kind.
    pub const fn is_coarse(self) -> bool {
        matches!(self, Self::HttpDate)
    }

    /// The request to send at `now` by our clock, which may be wrong: servers echo it, nothing else. `nonce` are bits
    /// that nobody can guess, for those that echo these instead.
    pub fn request(self, now: Utc, nonce: u64) -> Request {
        let sent = |digits| Fixed {
            instant: now,
            digits,
        };
        let sent = |digits| sent(digits).to_string();
        let (method, resource, headers): (_, _, &[_]) = match self {
            Self::WebNtp => (Method::Get, Resource::UrlWith(sent(WEBNTP_DIGITS)), &[]),
            Self::Nict => (Method::Get, Resource::UrlWith(sent(NICT_DIGITS)), &[]),
            Self::HtpTime | Self::XTime | Self::Text => (Method::Get, Resource::Url, PAST_CACHES),
            Self::HttpsTime => (Method::Head, Resource::Path(WELL_KNOWN), PAST_CACHES),
            Self::Ntp => (Method::Get, Resource::Nonce(nonce), &[]),
            Self::HttpDate => (
                Method::Head,
                Resource::UrlFresh(sent(WEBNTP_DIGITS)),
                PAST_CACHES,
            ),
        };
        Request {
            method,
            resource,
            headers,
        }
    }

    /// What the reply to `request` says, from a server that cuts its digits by `rounding`.
    pub fn read(
        self,
        request: &Request,
        fields: &Fields<'_>,
        body: &[u8],
        rounding: Rounding,
        plausible: &Plausible,
    ) -> Result<Reading, Refusal> {
        let json = |reply: webntp::Reply| Reading {
            server: bounds(reply.stamp, rounding),
            place: Place::Body {
                end: reply.stamp_end,
            },
            echoes: reply.echoes,
            leap: reply.leap,
            warning: None,
        };
        let head = |stamp: DecimalSeconds| Reading {
            server: bounds(stamp, rounding),
            place: Place::Head,
            echoes: false,
            leap: None,
            warning: None,
        };
        match self {
            Self::WebNtp | Self::Nict => {
                let it = request.resource.addition().unwrap_or_default();
                webntp::parse(body, it, plausible).map(json)
            }
            Self::HtpTime => webntp::parse_htptime(body, plausible).map(json),
            Self::HttpsTime => header::https_time(fields, body, plausible).map(head),
            Self::XTime => header::x_time(fields, body, plausible).map(head),
            Self::Text => {
                let text::Reply { stamp, stamp_end } = text::parse(body, plausible)?;
                Ok(Reading {
                    place: Place::Body { end: stamp_end },
                    ..head(stamp)
                })
            }
            Self::Ntp => {
                let Resource::Nonce(nonce) = request.resource else {
                    return Err(PacketFault::Origin.into());
                };
                let sntp::Reply { server, warning } = sntp::parse(body, nonce, plausible)?;
                Ok(Reading {
                    server,
                    place: Place::Body { end: body.len() },
                    echoes: true,
                    leap: None,
                    warning: Some(warning),
                })
            }
            Self::HttpDate => {
                let mut reading = header::http_date(fields, plausible).map(head)?;
                let late = reading.server.arrived_before + DATE_STALE;
                reading.server.arrived_before = late;
                Ok(reading)
            }
        }
    }

    /// What a refusal, by whoever, means in this kind.
    pub fn judge(self, refusal: Refusal) -> Refusal {
        match (self, refusal) {
            // Time over HTTPS: by a 4xx a server says that it is unwilling.
            (
                Self::HttpsTime,
                Refusal::Status {
                    code: code @ 400..=499,
                    retry_after,
                },
            ) => Refusal::Unwilling {
                code,
                pause: retry_after.unwrap_or(UNWILLING_PAUSE),
            },
            (_, refusal) => refusal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONCE: u64 = 0x0123_4567_89ab_cdef;
    const NOW: Utc = Utc::from_nanos(1_893_456_000_328_757_999);

    /// A reply of each kind, given what stands in it.
    fn reply(kind: Kind, it: &str, stamp: &str) -> (Vec<(&'static str, Vec<u8>)>, String) {
        let body = match kind {
            Kind::WebNtp | Kind::Nict => format!(r#"{{"it":{it},"st":{stamp}}}"#),
            Kind::HtpTime => format!(r#"{{"time":{stamp}}}"#),
            Kind::Text => format!("a=b\nts={stamp}\nc=d\n"),
            Kind::HttpsTime | Kind::XTime | Kind::HttpDate | Kind::Ntp => String::new(),
        };
        let field = match kind {
            Kind::XTime => {
                let (seconds, fraction) = stamp.split_once('.').unwrap_or((stamp, ""));
                ("X-Time", format!("{seconds}{fraction:0<3.3}").into())
            }
            Kind::HttpDate => ("Date", "Tue, 01 Jan 2030 00:00:01 GMT".into()),
            _ => ("X-HTTPSTIME", stamp.into()),
        };
        (vec![field], body)
    }

    fn read(
        kind: Kind,
        fields: &[(&'static str, Vec<u8>)],
        body: &[u8],
        rounding: Rounding,
    ) -> Result<Reading, Refusal> {
        let fields: Vec<_> = fields.iter().map(|(n, v)| (*n, &v[..])).collect();
        kind.read(
            &kind.request(NOW, NONCE),
            &fields,
            body,
            rounding,
            &Plausible::release(),
        )
    }

    fn read_stamp(kind: Kind, stamp: &str, rounding: Rounding) -> Result<Reading, Refusal> {
        let request = kind.request(NOW, NONCE);
        let it = request.resource.addition().unwrap_or("0");
        let (fields, body) = reply(kind, it, stamp);
        read(kind, &fields, body.as_bytes(), rounding)
    }

    #[test]
    fn each_kind_asks_in_its_own_way() {
        let request = |kind: Kind| {
            let Request {
                method,
                resource,
                headers,
            } = kind.request(NOW, NONCE);
            (method, resource, headers.len())
        };
        let with = |text: &str| Resource::UrlWith(text.into());
        let fresh = Resource::UrlFresh("1893456000.328757".into());
        let well_known = Resource::Path("/.well-known/time");
        for (kind, expected) in [
            (Kind::WebNtp, (Method::Get, with("1893456000.328757"), 0)),
            (Kind::Nict, (Method::Get, with("1893456000.328"), 0)),
            (Kind::HtpTime, (Method::Get, Resource::Url, 1)),
            (Kind::HttpsTime, (Method::Head, well_known, 1)),
            (Kind::XTime, (Method::Get, Resource::Url, 1)),
            (Kind::Text, (Method::Get, Resource::Url, 1)),
            (Kind::Ntp, (Method::Get, Resource::Nonce(NONCE), 0)),
            (Kind::HttpDate, (Method::Head, fresh, 1)),
        ] {
            assert_eq!(request(kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_scheme_tells_the_kind_where_only_one_is_spoken_over_it() {
        for scheme in ["http", "https", "ws", "wss", "ntp"] {
            let mut spoken = Kind::ALL.into_iter();
            let only = match spoken
                .by_ref()
                .filter(|kind| kind.is_spoken_over(scheme))
                .count()
            {
                1 => Kind::ALL
                    .into_iter()
                    .find(|kind| kind.is_spoken_over(scheme)),
                _ => None,
            };
            assert_eq!(Kind::of_scheme(scheme), only, "{scheme}");
        }
    }

    #[test]
    fn names_and_kinds_are_the_same() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Kind::named("sntp"), None);
        assert_eq!(Kind::default(), Kind::WebNtp);
    }

    #[test]
    fn the_stamp_is_in_the_body_or_in_the_head() {
        let stamp = "1893456001.285965";
        for kind in Kind::OVER_HTTP {
            let reading = read_stamp(kind, stamp, Rounding::Truncates).expect("it is well-formed");
            match reading.place {
                Place::Head => {
                    assert!(matches!(
                        kind,
                        Kind::HttpsTime | Kind::XTime | Kind::HttpDate
                    ));
                }
                Place::Body { end } => {
                    let (_, body) = reply(
                        kind,
                        kind.request(NOW, NONCE).resource.addition().unwrap_or("0"),
                        stamp,
                    );
                    assert!(body[..end].ends_with(stamp), "{kind:?}");
                }
            }
        }
    }

    #[test]
    fn a_date_is_believed_to_be_a_little_stale() {
        let second = Utc::from_secs(1_893_456_001);
        let at = |millis| second + Span::from_millis(millis);
        for (rounding, low, high) in [
            (Rounding::Truncates, 0, 1_020),
            (Rounding::Unknown, -500, 1_020),
            (Rounding::Rounds, -500, 520),
        ] {
            let reading = read_stamp(Kind::HttpDate, "", rounding).expect("it is well-formed");
            let expected = ServerBounds {
                departed_after: at(low),
                arrived_before: at(high),
            };
            assert_eq!(reading.server, expected, "{rounding:?}");
        }
    }

    #[test]
    fn a_server_that_is_unwilling_is_left_alone_for_long() {
        let refused = |kind: Kind, code, retry_after| {
            kind.judge(Refusal::Status { code, retry_after })
                .retry_after()
        };
        let minute = Some(Span::from_secs(60));
        for code in [400, 404, 405, 499] {
            assert_eq!(refused(Kind::HttpsTime, code, None), Some(UNWILLING_PAUSE));
            assert_eq!(refused(Kind::WebNtp, code, None), None);
        }
        assert_eq!(refused(Kind::HttpsTime, 429, minute), minute);
        assert_eq!(refused(Kind::HttpsTime, 503, None), None);
        assert_eq!(refused(Kind::HttpsTime, 503, minute), minute);
    }

    #[test]
    fn what_another_kind_says_is_no_reply() {
        let stamp = "1893456001.285965";
        for (kind, other) in [
            (Kind::WebNtp, Kind::HtpTime),
            (Kind::Nict, Kind::HttpsTime),
            (Kind::HtpTime, Kind::HttpsTime),
            (Kind::HttpsTime, Kind::XTime),
            (Kind::XTime, Kind::Text),
            (Kind::Text, Kind::HttpDate),
            (Kind::HttpDate, Kind::WebNtp),
        ] {
            let (fields, body) = reply(other, "0", stamp);
            let reading = read(kind, &fields, body.as_bytes(), Rounding::Unknown);
            assert!(reading.is_err(), "{kind:?}: {reading:?}");
        }
    }

    proptest! {
        #[test]
        fn the_servers_clock_is_never_outside(
            nanos in 1_893_456_001_000_000_000i64..1_893_456_002_000_000_000,
            digits in 0usize..=9,
            rounds: bool,
            nth in 0usize..Kind::OVER_HTTP.len(),
        ) {
            let kind = Kind::OVER_HTTP[nth];
            let clock = Utc::from_nanos(nanos);
            let half = Span::from_nanos(10i64.pow(9 - digits as u32) / 2);
            // The one Date that the replies here have is right for a second if it is cut off; milliseconds are cut
            // out of what stands there.
            let rounds = rounds && !matches!(kind, Kind::HttpDate | Kind::XTime);
            let digits = if kind == Kind::XTime { digits.max(3) } else { digits };
            let (shift, rounding) = match rounds {
                true => (half, Rounding::Rounds),
                false => (Span::ZERO, Rounding::Truncates),
            };
            let stamp = Fixed { instant: clock + shift, digits }.to_string();
            for rounding in [rounding, Rounding::Unknown] {
                let Ok(reading) = read_stamp(kind, &stamp, rounding) else {
                    prop_assert!(stamp.ends_with(".1000000"), "{}", stamp);
                    continue;
                };
                prop_assert!(reading.server.departed_after <= clock);
                prop_assert!(clock <= reading.server.arrived_before);
            }
        }

        #[test]
        fn no_bytes_panic(name in "(Date|X-HTTPSTIME|X-Time|Content-Length|.{0,5})", value: Vec<u8>, body: Vec<u8>) {
            for kind in Kind::ALL {
                let _ = kind.read(
                    &kind.request(NOW, NONCE),
                    &[(&name, &value[..]), ("Date", &value[..])],
                    &body,
                    Rounding::Unknown,
                    &Plausible::release(),
                );
            }
        }
    }
}
