//! Where to listen: an address of this machine and a port, `127.0.0.1:9975` or `[::1]:9975`, or `:9975` for all addresses.
//!
//! Names are not looked up: what a name leads to may change from one start to the next.

use super::problem::Fault;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// What will do.
pub(super) const RANGE: &str = "ADDRESS:PORT, or :PORT for all addresses";

const EXAMPLE: &str = "write it like \"127.0.0.1:9975\" or \"[::1]:9975\"";

/// An address and a port, read; by preference where there are several: `:8080` and `8080` are all addresses of this machine,
/// IPv4 included where IPv6 is there at all (the kernel lets an IPv6 socket take both unless told otherwise).
pub fn listen_addresses(text: &str) -> Option<Vec<SocketAddr>> {
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        return Some(vec![
            (Ipv6Addr::UNSPECIFIED, port).into(),
            (Ipv4Addr::UNSPECIFIED, port).into(),
        ]);
    }
    text.parse().ok().map(|address| vec![address])
}

/// Reads the whole of `text`.
pub(super) fn parse(text: &str) -> Result<Vec<SocketAddr>, Fault> {
    let addresses = listen_addresses(text).ok_or_else(|| {
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        let is_name =
            host.contains(|c: char| c.is_ascii_alphabetic()) && !host.contains([':', '/', '[']);
        let remedy = match host {
            "localhost" => "names are not looked up here, write 127.0.0.1",
            _ if is_name => "names are not looked up here, write the address",
            _ => EXAMPLE,
        };
        Fault::new(format!("{text:?} is not an address and a port"), remedy)
    })?;
    if addresses.iter().any(|address| address.port() == 0) {
        let what = format!("{text:?} has the port 0");
        return Err(Fault::new(
            what,
            "name a port from 1 to 65535, so that others can find it",
        ));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_port_are_taken_as_they_are_and_a_port_alone_is_every_address() {
        let read = |text: &str| {
            let found = parse(text).unwrap_or_else(|fault| panic!("{text}: {}", fault.what));
            found.iter().map(SocketAddr::to_string).collect::<Vec<_>>()
        };
        assert_eq!(read("127.0.0.1:9975"), ["127.0.0.1:9975"]);
        assert_eq!(read("[::1]:9975"), ["[::1]:9975"]);
        for text in [":9975", "9975"] {
            assert_eq!(read(text), ["[::]:9975", "0.0.0.0:9975"], "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write_instead() {
        for (text, remedy) in [
            ("localhost:9975", "write 127.0.0.1"),
            ("time.example:9975", "write the address"),
            ("127.0.0.1", EXAMPLE),
            ("127.0.0.1:", EXAMPLE),
            ("127.0.0.1:65536", EXAMPLE),
            ("::1:9975:x", EXAMPLE),
            ("http://127.0.0.1:9975", EXAMPLE),
            ("", EXAMPLE),
            (":0", "from 1 to 65535"),
            ("127.0.0.1:0", "from 1 to 65535"),
        ] {
            let fault = parse(text).expect_err(text);
            assert!(fault.remedy.contains(remedy), "{text}: {}", fault.remedy);
        }
    }
}
