//! What the real daemon records, and what `webntp replay` makes of it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::fake::{FakeUpstream, OsClock, Setup};
use crate::host::process::Process;
use crate::host::{sandbox, webntpd};

const LIMIT: Duration = Duration::from_secs(60);
const DIR: &str = "/run/webntpd";
const LOG: &str = "/run/webntpd/measurements.jsonl";
const OLD: &str = "/run/webntpd/measurements.jsonl.1";

/// How many decisions are compared at the least.
const ENOUGH: usize = 20;

fn fake_ahead_by(offset_ns: i64) -> FakeUpstream<OsClock> {
    FakeUpstream::start(Setup::with_clock(OsClock { offset_ns }))
}

fn configuration(sources: &[(&str, &str, &str)]) -> String {
    let mut text = format!("cycle = \"1s\"\n[shm]\nunit = 2\n[log]\nmeasurements = \"{LOG}\"\n");
    for (name, url, more) in sources {
        write!(
            text,
            "[[source]]\nname = \"{name}\"\noperator = \"{name}\"\nurl = \"{url}\"\n{more}\n"
        )
        .expect("a string takes all");
    }
    text
}

fn replay(arguments: &[&str]) -> Output {
    let mut command = webntpd::tool();
    command.arg("replay").args(arguments);
    command.output().expect("the program starts")
}

/// What is printed, when nothing is wrong.
fn printed(arguments: &[&str]) -> String {
    let output = replay(arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).expect("JSON is UTF-8")
}

fn objects(text: &str) -> Vec<Value> {
    let lines = text.lines().map(serde_json::from_str);
    lines.map(|line| line.expect("JSON")).collect()
}

/// What the daemon itself said of its decisions, in the words of a replay.
fn decided(log: &str) -> Vec<&str> {
    let lines = log.lines().filter_map(|line| line.split_once("decided: "));
    lines.map(|(_, decision)| decision).collect()
}

fn wait_for_decisions(daemon: &mut Process, count: usize) {
    for _ in 0..count {
        daemon.wait_line("decided: ", LIMIT);
    }
}

/// With single spaces.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A line of a log: a reply of `source` that came at this time.
fn reply(source: &str, received_ns: i64) -> String {
    let sent = received_ns - 20_000_000;
    let stamp = 1_795_000_000_000_000_000 + received_ns - 10_000_000;
    format!(
        "{{\"source\":\"{source}\",\"sent\":{sent},\"arrived_before\":{stamp},\"departed_after\":{stamp},\
         \"received\":{received_ns},\"leap\":\"none\"}}\n"
    )
}

#[test]
fn a_replay_of_what_the_daemon_recorded_gives_the_daemons_own_decisions() {
    sandbox::run(|| {
        let fakes = [0, 3_000_000, 1_000_000_000, 0].map(fake_ahead_by);
        let urls = fakes.each_ref().map(|fake| fake.url("http", "/json"));
        let before = configuration(&[
            ("one", &urls[0], ""),
            ("two", &urls[1], "offset = \"-3ms\""),
            ("liar", &urls[2], ""),
            ("changed", &urls[3], ""),
        ]);
        let path = webntpd::write_configuration(Path::new(DIR), &before);
        let mut command = webntpd::command();
        let mut daemon = Process::start(
            command
                .args(["--log-level", "debug", "--config"])
                .arg(&path),
        );
        wait_for_decisions(&mut daemon, ENOUGH / 2);

        // As logrotate has it, and a source that begins without history.
        fs::rename(LOG, OLD).expect("it is there");
        let after = before.replace(
            "name = \"changed\"",
            "name = \"changed\"\nmax-poll = \"32s\"",
        );
        webntpd::write_configuration(Path::new(DIR), &after);
        daemon.signal(Signal::SIGHUP);
        daemon.wait_line("configuration read again", LIMIT);
        wait_for_decisions(&mut daemon, ENOUGH / 2);
        daemon.signal(Signal::SIGTERM);
        assert!(daemon.wait_exit(LIMIT).success());

        let [old, new] = [OLD, LOG].map(|file| fs::read_to_string(file).expect("it is there"));
        let first = &objects(&old)[0];
        assert_eq!(first["event"], "start");
        assert!(
            first["boot"].is_string() && first["raw"].is_i64(),
            "{first}"
        );
        assert!(new.contains("{\"event\":\"reload\""), "{new}");
        let whole = "/run/webntpd/whole.jsonl";
        fs::write(whole, old + &new).expect("the sandbox has room");

        let config = path.to_str().expect("a plain name");
        let arguments = ["--config", config, whole];
        let text = printed(&arguments);
        let log = daemon.log();
        let own = decided(&log);
        assert!(own.len() >= ENOUGH, "{log}");
        assert_eq!(text.lines().collect::<Vec<_>>(), own);
        assert!(
            own.iter()
                .all(|line| line.contains("\"falsetickers\":[\"liar\"]")),
            "{text}"
        );

        assert_eq!(
            printed(&arguments),
            text,
            "the same log gives the same bytes"
        );
        let all = printed(&["--config", config, "--all", whole]);
        let (with, without): (Vec<Value>, Vec<Value>) = objects(&all)
            .into_iter()
            .partition(|line| line["why"].is_null());
        assert_eq!(with, objects(&text));
        assert!(without.iter().all(|line| line["at"].is_i64()), "{all}");
        let table = printed(&["--config", config, "--summary", whole]);
        assert!(
            table.contains(&format!("Decisions       : {} in ", own.len())),
            "{table}"
        );
        assert!(
            words(&table).contains("liar 0.0 % 0.0 % 100.0 %"),
            "{table}"
        );
    });
}

