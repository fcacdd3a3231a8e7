//! `webntp serve`: a WebNTP server until a signal ends it.

use super::LogArguments;
use crate::config::listen_addresses;
use crate::engine::time::Span;
use crate::leap_seconds::{FileError, Keeper, Web, WebError};
use crate::net::Tls;
use crate::server::{Server, ServerClock};
use crate::sys::listen;
use crate::sys::signals::{Signal, Signals};
use clap::Args;
use std::io::{self, Write as _};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use tracing::warn;

/// Where the reference keeps its list.
const DEFAULT_LEAP_SECOND_PATH: &str = "leap-seconds.list";

/// What is told where there is no list.
const BUILT_IN: &str = "telling the leap seconds up to 2017, which are built in";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to listen: HOST:PORT, or :PORT for all addresses of this machine; port 0 is any free one
    #[arg(value_name = "ADDR")]
    address: String,

    /// Let web pages from anywhere open a WebSocket, not only our own (the JSON is open to all anyhow)
    #[arg(long)]
    allow_cross_origin: bool,

    /// Where leap-seconds.list is kept: read if it is there, written when it was fetched. Without any list, the
    /// leap seconds up to 2017 are told [default: leap-seconds.list]
    #[arg(long, value_name = "FILE")]
    leap_second_path: Option<PathBuf>,

    /// Where to fetch leap-seconds.list, when FILE is missing, has expired or is a month old, by http or
    /// https; IANA has it at data.iana.org/time-zones/tzdb/leap-seconds.list [default: nowhere]
    #[arg(long, value_name = "URL")]
    leap_second_url: Option<String>,

    /// Seconds to add to the clock, to see what a wrong server does
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "0",
        hide_default_value = true,
        allow_hyphen_values = true,
        value_parser = offset
    )]
    offset: Span,

    #[command(flatten)]
    pub(super) log: LogArguments,
}

/// Why a server cannot be run.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    /// The address is none, or its name is not known.
    #[error(
        "{address:?} is not an address to listen at: {why}; give HOST:PORT or :PORT, as in 127.0.0.1:8080"
    )]
    Address { address: String, why: String },
    /// The system does not let us listen there.
    #[error("cannot listen on {address}: {}", listen::why(cause))]
    Listen { address: String, cause: io::Error },
    /// The file with the leap seconds to tell is no good.
    #[error("{}{}", .0, remedy(.0))]
    LeapSeconds(FileError),
    /// Leap seconds cannot be fetched.
    #[error(transparent)]
    Web(#[from] WebError),
    /// The system gives us not even the means to begin.
    #[error("cannot start: {}", listen::unnumbered(.0))]
    Start(io::Error),
}

/// Serves until SIGINT or SIGTERM.
pub(super) fn run(arguments: &Arguments) -> Result<(), ServeError> {
    arguments.log.init();
    let addresses = addresses(&arguments.address)?;
    let keeper = keeper(
        arguments.leap_second_path.as_deref(),
        arguments.leap_second_url.as_deref(),
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServeError::Start)?;
    let result = runtime.block_on(serve(arguments, &addresses, keeper));
    // A name look-up that hangs shall not hold up the end.
    runtime.shutdown_background();
    result
}

async fn serve(
    arguments: &Arguments,
    addresses: &[SocketAddr],
    keeper: Keeper,
) -> Result<(), ServeError> {
    let mut signals = Signals::new(&Signal::ENDING).map_err(ServeError::Start)?;
    let clock = ServerClock {
        offset: arguments.offset,
    };
    let server = Server::bind(addresses, clock)
        .await
        .map_err(|cause| ServeError::Listen {
            address: arguments.address.clone(),
            cause,
        })?
        .with_leap_seconds(keeper.told())
        .with_cross_origin(arguments.allow_cross_origin);
    // Whoever started us may have closed our standard output; the server is of use all the same.
    let _ = writeln!(
        io::stdout(),
        "webntp: serving on http://{}/",
        server.local_addr()
    );
    let stop = async {
        signals.next().await;
    };
    tokio::select! {
        () = server.run(stop) => Ok(()),
        never = keeper.run() => match never {},
    }
}

