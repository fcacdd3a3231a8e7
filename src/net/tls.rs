//! TLS towards servers: whom to trust, and which protocol to agree on.
//!
//! In: a connected stream and the name that the certificate must be for. Out: the stream inside TLS.
//! Chain and name are always checked in full, against the certificates of the system and those given; at which time, is the
//! business of [`validity`](super::validity).

use crate::engine::time::Utc;
use crate::net::error::{CertificateFault, Error};
use crate::net::stream::TimedStream;
use crate::net::validity::{Dated, KnownTime};
use crate::protocol::excerpt::Excerpt;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use std::io;
use std::sync::{Arc, OnceLock};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How to speak TLS; shared by all sources, so that they also share sessions to resume.
///
/// The certificates to trust are loaded when first needed: who asks no server over TLS needs none.
#[derive(Debug)]
pub struct Tls {
    extra_roots: Vec<CertificateDer<'static>>,
    known_time: KnownTime,
    config: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    /// Trusts whom the system trusts, and those who own one of `extra_roots`.
    pub fn new(extra_roots: Vec<CertificateDer<'static>>) -> Self {
        Self {
            extra_roots,
            known_time: KnownTime::default(),
            config: OnceLock::new(),
        }
    }

    /// The same, for certificates judged at no earlier time than is known to have come.
    pub fn with_known_time(self, known_time: KnownTime) -> Self {
        Self { known_time, ..self }
    }

    /// The earliest time at which a certificate is judged.
    pub(super) fn floor(&self) -> Utc {
        self.known_time.floor()
    }

    /// Loads the certificates to trust, unless that has been done. For the start of the program, to
    /// fail early; a failure is not kept, the next attempt reads them again.
    pub fn load(&self) -> Result<(), Error> {
        self.config().map(drop)
    }

    /// The same for others who speak TLS: for what is fetched, not measured.
    pub fn config(&self) -> Result<Arc<ClientConfig>, Error> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let built = self.build().map_err(|cause| Error::Roots { cause })?;
        Ok(Arc::clone(self.config.get_or_init(|| Arc::new(built))))
    }

    fn build(&self) -> Result<ClientConfig, rustls::Error> {
        // Named here instead of installed for the process: nobody else can install another one first.
        let provider = Arc::new(ring::default_provider());
        let verifier =
            Verifier::new_with_extra_roots(self.extra_roots.clone(), Arc::clone(&provider))?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Dated::new(
                verifier,
                self.known_time.clone(),
            )))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    pub(super) async fn connect(
        &self,
        name: &ServerName<'static>,
        stream: TimedStream,
    ) -> Result<TlsStream<TimedStream>, Error> {
        TlsConnector::from(self.config()?)
            .connect(name.clone(), stream)
            .await
            .map_err(|error| handshake_error(name, &error))
    }

    /// Who judges certificates, at the time that it is given.
    pub(super) fn verifier(&self) -> Result<Verifier, Error> {
        let provider = Arc::new(ring::default_provider());
        Verifier::new_with_extra_roots(self.extra_roots.clone(), provider)
            .map_err(|cause| Error::Roots { cause })
    }
}

