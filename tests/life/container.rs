//! The Debian: booted by systemd-nspawn, entered by nsenter.
//!
//! In: the tree below it, control groups for it, commands to run in it. Out: what they say; its journal, event by event.
//! Not: the clock cannot be set from inside, and what is written goes to an overlay in memory, never to the tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::unistd::Pid;

use crate::host::deadline::poll;
use crate::host::process::{self, Process};
use crate::host::segment::{Entry as Shm, Segment, key};
use crate::json::{self, Entry};
use crate::{groups, host};

/// For whatever happens by itself, on a machine that has other things to do.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// For a command; apt is the slowest.
const COMMAND: Duration = Duration::from_secs(180);

/// What nspawn ends with to be started again, since with `--keep-unit` that is left to its manager.
const REBOOT: i32 = 133;

const ROOT: &str = "/run/life/root";

/// Enters the groups that its first argument lists, then becomes what the others say.
const IN_GROUPS: &str =
    r#"IFS=:; for group in $1; do echo 0 >"$group/cgroup.procs" || exit; done; shift; exec "$@""#;

pub(crate) struct Container {
    nspawn: Process,
    /// Its systemd.
    leader: Pid,
}

/// A place in the journal.
pub(crate) struct Mark(String);

impl Container {
    /// Lays an overlay on the tree and boots it.
    pub(crate) fn boot(tree: &Path) -> Self {
        mount(tree);
        Self::start()
    }

    /// Has it boot anew, by its own systemd.
    pub(crate) fn reboot(&mut self) {
        // The connection goes with what it asks for.
        let _ = self.attempt(&["systemctl", "reboot"]);
        let status = self.nspawn.wait_exit(LIMIT);
        assert_eq!(status.code(), Some(REBOOT), "{}", self.nspawn.log());
        *self = Self::start();
    }

    fn start() -> Self {
        let list = std::env::var(groups::LIST).expect("the outside has made the groups");
        let mut command = Command::new("bash");
        command.args(["-c", IN_GROUPS, "_", &list]);
        command.arg(host::daemon("systemd-nspawn").get_program());
        command
            .args(["--quiet", "-D", ROOT, "--machine=life"])
            .args(["--register=no", "--keep-unit", "--console=pipe"])
            .args(["--resolv-conf=off", "--timezone=off"])
            .args(["--drop-capability=CAP_SYS_TIME", "--boot"]);
        let nspawn = Process::start(&mut command);
        let leader = wait_leader(&nspawn);
        let container = Self { nspawn, leader };
        container.wait_booted();
        container
    }

    fn wait_booted(&self) {
        let mut said = String::new();
        let booted = poll(LIMIT, || {
            let state = self.attempt(&["systemctl", "is-system-running"]);
            said = state.clone().unwrap_or_else(|failure| failure);
            // It exits with 0 when all units are well, and only then.
            state.ok()
        });
        if booted.is_none() {
            let failed = self.attempt(&["systemctl", "--failed", "--no-pager"]);
            panic!("the Debian does not come up: {said}\n{failed:?}");
        }
    }

