//! systemd's own judgement of a unit, and its way to make users, in a file system root of the test's.
//!
//! In: the files of the repository's `systemd/`. Out: what systemd says of them.
//! Not: nothing is started; systemd is not the init here.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::output;
use super::{daemon, provided};

const LIMIT: Duration = Duration::from_secs(30);
const UNIT: &str = "webntpd.service";
const CHRONY: &str = "chrony.service";

/// Where a package would put what the unit starts.
const PROGRAMS: &[&str] = &[
    "usr/bin/webntpd",
    "usr/sbin/chronyd",
    "bin/kill",
    "bin/chgrp",
    "bin/chmod",
];

/// A file of the repository's `systemd/`.
pub(crate) fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("systemd")
        .join(name)
}

/// A root with systemd's units and ours, as if the package was installed. Inside a sandbox only.
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new() -> Self {
        let root = Self(PathBuf::from("/run/root"));
        let lib = root.dir("usr/lib/systemd");
        symlink(provided("units"), lib.join("system")).expect("the root is new");
        let unit = root.dir("etc/systemd/system").join(UNIT);
        fs::copy(shipped(UNIT), unit).expect("the unit can be copied");
        let users = root.dir("usr/lib/sysusers.d").join("webntpd.conf");
        fs::copy(shipped("webntpd.sysusers"), users).expect("the user can be copied");
        for program in PROGRAMS {
            let path = root.0.join(program);
            root.dir(program.rsplit_once('/').expect("all are in directories").0);
            fs::write(&path, "").expect("a stand-in");
            fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("it is ours");
        }
        root
    }

    /// The same with one of the shipped examples as a drop-in.
    pub(crate) fn with_example(name: &str) -> Self {
        let root = Self::new();
        let drop_in = root.dir("etc/systemd/system/webntpd.service.d").join(name);
        fs::copy(shipped("examples").join(name), drop_in).expect("the example can be copied");
        root
    }

    /// Debian's unit of chronyd, with one of the shipped examples as its drop-in.
    pub(crate) fn chrony_with_example(name: &str) -> Self {
        let root = Self::new();
        let units = root.dir("etc/systemd/system");
        let unit = provided("chrony/lib/systemd/system").join(CHRONY);
        fs::copy(unit, units.join(CHRONY)).expect("the unit can be copied");
        let drop_in = root.dir("etc/systemd/system/chrony.service.d").join(name);
        fs::copy(shipped("examples").join(name), drop_in).expect("the example can be copied");
        root
    }

    /// All that `systemd-analyze verify` has to say of the unit; nothing, if it is well.
    pub(crate) fn complaints(&self) -> String {
        self.complaints_about(UNIT)
    }

    /// The same of chronyd's unit.
    pub(crate) fn complaints_about_chrony(&self) -> String {
        self.complaints_about(CHRONY)
    }

    fn complaints_about(&self, unit: &str) -> String {
        // The manual page may not be there yet when the unit is.
        let output = self
            .command("systemd-analyze")
            .args(["verify", "--man=no", unit])
            .output()
            .expect("tests/run has seen that it starts");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        match output.status.success() {
            true => said,
            false => format!("{said}{}", output.status),
        }
    }

    /// Whether the exposure is no greater than so many tenths; the whole table if it is.
    pub(crate) fn exposure_within(&self, tenths: u32) -> Result<String, String> {
        let threshold = format!("--threshold={tenths}");
        let mut command = self.command("systemd-analyze");
        command.args(["security", "--offline=true", "--no-pager", &threshold, UNIT]);
        output(&mut command, LIMIT)
    }

    /// Makes the users that are configured: the lines of passwd(5).
    pub(crate) fn users(&self) -> Vec<String> {
        self.dir("etc");
        output(&mut self.command("systemd-sysusers"), LIMIT)
            .unwrap_or_else(|error| panic!("{error}"));
        let users = fs::read_to_string(self.0.join("etc/passwd")).expect("it is made");
        users.lines().map(str::to_owned).collect()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = daemon(program);
        command
            .arg(format!("--root={}", self.0.display()))
            .env("SYSTEMD_COLORS", "0")
            .env_remove("SYSTEMD_LOG_LEVEL")
            .env_remove("SYSTEMD_UNIT_PATH");
        command
    }

    fn dir(&self, path: &str) -> PathBuf {
        let dir = self.0.join(path);
        fs::create_dir_all(&dir).expect("a directory in the sandbox");
        dir
    }
}

/// The version of systemd.
pub(crate) fn version() -> u32 {
    let said = output(daemon("systemd-analyze").arg("--version"), LIMIT);
    let said = said.unwrap_or_else(|error| panic!("{error}"));
    let number = said.split_whitespace().nth(1);
    let number = number.and_then(|number| number.split('~').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no version: {said}"))
}
