//! The state machine of one source: when to ask, when to give up a connection, when to wait longer.
//!
//! The driver (the poller) asks [`Source::next`] what to do, does it, and asks again. After [`Action::Exchange`] it
//! hands the ticket back with the result by [`Source::completed`], and only then asks again. The machine does no IO and
//! reads no clock: `now` and a seed are given to it. Where a server tells whole seconds only, [`Edge`] says when a request is worth most.

mod outcome;

pub use outcome::{Aftermath, Failure, Fault, Report};

use super::edge::{self, Edge};
use super::exchange::Exchange;
use super::filter::MEMORY;
use super::passage::Silence;
use super::poll::Turns;
use super::time::{Raw, Span};
use std::collections::VecDeque;

/// Longest wait that a server's `Retry-After` is obeyed for: a captive portal may name any.
pub const MAX_RETRY_AFTER: Span = Span::from_secs(3_600);

/// When a source is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Shortest time from one turn to the next (> 0), and the usual one as long as it is told no other.
    pub poll: Span,
    /// Longest time between two tries while the source fails (≥ `poll`).
    pub max_poll: Span,
    /// Where in such an interval, counted on the raw clock, this source has its turn (0 to `poll`): sources are asked one
    /// after the other, not all at once. Where in the range of other [`Turns`] goes by proportion.
    pub phase: Span,
    /// How many more polls follow the first one quickly, at the start and whenever history is gone.
    pub burst: u32,
    /// Whether the server is known to tell whole seconds only (it is found out if not): then every request is aimed at the edge between two of them, up to half a
    /// second from its turn, and the burst is a search for it.
    pub coarse: bool,
}

/// Time between the polls of a burst.
const BURST_APART: Span = Span::from_secs(2);

/// Within so much after a silence every source is asked, and none of them sooner than its own part of it.
const HUSH_SPREAD: Span = Span::from_secs(8);

/// No server's turn comes sooner than this after its last one was due.
pub const LEAST_APART: Span = Span::from_secs(1);

/// In the search at the start no more than two requests meet a server in this time: a second, but for a little, since what is left of
/// the edge may lie before the last request.
pub const TWO_IN: Span = Span::from_millis(950);

/// A turn that is nearer than this part of the shortest poll is left out. No place is nearer to the beginning of an interval, so each
/// has its turn.
const NEAR: i64 = 16;

/// How far a turn is moved to meet the edge of a second.
const MOVED: Span = Span::from_millis(500);

/// An edge that is lost is searched for again, if the last search is so many polls past, or half of the time for which it is remembered.
const POLLS_BETWEEN_SEARCHES: i64 = 32;

/// What the driver is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Run one exchange, on the kept connection if there is one, and hand the ticket back.
    Exchange(Ticket),
    /// Nothing, until this instant.
    Wait(Raw),
    /// Drop the connection: it cannot be used for another exchange.
    Close,
    /// Tell the engine how a poll ended.
    Report(Report),
}

/// The right to complete one exchange, once.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// One source's schedule.
#[derive(Debug)]
pub struct Source {
    pace: Pace,
    turns: Turns,
    due: Raw,
    queue: VecDeque<Action>,
    /// Number of the ticket that is out, or of the next one.
    serial: u64,
    is_out: bool,
    /// Whether this poll has already been tried on a new connection.
    retried: bool,
    failures: u32,
    /// Quick polls that are left.
    burst: u32,
    /// Whether the search for the edge is that at the start, which may send two requests a second. Later ones keep a second apart.
    is_hasty: bool,
    last_asked: Option<Raw>,
    /// When the one before was asked.
    asked_before: Option<Raw>,
    /// What is known of the server's second, where that is all it tells.
    edge: Option<Edge>,
    /// An edge that is lost is not searched for before.
    next_search: Raw,
    /// When the last poll was due; it may have begun a little later.
    last_due: Option<Raw>,
    /// Until when the server asked to be left alone.
    silence: Option<Raw>,
    /// When nobody is asked: around a leap second.
    hush: Option<Silence>,
    /// How long after that it is asked first, lest all the world ask at once.
    hush_spread: Span,
    random: u64,
}

impl Source {
    /// A source that is asked at `first` for the first time, then at its turns. `seed` decides the jitter of its back-off.
    pub fn new(pace: Pace, first: Raw, seed: u64) -> Self {
        Self {
            pace,
            turns: Turns::every(pace.poll),
            due: first,
            queue: VecDeque::new(),
            serial: 0,
            is_out: false,
            retried: false,
            failures: 0,
            burst: quick(&pace),
            is_hasty: true,
            last_asked: None,
            asked_before: None,
            edge: pace.coarse.then(Edge::default),
            next_search: first + between_searches(&pace),
            last_due: None,
            silence: None,
            hush: None,
            hush_spread: Span::from_nanos((seed % HUSH_SPREAD.as_nanos().unsigned_abs()) as i64),
            random: seed,
        }
    }

