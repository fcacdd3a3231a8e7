//! Exchanges with time servers, timed at the socket.
//!
//! In: a [`Target`] and a [`Request`]. Out: an [`Answer`], which holds when the request left, the bytes that
//! came back and when they did; or an [`Error`] by who can act on it. A [`Connection`] is opened first, by
//! name look-up, TCP, TLS and WebSocket handshake, and then kept: no handshake is ever inside a measured
//! exchange.
//!
//! This room measures and refuses by the form of a reply; what its body says is for
//! [`protocol`](crate::protocol), when to ask again is for the poller. It spawns no task, and nothing of a
//! dropped connection stays behind.

mod answer;
mod connect;
mod deadline;
mod error;
mod http;
mod link;
mod request;
mod stream;
mod survey;
mod target;
mod tls;
mod udp;
mod upgrade;
mod validity;
mod websocket;

#[cfg(test)]
mod testing;

pub use answer::Answer;
pub use deadline::{Deadlines, Phase};
pub use error::{CertificateFault, Error};
pub use survey::{Survey, survey};
pub use target::{Target, TargetError};
pub use tls::Tls;
pub use udp::nonce;
pub use validity::KnownTime;

use crate::protocol::request::Request;

/// A connection to one server that is kept between exchanges.
pub struct Connection {
    /// Taken out for the time of an exchange, so that nothing is left of one that was given up half-way.
    transport: Option<Transport>,
}

enum Transport {
    Http(Box<http::Client>),
    WebSocket(Box<websocket::Client>),
    Udp(udp::Client),
}

impl Connection {
    /// Connects to `target`, up to the point where a request can be sent.
    pub async fn open(target: &Target, tls: &Tls, deadlines: &Deadlines) -> Result<Self, Error> {
        if target.datagrams {
            let client = udp::Client::new(target, deadlines).await?;
            return Ok(Self {
                transport: Some(Transport::Udp(client)),
            });
        }
        let connected = connect::connect(target, tls, deadlines).await?;
        let transport = if target.websocket {
            let client = websocket::Client::new(connected, target, deadlines).await?;
            Transport::WebSocket(Box::new(client))
        } else {
            let client = http::Client::new(connected, target.clone()).await?;
            Transport::Http(Box::new(client))
        };
        Ok(Self {
            transport: Some(transport),
        })
    }

    /// Asks the server for the time. Over WebSocket only the text that a request adds to the URL is sent, over UDP only
    /// its nonce.
    ///
    /// [`Error::Moved`] comes from the first exchange only. An error may have cost the connection: see [`is_open`](Self::is_open). Dropping the future closes
    /// the connection; afterwards, as after any such error, only [`Error::Closed`] comes.
    pub async fn exchange(
        &mut self,
        request: &Request,
        deadlines: &Deadlines,
    ) -> Result<Answer, Error> {
        let mut transport = self.transport.take().ok_or(Error::Closed)?;
        let (result, whole) = match &mut transport {
            Transport::Http(client) => {
                (client.exchange(request, deadlines).await, client.is_whole())
            }
            Transport::Udp(client) => {
                (client.exchange(request, deadlines).await, client.is_whole())
            }
            Transport::WebSocket(client) => {
                (client.exchange(request, deadlines).await, client.is_whole())
            }
        };
        if whole {
            self.transport = Some(transport);
        }
        result
    }

    /// Whether another exchange may be tried. A reply that was refused after it had been read to its end
    /// leaves an HTTP connection open; everything else that goes wrong closes it. Says nothing about the
    /// server, which may have closed it since.
    pub fn is_open(&self) -> bool {
        self.transport.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_and_its_exchange_may_move_between_threads() {
        fn is_send<T: Send>(_: T) {}
        is_send(async {
            let url = url::Url::parse("ws://h/").unwrap();
            let (target, deadlines) = (Target::new(url).unwrap(), Deadlines::default());
            let mut connection = Connection::open(&target, &Tls::new(vec![]), &deadlines).await?;
            connection.exchange(testing::get(), &deadlines).await
        });
    }
}
