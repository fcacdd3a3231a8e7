//! HTTP/1.1 on one stream, without a task of its own.
//!
//! hyper wants its connection polled beside the request. Here both are polled by whoever waits for the
//! reply, so a dropped connection leaves nothing behind, and between two exchanges nothing is read
//! behind our back. In: requests. Out: replies, with hyper's errors told as ours.

use crate::net::connect::Socket;
use crate::net::error::Error;
use crate::protocol::HEAD_LIMIT;
use crate::protocol::excerpt::Excerpt;
use crate::protocol::refusal::Refusal;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::pin;
use std::task::{Context, Poll};

/// A connection that speaks HTTP.
pub(super) struct Link {
    sender: http1::SendRequest<Empty<Bytes>>,
    connection: http1::Connection<TokioIo<Box<dyn Socket>>, Empty<Bytes>>,
    state: State,
}

enum State {
    Open,
    Ended,
    Failed(hyper::Error),
}

impl Link {
    /// Wraps a fresh stream; nothing is sent yet.
    pub(super) async fn new(socket: Box<dyn Socket>) -> Result<Self, Error> {
        let (sender, connection) = http1::Builder::new()
            // Some servers know headers only in their usual spelling.
            .title_case_headers(true)
            .max_buf_size(HEAD_LIMIT)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(|error| error_of(&error))?;
        Ok(Self {
            sender,
            connection,
            state: State::Open,
        })
    }

    /// Waits until the connection can take a request.
    pub(super) async fn ready(&mut self) -> Result<(), Error> {
        let ready = poll_fn(|cx| {
            self.advance(cx);
            self.sender.poll_ready(cx)
        })
        .await;
        ready.map_err(|error| self.cause(&error))
    }

    /// Sends a request and waits for the head of its reply; 1xx are passed over. Be
    /// [`ready`](Self::ready) before.
    pub(super) async fn send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, Error> {
        let response = self.sender.send_request(request);
        self.drive(response).await
    }

    /// The next piece of a body.
    pub(super) async fn next_frame(
        &mut self,
        body: &mut Incoming,
    ) -> Result<Option<Frame<Bytes>>, Error> {
        self.drive(async { body.frame().await.transpose() }).await
    }

    /// Looks, without waiting, for what a connection between two exchanges should not show.
    pub(super) async fn check_idle(&mut self) -> Result<(), Error> {
        poll_fn(|cx| {
            self.advance(cx);
            Poll::Ready(())
        })
        .await;
        match &self.state {
            State::Open => Ok(()),
            State::Failed(error) if matches!(error_of(error), Error::Http(_)) => {
                // hyper got bytes that it did not ask for.
                Err(Refusal::Unsolicited.into())
            }
            State::Ended | State::Failed(_) => Err(Error::HungUp),
        }
    }

    /// Gives the stream back after an upgrade, with what came behind the reply's head.
    pub(super) async fn into_upgraded(mut self) -> (Box<dyn Socket>, Bytes) {
        poll_fn(|cx| {
            self.advance(cx);
            match self.state {
                State::Open => Poll::Pending,
                State::Ended | State::Failed(_) => Poll::Ready(()),
            }
        })
        .await;
        let parts = self.connection.into_parts();
        (parts.io.into_inner(), parts.read_buf)
    }

    fn advance(&mut self, cx: &mut Context<'_>) {
        if matches!(self.state, State::Open) {
            self.state = match self.connection.poll_without_shutdown(cx) {
                Poll::Pending => State::Open,
                Poll::Ready(Ok(())) => State::Ended,
                Poll::Ready(Err(error)) => State::Failed(error),
            };
        }
    }

    /// Polls the connection and what waits for it until the latter is done.
    async fn drive<T>(
        &mut self,
        future: impl Future<Output = hyper::Result<T>>,
    ) -> Result<T, Error> {
        let mut future = pin!(future);
        let result = poll_fn(|cx| {
            self.advance(cx);
            future.as_mut().poll(cx)
        })
        .await;
        result.map_err(|error| self.cause(&error))
    }

    /// hyper tells some causes to the request and others to the connection; the latter are the better.
    fn cause(&mut self, told: &hyper::Error) -> Error {
        match mem::replace(&mut self.state, State::Ended) {
            State::Failed(error) => error_of(&error),
            State::Open | State::Ended => error_of(told),
        }
    }
}

fn error_of(error: &hyper::Error) -> Error {
    if error.is_parse_too_large() {
        return Refusal::HeadTooLarge.into();
    }
    if let Some(error) = io_error(error) {
        return Error::of_io(error);
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Error::HungUp;
    }
    Error::Http(Excerpt::of(error.to_string().as_bytes()))
}

fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        source = error.source();
    }
    None
}
