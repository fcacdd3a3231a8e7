//! Exchanges over WebSocket on a warm connection: a text frame out, a text frame back.
//!
//! In: a [`Request`], of which the text that it adds to the URL is sent. Out: an [`Answer`], or why there is none. Anything that is not the one text that answers
//! the request finishes the connection: what came could not be told from the next reply. Pings are
//! answered. It does not look into the text.

use crate::net::answer::Answer;
use crate::net::connect::{Connected, Socket};
use crate::net::deadline::{Deadlines, Phase};
use crate::net::error::Error;
use crate::net::stream::Stamps;
use crate::net::target::Target;
use crate::net::upgrade::upgrade;
use crate::protocol::BODY_LIMIT;
use crate::protocol::excerpt::Excerpt;
use crate::protocol::refusal::Refusal;
use crate::protocol::request::Request;
use futures_util::{FutureExt, SinkExt, StreamExt};
use hyper::HeaderMap;
use std::io;
use std::sync::Arc;
use tokio::task::coop::has_budget_remaining;
use tokio::task::yield_now;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message, error::ProtocolError};

/// Frames without an answer (pings, mostly) that may wait between two exchanges. At one a second this
/// is more than the longest poll.
const IDLE_LIMIT: usize = 4096;

/// The client's end of a WebSocket.
pub(super) struct Client {
    socket: WebSocketStream<Box<dyn Socket>>,
    stamps: Arc<Stamps>,
    /// Has answered a request: it may close at any time from now on.
    warm: bool,
    /// Nothing of an exchange is left in it.
    whole: bool,
}

