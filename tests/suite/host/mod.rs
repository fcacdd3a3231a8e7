//! The test host: the real ntpsec and chronyd beside the program under test, where no clock can be touched.
//!
//! * [`sandbox`]: a test's body inside namespaces of its own
//! * [`process`]: a program that runs beside the test, its log, its end
//! * [`ntpsec`], [`chronyd`]: the daemons, and what they say about the clock that they are fed
//! * [`debian`]: a bare Debian, to install the package in
//! * [`systemd`]: what judges the unit, without being this machine's init
//! * [`segment`]: NTP's shared memory, as another process sees it
//! * [`deadline`]: waiting for an event, not for a guessed time
//!
//! The real daemons come from `tests/run`. Where one is missing the test fails; nothing is skipped.

pub(crate) mod chronyd;
pub(crate) mod deadline;
pub(crate) mod debian;
pub(crate) mod ntpsec;
pub(crate) mod process;
pub(crate) mod sandbox;
pub(crate) mod segment;
pub(crate) mod systemd;
pub(crate) mod webntpd;

mod proof;

use std::path::{Path, PathBuf};
use std::process::Command;

/// One of the programs that `tests/run` provides.
pub(crate) fn daemon(program: &str) -> Command {
    Command::new(provided(&format!("bin/{program}")))
}

/// A file or directory that `tests/run` provides.
fn provided(name: &str) -> PathBuf {
    let root = std::env::var_os("WEBNTPD_DAEMONS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/daemons"),
        PathBuf::from,
    );
    let path = root.join(name);
    assert!(
        path.exists(),
        "{} is missing: run tests/run, which fetches it",
        path.display()
    );
    path
}

/// Debian's own Python: one of the user's may be out of reach for whoever runs the tests.
fn python(source: &str) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-I", "-S", "-u", "-c", source]);
    command
}

/// The same program and arguments, run by another user. Needs a sandbox with users.
fn as_user(uid: u32, command: &Command) -> Command {
    let mut other = Command::new("setpriv");
    other
        .args([format!("--reuid={uid}"), format!("--regid={uid}")])
        .args(["--clear-groups", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    other
}
