//! `webntp shm` on segments that real daemons and strangers made: what it says, and that it disturbs nobody.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::fake::{FakeUpstream, OsClock, Setup};
use crate::host::ntpsec::Ntpsec;
use crate::host::process::{Process, output};
use crate::host::segment::{self, Entry, SIZE, Segment};
use crate::host::{as_user, deadline, python, sandbox, webntpd};

const UNIT: u8 = 2;
const LIMIT: Duration = Duration::from_secs(60);
const STRANGER: u32 = 1001;

fn shm(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webntp"));
    command.arg("shm").args(arguments).env("TZ", "UTC");
    command
}

/// Its exit code, and what it said on standard output.
fn look(arguments: &[&str]) -> (Option<i32>, String) {
    finish(&mut shm(arguments))
}

fn finish(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().expect("the program starts");
    assert!(output.stderr.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("text");
    (output.status.code(), said)
}

fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} not in:\n{said}");
    }
}

/// webntpd and ntpsec on one segment, until the samples are taken.
struct Chain {
    _fake: FakeUpstream<OsClock>,
    webntpd: Process,
    ntpsec: Ntpsec,
}

impl Chain {
    fn start() -> Self {
        let fake = FakeUpstream::start(Setup::with_clock(OsClock {
            offset_ns: 25_000_000,
        }));
        let ntpsec = Ntpsec::start(UNIT, 0, Path::new("/run/ntpsec"));
        let made = deadline::poll(LIMIT, || Entry::of(UNIT));
        made.expect("ntpsec makes the segment");
        let text = webntpd::configuration(UNIT, &[fake.url("http", "/json")]);
        let mut webntpd = webntpd::start(Path::new("/run/webntpd"), &text);
        webntpd.wait_line("a daemon takes the samples", LIMIT);
        Self {
            _fake: fake,
            webntpd,
            ntpsec,
        }
    }
}

#[test]
fn of_a_chain_that_works_nothing_is_wrong() {
    sandbox::run(|| {
        let _chain = Chain::start();
        // webntpd may be between two samples.
        let (code, said) = look(&["2"]);
        assert_eq!(code, Some(0), "{said}");
        assert_says(
            &said,
            &[
                "shm unit 2, key 0x4e545032, segment ",
                "(uid 0), permissions 0666, 96 bytes",
                "attached  by 2 processes",
                "sample    offset +",
                "the system clock is behind",
                "leap 0 (none), precision -",
                "nothing is wrong",
            ],
        );
        let (code, json) = look(&["2", "--json"]);
        assert_eq!(code, Some(0), "{json}");
        assert_eq!(json.lines().count(), 1, "{json}");
        assert_says(&json, &["\"unit\":2,", "\"attached\":2,", "\"well\":true,"]);
        let parsed = output(
            python("import json, sys; print(json.loads(sys.argv[1])['segment']['sample']['offset_ns'])").arg(&json),
            LIMIT,
        );
        let offset_ns: i64 = parsed.expect("JSON").trim().parse().expect("whole");
        assert!((5_000_000..45_000_000).contains(&offset_ns), "{offset_ns}");
        let (code, table) = look(&["--all"]);
        assert_eq!((code, table.lines().count()), (Some(0), 2), "{table}");
    });
}

#[test]
fn a_watch_tells_each_sample_and_the_reader_goes_on_taking_them() {
    sandbox::run(|| {
        let mut chain = Chain::start();
        let entry = Entry::of(UNIT).expect("there is one");
        let mut watch = Process::start(&mut shm(&["2", "--watch"]));
        watch.wait_line("shm unit 2: segment ", LIMIT);
        let reach = chain
            .ntpsec
            .wait_peer(LIMIT, |peer| peer.reach & 1 == 1)
            .reach;
        for _ in 0..3 {
            let line = watch.wait_line("offset +", LIMIT);
            assert!(
                line.ends_with(", taken") || line.contains("not taken"),
                "{line}"
            );
        }
        chain.ntpsec.wait_peer(LIMIT, |peer| {
            peer.reach > reach && peer.reach & 0b111 == 0b111
        });
        watch.wait_line(", taken", LIMIT);
        chain.webntpd.assert_running();
        let log = chain.webntpd.log();
        assert!(!log.contains("another program"), "{log}");
        watch.signal(Signal::SIGINT);
        assert_eq!(watch.wait_exit(LIMIT).code(), Some(0));
        assert_eq!(Entry::of(UNIT), Some(entry), "as it was, attached by two");
    });
}

