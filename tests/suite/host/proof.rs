//! The test host proves itself, with a writer of its own in place of the program under test.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use super::chronyd::{Chronyd, Source};
use super::ntpsec::{Ntpsec, Peer};
use super::segment::{self, Entry, SIZE, Segment};
use super::{deadline, sandbox};

const UNIT: u8 = 2;
const OFFSET_NS: i64 = 12_345_000;
const OFFSET_MS: f64 = 12.345;
/// What ntpq and chronyc print is rounded to a tenth of a microsecond.
const ROUNDING_MS: f64 = 0.0005;
const LIMIT: Duration = Duration::from_secs(30);

fn ntpsec_has_two_samples(peer: &Peer) -> bool {
    peer.reach & 0b11 == 0b11
}

fn chronyd_has_two_samples(source: &Source) -> bool {
    source.reach & 0b11 == 0b11
}

#[test]
fn another_process_reads_what_the_writer_wrote() {
    sandbox::run(|| {
        assert_eq!(Segment::read(UNIT), None);
        let _writer = segment::writer(UNIT, OFFSET_NS);
        let entry = Entry::of(UNIT).expect("the writer made it");
        assert_eq!(
            (entry.mode, entry.size, entry.attached, entry.owner),
            (0o666, SIZE, 1, 0)
        );
        // The writer may be in the middle of a sample.
        let segment = deadline::poll(LIMIT, || {
            Segment::read(UNIT).filter(|segment| segment.valid == 1)
        });
        let segment = segment.expect("no daemon clears the flag");
        assert_eq!(segment.offset_ns(), OFFSET_NS.into());
        assert_eq!(
            (
                segment.mode,
                segment.count % 2,
                segment.leap,
                segment.precision
            ),
            (1, 0, 0, -10)
        );
        for stamp in [segment.clock, segment.receive] {
            assert_eq!(i64::from(stamp.nsec / 1000), i64::from(stamp.usec));
        }
    });
}

#[test]
fn ntpsec_shows_the_offset_with_the_sign_of_the_segment() {
    sandbox::run(|| {
        let _writer = segment::writer(UNIT, OFFSET_NS);
        let mut ntpsec = Ntpsec::start(UNIT, 0, Path::new("/run/ntpsec"));
        let peer = ntpsec.wait_peer(LIMIT, ntpsec_has_two_samples);
        assert_eq!(
            (peer.remote.as_str(), peer.refid.as_str()),
            ("SHM(2)", ".WEB.")
        );
        assert!((peer.offset_ms - OFFSET_MS).abs() < ROUNDING_MS, "{peer:?}");
    });
}

#[test]
fn ntpsec_misses_a_writer_that_stops() {
    sandbox::run(|| {
        let writer = segment::writer(UNIT, OFFSET_NS);
        let mut ntpsec = Ntpsec::start(UNIT, 0, Path::new("/run/ntpsec"));
        ntpsec.wait_peer(LIMIT, |peer| peer.reach & 1 == 1);
        drop(writer);
        // The offset stays for a while; only reach tells at once.
        ntpsec.wait_peer(LIMIT, |peer| peer.reach > 1 && peer.reach & 1 == 0);
    });
}

#[test]
fn ntpsec_makes_the_segment_of_unit_2_for_all_and_that_of_unit_0_for_root() {
    sandbox::run(|| {
        for (unit, mode) in [(0, 0o600), (2, 0o666)] {
            let _ntpsec = Ntpsec::start(unit, 3, Path::new("/run/ntpsec"));
            let entry = deadline::poll(LIMIT, || Entry::of(unit)).expect("ntpd makes it");
            assert_eq!((entry.mode, entry.size), (mode, SIZE));
        }
    });
}

#[test]
fn chronyd_shows_the_offset_with_the_opposite_sign() {
    sandbox::run(|| {
        let _writer = segment::writer(UNIT, OFFSET_NS);
        let mut chronyd = Chronyd::start("SHM 2", Path::new("/run/chrony"));
        let source = chronyd.wait_source(LIMIT, chronyd_has_two_samples);
        assert_eq!(source.name, "WEB");
        assert!(
            (source.offset_ms() - OFFSET_MS).abs() < ROUNDING_MS,
            "{source:?}"
        );
        let shown = chronyd.query(&["sources"]);
        assert!(shown.contains(" -12ms["), "{shown}");
    });
}

#[test]
fn chronyd_misses_a_writer_that_stops() {
    sandbox::run(|| {
        let writer = segment::writer(UNIT, OFFSET_NS);
        let mut chronyd = Chronyd::start("SHM 2", Path::new("/run/chrony"));
        chronyd.wait_source(LIMIT, |source| source.reach & 1 == 1);
        drop(writer);
        chronyd.wait_source(LIMIT, |source| source.reach > 1 && source.reach & 1 == 0);
    });
}

#[test]
fn chronyd_takes_a_datagram_with_the_sign_of_the_segment() {
    sandbox::run(|| {
        let path = "/run/web.sock";
        let mut chronyd = Chronyd::start(&format!("SOCK {path}"), Path::new("/run/chrony"));
        let socket = UnixDatagram::unbound().expect("there is no limit near");
        let source = chronyd.wait_source(LIMIT, |source| {
            // Until chronyd has bound the socket nobody receives.
            let _ = socket.send_to(&sock_sample(OFFSET_MS / 1e3), path);
            chronyd_has_two_samples(source)
        });
        assert!(
            (source.offset_ms() - OFFSET_MS).abs() < ROUNDING_MS,
            "{source:?}"
        );
    });
}

/// One message of chrony's SOCK driver: `offset_s` true − system, now.
fn sock_sample(offset_s: f64) -> [u8; 40] {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME)
        .expect("Linux has CLOCK_REALTIME");
    let words = [
        now.tv_sec().to_ne_bytes(),
        (now.tv_nsec() / 1000).to_ne_bytes(),
        offset_s.to_ne_bytes(),
    ];
    let mut message = [0; 40];
    message[..24].copy_from_slice(words.as_flattened());
    message[36..].copy_from_slice(&0x534f_434b_i32.to_ne_bytes());
    message
}
