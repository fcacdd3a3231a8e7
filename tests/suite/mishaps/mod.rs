//! Shared memory in every mishap: the real webntpd, and the real ntpsec or chronyd that it feeds.
//!
//! * [`restarts`]: either side is stopped, killed, frozen, and comes back
//! * [`removal`]: somebody removes the segment while it is in use
//! * [`refused`]: a segment that must not or cannot be used
//! * [`pair`], [`reader`]: the two sides, and what can be done to them
//!
//! Upstream is a fake whose clock is 25 ms ahead; webntpd measures and publishes every second.

mod pair;
mod reader;
mod refused;
mod removal;
mod restarts;

use std::time::Duration;

use crate::fake::{FakeUpstream, OsClock, Setup};

const UNIT: u8 = 2;
const LIMIT: Duration = Duration::from_secs(30);

/// What webntpd says when it finds its last sample taken.
const TAKEN: &str = "a daemon takes the samples";
/// What it says when its last sample was not taken, although somebody could have.
const IDLE: &str = "a daemon has the segment, but takes no samples";
/// What it says when nobody else has the segment.
const ALONE: &str = "no daemon has the segment";
/// What it says when the key of a segment that is in use is gone.
const REMOVED: &str = "shm unit 2: somebody removed the segment while it was in use; restart the daemon that reads it";
/// What it says when nobody has the segment, but one that was removed lives on.
const ABANDONED: &str = "shm unit 2: no daemon has the segment, but one that was removed is still in use; \
                         restart the daemon that should read unit 2";
/// What it says when samples that it did not write are in the segment.
const RIVAL: &str =
    "shm unit 2: another program writes to the same segment; give one of them another unit";

fn fake() -> FakeUpstream<OsClock> {
    FakeUpstream::start(Setup::with_clock(OsClock {
        offset_ns: 25_000_000,
    }))
}
