//! From a request as data to one that HTTP can carry, and from a redirect to where it leads.
//!
//! In: a [`Request`] and the [`Target`] that it is for; the head of a reply. Out: what hyper sends; a
//! verdict. It sends nothing itself.

use crate::net::error::Error;
use crate::net::target::Target;
use crate::protocol::head::check_head;
use crate::protocol::refusal::Refusal;
use crate::protocol::request::{self, Request, Resource};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{ACCEPT, HOST, HeaderMap, LOCATION, USER_AGENT};
use hyper::http::request::Builder;
use hyper::{Method, StatusCode};
use std::io;

/// What we call ourselves to servers.
const AGENT: &str = concat!("webntpd/", env!("CARGO_PKG_VERSION"));

/// `request` as HTTP.
pub(super) fn http(
    request: &Request,
    target: &Target,
) -> Result<hyper::Request<Empty<Bytes>>, Error> {
    let method = match request.method {
        request::Method::Get => Method::GET,
        request::Method::Head => Method::HEAD,
    };
    request
        .headers
        .iter()
        .fold(
            begin(target, method, &target.path_for(&request.resource)),
            |builder, (name, value)| builder.header(*name, *value),
        )
        .body(Empty::new())
        .map_err(|error| Error::Io(io::Error::new(io::ErrorKind::InvalidInput, error)))
}

/// A request for `path`, with the headers that all have in common. Nothing invites a coding.
pub(super) fn begin(target: &Target, method: Method, path: &str) -> Builder {
    hyper::Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, &target.authority)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "*/*")
}

/// Judges the head of a reply.
pub(super) fn check(status: u16, headers: &HeaderMap) -> Result<(), Refusal> {
    let fields = headers.iter();
    check_head(
        status,
        fields.map(|(name, value)| (name.as_str(), value.as_bytes())),
    )
}

/// Where the reply to a request for `resource` at `target` leads, if it is a redirect that may be followed.
pub(super) fn goal(
    status: StatusCode,
    headers: &HeaderMap,
    target: &Target,
    resource: &Resource,
) -> Option<Target> {
    // RFC 9110 §15.4: the other 3xx lead nowhere by themselves.
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let mut locations = headers.get_all(LOCATION).iter();
    let (Some(location), None) = (locations.next(), locations.next()) else {
        return None;
    };
    target.redirected(location.to_str().ok()?, resource)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Deadlines;
    use crate::net::testing::{
        BODY, Peer, accept, ask_once, ask_once_for, get, listen, ok, open, reply, serve,
        serve_always,
    };
    use crate::protocol::kind::Place;
    use crate::sys::clock;

    const HEAD: Request = Request {
        method: request::Method::Head,
        resource: Resource::Path("/time"),
        headers: &[("Cache-Control", "no-cache")],
    };

    #[tokio::test]
    async fn only_the_first_redirect_of_a_connection_tells_where_it_leads() {
        let found = reply("302 Found", "Location: https://g/time\r\n", "");
        let target = serve_always(found.clone()).await;
        match ask_once(&target).await.0 {
            Err(Error::Moved { goal, refusal }) => {
                assert_eq!(goal.url().as_str(), "https://g/time");
                assert!(matches!(refusal, Refusal::Redirect { code: 302, .. }));
            }
            other => panic!("{other:?}"),
        }
        let target = serve("http", move |mut peer: Peer| {
            let found = found.clone();
            async move {
                for text in [ok(BODY), found] {
                    peer.request().await.unwrap();
                    peer.send(text).await;
                }
                peer.until_closed().await;
            }
        })
        .await;
        let mut connection = open(&target).await.unwrap();
        let deadlines = Deadlines::default();
        connection.exchange(get(), &deadlines).await.unwrap();
        let error = connection.exchange(get(), &deadlines).await.unwrap_err();
        assert!(
            matches!(error, Error::Refused(Refusal::Redirect { .. })),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_redirect_without_one_goal_leads_nowhere() {
        let twice = "Location: http://a/\r\nLocation: http://b/\r\n";
        for (status, headers) in [
            ("302 Found", twice),
            ("302 Found", "Location: \x01\r\n"),
            ("304 Not Modified", "Location: http://a/\r\n"),
            ("300 Multiple Choices", "Location: http://a/\r\n"),
            ("302 Found", ""),
        ] {
            let (result, _) = ask_once(&serve_always(reply(status, headers, "")).await).await;
            assert!(
                matches!(result, Err(Error::Refused(_) | Error::Http(_))),
                "{headers}: {result:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_head_is_asked_for_and_its_fields_come_back() {
        let (listener, url) = listen("http").await;
        let target = Target::new(url).unwrap();
        let server = async {
            let mut peer = accept(&listener).await;
            let request = peer.request().await.unwrap();
            // What a GET would have got has a length; none of it comes.
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 77\r\nX-Time: 7\r\nx-time: 8\r\n\r\n")
                .await;
            request
        };
        let ((answer, _), request) = tokio::join!(ask_once_for(&HEAD, &target), server);
        assert_eq!(
            request,
            format!(
                "HEAD /time HTTP/1.1\r\nHost: {}\r\nUser-Agent: webntpd/{}\r\nAccept: */*\r\n\
                 Cache-Control: no-cache\r\n\r\n",
                target.authority,
                env!("CARGO_PKG_VERSION")
            )
        );
        let answer = answer.unwrap();
        let times: Vec<_> = answer
            .fields()
            .into_iter()
            .filter(|(name, _)| *name == "x-time")
            .collect();
        assert_eq!(times, [("x-time", &b"7"[..]), ("x-time", b"8")]);
        assert!(answer.body.is_empty());
    }

    #[tokio::test]
    async fn heads_with_and_without_content_keep_the_connection_warm() {
        for text in [
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            let target = serve_always(text.into()).await;
            let mut connection = open(&target).await.unwrap();
            for _ in 0..3 {
                let before = clock::raw_now();
                let answer = connection
                    .exchange(&HEAD, &Deadlines::default())
                    .await
                    .unwrap();
                assert!(before <= answer.sent && answer.sent <= answer.received(Place::Head));
            }
            assert!(connection.is_open());
        }
    }

    #[tokio::test]
    async fn a_body_behind_a_head_that_was_asked_for_is_refused() {
        let target = serve_always(ok(BODY)).await;
        let (result, open) = ask_once_for(&HEAD, &target).await;
        assert!(
            matches!(result, Err(Error::Refused(Refusal::BodyToHead))),
            "{result:?}"
        );
        assert!(!open);
    }
}
