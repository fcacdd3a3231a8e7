//! `webntp setup`: the lines for the configuration of the daemon that keeps the clock.
//!
//! In: the report of the webntpd that runs, or its configuration when none does. Out: lines that can be appended to the other daemon's
//! file as they are, on standard output. It changes no file and asks no other daemon.
//!
//! * `facts`: what is known of our daemon
//! * `numbers`: what follows from it
//! * `lines`: the text

mod facts;
mod lines;
mod numbers;

use super::run_to_end;
use super::socket::{Socket, ask};
use crate::config;
use crate::status::control::AskError;
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use facts::Facts;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The daemon that is to read
    #[arg(value_name = "DAEMON")]
    daemon: Daemon,

    #[command(flatten)]
    socket: Socket,

    /// For chrony: by a socket of chronyd's, even if none is configured yet
    #[arg(long)]
    sock: bool,
}

/// A daemon that reads what webntpd writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Daemon {
    /// chronyd
    #[value(alias = "chronyd")]
    Chrony,
    /// ntpd of ntpsec
    Ntpsec,
    /// Classic ntpd; Debian 12 has none, its package ntp is ntpsec
    #[value(alias = "ntpd")]
    Ntp,
}

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
enum Unknown {
    /// There is neither a daemon nor a file that this user may read.
    #[error("{ask}; and this user may not read {}: try with sudo", .file.display())]
    Closed { ask: AskError, file: PathBuf },
    /// There is neither a daemon nor a good file.
    #[error("{ask}; and\n{problems}")]
    Broken {
        ask: AskError,
        problems: config::Problems,
    },
    /// A daemon may be running, but it does not tell.
    #[error(transparent)]
    Silent(AskError),
}

/// Prints the lines. An error of clap is about the command line.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.sock && arguments.daemon != Daemon::Chrony {
        let what = "only chronyd reads a socket; leave out --sock\n";
        return Err(clap::Error::raw(ErrorKind::ArgumentConflict, what).into());
    }
    let facts = run_to_end(async { Ok(facts(&arguments.socket).await?) })?;
    let lines = lines::lines(arguments.daemon, &facts, arguments.sock)?;
    match io::stdout().write_all(lines.as_bytes()) {
        // Whoever closed the pipe has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// The running daemon goes before the file, which may have been edited since.
async fn facts(socket: &Socket) -> Result<Facts, Unknown> {
    let file = socket.config.as_path();
    let config = config::load(file);
    let configured = config.as_ref().ok();
    match ask(&socket.path_in(configured)).await {
        Ok((report, _)) => Ok(Facts::observed(&report, configured)),
        Err(ask @ AskError::NoDaemon(_)) => match config {
            Ok(config) => Ok(Facts::configured(&config, file)),
            Err(_) if is_closed(file) => Err(Unknown::Closed {
                ask,
                file: file.to_owned(),
            }),
            Err(problems) => Err(Unknown::Broken { ask, problems }),
        },
        Err(ask) => Err(Unknown::Silent(ask)),
    }
}

/// Whether it is only this user who may not read it.
fn is_closed(file: &Path) -> bool {
    File::open(file).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}
