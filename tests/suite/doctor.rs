//! `webntp doctor` on the whole chain, with the real daemons: what it says when all is well, and of one fault after the other.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ::webntpd::engine::time::Utc;
use ::webntpd::sys::state::{self, State};
use serde_json::Value;

use crate::fake::{Authority, FakeUpstream, Fault, Leaf, OsClock, Setup, Tls};
use crate::host::chronyd::Chronyd;
use crate::host::ntpsec::Ntpsec;
use crate::host::process::{Process, output};
use crate::host::segment::{self, Entry, SIZE, Segment};
use crate::host::{as_user, deadline, provided, sandbox, webntpd};

const UNIT: u8 = 2;
const LIMIT: Duration = Duration::from_secs(60);
const STRANGER: u32 = 1001;
const DIR: &str = "/run/webntpd";

type Fake = FakeUpstream<OsClock>;

fn fake(offset_ns: i64) -> Fake {
    FakeUpstream::start(Setup::with_clock(OsClock { offset_ns }))
}

/// A source of each URL, each of another operator; the last one with these lines too.
fn configuration(urls: &[String], lines: &str) -> String {
    let mut text = format!("cycle = \"1s\"\n\n[shm]\nunit = {UNIT}\n");
    for (k, url) in urls.iter().enumerate() {
        write!(
            text,
            "\n[[source]]\nname = \"fake-{k}\"\nurl = \"{url}\"\noperator = \"op-{k}\"\n"
        )
        .expect("a string takes all");
    }
    text + lines
}

fn of(fakes: &[&Fake]) -> String {
    let urls: Vec<String> = fakes.iter().map(|fake| fake.url("http", "/json")).collect();
    configuration(&urls, "")
}

/// What it found.
#[derive(Debug)]
struct Found {
    code: Option<i32>,
    verdict: String,
    links: Vec<Value>,
}

impl Found {
    fn parse(command: &mut Command) -> Self {
        let said = command.arg("--json").output().expect("the program starts");
        assert!(said.stderr.is_empty(), "{said:?}");
        let mut json: Value = serde_json::from_slice(&said.stdout).expect("JSON");
        let links = json["links"].take();
        Self {
            code: said.status.code(),
            verdict: json["verdict"].as_str().expect("a text").to_owned(),
            links: links.as_array().expect("a list").clone(),
        }
    }

    /// The names of the links in this state.
    fn names(&self, state: &str) -> Vec<&str> {
        let links = self.links.iter().filter(|link| link["state"] == state);
        links
            .map(|link| link["name"].as_str().expect("a text"))
            .collect()
    }

    fn has_fault(&self, name: &str, text: &str, remedy: &str) -> bool {
        let says = |link: &Value, member: &str, words: &str| {
            link[member]
                .as_str()
                .is_some_and(|said| said.contains(words))
        };
        self.code == Some(1)
            && self.links.iter().any(|link| {
                link["name"] == name
                    && link["state"] == "fault"
                    && says(link, "text", text)
                    && says(link, "remedy", remedy)
            })
    }

    fn assert_fault(&self, name: &str, text: &str, remedy: &str) {
        assert!(
            self.has_fault(name, text, remedy),
            "{name:?}, {text:?}, {remedy:?} not in {self:#?}"
        );
    }

    /// It is the one to begin with.
    fn assert_first_fault(&self, name: &str, text: &str, remedy: &str) {
        self.assert_fault(name, text, remedy);
        assert!(self.verdict.ends_with(&format!(": {name}")), "{self:#?}");
    }
}

fn command(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webntp"));
    let path = format!(
        "{}:/usr/sbin:/usr/bin:/sbin:/bin",
        provided("bin").display()
    );
    command
        .arg("doctor")
        .arg("--config")
        .arg(config)
        .args(arguments)
        .env("PATH", path);
    command
}

fn doctor(arguments: &[&str]) -> Found {
    Found::parse(&mut command(
        &Path::new(DIR).join("webntpd.toml"),
        arguments,
    ))
}

/// What it finds where nothing but this configuration is.
fn doctor_on(text: &str) -> Found {
    webntpd::write_configuration(Path::new(DIR), text);
    doctor(&[])
}

fn start(text: &str) -> Process {
    webntpd::start(Path::new(DIR), text)
}

/// Fails unless no link is at fault, and all but those of a machine without the package are ok.
fn assert_well(found: &Found) {
    assert_eq!(
        (found.code, found.verdict.as_str()),
        (Some(0), "all is well"),
        "{found:#?}"
    );
    let odd: Vec<&str> = [found.names("note"), found.names("skipped")].concat();
    // The sources speak in clear text, and the machine's list of leap seconds may be old.
    let unusual = |name: &&str| {
        !["rights of the configuration", "systemd unit", "[leap] list"].contains(name)
            && !name.starts_with("certificate of ")
    };
    assert!(!odd.iter().any(unusual), "{found:#?}");
}