fn handshake_error(name: &ServerName<'_>, error: &io::Error) -> Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => Error::Certificate {
            host: name.to_str().into_owned(),
            fault: CertificateFault::from(why),
        },
        Some(other) => Error::Tls(Excerpt::of(other.to_string().as_bytes())),
        None => Error::of_io(error),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::net::connect::connect;
    use crate::net::testing::{BODY, Peer, after_first_read, get, listen, ok};
    use crate::net::{Connection, Deadlines, Target, http};
    use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::net::TcpListener;
    use tokio_rustls::{TlsAcceptor, server};

    /// A CA for tests, and a server's certificate by it.
    pub(in crate::net) fn certificate(
        adjust: impl Fn(&mut CertificateParams),
    ) -> (Tls, TlsAcceptor) {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        adjust(&mut params);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &ca).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let tls = Tls::new(vec![ca.as_ref().der().clone()]);
        (tls, TlsAcceptor::from(Arc::new(config)))
    }

    pub(in crate::net) async fn accept(
        listener: &TcpListener,
        acceptor: &TlsAcceptor,
    ) -> io::Result<Peer<server::TlsStream<tokio::net::TcpStream>>> {
        let (tcp, _) = listener.accept().await?;
        Ok(Peer(acceptor.accept(tcp).await?))
    }

    #[tokio::test]
    async fn received_is_of_the_reply_although_tls_records_without_data_came_first() {
        let (tls, acceptor) = certificate(|_| {});
        let (listener, url) = listen("https").await;
        let (target, deadlines) = (Target::new(url).unwrap(), Deadlines::default());
        let (connected, peer) = tokio::join!(
            connect(&target, &tls, &deadlines),
            accept(&listener, &acceptor)
        );
        let (connected, mut peer) = (connected.unwrap(), peer.unwrap());
        let (_, session) = peer.0.get_ref();
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        let stamps = Arc::clone(&connected.stamps);
        let mut client = http::Client::new(connected, target.clone()).await.unwrap();
        // The first exchange has the session tickets before its reply, each one a change of keys.
        for _ in 0..3 {
            let server = async {
                peer.request().await.unwrap();
                peer.0.get_mut().1.refresh_traffic_keys().unwrap();
                peer.send("").await;
                let between = after_first_read(&stamps).await;
                peer.send(ok(BODY)).await;
                between
            };
            let (answer, between) = tokio::join!(client.exchange(get(), &deadlines), server);
            let answer = answer.unwrap();
            assert_eq!(answer.body, BODY.as_bytes());
            assert!(answer.sent <= between && between <= answer.received_through(0));
        }
    }

    async fn fault(adjust: impl Fn(&mut CertificateParams), trusted: bool) -> CertificateFault {
        let (mut tls, acceptor) = certificate(adjust);
        if !trusted {
            tls = certificate(|_| {}).0;
        }
        let (listener, url) = listen("wss").await;
        let (target, deadlines) = (Target::new(url).unwrap(), Deadlines::default());
        let (opened, _) = tokio::join!(
            Connection::open(&target, &tls, &deadlines),
            accept(&listener, &acceptor)
        );
        match opened.err() {
            Some(Error::Certificate { host, fault }) if host == "localhost" => fault,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_good_is_told_by_its_fault() {
        let past = rcgen::date_time_ymd(2001, 1, 1);
        let future = rcgen::date_time_ymd(4001, 1, 1);
        let other = || rcgen::SanType::DnsName("other".try_into().unwrap());
        assert_eq!(
            fault(|p| p.not_after = past, true).await,
            CertificateFault::Expired
        );
        assert_eq!(
            fault(|p| p.not_before = future, true).await,
            CertificateFault::NotYetValid
        );
        assert_eq!(
            fault(|p| p.subject_alt_names = vec![other()], true).await,
            CertificateFault::WrongName
        );
        assert_eq!(fault(|_| {}, false).await, CertificateFault::UnknownIssuer);
    }

    #[tokio::test]
    async fn a_tls_handshake_that_stalls_is_left_at_the_deadline() {
        let (tls, _) = certificate(|_| {});
        let (_listener, url) = listen("https").await;
        let deadlines = crate::net::testing::short();
        let opened = Connection::open(&Target::new(url).unwrap(), &tls, &deadlines).await;
        let error = opened.err().expect("nobody answers");
        assert_eq!(
            error.to_string(),
            "no end of the TLS handshake within 0.05 s"
        );
    }

    #[tokio::test]
    async fn a_server_without_tls_is_told() {
        let (tls, _) = certificate(|_| {});
        let (listener, url) = listen("https").await;
        let (target, deadlines) = (Target::new(url).unwrap(), Deadlines::default());
        let server = async {
            let mut peer = crate::net::testing::accept(&listener).await;
            peer.send("HTTP/1.1 400 Bad Request\r\n\r\n").await;
            peer.until_closed().await;
        };
        let (opened, ()) = tokio::join!(
            async { Connection::open(&target, &tls, &deadlines).await.err() },
            server
        );
        assert!(matches!(opened, Some(Error::Tls(_))), "{opened:?}");
    }

    #[test]
    fn a_broken_certificate_to_trust_is_told_with_the_remedy() {
        let broken = Tls::new(vec![CertificateDer::from(vec![0; 9])]);
        let text = broken.load().unwrap_err().to_string();
        assert!(
            text.starts_with("cannot load the certificates to trust: "),
            "{text}"
        );
        assert!(text.contains("ca-certificates"), "{text}");
    }
}
