//! What the fake has done, for tests to look at and to wait for.
//!
//! In: entries from the connections. Out: counts, entries, and waiting for them without polling. Not: any judgement.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::http::Request;

/// Entries kept; older ones are forgotten (and still counted).
const KEPT: usize = 1 << 16;

/// One request, and the reply (or the fault in its place) that it met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// The connection, counted from 0.
    pub(crate) connection: usize,
    /// The query of the request or the text of the frame, as it came.
    pub(crate) it: String,
    /// The request with its headers; None for a frame.
    pub(crate) request: Option<Request>,
    /// When the request had been read, raw nanoseconds.
    pub(crate) read_raw_ns: i64,
    /// When it counted as received: the above, and the delay of its way.
    pub(crate) arrived_raw_ns: i64,
    /// When the clock was read for the stamp, to the nanosecond. Before the arrival only if the face is cached. None
    /// where the fault came before a stamp was taken.
    pub(crate) stamped_raw_ns: Option<i64>,
    /// The stamp as it was sent; empty where none was.
    pub(crate) stamp: String,
    /// Just before the stamp, with the first byte that left after it was taken, was written.
    pub(crate) departed_raw_ns: i64,
}

/// Counts of what has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Requests answered, faults included.
    pub(crate) served: usize,
    /// Connections accepted.
    pub(crate) accepted: usize,
    /// Connections open now.
    pub(crate) open: usize,
}

/// The book of one fake; it survives a restart.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    book: Mutex<Book>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Book {
    counts: Counts,
    entries: VecDeque<Served>,
}

impl Ledger {
    /// Writes an entry; done before the reply leaves, so that whoever has the reply finds the entry.
    pub(crate) fn enter(&self, served: Served) {
        let mut book = self.lock();
        if book.entries.len() == KEPT {
            book.entries.pop_front();
        }
        book.entries.push_back(served);
        book.counts.served += 1;
        self.changed.notify_all();
    }

    /// Counts a connection in and says its number.
    pub(crate) fn accept(&self) -> usize {
        let mut book = self.lock();
        let number = book.counts.accepted;
        book.counts.accepted += 1;
        book.counts.open += 1;
        self.changed.notify_all();
        number
    }

    /// Counts a connection out.
    pub(crate) fn close(&self) {
        self.lock().counts.open -= 1;
        self.changed.notify_all();
    }

    /// The counts now.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// All entries that are kept, oldest first.
    pub(crate) fn entries(&self) -> Vec<Served> {
        self.lock().entries.iter().cloned().collect()
    }

    /// Waits until the counts satisfy `wanted`; false if that did not happen in time.
    pub(crate) fn wait(&self, wanted: impl Fn(Counts) -> bool, timeout: Duration) -> bool {
        let book = self.lock();
        let (_book, result) = self
            .changed
            .wait_timeout_while(book, timeout, |book| !wanted(book.counts))
            .expect("nobody panics with the book open");
        !result.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("nobody panics with the book open")
    }
}
