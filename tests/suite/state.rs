//! What the real daemon keeps from one run to the next, and what becomes of it in every mishap.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ::webntpd::engine::time::{Rate, Span, Utc};
use ::webntpd::sys::clock::system_now;
use ::webntpd::sys::state::{self, KnownRate, State};
use nix::sys::signal::Signal;

use crate::fake::{Authority, FakeUpstream, OsClock, Setup, Tls};
use crate::host::process::{Process, output};
use crate::host::{deadline, sandbox, webntpd};

const LIMIT: Duration = Duration::from_secs(60);
const DIR: &str = "/run/webntpd";
const KEPT: &str = "/run/kept";

/// How far the fake's clock is ahead of the machine's.
const AHEAD: Span = Span::from_secs(100);

fn fake() -> FakeUpstream<OsClock> {
    FakeUpstream::start(Setup::with_clock(OsClock {
        offset_ns: AHEAD.as_nanos(),
    }))
}

fn configuration(fake: &FakeUpstream<OsClock>) -> String {
    let urls = [fake.url("http", "/json")];
    webntpd::configuration(2, &urls) + &format!("\n[state]\ndirectory = '{KEPT}'\n")
}

fn start(fake: &FakeUpstream<OsClock>) -> Process {
    webntpd::start(Path::new(DIR), &configuration(fake))
}

fn stop(daemon: &mut Process) {
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait_exit(LIMIT).success());
}

/// Runs the daemon until it has published, and to its end; what it said.
fn run(fake: &FakeUpstream<OsClock>) -> String {
    let mut daemon = start(fake);
    daemon.wait_line("publishing: ", LIMIT);
    stop(&mut daemon);
    daemon.log()
}

fn kept() -> Option<State> {
    state::read(Path::new(KEPT)).expect("it is whole")
}

fn times_said(log: &str, what: &str) -> usize {
    log.lines().filter(|line| line.contains(what)).count()
}

fn assert_is_now(time: Utc) {
    let now = system_now() + AHEAD;
    assert!((now - time).abs() < Span::from_secs(60), "{time:?} {now:?}");
}

#[test]
fn time_and_rate_are_kept_and_found_at_the_next_start() {
    sandbox::run(|| {
        fs::create_dir(KEPT).expect("a directory");
        let fake = fake();
        let mut daemon = start(&fake);
        daemon.wait_line("publishing: ", LIMIT);
        let first = deadline::poll(LIMIT, kept);
        let first = first.expect("written after the first decision");
        assert_is_now(first.time);
        stop(&mut daemon);
        let last = kept().expect("it is there");
        assert!(last.time >= first.time);
        assert_is_now(last.time);

        // As an hour on this machine would have left it; the next run does not lose it, however short it is.
        let rate = KnownRate {
            rate: Rate::from_ppt(0),
            error: Rate::from_ppm(2),
            boot: state::boot_id(),
        };
        let long = State {
            rate: Some(rate.clone()),
            ..last.clone()
        };
        state::write(Path::new(KEPT), &long).expect("it is ours");
        let log = run(&fake);
        assert!(!log.contains("WARN"), "{log}");
        let again = kept().expect("it is there");
        assert!(again.time > last.time);
        assert_eq!(again.rate, Some(rate));
    });
}

#[test]
fn a_state_that_is_damaged_or_from_the_future_is_named_once_and_replaced() {
    sandbox::run(|| {
        fs::create_dir(KEPT).expect("a directory");
        let fake = fake();
        fs::write(state::path(Path::new(KEPT)), "version = 1\ntime-ns = 17").expect("it is ours");
        let log = run(&fake);
        let damaged = "/run/kept/state is damaged, or was changed by hand: beginning without";
        assert_eq!(times_said(&log, damaged), 1, "{log}");
        assert_is_now(kept().expect("it was written over").time);

        let future = State {
            time: Utc::from_secs(2_222_121_600),
            rate: None,
        };
        state::write(Path::new(KEPT), &future).expect("it is ours");
        let log = run(&fake);
        let early = "/run/kept/state: the last known good time in it has not come yet";
        assert_eq!(times_said(&log, early), 1, "{log}");
        assert_is_now(kept().expect("it was written over").time);
    });
}