#[test]
fn of_a_chain_with_ntpd_that_works_every_link_is_well() {
    sandbox::run(|| {
        let fakes = [fake(25_000_000), fake(25_000_000), fake(25_000_000)];
        let clock = format!("refclock shm unit {UNIT} refid WEB minpoll 0 maxpoll 0 flag4 1\n");
        let mut ntpsec = Ntpsec::with_clock(&clock, Path::new("/run/ntpsec"));
        deadline::poll(LIMIT, || Entry::of(UNIT)).expect("ntpsec makes the segment");
        let mut webntpd = start(&of(&fakes.each_ref()));
        webntpd.wait_line("a daemon takes the samples", LIMIT);
        ntpsec.wait_peer(LIMIT, |peer| peer.tally == '*' || peer.tally == 'o');
        let before = fakes.each_ref().map(FakeUpstream::served);
        let found = doctor(&[]);
        assert_well(&found);
        let ok = found.names("ok");
        for name in [
            "connection of fake-2",
            "protocol of fake-2",
            "sample of fake-2",
            "daemon",
            "segment of unit 2",
            "view of ntpd",
        ] {
            assert!(ok.contains(&name), "{name}: {found:#?}");
        }
        let order: Vec<usize> = [
            "configuration",
            "sample of fake-0",
            "daemon",
            "segment of unit 2",
            "configuration of ntpd",
            "view of ntpd",
        ]
        .iter()
        .map(|name| {
            found
                .links
                .iter()
                .position(|link| link["name"] == *name)
                .expect("it is there")
        })
        .collect();
        assert!(order.is_sorted(), "as the time travels: {found:#?}");
        let text = command(&Path::new(DIR).join("webntpd.toml"), &[])
            .output()
            .expect("it starts");
        let text = String::from_utf8(text.stdout).expect("text");
        assert!(text.ends_with("\nall is well\n"), "{text}");
        // The daemon asks as well, so that only this can be said.
        assert!(
            fakes
                .iter()
                .zip(before)
                .all(|(fake, before)| fake.served() > before)
        );
        webntpd.assert_running();
        assert_eq!(Entry::of(UNIT).expect("still there").attached, 2);
    });
}

#[test]
fn of_a_chain_with_chronyd_that_works_every_link_is_well() {
    sandbox::run(|| {
        let fakes = [fake(0), fake(0), fake(0)];
        let clock = format!(
            "refclock SHM {UNIT}:perm=0666 refid WEB poll 0 filter 1 delay 0.020 precision 1e-3\n"
        );
        // Where chronyc looks for its socket.
        let mut chronyd = Chronyd::with_clock(&clock, Path::new("/run/chrony"));
        deadline::poll(LIMIT, || Entry::of(UNIT)).expect("chronyd makes the segment");
        let mut webntpd = start(&of(&fakes.each_ref()));
        webntpd.wait_line("a daemon takes the samples", LIMIT);
        chronyd.wait_source(LIMIT, |source| source.state == '*');
        let found = doctor(&[]);
        assert_well(&found);
        assert!(found.names("ok").contains(&"view of chronyd"), "{found:#?}");
    });
}

#[test]
fn of_a_socket_instead_of_a_segment_it_is_told_whether_chronyd_has_it() {
    sandbox::run(|| {
        const SOCK: &str = "/run/chrony.webntpd.sock";
        const LINK: &str = "socket /run/chrony.webntpd.sock";
        let fakes = [fake(0), fake(0), fake(0)];
        let text = of(&fakes.each_ref()).replace("unit = 2", "enable = false")
            + &format!("\n[[sock]]\npath = \"{SOCK}\"\n");
        doctor_on(&text).assert_fault(LINK, "it is not there", "is chronyd running");
        let clock =
            format!("refclock SOCK {SOCK} refid WEB poll 0 filter 1 delay 0.020 precision 1e-3\n");
        let mut chronyd = Chronyd::with_clock(&clock, Path::new("/run/chrony"));
        let _webntpd = start(&text);
        chronyd.wait_source(LIMIT, |source| source.state == '*');
        let well = deadline::poll(LIMIT, || {
            let found = doctor(&[]);
            (found.code == Some(0)).then_some(found)
        });
        let well = well.unwrap_or_else(|| panic!("{:#?}", doctor(&[])));
        for name in [LINK, "configuration of chronyd", "view of chronyd"] {
            assert!(well.names("ok").contains(&name), "{name}: {well:#?}");
        }
        // Killed, it leaves the socket behind.
        drop(chronyd);
        let gone = doctor(&[]);
        gone.assert_fault(LINK, "nobody listens", "is chronyd running");
        gone.assert_fault("time daemon", "nobody sets the clock", "");
    });
}

