//! The life of the service: a real Debian is booted, the package of this tree is installed in it, and everything happens to it
//! that happens to a system daemon, from `apt install` to `apt purge`.
//!
//! In: root's rights, Debian's packages, the package that `packaging/build-deb` makes, or the file that WEBNTPD_PACKAGE names.
//! Out: a line for each step of that life with the time that it took; exit code 0, or the step that failed and the journal of
//! the Debian.
//! Not: no clock of this machine is within reach, and nothing outlives the test, however it ends.
//!
//! Three layers, one in the other:
//!
//! * this machine, where the [`package`] is built and all that is going to be installed is fetched into a bare [`tree`]: the
//!   only part that needs a network;
//! * a sandbox as all tests with real daemons have it ([`host::sandbox`]). The fake upstreams listen on its loopback device,
//!   and ntpd may take port 123 there. It has no other device, so whatever is installed later must have been fetched;
//! * in it, on an overlay that is gone with it, the Debian ([`container`]), which shares nothing with the sandbox but that
//!   loopback device.
//!
//! It is a program of its own, without the test runner, since its steps follow upon each other, and since the watchdog's
//! patience in it would be worn out by other tests beside it.

mod container;
mod groups;
mod json;
mod life;
mod package;
mod steps;
mod tree;

#[expect(
    dead_code,
    unused_imports,
    reason = "of what the suite has, only a part is needed here, and its own tests run there"
)]
#[path = "../suite/fake/mod.rs"]
mod fake;
#[expect(
    dead_code,
    unused_imports,
    reason = "of what the suite has, only a part is needed here, and its own tests run there"
)]
#[path = "../suite/host/mod.rs"]
mod host;

use std::env;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::unistd::Uid;

use groups::Groups;
use host::deadline;
use life::Life;

/// How the test is called, for whoever picks tests by name.
const NAME: &str = "life::of_the_service_from_installation_to_purge";

/// Set inside the sandbox: the package.
const PACKAGE: &str = "WEBNTPD_LIFE_PACKAGE";

/// A life that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(900);

fn main() -> ExitCode {
    if host::sandbox::inside() {
        let package = env::var_os(PACKAGE).expect("the outside has set it");
        live(Path::new(&package));
        return ExitCode::SUCCESS;
    }
    let wanted = Wanted::parse(env::args().skip(1));
    if wanted.list {
        println!("{NAME}: test");
        return ExitCode::SUCCESS;
    }
    if !wanted.this {
        return ExitCode::SUCCESS;
    }
    if !Uid::effective().is_root() {
        let in_ci = env::var_os("CI").is_some();
        eprintln!(
            "\n{NAME}\n    was NOT RUN: only root can boot a Debian. Nothing was shown of the package, of the unit under \
             systemd,\n    of the watchdog, of an upgrade. Run tests/run as root.\n"
        );
        return ExitCode::from(u8::from(in_ci));
    }
    match enter() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Prepares all that needs the network, then lives in a sandbox. Whether it was a good life.
fn enter() -> bool {
    println!("\n{NAME}");
    let package = life::timed("the package of this tree is built", package::build);
    life::timed("a bare Debian is there, and all that it will need", || {
        tree::prepare(&package);
    });
    let groups = Groups::new();
    let mut sandbox = host::sandbox::with_users();
    sandbox
        .arg(env::current_exe().expect("a test knows its own path"))
        .env(PACKAGE, &package)
        .env(groups::LIST, groups.list())
        .stdin(Stdio::null());
    let mut child = sandbox.spawn().expect("setpriv is there");
    let ended = deadline::poll(LIMIT, || child.try_wait().expect("it is our child"));
    let status = ended.unwrap_or_else(|| {
        child.kill().expect("it runs");
        child.wait().expect("it was killed")
    });
    if !status.success() {
        eprintln!("{NAME} failed: {status}");
    }
    status.success()
}

/// Inside the sandbox.
fn live(package: &Path) {
    assert!(
        host::sandbox::clock_is_out_of_reach(),
        "this sandbox could set the clock"
    );
    let mut life = Life::begin(package);
    for (name, step) in steps::ALL {
        life::timed(name, || step(&mut life));
    }
}

/// What the arguments of `cargo test` ask for.
#[derive(Default)]
struct Wanted {
    list: bool,
    this: bool,
}

impl Wanted {
    fn parse(arguments: impl Iterator<Item = String>) -> Self {
        let (mut names, mut skipped, mut exact, mut list) = (Vec::new(), Vec::new(), false, false);
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => list = true,
                "--exact" => exact = true,
                // Neither is true of this test.
                "--ignored" | "--bench" => names.push("\0".to_owned()),
                "--skip" => skipped.extend(arguments.next()),
                "--test-threads" | "--format" | "--color" | "--logfile" | "-Z" => {
                    arguments.next();
                }
                option if option.starts_with('-') => {}
                _ => names.push(argument),
            }
        }
        let fits = |name: &String| match exact {
            true => NAME == name,
            false => NAME.contains(name.as_str()),
        };
        Self {
            list,
            this: (names.is_empty() || names.iter().any(fits)) && !skipped.iter().any(fits),
        }
    }
}

/// A program of this machine, or of the Debian in it, that has to succeed: what it printed.
fn output(command: &mut Command, limit: Duration) -> String {
    host::process::output(command, limit).unwrap_or_else(|failure| panic!("{failure}"))
}