#[test]
fn a_file_that_cannot_be_written_is_named_once_and_the_time_goes_on() {
    sandbox::run(|| {
        let fake = fake_ahead_by(0);
        let text =
            configuration(&[("one", &fake.url("http", "/json"), "")]).replace(LOG, "/dev/full");
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        daemon.wait_line("/dev/full: ", LIMIT);
        daemon.wait_line("publishing: 1 of 1", LIMIT);
        daemon.signal(Signal::SIGHUP);
        daemon.wait_line("configuration read again", LIMIT);
        daemon.signal(Signal::SIGTERM);
        assert!(daemon.wait_exit(LIMIT).success());
        let log = daemon.log();
        assert_eq!(
            log.matches("measurements are not recorded").count(),
            1,
            "{log}"
        );
    });
}

#[test]
fn a_line_that_is_bad_or_cut_off_is_told_with_its_number_after_what_stands_before_it() {
    sandbox::run(|| {
        let config = configuration(&[("one", "http://127.0.0.1:9/", "")]);
        let config = webntpd::write_configuration(Path::new(DIR), &config);
        let config = config.to_str().expect("a plain name");
        let good = reply("one", 10_200_000_000) + &reply("stranger", 10_300_000_000);
        let decision = "{\"at\":11000000000,\"offset\":1795000000000000000,";
        for (bad, why) in [
            (
                "nonsense\n",
                "4: not JSON (column 2); is this a record of [log] measurements?",
            ),
            (
                "2027-01-15T08:00:00.000Z INFO webntpd started\n",
                "4: not a JSON object; is this a record of [log] measurements?",
            ),
            (
                "{\"at\":11000000000}\n",
                "4: neither a source nor an event; is this a record of [log] measurements?",
            ),
            (&reply("one", 12_000_000_000)[..70], "(the line is cut off)"),
            ("\n", "4: the line is empty\n"),
            ("\x1f\u{8b}", "4: compressed; have zcat -f read it"),
        ] {
            let bad: Vec<u8> = bad.chars().map(|letter| letter as u8).collect();
            let lines = good.clone() + &reply("one", 11_500_000_000);
            fs::write(LOG, [lines.as_bytes(), &bad].concat()).expect("room");
            let output = replay(&["--config", config, "--summary", LOG]);
            let table = String::from_utf8_lossy(&output.stdout);
            assert!(table.starts_with("Decisions       : "), "{output:?}");
            let output = replay(&["--config", config, LOG]);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(told.contains(&format!("webntp: {LOG}:4: ")), "{told}");
            assert!(told.contains(why), "{told}");
            assert!(told.contains("1 of 4 lines, of source stranger"), "{told}");
            assert!(
                String::from_utf8_lossy(&output.stdout).starts_with(decision),
                "{output:?}"
            );
        }
    });
}

#[test]
fn what_cannot_be_read_is_told_and_no_line_is_called_cut_off() {
    sandbox::run(|| {
        let config = configuration(&[("one", "http://127.0.0.1:9/", "")]);
        let config = webntpd::write_configuration(Path::new(DIR), &config);
        let output = replay(&["--config", config.to_str().expect("a plain name"), DIR]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        let expected = format!("webntp: {DIR}:1: cannot be read: Is a directory (os error 21)\n");
        assert_eq!(told, expected);
    });
}

#[test]
fn no_name_in_a_log_reaches_the_terminal_as_it_is() {
    sandbox::run(|| {
        let config = configuration(&[("one", "http://127.0.0.1:9/", "")]);
        let config = webntpd::write_configuration(Path::new(DIR), &config);
        let config = config.to_str().expect("a plain name");
        let long = "x".repeat(40);
        for (name, shown) in [
            (r"\u001b[31m\nred", r"\u{1b}[31m\nred"),
            (&long, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"),
        ] {
            fs::write(LOG, reply(name, 10_200_000_000)).expect("room");
            let told = replay(&["--config", config, LOG]).stderr;
            let told = String::from_utf8_lossy(&told);
            let expected = format!("1 of 1 lines, of source {shown}\n");
            assert!(told.ends_with(&expected), "{told}");
        }
        let leap = reply("one", 10_200_000_000).replace("none", r"\u001b[31m");
        fs::write(LOG, leap).expect("room");
        let told = replay(&["--config", config, LOG]).stderr;
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains(r"`\u{1b}[31m`"), "{told}");
    });
}

#[test]
fn a_log_of_a_million_lines_needs_no_more_memory_than_a_short_one() {
    /// With the program itself (KiB).
    const MOST: u64 = 64 << 10;
    sandbox::run(|| {
        let config = configuration(&[("one", "http://127.0.0.1:9/", "poll = \"1024s\"")])
            .replace("\"1s\"", "\"1024s\"");
        let config = webntpd::write_configuration(Path::new(DIR), &config);
        let mut log = BufWriter::new(File::create(LOG).expect("the sandbox has room"));
        for second in 1..=1_000_000 {
            let line = reply("one", second * 1_000_000_000);
            log.write_all(line.as_bytes())
                .expect("the sandbox has room");
        }
        log.into_inner().expect("the sandbox has room");
        // Memory that is not there cannot be used; ulimit counts KiB.
        let script = format!(
            "ulimit -v {MOST} && exec {} replay --config {} --summary {LOG}",
            env!("CARGO_BIN_EXE_webntp"),
            config.display()
        );
        let output = Command::new("sh").args(["-c", &script]).output();
        let output = output.expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("webntp: 1000000 lines in "), "{told}");
        let table = String::from_utf8_lossy(&output.stdout);
        assert!(
            table.starts_with("Decisions       : 977 in 977 cycles\n"),
            "{table}"
        );
    });
}