impl Client {
    pub(super) async fn new(
        connected: Connected,
        target: &Target,
        deadlines: &Deadlines,
    ) -> Result<Self, Error> {
        let stamps = Arc::clone(&connected.stamps);
        let (socket, rest) = deadlines
            .within(Phase::Upgrade, upgrade(connected, target))
            .await??;
        let config = WebSocketConfig::default()
            .read_buffer_size(1024)
            .write_buffer_size(0)
            .max_write_buffer_size(4096)
            .max_message_size(Some(BODY_LIMIT))
            .max_frame_size(Some(BODY_LIMIT));
        let rest = rest.to_vec();
        Ok(Self {
            socket: WebSocketStream::from_partially_read(socket, rest, Role::Client, Some(config))
                .await,
            stamps,
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
        let text = request.resource.addition().ok_or_else(|| {
            let what = "a request without a text cannot go over a WebSocket";
            Error::Io(io::Error::new(io::ErrorKind::InvalidInput, what))
        })?;
        let warm = self.warm;
        self.whole = false;
        let stamps = Arc::clone(&self.stamps);
        stamps.arm();
        let mut answer = deadlines
            .reply(&stamps, self.ask(text))
            .await
            .map_err(|error| error.on_warm(warm))?;
        answer.may_greet = !warm;
        self.whole = true;
        self.warm = true;
        Ok(answer)
    }

    async fn ask(&mut self, question: &str) -> Result<Answer, Error> {
        self.drain(Refusal::Unsolicited).await?;
        self.socket.flush().await.map_err(error_of)?;
        // What came so far belongs to no exchange.
        self.stamps.arm();
        self.socket
            .send(Message::text(question))
            .await
            .map_err(error_of)?;
        let text = loop {
            match content(self.socket.next().await)? {
                Some(Message::Text(text)) => break text,
                Some(_) => return Err(Refusal::BinaryFrame.into()),
                None => {}
            }
        };
        let (Some(sent), Some(received)) = (self.stamps.sent(), self.stamps.last_read()) else {
            return Err(Refusal::Unsolicited.into());
        };
        // If it is closed behind the reply, the next exchange will find out.
        if let Err(Error::Refused(refusal)) = self.drain(Refusal::SecondReply).await {
            return Err(refusal.into());
        }
        let mut answer = Answer::new(sent, received, HeaderMap::new());
        answer.push(text.as_bytes(), received);
        Ok(answer)
    }

    /// Reads what is here already, without waiting. A message that answers nothing is refused as told.
    async fn drain(&mut self, unasked: Refusal) -> Result<(), Error> {
        for _ in 0..IDLE_LIMIT {
            // Lets the runtime look at its sockets, since it learns of new bytes only between two turns of a task; and begins
            // a new turn with a budget of reads, which bounds how long a flood of frames can keep us here.
            yield_now().await;
            let Some(next) = self.socket.next().now_or_never() else {
                // Nothing there, or so much that the budget was spent on it.
                return if has_budget_remaining() {
                    Ok(())
                } else {
                    Err(unasked.into())
                };
            };
            if content(next)?.is_some() {
                break;
            }
        }
        Err(unasked.into())
    }
}

/// The text or binary message that came; none for control frames.
fn content(next: Option<Result<Message, tungstenite::Error>>) -> Result<Option<Message>, Error> {
    match next {
        Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => Ok(Some(message)),
        Some(Ok(Message::Close(_))) | None => Err(Error::HungUp),
        Some(Ok(_)) => Ok(None),
        Some(Err(error)) => Err(error_of(error)),
    }
}

fn error_of(error: tungstenite::Error) -> Error {
    use tungstenite::Error::{AlreadyClosed, Capacity, ConnectionClosed, Io, Protocol, Utf8};
    match error {
        ConnectionClosed
        | AlreadyClosed
        | Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing) => {
            Error::HungUp
        }
        Io(error) => Error::of_io(&error),
        Capacity(_) => Refusal::FrameTooLarge.into(),
        Utf8(_) => Refusal::NotText.into(),
        other => Error::WebSocket(Excerpt::of(other.to_string().as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Connection;
    use crate::net::connect::connect;
    use crate::net::testing::{
        BODY, IT, Peer, accept, after_first_read, ask_once, get, listen, ok, open, reply, serve,
        short,
    };
    use crate::net::tls::Tls;
    use crate::protocol::request::Resource;
    use crate::protocol::webntp::SUBPROTOCOL;
    use crate::sys::clock;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_tungstenite::accept_async;
    use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

    type Server = WebSocketStream<Box<dyn Socket>>;

    /// A client whose stamps can be seen, and its server.
    async fn pair() -> (Client, Server) {
        let (listener, url) = listen("ws").await;
        let target = Target::new(url).unwrap();
        let (tls, deadlines) = (Tls::new(vec![]), Deadlines::default());
        let client = async {
            let connected = connect(&target, &tls, &deadlines).await.unwrap();
            Client::new(connected, &target, &deadlines).await.unwrap()
        };
        let server = async { accept_async(accept(&listener).await.0).await.unwrap() };
        tokio::join!(client, server)
    }

    /// The next text that the client sent.
    async fn request(server: &mut Server) -> Option<String> {
        loop {
            match server.next().await?.ok()? {
                Message::Text(text) => return Some(text.to_string()),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Reads past a request, below the frames.
    async fn raw_request(raw: &mut Peer) {
        // A frame of our length has 6 bytes of header, as it is masked.
        let mut frame = vec![0; 6 + IT.len()];
        raw.0.read_exact(&mut frame).await.unwrap();
    }

    /// One exchange that a server answers with `messages` in one write.
    async fn answered_with(messages: Vec<Message>) -> (Result<Answer, Error>, Client) {
        let (mut client, mut server) = pair().await;
        let deadlines = Deadlines::default();
        let script = async {
            request(&mut server).await.unwrap();
            for message in messages {
                server.feed(message).await.unwrap();
            }
            server.flush().await.unwrap();
        };
        let (result, ()) = tokio::join!(client.exchange(get(), &deadlines), script);
        (result, client)
    }

    async fn refusal(messages: Vec<Message>) -> Refusal {
        match answered_with(messages).await {
            (Err(Error::Refused(refusal)), client) if !client.is_whole() => refusal,
            (other, _) => panic!("{other:?}"),
        }
    }

    /// Sends `frame` for as long as anybody takes it.
    async fn flood(server: &mut Server, frame: &[u8]) {
        let frames = frame.repeat(4096);
        let raw = server.get_mut();
        while raw.write_all(&frames).await.is_ok() {}
    }

    #[tokio::test]
    async fn a_flood_of_control_frames_ends_at_the_deadline() {
        let (mut client, mut server) = pair().await;
        let deadlines = short();
        let script = async {
            request(&mut server).await.unwrap();
            flood(&mut server, &[0x8a, 0]).await;
        };
        // The client's end is dropped when its exchange has failed: that ends the flood.
        let exchange = async move { client.exchange(get(), &deadlines).await };
        let (result, ()) = tokio::join!(exchange, script);
        assert!(matches!(result, Err(Error::Deadline { .. })), "{result:?}");
    }

    #[tokio::test]
    async fn a_flood_of_empty_fragments_ends_the_exchange() {
        let (mut client, mut server) = pair().await;
        let deadlines = short();
        let script = async {
            server.get_mut().write_all(&[0x01, 0]).await.unwrap();
            flood(&mut server, &[0x00, 0]).await;
        };
        let exchange = async move { client.exchange(get(), &deadlines).await };
        let (result, ()) = tokio::join!(exchange, script);
        assert!(
            matches!(result, Err(Error::Refused(_) | Error::Deadline { .. })),
            "{result:?}"
        );
    }

    #[tokio::test]
    async fn a_text_is_answered_by_a_text_on_a_warm_connection() {
        let (mut client, mut server) = pair().await;
        let deadlines = Deadlines::default();
        for _ in 0..3 {
            let before = clock::raw_now();
            let script = async {
                assert_eq!(request(&mut server).await.unwrap(), IT);
                let between = clock::raw_now();
                server.send(Message::text(BODY)).await.unwrap();
                between
            };
            let (answer, between) = tokio::join!(client.exchange(get(), &deadlines), script);
            let answer = answer.unwrap();
            assert_eq!(answer.body, BODY.as_bytes());
            assert!(before <= answer.sent && answer.sent <= between);
            assert!(between <= answer.received_through(0));
            assert!(client.is_whole());
        }
    }

    #[tokio::test]
    async fn the_subprotocol_is_offered_and_need_not_be_named_in_the_reply() {
        let (listener, url) = listen("ws").await;
        let target = Target::new(url).unwrap();
        let server = async {
            let mut peer = accept(&listener).await;
            let request = peer.request().await.unwrap();
            let key = request.split("Sec-Websocket-Key: ").nth(1).unwrap();
            let accept = derive_accept_key(&key.as_bytes()[..24]);
            peer.send(format!(
                "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            ))
            .await;
            request
        };
        let (connection, request) = tokio::join!(open(&target), server);
        assert!(connection.unwrap().is_open());
        assert!(request.starts_with("GET /json HTTP/1.1\r\n"), "{request}");
        let offer = format!("Sec-Websocket-Protocol: {SUBPROTOCOL}\r\n");
        assert!(request.contains(&offer), "{request}");
    }

    #[tokio::test]
    async fn received_is_of_the_read_that_completed_the_frame() {
        let (mut client, server) = pair().await;
        let (mut raw, stamps) = (Peer(server.into_inner()), Arc::clone(&client.stamps));
        let script = async {
            raw_request(&mut raw).await;
            raw.send([0x89, 0]).await; // a ping
            raw.send([0x81, BODY.len() as u8]).await;
            after_first_read(&stamps).await;
            let between = clock::raw_now();
            raw.send(BODY).await;
            between
        };
        let deadlines = Deadlines::default();
        let (answer, between) = tokio::join!(client.exchange(get(), &deadlines), script);
        assert!(answer.unwrap().received_through(0) >= between);
    }

    #[tokio::test]
    async fn pings_are_answered_and_are_no_reply() {
        let (mut client, mut server) = pair().await;
        let script = async {
            server.send(Message::Ping("a".into())).await.unwrap();
            let mut pongs = 0;
            let mut asked = false;
            while !asked || pongs < 2 {
                match server.next().await.unwrap().unwrap() {
                    Message::Pong(_) => pongs += 1,
                    Message::Text(_) => {
                        asked = true;
                        server.send(Message::Ping("b".into())).await.unwrap();
                    }
                    other => panic!("{other}"),
                }
            }
            server.send(Message::text(BODY)).await.unwrap();
        };
        let deadlines = Deadlines::default();
        let (answer, ()) = tokio::join!(client.exchange(get(), &deadlines), script);
        assert_eq!(answer.unwrap().body, BODY.as_bytes());
    }

    #[tokio::test]
    async fn what_is_not_one_text_is_refused_and_finishes_the_connection() {
        let text = || Message::text(BODY);
        let large = |length| Message::text(" ".repeat(length));
        let fragment = |opcode, last| {
            let payload = " ".repeat(BODY_LIMIT);
            Message::Frame(Frame::message(payload, OpCode::Data(opcode), last))
        };
        let not_utf8 = Frame::message(&b"\xff"[..], OpCode::Data(Data::Text), true);
        for (messages, expected) in [
            (vec![text(), text()], Refusal::SecondReply),
            (
                vec![text(), Message::Ping("".into()), text()],
                Refusal::SecondReply,
            ),
            (vec![Message::binary(BODY)], Refusal::BinaryFrame),
            (vec![large(BODY_LIMIT + 1)], Refusal::FrameTooLarge),
            (
                vec![fragment(Data::Text, false), fragment(Data::Continue, true)],
                Refusal::FrameTooLarge,
            ),
            (vec![Message::Frame(not_utf8)], Refusal::NotText),
        ] {
            assert_eq!(refusal(messages).await, expected);
        }
        let (answer, _) = answered_with(vec![large(BODY_LIMIT)]).await;
        assert_eq!(answer.unwrap().body.len(), BODY_LIMIT);
    }

    #[tokio::test]
    async fn a_frame_that_will_be_too_large_is_refused_by_its_header() {
        let (mut client, server) = pair().await;
        let mut raw = Peer(server.into_inner());
        let script = async {
            raw_request(&mut raw).await;
            raw.send([0x81, 127, 0, 0, 0, 0, 0x40, 0, 0, 0]).await; // 1 GiB to come
        };
        let deadlines = Deadlines::default();
        let (result, ()) = tokio::join!(client.exchange(get(), &deadlines), script);
        let error = result.unwrap_err();
        let refused = matches!(error, Error::Refused(Refusal::FrameTooLarge));
        assert!(refused, "{error}");
    }

    #[tokio::test]
    async fn a_text_that_answers_no_request_is_refused() {
        let (mut client, mut server) = pair().await;
        server.send(Message::text(BODY)).await.unwrap();
        let script = async { while request(&mut server).await.is_some() {} };
        let deadlines = Deadlines::default();
        let exchange = async {
            let result = client.exchange(get(), &deadlines).await;
            drop(client);
            result
        };
        let (result, ()) = tokio::join!(exchange, script);
        let error = result.unwrap_err();
        let refused = matches!(error, Error::Refused(Refusal::Unsolicited));
        assert!(refused, "{error}");
    }

    #[tokio::test]
    async fn a_request_without_a_text_is_not_sent() {
        let (mut client, _server) = pair().await;
        let head = Request {
            resource: Resource::Path("/time"),
            ..get().clone()
        };
        client.stamps.arm();
        let result = client.exchange(&head, &Deadlines::default()).await;
        assert!(matches!(result, Err(Error::Io(_))), "{result:?}");
        assert_eq!((client.stamps.sent(), client.is_whole()), (None, true));
    }

    #[tokio::test]
    async fn a_flood_of_pings_is_not_read_for_ever() {
        let (mut client, server) = pair().await;
        let mut raw = server.into_inner();
        let flood = [0x89, 0].repeat(IDLE_LIMIT + 10);
        raw.write_all(&flood).await.unwrap();
        let error = client
            .exchange(get(), &Deadlines::default())
            .await
            .unwrap_err();
        let refused = matches!(error, Error::Refused(Refusal::Unsolicited));
        assert!(refused, "{error}");
    }

    #[tokio::test]
    async fn a_connection_closed_between_exchanges_is_told_apart_and_a_new_one_works() {
        for politely in [true, false] {
            let (closed, mut is_closed) = tokio::sync::mpsc::unbounded_channel();
            let target = serve("ws", move |peer| {
                let closed = closed.clone();
                async move {
                    let mut server = accept_async(peer.0).await.unwrap();
                    request(&mut server).await.unwrap();
                    server.send(Message::text(BODY)).await.unwrap();
                    if politely {
                        server.close(None).await.unwrap();
                    }
                    drop(server);
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
    }

    #[tokio::test]
    async fn a_fresh_connection_closed_without_an_answer_is_blamed() {
        let target = serve("ws", |peer| async {
            let mut server = accept_async(peer.0).await.unwrap();
            request(&mut server).await.unwrap();
            server.close(None).await.unwrap();
        })
        .await;
        let (result, open) = ask_once(&target).await;
        assert!(matches!(result, Err(Error::HungUp)), "{result:?}");
        assert!(!open);
    }

    async fn refused_upgrade(answer: String) -> Error {
        // An answer must be there in time, on a busy machine too.
        let deadlines = if answer.is_empty() {
            short()
        } else {
            Deadlines::default()
        };
        let target = serve("ws", move |mut peer: Peer| {
            let answer = answer.clone();
            async move {
                peer.request().await.unwrap();
                peer.send(answer).await;
                peer.until_closed().await;
            }
        })
        .await;
        let opened = Connection::open(&target, &Tls::new(vec![]), &deadlines).await;
        opened.err().expect("it is refused")
    }

    #[tokio::test]
    async fn a_refused_upgrade_is_told_like_any_other_reply() {
        for (answer, text) in [
            (
                reply("429 Slow down", "Retry-After: 60\r\n", ""),
                "status 429, asking for a pause of 60 s",
            ),
            (
                ok("<html>"),
                "status 200 instead of a WebSocket: wrong path in the URL?",
            ),
            (
                "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".into(),
                "a broken WebSocket handshake: Sec-WebSocket-Accept is wrong",
            ),
            (
                String::new(),
                "no end of the WebSocket handshake within 0.05 s",
            ),
        ] {
            assert_eq!(refused_upgrade(answer).await.to_string(), text);
        }
    }

    #[tokio::test]
    async fn a_server_that_stalls_is_left_at_the_deadline() {
        for (beginning, expected) in [(&[][..], Phase::FirstByte), (&[0x81, 9], Phase::Rest)] {
            let (mut client, server) = pair().await;
            let mut raw = Peer(server.into_inner());
            let script = async {
                raw_request(&mut raw).await;
                raw.send(beginning).await;
                raw.until_closed().await;
            };
            let deadlines = match expected {
                Phase::FirstByte => short(),
                _ => Deadlines {
                    first_byte: Deadlines::default().first_byte,
                    ..short()
                },
            };
            let exchange = async {
                let result = client.exchange(get(), &deadlines).await;
                drop(client);
                result
            };
            let (result, ()) = tokio::join!(exchange, script);
            match result {
                Err(Error::Deadline { phase, .. }) => assert_eq!(phase, expected),
                other => panic!("{other:?}"),
            }
        }
    }
}
