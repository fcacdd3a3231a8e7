//! Where to ask: a URL taken apart and found usable.
//!
//! In: a URL from the configuration. Out: what connecting and asking need. What cannot work is refused
//! here, when the configuration is read, and not at the first exchange.

use crate::config::AddressFamily;
use crate::protocol::request::Resource;
use hyper::http::uri::PathAndQuery;
use rustls::pki_types::ServerName;
use url::{Host, Position, Url};

const NTP_PORT: u16 = 123;

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
    /// It is asked over UDP, not TCP.
    pub(super) datagrams: bool,
    /// Path and query.
    pub(super) path: String,
    pub(super) address_family: AddressFamily,
    url: Url,
}

/// Why a URL cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// None that we speak.
    #[error("the scheme \"{0}\" is not one of http, https, ws, wss, ntp")]
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
            "http" | "ntp" => (false, false),
            "https" => (false, true),
            "ws" => (true, false),
            "wss" => (true, true),
            other => return Err(TargetError::Scheme(other.to_owned())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        let datagrams = url.scheme() == "ntp";
        let host = url.host_str().ok_or(TargetError::NoHost)?;
        // The url crate knows the hosts of few schemes, and takes those of others for names.
        let host = Host::parse(host).map_err(|_| TargetError::BadHost(host.to_owned()))?;
        let port = match url.port_or_known_default() {
            None if datagrams => NTP_PORT,
            port => port.ok_or(TargetError::NoHost)?,
        };
        let server_name = secure.then(|| server_name(&host)).transpose()?;
        let path = match &url[Position::BeforePath..Position::AfterQuery] {
            "" => "/",
            path => path,
        };
        PathAndQuery::try_from(path).map_err(|_| TargetError::BadPath)?;
        Ok(Self {
            host,
            port,
            authority: url[Position::BeforeHost..Position::AfterPort].to_owned(),
            server_name,
            websocket,
            datagrams,
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

    /// Path and query of a request for `resource`.
    pub(super) fn path_for(&self, resource: &Resource) -> String {
        let (joint, text) = match (resource, self.url.query()) {
            (Resource::Path(path), _) => return (*path).to_owned(),
            (Resource::Url | Resource::Nonce(_), _) | (Resource::UrlFresh(_), Some(_)) => {
                return self.path.clone();
            }
            (Resource::UrlWith(text) | Resource::UrlFresh(text), None) => ("?", text),
            (Resource::UrlWith(text), Some("")) => ("", text),
            (Resource::UrlWith(text), Some(_)) => ("&", text),
        };
        format!("{}{joint}{text}", self.path)
    }

    /// Where a redirect to `location` leads, that answered a request for `resource`. Nowhere unless
    /// upward: from HTTP to HTTP or HTTPS, from HTTPS to HTTPS.
    pub(super) fn redirected(&self, location: &str, resource: &Resource) -> Option<Self> {
        let mut url = self.url.join(location).ok()?;
        let upward = match (self.url.scheme(), url.scheme()) {
            ("http", "http" | "https") | ("https", "https") => true,
            // A WebSocket is not redirected: browsers do not follow either.
            _ => false,
        };
        if !upward {
            return None;
        }
        // Servers mostly repeat the query, with what this request added to it; the next one adds its own.
        if let Some(text) = resource.addition()
            && let Some(query) = url.query().map(str::to_owned)
            && let Some(own) = query.strip_suffix(text)
        {
            let own = own.strip_suffix('&').unwrap_or(own);
            url.set_query(Some(own).filter(|own| !own.is_empty()));
        }
        Self::new(url).ok()
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
            let with = Resource::UrlWith("7.5".into());
            assert_eq!(target(url).unwrap().path_for(&with), path, "{url}");
        }
    }

    #[test]
    fn a_url_with_a_query_of_its_own_gets_no_other() {
        let fresh = Resource::UrlFresh("7.5".into());
        for (url, path) in [
            ("http://h", "/?7.5"),
            ("http://h/a", "/a?7.5"),
            ("http://h/a?", "/a?"),
            ("http://h/a?b=c", "/a?b=c"),
        ] {
            let target = target(url).unwrap();
            assert_eq!(target.path_for(&fresh), path, "{url}");
            let (as_given, other) = (Resource::Url, Resource::Path("/time"));
            assert_eq!(
                target.path_for(&as_given),
                path.strip_suffix("?7.5").unwrap_or(path)
            );
            assert_eq!(target.path_for(&other), "/time");
        }
    }

    #[test]
    fn a_redirect_leads_upward_or_nowhere() {
        let with = Resource::UrlWith("7.5".into());
        let goal = |from, location| {
            let goal = target(from).unwrap().redirected(location, &with);
            goal.map(|goal| goal.url().to_string())
        };
        for (from, location, to) in [
            ("http://h/", "https://g/", "https://g/"),
            ("http://h/", "http://g:81/json", "http://g:81/json"),
            ("https://h/", "https://g/", "https://g/"),
            ("https://h/a/b", "../c#d", "https://h/c#d"),
            ("http://h/a", "//g/c", "http://g/c"),
        ] {
            assert_eq!(goal(from, location).as_deref(), Some(to), "{location}");
        }
        for (from, location) in [
            ("https://h/", "http://h/"),
            ("http://h/", "ws://h/"),
            ("ws://h/", "ws://g/"),
            ("ws://h/", "http://h/"),
            ("http://h/", "ftp://h/"),
            ("http://h/", "https://me:secret@h/"),
            ("http://h/", "https://"),
        ] {
            assert_eq!(goal(from, location), None, "{from} {location}");
        }
    }

    #[test]
    fn a_redirect_that_repeats_our_time_does_not_get_it_twice() {
        let with = Resource::UrlWith("7.5".into());
        let target = target("http://h/json?a=b").unwrap();
        for (location, path) in [
            ("https://h/json?a=b&7.5", "/json?a=b&8"),
            ("https://h/json?7.5", "/json?8"),
            ("https://h/json", "/json?8"),
            ("https://h/json?c", "/json?c&8"),
        ] {
            let goal = target.redirected(location, &with).unwrap();
            assert_eq!(goal.path_for(&Resource::UrlWith("8".into())), path);
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
            ("ntp://h", "h", 123),
            ("ntp://[::1]:1123", "[::1]:1123", 1123),
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
    fn the_host_of_ntp_is_a_name_or_an_address_as_that_of_http_is() {
        for host in ["127.0.0.1", "[::1]", "H.Example"] {
            let ntp = target(&format!("ntp://{host}")).unwrap();
            assert_eq!(ntp.host, target(&format!("http://{host}")).unwrap().host);
            assert!(ntp.datagrams && !ntp.websocket && ntp.server_name.is_none());
        }
        assert_eq!(target("ntp:h"), Err(TargetError::NoHost));
        assert!(target("ntp:///").is_err());
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
                let text = || "1893456000.328757".to_owned();
                for resource in [Resource::UrlWith(text()), Resource::UrlFresh(text()), Resource::Url] {
                    let path = target.path_for(&resource);
                    prop_assert!(PathAndQuery::try_from(path).is_ok());
                }
            }
        }

        #[test]
        fn no_location_panics(location: String, text in "[0-9.]{0,3}") {
            let target = target("http://h/a?b").unwrap();
            let _ = target.redirected(&location, &Resource::UrlWith(text));
        }
    }
}
