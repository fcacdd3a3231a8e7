//! Every fault that a reply can have, in every kind of source: nothing wrong is written, memory stays bounded, the daemon
//! lives and says why.
//!
//! In: the table of what becomes of which fault. Out: real daemons beside a fake for each row of it. Not: how each fault is
//! found, which the program's own tests have.
//!
//! The fakes whose replies must be refused are an hour ahead, all of them alike, and one voice is enough to publish: a
//! single reply that gets through is in the segment, and the last step of each test shows that it would be.

mod table;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::fake::{FakeUpstream, Fault, OsClock, SECOND_NS, Setup};
use crate::host::process::Process;
use crate::host::segment::Segment;
use crate::host::{deadline, sandbox, webntpd};
use table::{Door, Verdict};

const LIMIT: Duration = Duration::from_secs(60);
const UNIT: u8 = 2;
const HOUR_NS: i64 = 3600 * SECOND_NS;

/// What the daemon may have needed at the most, a debug build with some thirty sources; more than twice what it does
/// need. A single body that it is offered is eight times as long, and the endless head is endless.
const MEMORY_KIB: u64 = 32 * 1024;

/// A source of the daemon under test.
struct Case {
    door: Door,
    fault: Fault,
    verdict: Verdict,
    fake: FakeUpstream<OsClock>,
}

impl Case {
    fn start(door: Door, fault: Fault, verdict: Verdict, offset_ns: i64) -> Self {
        let fake = FakeUpstream::start(Setup {
            dialect: door.dialect,
            fault: Some(fault.clone()),
            ..Setup::with_clock(OsClock { offset_ns })
        });
        Self {
            door,
            fault,
            verdict,
            fake,
        }
    }
}

/// A configuration that asks each fake every second, and counts each as an operator of its own.
fn configuration(cases: &[Case]) -> String {
    let mut text =
        format!("cycle = \"1s\"\n\n[shm]\nunit = {UNIT}\n\n[select]\nmin-agreeing = 1\n");
    for (k, case) in cases.iter().enumerate() {
        let (kind, url) = (case.door.kind, case.fake.url(case.door.scheme, "/json"));
        write!(
            text,
            "\n[[source]]\nname = \"fake-{k}\"\noperator = \"fake-{k}\"\nurl = \"{url}\"\n\
             protocol = \"{kind}\"\npoll = \"1s\"\ntimeout = \"1s\"\n"
        )
        .expect("a string takes all");
    }
    text
}

fn lines_of(log: &str, source: usize) -> Vec<&str> {
    let mark = format!("source fake-{source}: ");
    let told = |line: &'_ &str| line.contains(&mark);
    log.lines().filter(told).collect()
}

/// Waits until every source has a line that `wanted` likes.
fn wait_lines(daemon: &Process, cases: &[Case], wanted: impl Fn(&Case, &str) -> bool) {
    let silent = |case: &Case, lines: &[&str]| !lines.iter().any(|line| wanted(case, line));
    let all = deadline::poll(LIMIT, || {
        let log = daemon.log();
        let mut cases = cases.iter().enumerate();
        cases
            .all(|(k, case)| !silent(case, &lines_of(&log, k)))
            .then_some(())
    });
    if all.is_none() {
        let log = daemon.log();
        for (k, case) in cases.iter().enumerate() {
            let lines = lines_of(&log, k);
            if silent(case, &lines) {
                let Case { door, fault, .. } = case;
                println!("fake-{k}, {door:?} {fault:?}: {lines:#?}");
            }
        }
        panic!("some sources never said what they should");
    }
}

/// The most memory that the process ever had, KiB.
fn peak_kib(daemon: &Process) -> u64 {
    let path = format!("/proc/{}/status", daemon.pid());
    let status = fs::read_to_string(path).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let words = line.and_then(|line| line.split_whitespace().next());
    words
        .and_then(|kib| kib.parse().ok())
        .expect("the kernel counts")
}

