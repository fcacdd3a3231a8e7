//! Where samples go, by the configuration: the segment, and each `[[sock]]`.
//!
//! In: the mirror of the file. Out: sockets whose paths can be used. One without is left out; why has then been reported. Nothing is
//! looked for on this machine.

use super::checked::{Config, Shm};
use super::keys::PATH;
use super::problem::{Fault, Report};
use super::raw;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Most sockets.
const MOST: usize = 8;

/// `[[sock]]`: a socket of chronyd or ntpd-rs to send to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sock {
    /// `path`: where it is (absolute, at most 107 bytes, unique).
    pub path: PathBuf,
}

/// One place where samples go. It prints as people call it: `SHM(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// The segment.
    Shm(Shm),
    /// A socket.
    Sock(Sock),
}

impl Output {
    /// The segment of a unit, with the defaults.
    pub fn of_unit(unit: u8) -> Self {
        Self::Shm(Shm::of_unit(unit))
    }

    /// The socket of a path.
    pub fn of_path(path: impl Into<PathBuf>) -> Self {
        Self::Sock(Sock { path: path.into() })
    }

    /// Of a segment.
    pub fn unit(&self) -> Option<u8> {
        match self {
            Self::Shm(shm) => Some(shm.unit),
            Self::Sock(_) => None,
        }
    }

    /// Of a socket.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Shm(_) => None,
            Self::Sock(sock) => Some(&sock.path),
        }
    }

    /// Whether both are the same segment or the same socket, however they are to be made.
    pub fn is_at(&self, other: &Self) -> bool {
        (self.unit(), self.path()) == (other.unit(), other.path())
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shm(shm) => write!(f, "SHM({})", shm.unit),
            Self::Sock(sock) => write!(f, "SOCK({})", sock.path.display()),
        }
    }
}

impl Config {
    /// All places where samples go; no two are alike.
    pub fn outputs(&self) -> Vec<Output> {
        let shm = self.shm.enable.then(|| Output::Shm(self.shm.clone()));
        let socks = self.socks.iter().cloned().map(Output::Sock);
        shm.into_iter().chain(socks).collect()
    }
}

/// Checks every `[[sock]]`, and whether there is any output at all.
pub(super) fn checked(file: &raw::File<'_>, report: &mut Report) -> Vec<Sock> {
    if let Some(enable) = &file.shm.enable
        && !enable.value
        && file.socks.is_empty()
    {
        let fault = Fault::new(
            "shm: enable = false leaves nothing to publish to",
            "add a [[sock]] or enable shm",
        );
        report.add_missing(enable.offset, fault);
    }
    if let Some(raw) = file.socks.get(MOST) {
        let fault = Fault::new(
            format!("there may be at most {MOST}"),
            "remove those that nobody reads",
        );
        raw.table.add(raw.offset, fault, report);
    }
    let mut seen = HashMap::new();
    file.socks
        .iter()
        .filter_map(|raw| checked_path(raw, &mut seen, report))
        .map(|path| Sock { path })
        .collect()
}

/// `seen` has the line of each path.
fn checked_path(
    raw: &raw::Sock<'_>,
    seen: &mut HashMap<PathBuf, usize>,
    report: &mut Report,
) -> Option<PathBuf> {
    let Some(given) = &raw.path else {
        // A value of the wrong type has been reported as such.
        if !raw.table.entries.contains_key(PATH.name) {
            let fault = Fault::new("path is missing", format!("add {}", PATH.example()));
            raw.table.add_missing(raw.offset, fault, report);
        }
        return None;
    };
    let path = given.value.clone();
    // Paths are the same whatever slashes they have more.
    if let Some(first) = seen.get(&path) {
        let fault = Fault::new(
            format!("is that of the sock on line {first} already"),
            "remove one of the two",
        );
        raw.table.add_about(PATH.name, given.offset, fault, report);
        return None;
    }
    seen.insert(path.clone(), report.line(given.offset));
    Some(path)
}
