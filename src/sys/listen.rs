//! What stands in the way of listening, in words.
//!
//! In: what the system said. Out: what that means, and what to do about it.

use nix::errno::Errno;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

/// Listens at the first of `addresses` that this machine has; what is accepted there does not block.
///
/// Only an address that does not exist here (IPv6 is off, say) leads on to the next: one that is taken or forbidden is an error
/// even if the next were free, or we would stand where nobody looks for us.
pub fn bind(addresses: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut missing = io::Error::new(ErrorKind::InvalidInput, "no address to listen at");
    for address in addresses {
        match TcpListener::bind(address) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                return Ok(listener);
            }
            Err(error) if is_missing(&error) => missing = error,
            Err(error) => return Err(error),
        }
    }
    Err(missing)
}

/// Whether the address, or its whole family, does not exist on this machine.
pub fn is_missing(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

/// Why we cannot listen, and what to do about it.
pub fn why(error: &io::Error) -> String {
    format!("{}{}", unnumbered(error), remedy(error))
}

/// The system's words for an error, without its number.
pub fn unnumbered(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            "; ports below 1024 are for root or CAP_NET_BIND_SERVICE: take a higher one"
        }
        ErrorKind::AddrInUse => "; another program listens there: stop it or take another port",
        ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: `ip address` lists those it has"
        }
        _ => "",
    }
}
