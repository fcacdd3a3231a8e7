//! Where a command asks the running daemon.
//!
//! In: `--socket`, else the configuration, as far as this user may read it. Out: a path, and what the daemon reports there.

use super::daemon::DEFAULT_CONFIG;
use crate::config::{self, Config};
use crate::engine::time::Raw;
use crate::status::control::{self, ANSWER_DUE, AskError};
use crate::status::report::Report;
use crate::sys::clock::raw_now;
use clap::Args;
use std::path::{Path, PathBuf};

/// Options of every command that asks the daemon.
#[derive(Debug, Args)]
pub(super) struct Socket {
    /// The configuration of webntpd
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(super) config: PathBuf,

    /// The daemon's control socket [default: that of the configuration, else /run/webntpd/control.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

impl Socket {
    /// Its path, by the configuration in the file. One that cannot be used names none.
    pub(super) fn path(&self) -> PathBuf {
        self.path_by(|| config::load(&self.config).ok())
    }

    /// Its path, by a configuration that is read already, if it could be.
    pub(super) fn path_in(&self, config: Option<&Config>) -> PathBuf {
        self.path_by(|| config.cloned())
    }

    fn path_by(&self, config: impl FnOnce() -> Option<Config>) -> PathBuf {
        let configured = || config().and_then(|config| config.control);
        let socket = self.socket.clone();
        socket.unwrap_or_else(|| configured().unwrap_or_default().path)
    }
}

/// Asks the daemon at `path`, which may take as long as usual.
pub(super) async fn ask(path: &Path) -> Result<(Report, String), AskError> {
    ask_until(path, raw_now() + ANSWER_DUE).await
}

/// Asks it, until `due` and no longer than usual.
pub(super) async fn ask_until(path: &Path, due: Raw) -> Result<(Report, String), AskError> {
    control::ask(path, due.min(raw_now() + ANSWER_DUE)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_goes_before_the_configuration_and_that_before_the_usual_place() {
        let file = std::env::temp_dir().join(format!("webntpd-socket-{}", std::process::id()));
        std::fs::write(&file, "[control]\npath = \"/run/other.sock\"\n").expect("a new file");
        let mut socket = Socket {
            config: file.clone(),
            socket: Some("/run/named.sock".into()),
        };
        assert_eq!(socket.path(), Path::new("/run/named.sock"));
        socket.socket = None;
        assert_eq!(socket.path(), Path::new("/run/other.sock"));
        std::fs::remove_file(file).expect("it is ours");
        assert_eq!(socket.path(), Path::new("/run/webntpd/control.sock"));
        let config = config::parse("control = { path = \"/run/read.sock\" }", "test");
        let config = config.expect("a good one");
        assert_eq!(socket.path_in(Some(&config)), Path::new("/run/read.sock"));
        assert_eq!(socket.path_in(None), Path::new("/run/webntpd/control.sock"));
    }
}