fn all_is_refused(door: Door) {
    let cases: Vec<Case> = table::faults()
        .into_iter()
        .filter_map(|fault| {
            let verdict = table::verdict(door, &fault);
            matches!(verdict, Verdict::Refused(_))
                .then(|| Case::start(door, fault, verdict, HOUR_NS))
        })
        .collect();
    assert!(cases.len() > 20, "only {} faults", cases.len());
    let mut daemon = webntpd::start(Path::new("/run/webntpd"), &configuration(&cases));
    wait_lines(&daemon, &cases, |case, line| {
        let Verdict::Refused(why) = case.verdict else {
            return false;
        };
        line.contains("WARN") && line.contains(why)
    });
    for case in &cases {
        // Who says that he is unwilling is left alone for an hour.
        let asked = if case.verdict == table::UNWILLING {
            1
        } else {
            2
        };
        let Case { fault, fake, .. } = case;
        assert!(fake.wait_served(asked, LIMIT), "{fault:?}");
    }
    daemon.assert_running();

    let written = Segment::read(UNIT).filter(|segment| segment.count != 0 || segment.valid != 0);
    assert_eq!(written, None, "{}", daemon.log());
    let peak = peak_kib(&daemon);
    assert!(peak < MEMORY_KIB, "{peak} KiB");
    let log = daemon.log();
    assert!(!log.contains("publishing"), "{log}");
    for (k, case) in cases.iter().enumerate() {
        let lines = lines_of(&log, k);
        let mut texts: Vec<_> = lines.iter().map(|line| line.split_once(" WARN ")).collect();
        // On a machine that is busy a source may have said first that it was late.
        assert!(texts.len() <= 2, "{:?}: {lines:#?}", case.fault);
        texts.dedup_by_key(|line| line.map(|(_, text)| text));
        assert_eq!(texts.len(), lines.len(), "{:?}: {lines:#?}", case.fault);
    }

    // Had a single one got through, it would show.
    let healed = cases.iter().find(|case| case.fault == Fault::StampMissing);
    let healed = healed.expect("every kind can be without a stamp");
    healed.fake.set_fault(None);
    daemon.wait_line("publishing: 1 of ", LIMIT);
    let written = deadline::poll(LIMIT, || {
        Segment::read(UNIT).filter(|segment| segment.count != 0)
    });
    assert!(written.is_some(), "nothing is written");
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait_exit(LIMIT).success());
}

#[test]
fn every_fault_of_webntp_over_http_is_refused() {
    sandbox::run(|| all_is_refused(table::WEBNTP));
}

#[test]
fn every_fault_of_webntp_over_websocket_is_refused() {
    sandbox::run(|| all_is_refused(table::WEBSOCKET));
}

#[test]
fn every_fault_of_nict_is_refused() {
    sandbox::run(|| all_is_refused(table::NICT));
}

#[test]
fn every_fault_of_htptime_is_refused() {
    sandbox::run(|| all_is_refused(table::HTPTIME));
}

#[test]
fn every_fault_of_https_time_is_refused() {
    sandbox::run(|| all_is_refused(table::HTTPS_TIME));
}

#[test]
fn every_fault_of_x_time_is_refused() {
    sandbox::run(|| all_is_refused(table::X_TIME));
}

#[test]
fn every_fault_of_text_in_decimal_seconds_is_refused() {
    sandbox::run(|| all_is_refused(table::TEXT));
}

#[test]
fn every_fault_of_text_with_a_date_is_refused() {
    sandbox::run(|| all_is_refused(table::ISO));
}

#[test]
fn every_fault_of_text_in_lines_is_refused() {
    sandbox::run(|| all_is_refused(table::TRACE));
}

#[test]
fn every_fault_of_http_date_is_refused() {
    sandbox::run(|| all_is_refused(table::HTTP_DATE));
}

#[test]
fn what_leaves_the_time_as_it_is_does_no_harm() {
    sandbox::run(|| {
        let mut cases = Vec::new();
        for door in table::DOORS {
            for fault in table::faults() {
                let verdict = table::verdict(door, &fault);
                if matches!(verdict, Verdict::Used(_) | Verdict::Either(_)) {
                    // A quarter of an hour is what no stamp has by chance.
                    cases.push(Case::start(door, fault, verdict, HOUR_NS / 4));
                }
            }
        }
        let mut daemon = webntpd::start(Path::new("/run/webntpd"), &configuration(&cases));
        wait_lines(&daemon, &cases, |case, line| match case.verdict {
            // Over a WebSocket the first reply without an echo is not used: it may be a greeting.
            Verdict::Used(_) => line.ends_with(": answers") || line.ends_with(": answers again"),
            _ => true,
        });
        for Case { fault, fake, .. } in &cases {
            assert!(fake.wait_served(3, LIMIT), "{fault:?}");
        }
        let written = deadline::poll(LIMIT, || {
            Segment::read(UNIT).filter(|segment| segment.valid == 1)
        });
        let offset_ns = written.expect("it is published").offset_ns();
        let error_ns = offset_ns - i128::from(HOUR_NS / 4);
        assert!(error_ns.abs() < i128::from(SECOND_NS), "{error_ns} ns");
        let peak = peak_kib(&daemon);
        assert!(peak < MEMORY_KIB, "{peak} KiB");
        assert!(
            !daemon.log().contains("falseticker"),
            "all of them are right"
        );
        daemon.signal(Signal::SIGTERM);
        assert!(daemon.wait_exit(LIMIT).success());
    });
}
