//! The daemon and lists of leap seconds: from a file, from the web, damaged, expired, and what it tells its readers.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use webntpd::sys::clock::system_now;

use crate::fake::{Authority, Dialect, FakeUpstream, OsClock, SECOND_NS, Setup};
use crate::host::process::Process;
use crate::host::segment::Segment;
use crate::host::{deadline, sandbox, webntpd as program};
use crate::serve::leap_seconds::{list, offer, response};

const LIMIT: Duration = Duration::from_secs(60);
const DIR: &str = "/run/webntpd";
const SOCKET: &str = "/run/webntpd/reader.sock";
const LIST: &str = "/run/webntpd/list";
const KEPT: &str = "/run/webntpd/leap-seconds.list";

/// 2035-07-01.
const MIDNIGHT_S: i64 = 2_066_860_800;

/// Lists of 2026-07-06 in NTP seconds that are good until 2035-12-28: with a second that is inserted on the last day of June 2035,
/// with one that is left out then, and with none.
const UPDATED: u64 = 3_992_284_800;
const EXPIRES: u64 = 4_291_401_600;
const ROWS: [(u64, u32); 2] = [(3_644_697_600, 36), (3_692_217_600, 37)];

fn coming(tai_utc: u32) -> String {
    list(
        UPDATED,
        EXPIRES,
        &[ROWS[0], ROWS[1], (4_275_849_600, tai_utc)],
    )
}

fn none_coming(updated: u64) -> String {
    list(updated, EXPIRES, &ROWS)
}

/// A server that cannot tell of leap seconds and whose clock shows the last hour of June 2035.
fn fake() -> FakeUpstream<OsClock> {
    let last_hour_ns = (MIDNIGHT_S - 3_000) * SECOND_NS;
    let clock = OsClock {
        offset_ns: last_hour_ns - system_now().as_nanos(),
    };
    FakeUpstream::start(Setup {
        dialect: Dialect::HttpsTime,
        ..Setup::with_clock(clock)
    })
}

fn configuration(fake: &FakeUpstream<OsClock>, leap: &str) -> String {
    let text = program::configuration(2, &[fake.url("http", "/")]);
    format!(
        "{text}protocol = \"https-time\"\n[[sock]]\npath = \"{SOCKET}\"\n[state]\ndirectory = \"{DIR}\"\n[leap]\n{leap}\n"
    )
}

fn write(text: &str) {
    fs::create_dir_all(DIR).expect("the sandbox has a /run of its own");
    fs::write(LIST, text).expect("writable");
}

/// Waits for a sample in shared memory with this leap second.
fn wait_segment(leap: i32) {
    let is_told = || {
        let segment = Segment::read(2)?;
        (segment.count > 0 && segment.leap == leap).then_some(())
    };
    deadline::poll(LIMIT, is_told).unwrap_or_else(|| panic!("leap {leap} is not told"));
}

/// Waits for a message in the socket with this leap second.
fn wait_message(reader: &UnixDatagram, leap: i32) {
    let mut message = [0; 64];
    loop {
        assert_eq!(reader.recv(&mut message).expect("one comes"), 40);
        let told: [u8; 4] = message[28..32].try_into().expect("four bytes");
        if i32::from_ne_bytes(told) == leap {
            return;
        }
    }
}

fn reader() -> UnixDatagram {
    fs::create_dir_all(DIR).expect("the sandbox has a /run of its own");
    let reader = UnixDatagram::bind(SOCKET).expect("a new socket");
    reader.set_read_timeout(Some(LIMIT)).expect("a socket");
    reader
}

fn reload(daemon: &mut Process, text: &str) {
    program::write_configuration(Path::new(DIR), text);
    daemon.signal(Signal::SIGHUP);
    daemon.wait_line("configuration read again", LIMIT);
}

#[test]
fn what_the_list_announces_goes_into_shared_memory_and_into_the_socket_until_another_one_does_not()
{
    sandbox::run(|| {
        let (fake, reader) = (fake(), reader());
        write(&coming(38));
        let named = format!("list = \"{LIST}\"");
        let mut daemon = program::start(Path::new(DIR), &configuration(&fake, &named));
        let tells = |daemon: &mut Process, in_use: &str, announced: &str, leap| {
            daemon.wait_line(in_use, LIMIT);
            daemon.wait_line(&format!("INFO {announced}"), LIMIT);
            wait_segment(leap);
            wait_message(&reader, leap);
        };
        let in_use = |path: &str, last: &str| {
            format!(
                "INFO {path}: in use, the last leap second in it is that before {last}, good until 2035-12-28"
            )
        };
        tells(
            &mut daemon,
            &in_use(LIST, "2035-07-01"),
            "a leap second is announced: 2035-06-30 23:59:60 UTC will be",
            1,
        );

        // The same file, another list.
        write(&coming(36));
        reload(&mut daemon, &configuration(&fake, &named));
        tells(
            &mut daemon,
            &in_use(LIST, "2035-07-01"),
            "a leap second is announced: 2035-06-30 23:59:59 UTC will not be",
            2,
        );

        // Another file.
        fs::write("/run/webntpd/other", none_coming(UPDATED)).expect("writable");
        reload(
            &mut daemon,
            &configuration(&fake, "list = \"/run/webntpd/other\""),
        );
        tells(
            &mut daemon,
            &in_use("/run/webntpd/other", "2017-01-01"),
            "the leap second is not announced any more",
            0,
        );
    });
}