#[test]
fn a_configuration_that_is_missing_or_wrong_is_told_with_its_lines() {
    sandbox::run(|| {
        let missing = doctor(&[]);
        missing.assert_first_fault("configuration", "there is no such file", "create it");
        let wrong = doctor_on(
            "cycle = \"1s\"\n[shm]\nunit = 999\n[[source]]\nname = \"a\"\nurl = \"ftp://h/\"\n",
        );
        wrong.assert_first_fault(
            "configuration",
            "webntpd.toml:3: shm: unit 999 is above 255",
            "255",
        );
        wrong.assert_fault("configuration", "webntpd.toml:6: ", "");
        assert!(wrong.names("skipped").contains(&"sources"), "{wrong:#?}");
    });
}

#[test]
fn a_configuration_that_may_not_be_read_is_a_fault() {
    sandbox::run_with_users(|| {
        let path = webntpd::write_configuration(Path::new(DIR), &of(&[&fake(0)]));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
        fs::write("/run/webntp", []).expect("the sandbox has a /run of its own");
        let mut mount = Command::new("mount");
        mount.args(["--bind", env!("CARGO_BIN_EXE_webntp"), "/run/webntp"]);
        output(&mut mount, LIMIT).expect("the sandbox is root");
        let mut doctor = Command::new("/run/webntp");
        doctor
            .args(["doctor", "--no-network", "--config"])
            .arg(&path);
        let found = Found::parse(&mut as_user(990, &doctor));
        found.assert_first_fault(
            "configuration",
            "may not be read by this user",
            "let the user that webntpd runs as",
        );
    });
}

#[test]
fn a_name_without_an_address_and_a_closed_port_are_told_apart() {
    sandbox::run(|| {
        let found = doctor_on(&configuration(&["http://host.invalid/".to_owned()], ""));
        found.assert_first_fault("name of fake-0", "host.invalid", "");
        assert!(
            found.names("skipped").contains(&"sample of fake-0"),
            "{found:#?}"
        );
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
        let closed = listener.local_addr().expect("it is bound");
        drop(listener);
        let found = doctor_on(&configuration(&[format!("http://{closed}/")], ""));
        found.assert_first_fault(
            "connection of fake-0",
            "Connection refused",
            "the right port",
        );
        assert_eq!(
            found.names("ok")[..2],
            ["configuration", "system clock"],
            "{found:#?}"
        );
        let unasked = Found::parse(&mut command(
            &PathBuf::from(DIR).join("webntpd.toml"),
            &["--no-network"],
        ));
        assert!(unasked.verdict.ends_with(": daemon"), "{unasked:#?}");
    });
}

/// What it finds with a server that shows this leaf.
fn with_leaf(leaf: Leaf, trusted: bool) -> Found {
    with_leaf_and(leaf, trusted, "")
}

/// The same, with more in the configuration.
fn with_leaf_and(leaf: Leaf, trusted: bool, more: &str) -> Found {
    let authority = Authority::new();
    let fake = FakeUpstream::start(Setup {
        tls: Some(Tls {
            leaf,
            ..Tls::of(&authority)
        }),
        ..Setup::with_clock(OsClock { offset_ns: 0 })
    });
    fs::create_dir_all(DIR).expect("the sandbox is root");
    let ca = authority.write_ca(Path::new(DIR));
    let trust = if trusted {
        format!("ca-file = \"{}\"\n", ca.display())
    } else {
        String::new()
    };
    let urls = [fake.url("https", "/json")];
    doctor_on(&(configuration(&urls, &trust) + more))
}

#[test]
fn a_certificate_is_judged_at_the_time_that_the_daemon_kept_as_the_daemon_does() {
    sandbox::run(|| {
        const LINK: &str = "certificate of fake-0";
        const KEPT: &str = "/run/kept";
        fs::create_dir(KEPT).expect("a directory");
        let spring_of_2099 = State {
            time: Utc::from_secs(4_080_000_000),
            rate: None,
        };
        let more = format!("\n[state]\ndirectory = '{KEPT}'\n");
        let found = with_leaf_and(Leaf::NotYetValid, true, &more);
        found.assert_fault(LINK, "is not valid yet", "date -u -s");
        state::write(Path::new(KEPT), &spring_of_2099).expect("it is ours");
        let found = with_leaf_and(Leaf::NotYetValid, true, &more);
        assert!(found.names("ok").contains(&LINK), "{found:#?}");
    });
}

