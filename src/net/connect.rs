//! From a target to a stream that is ready for a request: name look-up, TCP, TLS.
//!
//! In: a [`Target`]. Out: a stream and its stamps. Each phase has its deadline. It keeps no connection
//! and retries nothing but the further addresses of a name.

use crate::config::AddressFamily;
use crate::engine::time::Span;
use crate::net::deadline::{Deadlines, Phase};
use crate::net::error::Error;
use crate::net::stream::{Stamps, TimedStream};
use crate::net::target::Target;
use crate::net::tls::Tls;
use crate::sys::clock;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use url::Host;

/// Addresses of one name that are tried at the most.
const ADDRESS_LIMIT: usize = 8;

/// A stream, with or without TLS.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A connected stream.
pub(super) struct Connected {
    pub(super) socket: Box<dyn Socket>,
    pub(super) stamps: Arc<Stamps>,
}

/// Connects to `target`.
pub(super) async fn connect(
    target: &Target,
    tls: &Tls,
    deadlines: &Deadlines,
) -> Result<Connected, Error> {
    let addresses = addresses(target, deadlines).await?;
    let tcp = any_of(&addresses, target, deadlines).await?;
    let stream = TimedStream::new(tcp).map_err(Error::Io)?;
    let stamps = stream.stamps();
    let socket: Box<dyn Socket> = match &target.server_name {
        None => Box::new(stream),
        Some(name) => Box::new(
            deadlines
                .within(Phase::Tls, tls.connect(name, stream))
                .await??,
        ),
    };
    Ok(Connected { socket, stamps })
}

pub(super) async fn addresses(
    target: &Target,
    deadlines: &Deadlines,
) -> Result<Vec<SocketAddr>, Error> {
    let found = match &target.host {
        Host::Ipv4(address) => vec![(*address, target.port).into()],
        Host::Ipv6(address) => vec![(*address, target.port).into()],
        Host::Domain(name) => look_up(name, target.port, deadlines).await?,
    };
    of_family(found, target)
}

async fn look_up(name: &str, port: u16, deadlines: &Deadlines) -> Result<Vec<SocketAddr>, Error> {
    let found = deadlines
        .within(Phase::Lookup, lookup_host((name, port)))
        .await?
        .map_err(|cause| Error::Lookup {
            host: name.to_owned(),
            cause,
        })?;
    Ok(found.collect())
}

/// The first few of the addresses that may be tried; there are none only if there were none before.
fn of_family(mut found: Vec<SocketAddr>, target: &Target) -> Result<Vec<SocketAddr>, Error> {
    let excluded = found.first().copied();
    found.retain(|address| match target.address_family {
        AddressFamily::Any => true,
        AddressFamily::Ipv4 => address.is_ipv4(),
        AddressFamily::Ipv6 => address.is_ipv6(),
    });
    found.truncate(ADDRESS_LIMIT);
    match excluded {
        Some(address) if found.is_empty() => Err(Error::ExcludedAddress {
            host: target.host.to_string(),
            address: address.ip(),
        }),
        _ => Ok(found),
    }
}

/// Connects to the first address that answers. Each gets an equal share of the time that is left, so
/// that one which swallows packets (a broken IPv6 route, mostly) does not use up all of it.
pub(super) async fn any_of(
    addresses: &[SocketAddr],
    target: &Target,
    deadlines: &Deadlines,
) -> Result<TcpStream, Error> {
    let end = clock::raw_now() + deadlines.connect;
    let mut last = Error::NoAddress {
        host: target.host.to_string(),
    };
    for (tried, &address) in addresses.iter().enumerate() {
        let left = end - clock::raw_now();
        let share = Span::from_nanos(left.as_nanos() / (addresses.len() - tried) as i64);
        last = match timeout(share.to_duration(), TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(cause)) => Error::Connect { address, cause },
            Err(_) => deadlines.missed(Phase::Connect),
        };
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};
    use url::Url;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn target(url: &str) -> Target {
        Target::new(Url::parse(url).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let (refusing, closed) = listener().await;
        drop(refusing);
        let (_open, open) = listener().await;
        let target = target("http://h/");
        let deadlines = Deadlines::default();
        let tcp = any_of(&[closed, open], &target, &deadlines).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), open);
        let error = any_of(&[closed], &target, &deadlines).await.unwrap_err();
        assert!(matches!(error, Error::Connect { address, .. } if address == closed));
        let error = any_of(&[], &target, &deadlines).await.unwrap_err();
        assert_eq!(error.to_string(), "h has no address");
    }

    #[test]
    fn only_addresses_of_the_family_are_tried_and_a_host_without_any_is_told() {
        let v4: SocketAddr = ([127, 0, 0, 1], 80).into();
        let v6: SocketAddr = ([0, 0, 0, 0, 0, 0, 0, 1], 80).into();
        let tried = |found: &[SocketAddr], family| {
            let target = target("http://h/").with_address_family(family);
            of_family(found.to_vec(), &target).map_err(|error| error.to_string())
        };
        for (family, kept) in [
            (AddressFamily::Any, vec![v6, v4]),
            (AddressFamily::Ipv4, vec![v4]),
            (AddressFamily::Ipv6, vec![v6]),
        ] {
            assert_eq!(tried(&[v6, v4], family), Ok(kept));
            assert_eq!(tried(&[], family), Ok(vec![]), "told as having none at all");
        }
        // The limit is on those that may be tried.
        let mut many = vec![v6; 2 * ADDRESS_LIMIT];
        many.push(v4);
        assert_eq!(tried(&many, AddressFamily::Ipv4), Ok(vec![v4]));
        assert_eq!(
            tried(&many, AddressFamily::Any),
            Ok(vec![v6; ADDRESS_LIMIT])
        );
        assert_eq!(
            tried(&[v4], AddressFamily::Ipv6),
            Err("h has only addresses that address-family excludes, like 127.0.0.1".to_owned())
        );
    }

    #[tokio::test]
    async fn an_address_of_another_family_is_not_connected_to() {
        let (_open, open) = listener().await;
        let target = target(&format!("http://{open}/")).with_address_family(AddressFamily::Ipv6);
        let connected = connect(&target, &Tls::new(vec![]), &Deadlines::default()).await;
        assert!(matches!(
            connected.err(),
            Some(Error::ExcludedAddress { .. })
        ));
    }

    #[tokio::test]
    async fn an_address_that_swallows_packets_does_not_use_up_the_time_of_the_next() {
        // A queue of accepted connections that is full drops what comes.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let full = socket.listen(0).unwrap();
        let swallowing = full.local_addr().unwrap();
        let _queued = TcpStream::connect(swallowing).await.unwrap();
        let (_open, open) = listener().await;
        let target = target("http://h/");
        let within = |millis| Deadlines {
            connect: Span::from_millis(millis),
            ..Deadlines::default()
        };
        // Half of it is for the first; the other half is more than a busy machine needs for the second.
        let tcp = any_of(&[swallowing, open], &target, &within(6_000))
            .await
            .unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), open);
        let error = any_of(&[swallowing], &target, &within(50))
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "no answer to connect within 0.05 s");
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_told() {
        // RFC 6761: no name under .invalid exists. Without a resolver the look-up fails just as well.
        let error = addresses(&target("http://host.invalid/"), &Deadlines::default())
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("host.invalid") || matches!(error, Error::Deadline { .. }),
            "{error}"
        );
    }
}
