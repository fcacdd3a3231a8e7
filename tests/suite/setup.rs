//! `webntp setup`: its lines in the real daemons, beside an NTP server that has the right time.
//!
//! The path to the web server is far longer one way than the other, as no reply can tell: webntpd is off by [`OFF_MS`], which its
//! bound allows for. A daemon that knows the bound believes both; one that does not believes neither.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::fake::{Delay, FakeUpstream, OsClock, Path as Way, Setup};
use crate::host::chronyd::{Chronyd, Source};
use crate::host::deadline::poll;
use crate::host::ntpsec::{Ntpsec, Peer};
use crate::host::process::{Process, output};
use crate::host::{as_user, daemon, sandbox, webntpd};

const UNIT: u8 = 2;
const LIMIT: Duration = Duration::from_secs(90);
const CONFIG: &str = "/run/webntpd/webntpd.toml";

/// Half of what the request takes longer than the reply.
const OFF_MS: f64 = 15.0;
const REQUEST: Delay = Delay::micros(35_000);
const REPLY: Delay = Delay::micros(5_000);

/// Where the NTP server is. ntpd wants port 123 of all addresses: so it is on a network of its own, and there is a cable between. Our
/// address is one of lo, on which alone ntpd listens here.
const HONEST: &str = "10.123.0.2";
const NEAR: &str = "10.123.0.1";

/// Run on the server's network, with both addresses and the program; the test itself is process 1.
const ACROSS: &str = r#"
set -e
ip link add far type veth peer name near netns 1
ip address add "$0/24" dev far
ip link set far up
nsenter --net=/proc/1/ns/net bash -ec '
    ip address add "$1/32" dev lo
    ip link set near up
    ip route add "$0" dev near src "$1"
' "$0" "$1"
echo there is a way
exec "$2" -4 -x -d -u root -f /run/honest/chrony.conf
"#;

/// A web server with a lopsided path, webntpd that asks it, and an NTP server that has this machine's time.
struct Scene {
    _fake: FakeUpstream<OsClock>,
    webntpd: Process,
    _honest: Process,
}

impl Scene {
    fn start() -> Self {
        let clock = OsClock { offset_ns: 0 };
        let fake = FakeUpstream::start(Setup {
            path: Way::between(REQUEST, REPLY),
            ..Setup::with_clock(clock)
        });
        let text = webntpd::configuration(UNIT, &[fake.url("http", "/json")]);
        let mut webntpd = webntpd::start(Path::new("/run/webntpd"), &text);
        webntpd.wait_line("publishing: ", LIMIT);
        Self {
            _fake: fake,
            webntpd,
            _honest: honest(),
        }
    }
}

/// A chronyd that serves the time of this machine and follows nobody.
fn honest() -> Process {
    let directory = Path::new("/run/honest");
    let text = "local stratum 1\nallow\ncmdport 0\nbindcmdaddress /\npidfile /run/honest/pid\n";
    fs::create_dir_all(directory).expect("/run is ours");
    fs::write(directory.join("chrony.conf"), text).expect("/run is ours");
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--", "bash", "-c", ACROSS, HONEST, NEAR])
        .arg(daemon("chronyd").get_program());
    let mut process = Process::start(&mut command);
    process.wait_line("there is a way", LIMIT);
    process
}

fn webntp(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webntp"));
    let command = command.arg("setup").args(arguments);
    command.output().expect("the program starts")
}

