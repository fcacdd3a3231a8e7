//! A test's body inside namespaces of its own.
//!
//! In: the body. Out: its outcome, as if it had run here; its output is the test's.
//! Inside, the body is root, alone with its children, its shared memory, a loopback device that no other test
//! shares, and an empty /run.
//! Not: nothing inside can set this machine's clock, and nothing inside outlives the test.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;
use std::{any, env, fs};

use nix::unistd::Uid;

use super::process::{Process, output};

/// Set inside; holds the user namespace of the outside.
const INSIDE: &str = "WEBNTPD_SANDBOX";

/// A body that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(120);

const USER: &[&str] = &["unshare", "--user", "--map-root-user"];
const ROOT: &[&str] = &[
    "setpriv",
    "--bounding-set=-sys_time",
    "--inh-caps=-sys_time",
    "unshare",
];
const REST: &[&str] = &[
    "--ipc",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child=KILL",
    "--mount-proc",
];
const ENTER: &[&str] = &[
    "bash",
    "-c",
    // An installed daemon's state is not the tests' to change.
    r#"ip link set lo up && mount -t tmpfs -o mode=0755 tmpfs /run &&
       { [ ! -d /var/lib/webntpd ] || mount -t tmpfs tmpfs /var/lib/webntpd; } && exec "$@""#,
    "_",
];

/// Runs `body` in a sandbox: the test calls itself again there. The call must be the test's own, not a helper's.
pub(crate) fn run<F: FnOnce()>(body: F) {
    if inside() {
        return run_here(body);
    }
    run_behind(enter(), test_name::<F>());
}

/// As [`run`], and the body can start programs as other users. Only root can let it: run by others, the test shows
/// nothing, and says so.
pub(crate) fn run_with_users<F: FnOnce()>(body: F) {
    if inside() {
        return run_here(body);
    }
    let name = test_name::<F>();
    if !Uid::effective().is_root() {
        return println!("{name} needs root to become other users: not run");
    }
    run_behind(with_users(), name);
}

/// The command that enters a sandbox with users and runs there what its further arguments say: for a program of tests that
/// is not the test runner's. Only root can.
pub(crate) fn with_users() -> Command {
    command(ROOT)
}

fn run_here(body: impl FnOnce()) {
    assert!(clock_is_out_of_reach(), "this sandbox could set the clock");
    body();
}

/// Runs the test of this name again, where `sandbox` leads to.
fn run_behind(mut sandbox: Command, name: &str) {
    let this = env::current_exe().expect("a test knows its own path");
    sandbox
        .arg(this)
        .args(["--exact", name, "--nocapture", "--include-ignored"]);
    let mut inner = Process::start(&mut sandbox);
    let status = inner.wait_exit(LIMIT);
    let said = inner.log();
    drop(inner);
    assert!(
        status.success(),
        "{name} failed in its sandbox ({status}):\n{said}"
    );
    // A name that fits no test would pass as well.
    assert!(
        said.contains("test result: ok. 1 passed"),
        "{name} did not run in its sandbox:\n{said}"
    );
    print!("{said}");
}

pub(crate) fn inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// The test that the closure `F` was written in.
fn test_name<F>() -> &'static str {
    // Not the thread's name: with one test thread that is "main".
    let path = any::type_name::<F>();
    let function = path
        .split_once("::{{closure}}")
        .map_or(path, |(function, _)| function);
    function
        .split_once("::")
        .map_or(function, |(_crate, name)| name)
}

/// In a user namespace of its own the kernel refuses to set the clock; elsewhere the right to do so must be gone for
/// good.
pub(crate) fn clock_is_out_of_reach() -> bool {
    const CAP_SYS_TIME: u32 = 25;
    let outside = env::var(INSIDE).unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let lacks = |set: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(set))
            .unwrap_or_default();
        u64::from_str_radix(line.trim(), 16).is_ok_and(|bits| bits >> CAP_SYS_TIME & 1 == 0)
    };
    user_namespace() != outside
        || ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:"]
            .into_iter()
            .all(lacks)
}

fn user_namespace() -> String {
    let link =
        fs::read_link("/proc/self/ns/user").unwrap_or_else(|_| Path::new("unknown").to_owned());
    link.to_string_lossy().into_owned()
}

/// The command that enters a sandbox and runs there what its further arguments say.
fn enter() -> Command {
    static WAY: OnceLock<Result<&[&str], String>> = OnceLock::new();
    let attempt = |way: &'static [&'static str]| {
        output(command(way).arg("true"), Duration::from_secs(20)).map(|_| way)
    };
    let way = WAY.get_or_init(|| {
        attempt(USER).or_else(|user| {
            attempt(ROOT).map_err(|root| {
                format!("user namespaces are forbidden:\n{user}and so is, as root:\n{root}")
            })
        })
    });
    match way {
        Ok(way) => command(way),
        Err(why) => {
            panic!("no sandbox, so the real daemons must not run; run tests/run as root. {why}")
        }
    }
}

fn command(way: &[&str]) -> Command {
    // Dies with the test's thread, however that ends.
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL"])
        .args(way)
        .args(REST)
        .args(ENTER)
        .env(INSIDE, user_namespace());
    command
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::panic::{catch_unwind, resume_unwind};

    use nix::unistd::getpid;

    use super::super::as_user;
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn the_body_is_root_and_the_first_process_with_an_empty_run_and_port_123() {
        run(|| {
            assert!(Uid::effective().is_root());
            assert_eq!(getpid().as_raw(), 1);
            assert_eq!(fs::read_dir("/run").expect("it is mounted").count(), 0);
            UdpSocket::bind("127.0.0.1:123").expect("the port is free");
            UdpSocket::bind("[::1]:123").expect("the port is free");
        });
    }

    #[test]
    fn the_body_can_be_another_user_where_it_asks_for_users() {
        run_with_users(|| {
            assert!(clock_is_out_of_reach());
            let said = output(&mut as_user(990, Command::new("id").arg("-u")), SOON);
            assert_eq!(said.as_deref(), Ok("990\n"));
        });
    }

    #[test]
    fn the_clock_is_out_of_reach_inside() {
        run(|| assert!(clock_is_out_of_reach()));
    }

    #[test]
    fn a_body_that_fails_fails_its_test() {
        let outcome = catch_unwind(|| run(|| panic!("as arranged")));
        let reason = outcome.expect_err("the body fails");
        if inside() {
            resume_unwind(reason);
        }
        let reason = reason.downcast_ref::<String>().expect("it is a text");
        assert!(reason.contains("as arranged"), "{reason}");
    }

    #[test]
    fn a_test_finds_its_own_name() {
        fn name_of<F>(_: &F) -> &'static str {
            test_name::<F>()
        }
        assert_eq!(
            name_of(&|| ()),
            "host::sandbox::tests::a_test_finds_its_own_name"
        );
    }
}
