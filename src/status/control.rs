//! The control socket: whoever connects is sent the daemon's report as one line of JSON, and nothing is read from him.
//!
//! In: a path and a mode, and the status as it changes. Out: reports, to at most [`READERS`] at a time, each within
//! [`PATIENCE`]; the others wait for their turn. Whoever does not read is left alone.
//!
//! It changes nothing in the daemon, so the mode is a matter of privacy only.

use super::Status;
use super::report::{FORMAT, Report};
use crate::sys::clock::raw_now;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};

/// Readers that are served at a time.
pub const READERS: usize = 8;

/// How long a reader may take.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// How long whoever asks waits for the daemon, which may have other readers to serve first.
const ANSWER_DUE: Duration = Duration::from_secs(10);

/// More than any report: a source has some 2 KiB.
const REPORT_LIMIT: u64 = 4 << 20;

/// After a failure to accept (no file descriptor is left), the next try.
const PAUSE: Duration = Duration::from_millis(200);

/// The socket, bound. Dropping it removes it from the file system.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Tells whether what is at `path` is still ours.
    inode: u64,
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Its directory is missing.
    #[error("no control socket: there is no directory {}; `webntp sources` cannot ask this daemon", .0.display())]
    NoDirectory(PathBuf),
    /// Another daemon is listening there.
    #[error("no control socket: another daemon listens on {}; stop it, or name another path in [control]", .0.display())]
    Taken(PathBuf),
    /// Something else is there.
    #[error("no control socket: {} is there and is no socket; remove it, or name another path in [control]", .0.display())]
    NotASocket(PathBuf),
    /// The system refuses.
    #[error("no control socket at {}: {cause}", .path.display())]
    System {
        /// Where it was to be.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

impl ControlSocket {
    /// Binds `path`, for whoever `mode` lets (its nine permission bits; to connect takes the right to write). A socket that a
    /// daemon left behind is replaced. Must be called inside a tokio runtime.
    pub fn bind(path: &Path, mode: u32) -> Result<Self, BindError> {
        let system = |cause: io::Error| match cause.kind() {
            ErrorKind::NotFound => BindError::NoDirectory(path.parent().unwrap_or(path).to_owned()),
            _ => BindError::System {
                path: path.to_owned(),
                cause,
            },
        };
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(BindError::NotASocket(path.to_owned()));
            }
            Ok(_) if is_bound(path) => {
                return Err(BindError::Taken(path.to_owned()));
            }
            _ => {}
        }
        // Under another name until it has its mode: nobody shall connect before, and no moment be without a socket.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let new = path.with_file_name(name);
        let _ = fs::remove_file(&new);
        let listener = UnixListener::bind(&new).map_err(system)?;
        let named = || {
            fs::set_permissions(&new, Permissions::from_mode(mode))?;
            fs::rename(&new, path)?;
            Ok(fs::symlink_metadata(path)?.ino())
        };
        let inode = named().map_err(|cause| {
            let _ = fs::remove_file(&new);
            system(cause)
        })?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            inode,
        })
    }

    /// Serves for ever.
    pub async fn run(self, status: watch::Receiver<Status>) {
        let readers = Arc::new(Semaphore::new(READERS));
        loop {
            let Ok(permit) = Arc::clone(&readers).acquire_owned().await else {
                return;
            };
            let Ok((mut reader, _)) = self.listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let report = line(&status.borrow());
            tokio::spawn(async move {
                let written = async {
                    reader.write_all(&report).await?;
                    reader.shutdown().await
                };
                // Whoever went away or does not read has had his chance.
                let _ = tokio::time::timeout(PATIENCE, written).await;
                drop(permit);
            });
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether some process has the socket at `path`. A datagram finds no way to a stream, but only where there is one: this asks nobody,
/// and does not wait as a connection to a daemon that hangs would.
fn is_bound(path: &Path) -> bool {
    let connected = UnixDatagram::unbound().and_then(|probe| probe.connect(path));
    !connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn line(status: &Status) -> Vec<u8> {
    let report = Report::new(status, raw_now());
    let mut line = serde_json::to_vec(&report).expect("plain data with names for keys");
    line.push(b'\n');
    line
}

/// Why a daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no socket, or nobody listens on it.
    #[error("no webntpd listens on {}; is it running? (systemctl status webntpd)", .0.display())]
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

/// Asks the daemon that listens on `path` for its report; with it, the line as it came.
pub fn ask(path: &Path) -> Result<(Report, String), AskError> {
    let path = || path.to_owned();
    let system = |cause: io::Error| match cause.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => AskError::NoDaemon(path()),
        ErrorKind::PermissionDenied => AskError::Denied(path()),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => AskError::System {
            path: path(),
            cause: io::Error::new(ErrorKind::TimedOut, "it does not answer"),
        },
        _ => AskError::System {
            path: path(),
            cause,
        },
    };
    let read = || {
        let daemon = UnixStream::connect(path())?;
        daemon.set_read_timeout(Some(ANSWER_DUE))?;
        let mut line = String::new();
        daemon.take(REPORT_LIMIT).read_to_string(&mut line)?;
        Ok(line)
    };
    let line: String = read().map_err(system)?;
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

/// What a report says of its form, if that is not ours.
fn other_format(line: &str) -> Option<u64> {
    let report: serde_json::Value = serde_json::from_str(line).ok()?;
    let format = report.get("format")?.as_u64()?;
    (format != u64::from(FORMAT)).then_some(format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::rig;
    use std::os::unix::net::UnixListener as Plain;
    use tokio::task::JoinHandle;

    /// A directory of its own for each test, removed at its end.
    struct Place(PathBuf);

    impl Place {
        fn new(test: &str) -> Self {
            let place = std::env::temp_dir().join(format!("webntpd-{test}-{}", std::process::id()));
            fs::create_dir_all(&place).unwrap();
            Self(place)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("control.sock")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn serve(path: &Path) -> (watch::Sender<Status>, JoinHandle<()>) {
        let (status, receiver) = watch::channel(rig::status());
        let socket = ControlSocket::bind(path, 0o600).expect("nothing is in the way");
        (status, tokio::spawn(socket.run(receiver)))
    }

    async fn asked(path: PathBuf) -> Result<(Report, String), AskError> {
        tokio::task::spawn_blocking(move || ask(&path))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn whoever_asks_is_told_what_the_status_says_in_one_line_of_json() {
        let place = Place::new("told");
        let (status, _task) = serve(&place.socket());
        let (report, line) = asked(place.socket()).await.unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        let expected = Report::new(&status.borrow(), raw_now());
        assert_eq!(report.sources.len(), 4);
        assert_eq!(report.summary, expected.summary);
        assert_eq!(report.sources[2].tally, "falseticker");
        assert!(!line.contains("secret"), "{line}");
        status.send_modify(|status| status.ledger.reloads = 7);
        assert_eq!(asked(place.socket()).await.unwrap().0.reloads, 7);
    }

    #[tokio::test]
    async fn the_socket_has_its_mode_and_goes_with_the_daemon() {
        let place = Place::new("mode");
        for mode in [0o600, 0o660, 0o666] {
            let socket = ControlSocket::bind(&place.socket(), mode).unwrap();
            let found = fs::symlink_metadata(place.socket()).unwrap();
            assert_eq!(found.permissions().mode() & 0o777, mode);
            assert_eq!(
                fs::read_dir(&place.0).unwrap().count(),
                1,
                "no other name is left"
            );
            drop(socket);
            assert!(fs::symlink_metadata(place.socket()).is_err());
        }
    }

    #[tokio::test]
    async fn what_a_daemon_left_behind_is_replaced_and_what_is_another_s_is_not() {
        let place = Place::new("replaced");
        drop(Plain::bind(place.socket()).unwrap());
        let first = ControlSocket::bind(&place.socket(), 0o600).expect("nobody listens there");
        let taken = ControlSocket::bind(&place.socket(), 0o600);
        assert!(matches!(taken, Err(BindError::Taken(_))), "{taken:?}");
        // A socket that was put in its place is not removed.
        fs::remove_file(place.socket()).unwrap();
        let other = Plain::bind(place.socket()).unwrap();
        drop(first);
        assert!(fs::symlink_metadata(place.socket()).is_ok());
        drop(other);

        fs::remove_file(place.socket()).unwrap();
        fs::write(place.socket(), "precious").unwrap();
        let occupied = ControlSocket::bind(&place.socket(), 0o600);
        assert!(matches!(occupied, Err(BindError::NotASocket(_))));
        assert_eq!(fs::read(place.socket()).unwrap(), b"precious");

        let nowhere = ControlSocket::bind(&place.0.join("no/control.sock"), 0o600);
        assert!(
            matches!(nowhere, Err(BindError::NoDirectory(_))),
            "{nowhere:?}"
        );
    }

    #[tokio::test]
    async fn readers_beyond_the_eighth_wait_and_one_that_does_not_read_is_left_alone() {
        let place = Place::new("readers");
        let (status, _task) = serve(&place.socket());
        // More than a socket's buffers hold.
        status.send_modify(|status| status.ledger.sources[0].url = "x".repeat(3 << 20));
        let connect = || UnixStream::connect(place.socket()).unwrap();
        let idle: Vec<UnixStream> = (0..READERS).map(|_| connect()).collect();
        let (report, _) = asked(place.socket()).await.expect("it had its turn");
        assert_eq!(report.sources[0].url.len(), 3 << 20);
        for mut reader in idle {
            reader.set_nonblocking(true).unwrap();
            let mut cut_off = Vec::new();
            let end = reader.read_to_end(&mut cut_off);
            assert!(end.is_ok() && cut_off.len() < 3 << 20, "{end:?}");
        }
    }

    #[tokio::test]
    async fn an_error_says_who_is_missing() {
        let place = Place::new("missing");
        let text = |error: Result<(Report, String), AskError>| error.unwrap_err().to_string();
        let none = text(asked(place.socket()).await);
        assert!(none.contains("is it running?"), "{none}");
        drop(Plain::bind(place.socket()).unwrap());
        assert_eq!(text(asked(place.socket()).await), none, "left behind");
        fs::remove_file(place.socket()).unwrap();
        let stranger = Plain::bind(place.socket()).unwrap();
        let answer = std::thread::spawn(move || {
            use std::io::Write;
            stranger.accept().unwrap().0.write_all(b"hello").unwrap();
        });
        let strange = text(asked(place.socket()).await);
        assert!(strange.contains("is not webntpd"), "{strange}");
        answer.join().unwrap();
    }
}
