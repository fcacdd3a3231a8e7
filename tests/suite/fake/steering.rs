//! What is done to the fake's clock while it runs: steps, and changes of its rate.
//!
//! In: a test's wish. Out: readings of a clock with all that added; how much that is at any raw instant, past ones too.
//! Not: the clock itself, which goes on as it was set up.

use std::sync::{Mutex, MutexGuard};

use super::clock::{Clock, Reading, SECOND_NS, raw_now};

/// Everything that was done, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Steering(Mutex<Vec<Bend>>);

/// From an instant on, so much and so much more a second is added.
#[derive(Clone, Copy, Debug, Default)]
struct Bend {
    raw_ns: i64,
    added_ns: i64,
    rate_ppb: i64,
}

impl Steering {
    /// Reads a clock, with what was done to it.
    pub(crate) fn read(&self, clock: &impl Clock) -> Reading {
        // Held over the reading, so that none is taken before a bend and corrected after it.
        let bends = self.lock();
        let reading = clock.read();
        Reading {
            utc_ns: reading.utc_ns + in_force(&bends, reading.raw_ns).added(reading.raw_ns),
            ..reading
        }
    }

    /// What is added at a raw instant, nanoseconds.
    pub(crate) fn added(&self, raw_ns: i64) -> i64 {
        in_force(&self.lock(), raw_ns).added(raw_ns)
    }

    /// Adds so much from now on. Says since when, raw.
    pub(crate) fn step(&self, step_ns: i64) -> i64 {
        self.bend(|bend| Bend {
            added_ns: bend.added_ns + step_ns,
            ..bend
        })
    }

    /// Lets it gain so much on itself from now on, in place of what it gained before. Says since when, raw.
    pub(crate) fn skew(&self, rate_ppb: i64) -> i64 {
        self.bend(|bend| Bend { rate_ppb, ..bend })
    }

    fn bend(&self, change: impl Fn(Bend) -> Bend) -> i64 {
        let mut bends = self.lock();
        let raw_ns = raw_now();
        let before = in_force(&bends, raw_ns);
        bends.push(change(Bend {
            raw_ns,
            added_ns: before.added(raw_ns),
            ..before
        }));
        raw_ns
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Bend>> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

impl Bend {
    fn added(&self, raw_ns: i64) -> i64 {
        let elapsed = i128::from(raw_ns - self.raw_ns);
        let gained = (elapsed * i128::from(self.rate_ppb)).div_euclid(i128::from(SECOND_NS));
        self.added_ns + i64::try_from(gained).expect("a test does not last for centuries")
    }
}

/// The last bend before an instant; nothing is added before the first.
fn in_force(bends: &[Bend], raw_ns: i64) -> Bend {
    let later = bends.partition_point(|bend| bend.raw_ns <= raw_ns);
    bends[..later].last().copied().unwrap_or_default()
}
