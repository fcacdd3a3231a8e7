//! What journald gets of the daemon's events, and what people see where there is no journald.
//!
//! The sandbox has a `/run` of its own: a socket of the test's stands where journald's would.

use std::collections::HashMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::fake::{FakeUpstream, OsClock, Setup};
use crate::host::process::Process;
use crate::host::{sandbox, webntpd};

const LIMIT: Duration = Duration::from_secs(60);
const DIR: &str = "/run/webntpd";
const SOCKET_DIR: &str = "/run/systemd/journal";
const AHEAD_NS: i64 = 25_000_000;

/// What a loaded machine may put between the two readings of the clocks.
const TOLERANCE_NS: i64 = 1_000_000;

/// Nobody listens there.
const REFUSED: &str = "http://127.0.0.1:9/";

/// Runs a program whose standard error is the stream that JOURNAL_STREAM names, as systemd has it.
const TO_THE_JOURNAL: &str =
    r#"JOURNAL_STREAM=$(stat -Lc %d:%i /proc/self/fd/2) exec -- "$0" "$@""#;

/// One entry: its fields by name.
type Entry = HashMap<String, String>;

struct Journald(UnixDatagram);

impl Journald {
    fn start() -> Self {
        fs::create_dir_all(SOCKET_DIR).expect("/run is the test's own");
        let socket = UnixDatagram::bind(Path::new(SOCKET_DIR).join("socket")).expect("it is free");
        socket.set_read_timeout(Some(LIMIT)).expect("a limit");
        Self(socket)
    }

    /// The next entry that has this text in its message.
    fn wait(&self, text: &str) -> Entry {
        let mut datagram = [0; 8192];
        loop {
            let length = self
                .0
                .recv(&mut datagram)
                .unwrap_or_else(|error| panic!("no entry has {text:?}: {error}"));
            let entry = parse(&datagram[..length]);
            if field(&entry, "MESSAGE").contains(text) {
                return entry;
            }
        }
    }

    fn has_nothing(&self) -> bool {
        self.0.set_nonblocking(true).expect("it is a socket");
        self.0.recv(&mut [0; 1]).is_err()
    }
}

/// journald's native protocol: `NAME=value`, or `NAME`, eight bytes of length, value; each with a line feed behind it.
fn parse(mut datagram: &[u8]) -> Entry {
    let mut entry = Entry::new();
    while !datagram.is_empty() {
        let end = datagram.iter().position(|&byte| byte == b'\n');
        let (line, rest) = datagram.split_at(end.expect("a line has its end"));
        let rest = &rest[1..];
        let line = text(line);
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => {
                datagram = rest;
                (name.to_owned(), value.to_owned())
            }
            None => {
                let (length, rest) = rest.split_first_chunk().expect("a length follows");
                let length = usize::try_from(u64::from_le_bytes(*length)).expect("it is short");
                let (value, rest) = rest.split_at(length);
                datagram = rest.strip_prefix(b"\n").expect("a line feed follows");
                (line, text(value))
            }
        };
        let twice = entry.insert(name, value);
        assert_eq!(twice, None, "a field is there twice");
    }
    entry
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("our texts are UTF-8")
}

fn field<'a>(entry: &'a Entry, name: &str) -> &'a str {
    entry.get(name).map_or("", String::as_str)
}

fn number(entry: &Entry, name: &str) -> i64 {
    let value = field(entry, name);
    value
        .parse()
        .unwrap_or_else(|_| panic!("{name} is {value:?}"))
}

fn fake() -> FakeUpstream<OsClock> {
    FakeUpstream::start(Setup::with_clock(OsClock {
        offset_ns: AHEAD_NS,
    }))
}

fn start_under_systemd(urls: &[String]) -> Process {
    let path = webntpd::write_configuration(Path::new(DIR), &webntpd::configuration(2, urls));
    let mut command = Command::new("bash");
    command.args(["-c", TO_THE_JOURNAL]);
    command.arg(webntpd::command().get_program());
    Process::start(command.arg("--config").arg(path))
}

#[test]
fn under_systemd_events_are_entries_with_fields_and_no_lines() {
    sandbox::run(|| {
        let journald = Journald::start();
        let fake = fake();
        let mut daemon = start_under_systemd(&[fake.url("http", "/")]);

        let started = journald.wait("1 source, 1 vote, to SHM(2)");
        assert_eq!(field(&started, "PRIORITY"), "6");
        assert_eq!(field(&started, "SYSLOG_IDENTIFIER"), "webntpd");

        let publishing = journald.wait("publishing: 1 of 1 source agrees, offset +");
        let bound = number(&publishing, "BOUND_NS");
        assert!(bound > 0, "{publishing:?}");
        let off = (number(&publishing, "OFFSET_NS") - AHEAD_NS).abs();
        assert!(off <= bound + TOLERANCE_NS, "{publishing:?}");

        fake.stop();
        let trouble = journald.wait("source fake-0: ");
        assert_eq!(field(&trouble, "PRIORITY"), "4");
        assert_eq!(field(&trouble, "SOURCE"), "fake-0");
        let message = format!("source fake-0: {}", field(&trouble, "REASON"));
        assert_eq!(field(&trouble, "MESSAGE"), message);

        daemon.signal(Signal::SIGTERM);
        journald.wait("stopped");
        assert!(daemon.wait_exit(LIMIT).success());
        assert_eq!(daemon.log(), "");
    });
}

#[test]
fn where_journald_is_out_of_reach_its_stream_gets_lines_with_priorities() {
    sandbox::run(|| {
        let mut daemon = start_under_systemd(&[REFUSED.to_owned()]);
        let line = daemon.wait_line("source fake-0: ", LIMIT);
        assert!(
            line.starts_with("<4>source fake-0: cannot connect"),
            "{line}"
        );
    });
}

#[test]
fn standard_error_that_goes_elsewhere_gets_plain_lines_though_journald_is_there() {
    sandbox::run(|| {
        let journald = Journald::start();
        let text = webntpd::configuration(2, &[REFUSED.to_owned()]);
        let path = webntpd::write_configuration(Path::new(DIR), &text);
        let mut command = webntpd::command();
        // Inherited from a shell under systemd, say.
        command.env("JOURNAL_STREAM", "1:1").arg("--config");
        let mut daemon = Process::start(command.arg(path));
        let line = daemon.wait_line("source fake-0: ", LIMIT);
        assert!(
            line.contains("Z WARN source fake-0: cannot connect"),
            "{line}"
        );
        assert!(journald.has_nothing());
    });
}
