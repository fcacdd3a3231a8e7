//! The way to a server step by step, for somebody who wants to know how far it leads.
//!
//! In: a [`Target`]. Out: a [`Survey`]. It connects once and asks nothing; the certificate is held against later days as well, to
//! see how long it will do.

use crate::engine::time::{Span, Utc};
use crate::net::connect::{addresses, any_of};
use crate::net::deadline::{Deadlines, Phase};
use crate::net::error::Error;
use crate::net::stream::TimedStream;
use crate::net::target::Target;
use crate::net::tls::Tls;
use crate::net::udp;
use crate::sys::clock::system_now;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// No certificate of a public authority lasts longer, by far.
const HORIZON_DAYS: i64 = 4_000;

/// How far the way to a server leads.
#[derive(Debug)]
pub struct Survey {
    /// What the name stands for: the addresses that may be tried, one at least.
    pub addresses: Result<Vec<SocketAddr>, Error>,
    /// The address that answered, over UDP the one that will be asked; none where none was tried.
    pub peer: Option<Result<SocketAddr, Error>>,
    /// For how many days from now on its certificate will do, 4000 at the most; none without TLS, or where it did not come to it.
    pub certificate_days: Option<Result<i64, Error>>,
}

/// Goes the way to `target`, as far as it leads.
pub async fn survey(target: &Target, tls: &Tls, deadlines: &Deadlines) -> Survey {
    let failed = |error| Survey {
        addresses: Err(error),
        peer: None,
        certificate_days: None,
    };
    let found = match addresses(target, deadlines).await {
        Ok(found) if found.is_empty() => {
            let host = target.host.to_string();
            return failed(Error::NoAddress { host });
        }
        Ok(found) => found,
        Err(error) => return failed(error),
    };
    if target.datagrams {
        // Whether anybody is there shows when he is asked.
        let address = found[0];
        let peer = udp::socket(address).await.map(|_| address);
        return Survey {
            addresses: Ok(found),
            peer: Some(peer),
            certificate_days: None,
        };
    }
    let (peer, certificate_days) = match any_of(&found, target, deadlines).await {
        Err(error) => (Err(error), None),
        Ok(tcp) => {
            let peer = tcp.peer_addr().map_err(Error::Io);
            let days = match &target.server_name {
                None => None,
                Some(name) => Some(certificate_days(name, tcp, tls, deadlines).await),
            };
            (peer, days)
        }
    };
    Survey {
        addresses: Ok(found),
        peer: Some(peer),
        certificate_days,
    }
}

async fn certificate_days(
    name: &ServerName<'static>,
    tcp: TcpStream,
    tls: &Tls,
    deadlines: &Deadlines,
) -> Result<i64, Error> {
    let stream = TimedStream::new(tcp).map_err(Error::Io)?;
    let connecting = tls.connect(name, stream);
    let mut stream = deadlines.within(Phase::Tls, connecting).await??;
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default().to_vec();
    // Who has gone already needs no goodbye.
    let _ = deadlines.within(Phase::Tls, stream.shutdown()).await;
    let verifier = tls.verifier()?;
    // A clock that was never set counts from when it cannot be earlier.
    let now = system_now().max(tls.floor());
    Ok(last_good_day(|days| {
        is_good(&verifier, name, &chain, later(now, days))
    }))
}

fn is_good(
    verifier: &impl ServerCertVerifier,
    name: &ServerName<'_>,
    chain: &[CertificateDer<'_>],
    at: UnixTime,
) -> bool {
    let Some((leaf, others)) = chain.split_first() else {
        return false;
    };
    let verified = verifier.verify_server_cert(leaf, others, name, &[], at);
    verified.is_ok()
}

fn later(now: Utc, days: i64) -> UnixTime {
    let at = now + Span::from_secs(86_400).times(days);
    let nanos = u64::try_from(at.as_nanos()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_nanos(nanos))
}

/// The last day, counted from today, on which it is good: what has ended stays so.
fn last_good_day(is_good: impl Fn(i64) -> bool) -> i64 {
    let (mut good, mut bad) = (0, HORIZON_DAYS + 1);
    while bad - good > 1 {
        let middle = i64::midpoint(good, bad);
        if is_good(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_good_day_is_found() {
        for last in [0, 1, 13, 14, 90, HORIZON_DAYS, 2 * HORIZON_DAYS] {
            let found = last_good_day(|day| day <= last);
            assert_eq!(found, last.min(HORIZON_DAYS), "{last}");
        }
    }

    #[test]
    fn a_day_has_86400_seconds() {
        let at = later(Utc::from_secs(1_000), 2);
        assert_eq!(at.as_secs(), 1_000 + 172_800);
    }
}