#[test]
fn a_certificate_that_is_not_good_or_ends_soon_is_told_by_its_fault() {
    sandbox::run(|| {
        const LINK: &str = "certificate of fake-0";
        for (leaf, trusted, text, remedy) in [
            (
                Leaf::Good,
                false,
                "not signed by anybody trusted",
                "`ca-file`",
            ),
            (Leaf::Expired, true, "has expired", "must renew it"),
            (Leaf::NotYetValid, true, "is not valid yet", "date -u -s"),
            (Leaf::WrongName, true, "for another name", "captive portal"),
        ] {
            with_leaf(leaf, trusted).assert_first_fault(LINK, text, remedy);
        }
        let soon = with_leaf(Leaf::EndingSoon, true);
        assert!(soon.names("note").contains(&LINK), "{soon:#?}");
        let link = soon
            .links
            .iter()
            .find(|link| link["name"] == LINK)
            .expect("it is there");
        assert_eq!(link["text"], "good, and ends within 5 days");
        assert!(soon.names("ok").contains(&"sample of fake-0"), "{soon:#?}");
        let good = with_leaf(Leaf::Good, true);
        assert!(good.names("ok").contains(&LINK), "{good:#?}");
    });
}

#[test]
fn the_page_of_a_captive_portal_is_known_for_one() {
    sandbox::run(|| {
        let fake = fake(0);
        fake.set_fault(Some(Fault::Html));
        let found = doctor_on(&of(&[&fake]));
        found.assert_first_fault("sample of fake-0", "captive portal", "log in there");
        assert_eq!((fake.connections(), fake.served()), (2, 1), "it is polite");
    });
}

#[test]
fn a_server_that_stalls_is_left_at_its_timeout() {
    sandbox::run(|| {
        let fake = fake(0);
        fake.set_fault(Some(Fault::StallBeforeHeaders));
        let found = doctor_on(&(of(&[&fake]) + "timeout = \"300ms\"\n"));
        let text = "no answer to the request within 0.3 s";
        found.assert_first_fault("sample of fake-0", text, "`url` is right");
    });
}

#[test]
fn two_daemons_at_one_clock_are_told() {
    sandbox::run(|| {
        let clock = format!("refclock shm unit {UNIT} refid WEB minpoll 0 maxpoll 0 flag4 1\n");
        let mut ntpsec = Ntpsec::with_clock(&clock, Path::new("/run/ntpsec"));
        let clock = format!("refclock SHM {UNIT}:perm=0666 refid WEB poll 0\n");
        let mut chronyd = Chronyd::with_clock(&clock, Path::new("/run/chrony"));
        deadline::poll(LIMIT, || {
            Entry::of(UNIT).filter(|entry| entry.attached == 2)
        })
        .expect("both have it");
        let found = doctor_on(&of(&[&fake(0)]));
        found.assert_fault(
            "time daemon",
            "ntpd and chronyd run beside each other",
            "disable the others",
        );
        ntpsec.process.assert_running();
        chronyd.process.assert_running();
    });
}

#[test]
fn a_liar_is_named_by_the_others_and_by_the_daemon() {
    sandbox::run(|| {
        let fakes = [fake(0), fake(0), fake(1_000_000_000)];
        let _webntpd = start(&of(&fakes.each_ref()));
        let found = deadline::poll(LIMIT, || {
            let found = doctor(&["--no-network"]);
            found
                .has_fault("daemon on fake-2", "falseticker", "remove it")
                .then_some(found)
        });
        assert!(found.is_some(), "{:#?}", doctor(&[]));
        let found = doctor(&[]);
        found.assert_fault(
            "agreement of fake-2",
            "2 of 2 others contradict",
            "remove this source",
        );
        // Said once, and after what keeps all time from the reader.
        assert!(
            found.names("note").contains(&"daemon on fake-2"),
            "{found:#?}"
        );
        assert!(
            found.verdict.ends_with("begin with: segment of unit 2"),
            "{found:#?}"
        );
    });
}

