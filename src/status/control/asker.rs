//! The other end of the control socket: asks a daemon for its report.
//!
//! In: the socket's path, and until when to ask. Out: the report and the line as it came, or who can do something about it.

use crate::engine::time::{Raw, Span};
use crate::status::report::{FORMAT, Report};
use crate::sys::clock::sleep_until;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// How long whoever asks usually waits for the daemon, which may have other readers to serve first.
pub const ANSWER_DUE: Span = Span::from_secs(10);

/// More than any report: a source has some 2 KiB.
const REPORT_LIMIT: u64 = 4 << 20;

/// After the daemon's queue was full, the next try.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no socket, or nobody listens on it.
    #[error("no webntpd listens on {}; is it running (systemctl status webntpd), or is its configuration or its `path` in [control] another one (--config FILE, --socket PATH)?", .0.display())]
    NoDaemon(PathBuf),
    /// This user may not connect.
    #[error("this user may not ask webntpd on {}; try with sudo, or set `mode` in [control]", .0.display())]
    Denied(PathBuf),
    /// The system refuses, or the daemon does not answer.
    #[error("cannot ask webntpd on {}: {cause}", .path.display())]
    System {
        /// Where it was asked.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The daemon is of another version, whose report cannot be read at all.
    #[error(
        "webntpd's report on {} has format {format}, this program reads {FORMAT}; use the one that came with the daemon",
        .path.display()
    )]
    OtherFormat {
        /// Where it was asked.
        path: PathBuf,
        /// The form that it says it has.
        format: u64,
    },
    /// Something else listens there.
    #[error("what answers on {} is not webntpd: {cause}", .path.display())]
    NotAReport {
        /// Where it was asked.
        path: PathBuf,
        /// What is wrong with its answer.
        cause: serde_json::Error,
    },
}

/// Asks the daemon that listens on `path` for its report; with it, the line as it came. All of it ends at `due`, whatever the other
/// side does; what is there at once is taken even if that has passed.
pub async fn ask(path: &Path, due: Raw) -> Result<(Report, String), AskError> {
    let line = tokio::select! {
        biased;
        line = read(path) => line,
        () = sleep_until(due) => Err(ErrorKind::TimedOut.into()),
    };
    let path = || path.to_owned();
    let line = line.map_err(|cause| match cause.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => AskError::NoDaemon(path()),
        ErrorKind::PermissionDenied => AskError::Denied(path()),
        ErrorKind::TimedOut => AskError::System {
            path: path(),
            cause: io::Error::new(ErrorKind::TimedOut, "it does not answer"),
        },
        _ => AskError::System {
            path: path(),
            cause,
        },
    })?;
    let report = serde_json::from_str(&line).map_err(|cause| match other_format(&line) {
        Some(format) => AskError::OtherFormat {
            path: path(),
            format,
        },
        None => AskError::NotAReport {
            path: path(),
            cause,
        },
    })?;
    Ok((report, line))
}

async fn read(path: &Path) -> io::Result<String> {
    let daemon = loop {
        match UnixStream::connect(path).await {
            // Its queue is full; a connection that may wait would wait for ever.
            Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::time::sleep(PAUSE).await,
            connected => break connected?,
        }
    };
    let mut line = String::new();
    daemon.take(REPORT_LIMIT).read_to_string(&mut line).await?;
    Ok(line)
}

/// What a report says of its form, if that is not ours.
fn other_format(line: &str) -> Option<u64> {
    let report: serde_json::Value = serde_json::from_str(line).ok()?;
    let format = report.get("format")?.as_u64()?;
    (format != u64::from(FORMAT)).then_some(format)
}
