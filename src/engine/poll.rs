//! How often each source is asked: rarely as long as all is as expected, as often as it may be as soon as it is not.
//!
//! In: what a cycle made of every source. Out: the [`Turns`] of each until the next one. How far a source's poll grows is decided
//! here, after RFC 5905 §13; the rota then shortens the polls of the survivors as far as they must be for every cycle to have a
//! new sample. All follows from the samples: a poll that gave none is noticed by the sample that does not come, so that a replay,
//! which knows of no other polls, decides alike.

mod rota;

use super::estimate::Estimate;
use super::filter::Reading;
use super::passage::Passage;
use super::snapshot::{Tally, Unusable};
use super::time::{Raw, Span};
use super::{SourceId, SourceSettings};

/// When a source has its turns: once in every `poll`, counted on the raw clock. Where within `width` after `from`, that is its own
/// matter: sources are asked one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    /// Time from one turn to the next (> 0).
    pub poll: Span,
    /// Where in a poll the turn may be at the soonest (0 to `poll`).
    pub from: Span,
    /// For how long from then on (0 to `poll` − `from`).
    pub width: Span,
}

impl Turns {
    /// Anywhere in every `poll`.
    pub const fn every(poll: Span) -> Self {
        Self {
            poll,
            from: Span::ZERO,
            width: poll,
        }
    }
}

/// Where in every `poll` a source has its turn, as long as it is asked that often: multiples of the golden ratio keep apart however many
/// there are and whichever come and go. Nobody's place is at the ends: if the interval is that of the cycles, a supervisor that has
/// something else to say at the beginning of one comes in time, and so does the reply before the end.
pub fn phase(id: SourceId, poll: Span) -> Span {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let place = id.0.wrapping_mul(GOLDEN).wrapping_add(1 << 63);
    let all = i128::from(poll.as_nanos());
    let part = (all * i128::from(place)) >> 64;
    Span::from_nanos((all / 16 + part * 13 / 16) as i64)
}

/// A poll becomes longer after this many samples in a row that were as expected.
const GATE: u32 = 8;

/// And only when all has been calm for so many of the longer ones. With 16 in simulation errors are a twelfth smaller, and requests
/// a tenth more over 10 ms and a quarter more over 40 ms.
const PAST: i64 = 8;

/// How far the standard error of the rate may carry the estimate from one sample to the next, as a part of the estimate's own
/// standard error. In a LAN, where exchanges are so exact that only the last few minutes count, that leaves the poll short; where
/// queues are long, it may grow. With 0.07 over 10 ms errors are nearly a fifth smaller, and requests half as many again.
const DRIFT: f64 = 0.1;

/// A poll that is this many times too long by that rule is shortened: a little hysteresis.
const SLACK: f64 = 2.0;

/// An estimate that moves by more of its standard errors than this was wrong about the rate. With 2.5, requests over 10 ms are an
/// eighth fewer and errors a twelfth greater, and over 40 ms errors are a fifth greater in the half hour after a change of rate by
/// 2 ppm; with 1.4, requests over 10 ms are an eighth more.
const SURPRISE: f64 = 1.7;

/// A change that comes in small steps shows in the rate: it is held against what it was this long before, up to twice as long.
const EPOCH: Span = Span::from_secs(1_024);

/// A source is counted on for a cycle's sample when its last so many came in time.
const RELIABLE: u32 = 4;

/// What is remembered of a source for its next turn.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    /// How rarely it could be asked if it were for it alone; no less than its least poll.
    wish: Span,
    /// How often it is asked; zero before the first cycle has ended.
    poll: Span,
    /// In which of the cycles of a poll, if that is a power of two of them.
    place: u64,
    /// Samples in a row that were as expected.
    steady: u32,
    /// Samples in a row that came in time.
    in_time: u32,
    /// The first sample since all is calm, and the newest one.
    first: Option<Raw>,
    newest: Option<Raw>,
    /// The longest poll since its newest sample.
    slowest: Span,
    /// Whether its place has changed since then.
    moved: bool,
    /// What it said at the end of the last cycle.
    said: Option<(Raw, Estimate)>,
    /// The same, at the beginnings of this epoch and of the one before.
    epochs: [Option<(Raw, Estimate)>; 2],
    /// Whether it had no say then, however well it answers.
    aside: bool,
}

/// A source in the cycle that ends.
pub(super) struct Paced<'a> {
    pub(super) settings: &'a SourceSettings,
    pub(super) reading: Option<&'a Reading>,
    pub(super) tally: Tally,
    pub(super) pacing: &'a mut Pacing,
}

