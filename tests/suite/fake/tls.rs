//! The certificate authority of the tests, and what kind of TLS the fake speaks.
//!
//! In: nothing. Out: a rustls server configuration, the CA as PEM. Not: the stream itself, see `wire`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};

use super::path::Delay;

/// A certificate authority with one leaf, for `127.0.0.1` and `localhost`. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Authority(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ca_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    /// Makes a new one, unknown to everybody.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "CA of the fake upstream");
        let ca = CertifiedIssuer::self_signed(params, new_key()).expect("its parameters are valid");

        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let key = new_key();
        let leaf = CertificateParams::new(names)
            .expect("these are names")
            .signed_by(&key, &ca)
            .expect("its parameters are valid");
        Self(Arc::new(Inner {
            ca_pem: ca.pem(),
            chain: vec![leaf.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }))
    }

    /// The CA's certificate.
    pub(crate) fn ca_pem(&self) -> &str {
        &self.0.ca_pem
    }

    /// Writes the CA's certificate to `ca.pem` in a directory and says where it is.
    pub(crate) fn write_ca(&self, directory: &Path) -> PathBuf {
        let path = directory.join("ca.pem");
        fs::write(&path, self.ca_pem()).expect("the test's directory is writable");
        path
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("the system has random numbers")
}

/// When TLS 1.3 session tickets leave. They come out of the blue for a client: one that stamps the first byte it reads
/// takes them for the reply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tickets {
    /// Never.
    None,
    /// As soon as the handshake is complete, as servers do.
    AtOnce,
    /// Only when the first request has been read, this long before its reply is stamped.
    BeforeFirstReply(Delay),
}

/// The TLS of a fake.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// Whose leaf it shows.
    pub(crate) authority: Authority,
    /// When its session tickets leave.
    pub(crate) tickets: Tickets,
    /// It knows nothing newer than TLS 1.2.
    pub(crate) only_tls12: bool,
    /// The last byte of each reply record (without which it cannot be decrypted) leaves later by this.
    pub(crate) late_last_byte: Option<Delay>,
}

impl Tls {
    /// An ordinary server: TLS 1.2 and 1.3, tickets at once.
    pub(crate) fn of(authority: &Authority) -> Self {
        Self {
            authority: authority.clone(),
            tickets: Tickets::AtOnce,
            only_tls12: false,
            late_last_byte: None,
        }
    }

    /// What rustls needs.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        let versions: &[_] = if self.only_tls12 {
            &[&TLS12]
        } else {
            &[&TLS12, &TLS13]
        };
        let Inner { chain, key, .. } = &*self.authority.0;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("ring has suites for both versions")
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key.clone_key())
            .expect("the key is the leaf's");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.tickets == Tickets::None {
            config.send_tls13_tickets = 0;
        }
        Arc::new(config)
    }
}