    /// Asks nobody in this time, whatever is due, and soon after it: everybody wants to know then what the server makes of it.
    pub fn hush(&mut self, silence: Option<Silence>) {
        self.hush = silence;
    }

    /// What to do now.
    pub fn next(&mut self, now: Raw) -> Action {
        if let Some(action) = self.queue.pop_front() {
            return action;
        }
        if let Some(hush) = self.hush.filter(|hush| hush.holds(now) && !self.is_out) {
            // What is late comes after it as well.
            self.due = self.due.max(hush.from);
        }
        let due = self.next_due();
        if self.is_out || now < due {
            return Action::Wait(due);
        }
        self.due = due;
        self.is_out = true;
        self.asked_before = self.last_asked.replace(now);
        self.last_due = Some(self.due);
        Action::Exchange(Ticket(self.serial))
    }

    /// The same for a server that was last asked at `last`, by somebody else.
    pub fn asked_at(self, last: Raw) -> Self {
        Self {
            last_asked: Some(last),
            ..self
        }
    }

    /// When it is asked next: not in a silence, and for the first time soon after it, unless the server fails or asked to be left alone.
    fn next_due(&self) -> Raw {
        let Some(hush) = self.hush else {
            return self.due;
        };
        let after = hush.to + self.hush_spread;
        let polite = self
            .last_asked
            .map_or(after, |last| after.max(last + LEAST_APART));
        let is_well = self.failures == 0 && self.silence.is_none();
        let is_unheard = self.last_asked.is_some_and(|last| last < hush.to);
        if hush.holds(self.due) {
            polite
        } else if is_well && is_unheard {
            self.due.min(polite)
        } else {
            self.due
        }
    }

    /// Whether its requests must leave in time to be worth most.
    pub fn is_aimed(&self) -> bool {
        self.edge.is_some()
    }

    /// Has other turns from now on. A burst, a back-off and a wait for which the server asked go on as they are, and end with these.
    pub fn follow(&mut self, turns: Turns, now: Raw) {
        let turns = Turns {
            poll: turns.poll.max(self.pace.poll),
            ..turns
        };
        let before = std::mem::replace(&mut self.turns, turns);
        let Some(last) = self.last_due.filter(|_| turns != before) else {
            return;
        };
        if self.is_out || self.burst > 0 || self.failures > 0 || self.due <= now {
            return;
        }
        let allowed = last + self.pace.poll;
        let next = match &self.edge {
            // The last one may have been moved to after its turn.
            Some(edge) => {
                let near_turn = self.turn_from(now.max(allowed - MOVED)) - MOVED;
                edge.aim(near_turn.max(allowed), None)
            }
            None => self.turn_from(now.max(allowed)),
        };
        // What is due sooner than a poll was woken, or is the first turn after a burst.
        self.due = if turns.poll < before.poll || self.due < allowed {
            next.min(self.due)
        } else {
            next
        };
    }

    /// Asks again as soon as manners allow, and begins a new burst: history is gone, or there is reason to hope that what failed
    /// will work. Whoever decides the turns has made them new before, and told them if they changed; it may be that they are taken
    /// first, or after this.
    pub fn wake(&mut self, now: Raw) {
        self.failures = 0;
        self.burst = quick(&self.pace);
        self.is_hasty = true;
        if let Some(edge) = &mut self.edge {
            edge.forget();
        }
        let polite = self
            .last_asked
            .map_or(now, |last| now.max(last + LEAST_APART));
        let allowed = self.silence.map_or(polite, |silence| polite.max(silence));
        self.due = self.due.min(allowed);
    }

    /// Takes the result of the exchange that `ticket` stood for. A ticket of another source or time is ignored.
    pub fn completed(&mut self, ticket: Ticket, now: Raw, result: Result<Exchange, Failure>) {
        if !self.is_out || ticket.0 != self.serial {
            return;
        }
        self.is_out = false;
        self.serial += 1;
        match result {
            Ok(exchange) => {
                self.failures = 0;
                self.silence = None;
                if self.edge.is_none() && exchange.whole() > Span::ZERO {
                    // Nobody had said so.
                    self.pace.coarse = true;
                    self.edge = Some(Edge::default());
                    self.burst = quick(&self.pace);
                    self.is_hasty = true;
                }
                self.due = match self.edge.take() {
                    Some(mut edge) => {
                        let due = self.aimed(&mut edge, &exchange, now);
                        self.edge = Some(edge);
                        due
                    }
                    None if self.burst > 0 => {
                        self.burst -= 1;
                        now + BURST_APART.min(self.pace.poll)
                    }
                    None => self.turn_after(now),
                };
                self.end_poll(Report::Sample(exchange));
            }
            Err(failure) if failure.connection == Aftermath::Stale && !self.retried => {
                self.retried = true;
                self.queue.push_back(Action::Close);
            }
            Err(failure) => {
                self.failures = self.failures.saturating_add(1);
                let asked = failure
                    .retry_after
                    .unwrap_or(Span::ZERO)
                    .min(MAX_RETRY_AFTER);
                self.silence = failure.retry_after.map(|_| now + asked);
                self.due = now + self.back_off().max(asked);
                if failure.connection != Aftermath::Usable {
                    self.queue.push_back(Action::Close);
                }
                let Failure { fault, reason, .. } = failure;
                self.end_poll(Report::Missed { fault, reason });
            }
        }
    }

