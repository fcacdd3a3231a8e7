//! What the daemon knows when it ends and wants to know when it starts: a small file in its state directory.
//!
//! In: a [`State`]. Out: the same at the next start, or why not. A reader finds the old file or the new one, never a part of one:
//! it is written beside, made durable, and renamed. One that was torn all the same (a disk that lied, an editor) is known by its
//! check. The file can be read by people; what it means for the daemon is not known here.

use crate::engine::bound::MAX_RATE;
use crate::engine::time::{Rate, Utc};
use crate::protocol::plausible::Plausible;
use jiff::Timestamp;
use sha1::{Digest, Sha1};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The file in the state directory.
const NAME: &str = "state";

/// It is written under this name and renamed. One that was left behind by a crash is written over.
const BESIDE: &str = ".state.new";

/// The form described here. A file of another one is left out.
const VERSION: u32 = 1;

/// Larger is no file of ours (bytes).
const LARGEST: u64 = 4_096;

/// What people who look into it are told.
const HEAD: &str = "\
# What webntpd knew when it wrote this, for its next start. It needs no care: without it, or when it was
# changed (check is the SHA-1 of all lines above it), webntpd begins anew and writes another.
";

/// What is kept from one run to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The last known good time: what a majority of the sources said when it was written.
    pub time: Utc,
    /// The oscillator's rate, if it was known better than that of any oscillator.
    pub rate: Option<KnownRate>,
}

/// How fast the raw clock is off universal time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRate {
    /// The best guess (within ±500 ppm).
    pub rate: Rate,
    /// How far off that may be (> 0).
    pub error: Rate,
    /// The boot in which it was measured, if the kernel tells: another one calibrates the clock anew.
    pub boot: Option<String>,
}

/// Why there is no state although there is a file.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// A directory, a pipe, a device.
    #[error("is not a file")]
    NotAFile,
    /// Larger than any that we write.
    #[error("is larger than {LARGEST} bytes")]
    TooLarge,
    /// The check is not there or does not fit the rest: half written, or changed by somebody.
    #[error("is damaged, or was changed by hand")]
    Damaged,
    /// Written by another version of this program.
    #[error("has a form that this version does not know")]
    Version,
    /// What it says cannot be.
    #[error("has no usable {0}")]
    Value(&'static str),
}

/// Where the state is in a directory.
pub fn path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// Reads the state that is kept in `directory`; `None` if there is none.
pub fn read(directory: &Path) -> Result<Option<State>, Unusable> {
    // Not to wait for a writer, should it be a pipe.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path(directory));
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Unusable::Unreadable(error)),
    };
    if !file.metadata().map_err(Unusable::Unreadable)?.is_file() {
        return Err(Unusable::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(Unusable::Unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Unusable::TooLarge);
    }
    let text = str::from_utf8(&bytes).map_err(|_| Unusable::Damaged)?;
    parse(text).map(Some)
}

/// Keeps `state` in `directory`, which must be there. Returns when it is on the disk, which a bad disk may draw out for ever.
pub fn write(directory: &Path, state: &State) -> io::Result<()> {
    let beside = directory.join(BESIDE);
    let written = replace(directory, &beside, &text(state));
    if written.is_err() {
        // Most likely it was not even made.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn replace(directory: &Path, beside: &Path, text: &str) -> io::Result<()> {
    // A link that somebody put there is not followed: what it leads to may be anything.
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(beside)?;
    // Whatever the umask: it holds no secret, and people may look into it.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(beside, path(directory))?;
    File::open(directory)?.sync_all()
}

fn text(state: &State) -> String {
    let mut text = format!("{HEAD}version = {VERSION}\n");
    text += "# The time by a majority of the sources, in nanoseconds since 1970";
    if let Ok(time) = Timestamp::from_nanosecond(state.time.as_nanos().into()) {
        text += &format!(": {time}");
    }
    let time_ns = state.time.as_nanos();
    text += &format!("\ntime-ns = {time_ns}\n");
    if let Some(KnownRate { rate, error, boot }) = &state.rate {
        text += "# How much universal time gains on CLOCK_MONOTONIC_RAW, and how far off that may be (parts in 10^12)\n";
        let (rate_ppt, error_ppt) = (rate.as_ppt(), error.as_ppt());
        text += &format!("rate-ppt = {rate_ppt}\nrate-error-ppt = {error_ppt}\n");
        if let Some(boot) = boot {
            text += &format!("boot-id = {boot}\n");
        }
    }
    let check = check(&text);
    text += &format!("check = {check}\n");
    text
}

fn parse(text: &str) -> Result<State, Unusable> {
    let (body, last) = text
        .strip_suffix('\n')
        .and_then(|text| text.rfind('\n'))
        .map(|at| text.split_at(at + 1))
        .ok_or(Unusable::Damaged)?;
    if last.trim_end().strip_prefix("check = ") != Some(&check(body)) {
        return Err(Unusable::Damaged);
    }
    let value = |name: &str| {
        let mut entries = body.lines().filter_map(|line| line.split_once(" = "));
        entries
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    };
    if value("version") != Some(&VERSION.to_string()) {
        return Err(Unusable::Version);
    }
    let number = |name| value(name).and_then(|digits| digits.parse::<i64>().ok());
    let time = number("time-ns")
        .map(Utc::from_nanos)
        .filter(|time| Plausible::release().check(*time).is_ok())
        .ok_or(Unusable::Value("time"))?;
    let within = |rate: &Rate| (-MAX_RATE.as_ppt()..=MAX_RATE.as_ppt()).contains(&rate.as_ppt());
    let rate = number("rate-ppt").map(Rate::from_ppt).filter(within);
    let error = number("rate-error-ppt").map(Rate::from_ppt);
    let error = error.filter(|error| within(error) && *error > Rate::from_ppt(0));
    Ok(State {
        time,
        rate: rate.zip(error).map(|(rate, error)| KnownRate {
            rate,
            error,
            boot: value("boot-id").map(str::to_owned),
        }),
    })
}

/// What a reader holds against the text above it.
fn check(text: &str) -> String {
    let mut hex = String::new();
    for byte in Sha1::digest(text.as_bytes()) {
        write!(hex, "{byte:02x}").expect("a string takes all");
    }
    hex
}

/// This boot's own name, if the kernel tells it.
pub fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = id.trim();
    let is_usual = id.len() <= 36
        && id
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    (is_usual && !id.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests;
