//! The configuration file: TOML in, a [`Config`] or the whole list of [`Problems`] out.
//!
//! ```text
//! text ─▶ syntax ─▶ raw (keys, types, ranges) ─▶ checked (defaults, what must be there, what goes together)
//!            └─────────────┴──────────────────────┴─▶ Report ─▶ Problems
//! ```
//!
//! Every stage goes on after a problem, so that one run names them all, each with its line and a remedy:
//!
//! ```text
//! /etc/webntpd.toml:14: source "tokyo": poll 500ms is below 1s; raise it to at least 1s
//! ```
//!
//! Nothing is looked up, connected or attached here: a file is right or wrong by itself, on any machine. Only
//! the files that it names must be there: [`load`] reads them, [`parse`] does not.

mod authority;
mod checked;
mod duration;
mod endpoint;
mod keys;
mod leap;
mod listen;
mod mode;
mod outputs;
mod place;
mod problem;
mod raw;
mod reader;
mod sources;
mod syntax;
mod word;

pub use authority::{CaFileError, certificates};
pub use checked::{
    AddressFamily, Config, Control, Level, Log, Metrics, Protocol, Select, Shm, Source, State,
};
pub use leap::Leap;
pub use listen::listen_addresses;
pub use outputs::{Output, Sock};
pub use problem::{Problem, Problems};

use crate::engine::time::Span;
use checked::CaFileCheck;
use problem::Report;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Largest file read, in bytes: some thousand sources, or five times the certificates of a system.
const LARGEST: u64 = 1 << 20;

/// Reads the file at `path`, and those that it names, to see whether they can be used.
pub fn load(path: &Path) -> Result<Config, Problems> {
    load_with(path, &|path| certificates(path).map(drop))
}

/// Reads the file at `path` and no other: for whoever asks no server, perhaps on another machine.
pub fn load_alone(path: &Path) -> Result<Config, Problems> {
    load_with(path, &|_| Ok(()))
}

fn load_with(path: &Path, ca_file_check: CaFileCheck<'_>) -> Result<Config, Problems> {
    let file_name = path.display().to_string();
    let bytes = read_bounded(path).map_err(|error| unreadable(&file_name, &error))?;
    let Some(bytes) = bytes else {
        return Err(Problems::single(
            &file_name,
            None,
            "is larger than 1 MiB".to_owned(),
            "name the configuration file, this cannot be it",
        ));
    };
    match str::from_utf8(&bytes) {
        Ok(text) => parse_with(text, &file_name, ca_file_check),
        Err(error) => Err(not_utf8(&file_name, &bytes, error.valid_up_to())),
    }
}

/// Reads `text`, the content of a file that the problems call `file_name`, and no other file.
pub fn parse(text: &str, file_name: &str) -> Result<Config, Problems> {
    parse_with(text, file_name, &|_| Ok(()))
}

/// Reads a length of time as the file has them: `"250ms"`, `"16s"`. If it is none: what is wrong, and what to do.
pub fn duration(text: &str) -> Result<Span, String> {
    duration::parse(text).map_err(|fault| format!("{}; {}", fault.what, fault.remedy))
}

fn parse_with(
    text: &str,
    file_name: &str,
    ca_file_check: CaFileCheck<'_>,
) -> Result<Config, Problems> {
    let mut report = Report::new(text);
    let table = syntax::parse(text, &mut report);
    let file = raw::File::read(table.get_ref(), text, &mut report);
    let config = checked::config(&file, ca_file_check, &mut report);
    report.conclude(file_name, config)
}

/// All bytes of a file; nothing when it is larger than [`LARGEST`].
fn read_bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= LARGEST).then_some(bytes))
}

fn unreadable(file_name: &str, error: &io::Error) -> Problems {
    let (what, remedy) = match error.kind() {
        ErrorKind::NotFound => (
            "there is no such file".to_owned(),
            "create it or name another one",
        ),
        ErrorKind::PermissionDenied => (
            "may not be read by this user".to_owned(),
            "let the user that webntpd runs as read it, and enter its directory",
        ),
        ErrorKind::IsADirectory => ("is a directory".to_owned(), "name the file in it"),
        _ => (format!("cannot be read: {error}"), "name a file that can"),
    };
    Problems::single(file_name, None, what, remedy)
}

fn not_utf8(file_name: &str, bytes: &[u8], at: usize) -> Problems {
    let line = 1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count();
    let what = format!("byte 0x{:02x} is not UTF-8", bytes[at]);
    Problems::single(file_name, Some(line), what, "save the file as UTF-8")
}

#[cfg(test)]
mod tests;