    /// Takes back the ticket of an exchange that was a question before the measurement: what follows it is asked as soon as manners
    /// allow, and the poll has not ended.
    pub fn goes_on(&mut self, ticket: Ticket, now: Raw) {
        if !self.is_out || ticket.0 != self.serial {
            return;
        }
        self.is_out = false;
        self.serial += 1;
        self.retried = false;
        self.due = now + LEAST_APART;
    }

    fn end_poll(&mut self, report: Report) {
        self.retried = false;
        self.queue.push_back(Action::Report(report));
    }

    /// The first turn that is not too near: a burst that ends late must not cost the next interval its turn.
    fn turn_after(&self, now: Raw) -> Raw {
        let near = Span::from_nanos(self.pace.poll.as_nanos() / NEAR);
        // That is more than a request is moved to before its turn: it has had that one.
        self.turn_from((now + near).max(self.due + LEAST_APART))
    }

    /// The first turn that is not before `earliest`.
    fn turn_from(&self, earliest: Raw) -> Raw {
        let poll = self.turns.poll.as_nanos().max(1);
        let part = i128::from(self.pace.phase.as_nanos()) * i128::from(self.turns.width.as_nanos());
        let within = part / i128::from(self.pace.poll.as_nanos().max(1));
        let place = self.turns.from + Span::from_nanos(i64::try_from(within).unwrap_or(0));
        let before = (earliest - place) - Span::from_nanos(1);
        let turns = before.as_nanos().div_euclid(poll).saturating_add(1);
        Raw::from_nanos(turns.saturating_mul(poll)) + place
    }

    /// When to ask after `exchange`, if it tells whole seconds: at once in a search, else near the next turn.
    fn aimed(&mut self, edge: &mut Edge, exchange: &Exchange, now: Raw) -> Raw {
        if let Some(hush) = &self.hush {
            edge.pass(hush, exchange);
        }
        edge.see(self.due, exchange);
        let near_turn = self.turn_after(now) - MOVED;
        let is_lost = edge.is_lost(now, near_turn);
        if edge.is_found(now) && !is_lost {
            self.burst = 0;
        } else if self.burst == 0 && is_lost && now >= self.next_search {
            self.burst = quick(&self.pace);
            self.is_hasty = false;
        }
        let last = self.last_asked.unwrap_or(now);
        if self.burst > 0 {
            self.burst -= 1;
            self.next_search = now + between_searches(&self.pace);
            if self.is_hasty {
                let polite = self.asked_before.map_or(now, |before| before + TWO_IN);
                return edge.aim(now.max(polite), Some(last + TWO_IN));
            }
            // One request for each second of the server's.
            let earliest = now.max(last + LEAST_APART);
            return edge.aim(earliest, Some(earliest + LEAST_APART.times(2)));
        }
        edge.aim(near_turn.max(last + LEAST_APART), None)
    }

    /// `poll` after the first failure, doubled with each further one up to `max_poll`, and up to a quarter more by chance,
    /// so that the clients of a server that was down do not come back all at once.
    fn back_off(&mut self) -> Span {
        let doublings = (self.failures - 1).min(32);
        let wait = self
            .pace
            .poll
            .times(1 << doublings)
            .min(self.pace.max_poll)
            .max(self.pace.poll);
        wait + Span::from_nanos((self.chance() % (wait.as_nanos().unsigned_abs() / 4 + 1)) as i64)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn chance(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// How long after a search what is lost may be searched for again.
fn between_searches(pace: &Pace) -> Span {
    let polls = pace.poll.times(POLLS_BETWEEN_SEARCHES);
    polls.min(MEMORY.half())
}

/// How many quick polls follow the first one.
fn quick(pace: &Pace) -> u32 {
    if pace.coarse && pace.burst > 0 {
        edge::QUICK
    } else {
        pace.burst
    }
}

#[cfg(test)]
mod tests;
