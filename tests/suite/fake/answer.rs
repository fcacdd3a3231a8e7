//! What is answered to which request, in each dialect.
//!
//! In: requests that have arrived, the clock. Out: stamps, replies. Not: bytes on the wire, nor when they leave.

use super::clock::{Clock, SECOND_NS};
use super::dialect::Dialect;
use super::fault::Fault;
use super::http::Request;
use super::json::Body;
use super::reply::Reply;
use super::{Setup, Shared};

/// Where X-HTTPSTIME lives (Kamp, 2015).
const WELL_KNOWN: &str = "/.well-known/time";
/// What a web server has to say.
const PAGE: &str = "<!DOCTYPE html><html><head><title>It works</title></head></html>\n";
/// What comes before the time where a proxy tells of its visitor.
const TRACE: &str = "fl=123f45\nh=fake.test\nip=192.0.2.1\n";
/// How far the second stamp is off where a fault has two.
const APART_NS: i64 = 3600 * SECOND_NS;

/// A request that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The query, or the text of a frame.
    pub(super) it: String,
    /// None for a frame.
    pub(super) request: Option<Request>,
    pub(super) read_raw_ns: i64,
    pub(super) arrived_raw_ns: i64,
}

/// A reading of the clock as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) raw_ns: i64,
    /// One stamp, unless a fault has none or two of them.
    pub(super) stamps: Vec<String>,
}

impl Shown {
    /// To make what leaves before the clock is read; whatever precedes the first stamp is right in it.
    pub(super) fn draft(fault: Option<&Fault>) -> Self {
        let zero = || "0".to_owned();
        Self {
            raw_ns: 0,
            stamps: fault.map_or_else(|| vec![zero()], |fault| fault.stamps(zero(), zero)),
        }
    }

    /// The stamp that counts; empty where there is none.
    pub(super) fn first(&self) -> String {
        self.stamps.first().cloned().unwrap_or_default()
    }
}

/// Reads the clock, or the cache in its place, and shows it as the dialect, the face and the fault have it.
pub(super) fn stamp<C: Clock>(setup: &Setup<C>, shared: &Shared, fault: Option<&Fault>) -> Shown {
    let mut shown = shared.shown.lock().expect("nobody panics while holding it");
    let now = shared.steering.read(&setup.clock);
    let reading = match (*shown, setup.face.cached) {
        (Some(old), Some(period))
            if i128::from(now.raw_ns - old.raw_ns) < period.as_nanos().cast_signed() =>
        {
            old
        }
        _ => now,
    };
    *shown = Some(reading);
    let show = |utc_ns| setup.dialect.show(setup.face, utc_ns);
    let honest = show(fault.and_then(Fault::time).unwrap_or(reading.utc_ns));
    let stamps = match fault {
        None => vec![honest],
        Some(fault) => fault.stamps(honest, || show(reading.utc_ns + APART_NS)),
    };
    Shown {
        raw_ns: reading.raw_ns,
        stamps,
    }
}

/// The reply to a request.
pub(super) fn compose<C>(
    setup: &Setup<C>,
    request: &Request,
    it: &str,
    shown: &Shown,
    fault: Option<&Fault>,
) -> Reply {
    let reply = match (setup.dialect, request.method.as_str()) {
        (Dialect::HttpDate, "GET" | "HEAD") => dated(setup, shown, fault),
        (Dialect::HttpsTime, "GET") if !setup.https_time.get => Reply::empty(405),
        (Dialect::HttpsTime, "GET" | "HEAD") => https_time(setup, request, shown, fault, 404),
        (Dialect::WebNtp, "HEAD") => https_time(setup, request, shown, fault, 405),
        (Dialect::XTime, "GET" | "HEAD") => x_time(shown, setup.dialect, fault),
        (Dialect::Text | Dialect::Iso | Dialect::Trace, "GET") => {
            let body = text(setup.dialect, shown, fault);
            Reply::with_body(setup.http.status, "text/plain", body)
        }
        (Dialect::WebNtp | Dialect::Nict | Dialect::HtpTime, "GET") => {
            let id = request.header("host").unwrap_or_default();
            let body = json(setup, id, it, shown, fault);
            Reply::with_body(setup.http.status, "application/json; charset=utf-8", body)
        }
        _ => Reply::empty(405),
    };
    let reply = Reply {
        head_only: request.method == "HEAD",
        ..reply
    };
    let mut reply = match fault {
        Some(fault) => reply.spoilt_by(fault),
        None => reply,
    };
    if reply.status != 204 {
        // With no body at all it would last until the connection ends.
        reply.body.get_or_insert_default();
    }
    reply
}

