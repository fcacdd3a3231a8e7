//! Datagrams into the socket that chronyd's `refclock SOCK` and ntpd-rs's `sock` source read.
//!
//! In: [`Message`]s. Out: whether anybody has the socket, or a [`SockError`] that the next send may cure. The socket is the
//! reader's: it makes it, binds it, and makes it anew whenever it starts. So ours is never connected; each message looks the path
//! up again, and reaches whoever has it by then.
//!
//! Nobody answers: whether a message is taken, only the reader can tell. Nothing here waits, judges a sample or reads a clock.

use crate::engine::leap::Leap;
use crate::engine::time::{Span, Utc};
use std::fmt;
use std::fs::{self, FileType, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// Length of a message. chronyd and ntpd-rs drop all others.
pub const SIZE: usize = 40;

/// `SOCK`, in the byte order of the host.
const MAGIC: i32 = 0x534f_434b;

/// One sample for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// CLOCK_REALTIME at the instant of the measurement: not in the future, and later than that of the last message.
    pub receive: Utc,
    /// True time minus CLOCK_REALTIME at that instant.
    pub offset: Span,
    /// The leap second that is announced.
    pub leap: Leap,
}

/// What can be known of the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listener {
    /// Nobody has the socket: it is not there, or whoever made it is gone.
    Absent,
    /// Somebody has it.
    Bound,
}

/// What a person needs to know about a file in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// User id of the owner.
    pub owner: u32,
    /// Its group.
    pub group: u32,
    /// The nine permission bits.
    pub mode: u32,
}

/// Why a message was not sent. All of it may change while the daemon runs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sock {}: {}; {}", self.path().display(), self.what(), self.remedy())]
pub enum SockError {
    /// This user may not write to the socket. chronyd makes it for root alone.
    Denied {
        /// The socket that was to be sent to.
        path: PathBuf,
        /// Who we are.
        user: u32,
        /// Whose it is.
        socket: Facts,
    },
    /// This user may not enter a directory on the way.
    OutOfReach {
        /// The socket that was to be sent to.
        path: PathBuf,
        /// Who we are.
        user: u32,
        /// The directory that is closed.
        directory: PathBuf,
        /// Whose it is.
        facts: Facts,
    },
    /// Something else is there.
    NoSocket {
        /// The socket that was to be sent to.
        path: PathBuf,
        /// What it is, with its verb.
        what: String,
    },
    /// Its queue is full.
    Full {
        /// The socket that was to be sent to.
        path: PathBuf,
    },
    /// The kernel refuses for another reason.
    System {
        /// The socket that was to be sent to.
        path: PathBuf,
        /// The system call.
        call: &'static str,
        /// Its error number, 0 when it gave none.
        errno: i32,
    },
}

impl SockError {
    /// The socket that was to be sent to.
    pub fn path(&self) -> &Path {
        match self {
            Self::Denied { path, .. }
            | Self::OutOfReach { path, .. }
            | Self::NoSocket { path, .. }
            | Self::Full { path }
            | Self::System { path, .. } => path,
        }
    }

    /// What is wrong with it.
    pub fn what(&self) -> String {
        match self {
            Self::Denied { user, socket, .. } => {
                format!("uid {user} may not send to the socket ({socket})")
            }
            Self::OutOfReach {
                user,
                directory,
                facts,
                ..
            } => format!("uid {user} may not enter {} ({facts})", directory.display()),
            Self::NoSocket { what, .. } => format!("the path {what}, not a datagram socket"),
            Self::Full { .. } => {
                "the daemon that has the socket does not read it, its queue is full".to_owned()
            }
            Self::System { call, errno, .. } => {
                format!("{call} fails: {}", io::Error::from_raw_os_error(*errno))
            }
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Denied { .. } => {
                "let the group webntpd write to it: install /usr/share/doc/webntpd/examples/chrony-sock.conf as a drop-in of \
                 chrony.service and restart that"
            }
            Self::OutOfReach { .. } => {
                "let it, or use a path in a directory that is open to all, like /run/chrony.webntpd.sock"
            }
            Self::NoSocket { .. } => {
                "remove it and restart the daemon that is to read, or name the path in its configuration"
            }
            Self::Full { .. } => "see whether it hangs",
            Self::System { errno, .. } => system_remedy(*errno),
        }
    }
}

/// The one writer to a path.
#[derive(Debug)]
pub struct Sender {
    path: PathBuf,
    /// None until the first message: the kernel may have none to give.
    socket: Option<UnixDatagram>,
}

