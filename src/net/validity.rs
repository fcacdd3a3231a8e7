//! At which time a certificate is judged, on a machine whose clock may be years off.
//!
//! In: a certificate, the system clock, and a time that is known to have come. Out: what the platform's own verifier says of it at
//! the later of the two. A clock that was never set (1970) is no reason to refuse a good certificate, and none to take one that
//! expired before this program was made.
//!
//! What the daemon has decided by now is not used as it is: sources in clear text may have a majority, and whoever sits between could
//! move it to when a stolen certificate was good. Of the past only one thing follows from it, that it is over.

use crate::engine::time::Utc;
use crate::protocol::plausible::Plausible;
use crate::sys::clock::system_now;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A time that is known to have come: the release of this program, or what was learned since. All clones show the same.
#[derive(Clone, Debug)]
pub struct KnownTime {
    learned_ns: Arc<AtomicI64>,
    /// A test's, or the system clock.
    clock: fn() -> Utc,
}

impl Default for KnownTime {
    fn default() -> Self {
        Self::by_clock(system_now)
    }
}

impl KnownTime {
    fn by_clock(clock: fn() -> Utc) -> Self {
        Self {
            learned_ns: Arc::new(AtomicI64::new(i64::MIN)),
            clock,
        }
    }

    /// Takes over what was learned last. It may be earlier than what was learned before: then that was wrong.
    pub fn learn(&self, time: Utc) {
        self.learned_ns.store(time.as_nanos(), Ordering::Relaxed);
    }

    /// No clock that is right shows less.
    pub fn floor(&self) -> Utc {
        release().max(self.learned())
    }

    fn learned(&self) -> Utc {
        Utc::from_nanos(self.learned_ns.load(Ordering::Relaxed))
    }
}

fn release() -> Utc {
    Plausible::release().not_before
}

/// A verifier that is told another time than rustls would tell it, if the clock shows one that cannot be.
#[derive(Debug)]
pub(super) struct Dated<V> {
    verifier: V,
    known_time: KnownTime,
}

impl<V> Dated<V> {
    pub(super) fn new(verifier: V, known_time: KnownTime) -> Self {
        Self {
            verifier,
            known_time,
        }
    }
}

impl<V: ServerCertVerifier> ServerCertVerifier for Dated<V> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judge = |time: Utc| {
            self.verifier.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                unix_time(time),
            )
        };
        let (clock, floor) = ((self.known_time.clock)(), self.known_time.floor());
        let judged = judge(clock.max(floor));
        // A time that was learned may be wrong, and it was kept: it must not lock out all servers that could mend it. A clock
        // that may be right by all else is what every other program goes by.
        if clock < floor && clock >= release() && judged.as_ref().is_err_and(is_expired) {
            return judge(clock);
        }
        judged
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn is_expired(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. }
        )
    )
}

fn unix_time(time: Utc) -> UnixTime {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::error::CertificateFault;
    use crate::net::testing::listen;
    use crate::net::tls::tests::{accept, certificate};
    use crate::net::{Connection, Deadlines, Error, Target};

    /// Noon of the first of July.
    const fn summer(year: i64) -> Utc {
        Utc::from_secs(1_782_907_200 + (year - 2_026) * 31_557_600)
    }

    /// What comes of a handshake with a certificate that is good in these years, when the clock shows that, and that was
    /// learned.
    async fn handshake(
        (from, through): (i32, i32),
        clock: fn() -> Utc,
        learned: Option<Utc>,
    ) -> Result<(), CertificateFault> {
        let known_time = KnownTime::by_clock(clock);
        learned.inspect(|time| known_time.learn(*time));
        let (tls, acceptor) = certificate(|params| {
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(through, 12, 31);
        });
        let tls = tls.with_known_time(known_time);
        let (listener, url) = listen("wss").await;
        let (target, deadlines) = (Target::new(url).unwrap(), Deadlines::default());
        // Nobody answers the upgrade: what comes of TLS is known by then.
        let opened = async {
            tokio::select! {
                opened = Connection::open(&target, &tls, &deadlines) => opened.err(),
                peer = accept(&listener, &acceptor) => match peer {
                    Ok(_) => None,
                    // Refused by the client, which knows why.
                    Err(_) => std::future::pending().await,
                },
            }
        };
        let refused = tokio::time::timeout(Duration::from_secs(10), opened).await;
        match refused {
            Ok(None) => Ok(()),
            Ok(Some(Error::Certificate { fault, .. })) => Err(fault),
            // The server gave up before the client had told why.
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_clock_that_was_never_set_refuses_no_good_certificate() {
        let year = (2_026, 2_026);
        for clock in [(|| summer(2_010)) as fn() -> Utc, || Utc::from_nanos(-1)] {
            assert_eq!(handshake(year, clock, None).await, Ok(()));
        }
    }

    #[tokio::test]
    async fn what_was_learned_makes_certificates_good_that_are_younger_than_the_program() {
        let year = (2_028, 2_028);
        let clock = || summer(2_010);
        let refused = Err(CertificateFault::NotYetValid);
        assert_eq!(handshake(year, clock, None).await, refused);
        assert_eq!(handshake(year, clock, Some(summer(2_020))).await, refused);
        assert_eq!(handshake(year, clock, Some(summer(2_028))).await, Ok(()));
    }

    #[tokio::test]
    async fn a_certificate_that_has_expired_stays_refused_however_far_the_clock_is_behind() {
        let refused = Err(CertificateFault::Expired);
        // By the clock it would be good.
        assert_eq!(
            handshake((2_009, 2_011), || summer(2_010), None).await,
            refused
        );
        let learned = Some(summer(2_030));
        assert_eq!(
            handshake((2_026, 2_028), || summer(2_010), learned).await,
            refused
        );
        // By a clock that is right, nothing that was learned makes it good again.
        for learned in [None, Some(summer(2_027))] {
            assert_eq!(
                handshake((2_026, 2_028), || summer(2_031), learned).await,
                refused
            );
        }
    }

    #[tokio::test]
    async fn a_certificate_is_not_good_before_its_time_if_the_clock_is_right() {
        let refused = Err(CertificateFault::NotYetValid);
        for learned in [None, Some(summer(2_027))] {
            assert_eq!(
                handshake((2_032, 2_033), || summer(2_031), learned).await,
                refused
            );
        }
    }

    #[tokio::test]
    async fn a_wrong_time_that_was_learned_locks_nobody_out_whose_clock_may_be_right() {
        let learned = Some(summer(2_090));
        assert_eq!(
            handshake((2_026, 2_028), || summer(2_027), learned).await,
            Ok(())
        );
    }

    #[test]
    fn a_time_that_was_learned_later_replaces_the_first_and_the_release_stays_the_least() {
        let known = KnownTime::default();
        let shared = known.clone();
        assert_eq!(shared.floor(), release());
        known.learn(summer(2_090));
        assert_eq!(shared.floor(), summer(2_090));
        known.learn(summer(2_028));
        assert_eq!(shared.floor(), summer(2_028));
        known.learn(summer(2_001));
        assert_eq!(shared.floor(), release());
    }
}
