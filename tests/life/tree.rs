//! A bare Debian, and in its apt's archive all packages that the life will want.
//!
//! In: this machine's way to Debian's packages. Out: [`dir`], made once and used by every run.
//! Not: nothing is installed in it beyond what a Debian needs to boot, and nothing is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::host::process;

const SUITE: &str = "bookworm";
const PACKAGES: &[&str] = &["systemd", "systemd-sysv", "dbus", "procps"];

/// The two exclude each other, so they are fetched one by one.
const READERS: &[&str] = &["ntpsec", "chrony"];

/// A whole Debian over a slow line.
const LIMIT: Duration = Duration::from_secs(1200);

/// Where it stands. The name is this test's own: others do not put packages into its archive.
pub(crate) fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/roots/life")
}

/// Makes it, if it is not there, and fetches what is missing.
pub(crate) fn prepare(package: &Path) {
    let dir = dir();
    let mut roots = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/roots"));
    crate::output(roots.arg(SUITE).arg(&dir).args(PACKAGES), LIMIT);

    let within = format!("tmp/webntpd-{}.deb", std::process::id());
    fs::copy(package, dir.join(&within)).expect("root can write there");
    // An operator takes what a package recommends; of the readers the least will do.
    fetch(&["--install-recommends", &format!("/{within}")]);
    for reader in READERS {
        fetch(&["--no-install-recommends", reader]);
    }
    fs::remove_file(dir.join(within)).expect("it was put there");
}

fn fetch(what: &[&str]) {
    let attempt = || {
        let mut command = apt_get(&["install", "--download-only"]);
        process::output(command.args(what), LIMIT)
    };
    // The lists are as old as the tree; the mirror may have newer packages instead by now.
    let fetched = attempt().or_else(|_| {
        crate::output(&mut apt_get(&["update"]), LIMIT);
        attempt()
    });
    fetched.unwrap_or_else(|failure| panic!("{failure}"));
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("chroot");
    command
        .arg(dir())
        .args(["apt-get", "-y", "-q", "-o", "APT::Sandbox::User=root"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C")
        .env_remove("TMPDIR");
    command
}
