//! The control socket: whoever connects is sent the daemon's report as one line of JSON, and nothing is read from him.
//!
//! In: a path and a mode, and the status as it changes. Out: reports, to at most [`READERS`] at a time, each within
//! [`PATIENCE`]; the others wait for their turn. Whoever does not read is left alone.
//!
//! `asker` is the other end. It changes nothing in the daemon, so the mode is a matter of privacy only.

mod asker;

pub use asker::{ANSWER_DUE, AskError, ask};

use super::Status;
use super::door::Door;
use super::report::Report;
use crate::sys::clock::raw_now;
use nix::unistd::geteuid;
use std::fs::{self, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

/// Readers that are served at a time.
pub const READERS: usize = 8;

/// How long a reader may take.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// After a failure to accept (no file descriptor is left), the next try.
const PAUSE: Duration = Duration::from_millis(200);

/// Most bytes of a path that the kernel binds, without the zero at its end (unix(7)).
const LONGEST: usize = 107;

/// The socket, served as long as this lives. Dropping it closes it at once, and removes it from the file system.
#[derive(Debug)]
pub struct ControlSocket {
    door: Door<UnixListener>,
    path: PathBuf,
    /// Tells whether what is at `path` is still ours.
    file: FileId,
    task: AbortHandle,
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
    /// A socket of somebody else's, who does not let this user ask whether he listens.
    #[error(
        "no control socket: {} is there, and this user may not see whether another daemon listens; if none does, remove it, \
         or name another path in [control]",
        .0.display()
    )]
    Closed(PathBuf),
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
    /// Serves at `path`, for whoever `mode` lets (its nine permission bits; to connect takes the right to write). A socket that a
    /// daemon left behind is replaced, and so is `before`, which is ours and may be there still; if this fails, that goes on as it
    /// is. Must be called inside a tokio runtime.
    pub fn start(
        path: &Path,
        mode: u32,
        before: Option<&Self>,
        status: watch::Receiver<Status>,
    ) -> Result<Self, BindError> {
        let system = |cause: io::Error| match cause.kind() {
            ErrorKind::NotFound => BindError::NoDirectory(path.parent().unwrap_or(path).to_owned()),
            _ => BindError::System {
                path: path.to_owned(),
                cause,
            },
        };
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(BindError::NotASocket(path.to_owned()));
            }
            if before.is_none_or(|before| before.file != id(&found)) {
                may_replace(path)?;
            }
        }
        // Under another name until it has its mode: nobody shall connect before, and no moment be without a socket.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let new = path.with_file_name(name);
        let _ = fs::remove_file(&new);
        let listener = bind(&new).map_err(system)?;
        let named = || {
            fs::set_permissions(&new, Permissions::from_mode(mode))?;
            fs::rename(&new, path)?;
            Ok(id(&fs::symlink_metadata(path)?))
        };
        let file = named().map_err(|cause| {
            let _ = fs::remove_file(&new);
            system(cause)
        })?;
        let door = Door::new(listener);
        Ok(Self {
            task: tokio::spawn(serve(door.clone(), status)).abort_handle(),
            door,
            path: path.to_owned(),
            file,
        })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.task.abort();
        self.door.close();
        if fs::symlink_metadata(&self.path).is_ok_and(|found| id(&found) == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Serves until the door is closed.
async fn serve(door: Door<UnixListener>, status: watch::Receiver<Status>) {
    let readers = Arc::new(Semaphore::new(READERS));
    loop {
        let Ok(permit) = Arc::clone(&readers).acquire_owned().await else {
            return;
        };
        let Ok((mut reader, _)) = door.accept(UnixListener::poll_accept).await else {
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

/// Device and inode.
type FileId = (u64, u64);

fn id(found: &Metadata) -> FileId {
    (found.dev(), found.ino())
}

/// Binds a path that may be longer than [`LONGEST`], as the temporary name of one that is not: by its directory's descriptor then.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if path.as_os_str().len() <= LONGEST {
        return UnixListener::bind(path);
    }
    let directory = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(path.parent().unwrap_or(path))?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    UnixListener::bind(short.join(path.file_name().unwrap_or_default()))
}

/// Fails if some process has, or may have, the socket at `path`. A datagram finds no way to a stream, but only where there is one:
/// this asks nobody, and does not wait as a connection to a daemon that hangs would.
fn may_replace(path: &Path) -> Result<(), BindError> {
    let connected = UnixDatagram::unbound().and_then(|probe| probe.connect(path));
    let is_ours = |directory: &Path| {
        let found = fs::metadata(directory);
        found.is_ok_and(|found| found.uid() == geteuid().as_raw())
    };
    let directory_is_ours = path.parent().is_some_and(is_ours);
    judge(path, connected, directory_is_ours)
}

/// What follows from a datagram socket's try to `connect` to `path`.
fn judge(path: &Path, connected: io::Result<()>, directory_is_ours: bool) -> Result<(), BindError> {
    let Err(cause) = connected else {
        return Err(BindError::Taken(path.to_owned()));
    };
    match cause.raw_os_error() {
        Some(libc::EPROTOTYPE) => Err(BindError::Taken(path.to_owned())),
        // Nobody has it, or it has gone by now.
        Some(libc::ECONNREFUSED | libc::ENOENT) => Ok(()),
        // In a directory that was made for us only root can have put it: one that was started by hand, and killed.
        Some(libc::EACCES) if directory_is_ours => Ok(()),
        Some(libc::EACCES) => Err(BindError::Closed(path.to_owned())),
        _ => Err(BindError::System {
            path: path.to_owned(),
            cause,
        }),
    }
}

fn line(status: &Status) -> Vec<u8> {
    let report = Report::new(status, raw_now());
    let mut line = serde_json::to_vec(&report).expect("plain data with names for keys");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests;
