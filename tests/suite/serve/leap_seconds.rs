//! `webntp -serve` and leap-seconds.list: from a file, from the web, whole, broken, old.

use super::{BUILT_IN, PATIENCE, Program, WEBNTP, asked};
use crate::fake::{Authority, Tls};
use crate::host::deadline::poll;
use crate::host::sandbox;
use nix::sys::signal::Signal;
use rustls::{ServerConnection, StreamOwned};
use sha1::{Digest, Sha1};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;

/// 2026-07-06 and 2035-06-28 in NTP seconds.
const UPDATED: u64 = 3_992_284_800;
const EXPIRES: u64 = 4_275_590_400;

/// A list with the real last leap second, and one that is left out on 2035-07-01.
const COMING: &[(u64, u32)] = &[
    (3_644_697_600, 36),
    (3_692_217_600, 37),
    (4_275_849_600, 36),
];
const COMING_TOLD: &str = r#","leap":37,"next":2066860800,"step":-1}"#;

/// The text of a list, its hash made by the rule: all digits one after the other.
pub(crate) fn list(updated: u64, expires: u64, rows: &[(u64, u32)]) -> String {
    let mut digits = format!("{updated}{expires}");
    let mut text = format!("# a list\n#$\t{updated}\n#@\t{expires}\n");
    for (since, tai_utc) in rows {
        digits += &format!("{since}{tai_utc}");
        text += &format!("{since}\t{tai_utc}\t# a row\n");
    }
    let sum = Sha1::digest(digits.as_bytes());
    let words: Vec<String> = sum
        .chunks(4)
        .map(|word| u32::from_be_bytes(word.try_into().expect("four bytes")))
        .map(|word| format!("{word:x}"))
        .collect();
    text + "#h\t" + &words.join(" ") + "\n"
}

/// A directory that goes with its guard.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/run/{name}"));
        fs::create_dir(&path).expect("the sandbox has its own /run");
        Self(path)
    }

    fn path(&self) -> String {
        self.0.join("leap-seconds.list").display().to_string()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("it is there");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.map(|name| name.display().to_string()).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // The sandbox takes it anyway.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A whole response.
pub(crate) fn response(status: &str, header: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Gives `response` to all who ask, for ever, within TLS if there is an authority; says where.
pub(crate) fn offer(response: String, authority: Option<&Authority>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let scheme = authority.map_or("http", |_| "https");
    let tls = authority.map(|authority| Tls::of(authority).server_config());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            match &tls {
                None => respond(&mut stream, &response),
                Some(tls) => {
                    let connection = ServerConnection::new(Arc::clone(tls)).expect("a good config");
                    respond(&mut StreamOwned::new(connection, stream), &response);
                }
            }
        }
    });
    format!("{scheme}://{address}/leap-seconds.list")
}

fn respond(stream: &mut (impl Read + Write), response: &str) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        request.extend(byte);
    }
    // Whoever does not want all of it hangs up.
    let _ = stream.write_all(response.as_bytes());
    let _ = stream.flush();
}

fn serve(arguments: &[&str]) -> Command {
    let mut command = Command::new(WEBNTP);
    command.args(["-serve", "127.0.0.1:0"]).args(arguments);
    command
}

fn told(program: &Program) -> String {
    let reply = asked(&mut program.connect()).expect("a reply");
    let (_, leap) = reply.split_once(",\"leap\"").expect("the member");
    format!(",\"leap\"{leap}")
}

