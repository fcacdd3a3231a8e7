//! `webntpd` as the service manager and the one who edits its configuration see it.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::fake::{Delay, FakeUpstream, OsClock, Path as NetPath, Setup};
use crate::host::process::Process;
use crate::host::segment::Segment;
use crate::host::{deadline, sandbox, webntpd};

const LIMIT: Duration = Duration::from_secs(60);
const DIR: &str = "/run/webntpd";

fn check(text: &str) -> Output {
    let path = webntpd::write_configuration(Path::new(DIR), text);
    let mut command = webntpd::command();
    command.args(["--check", "--config"]).arg(path);
    command.output().expect("the program starts")
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn check_accepts_a_good_configuration() {
    sandbox::run(|| {
        let text = webntpd::configuration(2, &["https://time.example/json".into()]);
        let output = check(&(text + "protocol = \"webntp\"\n"));
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(
            words(&output.stdout),
            "/run/webntpd/webntpd.toml: good, 1 source, 1 vote\n"
        );
        assert!(output.stderr.is_empty());
    });
}

#[test]
fn check_says_what_is_wrong_with_the_places_that_the_configuration_names_and_exits_with_0() {
    sandbox::run(|| {
        let source = webntpd::configuration(2, &["https://time.example/json".into()]);
        let places = "protocol = \"webntp\"\n[leap]\nlist = \"/run/list\"\n[log]\nmeasurements = \"/run/none/log\"\n[state]\ndirectory = \"/run/list\"\n";
        std::fs::write("/run/list", "nonsense\n").expect("the sandbox has a /run of its own");
        let output = check(&format!("{source}{places}"));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let told = words(&output.stdout);
        let lines: Vec<&str> = told.lines().skip(1).collect();
        assert_eq!(lines.len(), 3, "{told}");
        for (line, beginning) in lines.iter().zip([
            "[leap] list: /run/list: line 1: ",
            "[log] measurements: /run/none/log: there is no directory /run/none; ",
            "[state] directory: /run/list: is no directory; ",
        ]) {
            assert!(line.starts_with(beginning), "{told}");
        }
    });
}

#[test]
fn check_names_every_problem_with_its_line_and_exits_with_78() {
    sandbox::run(|| {
        let output = check(
            "cycle = \"16 parsecs\"\n\n[[source]]\nname = \"tokyo\"\nurl = \"gopher://time.example/\"\npol = \"5s\"\n",
        );
        assert_eq!(output.status.code(), Some(78));
        assert!(output.stdout.is_empty());
        let problems = words(&output.stderr);
        let lines: Vec<&str> = problems.lines().collect();
        assert_eq!(lines.len(), 3, "{problems}");
        for (line, number) in lines.iter().zip([1, 5, 6]) {
            assert!(
                line.starts_with(&format!("/run/webntpd/webntpd.toml:{number}: ")),
                "{line}"
            );
        }
    });
}

#[test]
fn without_any_source_the_daemon_says_what_to_edit_and_exits_with_78() {
    sandbox::run(|| {
        let path = webntpd::write_configuration(Path::new(DIR), "");
        let output = webntpd::command()
            .arg("--config")
            .arg(path)
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(78));
        assert!(
            words(&output.stderr).contains("/run/webntpd/webntpd.toml: no [[source]]"),
            "{output:?}"
        );
    });
}

#[test]
fn a_missing_configuration_is_named() {
    sandbox::run(|| {
        let output = webntpd::command()
            .args(["--config", "/run/none.toml"])
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(78));
        assert!(
            words(&output.stderr).contains("/run/none.toml"),
            "{output:?}"
        );
    });
}

#[test]
fn the_service_manager_is_told_of_readiness_state_life_and_end() {
    sandbox::run(|| {
        let fake = FakeUpstream::start(Setup::with_clock(OsClock {
            offset_ns: 25_000_000,
        }));
        let manager = UnixDatagram::bind("/run/notify").expect("a socket of the manager's");
        manager.set_read_timeout(Some(LIMIT)).expect("a limit");
        let text = webntpd::configuration(2, &[fake.url("http", "/json")]);
        let path = webntpd::write_configuration(Path::new(DIR), &text);
        let mut command = webntpd::command();
        command.arg("--config").arg(path);
        command
            .env("NOTIFY_SOCKET", "/run/notify")
            .env("WATCHDOG_USEC", "3000000");
        let mut daemon = Process::start(&mut command);
        let wait = |wanted: &str| {
            let mut buffer = [0; 1024];
            loop {
                let length = manager
                    .recv(&mut buffer)
                    .unwrap_or_else(|error| panic!("no {wanted}: {error}"));
                let message = words(&buffer[..length]);
                if message.lines().any(|line| line.starts_with(wanted)) {
                    return message;
                }
            }
        };
        wait("READY=1");
        wait("STATUS=1 of 1 source agrees, offset +2");
        // A status comes with every cycle of a second: in six of them a ping at each third of the watchdog's three seconds makes
        // six, one each three seconds only two.
        let (mut cycles, mut pings) = (0, 0);
        while cycles < 6 {
            let message = wait("");
            cycles += usize::from(message.starts_with("STATUS="));
            pings += usize::from(message.starts_with("WATCHDOG=1"));
        }
        assert!(pings >= 4, "{pings} pings in six seconds");
        daemon.signal(Signal::SIGTERM);
        wait("STOPPING=1");
        assert!(daemon.wait_exit(LIMIT).success());
    });
}

