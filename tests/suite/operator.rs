//! What the operator asks the running daemon: `webntp sources`, `webntp tracking`, `webntp waitsync`.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::fake::{FakeUpstream, OsClock, Setup};
use crate::host::deadline::poll;
use crate::host::process::Process;
use crate::host::{sandbox, webntpd};

const LIMIT: Duration = Duration::from_secs(60);
const DIR: &str = "/run/webntpd";
const STRANGER: u32 = 1001;

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9/";

fn fake_ahead_by(offset_ns: i64) -> FakeUpstream<OsClock> {
    FakeUpstream::start(Setup::with_clock(OsClock { offset_ns }))
}

/// Each source an operator of its own, with a vote of its own.
fn configuration(sources: &[(&str, &str)]) -> String {
    let mut text = "cycle = \"1s\"\n\n[shm]\nunit = 2\n".to_owned();
    for (name, url) in sources {
        write!(
            text,
            "\n[[source]]\nname = \"{name}\"\noperator = \"{name}\"\nurl = \"{url}\"\n"
        )
        .expect("a string takes all");
    }
    text
}

/// A daemon with one server that is 25 ms ahead, when it has published its time.
fn publishing() -> (FakeUpstream<OsClock>, Process) {
    let fake = fake_ahead_by(25_000_000);
    let text = configuration(&[("tokyo", &fake.url("http", "/json"))]);
    let mut daemon = webntpd::start(Path::new(DIR), &text);
    daemon.wait_line("publishing: 1 of 1", LIMIT);
    (fake, daemon)
}

