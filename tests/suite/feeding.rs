//! From a fake upstream through the daemon into shared memory, as the real ntpsec and the real chronyd take it up.

use std::path::Path;
use std::time::Duration;

use crate::fake::{Authority, FakeUpstream, Fault, OsClock, Setup, Tls};
use crate::host::chronyd::Chronyd;
use crate::host::ntpsec::Ntpsec;
use crate::host::process::Process;
use crate::host::segment::{Entry, Segment};
use crate::host::{deadline, sandbox, webntpd};

const UNIT: u8 = 2;
const LIMIT: Duration = Duration::from_secs(60);

/// How far the fake's clock is ahead of the machine's.
const AHEAD_MS: f64 = 25.0;
const AHEAD_NS: i64 = 25_000_000;

/// Tells the offset from nothing and from its opposite on the busiest machine.
const TOLERANCE_MS: f64 = 20.0;

fn fake() -> FakeUpstream<OsClock> {
    FakeUpstream::start(Setup::with_clock(OsClock {
        offset_ns: AHEAD_NS,
    }))
}

fn daemon(fake: &FakeUpstream<OsClock>) -> Process {
    let urls = [fake.url("http", "/json")];
    webntpd::start(
        Path::new("/run/webntpd"),
        &webntpd::configuration(UNIT, &urls),
    )
}

/// The segment once the daemon has written a sample that nobody has taken yet.
fn written_segment() -> Segment {
    let segment = deadline::poll(LIMIT, || {
        Segment::read(UNIT).filter(|segment| segment.valid == 1)
    });
    segment.expect("the daemon writes a sample")
}

fn count() -> i32 {
    Segment::read(UNIT).expect("the segment is there").count
}

/// Waits until the daemon has written `more` samples.
fn wait_written(more: i32) {
    let before = count();
    let seen = deadline::poll(LIMIT, || {
        (count().wrapping_sub(before) >= 2 * more).then_some(())
    });
    seen.expect("the daemon goes on writing");
}

fn is_near(offset_ms: f64) -> bool {
    (offset_ms - AHEAD_MS).abs() < TOLERANCE_MS
}

#[test]
fn ntpsec_takes_the_offset_up_and_sees_the_end_of_it() {
    sandbox::run(|| {
        let fake = fake();
        let mut daemon = daemon(&fake);
        let mut ntpsec = Ntpsec::start(UNIT, 0, Path::new("/run/ntpsec"));
        let first = ntpsec.wait_peer(LIMIT, |peer| peer.reach & 1 == 1);
        let later = ntpsec.wait_peer(LIMIT, |peer| peer.reach & 0b111 == 0b111);
        assert_eq!(later.remote, "SHM(2)");
        assert!(later.reach > first.reach, "{first:?} {later:?}");
        assert!(is_near(later.offset_ms), "{later:?}");

        fake.stop();
        daemon.wait_line("WARN source fake-0: ", LIMIT);
        ntpsec.wait_peer(LIMIT, |peer| peer.reach > 1 && peer.reach & 1 == 0);
        daemon.assert_running();

        fake.restart_at_same_port();
        ntpsec.wait_peer(LIMIT, |peer| peer.reach & 1 == 1);
    });
}

#[test]
fn chronyd_takes_the_offset_up_and_sees_the_end_of_it() {
    sandbox::run(|| {
        let fake = fake();
        let mut daemon = daemon(&fake);
        let mut chronyd = Chronyd::start("SHM 2:perm=0666", Path::new("/run/chrony"));
        let source = chronyd.wait_source(LIMIT, |source| source.reach & 0b111 == 0b111);
        assert!(is_near(source.offset_ms()), "{source:?}");

        fake.stop();
        chronyd.wait_source(LIMIT, |source| source.reach > 1 && source.reach & 1 == 0);
        daemon.assert_running();
    });
}

