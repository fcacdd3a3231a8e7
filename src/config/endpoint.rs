//! The address of a source: an absolute `http`, `https`, `ws`, `wss` or `ntp` URL, and nothing odd about it; or that of a list of
//! leap seconds, where only `https` will do.
//!
//! The `url` crate follows the browsers and mends what it can: tabs vanish, `\` becomes `/`. A file of a
//! daemon should say what it means, so whatever would be mended is refused here.

use super::problem::Fault;
use std::cell::Cell;
use url::{Host, SyntaxViolation, Url};

/// What will do.
pub(super) const RANGE: &str = "http, https, ws, wss or ntp";

const EXAMPLE: &str = "write it like \"https://example.com/json\"";

/// What a URL is for.
struct Purpose {
    schemes: &'static [&'static str],
    /// What to do about a URL with another scheme.
    remedy: &'static str,
    example: &'static str,
}

const SOURCE: Purpose = Purpose {
    schemes: &["http", "https", "ws", "wss", "ntp"],
    remedy: "use http, https, ws, wss or ntp",
    example: EXAMPLE,
};

const LIST: Purpose = Purpose {
    schemes: &["https"],
    remedy: "use https, nothing else vouches for the list; or name a file with list",
    example: "write it like \"https://example.com/leap-seconds.list\"",
};

/// Reads the whole of `text`, the address of a source.
pub(super) fn parse(text: &str) -> Result<Url, Fault> {
    parse_for(&SOURCE, text)
}

/// Reads the whole of `text`, where a list of leap seconds is fetched.
pub(super) fn parse_list(text: &str) -> Result<Url, Fault> {
    parse_for(&LIST, text)
}

fn parse_for(purpose: &Purpose, text: &str) -> Result<Url, Fault> {
    let violation = Cell::new(None);
    let note = |found| violation.set(violation.take().or(Some(found)));
    let parsed = Url::options()
        .syntax_violation_callback(Some(&note))
        .parse(text);
    // A text that may hold a password is not repeated: this goes to the log.
    let shown = match text.contains('@') {
        true => String::new(),
        false => format!("{text:?} "),
    };
    let url = parsed
        .map_err(|error| Fault::new(format!("{shown}is not a URL: {error}"), purpose.example))?;
    let is_fit = purpose.schemes.contains(&url.scheme());
    let url = if is_fit {
        with_known_host(url, text)?
    } else {
        url
    };
    let violation = violation.take();
    let credentials = violation == Some(SyntaxViolation::EmbeddedCredentials);
    let (what, remedy) = if credentials || !url.username().is_empty() || url.password().is_some() {
        (
            "has a user name or password in it".to_owned(),
            "remove it, none is ever sent",
        )
    } else if !is_fit {
        (format!("has the scheme {}", url.scheme()), purpose.remedy)
    } else if let Some(found) = violation {
        (
            format!("is not a proper URL: {}", found.description()),
            purpose.example,
        )
    } else if url.fragment().is_some() {
        (
            "has a fragment".to_owned(),
            "remove it from the # on, a server never sees it",
        )
    } else if url.scheme() == "ntp" && !(matches!(url.path(), "" | "/") && url.query().is_none()) {
        (
            "has a path or query, which no packet can carry".to_owned(),
            "remove it, write it like \"ntp://example.com\"",
        )
    } else if domain(&url).is_some_and(|name| !is_host_name(&name)) {
        (
            "has a host that no name server can know".to_owned(),
            "labels have 1 to 63 letters, digits and hyphens, with dots between",
        )
    } else if url.port() == Some(0) {
        (
            "has the port 0".to_owned(),
            "name the port that the server listens on, or none",
        )
    } else {
        return Ok(url);
    };
    Err(Fault::new(format!("{shown}{what}"), remedy))
}

/// The host of a URL, also of one whose scheme the url crate does not know: there it takes all hosts for names.
pub(super) fn host(url: &Url) -> Option<Host> {
    url.host_str().and_then(|host| Host::parse(host).ok())
}

