//! The certificate authority of the tests, and what kind of TLS the fake speaks.
//!
//! In: nothing. Out: a rustls server configuration, the CA as PEM. Not: the stream itself, see `wire`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};

use super::clock::{Clock, OsClock, SECOND_NS};
use super::path::Delay;

const DAY: Duration = Duration::from_secs(86_400);

/// A certificate authority, and the key of all its leaves. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Authority(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ca_pem: String,
    ca: CertifiedIssuer<'static, KeyPair>,
    key: KeyPair,
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
        Self(Arc::new(Inner {
            ca_pem: ca.pem(),
            ca,
            key: new_key(),
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

/// The certificate that a server shows. Its authority has signed all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf {
    /// For `127.0.0.1` and `localhost`, at any time.
    Good,
    /// The same, valid in 2019 only.
    Expired,
    /// The same, valid for not quite five more days.
    EndingSoon,
    /// The same, valid from 2099 on.
    NotYetValid,
    /// For `elsewhere.test`, at any time.
    WrongName,
}

impl Leaf {
    fn params(self) -> CertificateParams {
        let names: &[&str] = match self {
            Self::WrongName => &["elsewhere.test"],
            Self::Good | Self::Expired | Self::EndingSoon | Self::NotYetValid => {
                &["127.0.0.1", "localhost"]
            }
        };
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("these are names");
        match self {
            Self::Good | Self::WrongName => {}
            Self::Expired => {
                params.not_before = date_time_ymd(2019, 1, 1);
                params.not_after = date_time_ymd(2020, 1, 1);
            }
            Self::EndingSoon => {
                let now = OsClock { offset_ns: 0 }.read().utc_ns / SECOND_NS;
                let now = Duration::from_secs(now.try_into().expect("after 1970"));
                params.not_after =
                    date_time_ymd(1970, 1, 1) + now + 5 * DAY - Duration::from_secs(3_600);
            }
            Self::NotYetValid => params.not_before = date_time_ymd(2099, 1, 1),
        }
        params
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
    /// Which one.
    pub(crate) leaf: Leaf,
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
            leaf: Leaf::Good,
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
        let Inner { ca, key, .. } = &*self.authority.0;
        let leaf = self.leaf.params().signed_by(key, ca);
        let chain = vec![leaf.expect("its parameters are valid").der().clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("ring has suites for both versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("the key is the leaf's");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.tickets == Tickets::None {
            config.send_tls13_tickets = 0;
        }
        Arc::new(config)
    }
}
