//! webntpd and the daemon that it feeds, either of which may be down.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use super::reader::Reader;
use super::{LIMIT, UNIT, fake};
use crate::fake::{FakeUpstream, OsClock};
use crate::host::process::{Process, output};
use crate::host::segment::{Entry, Segment};
use crate::host::{deadline, webntpd};

pub(super) struct Pair<R> {
    fake: FakeUpstream<OsClock>,
    webntpd: Option<Process>,
    reader: Option<R>,
}

impl<R: Reader> Pair<R> {
    /// Both down.
    pub(super) fn new() -> Self {
        Self {
            fake: fake(),
            webntpd: None,
            reader: None,
        }
    }

    pub(super) fn start_webntpd(&mut self) {
        let urls = [self.fake.url("http", "/json")];
        let text = webntpd::configuration(UNIT, &urls);
        self.webntpd = Some(webntpd::start(Path::new("/run/webntpd"), &text));
    }

    pub(super) fn start_reader(&mut self) {
        self.reader = Some(R::start());
    }

    /// Ends webntpd with this signal.
    pub(super) fn end_webntpd(&mut self, signal: Signal) {
        let mut webntpd = self.webntpd.take().expect("it runs");
        webntpd.assert_running();
        webntpd.signal(signal);
        webntpd.wait_exit(LIMIT);
    }

    /// Ends the reader with this signal.
    pub(super) fn end_reader(&mut self, signal: Signal) {
        let mut reader = self.reader.take().expect("it runs");
        reader.process().assert_running();
        reader.process().signal(signal);
        reader.process().wait_exit(LIMIT);
    }

    pub(super) fn reader(&mut self) -> &mut R {
        self.reader.as_mut().expect("it runs")
    }

    /// Waits until webntpd has written another sample to this segment.
    pub(super) fn wait_written(&mut self, id: i32) {
        let before = Segment::of(id).count;
        let written = deadline::poll(LIMIT, || {
            (Segment::of(id).count.wrapping_sub(before) >= 2).then_some(())
        });
        written.expect("webntpd goes on writing");
    }

    /// Waits for webntpd's next line with this in it.
    pub(super) fn webntpd_says(&mut self, words: &str) -> String {
        let webntpd = self.webntpd.as_mut().expect("it runs");
        webntpd.wait_line(words, LIMIT)
    }

    /// All that webntpd has said since it started.
    pub(super) fn webntpd_log(&self) -> String {
        self.webntpd.as_ref().expect("it runs").log()
    }
}

/// The segment that has the key.
pub(super) fn segment_now() -> Entry {
    Entry::of(UNIT).expect("there is a segment")
}

/// Removes the segment that has the key, as a person would.
pub(super) fn remove_segment() -> Entry {
    let entry = segment_now();
    let mut ipcrm = Command::new("ipcrm");
    ipcrm.args(["-M", "0x4e545032"]);
    output(&mut ipcrm, LIMIT).expect("it is there");
    assert_eq!(Entry::of(UNIT), None);
    entry
}