/// Keeps the leap seconds to tell. An empty URL is none.
///
/// A file that is missing is no error: whoever names a URL may not have it yet.
fn keeper(path: Option<&Path>, url: Option<&str>) -> Result<Keeper, ServeError> {
    let web = match url {
        None | Some("") => None,
        Some(url) => Some(Web::new(url, &Tls::new(Vec::new()))?),
    };
    let kept = path.unwrap_or(Path::new(DEFAULT_LEAP_SECOND_PATH));
    if let (Some(named), None) = (path, &web)
        && let Ok(false) = named.try_exists()
    {
        warn!("{}: no such file; {BUILT_IN}", named.display());
    }
    let instead = match web {
        Some(_) => format!("{BUILT_IN}, until another list is fetched"),
        None => format!("{BUILT_IN}; put another list there, or name one with --leap-second-path"),
    };
    Keeper::with_file(Some(kept.to_owned()), web, &instead).map_err(ServeError::LeapSeconds)
}

/// What to do about a file that is no good.
fn remedy(error: &FileError) -> &'static str {
    match error {
        FileError::Broken { .. } => {
            "; mend it, take it away, or name another one with --leap-second-path"
        }
        FileError::Read { .. } | FileError::TooLong { .. } => "",
    }
}

/// Where to listen, by preference; unlike a configuration, a command line may name a host.
fn addresses(text: &str) -> Result<Vec<SocketAddr>, ServeError> {
    let wrong = |why: &str| ServeError::Address {
        address: text.to_owned(),
        why: why.to_owned(),
    };
    if let Some(addresses) = listen_addresses(text) {
        return Ok(addresses);
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("no port"))?;
    let port: u16 = port
        .parse()
        .map_err(|_| wrong("the port is not a number from 0 to 65535"))?;
    if host.is_empty() || host.contains([':', '[', ']', '/', '@']) {
        return Err(wrong("the host is neither a name nor an address"));
    }
    match (host, port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(wrong(&error.to_string())),
    }
}

fn offset(text: &str) -> Result<Span, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.abs() <= 1e9 => Ok(Span::from_secs_f64(seconds)),
        _ => Err("not a number of seconds between -1000000000 and 1000000000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    fn read(text: &str) -> Result<Vec<String>, String> {
        addresses(text)
            .map(|found| found.iter().map(SocketAddr::to_string).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_port_alone_is_every_address_of_this_machine() {
        for text in [":8080", "8080"] {
            assert_eq!(read(text).unwrap(), ["[::]:8080", "0.0.0.0:8080"], "{text}");
        }
    }

    #[test]
    fn addresses_are_taken_as_they_are_and_names_looked_up() {
        assert_eq!(read("127.0.0.1:0").unwrap(), ["127.0.0.1:0"]);
        assert_eq!(read("[::1]:8080").unwrap(), ["[::1]:8080"]);
        let local = read("localhost:8080").unwrap();
        assert!(
            local
                .iter()
                .all(|a| a == "[::1]:8080" || a == "127.0.0.1:8080")
        );
        assert!(!local.is_empty());
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_give_instead() {
        for (text, why) in [
            ("", "no port"),
            ("localhost", "no port"),
            ("127.0.0.1", "no port"),
            ("localhost:", "the port is not a number from 0 to 65535"),
            (
                "localhost:65536",
                "the port is not a number from 0 to 65535",
            ),
            ("localhost:http", "the port is not a number from 0 to 65535"),
            ("::1:8080x", "the port is not a number from 0 to 65535"),
            ("::1", "the host is neither a name nor an address"),
            (
                "http://localhost:80",
                "the host is neither a name nor an address",
            ),
        ] {
            assert_eq!(
                read(text).unwrap_err(),
                format!(
                    "{text:?} is not an address to listen at: {why}; give HOST:PORT or :PORT, as in 127.0.0.1:8080"
                )
            );
        }
    }

    #[test]
    fn an_offset_is_a_number_of_seconds() {
        assert_eq!(offset("1"), Ok(Span::from_secs(1)));
        assert_eq!(offset("-0.25"), Ok(Span::from_millis(-250)));
        for text in ["", "x", "NaN", "inf", "1e10"] {
            assert!(offset(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refusal_by_the_system_names_the_way_out() {
        let error = |number: Errno| {
            let error = ServeError::Listen {
                address: "127.0.0.1:80".to_owned(),
                cause: io::Error::from_raw_os_error(number as i32),
            };
            error.to_string()
        };
        assert_eq!(
            error(Errno::EACCES),
            "cannot listen on 127.0.0.1:80: Permission denied; ports below 1024 are for root or CAP_NET_BIND_SERVICE: take a higher one"
        );
        assert!(
            error(Errno::EADDRINUSE)
                .ends_with("; another program listens there: stop it or take another port")
        );
        assert!(
            error(Errno::EMFILE).ends_with("cannot listen on 127.0.0.1:80: Too many open files")
        );
    }
}
