//! From a request to its response.
//!
//! Stamps are taken at the last moment: that of a header when everything else of the response is
//! there, that of the JSON when the connection asks for the body (see [`Reply`]).

use super::reply::{DIGITS, Reply};
use super::{Service, handshake};
use crate::engine::time::Utc;
use crate::protocol::decimal::Fixed;
use hyper::body::Body;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, DATE, HOST,
    HeaderName, HeaderValue,
};
use hyper::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

/// Where a client asks for the time alone: IANA's well-known URI "time".
const WELL_KNOWN: &str = "/.well-known/time";
/// Time over HTTPS, Kamp 2015.
const X_HTTPSTIME: HeaderName = HeaderName::from_static("x-httpstime");
/// Longest body of a request that is put up with, in bytes. It is never looked at.
const MAX_BODY: u64 = 1024;

/// The response to `request`, which was made to `host` (see [`host`]). Status 101 makes it a WebSocket.
pub(super) fn answer<B: Body>(
    request: &Request<B>,
    host: &str,
    service: &Service,
) -> Response<Reply> {
    let clock = service.clock;
    let mut response = if request.body().size_hint().lower() > MAX_BODY {
        let mut response = empty(StatusCode::PAYLOAD_TOO_LARGE);
        // What follows on this connection is the body.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
        response
    } else if handshake::is_wanted(request) {
        handshake::answer(request, host, service.cross_origin)
    } else if request.method() == Method::GET {
        let sent = request.uri().query().unwrap_or_default();
        let json = service.json(host, sent.as_bytes());
        let mut response = Response::new(Reply::json(json, clock));
        response.headers_mut().extend([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            // The time is no secret. A WebSocket is stricter: it can be kept open at a visitor's cost.
            (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        ]);
        response
    } else if request.method() == Method::HEAD {
        empty(if request.uri().path() == WELL_KNOWN {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::OK
        })
    } else {
        let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        response
    };
    // A stored reply is a wrong one.
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Room for all: the map shall not grow between the stamp and the end.
    headers.reserve(2);
    if let Some(date) = date(clock.now()) {
        headers.insert(DATE, date);
    }
    if request.method() == Method::HEAD {
        let stamp = Fixed {
            instant: clock.now(),
            digits: DIGITS,
        };
        if let Ok(stamp) = HeaderValue::try_from(stamp.to_string()) {
            headers.insert(X_HTTPSTIME, stamp);
        }
    }
    response
}

/// The Host that was asked for: that of the request's URI before that of the header, RFC 9112 §3.2.2;
/// empty when there is none. It is the peer's text, anything may be in it.
pub(super) fn host<B>(request: &Request<B>) -> String {
    let named = request.headers().get(HOST);
    match (request.uri().authority(), named) {
        (Some(authority), _) => authority.as_str().to_owned(),
        (_, Some(host)) => String::from_utf8_lossy(host.as_bytes()).into_owned(),
        (None, None) => String::new(),
    }
}

/// `Date` by the clock that we serve: hyper's own is read from the system clock, and kept for a while.
fn date(now: Utc) -> Option<HeaderValue> {
    let time = Timestamp::from_nanosecond(now.as_nanos().into()).ok()?;
    let date = DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&time)
        .ok()?;
    HeaderValue::try_from(date).ok()
}

fn empty(status: StatusCode) -> Response<Reply> {
    let mut response = Response::new(Reply::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Span;
    use crate::protocol::decimal::DecimalSeconds;
    use crate::server::ServerClock;
    use http_body_util::Full;

    fn asked(method: &str, uri: &str, body: &'static [u8]) -> Response<Reply> {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Full::new(body))
            .unwrap();
        answer(&request, &host(&request), &Service::default())
    }

    #[test]
    fn head_tells_the_time_on_any_path_and_has_no_content_on_the_well_known_one() {
        for (path, status) in [("/.well-known/time", 204), ("/", 200), ("/any?x", 200)] {
            let before = ServerClock::default().now();
            let response = asked("HEAD", path, b"");
            let after = ServerClock::default().now();
            assert_eq!(response.status(), status, "{path}");
            let stamp = DecimalSeconds::parse(response.headers()[X_HTTPSTIME].as_bytes()).unwrap();
            assert_eq!(stamp.resolution, Span::from_micros(1));
            assert!(before < stamp.instant + stamp.resolution && stamp.instant <= after);
        }
    }

    #[test]
    fn other_methods_are_told_which_there_are() {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
            let response = asked(method, "/", b"");
            assert_eq!(response.status(), 405);
            assert_eq!(response.headers()[ALLOW], "GET, HEAD");
        }
    }

    #[test]
    fn a_large_body_is_refused_and_a_small_one_ignored() {
        assert_eq!(asked("GET", "/", &[b'x'; 1024]).status(), 200);
        assert_eq!(asked("GET", "/", &[b'x'; 1025]).status(), 413);
    }

    #[test]
    fn no_response_may_be_stored_and_all_are_dated() {
        for method in ["GET", "HEAD", "POST"] {
            let response = asked(method, "/", b"");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            assert!(response.headers().contains_key(DATE));
        }
    }

    #[test]
    fn the_date_is_cut_off_to_the_second() {
        let now = Utc::from_nanos(784_111_777_999_999_999);
        assert_eq!(date(now).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn the_host_of_the_uri_comes_before_that_of_the_header() {
        let with = |uri: &str| {
            let request = Request::builder().uri(uri).header(HOST, "header.example");
            host(&request.body(()).unwrap())
        };
        assert_eq!(with("http://uri.example:80/"), "uri.example:80");
        assert_eq!(with("/"), "header.example");
        assert_eq!(host(&Request::new(())), "");
    }
}
