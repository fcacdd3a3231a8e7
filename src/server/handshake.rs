//! Whether a request becomes a WebSocket: RFC 6455 §4.2, from the server's side.
//!
//! In: a request that asks for it. Out: 101, or the refusal that says why. A page from elsewhere may
//! not open a WebSocket (its `Origin` must be our own) unless that was allowed: a browser would ask in
//! its visitor's name.

use super::reply::Reply;
use crate::protocol::webntp::SUBPROTOCOL;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use url::Url;

/// The only version that RFC 6455 knows.
const VERSION: HeaderValue = HeaderValue::from_static("13");
/// 16 bytes in base64.
const KEY_LENGTH: usize = 24;

/// Whether the client asks for a WebSocket at all. Offers of anything else may be ignored, RFC 9110 §7.8.
pub(super) fn is_wanted<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && lists(request.headers(), CONNECTION, "upgrade")
        && lists(request.headers(), UPGRADE, "websocket")
}

/// The response to a request that [`is_wanted`], made to `host`; with `cross_origin`, from whatever page.
pub(super) fn answer<B>(request: &Request<B>, host: &str, cross_origin: bool) -> Response<Reply> {
    let headers = request.headers();
    let mut response = Response::new(Reply::empty());
    if headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        let offer = [
            (SEC_WEBSOCKET_VERSION, VERSION),
            (CONNECTION, HeaderValue::from_static("upgrade")),
            (UPGRADE, HeaderValue::from_static("websocket")),
        ];
        response.headers_mut().extend(offer);
        return response;
    }
    let accept = headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == KEY_LENGTH)
        .and_then(|key| HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok());
    let Some(accept) = accept else {
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    };
    if !cross_origin && !headers.get_all(ORIGIN).iter().all(|o| is_same(o, host)) {
        *response.status_mut() = StatusCode::FORBIDDEN;
        return response;
    }
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let agreed = [
        (SEC_WEBSOCKET_ACCEPT, accept),
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
    ];
    response.headers_mut().extend(agreed);
    // Browsers close a connection on which what they offered is not taken up.
    if lists(headers, SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        let taken = HeaderValue::from_static(SUBPROTOCOL);
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, taken);
    }
    response
}

/// Whether an `Origin` is that of pages from `host`. The scheme is the page's: behind a proxy that does
/// the TLS we cannot know ours, and it decides only which port may go unsaid.
fn is_same(origin: &HeaderValue, host: &str) -> bool {
    let Some(page) = origin.to_str().ok().and_then(|text| Url::parse(text).ok()) else {
        return false;
    };
    // The origin of a scheme that has no hosts equals nothing, not even itself.
    Url::parse(&format!("{}://{host}", page.scheme()))
        .is_ok_and(|ours| page.origin() == ours.origin())
}

/// Whether a comma-separated header, on as many lines as it likes, has `wanted` in any case.
fn lists(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder()
            .header("Connection", "keep-alive, Upgrade")
            .header("Upgrade", "WebSocket");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    const GOOD: [(&str, &str); 2] = [
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn the_rfcs_example_is_answered_as_in_the_rfc() {
        let response = answer(&request(&GOOD), "server.example.com", false);
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(
            response.headers()[SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert!(!response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn the_subprotocol_is_echoed_when_it_was_offered() {
        let offers = [
            &["webntp.shogo82148.com"][..],
            &["chat, webntp.shogo82148.com"],
            &["chat", "webntp.shogo82148.com,x"],
        ];
        for offer in offers {
            let mut headers = GOOD.to_vec();
            headers.extend(offer.iter().map(|o| ("Sec-WebSocket-Protocol", *o)));
            let response = answer(&request(&headers), "h", false);
            assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], SUBPROTOCOL);
        }
        let headers = [&GOOD[..], &[("Sec-WebSocket-Protocol", "chat")]].concat();
        let response = answer(&request(&headers), "h", false);
        assert!(!response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn another_version_is_told_ours() {
        for version in [&[][..], &[("Sec-WebSocket-Version", "8")]] {
            let response = answer(&request(&[version, &GOOD[1..]].concat()), "h", false);
            assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
            assert_eq!(response.headers()[SEC_WEBSOCKET_VERSION], "13");
        }
    }

    #[test]
    fn a_key_that_is_none_is_a_bad_request() {
        for key in [&[][..], &[("Sec-WebSocket-Key", "short")]] {
            let response = answer(&request(&[key, &GOOD[..1]].concat()), "h", false);
            assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn only_a_websocket_upgrade_by_get_is_one() {
        assert!(is_wanted(&request(&[])));
        let mut post = request(&[]);
        *post.method_mut() = Method::POST;
        let mut old = request(&[]);
        *old.version_mut() = Version::HTTP_10;
        let mut h2c = request(&[]);
        h2c.headers_mut()
            .insert(UPGRADE, HeaderValue::from_static("h2c"));
        let mut kept = request(&[]);
        kept.headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        for request in [post, old, h2c, kept, Request::new(())] {
            assert!(!is_wanted(&request), "{request:?}");
        }
    }

    #[test]
    fn a_foreign_origin_is_forbidden_and_our_own_is_not() {
        for (origin, host, same) in [
            ("http://localhost:8080", "localhost:8080", true),
            ("http://LocalHost:8080", "localhost:8080", true),
            ("https://example.com", "example.com", true),
            ("https://example.com", "example.com:443", true),
            ("http://example.com", "example.com:80", true),
            ("http://[::1]:8080", "[::1]:8080", true),
            ("http://localhost:8081", "localhost:8080", false),
            ("https://example.com", "example.com:80", false),
            ("https://evil.example", "example.com", false),
            ("https://example.com.evil.example", "example.com", false),
            ("chrome-extension://abc", "abc", false),
            ("null", "example.com", false),
            ("", "", false),
            ("http://example.com", "", false),
        ] {
            let headers = [&GOOD[..], &[("Origin", origin)]].concat();
            let status = answer(&request(&headers), host, false).status();
            assert_eq!(status == 101, same, "{origin} on {host}: {status}");
            assert!(same || status == 403);
            let status = answer(&request(&headers), host, true).status();
            assert_eq!(status, 101, "{origin} on {host}, allowed");
        }
        let both = [
            ("Origin", "https://example.com"),
            ("Origin", "https://evil.example"),
        ];
        let headers = [&GOOD[..], &both].concat();
        assert_eq!(
            answer(&request(&headers), "example.com", false).status(),
            403
        );
    }
}