fn domain(url: &Url) -> Option<String> {
    match host(url)? {
        Host::Domain(name) => Some(name),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

/// The URL with its host as the url crate writes those of the schemes that it knows; else one server could have two names.
fn with_known_host(mut url: Url, shown: &str) -> Result<Url, Fault> {
    if url.scheme() != "ntp" {
        return Ok(url);
    }
    let known = host(&url).filter(|_| !url.cannot_be_a_base());
    let written = known
        .map(|host| host.to_string())
        .filter(|host| !host.is_empty());
    let set = written.map(|host| url.set_host(Some(&host)));
    match set {
        Some(Ok(())) => {
            // The usual port need not be named, a lone slash means nothing.
            if url.port() == Some(123) && url.set_port(None).is_err() || url.path() == "/" {
                url.set_path("");
            }
            Ok(url)
        }
        _ => {
            let shown = match shown.contains('@') {
                true => String::new(),
                false => format!("{shown:?} "),
            };
            Err(Fault::new(
                format!("{shown}has no host that can be looked up"),
                "write it like \"ntp://example.com\"",
            ))
        }
    }
}

/// Letters, digits, hyphens (not at the ends) and dots (RFC 1123 §2.1); underscores too, which some names have.
fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(is_inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_four_schemes_are_taken_as_written() {
        for text in [
            "http://a/",
            "https://webntp.shogo82148.com/json",
            "ws://127.0.0.1:8080/",
            "wss://[::1]/websocket?key=1",
            "https://a/@b",
        ] {
            assert_eq!(parse(text).expect(text).as_str(), text);
        }
    }

    #[test]
    fn a_server_of_ntp_has_one_name_only() {
        for (text, url) in [
            ("ntp://time.example", "ntp://time.example"),
            ("ntp://Time.Example:123/", "ntp://time.example"),
            ("ntp://192.0.2.1:1123", "ntp://192.0.2.1:1123"),
            ("ntp://[2001:DB8::1]", "ntp://[2001:db8::1]"),
        ] {
            assert_eq!(parse(text).expect(text).as_str(), url);
        }
        let what = |text: &str| parse(text).expect_err(text).what;
        for text in ["ntp:time.example", "ntp://", "ntp:///a", "ntp://a b/"] {
            assert!(!what(text).is_empty());
        }
        for text in ["ntp://a/b", "ntp://a?b", "ntp://a/?"] {
            let fault = format!("{text:?} has a path or query, which no packet can carry");
            assert_eq!(what(text), fault);
        }
        assert_eq!(
            what("ntp://me:secret@a"),
            "has a user name or password in it"
        );
        assert_eq!(what("ntp://a#b"), "\"ntp://a#b\" has a fragment");
        assert_eq!(what("ntp://a:0"), "\"ntp://a:0\" has the port 0");
        assert!(what("ntp://a..b").ends_with("has a host that no name server can know"));
    }

    #[test]
    fn a_host_must_be_a_name_that_can_be_looked_up() {
        let long = "a".repeat(64);
        for host in [
            "foo..bar",
            "-a.example",
            "a-.example",
            "*.example",
            ".example",
            &long,
        ] {
            let fault = parse(&format!("https://{host}/")).expect_err(host);
            assert!(fault.remedy.contains("labels"), "{host}: {}", fault.what);
        }
        for host in [
            "localhost",
            "a.example.",
            "xn--bcher-kva.example",
            "_time.example",
            "127.0.0.1",
            "[::1]",
        ] {
            assert!(parse(&format!("https://{host}/")).is_ok(), "{host}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_named() {
        for (text, what, remedy) in [
            (
                "",
                "\"\" is not a URL: relative URL without a base",
                EXAMPLE,
            ),
            (
                "a.b/json",
                "\"a.b/json\" is not a URL: relative URL without a base",
                EXAMPLE,
            ),
            ("https://", "\"https://\" is not a URL: empty host", EXAMPLE),
            (
                "https://a b/",
                "\"https://a b/\" is not a URL: invalid international domain name",
                EXAMPLE,
            ),
            (
                "ftp://a/",
                "\"ftp://a/\" has the scheme ftp",
                "use http, https, ws, wss or ntp",
            ),
            (
                "a.b:80",
                "\"a.b:80\" has the scheme a.b",
                "use http, https, ws, wss or ntp",
            ),
            (
                "https://me:secret@a/",
                "has a user name or password in it",
                "remove it, none is ever sent",
            ),
            (
                "https://me:secret@a:70000/",
                "is not a URL: invalid port number",
                EXAMPLE,
            ),
            (
                "\thttps://:secret@a/",
                "has a user name or password in it",
                "remove it, none is ever sent",
            ),
            (
                "https://@a/",
                "has a user name or password in it",
                "remove it, none is ever sent",
            ),
            (
                "https://a/#b",
                "\"https://a/#b\" has a fragment",
                "remove it from the # on, a server never sees it",
            ),
            (
                "https://a/#",
                "\"https://a/#\" has a fragment",
                "remove it from the # on, a server never sees it",
            ),
            (
                "https:a",
                "\"https:a\" is not a proper URL: expected //",
                EXAMPLE,
            ),
            (
                "https:\\\\a",
                "\"https:\\\\\\\\a\" is not a proper URL: expected //",
                EXAMPLE,
            ),
            (
                " https://a/",
                "\" https://a/\" is not a proper URL: leading or trailing control or space character are ignored in URLs",
                EXAMPLE,
            ),
            (
                "http://a:0/",
                "\"http://a:0/\" has the port 0",
                "name the port that the server listens on, or none",
            ),
        ] {
            assert_eq!(parse(text), Err(Fault::new(what, remedy)));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_password_is_repeated(text: String, secret in "[a-z]{8}") {
            let _ = parse(&text);
            let url = format!("https://user:{secret}@host{text}");
            if let Err(fault) = parse(&url) && !text.contains(&secret) {
                prop_assert!(!fault.what.contains(&secret));
            }
        }
    }
}
