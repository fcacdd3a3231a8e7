//! The system clock and the kernel's other clocks, and a simulated ntpd that steers them by what the daemon publishes.
//!
//! In: what a [`Sample`] says, when it is written. Out: readings of all clocks, as the daemon takes them. The same oscillator drives
//! them all; what the kernel adds to it is known here exactly. The reader keeps no history and selects nothing: it has one source.

use crate::oscillator::Oscillator;
use webntpd::engine::time::{Rate, Raw, Span, Utc};
use webntpd::output::Sample;
use webntpd::sys::clock::{ClockPair, Readings};

/// The kernel slews by no more (`MAXFREQ` of `adjtimex`).
const MOST: Rate = Rate::from_ppm(500);

/// ntpd steps a clock that is further off than this (`tinker step`).
const STEP: Span = Span::from_millis(128);

/// In so much time an offset is slewed away; the frequency follows so that nothing swings (critical damping).
const TIME_CONSTANT_S: f64 = 64.0;

/// Who steers the system clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Nobody: it runs free.
    Nobody,
    /// One that steps it when it is far off, and slews it else.
    Steps,
    /// One that never steps it (`ntpd -x`, chronyd without `makestep`).
    Slews,
}

/// How the system clock begins, and what is done to it.
#[derive(Clone, Debug)]
pub(crate) struct Steering {
    /// How far it is ahead of universal time at the start.
    pub(crate) ahead: Span,
    pub(crate) reader: Reader,
    /// When somebody sets it by hand (seconds from the start), and by how much forwards.
    pub(crate) set: Vec<(f64, Span)>,
}

impl Default for Steering {
    /// Right at the start, and left alone.
    fn default() -> Self {
        Self {
            ahead: Span::ZERO,
            reader: Reader::Nobody,
            set: Vec::new(),
        }
    }
}

pub(crate) struct System<'a> {
    oscillator: &'a Oscillator,
    reader: Reader,
    /// Not done yet, the next one last.
    set: Vec<(Raw, Span)>,
    /// Since when the clocks run as they do, and what they showed then.
    since: Raw,
    shown: Utc,
    monotonic: Span,
    /// What the kernel adds for good, and what it adds until then only.
    frequency_s: f64,
    slew_s: f64,
    slew_until: Raw,
    /// What was seen of it whenever something was published: raw time, and how far it was ahead of universal time.
    pub(crate) errors: Vec<(Raw, Span)>,
    pub(crate) steps: usize,
}

impl<'a> System<'a> {
    pub(crate) fn new(oscillator: &'a Oscillator, steering: &Steering) -> Self {
        let start = Oscillator::start();
        let at = |(at_s, by): &(f64, Span)| (start + Span::from_secs_f64(*at_s), *by);
        let mut set: Vec<_> = steering.set.iter().map(at).collect();
        set.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        Self {
            oscillator,
            reader: steering.reader,
            set,
            since: start,
            shown: start + oscillator.theta(start) + steering.ahead,
            monotonic: Span::ZERO,
            frequency_s: 0.0,
            slew_s: 0.0,
            slew_until: start,
            errors: Vec::new(),
            steps: 0,
        }
    }

    /// All clocks when the raw clock shows `now`, which never runs backwards.
    pub(crate) fn read(&mut self, now: Raw) -> Readings {
        while let Some((at, by)) = self.set.pop_if(|(at, _)| *at <= now) {
            self.run_to(at);
            self.shown = self.shown + by;
        }
        self.run_to(now);
        Readings {
            pair: ClockPair {
                raw: now,
                system: self.shown + self.oscillator.slept(now),
            },
            monotonic: self.monotonic,
            boottime: self.monotonic + self.oscillator.slept(now),
        }
    }

    /// How far the system clock is ahead of universal time.
    pub(crate) fn error(&mut self, now: Raw) -> Span {
        self.read(now).pair.system - (now + self.oscillator.theta(now))
    }

    /// The reader reads what was published `now`.
    pub(crate) fn published(&mut self, sample: &Sample, now: Raw) {
        let error = self.error(now);
        self.errors.push((now, error));
        let offset_s = sample.offset().as_secs_f64();
        match self.reader {
            Reader::Nobody => {}
            Reader::Steps if sample.offset().abs() > STEP => {
                self.shown = self.shown + sample.offset();
                self.slew_s = 0.0;
                self.steps += 1;
            }
            Reader::Steps | Reader::Slews => {
                let most = MOST.as_ppt() as f64 / 1e12;
                let last_s = self.errors.iter().rev().nth(1).map_or(0.0, |(last, _)| {
                    (now - *last).as_secs_f64().min(TIME_CONSTANT_S)
                });
                let slew_s = offset_s / TIME_CONSTANT_S;
                // What is slewed as fast as it goes says nothing of the frequency.
                if slew_s.abs() < most / 4.0 {
                    self.frequency_s += offset_s * last_s / (4.0 * TIME_CONSTANT_S.powi(2));
                }
                self.frequency_s = self.frequency_s.clamp(-most, most);
                self.slew_s = slew_s.clamp(-most - self.frequency_s, most - self.frequency_s);
                let needed_s = (offset_s / self.slew_s).abs();
                self.slew_until = if needed_s.is_finite() {
                    now + Span::from_secs_f64(needed_s)
                } else {
                    now
                };
            }
        }
    }

    /// Goes on to `now`, as fast as the kernel has been told.
    fn run_to(&mut self, now: Raw) {
        let passed = now - self.since;
        let slewed = self.slew_until.min(now) - self.since.min(self.slew_until);
        let added_s = self.frequency_s * passed.as_secs_f64() + self.slew_s * slewed.as_secs_f64();
        let passed = passed + Span::from_secs_f64(added_s);
        self.since = now;
        self.shown = self.shown + passed;
        self.monotonic += passed;
    }
}