#[test]
fn a_log_that_cannot_be_written_does_not_end_the_daemon() {
    sandbox::run(|| {
        let fake = FakeUpstream::start(Setup::with_clock(OsClock { offset_ns: 0 }));
        let path = webntpd::write_configuration(
            Path::new(DIR),
            &webntpd::configuration(2, &[fake.url("http", "/json")]),
        );
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("a full disk");
        let mut command = webntpd::command();
        let mut daemon = command
            .arg("--config")
            .arg(path)
            .stderr(full)
            .spawn()
            .expect("the program starts");
        let written = deadline::poll(LIMIT, || {
            Segment::read(2).filter(|segment| segment.valid == 1)
        });
        assert!(written.is_some(), "{:?}", daemon.try_wait());
        daemon.kill().expect("it runs");
        daemon.wait().expect("it has been killed");
    });
}

#[test]
fn a_configuration_is_read_again_when_told_and_a_bad_one_changes_nothing() {
    sandbox::run(|| {
        let fakes =
            [0, 0].map(|offset_ns| FakeUpstream::start(Setup::with_clock(OsClock { offset_ns })));
        let urls = fakes.each_ref().map(|fake| fake.url("http", "/json"));
        let mut daemon = webntpd::start(Path::new(DIR), &webntpd::configuration(2, &urls[..1]));
        daemon.wait_line("publishing: 1 of 1 source agrees", LIMIT);

        webntpd::write_configuration(Path::new(DIR), "cycle = \"1s\"\ncolour = 3\n");
        daemon.signal(Signal::SIGHUP);
        daemon.wait_line("/run/webntpd/webntpd.toml:2: unknown key", LIMIT);
        daemon.wait_line("the old one stays in force", LIMIT);

        webntpd::write_configuration(Path::new(DIR), &webntpd::configuration(2, &urls));
        daemon.signal(Signal::SIGHUP);
        daemon.wait_line("1 go on, 1 started, 0 stopped", LIMIT);
        daemon.wait_line("2 of 2 sources agree", LIMIT);
        assert_eq!(fakes[0].connections(), 1, "its connection was kept");
        daemon.assert_running();
    });
}

#[test]
fn a_source_that_cannot_be_reached_does_not_fail_the_start() {
    sandbox::run(|| {
        let text = webntpd::configuration(
            2,
            &[
                "http://127.0.0.1:9/".into(),
                "http://no-such-host.invalid/".into(),
            ],
        );
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        daemon.wait_line("source fake-0: ", LIMIT);
        daemon.wait_line("source fake-1: ", LIMIT);
        daemon.wait_line("nothing published: no usable source", LIMIT);
        daemon.assert_running();
        daemon.signal(Signal::SIGINT);
        assert!(daemon.wait_exit(LIMIT).success());
    });
}

#[test]
fn cycles_that_end_before_the_first_answers_are_no_trouble_and_one_after_them_is() {
    sandbox::run(|| {
        let clock = || OsClock { offset_ns: 0 };
        let prompt = FakeUpstream::start(Setup::with_clock(clock()));
        // Two cycles end before it has said anything.
        let slow = FakeUpstream::start(Setup {
            path: NetPath::between(Delay::Fixed(Duration::from_millis(2_200)), Delay::NONE),
            ..Setup::with_clock(clock())
        });
        let source = |name: &str, fake: &FakeUpstream<OsClock>| {
            let url = fake.url("http", "/json");
            format!(
                "[[source]]\nname = '{name}'\nurl = '{url}'\noperator = '{name}'\nburst = false\n"
            )
        };
        let text = format!(
            "cycle = '1s'\n[select]\nmin-agreeing = 2\n{}{}",
            source("prompt", &prompt),
            source("slow", &slow)
        );
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        daemon.wait_line("publishing: ", LIMIT);
        let log = daemon.log();
        assert!(!log.contains("nothing published"), "{log}");
        slow.stop();
        daemon.wait_line("nothing published: ", LIMIT);
    });
}