#[test]
fn every_field_of_the_segment_is_right_at_its_offset() {
    sandbox::run(|| {
        let fake = fake();
        let _daemon = daemon(&fake);
        let segment = written_segment();
        assert_eq!((segment.mode, segment.count % 2, segment.leap), (1, 0, 0));
        let offset_ms = segment.offset_ns() as f64 / 1e6;
        assert!(is_near(offset_ms), "{segment:?}");
        for stamp in [segment.clock, segment.receive] {
            assert_eq!(
                i64::from(stamp.usec),
                i64::from(stamp.nsec) / 1_000,
                "{segment:?}"
            );
            assert!(stamp.nsec < 1_000_000_000);
        }
        // On loopback the bound is a few milliseconds at the most, and never below a microsecond.
        assert!((-20..=-4).contains(&segment.precision), "{segment:?}");
        assert_eq!(segment.dummy, [0; 8]);
        let entry = Entry::of(UNIT).expect("the daemon made it");
        assert_eq!((entry.mode, entry.size), (0o666, 96));
    });
}

#[test]
fn nothing_is_written_while_the_upstream_is_gone() {
    sandbox::run(|| {
        let fake = fake();
        let mut daemon = daemon(&fake);
        written_segment();
        wait_written(2);
        fake.stop();
        daemon.wait_line("WARN source fake-0: ", LIMIT);
        let stands = count();
        // The next word is about four polls later, when the last sample has become too old.
        daemon.wait_line("nothing published: no usable source", LIMIT);
        assert_eq!(count(), stands);
        fake.restart_at_same_port();
        daemon.wait_line("source fake-0: answers again", LIMIT);
        wait_written(2);
    });
}

#[test]
fn a_reply_that_is_refused_is_not_published() {
    sandbox::run(|| {
        let fake = fake();
        fake.set_fault(Some(Fault::XCacheHit));
        let mut daemon = daemon(&fake);
        daemon.wait_line("WARN source fake-0: ", LIMIT);
        daemon.wait_line("nothing published: no usable source", LIMIT);
        assert_eq!(count(), 0);
        fake.set_fault(None);
        written_segment();
    });
}

#[test]
fn each_scheme_is_published_over_verified_tls_or_none() {
    sandbox::run(|| {
        let authority = Authority::new();
        let dir = Path::new("/run/webntpd");
        std::fs::create_dir_all(dir).expect("a directory");
        let roots = authority.write_ca(dir);
        let secret = Setup {
            tls: Some(Tls::of(&authority)),
            ..Setup::with_clock(OsClock {
                offset_ns: AHEAD_NS,
            })
        };
        let (clear, secret) = (fake(), FakeUpstream::start(secret));
        let urls = [
            clear.url("http", "/json"),
            clear.url("ws", "/websocket"),
            secret.url("https", "/json"),
            secret.url("wss", "/websocket"),
        ];
        for (unit, url) in (10..).zip(&urls) {
            let path = webntpd::write_configuration(
                &dir.join(unit.to_string()),
                &webntpd::configuration(unit, std::slice::from_ref(url)),
            );
            let mut command = webntpd::command();
            command
                .arg("--config")
                .arg(path)
                .env("SSL_CERT_FILE", &roots);
            let _daemon = Process::start(&mut command);
            let written = deadline::poll(LIMIT, || {
                Segment::read(unit).filter(|segment| segment.valid == 1)
            });
            let offset_ms = written.expect("the daemon writes a sample").offset_ns() as f64 / 1e6;
            assert!(is_near(offset_ms), "{url}: {offset_ms}");
        }
        // The same server without its authority among the roots.
        let path = webntpd::write_configuration(dir, &webntpd::configuration(UNIT, &urls[2..3]));
        let mut unverified = Process::start(webntpd::command().arg("--config").arg(path));
        unverified.wait_line("certificate", LIMIT);
        assert_eq!(count(), 0);
    });
}

#[test]
fn the_segment_stays_when_the_daemon_stops_and_holds_no_sample() {
    sandbox::run(|| {
        let fake = fake();
        let mut daemon = daemon(&fake);
        written_segment();
        daemon.signal(nix::sys::signal::Signal::SIGTERM);
        assert!(daemon.wait_exit(LIMIT).success());
        let entry = Entry::of(UNIT).expect("it is still there");
        assert_eq!(entry.attached, 0);
        assert_eq!(Segment::read(UNIT).expect("it can be read").valid, 0);
    });
}