#[test]
fn whoever_watches_is_not_taken_for_a_reader() {
    sandbox::run(|| {
        let mut watch = Process::start(&mut shm(&["2", "--watch"]));
        watch.wait_line("no segment; waiting for one", LIMIT);
        let fake = FakeUpstream::start(Setup::with_clock(OsClock { offset_ns: 0 }));
        let text = webntpd::configuration(UNIT, &[fake.url("http", "/json")]);
        let mut webntpd = webntpd::start(Path::new("/run/webntpd"), &text);
        webntpd.wait_line("no daemon has the segment", LIMIT);
        // More than it takes webntpd to call a reader idle.
        for _ in 0..6 {
            watch.wait_line("not taken", LIMIT);
        }
        let log = webntpd.log();
        assert!(!log.contains("a daemon has the segment, but"), "{log}");
        let (code, said) = look(&["2"]);
        assert_eq!(code, Some(1), "{said}");
        assert_says(&said, &["wrong: only one process has it"]);
    });
}

/// Fills a segment with bytes of anybody's choice, by id.
const FILL: &str = r#"
import ctypes, sys
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
data = bytes.fromhex(sys.argv[2])
ctypes.memmove(libc.shmat(int(sys.argv[1]), None, 0), data, len(data))
"#;

/// A sample of these words at these offsets, of an instant long ago.
fn fill(id: i32, words: &[(usize, i32)]) -> Segment {
    let mut bytes = [0; SIZE];
    for &(at, value) in [(0, 1), (8, 1_700_000_000), (24, 1_700_000_000)]
        .iter()
        .chain(words)
    {
        bytes[at..at + 4].copy_from_slice(&i32::to_ne_bytes(value));
    }
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    output(python(FILL).args([id.to_string(), hex]), LIMIT).expect("root may");
    Segment::decode(&bytes)
}

#[test]
fn what_a_watch_looks_at_keeps_every_byte_and_who_has_it() {
    sandbox::run_with_users(|| {
        let entry = segment::make(UNIT, SIZE, 0o666, 0, 0);
        let filled = fill(entry.id, &[(4, 8), (40, -7), (48, 1)]);
        let mut watch = Process::start(&mut shm(&["2", "--watch", "--json"]));
        watch.wait_line("\"event\":\"segment\"", LIMIT);
        // Two seconds of looks.
        watch.wait_line("\"fate\":\"waiting\"", LIMIT);
        assert_eq!(Segment::of(entry.id), filled);
        let (code, said) = look(&["2"]);
        assert_eq!(code, Some(1), "{said}");
        assert_says(&said, &["no reader takes it", "waiting for a reader"]);
        watch.signal(Signal::SIGTERM);
        assert_eq!(watch.wait_exit(LIMIT).code(), Some(0));
        assert_eq!(Segment::of(entry.id), filled);
        assert_eq!(Entry::of(UNIT), Some(entry), "attached by nobody");
    });
}

#[test]
fn a_strangers_private_segment_is_named_and_a_user_is_told_what_the_kernel_tells() {
    sandbox::run_with_users(|| {
        segment::make(UNIT, SIZE, 0o600, STRANGER, STRANGER);
        let (code, said) = look(&["2"]);
        assert_eq!(code, Some(1), "{said}");
        let private =
            "wrong: owned by uid 1001, mode 0600: ntpd or chronyd under AppArmor cannot attach";
        assert_says(
            &said,
            &[
                private,
                "wrong: nobody has it",
                "nobody has written a sample yet",
            ],
        );

        std::fs::write("/run/webntp", []).expect("the sandbox has a /run of its own");
        let mut mount = Command::new("mount");
        mount.args(["--bind", env!("CARGO_BIN_EXE_webntp"), "/run/webntp"]);
        output(&mut mount, LIMIT).expect("the sandbox is root");
        let mut command = Command::new("/run/webntp");
        command.args(["shm", "2"]);
        let (code, said) = finish(&mut as_user(990, &command));
        assert_eq!(code, Some(1), "{said}");
        let denied = "wrong: uid 990 may not read it, so nothing is known of its sample";
        assert_says(
            &said,
            &[
                private,
                denied,
                "(uid 1001), permissions 0600, 96 bytes",
                "attached  by 0 processes",
            ],
        );
    });
}

