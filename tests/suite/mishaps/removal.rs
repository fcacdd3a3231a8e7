//! `ipcrm` while both sides have the segment. What has it goes on with it, but nothing leads to it any more.

use nix::sys::signal::Signal::{SIGKILL, SIGTERM};

use super::pair::{Pair, remove_segment, segment_now};
use super::reader::Reader;
use super::{ABANDONED, ALONE, REMOVED, TAKEN, UNIT};
use crate::host::chronyd::Chronyd;
use crate::host::ntpsec::Ntpsec;
use crate::host::sandbox;
use crate::host::segment::{self, Entry};

fn both_running<R: Reader>() -> Pair<R> {
    let mut pair = Pair::new();
    pair.start_webntpd();
    pair.start_reader();
    pair.webntpd_says(TAKEN);
    pair
}

/// Until the reader restarts, and after that, even if somebody else stays on the old one.
fn the_segment_is_removed_and_the_reader_restarts<R: Reader>(mut pair: Pair<R>) {
    let monitor = segment::monitor(UNIT);
    let old = remove_segment();
    pair.wait_written(old.id);
    pair.reader().wait_more(2);
    pair.webntpd_says(REMOVED);
    assert_eq!(Entry::of(UNIT), None, "the reader would not find a new one");

    pair.end_reader(SIGKILL);
    pair.start_reader();
    pair.reader().wait_reach(|reach| reach & 0b11 == 0b11);
    assert_eq!((Entry::all().len(), segment_now().attached), (2, 2));
    pair.wait_written(old.id);
    drop(monitor);

    // Now webntpd is left alone with it, and makes the next one.
    remove_segment();
    pair.end_reader(SIGTERM);
    pair.webntpd_says(ALONE);
    pair.start_reader();
    pair.webntpd_says(TAKEN);
    pair.reader().wait_reach(|reach| reach & 1 == 1);
    assert_eq!((Entry::all().len(), segment_now().attached), (1, 2));
}

/// Both restart, in either order of stops and starts; only a reader that runs on all the time is lost, and webntpd says
/// what to do.
fn the_segment_is_removed_and_webntpd_restarts<R: Reader>(mut pair: Pair<R>) {
    remove_segment();
    pair.end_reader(SIGTERM);
    pair.end_webntpd(SIGKILL);
    pair.start_reader();
    pair.start_webntpd();
    pair.webntpd_says(TAKEN);
    pair.reader().wait_reach(|reach| reach & 1 == 1);

    remove_segment();
    pair.end_webntpd(SIGTERM);
    pair.end_reader(SIGKILL);
    pair.start_webntpd();
    pair.webntpd_says(ALONE);
    pair.start_reader();
    pair.webntpd_says(TAKEN);
    pair.reader().wait_reach(|reach| reach & 1 == 1);

    let old = remove_segment();
    pair.end_webntpd(SIGKILL);
    pair.start_webntpd();
    pair.webntpd_says(ABANDONED);
    pair.reader().wait_reach(|reach| reach & 1 == 0);
    assert!(Entry::all().iter().any(|entry| entry.id == old.id));
    pair.end_reader(SIGKILL);
    pair.start_reader();
    pair.webntpd_says(TAKEN);
    pair.reader().wait_reach(|reach| reach & 1 == 1);
    assert_eq!((Entry::all().len(), segment_now().attached), (1, 2));
}

#[test]
fn ntpsec_is_fed_through_a_removed_segment_and_found_again_in_the_next() {
    sandbox::run(|| the_segment_is_removed_and_the_reader_restarts(both_running::<Ntpsec>()));
}

#[test]
fn chronyd_is_fed_through_a_removed_segment_and_found_again_in_the_next() {
    sandbox::run(|| the_segment_is_removed_and_the_reader_restarts(both_running::<Chronyd>()));
}

#[test]
fn after_ipcrm_webntpd_restarts_with_ntpsec_or_says_to_restart_it() {
    sandbox::run(|| the_segment_is_removed_and_webntpd_restarts(both_running::<Ntpsec>()));
}

#[test]
fn after_ipcrm_webntpd_restarts_with_chronyd_or_says_to_restart_it() {
    sandbox::run(|| the_segment_is_removed_and_webntpd_restarts(both_running::<Chronyd>()));
}
