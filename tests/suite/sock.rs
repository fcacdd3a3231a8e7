//! From a fake upstream through the daemon into a socket of the real chronyd, beside shared memory or instead of it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM};

use crate::fake::{FakeUpstream, OsClock, Setup};
use crate::host::chronyd::Chronyd;
use crate::host::ntpsec::Ntpsec;
use crate::host::process::{Process, output};
use crate::host::segment::{self, Entry};
use crate::host::{sandbox, systemd, webntpd};

const LIMIT: Duration = Duration::from_secs(30);
const UNIT: u8 = 2;
const SOCKET: &str = "/run/chrony.webntpd.sock";
const DIR: &str = "/run/webntpd";

/// Who runs webntpd where it is not root.
const OURS: u32 = 990;

/// How far the fake's clock is ahead of the machine's.
const AHEAD_MS: f64 = 25.0;

/// Tells the offset from nothing and from its opposite on the busiest machine.
const TOLERANCE_MS: f64 = 20.0;

/// What webntpd says of the socket, behind its name.
const ALONE: &str = "no daemon has the socket yet";
const BOUND: &str = "a daemon has the socket";
const WORKS: &str = "works again";

fn fake() -> FakeUpstream<OsClock> {
    FakeUpstream::start(Setup::with_clock(OsClock {
        offset_ns: 25_000_000,
    }))
}

/// A configuration with these sockets beside the segment.
fn configuration(fake: &FakeUpstream<OsClock>, sockets: &[&str]) -> String {
    let mut text = webntpd::configuration(UNIT, &[fake.url("http", "/json")]);
    for socket in sockets {
        text += &format!("\n[[sock]]\npath = \"{socket}\"\n");
    }
    text
}

fn without_shm(text: &str) -> String {
    text.replace("[shm]\n", "[shm]\nenable = false\n")
}

fn chronyd() -> Chronyd {
    Chronyd::start(&format!("SOCK {SOCKET}"), Path::new("/run/chrony"))
}

fn wait_taken(chronyd: &mut Chronyd) {
    let source = chronyd.wait_source(LIMIT, |source| source.reach & 0b11 == 0b11);
    let offset_ms = source.offset_ms();
    assert!((offset_ms - AHEAD_MS).abs() < TOLERANCE_MS, "{source:?}");
}

/// Waits for webntpd's next line about the socket with these words.
fn wait_said(webntpd: &mut Process, words: &str) {
    webntpd.wait_line(&format!("SOCK({SOCKET}): {words}"), LIMIT);
}

/// What the shipped drop-in has systemd do once chronyd has started.
fn carry_out_the_drop_in() {
    let path = systemd::shipped("examples/chrony-sock.conf");
    let text = fs::read_to_string(path).expect("it is shipped");
    let commands: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("ExecStartPost=-+"))
        .collect();
    assert_eq!(commands.len(), 2, "{text}");
    for command in commands {
        let mut words = command.split(' ');
        let mut command = Command::new(words.next().expect("a program"));
        output(command.args(words), LIMIT).expect("root may");
    }
}

/// Gives the sandbox the group that the package would make.
fn make_group() {
    fs::write("/run/group", format!("root:x:0:\nwebntpd:x:{OURS}:\n")).expect("/run is ours");
    let mut mount = Command::new("mount");
    mount.args(["--bind", "/run/group", "/etc/group"]);
    output(&mut mount, LIMIT).expect("the sandbox is root");
}

#[test]
fn chronyd_takes_the_offset_up_whenever_it_comes_and_however_it_went() {
    sandbox::run(|| {
        let fake = fake();
        let text = without_shm(&configuration(&fake, &[SOCKET]));
        let mut webntpd = webntpd::start(Path::new(DIR), &text);
        webntpd.wait_line(&format!("1 source, 1 vote, to SOCK({SOCKET})"), LIMIT);
        wait_said(&mut webntpd, ALONE);
        for (signal, is_left) in [(SIGTERM, false), (SIGKILL, true)] {
            let mut chronyd = chronyd();
            wait_said(&mut webntpd, BOUND);
            wait_taken(&mut chronyd);
            chronyd.process.signal(signal);
            chronyd.process.wait_exit(LIMIT);
            assert_eq!(Path::new(SOCKET).exists(), is_left, "{signal}");
            wait_said(&mut webntpd, ALONE);
        }
        let mut chronyd = chronyd();
        wait_said(&mut webntpd, BOUND);
        wait_taken(&mut chronyd);
        webntpd.assert_running();
        assert_eq!(Entry::of(UNIT), None, "no segment is made");
        let log = webntpd.log();
        assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    });
}

#[test]
fn a_chronyd_that_hangs_is_named_and_goes_on_by_itself() {
    sandbox::run(|| {
        // How many messages may wait in a socket, in this sandbox alone.
        fs::write("/proc/sys/net/unix/max_dgram_qlen", "2").expect("the sandbox is root");
        let fake = fake();
        let mut chronyd = chronyd();
        let mut webntpd = webntpd::start(Path::new(DIR), &configuration(&fake, &[SOCKET]));
        wait_taken(&mut chronyd);
        chronyd.process.signal(SIGSTOP);
        let full = format!("sock {SOCKET}: the daemon that has the socket does not read it");
        webntpd.wait_line(&full, LIMIT);
        chronyd.process.signal(SIGCONT);
        wait_said(&mut webntpd, WORKS);
        wait_taken(&mut chronyd);
    });
}