fn webntp(arguments: &[&str]) -> Output {
    let mut command = webntpd::tool();
    command
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn shown(arguments: &[&str]) -> String {
    let output = webntp(arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    words(&output.stdout)
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_table_marks_the_honest_and_the_liar_and_says_why_the_dead_is_unusable() {
    sandbox::run(|| {
        let fakes = [0, 0, 1_000_000_000].map(fake_ahead_by);
        let urls = fakes.each_ref().map(|fake| fake.url("http", "/json"));
        let text = configuration(&[
            ("honest", &urls[0]),
            ("正直な", &urls[1]),
            ("liar", &urls[2]),
            ("dead", NOWHERE),
        ]);
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        daemon.wait_line("publishing: 2 of 4", LIMIT);
        let table = shown(&["sources"]);
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows.len(), 6, "{table}");
        for honest in [rows[1], rows[2]] {
            assert!("*+-".contains(&honest[..1]), "{table}");
        }
        assert!(rows[3].starts_with("x liar "), "{table}");
        assert!(rows[4].starts_with("? dead "), "{table}");
        assert!(rows[4].to_lowercase().contains("refused"), "{table}");
        assert!(rows[5].contains("2 of 4 sources agree"), "{table}");

        let long = shown(&["sources", "-v"]);
        assert!(
            long.contains("x falseticker"),
            "the legend is missing: {long}"
        );
        for told in [
            format!("{}, speaks webntp, operator honest\n", urls[0]),
            format!("{NOWHERE}, protocol not known yet, operator dead\n"),
            " network), falseticker in 0 cycles, 0 steps, 0 restarts\n".to_owned(),
        ] {
            assert!(long.contains(&told), "no {told:?} in {long}");
        }
    });
}

#[test]
fn tracking_says_that_a_clock_behind_the_servers_is_slow_and_by_how_much() {
    sandbox::run(|| {
        let (_fake, _daemon) = publishing();
        let text = shown(&["tracking"]);
        assert!(text.starts_with("State           : publishing\n"), "{text}");
        let (_, offset) = text.split_once("System clock    : ").expect("an offset");
        let (ms, rest) = offset.split_once(" ms ").expect("milliseconds");
        assert!(rest.starts_with("behind true time (slow)\n"), "{text}");
        let ms: f64 = ms.parse().expect("a number");
        assert!((ms - 25.0).abs() < 20.0, "{text}");
        assert!(text.contains("Best source     : tokyo\n"), "{text}");
        assert!(text.contains("Output          : SHM(2), "), "{text}");
    });
}

#[test]
fn json_is_the_daemons_report_in_one_line() {
    sandbox::run(|| {
        let (_fake, daemon) = publishing();
        for command in ["sources", "tracking"] {
            let line = shown(&[command, "--json"]);
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            let report: Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(report["format"], 1);
            assert_eq!(report["state"], "publishing");
            assert_eq!(report["pid"], daemon.pid().as_raw());
            let offset = report["tracking"]["offset_ns"].as_i64().expect("whole ns");
            assert!((offset - 25_000_000).abs() < 20_000_000, "{line}");
            assert_eq!(report["sources"][0]["tally"], "best");
            assert!(
                report["sources"][0]["reading"]["bound_ns"].is_i64(),
                "{line}"
            );
            assert!(report["sources"][0]["missed"]["network"].is_u64(), "{line}");
            assert!(report["outputs"][0]["written"].is_u64(), "{line}");
        }
    });
}

#[test]
fn a_daemon_that_is_not_there_is_missed_with_exit_1_until_it_comes_and_again_after_it_goes() {
    sandbox::run(|| {
        let missed = |arguments: &[&str]| {
            let output = webntp(arguments);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert!(output.stdout.is_empty(), "{output:?}");
            let said = words(&output.stderr);
            let why = "webntp: no webntpd listens on /run/webntpd/control.sock; is it running ";
            assert!(said.starts_with(why), "{said}");
        };
        missed(&["sources"]);
        missed(&["tracking", "--watch"]);
        let (_fake, mut daemon) = publishing();
        shown(&["sources"]);
        daemon.signal(Signal::SIGTERM);
        assert!(daemon.wait_exit(LIMIT).success());
        missed(&["tracking", "--json"]);
    });
}

#[test]
fn a_daemon_that_publishes_nothing_is_shown_with_its_reason_and_exit_0() {
    sandbox::run(|| {
        let text = configuration(&[("dead", NOWHERE)]);
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        daemon.wait_line("nothing published", LIMIT);
        let table = shown(&["sources"]);
        assert!(
            table.ends_with("  nothing published: no usable source\n"),
            "{table}"
        );
        let tracking = shown(&["tracking"]);
        let state = "State           : nothing published: no usable source\n";
        assert!(tracking.starts_with(state), "{tracking}");
    });
}

#[test]
fn whoever_may_not_ask_is_told_what_to_do() {
    sandbox::run_with_users(|| {
        let fake = fake_ahead_by(0);
        let text = configuration(&[("tokyo", &fake.url("http", "/json"))]);
        let text = format!("{text}\n[control]\nmode = \"0600\"\n");
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        daemon.wait_line("publishing", LIMIT);
        shown(&["sources"]);
        let mut stranger = webntpd::tool_as(STRANGER);
        let output = stranger.arg("sources").output().expect("it starts");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = words(&output.stderr);
        assert!(
            said.contains("try with sudo, or set `mode` in [control]"),
            "{said}"
        );
    });
}

#[test]
fn waitsync_ends_with_0_once_the_daemon_publishes_and_says_what_it_waits_for() {
    sandbox::run(|| {
        let mut wait = webntpd::tool();
        let mut wait = Process::start(wait.args(["waitsync", "--timeout", "60s"]));
        wait.wait_line("webntp: waiting: no webntpd listens on ", LIMIT);
        let text = configuration(&[("dead", NOWHERE)]);
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        wait.wait_line(
            "webntp: waiting: nothing published: no usable source",
            LIMIT,
        );
        let fake = fake_ahead_by(25_000_000);
        let text = configuration(&[("tokyo", &fake.url("http", "/json"))]);
        webntpd::write_configuration(Path::new(DIR), &text);
        wait.assert_running();
        daemon.signal(Signal::SIGHUP);
        assert_eq!(wait.wait_exit(LIMIT).code(), Some(0));
        daemon.wait_line("publishing: 1 of 1", LIMIT);
    });
}

#[test]
fn waitsync_ends_with_1_at_the_timeout_and_says_what_was_in_the_way() {
    sandbox::run(|| {
        let failed = |arguments: &[&str], why: &str| {
            let output = webntp(&[&["waitsync", "--timeout", "0s"], arguments].concat());
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            let said = words(&output.stderr);
            assert!(
                said.contains("webntp: not now: ") && said.contains(why),
                "{said}"
            );
        };
        failed(&[], "no webntpd listens on ");
        let (_fake, _daemon) = publishing();
        failed(&["--max-offset", "1ms"], "the system clock is off by ");
        failed(&["--max-bound", "0s"], "the time is known to ± ");
        let enough = [
            "waitsync",
            "--max-offset",
            "1s",
            "--max-bound",
            "1s",
            "--timeout",
            "0s",
        ];
        assert_eq!(webntp(&enough).status.code(), Some(0));
        let output = webntp(&["waitsync", "--timeout", "1s", "--max-offset", "1ms"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        // Not the look that the timeout cut short.
        let said = words(&output.stderr);
        let why = "webntp: not within 1.000 s: the system clock is off by ";
        assert!(said.contains(why), "{said}");
    });
}

#[test]
fn waitsync_keeps_its_timeout_where_somebody_accepts_and_says_nothing() {
    sandbox::run(|| {
        let _mute = UnixListener::bind("/run/mute.sock").expect("a socket");
        let socket = ["--socket", "/run/mute.sock"];
        let output = webntp(&[&["waitsync", "--timeout", "0s"], &socket[..]].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = words(&output.stderr);
        assert!(said.contains("it does not answer"), "{said}");
    });
}

#[test]
fn all_commands_ask_where_the_configuration_has_the_socket_and_a_reload_moves_it() {
    sandbox::run(|| {
        let fake = fake_ahead_by(0);
        let text = configuration(&[("tokyo", &fake.url("http", "/json"))]);
        let control = |path: &str, mode: &str| {
            format!("{text}\n[control]\npath = \"{path}\"\nmode = \"{mode}\"\n")
        };
        let dir = Path::new(DIR);
        let mut daemon = webntpd::start(dir, &control("/run/one.sock", "0600"));
        daemon.wait_line("publishing", LIMIT);
        let file = format!("{DIR}/webntpd.toml");
        let is_asked = |command: &[&str]| {
            let output = webntp(&[command, &["--config", &file]].concat());
            output.status.success()
        };
        let all: [&[&str]; 4] = [
            &["sources"],
            &["tracking"],
            &["waitsync", "--timeout", "60s"],
            &["setup", "chrony"],
        ];
        for command in all {
            assert!(is_asked(command), "{command:?}");
        }
        for (path, mode) in [("/run/one.sock", "0666"), ("/run/two.sock", "0666")] {
            webntpd::write_configuration(dir, &control(path, mode));
            daemon.signal(Signal::SIGHUP);
            let changed = poll(LIMIT, || {
                let found = std::fs::metadata(path).ok()?;
                (found.permissions().mode() & 0o777 == 0o666).then_some(())
            });
            assert!(changed.is_some(), "{path} {mode}");
            assert!(is_asked(&["sources"]), "{path} {mode}");
        }
        let gone = poll(LIMIT, || {
            (!Path::new("/run/one.sock").exists()).then_some(())
        });
        assert!(gone.is_some(), "the old one");
    });
}

#[test]
fn what_a_daemon_of_root_s_left_behind_keeps_no_service_from_its_socket() {
    sandbox::run_with_users(|| {
        let fake = fake_ahead_by(0);
        let text = configuration(&[("tokyo", &fake.url("http", "/json"))]);
        let file = webntpd::write_configuration(Path::new(DIR), &text);
        chown(DIR, Some(STRANGER), Some(STRANGER)).expect("the sandbox is root");
        let socket = format!("{DIR}/control.sock");
        drop(UnixListener::bind(&socket).expect("a socket"));
        std::fs::set_permissions(&socket, Permissions::from_mode(0o600)).expect("it is ours");
        let mut command = webntpd::command_as(STRANGER);
        let mut daemon = Process::start(command.arg("--config").arg(file));
        daemon.wait_line("publishing", LIMIT);
        assert!(shown(&["sources"]).contains("tokyo"));
    });
}

#[test]
fn a_command_line_that_makes_no_sense_is_exit_2_and_says_why() {
    for (arguments, why) in [
        (&["waitsync", "--timeout", "60"][..], "write \"60s\""),
        (&["sources", "--watch", "0"], "0 is not in 1..=86400"),
        (&["sources", "tokyo"], "unexpected argument"),
    ] {
        let output = webntp(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(words(&output.stderr).contains(why), "{output:?}");
    }
}

#[test]
fn watching_shows_a_table_after_each_cycle_until_ctrl_c_which_is_no_failure() {
    sandbox::run(|| {
        let (_fake, _daemon) = publishing();
        let mut watch = webntpd::tool();
        let mut watch = Process::start(watch.args(["sources", "--watch"]));
        for _ in 0..3 {
            watch.wait_line("* tokyo ", LIMIT);
            watch.wait_line("1 of 1 source agrees", LIMIT);
        }
        watch.signal(Signal::SIGINT);
        assert_eq!(watch.wait_exit(LIMIT).code(), Some(0));
        assert!(!watch.log().contains('\u{1b}'), "{}", watch.log());
    });
}

#[test]
fn watching_json_gives_a_line_for_each_cycle() {
    sandbox::run(|| {
        let fake = fake_ahead_by(0);
        let text = configuration(&[("tokyo", &fake.url("http", "/json"))]);
        // Longer than the pause between two questions.
        let text = text.replace("cycle = \"1s\"", "cycle = \"2s\"");
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        daemon.wait_line("publishing", LIMIT);
        let mut watch = webntpd::tool();
        let mut watch = Process::start(watch.args(["tracking", "--json", "--watch"]));
        let mut cycles = Vec::new();
        while cycles.len() < 3 {
            let line = watch.wait_line("{", LIMIT);
            let report: Value = serde_json::from_str(&line).expect("a line of JSON");
            cycles.push(report["cycles"].as_u64().expect("a number"));
        }
        assert!(cycles.is_sorted_by(|one, next| one < next), "{cycles:?}");
    });
}

#[test]
fn a_daemon_that_goes_away_and_comes_back_is_missed_once_and_watched_on() {
    sandbox::run(|| {
        let (fake, mut daemon) = publishing();
        let mut watch = webntpd::tool();
        let mut watch = Process::start(watch.args(["sources", "--watch", "1"]));
        watch.wait_line("* tokyo ", LIMIT);
        daemon.signal(Signal::SIGTERM);
        daemon.wait_exit(LIMIT);
        let gone = "webntp: no webntpd listens on ";
        assert!(watch.wait_line(gone, LIMIT).ends_with("; trying on"));
        // Long enough for it to ask in vain again.
        let output = webntp(&["waitsync", "--timeout", "3s"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = configuration(&[("tokyo", &fake.url("http", "/json"))]);
        let _daemon = webntpd::start(Path::new(DIR), &text);
        watch.wait_line("webntp: webntpd is back", LIMIT);
        watch.wait_line("* tokyo ", LIMIT);
        assert_eq!(watch.log().matches(gone).count(), 1, "{}", watch.log());
    });
}

#[test]
fn whoever_closes_the_pipe_ends_it_without_a_word() {
    sandbox::run(|| {
        let (_fake, _daemon) = publishing();
        let tool = webntpd::tool();
        let tool = tool.get_program().to_str().expect("a path");
        for command in ["sources --watch", "tracking --watch 1 --json", "sources -v"] {
            let script = format!("set -o pipefail; {tool} {command} | head -n 2 >/dev/null");
            let mut shell = Command::new("bash");
            let mut child = shell
                .args(["-c", &script])
                .stderr(Stdio::piped())
                .spawn()
                .expect("bash starts");
            let ended = poll(LIMIT, || child.try_wait().expect("it is our child"));
            let ended = ended.unwrap_or_else(|| panic!("{command} goes on"));
            let output = child.wait_with_output().expect("it has ended");
            assert!(ended.success(), "{command}: {output:?}");
            assert!(output.stderr.is_empty(), "{command}: {output:?}");
        }
    });
}

#[test]
fn a_daemon_of_another_version_is_shown_as_far_as_it_is_understood() {
    sandbox::run(|| {
        let daemon = UnixListener::bind("/run/other.sock").expect("a socket");
        let reports = [
            r#"{"format":2,"cycles":3,"summary":"fine","sources":[{"name":"tokyo"}],"new":{}}"#,
            r#"{"format":2,"sources":7}"#,
        ];
        let answers = std::thread::spawn(move || {
            for report in reports {
                let (mut reader, _) = daemon.accept().expect("it asks");
                reader.write_all(report.as_bytes()).expect("it listens");
            }
        });
        let asked = || webntp(&["sources", "--socket", "/run/other.sock"]);
        let output = asked();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let table = words(&output.stdout);
        assert!(
            table.contains("? tokyo ") && table.ends_with("  fine\n"),
            "{table}"
        );
        assert!(words(&output.stderr).contains("has format 2"), "{output:?}");
        let output = asked();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(words(&output.stderr).contains("has format 2"), "{output:?}");
        answers.join().expect("both were asked");
    });
}