fn log(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_list_in_the_file_is_what_is_told() {
    sandbox::run(|| {
        let directory = Directory::new("told");
        fs::write(directory.path(), list(UPDATED, EXPIRES, COMING)).expect("writable");
        let program = Program::start(&mut serve(&["-leap-second-path", &directory.path()]));
        assert_eq!(told(&program), COMING_TOLD);
        let output = program.end(Signal::SIGTERM);
        assert_eq!(log(&output), "");
        // Where none is named, it is that of the directory that the program was started in.
        let program = Program::start(serve(&[]).current_dir(&directory.0));
        assert_eq!(told(&program), COMING_TOLD);
        program.end(Signal::SIGTERM);
    });
}

#[test]
fn an_expired_list_is_a_note_and_one_older_than_the_program_is_not_used() {
    sandbox::run(|| {
        let directory = Directory::new("old");
        let expired = list(3_960_835_200, 3_991_593_600, &COMING[..2]);
        let ancient = list(
            3_645_216_000,
            3_676_752_000,
            &[(3_550_089_600, 35), COMING[0]],
        );
        for (text, said) in [
            (
                expired,
                " INFO /run/old/leap-seconds.list: expired on 2026-06-28;",
            ),
            (
                ancient,
                " WARN /run/old/leap-seconds.list: older than this program, and not used; telling the leap seconds up to 2017, which are built in; put another list there, or name one with --leap-second-path",
            ),
        ] {
            fs::write(directory.path(), text).expect("writable");
            let program = Program::start(&mut serve(&["-leap-second-path", &directory.path()]));
            assert_eq!(told(&program), BUILT_IN);
            let output = program.end(Signal::SIGTERM);
            assert!(log(&output).contains(said), "{output:?}");
            assert_eq!(log(&output).lines().count(), 1, "{output:?}");
        }
    });
}

#[test]
fn a_missing_file_is_told_and_a_broken_one_is_an_error_with_line_and_reason() {
    sandbox::run(|| {
        let directory = Directory::new("broken");
        let path = directory.path();
        let program = Program::start(&mut serve(&["-leap-second-path", &path]));
        assert_eq!(told(&program), BUILT_IN);
        let output = program.end(Signal::SIGTERM);
        assert!(log(&output).contains("no such file"), "{output:?}");

        let good = list(UPDATED, EXPIRES, COMING);
        let remedy = "mend it, take it away, or name another one with --leap-second-path";
        for (text, why) in [
            (
                good.replace("3692217600\t37", "3692217600\t39"),
                "line 5: TAI-UTC changes by 3 s, not by 1 or -1",
            ),
            (
                good.replace("#@\t4275590400", "#@\t4275590401"),
                "the hash does not fit the rows: the list is damaged or was cut",
            ),
        ] {
            fs::write(&path, text).expect("writable");
            let output = serve(&["-leap-second-path", &path]).output().expect("runs");
            assert_eq!(output.status.code(), Some(1));
            assert_eq!(log(&output), format!("webntp: {path}: {why}; {remedy}\n"));
            assert!(output.stdout.is_empty());
        }
    });
}

#[test]
fn a_list_from_the_web_is_told_and_kept() {
    sandbox::run(|| {
        let authority = Authority::new();
        let text = list(UPDATED, EXPIRES, COMING);
        let good = response("200 OK", "", &text);
        let clear = offer(good.clone(), None);
        let moved = response("301 Moved", &format!("Location: {clear}\r\n"), "");
        for (name, url) in [
            ("clear", clear),
            ("tls", offer(good, Some(&authority))),
            ("moved", offer(moved, None)),
        ] {
            let directory = Directory::new(name);
            let (path, roots) = (directory.path(), authority.write_ca(Path::new("/run")));
            let arguments = ["-leap-second-path", &path, "-leap-second-url", &url];
            let program = Program::start(serve(&arguments).env("SSL_CERT_FILE", roots));
            poll(PATIENCE, || (told(&program) == COMING_TOLD).then_some(())).expect(name);
            assert_eq!(fs::read_to_string(&path).expect("kept"), text);
            assert_eq!(
                directory.names(),
                ["leap-seconds.list"],
                "nothing beside it"
            );
            let output = program.end(Signal::SIGTERM);
            assert_eq!(output.status.code(), Some(0));
            assert!(log(&output).contains("fetched"), "{output:?}");
        }
    });
}

#[test]
fn what_the_web_has_changes_nothing_if_it_is_broken_or_older_or_no_list() {
    sandbox::run(|| {
        let directory = Directory::new("kept");
        let path = directory.path();
        // Expired, so that a new one is due.
        let old = list(UPDATED, 3_991_593_600, COMING);
        let broken = list(UPDATED, EXPIRES, COMING).replace("#$\t39", "#$\t38");
        let older = list(3_960_835_200, EXPIRES, &COMING[..2]);
        let authority = Authority::new();
        let elsewhere = offer(
            response("200 OK", "", &list(UPDATED, EXPIRES, COMING)),
            None,
        );
        let out_of_tls = response("302 Found", &format!("Location: {elsewhere}\r\n"), "");
        let ok = |body: &str| response("200 OK", "", body);
        for (response, trusted, why) in [
            (ok(&broken), None, "the hash does not fit"),
            (ok(&older), None, "older than the one known"),
            (ok("<html>"), None, "line 1: \"<html>\" is not a row"),
            (ok(&"#\n".repeat(1 << 20)), None, "more than 256 KiB"),
            (response("404 Not Found", "", ""), None, "404 Not Found"),
            (out_of_tls, Some(&authority), "from https to something else"),
            (ok(&broken), Some(&Authority::new()), "certificate"),
        ] {
            fs::write(&path, &old).expect("writable");
            let url = offer(response, trusted);
            let arguments = ["-leap-second-path", &path, "-leap-second-url", &url];
            let roots = authority.write_ca(Path::new("/run"));
            let mut program = Program::start(serve(&arguments).env("SSL_CERT_FILE", roots));
            // The first line of the log is the note that the list has expired.
            program.log_line();
            let line = program.log_line();
            assert!(line.contains(why), "{line}");
            assert_eq!(told(&program), COMING_TOLD);
            program.end(Signal::SIGTERM);
            assert_eq!(fs::read_to_string(&path).expect("kept"), old);
            assert_eq!(directory.names(), ["leap-seconds.list"]);
        }
    });
}