/// The JSON; nothing, as real servers have it, if the question is echoed and was no number.
pub(super) fn json<C>(
    setup: &Setup<C>,
    id: &str,
    it: &str,
    shown: &Shown,
    fault: Option<&Fault>,
) -> Body {
    let members = setup.dialect.members();
    let echo = match setup.json.echo(it) {
        Some(echo) => echo,
        None if setup.dialect.echoes() => return Body::default(),
        None => String::new(),
    };
    let render = |echo: &str| setup.json.render(members, id, echo, &shown.stamps);
    match fault {
        None => render(&echo),
        Some(fault) => fault.body(render(&fault.it(echo)), setup.dialect),
    }
}

/// A page, and when it was made.
fn dated<C>(setup: &Setup<C>, shown: &Shown, fault: Option<&Fault>) -> Reply {
    let page = Body {
        text: PAGE.to_owned(),
        stamp: None,
    };
    let tail = fault.map_or("", |fault| fault.tail(setup.dialect));
    Reply {
        body: Some(page),
        ..Reply::bare(setup.http.status).stamped("Date", &shown.stamps, tail)
    }
    .header("Content-Type", "text/html; charset=utf-8")
}

/// X-Time and nothing else.
fn x_time(shown: &Shown, dialect: Dialect, fault: Option<&Fault>) -> Reply {
    let tail = fault.map_or("", |fault| fault.tail(dialect));
    Reply::bare(204).stamped("X-Time", &shown.stamps, tail)
}

/// A text with the stamps in it, if there are any.
fn text(dialect: Dialect, shown: &Shown, fault: Option<&Fault>) -> Body {
    if fault == Some(&Fault::EmptyBody) {
        return Body::default();
    }
    let tail = fault.map_or("", |fault| fault.tail(dialect));
    let (before, name, after) = match dialect {
        Dialect::Trace => (TRACE, "ts=", "visit_scheme=http\nuag=a=b ts=1\n"),
        _ => ("", "", ""),
    };
    let mut body = Body {
        text: before.to_owned(),
        stamp: None,
    };
    for stamp in &shown.stamps {
        body.text.push_str(name);
        let start = body.text.len();
        body.text.push_str(stamp);
        body.stamp.get_or_insert(start..body.text.len());
        body.text.push_str(&format!("{tail}\n"));
    }
    if shown.stamps.is_empty() && before.is_empty() {
        body.text.push_str("unknown\n");
    }
    body.text.push_str(after);
    body
}

/// X-HTTPSTIME, or the body in its place.
fn https_time<C>(
    setup: &Setup<C>,
    request: &Request,
    shown: &Shown,
    fault: Option<&Fault>,
    elsewhere: u16,
) -> Reply {
    let shape = &setup.https_time;
    let tail = fault.map_or("", |fault| fault.tail(setup.dialect));
    if !shape.everywhere && request.path != WELL_KNOWN {
        return Reply::empty(elsewhere);
    }
    if shape.in_body {
        let stamp = shown.first();
        let body = Body {
            stamp: (!stamp.is_empty()).then_some(0..stamp.len()),
            text: format!("{stamp}{tail}\n"),
        };
        return Reply::with_body(shape.status, "text/plain; charset=utf-8", body);
    }
    Reply {
        // A 204 has no body, and tells no length (RFC 9110 §8.6).
        body: (shape.status != 204).then(Body::default),
        ..Reply::bare(shape.status).stamped(shape.name, &shown.stamps, tail)
    }
}