#[test]
fn without_a_place_to_keep_it_one_line_says_so_and_all_else_goes_on() {
    sandbox::run(|| {
        let fake = fake();
        let lost = "nothing is kept for the next start";
        let log = run(&fake);
        assert_eq!(times_said(&log, lost), 1, "{log}");
        assert!(!log.contains("WARN") && !Path::new(KEPT).exists(), "{log}");

        fs::create_dir(KEPT).expect("a directory");
        mount(&["-t", "tmpfs", "-o", "ro", "tmpfs", KEPT]);
        let log = run(&fake);
        assert_eq!(times_said(&log, lost), 1, "{log}");
        assert!(log.contains("Read-only") && !log.contains("WARN"), "{log}");

        // A full disk is something to look after.
        mount(&["-t", "tmpfs", "-o", "size=4k", "tmpfs", KEPT]);
        fs::write("/run/kept/ballast", [0; 4_096]).expect("it just fits");
        let log = run(&fake);
        assert_eq!(times_said(&log, lost), 1, "{log}");
        assert_eq!(times_said(&log, "WARN"), 1, "{log}");
        assert_eq!(fs::read_dir(KEPT).expect("it is there").count(), 1);
    });
}

#[test]
fn who_may_not_write_into_the_directory_is_told_so_once() {
    sandbox::run_with_users(|| {
        fs::create_dir(KEPT).expect("a directory");
        fs::set_permissions(KEPT, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let fake = fake();
        let path = webntpd::write_configuration(Path::new(DIR), &configuration(&fake));
        let mut command = webntpd::command_as(65_534);
        let mut daemon = Process::start(command.arg("--config").arg(path));
        daemon.wait_line("publishing: ", LIMIT);
        stop(&mut daemon);
        let log = daemon.log();
        let lost = "nothing is kept for the next start";
        assert_eq!(times_said(&log, lost), 1, "{log}");
        let warning = log.lines().find(|line| line.contains("WARN"));
        // The directory of the control socket is another's, too.
        assert!(
            warning.is_none_or(|line| line.contains("no control socket")),
            "{log}"
        );
    });
}

#[test]
fn a_clock_behind_what_is_known_is_named_and_locks_out_no_server() {
    sandbox::run(|| {
        let authority = Authority::new();
        fs::create_dir_all(DIR).expect("a directory");
        fs::create_dir(KEPT).expect("a directory");
        let ca = authority.write_ca(Path::new(DIR));
        let ahead = FakeUpstream::start(Setup {
            tls: Some(Tls::of(&authority)),
            ..Setup::with_clock(OsClock {
                offset_ns: AHEAD.as_nanos(),
            })
        });
        let future = State {
            time: Utc::from_secs(2_222_121_600),
            rate: None,
        };
        state::write(Path::new(KEPT), &future).expect("it is ours");
        let text = format!(
            "cycle = '1s'\n[state]\ndirectory = '{KEPT}'\n[[source]]\nname = 'a'\nurl = '{}'\nca-file = {ca:?}\n",
            ahead.url("https", "/json")
        );
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        daemon.wait_line(
            "and 2040-06-01 is known to have come (by /run/kept/state; remove it if that is wrong): certificates",
            LIMIT,
        );
        daemon.wait_line("publishing: ", LIMIT);
        stop(&mut daemon);
        assert_is_now(kept().expect("it was written over").time);
    });
}

fn mount(arguments: &[&str]) {
    output(
        Command::new("mount").args(arguments),
        Duration::from_secs(10),
    )
    .expect("root may mount");
}