impl Message {
    /// As chronyd's `struct sock_sample` on a host of 64 bits: timeval, offset, pulse, leap, padding, magic. ntpd-rs demands the same,
    /// little endian.
    pub fn bytes(&self) -> [u8; SIZE] {
        // The fraction of a microsecond that the timeval cannot hold is not made up for in the offset: the offset is the same at
        // either instant, and this is all that the reader makes of the two.
        let (seconds, nanos) = self.receive.to_parts();
        let leap: i32 = match self.leap {
            Leap::None => 0,
            Leap::Insert => 1,
            Leap::Delete => 2,
        };
        let mut bytes = [0; SIZE];
        bytes[0..8].copy_from_slice(&seconds.to_ne_bytes());
        bytes[8..16].copy_from_slice(&i64::from(nanos / 1_000).to_ne_bytes());
        bytes[16..24].copy_from_slice(&self.offset.as_secs_f64().to_ne_bytes());
        // From 24 the pulse, which is 0: the offset is complete, not a fraction of a second.
        bytes[28..32].copy_from_slice(&leap.to_ne_bytes());
        bytes[36..40].copy_from_slice(&MAGIC.to_ne_bytes());
        bytes
    }
}

impl Sender {
    /// A sender to this path, at most 107 bytes long; nothing is looked up yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, socket: None }
    }

    /// Where it sends.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sends one message to whoever has the socket now.
    pub fn send(&mut self, message: &Message) -> Result<Listener, SockError> {
        let path = &self.path;
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(path)?,
        };
        let sent = self
            .socket
            .insert(socket)
            .send_to(&message.bytes(), path)
            .map(drop);
        judge(path, "sendto", sent)
    }

    /// What a message would meet now. None is sent.
    pub fn probe(&self) -> Result<Listener, SockError> {
        // A connection of datagram sockets is a look-up and a check of rights; the other side does not notice.
        judge(&self.path, "connect", open(&self.path)?.connect(&self.path))
    }
}

fn open(path: &Path) -> Result<UnixDatagram, SockError> {
    let opened = UnixDatagram::unbound().and_then(|socket| {
        // A reader that hangs must not hang us.
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    opened.map_err(|error| system(path, "socket", &error))
}

/// What the kernel's answer means.
fn judge(path: &Path, call: &'static str, result: io::Result<()>) -> Result<Listener, SockError> {
    let Err(error) = result else {
        return Ok(Listener::Bound);
    };
    match error.raw_os_error() {
        Some(libc::ENOENT) => match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => Err(SockError::NoSocket {
                path: path.to_owned(),
                what: "is a symbolic link that leads nowhere".to_owned(),
            }),
            _ => Ok(Listener::Absent),
        },
        // Also for what is no socket at all.
        Some(libc::ECONNREFUSED) => match fs::metadata(path) {
            Ok(found) if !found.file_type().is_socket() => Err(SockError::NoSocket {
                path: path.to_owned(),
                what: what(path, found.file_type()),
            }),
            _ => Ok(Listener::Absent),
        },
        Some(libc::EPROTOTYPE) => Err(SockError::NoSocket {
            path: path.to_owned(),
            what: "is a socket of another type".to_owned(),
        }),
        Some(libc::EACCES) => Err(denied(path, call, &error)),
        _ if error.kind() == ErrorKind::WouldBlock => Err(SockError::Full {
            path: path.to_owned(),
        }),
        _ => Err(system(path, call, &error)),
    }
}

/// Whether it is the socket that is closed to us, or a directory on the way.
fn denied(path: &Path, call: &'static str, error: &io::Error) -> SockError {
    let user = nix::unistd::geteuid().as_raw();
    if let Ok(found) = fs::metadata(path) {
        return SockError::Denied {
            path: path.to_owned(),
            user,
            socket: Facts::from(&found),
        };
    }
    // The deepest one that can be seen is the one that shows nothing below it.
    let seen = |directory: &Path| Some((directory.to_owned(), fs::metadata(directory).ok()?));
    match path.ancestors().skip(1).find_map(seen) {
        Some((directory, found)) => SockError::OutOfReach {
            path: path.to_owned(),
            user,
            directory,
            facts: Facts::from(&found),
        },
        None => system(path, call, error),
    }
}

fn system(path: &Path, call: &'static str, error: &io::Error) -> SockError {
    SockError::System {
        path: path.to_owned(),
        call,
        errno: error.raw_os_error().unwrap_or(0),
    }
}

/// `is a regular file`
fn what(path: &Path, kind: FileType) -> String {
    let is = match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => "is a symbolic link to",
        _ => "is",
    };
    let kind = if kind.is_file() {
        "a regular file"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a pipe"
    } else {
        "a device"
    };
    format!("{is} {kind}")
}

fn system_remedy(errno: i32) -> &'static str {
    match errno {
        libc::ENOTDIR | libc::ELOOP | libc::ENAMETOOLONG => {
            "name the path that the other daemon's configuration has"
        }
        libc::EMFILE => "raise LimitNOFILE= of the service",
        libc::EAFNOSUPPORT => "let the service use AF_UNIX (RestrictAddressFamilies=)",
        _ => "it is tried again with the next sample",
    }
}

impl Facts {
    /// Of what is at `path`; links are followed.
    pub fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|found| Self::from(&found))
    }
}

impl From<&Metadata> for Facts {
    fn from(found: &Metadata) -> Self {
        Self {
            owner: found.uid(),
            group: found.gid(),
            mode: found.mode() & 0o777,
        }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, group, mode } = self;
        write!(f, "owner uid {owner}, gid {group}, mode {mode:04o}")
    }
}

#[cfg(test)]
mod tests;
