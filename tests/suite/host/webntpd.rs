//! The daemon under test as its user runs it: the built program with a configuration file.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::as_user;
use super::process::{Process, output};

/// The program.
pub(crate) fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_webntpd"))
}

/// The user's tool.
pub(crate) fn tool() -> Command {
    Command::new(env!("CARGO_BIN_EXE_webntp"))
}

/// The program, run by another user. Needs a sandbox with users.
pub(crate) fn command_as(uid: u32) -> Command {
    as_user(uid, &reachable(&command(), "/run/webntpd.bin"))
}

/// The user's tool, run by another user. Needs a sandbox with users.
pub(crate) fn tool_as(uid: u32) -> Command {
    as_user(uid, &reachable(&tool(), "/run/webntp.bin"))
}

/// The same program at `path`: where it was built may be out of another user's reach.
fn reachable(command: &Command, path: &str) -> Command {
    if !Path::new(path).exists() {
        fs::write(path, []).expect("the sandbox has a /run of its own");
        let mut mount = Command::new("mount");
        mount.arg("--bind").arg(command.get_program()).arg(path);
        output(&mut mount, Duration::from_secs(10)).expect("the sandbox is root");
    }
    Command::new(path)
}

/// A configuration that polls each of `urls` every second and publishes to `unit` as often.
pub(crate) fn configuration(unit: u8, urls: &[String]) -> String {
    let mut text = format!("cycle = \"1s\"\n\n[shm]\nunit = {unit}\n");
    for (k, url) in urls.iter().enumerate() {
        write!(text, "\n[[source]]\nname = \"fake-{k}\"\nurl = \"{url}\"\n")
            .expect("a string takes all");
    }
    text
}

/// Writes a configuration into `dir`, which is made if need be.
pub(crate) fn write_configuration(dir: &Path, text: &str) -> PathBuf {
    fs::create_dir_all(dir).expect("a directory for the configuration");
    let path = dir.join("webntpd.toml");
    fs::write(&path, text).expect("the configuration can be written");
    path
}

/// Starts the daemon on a configuration of its own in `dir`.
pub(crate) fn start(dir: &Path, text: &str) -> Process {
    let path = write_configuration(dir, text);
    Process::start(command().arg("--config").arg(path))
}
