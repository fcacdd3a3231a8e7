//! What can go wrong on the way to a reply, by who can act on it.
//!
//! No text of a peer stands in a message unless it went through
//! [`Excerpt`]: TLS and HTTP libraries quote what they got.

use crate::engine::source::Fault;
use crate::engine::time::Span;
use crate::net::deadline::Phase;
use crate::net::target::Target;
use crate::protocol::excerpt::Excerpt;
use crate::protocol::refusal::Refusal;
use rustls::CertificateError;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Why a connection or an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name cannot be resolved.
    #[error("cannot look up {host}: {cause}")]
    Lookup {
        /// The name, from the configuration.
        host: String,
        /// What the resolver says.
        cause: io::Error,
    },
    /// The name has no address.
    #[error("{host} has no address")]
    NoAddress {
        /// The name, from the configuration.
        host: String,
    },
    /// The host has addresses, but none that may be tried.
    #[error("{host} has only addresses that address-family excludes, like {address}")]
    ExcludedAddress {
        /// The name or address, from the configuration.
        host: String,
        /// One of the addresses.
        address: IpAddr,
    },
    /// No address of the name can be connected to.
    #[error("cannot connect to {address}: {cause}")]
    Connect {
        /// The last address tried.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// This machine has no certificates to trust, or those configured are broken.
    #[error(
        "cannot load the certificates to trust: {cause}; is the package ca-certificates installed?"
    )]
    Roots {
        /// What rustls says. Nothing of it comes from the network.
        cause: rustls::Error,
    },
    /// The server's certificate is not good.
    #[error("the certificate of {host} {fault}")]
    Certificate {
        /// The name that it should be for, from the configuration.
        host: String,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// TLS failed for another reason.
    #[error("TLS failed: {0}")]
    Tls(Excerpt),
    /// A phase took too long.
    #[error("no {phase} within {} s", .limit.as_secs_f64())]
    Deadline {
        /// The phase.
        phase: Phase,
        /// How long it may take.
        limit: Span,
    },
    /// The server has closed a warm connection without answering, as it may at any time (idle for long,
    /// or after so many requests). Connect again and ask again at once, but only once: a fresh connection
    /// never fails so. Also says that a connection is used which is no longer open.
    #[error("the server closed the kept connection")]
    Closed,
    /// The server closed the connection before its reply was complete.
    #[error("the server closed the connection before its reply was complete")]
    HungUp,
    /// The system reports an error on the connection.
    #[error("the connection failed: {0}")]
    Io(io::Error),
    /// What the server speaks is not HTTP.
    #[error("not HTTP: {0}")]
    Http(Excerpt),
    /// What the server speaks is not WebSocket.
    #[error("not WebSocket: {0}")]
    WebSocket(Excerpt),
    /// The first reply of a connection is a redirect that may be followed: the same scheme, or HTTPS after
    /// HTTP. A redirect carries no time; later ones, and all others, are refused.
    #[error("{refusal}")]
    Moved {
        /// Where to ask instead.
        goal: Box<Target>,
        /// The redirect, refused.
        refusal: Refusal,
    },
    /// A reply came and is not used.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// By this machine's clock its time is over.
    #[error("has expired, or the clock of this machine is far ahead")]
    Expired,
    /// By this machine's clock its time has not come.
    #[error("is not valid yet, or the clock of this machine is far behind")]
    NotYetValid,
    /// It is for another name.
    #[error("is for another name: wrong host in the URL, or somebody in between")]
    WrongName,
    /// Nobody whom this machine trusts has signed it.
    #[error("is not signed by anybody trusted: a private CA, or somebody in between")]
    UnknownIssuer,
    /// Something else.
    #[error("is not good: {0}")]
    Other(Excerpt),
}

impl From<&CertificateError> for CertificateFault {
    fn from(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName
            }
            // The second: a CA of that name is trusted, but it is another one.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            other => Self::Other(Excerpt::of(other.to_string().as_bytes())),
        }
    }
}

impl Error {
    /// Who can do something about it.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Lookup { .. }
            | Self::NoAddress { .. }
            | Self::Connect { .. }
            | Self::Deadline { .. }
            | Self::Closed
            | Self::HungUp
            | Self::Io(_) => Fault::Network,
            Self::Certificate { .. } | Self::Tls(_) => Fault::Tls,
            Self::Http(_) | Self::WebSocket(_) | Self::Moved { .. } | Self::Refused(_) => {
                Fault::Server
            }
            Self::ExcludedAddress { .. } | Self::Roots { .. } => Fault::Local,
        }
    }

    /// An error of the socket or of TLS upon it, on a connection that was fine so far.
    pub(super) fn of_io(error: &io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let text = || Excerpt::of(error.to_string().as_bytes());
        match (error.kind(), error.raw_os_error()) {
            // The last is TLS without its goodbye.
            (ConnectionReset | BrokenPipe | ConnectionAborted | UnexpectedEof, _) => Self::HungUp,
            (_, Some(code)) => Self::Io(io::Error::from_raw_os_error(code)),
            _ if error
                .get_ref()
                .is_some_and(|inner| inner.is::<rustls::Error>()) =>
            {
                Self::Tls(text())
            }
            (kind, None) => Self::Io(io::Error::new(kind, text().to_string())),
        }
    }

    /// The same error on a connection that has served before: it may hang up at any time.
    pub(super) fn on_warm(self, warm: bool) -> Self {
        match self {
            Self::HungUp if warm => Self::Closed,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_of_a_peer_cannot_write_into_the_log() {
        let error = CertificateError::Other(rustls::OtherError(std::sync::Arc::new(
            io::Error::other("\u{1b}[2J".repeat(1000)),
        )));
        let text = CertificateFault::from(&error).to_string();
        assert!(text.len() < 300 && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_wrong_clock_is_named_when_a_certificate_is_out_of_its_time() {
        let error = Error::Certificate {
            host: "example.org".into(),
            fault: (&CertificateError::NotValidYet).into(),
        };
        assert_eq!(
            error.to_string(),
            "the certificate of example.org is not valid yet, or the clock of this machine is far behind"
        );
    }

    #[test]
    fn only_a_warm_connection_may_be_closed_without_blame() {
        let reset = || Error::of_io(&io::ErrorKind::ConnectionReset.into());
        assert!(matches!(reset().on_warm(true), Error::Closed));
        assert!(matches!(reset().on_warm(false), Error::HungUp));
    }
}
