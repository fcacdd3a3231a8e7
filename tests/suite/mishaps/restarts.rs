//! Either side goes and comes back, and the segment stays where it is.

use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP, SIGTERM};

use super::pair::{Pair, segment_now};
use super::reader::Reader;
use super::{ALONE, IDLE, TAKEN};
use crate::host::chronyd::Chronyd;
use crate::host::ntpsec::Ntpsec;
use crate::host::sandbox;
use crate::host::segment::Segment;

/// webntpd goes and comes back.
fn webntpd_returns<R: Reader>(mut pair: Pair<R>) {
    pair.start_reader();
    pair.start_webntpd();
    pair.webntpd_says(TAKEN);
    pair.reader().wait_reach(|reach| reach & 1 == 1);
    let id = segment_now().id;

    pair.end_webntpd(SIGKILL);
    pair.start_webntpd();
    pair.webntpd_says(TAKEN);
    pair.reader().wait_more(1);

    // Frozen, it takes nothing: what waits is for webntpd to take back.
    pair.reader().process().signal(SIGSTOP);
    pair.wait_written(id);
    pair.end_webntpd(SIGTERM);
    let left = Segment::of(id);
    assert_eq!(
        (left.valid, segment_now().id, segment_now().attached),
        (0, id, 1)
    );
    pair.reader().process().signal(SIGCONT);
    pair.reader().wait_reach(|reach| reach & 1 == 0);
    pair.start_webntpd();
    pair.webntpd_says(TAKEN);
    pair.reader().wait_more(1);
    assert_eq!((segment_now().id, segment_now().attached), (id, 2));
}

/// The reader goes and comes back, and webntpd notices.
fn the_reader_returns<R: Reader>(mut pair: Pair<R>) {
    pair.start_webntpd();
    pair.webntpd_says(ALONE);
    let id = segment_now().id;
    pair.start_reader();
    pair.webntpd_says(TAKEN);

    pair.reader().process().signal(SIGSTOP);
    pair.webntpd_says(IDLE);
    pair.reader().process().signal(SIGCONT);
    pair.webntpd_says(TAKEN);
    pair.reader().wait_reach(|reach| reach & 1 == 1);

    for signal in [SIGKILL, SIGTERM] {
        pair.end_reader(signal);
        pair.webntpd_says(ALONE);
        pair.start_reader();
        pair.webntpd_says(TAKEN);
        pair.reader().wait_reach(|reach| reach & 1 == 1);
    }

    let said = pair.webntpd_log();
    assert!(!said.contains("removed"), "{said}");
    pair.end_reader(SIGKILL);
    pair.end_webntpd(SIGKILL);
    pair.start_webntpd();
    pair.webntpd_says(ALONE);
    pair.start_reader();
    pair.webntpd_says(TAKEN);
    pair.reader().wait_reach(|reach| reach & 1 == 1);
    assert_eq!((segment_now().id, segment_now().attached), (id, 2));
}

#[test]
fn ntpsec_takes_samples_again_when_webntpd_was_killed_or_stopped() {
    sandbox::run(|| webntpd_returns(Pair::<Ntpsec>::new()));
}

#[test]
fn chronyd_takes_samples_again_when_webntpd_was_killed_or_stopped() {
    sandbox::run(|| webntpd_returns(Pair::<Chronyd>::new()));
}

#[test]
fn webntpd_notices_ntpsec_come_freeze_and_go() {
    sandbox::run(|| the_reader_returns(Pair::<Ntpsec>::new()));
}

#[test]
fn webntpd_notices_chronyd_come_freeze_and_go() {
    sandbox::run(|| the_reader_returns(Pair::<Chronyd>::new()));
}
