//! The search for the edge between two seconds of a server that tells whole seconds only.
//!
//! Each reply says that the server's clock was in one second when the request arrived, hence that θ lies in an interval of a second
//! and the round trip. A request that arrives in the midst of what is left of θ, seen from a whole second, leaves about half of it,
//! whatever the answer is: "not yet", or "already". Where two requests may meet one second, both together leave a third.
//!
//! In: exchanges, and when they were due. Out: when the next request should leave, and what is left. It proves nothing and
//! publishes nothing: what it makes of the path is likely, no more; it decides when to ask, and holds a guess. It knows nothing of
//! manners: whoever asks says from when on a request is allowed.

mod division;

use super::bound::{Bound, Interval, Limits};
use super::exchange::Exchange;
use super::filter::MEMORY;
use super::passage::Silence;
use super::time::{Rate, Raw, Span, Theta, Utc};
use division::Division;
use std::collections::VecDeque;

/// Most requests that follow the first one quickly while the edge is searched for. Near by eleven find it to a millisecond as a rule,
/// thirteen at the most.
pub const QUICK: u32 = 15;

/// An edge that is known no better than this is lost.
const LOST: Span = Span::from_millis(250);

/// How many exchanges are remembered.
const CAPACITY: usize = 32;

/// So many of the last requests tell how late they leave.
const LEADS: usize = 9;

/// After so long a pause the server may have closed the connection, and the request leaves later by the time that a new one takes.
const PAUSE: Span = Span::from_secs(3);

/// Oscillators are hardly ever further off their nominal rate.
const USUAL_RATE: Rate = Rate::from_ppm(60);

/// The exchange of this rank was slower than the path by about as much as the two ways may differ by chance.
const RANK: usize = 4;

/// What is left is narrow enough when it is this part of the round trip: how the two ways share it is not known any better.
const PART_OF_DELAY: i64 = 8;

/// It is narrow enough in any case at this: a program is not woken any more exactly. At a whole millisecond two estimates
/// in a thousand are off by more than half of one, with this less than one.
const NARROW: Span = Span::from_micros(950);

/// How the replies are read, the sharpest first, until they do not contradict each other: how many quarters of the least round trip
/// are taken for the path (as much each way), and how long after its second a server may still tell it.
const READINGS: [(i64, Span); 4] = [
    (4, Span::ZERO),
    (2, Span::ZERO),
    (0, Span::ZERO),
    (0, Span::from_millis(20)),
];

/// Where in what is left a request should arrive, in 16ths, when only one meets a second.
const MIDDLE: i64 = 8;

/// After so many answers alike the next request is not aimed at what is left but beyond it: a server that has stepped would
/// answer like that for ever.
const SUSPICIOUS: i32 = 3;

/// A request that cannot arrive sooner is better put off to the next second, in 16ths of what is left.
const LATEST: i64 = 10;
const LATEST_IN_SEARCH: i64 = 13;

/// A request is taken to leave as long after it is due as half of the last ones at the most, or, in a search, as a fifth of them, in
/// tenths: one that is too soon is off by little, and the next one in the same second makes up for it; one that is too late costs a second.
const HALF: usize = 5;
const FIFTH: usize = 2;

/// How long it takes until a program is woken, as a rule.
const WAKING: Span = Span::from_micros(100);

/// What is known of a server's second.
#[derive(Debug, Default)]
pub struct Edge {
    /// The last exchanges, none older than what the estimate is made of, without what is allowed for late and rounded seconds.
    seen: VecDeque<Exchange>,
    /// Which of [`READINGS`] holds.
    reading: usize,
    /// From when it was due to when it left, for requests on a warm connection and after a pause.
    leads: [VecDeque<Span>; 2],
    /// How often in a row the answer was "already", or, negative, "not yet".
    alike: i32,
}

impl Edge {
    /// Drops what is known of the second, but not of how long things take.
    pub fn forget(&mut self) {
        self.seen.clear();
        self.reading = 0;
        self.alike = 0;
    }

    /// Goes along with a leap second, if `exchange` is the first one after it. One that [meets](Silence::meets) it must not be seen.
    pub fn pass(&mut self, silence: &Silence, exchange: &Exchange) {
        let is_from_before = self.newest().is_some_and(|newest| newest < silence.to);
        if !is_from_before || exchange.sent() < silence.to {
            return;
        }
        for seen in &mut self.seen {
            *seen = seen.moved(silence.shift);
        }
    }

    /// Takes in an exchange that was due at `due`. One that was completed before the last is of no use.
    pub fn see(&mut self, due: Raw, exchange: &Exchange) {
        let newest = self.newest();
        if newest.is_some_and(|newest| exchange.received() <= newest) {
            return;
        }
        let leads = &mut self.leads[Self::class(newest, due)];
        if leads.len() == LEADS {
            leads.pop_front();
        }
        leads.push_back((exchange.sent() - due).max(Span::ZERO));

        let already = self.left(exchange.received()).is_some_and(|left| {
            let (window, middle) = (exchange.likely(), left.middle());
            (window.lower() - middle).abs() < (window.upper() - middle).abs()
        });
        let sign = if already { 1 } else { -1 };
        let is_like_the_last = self.alike.signum() == sign;
        self.alike = if is_like_the_last {
            self.alike.saturating_add(sign)
        } else {
            sign
        };
        self.remember(exchange);
        self.settle();
    }

