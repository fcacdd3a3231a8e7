//! Exchanges by datagrams, as NTP has them.
//!
//! In: a [`Request`] with a nonce. Out: an [`Answer`], or why there is none. Each exchange has a socket of its own, and so
//! a port that nobody can know beforehand; what comes there and is no answer to the question is passed over. It reads
//! no stamp.

use crate::net::answer::Answer;
use crate::net::connect::addresses;
use crate::net::deadline::{Deadlines, Phase};
use crate::net::error::Error;
use crate::net::target::Target;
use crate::protocol::BODY_LIMIT;
use crate::protocol::refusal::Refusal;
use crate::protocol::request::{Request, Resource};
use crate::protocol::sntp;
use crate::sys::clock::raw_now;
use hyper::HeaderMap;
use rustls::crypto::ring;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// A server's addresses, of which one is asked until it fails.
pub(super) struct Client {
    addresses: Vec<SocketAddr>,
    /// Which is asked; none when all have failed.
    at: usize,
}

/// Bits that nobody can guess.
pub fn nonce() -> Result<u64, Error> {
    let mut bytes = [0; 8];
    ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| Error::Io(io::Error::other("the system has no random numbers")))?;
    Ok(u64::from_be_bytes(bytes))
}

/// A socket that hears `address` alone.
pub(super) async fn socket(address: SocketAddr) -> Result<UdpSocket, Error> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let failed = |cause| Error::Connect { address, cause };
    let socket = UdpSocket::bind((any, 0)).await.map_err(failed)?;
    socket.connect(address).await.map_err(failed)?;
    Ok(socket)
}

impl Client {
    /// Looks the name up; nothing is sent yet.
    pub(super) async fn new(target: &Target, deadlines: &Deadlines) -> Result<Self, Error> {
        let addresses = addresses(target, deadlines).await?;
        if addresses.is_empty() {
            let host = target.host.to_string();
            return Err(Error::NoAddress { host });
        }
        Ok(Self { addresses, at: 0 })
    }

    /// Whether an address is left to be asked.
    pub(super) fn is_whole(&self) -> bool {
        self.at < self.addresses.len()
    }

    /// After a failure the next exchange asks the next address.
    pub(super) async fn exchange(
        &mut self,
        request: &Request,
        deadlines: &Deadlines,
    ) -> Result<Answer, Error> {
        let (Resource::Nonce(nonce), Some(&address)) =
            (&request.resource, self.addresses.get(self.at))
        else {
            return Err(Error::Closed);
        };
        let mut foreign = None;
        let asked = timeout(
            deadlines.first_byte.to_duration(),
            ask(address, *nonce, &mut foreign),
        )
        .await;
        let result = asked.unwrap_or_else(|_| {
            // Something came, and why it was passed over says more than that nothing did.
            Err(foreign.map_or(deadlines.missed(Phase::FirstByte), Error::Refused))
        });
        if result.is_err() {
            self.at += 1;
        }
        result
    }
}