#[test]
fn a_segment_that_is_refused_costs_the_socket_nothing() {
    sandbox::run_with_users(|| {
        segment::make(UNIT, 80, 0o666, 0, 0);
        let fake = fake();
        let mut chronyd = chronyd();
        let mut webntpd = webntpd::start(Path::new(DIR), &configuration(&fake, &[SOCKET]));
        webntpd.wait_line("the segment is smaller than the 96 bytes", LIMIT);
        let outputs = format!("to SHM({UNIT}) and SOCK({SOCKET})");
        webntpd.wait_line(&outputs, LIMIT);
        webntpd.wait_line("publishing: 1 of 1 source agrees", LIMIT);
        wait_taken(&mut chronyd);
        assert!(!webntpd.log().contains("nothing published"));

        // With nobody at the socket nobody gets anything, and that is said.
        chronyd.process.signal(SIGTERM);
        webntpd.wait_line("nothing published: shm unit 2", LIMIT);
        let mut ipcrm = Command::new("ipcrm");
        output(ipcrm.args(["-M", "0x4e545032"]), LIMIT).expect("root may");
        webntpd.wait_line("SHM(2): works again", LIMIT);
    });
}

#[test]
fn a_socket_that_is_refused_costs_the_segment_nothing_and_the_drop_in_opens_it() {
    sandbox::run_with_users(|| {
        make_group();
        let fake = fake();
        let mut chronyd = chronyd();
        let text = configuration(&fake, &[SOCKET, "/run/chrony/closed.sock"]);
        let path = webntpd::write_configuration(Path::new(DIR), &text);
        let mut ntpsec = Ntpsec::start(UNIT, 0, Path::new("/run/ntpsec"));
        ntpsec.wait_peer(LIMIT, |peer| peer.remote == "SHM(2)");
        let mut webntpd = Process::start(webntpd::command_as(OURS).arg("--config").arg(path));
        let refused = format!(
            "sock {SOCKET}: uid 990 may not send to the socket (owner uid 0, gid 0, mode 0755); \
             let the group webntpd write to it: install /usr/share/doc/webntpd/examples/chrony-sock.conf"
        );
        webntpd.wait_line(&refused, LIMIT);
        webntpd.wait_line(
            "sock /run/chrony/closed.sock: uid 990 may not enter /run/chrony (owner uid 0, gid 0, mode 0700)",
            LIMIT,
        );
        webntpd.wait_line("SHM(2): a daemon takes the samples", LIMIT);
        ntpsec.wait_peer(LIMIT, |peer| peer.reach & 1 == 1);
        assert_eq!(chronyd.sources()[0].reach, 0);

        carry_out_the_drop_in();
        wait_said(&mut webntpd, WORKS);
        wait_taken(&mut chronyd);

        // A new chronyd makes a new socket. One that goes while it refuses is gone, and does not work again.
        for _ in 0..2 {
            chronyd.process.signal(SIGTERM);
            chronyd.process.wait_exit(LIMIT);
            wait_said(&mut webntpd, ALONE);
            chronyd = self::chronyd();
            webntpd.wait_line(&refused, LIMIT);
        }
        let works = format!("SOCK({SOCKET}): {WORKS}");
        assert_eq!(webntpd.log().matches(&works).count(), 1);
        carry_out_the_drop_in();
        wait_said(&mut webntpd, WORKS);
        wait_taken(&mut chronyd);
        ntpsec.wait_peer(LIMIT, |peer| peer.reach & 0b11 == 0b11);
    });
}

#[test]
fn a_socket_that_a_reload_adds_is_fed_and_the_segment_goes_on() {
    sandbox::run(|| {
        let fake = fake();
        let mut chronyd = chronyd();
        let text = configuration(&fake, &[SOCKET]);
        let before = text.split("\n[[sock]]").next().expect("what stands above");
        let mut webntpd = webntpd::start(Path::new(DIR), before);
        webntpd.wait_line("SHM(2): no daemon has the segment", LIMIT);
        let id = Entry::of(UNIT).expect("it is made").id;

        webntpd::write_configuration(Path::new(DIR), &text);
        webntpd.signal(SIGHUP);
        webntpd.wait_line("configuration read again", LIMIT);
        wait_said(&mut webntpd, BOUND);
        wait_taken(&mut chronyd);
        let entry = Entry::of(UNIT).expect("it is kept");
        assert_eq!((entry.id, entry.attached), (id, 1));
        // What was known of it still is: it is not told again.
        assert_eq!(webntpd.log().matches("SHM(2): no daemon").count(), 1);

        webntpd::write_configuration(Path::new(DIR), &without_shm(&text));
        webntpd.signal(SIGHUP);
        webntpd.wait_line("configuration read again", LIMIT);
        wait_taken(&mut chronyd);
        assert_eq!(Entry::of(UNIT).expect("it stays").attached, 0);
    });
}