    /// A path of the Debian as the sandbox has it; not for what is mounted in there, as /run and /tmp are.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        Path::new(ROOT).join(path.trim_start_matches('/'))
    }

    pub(crate) fn read(&self, path: &str) -> String {
        let place = self.path(path);
        fs::read_to_string(place).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Writes a file as an editor does that keeps owner and mode; a new one is root's, and all may read it.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let place = self.path(path);
        fs::create_dir_all(place.parent().expect("it is in a directory")).expect("root can");
        fs::write(place, text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Runs a command as its root; what it printed, or all that it said if it failed.
    pub(crate) fn attempt(&self, command: &[&str]) -> Result<String, String> {
        process::output(&mut self.command(command), COMMAND)
    }

    fn command(&self, command: &[&str]) -> Command {
        let mut entered = Command::new("nsenter");
        entered
            .args(["-t", &self.leader.to_string(), "-a", "--"])
            .args(["env", "-i", "LC_ALL=C.UTF-8", "TERM=dumb"])
            .args(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
            .args([
                "DEBIAN_FRONTEND=noninteractive",
                "SYSTEMD_PAGER=",
                "SYSTEMD_COLORS=0",
            ])
            .args(command);
        entered
    }

    /// The same of a command that has to succeed.
    pub(crate) fn run(&self, command: &[&str]) -> String {
        self.attempt(command)
            .unwrap_or_else(|failure| panic!("{}: {failure}", command.join(" ")))
    }

    /// What the unit's manager knows of a property.
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        let property = format!("--property={name}");
        let said = self.run(&["systemctl", "show", "--value", &property, unit]);
        said.trim_end().to_owned()
    }

    /// Waits until a look at it shows something.
    pub(crate) fn wait<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        poll(LIMIT, look).unwrap_or_else(|| panic!("in {LIMIT:?} there was not: {what}"))
    }

    /// Here the journal ends now.
    pub(crate) fn mark(&self) -> Mark {
        let said = self.run(&["journalctl", "-q", "-n", "1", "--show-cursor", "-o", "cat"]);
        let cursor = said
            .lines()
            .find_map(|line| line.strip_prefix("-- cursor: "));
        Mark(cursor.expect("something was logged by now").to_owned())
    }

    /// The entries of, and about, the unit since then, those that `filter` does not leave out.
    pub(crate) fn entries(&self, unit: &str, mark: &Mark, filter: &[&str]) -> Vec<Entry> {
        let after = format!("--after-cursor={}", mark.0);
        let mut command = vec!["journalctl", "-q", "-o", "json", "-u", unit, &after];
        command.extend(filter);
        self.run(&command).lines().map(json::entry).collect()
    }

    /// Waits for an entry since then with this text in its message.
    pub(crate) fn wait_entry(&self, unit: &str, mark: &Mark, text: &str) -> Entry {
        let what = format!("an entry of {unit} with {text:?}");
        self.wait(&what, || {
            let mut entries = self.entries(unit, mark, &[]).into_iter();
            entries.find(|entry| {
                entry
                    .get("MESSAGE")
                    .is_some_and(|message| message.contains(text))
            })
        })
    }

    /// What its kernel table says of the segment of a unit.
    pub(crate) fn shm(&self, unit: u8) -> Option<Shm> {
        let table = self.run(&["cat", "/proc/sysvipc/shm"]);
        Shm::listed(&table)
            .into_iter()
            .find(|shm| shm.key == key(unit))
    }

    /// What is in a segment of it. A Debian as bare as this has no Python: ours reads, among its shared memory.
    pub(crate) fn segment(&self, id: i32) -> Segment {
        let reader = Segment::reader(id);
        let mut entered = Command::new("nsenter");
        entered.args(["-t", &self.leader.to_string(), "--ipc", "--"]);
        Segment::by(entered.arg(reader.get_program()).args(reader.get_args()))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if thread::panicking() {
            for command in [
                &["journalctl", "-b", "-n", "150", "-o", "short-precise"][..],
                &[
                    "systemctl",
                    "status",
                    "-n",
                    "0",
                    "--full",
                    "webntpd.service",
                ][..],
            ] {
                eprintln!("--- {}:", command.join(" "));
                // Best effort: it may be the Debian that failed.
                let _ = self.command(command).stdin(Stdio::null()).status();
            }
        }
    }
}

/// What is written to the tree goes to memory, and is gone with the sandbox.
fn mount(tree: &Path) {
    let base = Path::new(ROOT).parent().expect("it is below /run");
    for dir in ["upper", "work", "root"] {
        fs::create_dir_all(base.join(dir)).expect("the sandbox has a /run of its own");
    }
    let options = format!(
        "lowerdir={},upperdir={base}/upper,workdir={base}/work",
        tree.display(),
        base = base.display()
    );
    let mut command = Command::new("mount");
    command.args(["-t", "overlay", "-o", &options, "overlay", ROOT]);
    crate::output(&mut command, LIMIT);
}

/// The child of nspawn that is a systemd.
fn wait_leader(nspawn: &Process) -> Pid {
    let parent = nspawn.pid();
    let leader = poll(LIMIT, || {
        let processes = fs::read_dir("/proc")
            .expect("the sandbox has one")
            .flatten();
        let mut children = processes.filter_map(|process| {
            let stat = fs::read_to_string(process.path().join("stat")).ok()?;
            // pid (comm) state ppid
            let (pid, rest) = stat.split_once(" (systemd) ")?;
            let is_child = rest.split(' ').nth(1)?.parse() == Ok(parent.as_raw());
            is_child.then_some(Pid::from_raw(pid.parse().ok()?))
        });
        children.next()
    });
    leader.unwrap_or_else(|| panic!("systemd-nspawn boots nothing: {}", nspawn.log()))
}
