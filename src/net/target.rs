//! Where to ask: a URL taken apart and found usable.
//!
//! In: a URL from the configuration. Out: what connecting and asking need. What cannot work is refused
//! here, when the configuration is read, and not at the first exchange.

use crate::config::AddressFamily;
use hyper::http::uri::PathAndQuery;
use rustls::pki_types::ServerName;
use url::{Host, Position, Url};

/// A server and the resource on it that tells the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub(super) host: Host,
    pub(super) port: u16,
    /// Host and, unless it is the usual one, port: for the header.
    pub(super) authority: String,
    /// The name that the certificate must be for; none without TLS.
    pub(super) server_name: Option<ServerName<'static>>,
    pub(super) websocket: bool,
    /// Path and query.
    pub(super) path: String,
    pub(super) address_family: AddressFamily,
    url: Url,
}

/// Why a URL cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Neither HTTP nor WebSocket.
    #[error("the scheme \"{0}\" is not one of http, https, ws, wss")]
    Scheme(String),
    /// No host to connect to.
    #[error("there is no host in the URL")]
    NoHost,
    /// A name that no certificate can be for.
    #[error("\"{0}\" is not a host name")]
    BadHost(String),
    /// A user or password, which would not be sent.
    #[error("a user or password in the URL is not supported")]
    Credentials,
    /// A path that HTTP cannot carry.
    #[error("the path or query cannot stand in an HTTP request; percent-encode it")]
    BadPath,
}

impl Target {
    /// Takes `url` apart. A fragment is ignored.
    pub fn new(url: Url) -> Result<Self, TargetError> {
        let (websocket, secure) = match url.scheme() {
            "http" => (false, false),
            "https" => (false, true),
            "ws" => (true, false),
            "wss" => (true, true),
            other => return Err(TargetError::Scheme(other.to_owned())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        let host = url.host().ok_or(TargetError::NoHost)?.to_owned();
        let port = url.port_or_known_default().ok_or(TargetError::NoHost)?;
        let server_name = secure.then(|| server_name(&host)).transpose()?;
        let path = &url[Position::BeforePath..Position::AfterQuery];
        PathAndQuery::try_from(path).map_err(|_| TargetError::BadPath)?;
        Ok(Self {
            host,
            port,
            authority: url[Position::BeforeHost..Position::AfterPort].to_owned(),
            server_name,
            websocket,
            path: path.to_owned(),
            address_family: AddressFamily::Any,
            url,
        })
    }

    /// The same, only at addresses of this family.
    pub fn with_address_family(self, address_family: AddressFamily) -> Self {
        Self {
            address_family,
            ..self
        }
    }

    /// The URL as configured.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Path and query of the request that carries `it`.
    pub(super) fn path_with(&self, it: &str) -> String {
        let joint = match self.url.query() {
            None => "?",
            Some("") => "",
            Some(_) => "&",
        };
        format!("{}{joint}{it}", self.path)
    }
}

fn server_name(host: &Host) -> Result<ServerName<'static>, TargetError> {
    match host {
        Host::Domain(name) => {
            ServerName::try_from(name.clone()).map_err(|_| TargetError::BadHost(name.clone()))
        }
        Host::Ipv4(address) => Ok(ServerName::from(std::net::IpAddr::from(*address))),
        Host::Ipv6(address) => Ok(ServerName::from(std::net::IpAddr::from(*address))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(url: &str) -> Result<Target, TargetError> {
        Target::new(Url::parse(url).unwrap())
    }

    #[test]
    fn the_request_time_is_appended_to_the_url_as_given() {
        for (url, path) in [
            ("http://h", "/?7.5"),
            ("http://h/json", "/json?7.5"),
            ("http://h/json?", "/json?7.5"),
            ("http://h/json?a=b", "/json?a=b&7.5"),
            ("http://h/json?a=b#c", "/json?a=b&7.5"),
        ] {
            assert_eq!(target(url).unwrap().path_with("7.5"), path, "{url}");
        }
    }

    #[test]
    fn usual_ports_are_known_and_not_told_to_the_server() {
        for (url, authority, port) in [
            ("http://h/", "h", 80),
            ("ws://h/", "h", 80),
            ("https://h/", "h", 443),
            ("wss://h:443/", "h", 443),
            ("https://h:80/", "h:80", 80),
            ("http://[::1]:8080/", "[::1]:8080", 8080),
        ] {
            let target = target(url).unwrap();
            assert_eq!((target.authority.as_str(), target.port), (authority, port));
        }
    }

    #[test]
    fn a_url_that_cannot_be_asked_is_refused() {
        let refused = |url| target(url).unwrap_err();
        assert_eq!(refused("ftp://h/"), TargetError::Scheme("ftp".into()));
        assert_eq!(refused("http://me@h/"), TargetError::Credentials);
        assert_eq!(refused("http://:me@h/"), TargetError::Credentials);
        assert_eq!(
            refused("https://a..b/"),
            TargetError::BadHost("a..b".into())
        );
    }
    #[test]
    fn a_path_that_http_cannot_carry_is_refused_at_once() {
        let endless = format!("http://h/{}", "a".repeat(70_000));
        assert_eq!(target(&endless), Err(TargetError::BadPath));
    }

    proptest! {
        #[test]
        fn a_target_can_be_put_into_a_request(path in ".{0,20}", query in ".{0,20}") {
            let mut url = Url::parse("http://h/").unwrap();
            url.set_path(&path);
            url.set_query(Some(&query));
            if let Ok(target) = Target::new(url) {
                let path = target.path_with("1893456000.328757");
                prop_assert!(PathAndQuery::try_from(path).is_ok());
            }
        }
    }
}
