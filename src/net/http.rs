//! Exchanges over HTTP/1.1 on a warm connection.
//!
//! In: a [`Request`]. Out: an [`Answer`], or why there is none. The body is read up to its limit and no
//! further. It follows no redirect (but says where the first one of a connection leads) and does not look
//! into the body, nor for time in the head.

use crate::net::answer::Answer;
use crate::net::connect::Connected;
use crate::net::deadline::Deadlines;
use crate::net::error::Error;
use crate::net::link::Link;
use crate::net::request::{self, check};
use crate::net::stream::Stamps;
use crate::net::target::Target;
use crate::protocol::BODY_LIMIT;
use crate::protocol::refusal::Refusal;
use crate::protocol::request::{Method, Request};
use hyper::http::response;
use std::sync::Arc;
use tokio::task::yield_now;

/// The client's end of an HTTP connection.
pub(super) struct Client {
    link: Link,
    stamps: Arc<Stamps>,
    target: Target,
    /// Has answered a request: it may close at any time from now on.
    warm: bool,
    /// Nothing of an exchange is left in it.
    whole: bool,
}

impl Client {
    pub(super) async fn new(connected: Connected, target: Target) -> Result<Self, Error> {
        Ok(Self {
            link: Link::new(connected.socket).await?,
            stamps: connected.stamps,
            target,
            warm: false,
            whole: true,
        })
    }

