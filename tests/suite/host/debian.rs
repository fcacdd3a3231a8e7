//! A bare Debian of the test's own, to install packages in, and the package to be installed.
//!
//! In: the suite; the trees that `tests/roots` makes, and a way to Debian's packages. Out: what commands inside it say.
//! Not: no service manager runs in it, and nothing inside can set this machine's clock. The network is this machine's: packages
//! come from there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs};

use nix::unistd::Uid;

use super::process::output;

/// Packages are fetched.
const LIMIT: Duration = Duration::from_secs(1_800);

/// What nobody inside may have.
const NO_CLOCK: &[&str] = &["--bounding-set=-sys_time", "--inh-caps=-sys_time"];

/// Where it is mounted, in a name space that nobody else sees.
const TREE: &str = "/run/debian/tree";

/// What is written goes to memory, so that the tree below stays clean.
const HOLD: &str = r#"
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/debian/upper /run/debian/work /run/debian/tree
mount -t overlay -o "lowerdir=$1,upperdir=/run/debian/upper,workdir=/run/debian/work" overlay "$2"
mount -t proc proc "$2/proc"
for name in resolv.conf hosts; do
    [ -e "/etc/$name" ] || continue
    [ -e "$2/etc/$name" ] || : >"$2/etc/$name"
    mount --bind "/etc/$name" "$2/etc/$name"
done
# The first process has the tree as its root: for what asks, it is a machine of its own, and no chroot. It is ready when it
# is there, not before: files are put in by way of its root.
exec chroot "$2" sh -c 'echo ready; exec cat'
"#;

/// Whether the test `name` can have a tree. Only root can make one: run by others, the test shows nothing, and says so.
pub(crate) fn available(name: &str) -> bool {
    if Uid::effective().is_root() {
        return true;
    }
    assert!(
        env::var_os("CI").is_none(),
        "{name} needs root, and is not left out in CI"
    );
    println!("{name} needs root to install packages in a tree of its own: not run");
    false
}

/// The repository's script `name`, which prints what is wanted as its last line.
fn script(name: &str, arguments: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let said = output(Command::new(path).args(arguments), LIMIT);
    said.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The package of this source tree, with a revision of Debian's. It is built once in a run of the tests.
pub(crate) fn package(revision: u32) -> PathBuf {
    static BUILT: Mutex<BTreeMap<u32, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let package = built.entry(revision).or_insert_with(|| {
        let said = script(
            "packaging/build-deb",
            &["--revision", &revision.to_string()],
        );
        PathBuf::from(said.lines().last().expect("the path is the last line"))
    });
    package.clone()
}

/// What lintian says of a package, and whether it is content.
pub(crate) fn lintian(package: &Path) -> Result<String, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/check-deb");
    output(Command::new(script).arg(package), LIMIT)
}

/// A Debian that is gone when it is dropped.
pub(crate) struct Debian {
    holder: Child,
    /// The first process inside.
    inside: String,
}

impl Debian {
    pub(crate) fn new(suite: &str) -> Self {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("target/roots")
            .join(suite);
        let tree = tree.to_str().expect("the path is text");
        script("tests/roots", &[suite, tree]);
        let mut holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .args(NO_CLOCK)
            .args(["unshare", "--ipc", "--mount", "--pid", "--fork"])
            .args(["--kill-child=KILL", "--mount-proc", "sh", "-euc", HOLD, "_"])
            .args([tree, TREE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("setpriv starts");
        let mut said = String::new();
        let stdout = holder.stdout.as_mut().expect("it is a pipe");
        BufReader::new(stdout)
            .read_line(&mut said)
            .expect("it can be read");
        assert_eq!(said, "ready\n", "no tree could be mounted");
        let id = holder.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let inside = children.expect("it runs").trim().to_owned();
        Self { holder, inside }
    }

    /// Puts a file from outside into the tree.
    pub(crate) fn put(&self, from: &Path, to: &str) {
        let to = format!("/proc/{}/root{to}", self.inside);
        fs::copy(from, &to).unwrap_or_else(|error| panic!("{to}: {error}"));
    }

    /// What a script of the shell says on standard output; or how it ended, and all that it said.
    pub(crate) fn try_run(&self, script: &str) -> Result<String, String> {
        let mut command = Command::new("setpriv");
        command
            .args(NO_CLOCK)
            .args(["nsenter", "--target", &self.inside])
            .args(["--mount", "--ipc", "--pid", "chroot", TREE])
            .args(["/bin/sh", "-euc", script])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .envs([("LC_ALL", "C"), ("DEBIAN_FRONTEND", "noninteractive")]);
        output(&mut command, LIMIT)
    }

    /// What a script says that must not fail.
    pub(crate) fn run(&self, script: &str) -> String {
        let said = self.try_run(script);
        said.unwrap_or_else(|error| panic!("{script}:\n{error}"))
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        // All inside ends with the first of them.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