/// Decides the turns of all sources from the end of a cycle `at` on. Unless all `is_calm` (there is a majority, and no reason to fear
/// that the raw clock stepped), nobody's poll is longer than the least, nor when a survivor's estimate moves: there is one
/// oscillator, and what has changed for one may have changed for all.
pub(super) fn pace(cycle: Span, at: Raw, mut is_calm: bool, sources: &mut [Paced<'_>]) {
    for source in sources.iter_mut() {
        is_calm &= source.look(cycle, at);
    }
    if !is_calm {
        for source in sources.iter_mut() {
            source.pacing.fall(source.settings);
        }
    }
    rota::share_out(cycle, sources);
    for source in sources {
        let pacing = &mut source.pacing;
        pacing.slowest = pacing.slowest.max(pacing.poll);
    }
}

impl Pacing {
    /// How often the source is asked.
    pub(super) fn poll(&self, settings: &SourceSettings) -> Span {
        self.poll.max(settings.poll)
    }

    /// How rarely it was asked at times since its newest sample.
    pub(super) fn slowest(&self, settings: &SourceSettings) -> Span {
        self.slowest.max(settings.poll)
    }

    /// When it has its turns.
    pub(super) fn turns(&self, cycle: Span, settings: &SourceSettings) -> Turns {
        let poll = self.poll(settings);
        match rota::places(cycle, poll) {
            Some(places) if places > 1 => Turns {
                poll,
                from: cycle.times(self.place as i64),
                width: cycle,
            },
            _ => Turns::every(poll),
        }
    }

    /// As often as it may be.
    fn fall(&mut self, settings: &SourceSettings) {
        self.wish = settings.poll;
        self.steady = 0;
        self.first = self.newest;
    }

    /// Takes in what it says at the end of a cycle; whether that is not what it has said before.
    fn is_surprised(&mut self, at: Raw, estimate: &Estimate) -> bool {
        let last = self.said.replace((at, *estimate));
        let has_moved =
            last.is_some_and(|(then, said)| moved(&said, estimate, at - then) > SURPRISE);
        let [now, before] = self.epochs;
        if now.is_none_or(|(since, _)| at - since >= EPOCH) {
            self.epochs = [Some((at, *estimate)), now];
        }
        let is_other_rate = before.is_some_and(|(_, said)| turned(&said, estimate) > SURPRISE);
        if is_other_rate {
            self.epochs = [None; 2];
        }
        has_moved || is_other_rate
    }

    /// A leap second has passed: what was said before is held against what is said after it.
    pub(super) fn carry_over(&mut self, passage: &Passage) {
        let Some(shift) = passage.shift() else {
            self.said = None;
            self.epochs = [None; 2];
            return;
        };
        for (_, said) in self.said.iter_mut().chain(self.epochs.iter_mut().flatten()) {
            said.theta = said.theta + shift;
        }
    }

    /// Takes in the newest sample; whether it has not been taken in before.
    fn is_new(&mut self, newest: Raw) -> bool {
        if self.newest == Some(newest) {
            return false;
        }
        self.first = self.first.or(Some(newest));
        self.newest = Some(newest);
        self.in_time = self.in_time.saturating_add(1);
        self.slowest = Span::ZERO;
        self.moved = false;
        true
    }
}

impl Paced<'_> {
    /// Takes in what the cycle made of it; whether it has nothing to say against long polls of the others.
    fn look(&mut self, cycle: Span, at: Raw) -> bool {
        let (settings, pacing) = (self.settings, &mut *self.pacing);
        pacing.wish = pacing.wish.min(settings.max_poll).max(settings.poll);
        let is_aside = matches!(
            self.tally,
            Tally::Falseticker | Tally::Unusable(Unusable::NoSelect)
        );
        let is_of_use = is_aside || !matches!(self.tally, Tally::Unusable(_));
        let Some(reading) = self.reading.filter(|_| is_of_use) else {
            pacing.fall(settings);
            pacing.in_time = 0;
            pacing.said = None;
            pacing.epochs = [None; 2];
            return true;
        };
        let patience = pacing
            .slowest(settings)
            .times(if pacing.moved { 2 } else { 1 });
        let is_new = pacing.is_new(reading.newest);
        if !is_new && at - reading.newest >= patience + cycle {
            pacing.in_time = 0;
            pacing.fall(settings);
        }
        let returns = std::mem::replace(&mut pacing.aside, is_aside) && !is_aside;
        let is_surprise = pacing.is_surprised(at, &reading.estimate) && !is_aside;
        if returns || is_surprise || reading.misfits > 0 {
            pacing.fall(settings);
        } else if is_new {
            self.grow(cycle, reading, is_aside);
        }
        !(is_surprise && self.tally.survives())
    }

    /// A sample was as expected. What has no say may be asked rarely whatever is known of its rate.
    fn grow(&mut self, cycle: Span, reading: &Reading, is_aside: bool) {
        let (settings, pacing) = (self.settings, &mut *self.pacing);
        let drift = |poll| {
            if is_aside {
                0.0
            } else {
                drift(&reading.estimate, poll)
            }
        };
        let longer = rota::longer(cycle, pacing.wish, settings.max_poll);
        match longer {
            Some(longer) if drift(longer) <= DRIFT => {
                pacing.steady = pacing.steady.saturating_add(1);
                let past = pacing.first.map(|first| reading.newest - first);
                if pacing.steady >= GATE && past >= Some(longer.times(PAST)) {
                    pacing.wish = longer;
                    pacing.steady = 0;
                }
            }
            _ => pacing.steady = 0,
        }
        if drift(pacing.wish) > SLACK * DRIFT {
            pacing.wish = rota::shorter(cycle, pacing.wish, settings.poll);
        }
    }

    /// Whether it can be counted on for new samples.
    fn is_reliable(&self) -> bool {
        self.tally.survives() && self.pacing.in_time >= RELIABLE
    }
}

/// How far an estimate is off what another one let expect a while before, in standard errors of that.
fn moved(before: &Estimate, now: &Estimate, since: Span) -> f64 {
    let moved = now.theta - (before.theta + before.rate.over(since));
    let sigma = before.error + before.rate_error.over(since);
    moved.abs().as_secs_f64() / sigma.as_secs_f64().max(1e-9)
}

/// The same of its rate.
fn turned(before: &Estimate, now: &Estimate) -> f64 {
    let turned = now.rate.as_ppt().saturating_sub(before.rate.as_ppt());
    turned.unsigned_abs() as f64 / before.rate_error.as_ppt().max(1) as f64
}

/// How far its rate may lead an estimate astray from one sample to the next, in its standard errors.
fn drift(estimate: &Estimate, poll: Span) -> f64 {
    estimate.rate_error.over(poll).as_secs_f64() / estimate.error.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests;
