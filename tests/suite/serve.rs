//! `webntp serve`, the real program: what it prints, how it ends, what it does when files run out.

pub(crate) mod leap_seconds;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const WEBNTP: &str = env!("CARGO_BIN_EXE_webntp");
/// How long a test waits for what must come before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server says without a list: the last leap second, which is built in.
const BUILT_IN: &str = r#","leap":36,"next":1483228800,"step":1}"#;

struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("webntp was built");
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let address = line
            .strip_prefix("webntp: serving on http://")
            .and_then(|rest| rest.strip_suffix("/\n"))
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("where does it serve? {line:?}"));
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }

    /// The next line on its standard error.
    fn log_line(&mut self) -> String {
        let log = self.child.stderr.as_mut().expect("a pipe");
        let mut line = Vec::new();
        let mut byte = [0];
        // Byte by byte: what comes after the line is for the next one who asks.
        while !line.ends_with(b"\n") {
            log.read_exact(&mut byte).expect("a line");
            line.extend(byte);
        }
        String::from_utf8(line).expect("text")
    }

    fn end(self, signal: Signal) -> Output {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("it runs");
        self.child.wait_with_output().expect("it ends")
    }
}

/// What one request on `stream` brings, if anything.
fn asked(stream: &mut TcpStream) -> Option<String> {
    let request = b"GET /?7 HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(request).ok()?;
    let mut reply = Vec::new();
    while !reply.ends_with(b"}") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        reply.extend(byte);
    }
    Some(String::from_utf8(reply).expect("text"))
}

#[test]
fn it_says_where_it_serves_and_ends_cleanly_on_a_signal() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let program = Program::start(Command::new(WEBNTP).args(["serve", "127.0.0.1:0"]));
        let mut stream = program.connect();
        let reply = asked(&mut stream).expect("a reply");
        assert!(reply.contains(r#"{"id":"h","it":7,"#), "{reply}");
        let output = program.end(signal);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        // One line was read; nothing more came, on neither side.
        assert_eq!((output.stdout, output.stderr), (Vec::new(), Vec::new()));
    }
}

#[test]
fn an_address_that_is_taken_is_told_in_one_line_with_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let output = Command::new(WEBNTP)
        .args(["serve", &address])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        format!(
            "webntp: cannot listen on {address}: Address already in use; another program listens there: stop it or take another port\n"
        )
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn a_command_line_without_sense_is_code_2_and_help_is_code_0() {
    for (arguments, code) in [
        (&[][..], 2),
        (&["serve"], 2),
        (&["serve", ":0", "--offset", "x"], 2),
        (&["--help"], 0),
        (&["serve", "--help"], 0),
        (&["--version"], 0),
        (&["-serve"], 2),
        (&["-serve", ":0", "-help"], 0),
        (&["-help"], 0),
        (&["-version"], 0),
        (&["-p", "9", "http://localhost/"], 2),
    ] {
        let output = Command::new(WEBNTP)
            .args(arguments)
            .output()
            .expect("it runs");
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
        assert_eq!(output.stdout.is_empty(), code != 0);
        assert_eq!(output.stderr.is_empty(), code == 0);
    }
}

#[test]
fn out_of_files_it_waits_says_so_once_and_serves_again() {
    let script = format!("ulimit -n 24; exec {WEBNTP} serve 127.0.0.1:0");
    let program = Program::start(Command::new("sh").args(["-c", &script]));
    let mut served = Vec::new();
    let mut waiting = Vec::new();
    for n in 0..40 {
        let mut stream = program.connect();
        if n < 5 {
            assert!(asked(&mut stream).is_some());
            served.push(stream);
        } else {
            waiting.push(stream);
        }
    }
    // Those that have a connection are served while others cannot get one.
    for stream in &mut served {
        assert!(asked(stream).is_some());
    }
    drop(waiting);
    let mut stream = program.connect();
    assert!(asked(&mut stream).is_some(), "not served again");
    let output = program.end(Signal::SIGTERM);
    assert_eq!(output.status.code(), Some(0));
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(
        log.contains("WARN connections cannot be accepted, trying again: Too many open files"),
        "{log}"
    );
}

#[test]
fn the_references_way_to_start_a_server_works() {
    for arguments in [
        &["-serve", "127.0.0.1:0"][..],
        &["-serve=127.0.0.1:0", "-allow-cross-origin=false"],
        &["-allow-cross-origin", "--serve", "127.0.0.1:0"],
    ] {
        let program = Program::start(Command::new(WEBNTP).args(arguments));
        let reply = asked(&mut program.connect()).expect("a reply");
        assert!(reply.ends_with(BUILT_IN), "{reply}");
        assert_eq!(program.end(Signal::SIGTERM).status.code(), Some(0));
    }
}

#[test]
fn a_page_from_elsewhere_may_open_a_websocket_only_if_that_was_allowed() {
    for (arguments, status) in [
        (&["-serve", "127.0.0.1:0"][..], "403"),
        (&["-serve", "127.0.0.1:0", "-allow-cross-origin"], "101"),
    ] {
        let program = Program::start(Command::new(WEBNTP).args(arguments));
        let mut stream = program.connect();
        let request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Origin: https://elsewhere.example\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("a line");
        assert_eq!(line.split(' ').nth(1), Some(status), "{line}");
        program.end(Signal::SIGTERM);
    }
}