async fn ask(
    address: SocketAddr,
    nonce: u64,
    foreign: &mut Option<Refusal>,
) -> Result<Answer, Error> {
    let socket = socket(address).await?;
    let failed = |cause| Error::Connect { address, cause };
    let packet = sntp::request(nonce);
    let sent = raw_now();
    socket.send(&packet).await.map_err(failed)?;
    let mut buffer = [0; BODY_LIMIT];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(failed)?;
        let received = raw_now();
        let datagram = &buffer[..length];
        match sntp::check_origin(datagram, nonce) {
            Ok(()) => {
                let mut answer = Answer::new(sent, received, HeaderMap::new());
                answer.push(datagram, received);
                return Ok(answer);
            }
            Err(refusal) => *foreign = Some(refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Span;
    use crate::net::testing::get;
    use crate::protocol::request::Method;
    use crate::protocol::sntp::PacketFault;
    use url::Url;

    const NONCE: u64 = 7;

    fn request() -> Request {
        Request {
            method: Method::Get,
            resource: Resource::Nonce(NONCE),
            headers: &[],
        }
    }

    async fn client(addresses: Vec<SocketAddr>) -> Client {
        let mut url = Url::parse("ntp://127.0.0.1").unwrap();
        url.set_port(addresses.first().map(|address| address.port()))
            .unwrap();
        let target = Target::new(url).unwrap();
        let mut client = Client::new(&target, &Deadlines::default()).await.unwrap();
        assert_eq!(client.addresses, addresses[..1]);
        client.addresses = addresses;
        client
    }

    async fn peer() -> (UdpSocket, SocketAddr) {
        let peer = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let address = peer.local_addr().unwrap();
        (peer, address)
    }

    fn answer(nonce: u64) -> [u8; 48] {
        let mut packet = [0; 48];
        packet[0] = 0x24;
        packet[24..32].copy_from_slice(&nonce.to_be_bytes());
        packet
    }

    fn short() -> Deadlines {
        Deadlines::each(Span::from_millis(100))
    }

    #[tokio::test]
    async fn what_does_not_answer_the_question_is_passed_over() {
        let (peer, address) = peer().await;
        let (stranger, _) = self::peer().await;
        let server = tokio::spawn(async move {
            let mut ports = Vec::new();
            for _ in 0..2 {
                let mut asked = [0; 100];
                let (length, from) = peer.recv_from(&mut asked).await.unwrap();
                assert_eq!(asked[..length], sntp::request(NONCE));
                stranger.send_to(&answer(NONCE), from).await.unwrap();
                for foreign in [&b"short"[..], &answer(NONCE + 1), &[0x26; 48]] {
                    peer.send_to(foreign, from).await.unwrap();
                }
                // The second comes too late for this one, and not at all to the next.
                for _ in 0..2 {
                    peer.send_to(&answer(NONCE), from).await.unwrap();
                }
                ports.push(from.port());
            }
            ports
        });
        let mut client = client(vec![address]).await;
        for _ in 0..2 {
            let before = raw_now();
            let got = client.exchange(&request(), &Deadlines::default()).await;
            let got = got.unwrap();
            assert_eq!(got.body, answer(NONCE));
            let place = crate::protocol::kind::Place::Body { end: 48 };
            assert!(before <= got.sent && got.sent <= got.received(place));
            assert!(got.received(place) <= raw_now());
        }
        let ports = server.await.unwrap();
        assert_ne!(ports[0], ports[1], "each exchange has a port of its own");
    }

    #[tokio::test]
    async fn silence_and_what_is_no_answer_are_told_when_the_time_is_over() {
        let (peer, address) = peer().await;
        let mut client = client(vec![address]).await;
        let silent = client.exchange(&request(), &short()).await;
        assert!(matches!(silent, Err(Error::Deadline { .. })), "{silent:?}");
        assert!(!client.is_whole(), "there was no other address");
        let gone = client.exchange(&request(), &short()).await;
        assert!(matches!(gone, Err(Error::Closed)), "{gone:?}");

        let mut client = self::client(vec![address]).await;
        let server = tokio::spawn(async move {
            // The first is of the client that has gone.
            for _ in 0..2 {
                let (_, from) = peer.recv_from(&mut [0; 100]).await.unwrap();
                let _ = peer.send_to(&answer(NONCE + 1), from).await;
            }
        });
        // What comes must come in time, on a busy machine too.
        let patient = Deadlines::each(Span::from_secs(3));
        let foreign = client.exchange(&request(), &patient).await;
        let origin = Refusal::Packet(PacketFault::Origin);
        assert!(matches!(foreign, Err(Error::Refused(refusal)) if refusal == origin));
        server.await.unwrap();
    }

    #[tokio::test]
    async fn after_a_failure_the_next_address_is_asked() {
        let (closed, refusing) = peer().await;
        drop(closed);
        let (peer, address) = peer().await;
        tokio::spawn(async move {
            let (_, from) = peer.recv_from(&mut [0; 100]).await.unwrap();
            peer.send_to(&answer(NONCE), from).await.unwrap();
        });
        let mut client = client(vec![refusing, address]).await;
        let refused = client.exchange(&request(), &Deadlines::default()).await;
        let cause = refused.expect_err("nobody listens");
        assert!(matches!(cause, Error::Connect { address, .. } if address == refusing));
        assert!(client.is_whole());
        let answered = client.exchange(&request(), &Deadlines::default()).await;
        assert!(answered.is_ok());
    }

    #[tokio::test]
    async fn a_question_without_a_nonce_is_not_sent() {
        let (_, address) = peer().await;
        let mut client = client(vec![address]).await;
        let result = client.exchange(get(), &short()).await;
        assert!(matches!(result, Err(Error::Closed)));
    }

    #[test]
    fn no_two_nonces_are_the_same() {
        assert_ne!(nonce().unwrap(), nonce().unwrap());
    }
}