#[test]
fn a_daemon_that_does_not_run_and_a_segment_without_a_reader_are_told() {
    sandbox::run(|| {
        let fake = fake(0);
        let text = of(&[&fake]);
        let alone = doctor_on(&text);
        alone.assert_first_fault("daemon", "no webntpd listens", "systemctl start webntpd");
        alone.assert_fault(
            "segment of unit 2",
            "no daemon has made a segment",
            "is webntpd or ntpd running",
        );
        alone.assert_fault("time daemon", "nobody sets the clock", "apt install chrony");

        let mut webntpd = start(&text);
        webntpd.wait_line("no daemon has the segment", LIMIT);
        let unread = doctor(&[]);
        unread.assert_first_fault("segment of unit 2", "only one process has it", "");
        unread.assert_fault("time daemon", "nobody sets the clock", "apt install chrony");
    });
}

#[test]
fn a_segment_of_a_stranger_is_told_and_left_as_it_is() {
    sandbox::run_with_users(|| {
        let entry = segment::make(UNIT, SIZE, 0o600, STRANGER, STRANGER);
        let bytes = Segment::of(entry.id);
        let fake = fake(0);
        let _webntpd = start(&of(&[&fake]));
        let refused = deadline::poll(LIMIT, || {
            let found = doctor(&["--no-network"]);
            let text = "owned by uid 1001, mode 0600";
            let is_told = found.has_fault("segment of unit 2", text, "ipcrm -M 0x4e545032");
            (is_told && found.has_fault("daemon", "no output takes it", "the segment"))
                .then_some(())
        });
        assert!(refused.is_some(), "{:#?}", doctor(&[]));
        assert_eq!(
            (Entry::of(UNIT), Segment::of(entry.id)),
            (Some(entry), bytes)
        );
    });
}

#[test]
fn an_ntpd_without_our_clock_is_told_the_line_that_it_lacks() {
    sandbox::run(|| {
        let fake = fake(0);
        let clock = "refclock shm unit 9 refid WEB minpoll 0 maxpoll 0 flag4 1\n";
        let _ntpsec = Ntpsec::with_clock(clock, Path::new("/run/ntpsec"));
        deadline::poll(LIMIT, || Entry::of(9)).expect("ntpsec makes its segment");
        let mut webntpd = start(&of(&[&fake]));
        webntpd.wait_line("no daemon has the segment", LIMIT);
        let found = doctor(&[]);
        found.assert_fault(
            "configuration of ntpd",
            "only SHM(9)",
            "refclock shm unit 2 refid WEB",
        );
        found.assert_fault("view of ntpd", "does not have our clock", "restart it");
        assert!(
            found.verdict.ends_with("begin with: segment of unit 2"),
            "{found:#?}"
        );
    });
}

#[test]
fn a_reader_in_another_ipc_namespace_than_webntpd_is_told() {
    sandbox::run(|| {
        let fake = fake(0);
        let clock = format!("refclock SHM {UNIT}:perm=0666 refid WEB poll 0\n");
        let _chronyd = Chronyd::with_clock(&clock, Path::new("/run/chrony"));
        deadline::poll(LIMIT, || Entry::of(UNIT)).expect("chronyd makes the segment");
        let path = webntpd::write_configuration(Path::new(DIR), &of(&[&fake]));
        let mut apart = Command::new("unshare");
        apart.args(["--ipc", env!("CARGO_BIN_EXE_webntpd"), "--config"]);
        let mut webntpd = Process::start(apart.arg(path));
        webntpd.wait_line("no daemon has the segment", LIMIT);
        let found = doctor(&[]);
        found.assert_fault(
            "IPC namespace of chronyd",
            "in another IPC namespace than webntpd (process ",
            "[[sock]]",
        );
        assert!(found.names("note").contains(&"segment"), "{found:#?}");
    });
}

#[test]
fn two_webntpd_on_one_unit_are_told_with_their_processes() {
    sandbox::run(|| {
        let fake = fake(0);
        let text = of(&[&fake]);
        let _first = start(&text);
        let other = text + "\n[control]\npath = \"/run/other/control.sock\"\n";
        let _second = webntpd::start(Path::new("/run/other"), &other);
        let found = deadline::poll(LIMIT, || {
            let found = doctor(&["--no-network"]);
            let name = format!("daemon to SHM({UNIT})");
            let remedy = "a unit of its own";
            found
                .has_fault(&name, "webntpd runs 2 times, processes ", remedy)
                .then_some(found)
        });
        let found = found.unwrap_or_else(|| panic!("{:#?}", doctor(&[])));
        found.assert_fault("time daemon", "nobody sets the clock", "apt install chrony");
    });
}

#[test]
fn a_command_line_without_sense_is_2() {
    let said = Command::new(env!("CARGO_BIN_EXE_webntp"))
        .args(["doctor", "--cure"])
        .output();
    assert_eq!(said.expect("it starts").status.code(), Some(2));
}