/// What it prints for `daemon`, when all is well.
fn printed(arguments: &[&str]) -> String {
    let output = webntp(&[arguments, &["--config", CONFIG]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The lines for `daemon`, by the webntpd that runs.
fn lines(daemon: &str) -> String {
    // The log tells of a decision a moment before the report does.
    let observed = poll(LIMIT, || {
        let lines = printed(&[daemon]);
        lines
            .contains("# From the running daemon: bound ± ")
            .then_some(lines)
    });
    observed.unwrap_or_else(|| panic!("it has observed nothing: {}", printed(&[daemon])))
}

/// A chronyd with these lines for webntpd, and the NTP server.
fn chronyd(lines: &str) -> Chronyd {
    let server = format!("server {HONEST} iburst minpoll 1 maxpoll 1\n");
    Chronyd::with_clock(&format!("{lines}{server}"), Path::new("/run/chrony"))
}

/// Waits until chronyd has judged webntpd and the server, and both are as wished.
fn wait_judged(chronyd: &mut Chronyd, wished: impl Fn(char) -> bool) {
    let is_judged = |source: &Source| source.reach.count_ones() >= 4 || source.state != '?';
    for name in ["WEB", HONEST] {
        chronyd.wait_source(LIMIT, |source| {
            source.name == name && is_judged(source) && wished(source.state)
        });
    }
}

/// Chosen, combined with the chosen one, or not needed beside one that knows better; not contradicted.
fn is_believed(state: char) -> bool {
    matches!(state, '*' | '+' | '-')
}

#[test]
fn chronyd_with_the_lines_believes_webntpd_beside_an_honest_server() {
    sandbox::run(|| {
        let mut scene = Scene::start();
        let mut chronyd = chronyd(&lines("chrony"));
        wait_judged(&mut chronyd, is_believed);
        // It is off by as much as the path is lopsided, or this shows nothing.
        let data = chronyd.sources();
        let offset = |name: &str| {
            let source = data.iter().find(|source| source.name == name);
            source.expect("it was there").offset_ms()
        };
        let apart = (offset("WEB") - offset(HONEST)).abs();
        assert!(apart > OFF_MS / 2.0, "{data:#?}");
        scene.webntpd.assert_running();
    });
}

#[test]
fn chronyd_without_the_delay_of_the_lines_believes_nobody() {
    sandbox::run(|| {
        let _scene = Scene::start();
        let lines = lines("chrony");
        let (before, rest) = lines.rsplit_once(" delay ").expect("there is a delay");
        let (_delay, rest) = rest.split_once(' ').expect("and something behind it");
        let mut chronyd = chronyd(&format!("{before} {rest}"));
        wait_judged(&mut chronyd, |state| state == 'x');
    });
}

#[test]
fn chronyd_takes_the_line_of_a_socket_and_makes_it() {
    sandbox::run(|| {
        let text = webntpd::configuration(UNIT, &["http://192.0.2.1/".to_owned()]);
        webntpd::write_configuration(Path::new("/run/webntpd"), &text);
        let lines = printed(&["chrony", "--sock"]);
        let mut chronyd = Chronyd::with_clock(&lines, Path::new("/run/chrony"));
        let source = chronyd.wait_source(LIMIT, |source| source.name == "WEB");
        assert_eq!((source.mode, source.poll), ('#', 4));
        assert!(Path::new("/run/chrony.webntpd.sock").exists());
    });
}

/// An ntpsec with these lines for webntpd, and the NTP server.
fn ntpsec(lines: &str) -> Ntpsec {
    let server = format!("server {HONEST} iburst minpoll 3 maxpoll 3\n");
    Ntpsec::with_clock(&format!("{lines}{server}"), Path::new("/run/ntpsec"))
}

fn ntpsec_believes_both(daemon: &str) {
    let mut scene = Scene::start();
    let mut ntpsec = ntpsec(&lines(daemon));
    // By its refid: ntpq calls the clock SHM(2) at times, and 127.127.28.2 at others.
    let is_web = |peer: &Peer| peer.refid == ".WEB.";
    let is_believed = |peer: &Peer| peer.reach > 1 && is_believed(peer.tally);
    ntpsec.wait_peer(LIMIT, |peer| peer.remote == HONEST && is_believed(peer));
    let web = ntpsec.wait_peer(LIMIT, |peer| is_web(peer) && is_believed(peer));
    assert_eq!(web.stratum, 2);
    assert!(web.offset_ms.abs() > OFF_MS / 2.0, "{web:?}");
    let log = ntpsec.process.log();
    assert!(!log.contains("syntax error"), "{log}");
    scene.webntpd.assert_running();
}

#[test]
fn ntpsec_with_the_lines_believes_webntpd_beside_an_honest_server() {
    sandbox::run(|| ntpsec_believes_both("ntpsec"));
}

/// Debian 12 has no classic ntpd: its package ntp is ntpsec. So this holds that the lines are read without an error, and that
/// ntpsec believes us with them; what classic ntpd makes of `tos mindist` is held by its documentation alone.
#[test]
fn ntpsec_takes_the_lines_of_classic_ntpd_as_well() {
    sandbox::run(|| ntpsec_believes_both("ntp"));
}

/// What it said on standard error, with its exit code.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output = webntp(arguments);
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), said)
}

#[test]
fn without_a_daemon_the_lines_are_made_from_the_file_and_say_so() {
    sandbox::run(|| {
        let text = webntpd::configuration(7, &["http://192.0.2.1/".to_owned()]);
        webntpd::write_configuration(Path::new("/run/webntpd"), &text);
        for (daemon, line) in [
            (
                "chrony",
                "\nrefclock SHM 7:perm=0666 refid WEB stratum 2 poll 4 filter 2 delay 4\n",
            ),
            (
                "ntpsec",
                "\nrefclock shm unit 7 refid WEB stratum 2 minpoll 4 maxpoll 4\n",
            ),
            ("ntp", "\nfudge 127.127.28.7 refid WEB stratum 2\n"),
        ] {
            let lines = printed(&[daemon]);
            assert!(lines.contains(line), "{lines}");
            assert!(
                lines.contains(&format!("# From {CONFIG}: no daemon runs, ")),
                "{lines}"
            );
        }
    });
}

#[test]
fn where_nothing_can_be_known_it_says_why_and_prints_no_line() {
    sandbox::run(|| {
        let (code, said) = refused(&["chrony", "--config", "/run/none.toml"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("no webntpd listens on /run/webntpd/control.sock"),
            "{said}"
        );
        assert!(
            said.contains("/run/none.toml: there is no such file"),
            "{said}"
        );

        let (code, said) = refused(&["cron"]);
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains("[possible values: chrony, ntpsec, ntp]"),
            "{said}"
        );

        let (code, said) = refused(&["ntpsec", "--sock"]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("only chronyd reads a socket"), "{said}");
    });
}

#[test]
fn a_file_that_only_root_may_read_is_said_to_need_sudo() {
    sandbox::run_with_users(|| {
        // The directory is everybody's, the file is not.
        let text = webntpd::configuration(UNIT, &["http://192.0.2.1/".to_owned()]);
        let file = webntpd::write_configuration(Path::new("/run/webntpd"), &text);
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("it is ours");
        let program = Path::new("/run/webntp.bin");
        fs::copy(env!("CARGO_BIN_EXE_webntp"), program).expect("/run is ours");
        let command = as_user(990, &Command::new(program));
        let mut setup = Command::new(command.get_program());
        setup
            .args(command.get_args())
            .args(["setup", "chrony", "--config", CONFIG]);
        let said = output(&mut setup, LIMIT).expect_err("it may not read it");
        assert!(said.contains("exit status: 1"), "{said}");
        assert!(
            said.contains("may not read /run/webntpd/webntpd.toml: try with sudo"),
            "{said}"
        );
    });
}