    /// What is known after the last of `exchanges`, in the order in which they were completed.
    pub fn of<'a>(exchanges: impl Iterator<Item = &'a Exchange>) -> Self {
        let mut edge = Self::default();
        exchanges.for_each(|exchange| edge.remember(exchange));
        edge.settle();
        edge
    }

    /// What θ is likely to be at `at`; `None` when nothing is known.
    pub fn left(&self, at: Raw) -> Option<Bound> {
        let usual = Interval {
            lo: Rate::from_ppt(-USUAL_RATE.as_ppt()),
            hi: USUAL_RATE,
        };
        self.left_within(usual, at)
    }

    /// The same for an oscillator whose rate is one of `rates`, unless the exchanges contradict that.
    pub fn left_within(&self, rates: Interval<Rate>, at: Raw) -> Option<Bound> {
        let at = self.newest().map_or(at, |newest| at.max(newest));
        let fit = self.limits(self.reading, at).fit()?;
        let rates = fit.rates.intersection(&rates).unwrap_or(fit.rates);
        let windows = self.windows(self.reading, at).map(|window| Bound {
            lo: window.lower() + rates.lo.over(at - window.received()),
            hi: window.upper() + rates.hi.over(at - window.sent()),
        });
        // A window without any room would be turned inside out by a rate that does not fit it.
        let possible = windows.filter(|window| window.lo <= window.hi);
        let narrowed = possible.fold(fit.bound, |left, window| {
            left.intersection(&window).unwrap_or(left)
        });
        Some(narrowed)
    }

    /// Whether quick requests would hardly make it any narrower.
    pub fn is_found(&self, at: Raw) -> bool {
        self.left(at)
            .is_some_and(|left| left.hi - left.lo <= self.narrow())
    }

    /// Whether little would be known at `at` without the exchanges that are forgotten before the next one, at `next`.
    pub fn is_lost(&self, at: Raw, next: Raw) -> bool {
        let next = next.min(at + MEMORY.half());
        let kept = self.seen.iter().filter(|seen| is_young(seen, next));
        let left = Self::of(kept).left(at);
        left.is_none_or(|left| left.hi - left.lo > LOST)
    }

    /// When a request should be due so as to tell most, not before `earliest`; no more than a second after it, however much is left,
    /// since some whole second of the server's is met by then. In a search,
    /// another one may follow from `free` on.
    pub fn aim(&self, earliest: Raw, free: Option<Raw>) -> Raw {
        let Some(left) = self.left(earliest) else {
            return earliest;
        };
        match free {
            Some(free) => self.aim_in_search(left, earliest, free),
            None => self.aim_at_middle(self.suspected(left), earliest),
        }
    }

    fn aim_at_middle(&self, left: Bound, earliest: Raw) -> Raw {
        let travel = self.lead(earliest, HALF) + self.typical_delay().half();
        let arrival = earliest + travel;
        let second = whole_second_after(arrival, at_part(left, LATEST));
        arrival.max(second - at_part(left, MIDDLE)) - travel
    }

    /// So that the fewest seconds will do.
    fn aim_in_search(&self, left: Bound, earliest: Raw, free: Raw) -> Raw {
        let travel = self.lead(earliest, FIFTH) + self.typical_delay().half();
        let arrival = earliest + travel;
        let second = whole_second_after(arrival, at_part(left, LATEST_IN_SEARCH));
        // It widens until then.
        let left = self.left(second - left.hi).unwrap_or(left);
        let begin = second - left.hi;
        let (quarters, _) = READINGS[self.reading];
        let unsure = self.typical_delay().half() - self.path(quarters);
        let division = Division {
            width: left.hi - left.lo,
            narrow: self.narrow(),
            // It leaves when the reply to the one before is here.
            apart: self.typical_delay() + WAKING,
            soon: unsure + WAKING,
            requests: division::REQUESTS.saturating_sub(self.seen.len()),
        };
        let place = division.place((free + travel) - begin);
        arrival.max(begin + place) - travel
    }

    /// Takes in one more, whatever it contradicts.
    fn remember(&mut self, exchange: &Exchange) {
        let is_old = |seen: &Exchange| !is_young(seen, exchange.received());
        while self.seen.len() == CAPACITY || self.seen.front().is_some_and(is_old) {
            self.seen.pop_front();
        }
        self.seen.push_back(exchange.likely());
    }

    /// Finds out how the exchanges must be read; drops the oldest if none will do: the server stepped, or the raw clock did.
    fn settle(&mut self) {
        let Some(newest) = self.newest() else {
            return;
        };
        let misfits = |edge: &Self, reading| edge.limits(reading, newest).misfits();
        let fitting = (0..READINGS.len()).find(|reading| misfits(self, *reading) == 0);
        self.reading = fitting.unwrap_or(READINGS.len() - 1);
        if fitting.is_none() {
            let misfits = misfits(self, self.reading);
            self.seen.drain(..misfits);
        }
    }

    /// Where to ask instead after answers that were suspiciously alike: beyond what is left, the further the more there were.
    fn suspected(&self, left: Bound) -> Bound {
        let suspicious = self.alike.abs() - SUSPICIOUS;
        if suspicious < 0 {
            return left;
        }
        let (quarters, _) = READINGS[self.reading];
        let open = NARROW + self.typical_delay() - self.path(quarters).times(2);
        let beyond = open.times(1 << suspicious.min(8));
        let theta = if self.alike > 0 {
            left.hi + beyond
        } else {
            left.lo - beyond
        };
        Bound {
            lo: theta,
            hi: theta,
        }
    }

    /// What is left is narrow enough at this.
    fn narrow(&self) -> Span {
        let (quarters, stale) = READINGS[self.reading];
        let least = self.least_delay();
        let unknown = least - self.path(quarters).times(2);
        let floor = unknown + unknown.half().half() + stale;
        let part = Span::from_nanos(least.as_nanos() / PART_OF_DELAY);
        floor.max(part).max(NARROW)
    }

    fn newest(&self) -> Option<Raw> {
        self.seen.back().map(Exchange::received)
    }

    /// Index of the leads of a request that is due at `due`.
    fn class(newest: Option<Raw>, due: Raw) -> usize {
        usize::from(newest.is_none_or(|newest| due - newest > PAUSE))
    }

    /// How long after `due` a request leaves, if so many tenths of them leave sooner.
    fn lead(&self, due: Raw, tenths: usize) -> Span {
        let leads = &self.leads[Self::class(self.newest(), due)];
        quantile(leads.iter().copied(), tenths)
    }

    /// Round trips of what is remembered.
    fn delays(&self) -> impl Iterator<Item = Span> {
        self.seen
            .iter()
            .map(|exchange| exchange.received() - exchange.sent())
    }

    fn least_delay(&self) -> Span {
        self.delays().min().unwrap_or(Span::ZERO)
    }

    fn typical_delay(&self) -> Span {
        quantile(self.delays(), HALF)
    }

    /// What each way takes at the least, if both take as much; `quarters` of it.
    fn path(&self, quarters: i64) -> Span {
        let least = self.least_delay();
        let mut delays: Vec<Span> = self.delays().collect();
        delays.sort_unstable();
        let rank = RANK.min(delays.len().saturating_sub(1));
        let missed = delays.get(rank).map_or(Span::ZERO, |delay| *delay - least);
        let path = (least - missed).max(Span::ZERO);
        Span::from_nanos(path.as_nanos() / 8 * quarters)
    }

    /// What the exchanges that are not forgotten at `at` say of θ, read in this way.
    fn windows(&self, reading: usize, at: Raw) -> impl Iterator<Item = Exchange> {
        let (quarters, stale) = READINGS[reading];
        let path = self.path(quarters);
        let young = self.seen.iter().filter(move |seen| is_young(seen, at));
        young.filter_map(move |seen| {
            Exchange::new(
                seen.sent() + path,
                seen.received() - path,
                seen.arrived_before() + stale,
                seen.departed_after(),
                None,
            )
            .ok()
        })
    }

    fn limits(&self, reading: usize, at: Raw) -> Limits {
        let windows: Vec<Exchange> = self.windows(reading, at).collect();
        Limits::new(windows.iter(), at)
    }
}

/// Whether an exchange is still remembered at `at`; the exact lines through the others are not meant for any older.
fn is_young(exchange: &Exchange, at: Raw) -> bool {
    at - exchange.received() <= MEMORY
}

/// The first whole second of the server that a request can meet that arrives at `arrival` or later, if θ is this.
fn whole_second_after(arrival: Raw, theta: Theta) -> Utc {
    let (seconds, above) = (arrival + theta).to_parts();
    Utc::from_secs(seconds + i64::from(above > 0))
}

/// θ at so many 16ths of what is left: requests that ask for it arrive the later the more they are.
fn at_part(left: Bound, sixteenths: i64) -> Theta {
    let width = left.hi - left.lo;
    left.hi - Span::from_nanos(width.as_nanos() / 16 * sixteenths)
}

/// So many tenths of them are less.
fn quantile(spans: impl Iterator<Item = Span>, tenths: usize) -> Span {
    let mut spans: Vec<Span> = spans.collect();
    spans.sort_unstable();
    let rank = spans.len() * tenths / 10;
    spans.get(rank).copied().unwrap_or(Span::ZERO)
}

#[cfg(test)]
mod tests;