#[test]
fn what_a_hostile_maker_left_is_told_in_words() {
    sandbox::run_with_users(|| {
        let small = segment::make(3, 80, 0o666, 0, 0);
        let odd = segment::make(4, SIZE, 0o666, 0, 0);
        let half = fill(odd.id, &[(4, 7), (40, -7)]);
        let wild = segment::make(5, SIZE, 0o666, 0, 0);
        let words = [
            (0, 2),
            (8, 0),
            (32, -1),
            (36, 9),
            (40, 127),
            (48, 1),
            (52, -1),
        ];
        fill(wild.id, &words);

        let (code, said) = look(&["3"]);
        assert_eq!(code, Some(1), "{said}");
        assert_says(
            &said,
            &["wrong: it has 80 bytes, and a sample needs 96: chronyd ends at its start"],
        );
        assert_eq!(Entry::of(3), Some(small));
        let (code, said) = look(&["4"]);
        assert_eq!(code, Some(1), "{said}");
        assert_says(
            &said,
            &[
                "wrong: count is odd: a writer ended in the middle",
                "nobody writes",
            ],
        );
        assert_eq!(Segment::of(odd.id), half);
        let (code, said) = look(&["5"]);
        assert_eq!(code, Some(1), "{said}");
        assert_says(
            &said,
            &[
                "wrong: the mode field is 2",
                "wrong: microseconds or nanoseconds are more than a second",
                "wrong: leap 9 is none of",
                "wrong: precision 127 is not",
                "wrong: the offset of -",
            ],
        );

        let (code, said) = look(&["--all"]);
        assert_eq!(code, Some(1), "{said}");
        assert_says(
            &said,
            &[
                "\n   3  ",
                "\n   4  ",
                "\n   5  ",
                "\nwrong: unit 3: it has 80",
            ],
        );
        let (code, json) = look(&["--all", "--json"]);
        assert_eq!((code, json.lines().count()), (Some(1), 3), "{json}");
    });
}

#[test]
fn a_segment_that_is_not_there_is_not_made_and_one_that_is_removed_in_use_is_told() {
    sandbox::run(|| {
        let (code, said) = look(&["2"]);
        assert_eq!(code, Some(1), "{said}");
        assert_says(
            &said,
            &[
                "no segment\n",
                "wrong: no daemon has made a segment for unit 2",
            ],
        );
        assert_eq!(look(&["--all"]).0, Some(1));
        assert_eq!(Entry::all(), []);

        let mut watch = Process::start(&mut shm(&["2", "--watch"]));
        watch.wait_line("no segment; waiting for one", LIMIT);
        let writer = segment::writer(UNIT, 25_000_000);
        watch.wait_line("shm unit 2: segment ", LIMIT);
        watch.wait_line("offset +25.000 ms", LIMIT);
        let mut ipcrm = Command::new("ipcrm");
        output(ipcrm.args(["-M", "0x4e545032"]), LIMIT).expect("it is there");
        watch.wait_line(
            "somebody removed the segment while it was in use; restart the daemon",
            LIMIT,
        );
        let (code, said) = look(&["2"]);
        assert_eq!(code, Some(1), "{said}");
        assert_says(&said, &["of 96 bytes, was removed and is still in use"]);

        let _next = segment::writer(UNIT, 25_000_000);
        let id = Entry::of(UNIT).expect("another one").id;
        watch.wait_line(&format!("shm unit 2: segment {id}, "), LIMIT);
        watch.wait_line("offset +25.000 ms", LIMIT);
        drop(writer);
        let gone = deadline::poll(LIMIT, || (Entry::all().len() == 1).then_some(()));
        assert!(
            gone.is_some(),
            "nobody keeps the removed one: {:?}",
            Entry::all()
        );
    });
}

#[test]
fn a_watch_ends_well_when_nobody_reads_it_any_more() {
    sandbox::run(|| {
        let _writer = segment::writer(UNIT, 0);
        let script = "set -o pipefail; \"$0\" shm 2 --watch | head -n 2";
        let mut bash = Command::new("bash");
        bash.args(["-c", script, env!("CARGO_BIN_EXE_webntp")]);
        let said = output(&mut bash, LIMIT).expect("both end with 0");
        assert_eq!(said.lines().count(), 2, "{said}");
    });
}

#[test]
fn without_a_unit_it_is_that_of_the_configuration_or_2() {
    sandbox::run(|| {
        let text = webntpd::configuration(9, &["http://127.0.0.1:9/".to_owned()]);
        let path = webntpd::write_configuration(Path::new("/run/webntpd"), &text);
        let path = path.to_str().expect("text");
        assert_says(&look(&["--config", path]).1, &["shm unit 9,"]);
        assert_says(&look(&["--config", path, "7"]).1, &["shm unit 7,"]);
        assert_says(&look(&["--config", "/run/none"]).1, &["shm unit 2,"]);
        let wrong = shm(&["256"]).output().expect("it starts");
        assert_eq!(wrong.status.code(), Some(2));
        let both = shm(&["--all", "2"]).output().expect("it starts");
        assert_eq!(both.status.code(), Some(2));
    });
}
