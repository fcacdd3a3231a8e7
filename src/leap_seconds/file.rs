//! Lists of leap seconds in files.

use crate::engine::time::{Span, Utc};
use crate::protocol::leap_seconds::{BrokenList, LeapSeconds};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Longest list that is read (bytes). The longest there is has some 10 KiB, most of it comments.
pub(super) const MAX_LENGTH: usize = 256 * 1024;

/// Why there is no list although there is a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file is there, but cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file is no list.
    #[error("{}: {cause}", path.display())]
    Broken {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        cause: BrokenList,
    },
    /// The file is much too long for a list.
    #[error("{}: more than 256 KiB; is it leap-seconds.list?", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
}

/// The list in a file and when it was written; nothing if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<(LeapSeconds, Utc)>, FileError> {
    let failed = |cause| FileError::Read {
        path: path.to_owned(),
        cause,
    };
    // Not to wait for a writer, should it be a pipe.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let written = file.metadata().and_then(|data| data.modified());
    let since_1970 = written.map_err(failed)?.duration_since(UNIX_EPOCH);
    let written = Utc::from_nanos(0) + since_1970.map_or(Span::ZERO, Span::from);
    let mut bytes = Vec::new();
    file.take(MAX_LENGTH as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > MAX_LENGTH {
        return Err(FileError::TooLong {
            path: path.to_owned(),
        });
    }
    let list = LeapSeconds::parse(&bytes).map_err(|cause| FileError::Broken {
        path: path.to_owned(),
        cause,
    })?;
    Ok(Some((list, written)))
}

/// Writes a file such that whoever opens it finds all of the old or all of the new one.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // It may never have come to be.
        let _ = fs::remove_file(&beside);
    }
    written
}