#[test]
fn a_list_that_is_no_good_is_told_with_line_and_reason_and_costs_nothing_else() {
    sandbox::run(|| {
        let fake = fake();
        let damaged = coming(38).replace("3692217600\t37", "3692217600\t39");
        let ancient = list(3_645_216_000, EXPIRES, &[(3_550_089_600, 35), ROWS[0]]);
        let named = format!("list = \"{LIST}\"");
        write(&damaged);
        let mut daemon = program::start(Path::new(DIR), &configuration(&fake, &named));
        daemon.wait_line(
            &format!(
                "WARN {LIST}: line 5: TAI-UTC changes by 3 s, not by 1 or -1; this list of leap seconds is not used"
            ),
            LIMIT,
        );
        wait_segment(0);
        for (text, said) in [
            (Some(ancient), "older than this program; this list"),
            (Some("#\n".repeat(200_000)), "more than 256 KiB"),
            (None, "no such file; this list"),
        ] {
            match text {
                Some(text) => write(&text),
                None => fs::remove_file(LIST).expect("it is there"),
            }
            reload(&mut daemon, &configuration(&fake, &named));
            daemon.wait_line(&format!("WARN {LIST}: {said}"), LIMIT);
        }
        daemon.assert_running();
        wait_segment(0);
    });
}

#[test]
fn an_expired_list_is_a_note_and_not_repeated_when_all_is_read_again() {
    sandbox::run(|| {
        let fake = fake();
        write(&list(3_960_835_200, 3_991_593_600, &ROWS));
        let named = format!("list = \"{LIST}\"");
        let text = configuration(&fake, &named);
        let path = program::write_configuration(Path::new(DIR), &text);
        let mut command = program::command();
        command.args(["--log-level", "debug", "--config"]).arg(path);
        let mut daemon = Process::start(&mut command);
        daemon.wait_line(
            &format!("INFO {LIST}: expired on 2026-06-28; no leap second after that is known"),
            LIMIT,
        );
        wait_segment(0);
        reload(&mut daemon, &text);
        let read = |log: &str| log.matches("all lists of leap seconds were read").count();
        let twice = deadline::poll(LIMIT, || (read(&daemon.log()) == 2).then_some(()));
        assert!(twice.is_some(), "{}", daemon.log());
        let log = daemon.log();
        assert_eq!(log.matches("expired on").count(), 1, "{log}");
        assert!(!log.contains(&format!("{LIST}: in use")), "one line of it");
    });
}

#[test]
fn a_list_is_fetched_where_the_configuration_says_and_kept_in_the_state_directory() {
    sandbox::run(|| {
        let (fake, authority) = (fake(), Authority::new());
        write(&none_coming(UPDATED - 86_400));
        let url = offer(response("200 OK", "", &coming(38)), Some(&authority));
        let text = configuration(&fake, &format!("list = \"{LIST}\"\nurl = \"{url}\""));
        let path = program::write_configuration(Path::new(DIR), &text);
        let start = || {
            let roots = authority.write_ca(Path::new("/run"));
            let mut command = program::command();
            command
                .arg("--config")
                .arg(&path)
                .env("SSL_CERT_FILE", roots);
            Process::start(&mut command)
        };
        let mut daemon = start();
        daemon.wait_line(
            &format!(
                "INFO {url}: fetched, the last leap second in it is that before 2035-07-01, good until 2035-12-28"
            ),
            LIMIT,
        );
        wait_segment(1);
        assert_eq!(fs::read_to_string(KEPT).expect("kept"), coming(38));
        daemon.signal(Signal::SIGTERM);
        assert!(daemon.wait_exit(LIMIT).success());

        // The newer one of both is the kept one; nothing is due.
        let mut daemon = start();
        daemon.wait_line(&format!("INFO {KEPT}: in use,"), LIMIT);
        daemon.wait_line("INFO a leap second is announced", LIMIT);
        assert!(!daemon.log().contains("fetched"));
    });
}

#[test]
fn a_place_that_has_no_list_costs_nothing_but_a_line() {
    sandbox::run(|| {
        let (fake, authority) = (fake(), Authority::new());
        write(&coming(38));
        let url = offer(response("404 Not Found", "", ""), Some(&authority));
        let text = configuration(&fake, &format!("list = \"{LIST}\"\nurl = \"{url}\""));
        let path = program::write_configuration(Path::new(DIR), &text);
        let roots = authority.write_ca(Path::new("/run"));
        let mut command = program::command();
        command
            .arg("--config")
            .arg(&path)
            .env("SSL_CERT_FILE", roots);
        let mut daemon = Process::start(&mut command);
        daemon.wait_line(
            &format!("WARN {url}: cannot fetch leap-seconds.list: 404"),
            LIMIT,
        );
        daemon.wait_line("INFO a leap second is announced", LIMIT);
        wait_segment(1);
        assert!(!Path::new(KEPT).exists());
    });
}
