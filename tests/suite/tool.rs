//! `webntp` as its user runs it: a query of servers, its own and others.

use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::fake::{FakeUpstream, Fault, HttpShape, KeepAlive, OsClock, SECOND_NS, Setup};
use crate::host::deadline::poll;
use crate::host::process::Process;
use crate::host::sandbox;
use crate::host::segment::Segment;

const LIMIT: Duration = Duration::from_secs(60);

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_webntp"))
}

/// Asks each of `urls` once.
fn query(urls: &[&str]) -> Output {
    run(&[&["-p", "1"], urls].concat())
}

fn run(arguments: &[&str]) -> Output {
    command()
        .args(arguments)
        .env("TZ", "Asia/Tokyo")
        .output()
        .expect("the program starts")
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fake_ahead_by(offset_ns: i64) -> FakeUpstream<OsClock> {
    FakeUpstream::start(Setup::with_clock(OsClock { offset_ns }))
}

/// Six digits are printed.
const ROUNDING: f64 = 1e-6;

/// Tells 25 ms from nothing and from its opposite on the busiest machine.
const TOLERANCE: f64 = 0.020;

/// The number after `label` in a line.
fn number(line: &str, label: &str) -> f64 {
    let (_, rest) = line
        .split_once(label)
        .unwrap_or_else(|| panic!("no {label:?} in {line:?}"));
    rest.split(',')
        .next()
        .expect("something")
        .trim()
        .parse()
        .expect("a number")
}

#[test]
fn a_query_prints_the_references_lines() {
    sandbox::run(|| {
        let fake = fake_ahead_by(25_000_000);
        let (http, ws) = (fake.url("http", "/json"), fake.url("ws", "/websocket"));
        let output = query(&[&http, &ws]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let text = words(&output.stdout);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        for (line, url) in lines.iter().zip([&http, &ws]) {
            assert!(
                line.starts_with(&format!("server {url}, offset ")),
                "{line}"
            );
            // The line itself says how far off it may be.
            let error = number(line, "delay ") / 2.0 + ROUNDING;
            assert!((number(line, "offset ") - 0.025).abs() <= error, "{line}");
        }
        // 2017-03-11 18:25:10.905049427 +0900 JST, server URL, offset -0.000066
        let (time, rest) = lines[2].split_once(", server ").expect("the last line");
        let parts: Vec<&str> = time.split(' ').collect();
        assert_eq!(&parts[2..], ["+0900", "JST"], "{time}");
        assert_eq!((parts[0].len(), &parts[1][2..3]), (10, ":"), "{time}");
        assert!(
            rest.starts_with(http.as_str()) || rest.starts_with(ws.as_str()),
            "{rest}"
        );
        assert!(
            (number(rest, "offset ") - 0.025).abs() < TOLERANCE,
            "{rest}"
        );
        assert!(output.stderr.is_empty(), "{output:?}");
    });
}

#[test]
fn when_none_answers_there_is_no_line_but_an_error_and_exit_1() {
    sandbox::run(|| {
        let fake = fake_ahead_by(0);
        let url = fake.url("http", "/json");
        for fault in [Fault::EmptyBody, Fault::Html, Fault::Status(503)] {
            fake.set_fault(Some(fault));
            let output = query(&[&url]);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert!(output.stdout.is_empty(), "{output:?}");
            let complaints = words(&output.stderr);
            assert!(
                complaints.starts_with(&format!("webntp: server {url}: ")),
                "{complaints}"
            );
            assert!(
                complaints.ends_with("webntp: no server answered\n"),
                "{complaints}"
            );
        }
        fake.stop();
        assert_eq!(query(&[&url]).status.code(), Some(1));
    });
}

#[test]
fn one_that_fails_does_not_spoil_the_others() {
    sandbox::run(|| {
        let fake = fake_ahead_by(0);
        let output = query(&[
            "http://127.0.0.1:9/",
            &fake.url("http", "/json"),
            "not a url",
        ]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(words(&output.stdout).lines().count(), 2, "{output:?}");
        assert_eq!(words(&output.stderr).lines().count(), 2, "{output:?}");
    });
}

#[test]
fn servers_that_contradict_each_other_give_no_time() {
    sandbox::run(|| {
        let (right, wrong) = (fake_ahead_by(0), fake_ahead_by(1_000_000_000));
        let output = query(&[&right.url("http", "/"), &wrong.url("http", "/")]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(
            words(&output.stdout).lines().count(),
            2,
            "both lines, no verdict: {output:?}"
        );
        assert!(words(&output.stderr).contains("contradict"), "{output:?}");
    });
}

#[test]
fn its_own_server_is_asked_over_every_clear_transport() {
    sandbox::run(|| {
        let mut server = Process::start(command().args(["serve", "127.0.0.1:0"]));
        let line = server.wait_line("http://127.0.0.1:", LIMIT);
        let (_, rest) = line.split_once("http://").expect("the address");
        let address = rest.trim_end_matches(['/', '\n', ' ']);
        let output = query(&[&format!("http://{address}/"), &format!("ws://{address}/")]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        for line in words(&output.stdout).lines() {
            assert!(number(line, "offset ").abs() < TOLERANCE, "{line}");
        }
        server.signal(Signal::SIGINT);
        assert!(server.wait_exit(LIMIT).success());
    });
}

#[test]
fn a_server_is_asked_as_often_as_wanted_once_a_second_at_all_its_urls_together() {
    sandbox::run(|| {
        let fake = fake_ahead_by(25_000_000);
        let (http, ws) = (fake.url("http", "/json"), fake.url("ws", "/websocket"));
        let output = run(&["-p=2", &http, &ws]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let lines = words(&output.stdout);
        assert_eq!(lines.lines().count(), 3, "{lines}");
        for line in lines.lines() {
            assert!((number(line, "offset ") - 0.025).abs() < 0.005, "{line}");
        }
        let mut asked: Vec<i64> = fake.ledger().iter().map(|one| one.read_raw_ns).collect();
        asked.sort_unstable();
        assert_eq!(asked.len(), 4);
        let hurry = asked.windows(2).find(|two| two[1] - two[0] < SECOND_NS);
        assert_eq!(hurry, None, "{asked:?}");
    });
}

#[test]
fn a_server_that_closes_after_each_reply_is_asked_again_all_the_same() {
    sandbox::run(|| {
        let fake = FakeUpstream::start(Setup {
            http: HttpShape {
                keep_alive: Some(KeepAlive {
                    requests: 1,
                    announced: false,
                }),
                ..HttpShape::plain()
            },
            ..Setup::with_clock(OsClock { offset_ns: 0 })
        });
        let output = run(&["-p", "2", &fake.url("http", "/json")]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        assert_eq!(fake.ledger().len(), 2);
    });
}

#[test]
fn a_server_that_refuses_is_not_pressed() {
    sandbox::run(|| {
        let fake = fake_ahead_by(0);
        fake.set_fault(Some(Fault::RetryAfter(3_600)));
        let output = run(&[&fake.url("http", "/json")]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(fake.ledger().len(), 1);
    });
}

const UNIT: u8 = 77;

/// Starts `webntp -p 1 -shm 77 URL…`, in the words of go-webntp's README.
fn feeding(urls: &[String]) -> Process {
    Process::start(
        command()
            .args(["-p", "1", "-shm", &UNIT.to_string()])
            .args(urls),
    )
}

#[test]
fn shared_memory_is_fed_until_a_signal_ends_it_and_then_taken_back() {
    sandbox::run(|| {
        let (one, other) = (fake_ahead_by(25_000_000), fake_ahead_by(25_000_000));
        let mut program = feeding(&[one.url("http", "/"), other.url("ws", "/")]);
        let line = program.wait_line(", server ", LIMIT);
        assert!((number(&line, "offset ") - 0.025).abs() < 0.005, "{line}");
        let written = || Segment::read(UNIT).filter(|segment| segment.valid == 1);
        let segment = poll(LIMIT, written).expect("a sample");
        let offset_s = segment.offset_ns() as f64 / 1e9;
        assert!((offset_s - 0.025).abs() < 0.005, "{segment:?}");
        assert!((-30..0).contains(&segment.precision), "{segment:?}");
        assert_eq!(segment.leap, 0);
        program.assert_running();
        program.signal(Signal::SIGTERM);
        assert!(program.wait_exit(LIMIT).success());
        let segment = Segment::read(UNIT).expect("it is not removed");
        assert_eq!(segment.valid, 0);
    });
}

#[test]
fn shared_memory_is_left_alone_when_nobody_answers_or_all_contradict_each_other() {
    sandbox::run(|| {
        let (right, wrong) = (fake_ahead_by(0), fake_ahead_by(3_000_000_000));
        let silent = fake_ahead_by(0);
        silent.set_fault(Some(Fault::EmptyBody));
        let silent = [silent.url("http", "/"), "http://127.0.0.1:9/".to_owned()];
        let contrary = [right.url("http", "/"), wrong.url("http", "/")];
        for (urls, why) in [(&silent, "no server answered"), (&contrary, "contradict")] {
            let mut program = feeding(urls);
            let line = program.wait_line("nothing written", LIMIT);
            assert!(line.contains(why), "{line}");
            let segment = Segment::read(UNIT).expect("made at the start");
            assert_eq!((segment.valid, segment.clock.sec), (0, 0), "{segment:?}");
            program.assert_running();
        }
    });
}