    /// Whether another exchange can follow.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    pub(super) async fn exchange(
        &mut self,
        request: &Request,
        deadlines: &Deadlines,
    ) -> Result<Answer, Error> {
        let warm = self.warm;
        self.whole = false;
        let stamps = Arc::clone(&self.stamps);
        stamps.arm();
        deadlines
            .reply(&stamps, self.ask(request))
            .await
            .map_err(|error| error.on_warm(warm))
    }

    async fn ask(&mut self, request: &Request) -> Result<Answer, Error> {
        let http = request::http(request, &self.target)?;
        self.link.ready().await?;
        // Lets the runtime look at its sockets: it learns only between two turns of a task that the
        // server has closed.
        yield_now().await;
        self.link.check_idle().await?;
        // What came so far (a session ticket) belongs to no exchange.
        self.stamps.arm();
        let (head, mut body) = self.link.send(http).await?.into_parts();
        let headed = self.stamps.last_read();
        let (Some(sent), Some(headed)) = (self.stamps.sent(), headed) else {
            return Err(Refusal::Unsolicited.into());
        };
        let checked = self.judge(&head, request);
        let mut answer = Answer::new(sent, headed, head.headers);
        while let Some(frame) = self.link.next_frame(&mut body).await? {
            let Ok(piece) = frame.into_data() else {
                continue; // trailers
            };
            if answer.body.len() + piece.len() > BODY_LIMIT {
                checked?;
                answer.body.extend_from_slice(&piece);
                return Err(Refusal::oversized(&answer.body).into());
            }
            answer.push(&piece, self.stamps.last_read().unwrap_or(headed));
        }
        match self.link.check_idle().await {
            Err(Error::Refused(_)) if request.method == Method::Head => {
                return Err(Refusal::BodyToHead.into());
            }
            Err(Error::Refused(_)) => return Err(Refusal::SecondReply.into()),
            idle => self.whole = idle.is_ok(),
        }
        self.warm = true;
        checked?;
        Ok(answer)
    }

    fn judge(&self, head: &response::Parts, request: &Request) -> Result<(), Error> {
        let refusal = match check(head.status.as_u16(), &head.headers) {
            Err(refusal @ Refusal::Redirect { .. }) if !self.warm => refusal,
            other => return Ok(other?),
        };
        match request::goal(head.status, &head.headers, &self.target, &request.resource) {
            Some(goal) => Err(Error::Moved {
                goal: Box::new(goal),
                refusal,
            }),
            None => Err(refusal.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Span;
    use crate::net::connect::connect;
    use crate::net::deadline::Phase;
    use crate::net::testing::{
        BODY, IT, Peer, accept, after_first_read, ask_once, ask_once_for, get, listen, ok, open,
        reply, serve, serve_always, short,
    };
    use crate::net::tls::Tls;
    use crate::protocol::excerpt::Excerpt;
    use crate::protocol::kind::Place;
    use crate::protocol::request::Resource;
    use crate::sys::clock;
    use tokio::io::AsyncWriteExt;

    async fn refusal(text: String) -> (Refusal, bool) {
        match ask_once(&serve_always(text).await).await {
            (Err(Error::Refused(refusal)), open) => (refusal, open),
            (other, _) => panic!("{other:?}"),
        }
    }

    /// A client whose stamps the server can see.
    async fn timed() -> (Client, Peer) {
        let (listener, url) = listen("http").await;
        let target = Target::new(url).unwrap();
        let (tls, deadlines) = (Tls::new(vec![]), Deadlines::default());
        let (connected, peer) = tokio::join!(connect(&target, &tls, &deadlines), accept(&listener));
        let client = Client::new(connected.unwrap(), target).await.unwrap();
        (client, peer)
    }

    #[tokio::test]
    async fn the_request_is_a_plain_get_of_the_url_with_our_time() {
        let (listener, mut url) = listen("http").await;
        url.set_query(Some("a=b"));
        let target = Target::new(url.clone()).unwrap();
        let server = async {
            let mut peer = accept(&listener).await;
            let request = peer.request().await.unwrap();
            peer.send(ok(BODY)).await;
            request
        };
        let ((answer, _), request) = tokio::join!(ask_once(&target), server);
        let authority = &target.authority;
        assert_eq!(
            request,
            format!(
                "GET /json?a=b&{IT} HTTP/1.1\r\nHost: {authority}\r\n\
                 User-Agent: webntpd/{}\r\nAccept: */*\r\n\r\n",
                env!("CARGO_PKG_VERSION")
            )
        );
        assert_eq!(answer.unwrap().body, BODY.as_bytes());
    }

    #[tokio::test]
    async fn a_warm_connection_serves_many_exchanges() {
        let target = serve_always(ok(BODY)).await;
        let mut connection = open(&target).await.unwrap();
        for _ in 0..3 {
            let before = clock::raw_now();
            let answer = connection
                .exchange(get(), &Deadlines::default())
                .await
                .unwrap();
            assert!(before <= answer.sent);
            assert!(answer.sent <= answer.received_through(0));
            assert!(answer.received_through(BODY.len()) <= clock::raw_now());
        }
    }

    #[tokio::test]
    async fn received_is_of_the_read_that_completed_the_digits() {
        let (mut client, mut peer) = timed().await;
        let stamps = Arc::clone(&client.stamps);
        let text = ok(BODY);
        let half = text.len() - 5;
        let server = async {
            peer.request().await.unwrap();
            peer.send(&text[..half]).await;
            let between = after_first_read(&stamps).await;
            peer.send(&text[half..]).await;
            between
        };
        let deadlines = Deadlines::default();
        let (answer, between) = tokio::join!(client.exchange(get(), &deadlines), server);
        let answer = answer.unwrap();
        assert!(answer.received_through(BODY.len()) >= between);
        assert!(answer.received_through(BODY.len() - 5) < between);
    }

    #[tokio::test]
    async fn a_head_has_come_with_the_read_that_completed_it() {
        let (mut client, mut peer) = timed().await;
        let stamps = Arc::clone(&client.stamps);
        let server = async {
            peer.request().await.unwrap();
            peer.send("HTTP/1.1 204 No Content\r\nX-Time: 7\r\n").await;
            let between = after_first_read(&stamps).await;
            peer.send("\r\n").await;
            between
        };
        let request = Request {
            method: Method::Head,
            ..get().clone()
        };
        let deadlines = Deadlines::default();
        let (answer, between) = tokio::join!(client.exchange(&request, &deadlines), server);
        assert!(answer.unwrap().received(Place::Head) >= between);
    }

    #[tokio::test]
    async fn a_1xx_is_no_reply() {
        let (mut client, mut peer) = timed().await;
        let stamps = Arc::clone(&client.stamps);
        let server = async {
            peer.request().await.unwrap();
            peer.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
                .await;
            let between = after_first_read(&stamps).await;
            peer.send(ok(BODY)).await;
            between
        };
        let deadlines = Deadlines::default();
        let (answer, between) = tokio::join!(client.exchange(get(), &deadlines), server);
        let answer = answer.unwrap();
        assert_eq!(answer.body, BODY.as_bytes());
        assert!(answer.received_through(0) >= between);
    }

    #[tokio::test]
    async fn a_refused_reply_that_was_read_to_its_end_leaves_the_connection_open() {
        for (text, expected) in [
            (
                reply("503 Busy", "Retry-After: 9\r\n", "later"),
                Refusal::Status {
                    code: 503,
                    retry_after: Some(Span::from_secs(9)),
                },
            ),
            (
                reply("302 Found", "Location: ftp://portal/\r\n", ""),
                Refusal::Redirect {
                    code: 302,
                    location: Excerpt::of(b"ftp://portal/"),
                },
            ),
            (reply("200 OK", "X-Cache: HIT\r\n", BODY), Refusal::CacheHit),
            (
                reply("200 OK", "Age: 7\r\n", BODY),
                Refusal::Aged {
                    age: Excerpt::of(b"7"),
                },
            ),
            (
                reply("200 OK", "Content-Encoding: gzip\r\n", BODY),
                Refusal::Coded {
                    coding: Excerpt::of(b"gzip"),
                },
            ),
        ] {
            assert_eq!(refusal(text).await, (expected, true));
        }
    }

    #[tokio::test]
    async fn a_reply_that_is_too_large_closes_the_connection() {
        let page = format!("<html>{}", " ".repeat(2000));
        assert_eq!(refusal(ok(&page)).await, (Refusal::Html, false));
        let blank = " ".repeat(BODY_LIMIT + 1);
        assert_eq!(refusal(ok(&blank)).await, (Refusal::BodyTooLarge, false));
        let missing = reply("404 Not Found", "", &page);
        let expected = Refusal::Status {
            code: 404,
            retry_after: None,
        };
        assert_eq!(refusal(missing).await, (expected, false));
        let full = " ".repeat(BODY_LIMIT);
        let (answer, open) = ask_once(&serve_always(ok(&full)).await).await;
        assert_eq!((answer.unwrap().body.len(), open), (BODY_LIMIT, true));
    }

    /// Sends `piece` again and again until the client closes; gives what was refused, and how many
    /// bytes were taken.
    async fn endless(beginning: &str, piece: &str) -> (Refusal, usize) {
        let (listener, url) = listen("http").await;
        let target = Target::new(url).unwrap();
        let server = async {
            let mut peer = accept(&listener).await;
            peer.request().await.unwrap();
            peer.send(beginning).await;
            let mut taken = 0;
            while let Ok(length) = peer.0.write(piece.as_bytes()).await {
                taken += length;
            }
            taken
        };
        let ((result, open), taken) = tokio::join!(ask_once(&target), server);
        assert!(!open);
        match result {
            Err(Error::Refused(refusal)) => (refusal, taken),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_body_of_256_mib_is_not_read() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n";
        let (refusal, taken) = endless(head, &"x".repeat(1 << 16)).await;
        assert_eq!(refusal, Refusal::BodyTooLarge);
        // What the buffers of the system swallow.
        assert!(taken < 32 << 20, "{taken}");
    }

    #[tokio::test]
    async fn an_endless_chunked_body_is_not_read() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(endless(head, "1\r\nx\r\n").await.0, Refusal::BodyTooLarge);
    }

    #[tokio::test]
    async fn an_endless_head_is_not_read() {
        let status = "HTTP/1.1 200 OK\r\n";
        let field = "X-Filler: 0123456789abcdef\r\n";
        assert_eq!(endless(status, field).await.0, Refusal::HeadTooLarge);
        let (status, letters) = ("HTTP/1.1 200 OK\r\nX-Filler: ", "x".repeat(1 << 16));
        let (refusal, taken) = endless(status, &letters).await;
        assert_eq!(refusal, Refusal::HeadTooLarge);
        assert!(taken < 32 << 20, "{taken}");
    }

    #[tokio::test]
    async fn what_is_not_http_is_told_so() {
        let (result, open) = ask_once(&serve_always("SSH-2.0-OpenSSH\r\n".into()).await).await;
        assert!(matches!(result, Err(Error::Http(_))), "{result:?}");
        assert!(!open);
    }

    async fn missed(beginning: &'static str, again: bool) -> Phase {
        let target = serve("http", move |mut peer: Peer| async move {
            peer.request().await.unwrap();
            peer.send(beginning).await;
            let mut pause = tokio::time::interval(Span::from_millis(5).to_duration());
            while again && peer.0.write_all(b"1").await.is_ok() {
                pause.tick().await;
            }
            peer.until_closed().await;
        })
        .await;
        let mut connection = open(&target).await.unwrap();
        // What is sent must be there in time, on a busy machine too.
        let deadlines = Deadlines {
            first_byte: if beginning.is_empty() {
                short().first_byte
            } else {
                Deadlines::default().first_byte
            },
            ..short()
        };
        let error = connection.exchange(get(), &deadlines).await.unwrap_err();
        assert!(!connection.is_open());
        match error {
            Error::Deadline { phase, .. } => phase,
            other => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn a_server_that_stalls_is_left_at_the_deadline() {
        assert_eq!(missed("", false).await, Phase::FirstByte);
        assert_eq!(missed("HTTP/1.1 200", false).await, Phase::Rest);
        assert_eq!(missed("HTTP/1.1 103 x\r\n\r\n", false).await, Phase::Rest);
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
        assert_eq!(missed(head, false).await, Phase::Rest);
        assert_eq!(missed(head, true).await, Phase::Rest);
    }

    #[tokio::test]
    async fn a_connection_closed_after_one_exchange_is_told_apart_and_a_new_one_works() {
        let (closed, mut is_closed) = tokio::sync::mpsc::unbounded_channel();
        let target = serve("http", move |mut peer: Peer| {
            let closed = closed.clone();
            async move {
                peer.request().await.unwrap();
                peer.send(ok(BODY)).await;
                drop(peer);
                closed.send(()).unwrap();
            }
        })
        .await;
        for _ in 0..2 {
            let mut connection = open(&target).await.unwrap();
            let deadlines = Deadlines::default();
            connection.exchange(get(), &deadlines).await.unwrap();
            is_closed.recv().await.unwrap();
            let error = connection.exchange(get(), &deadlines).await.unwrap_err();
            assert!(matches!(error, Error::Closed), "{error}");
            assert!(!connection.is_open());
        }
    }

    #[tokio::test]
    async fn a_request_left_unanswered_is_blamed_only_on_a_fresh_connection() {
        for (replies, warm) in [(0, false), (1, true)] {
            let target = serve("http", move |mut peer: Peer| async move {
                for _ in 0..replies {
                    peer.request().await.unwrap();
                    peer.send(ok(BODY)).await;
                }
                peer.request().await.unwrap();
            })
            .await;
            let mut connection = open(&target).await.unwrap();
            let deadlines = Deadlines::default();
            for _ in 0..replies {
                connection.exchange(get(), &deadlines).await.unwrap();
            }
            let error = connection.exchange(get(), &deadlines).await.unwrap_err();
            assert_eq!(matches!(error, Error::Closed), warm, "{error}");
            assert_eq!(matches!(error, Error::HungUp), !warm, "{error}");
        }
    }

    #[tokio::test]
    async fn a_server_that_says_it_closes_is_believed() {
        let text = reply("200 OK", "Connection: close\r\n", BODY);
        let (answer, open) = ask_once(&serve_always(text).await).await;
        assert!(answer.is_ok() && !open);
    }

    #[tokio::test]
    async fn two_replies_to_one_request_are_refused() {
        let twice = ok(BODY) + &ok(BODY);
        assert_eq!(refusal(twice).await, (Refusal::SecondReply, false));
    }

    #[tokio::test]
    async fn a_reply_to_no_request_is_refused() {
        let (mut client, mut peer) = timed().await;
        let deadlines = Deadlines::default();
        let server = async {
            peer.request().await.unwrap();
            peer.send(ok(BODY)).await;
        };
        let (answer, ()) = tokio::join!(client.exchange(get(), &deadlines), server);
        answer.unwrap();
        peer.send(ok(BODY)).await;
        let error = client.exchange(get(), &deadlines).await.unwrap_err();
        let refused = matches!(error, Error::Refused(Refusal::Unsolicited));
        assert!(refused, "{error}");
    }

    #[tokio::test]
    async fn an_exchange_that_is_given_up_closes_the_connection() {
        let (listener, url) = listen("http").await;
        let target = Target::new(url).unwrap();
        let (connection, mut peer) = tokio::join!(open(&target), accept(&listener));
        let mut connection = connection.unwrap();
        let deadlines = Deadlines::default();
        tokio::select! {
            _ = connection.exchange(get(), &deadlines) => panic!("nobody answers"),
            request = peer.request() => assert!(request.is_some()),
        }
        assert!(!connection.is_open());
        peer.until_closed().await;
        let error = connection.exchange(get(), &deadlines).await.unwrap_err();
        assert!(matches!(error, Error::Closed), "{error}");
    }

    #[tokio::test]
    async fn what_cannot_stand_in_a_request_is_no_panic() {
        let target = serve_always(ok(BODY)).await;
        let request = Request {
            resource: Resource::UrlWith("1\r\n".into()),
            ..get().clone()
        };
        let (result, _) = ask_once_for(&request, &target).await;
        assert!(matches!(result, Err(Error::Io(_))));
    }
}
