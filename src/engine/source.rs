//! The state machine of one source: when to ask, when to give up a connection, when to wait longer.
//!
//! The driver (the poller) asks [`Source::next`] what to do, does it, and asks again. After [`Action::Exchange`] it
//! hands the ticket back with the result by [`Source::completed`], and only then asks again. The machine does no IO and
//! reads no clock: `now` and a seed are given to it. Where a server tells whole seconds only, [`Edge`] says when a request is worth most.

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
const TWO_IN: Span = Span::from_millis(950);

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

/// How a poll ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// With a sample.
    Sample(Exchange),
    /// With none.
    Missed {
        /// Who can do something about it.
        fault: Fault,
        /// Why, in words for the operator.
        reason: String,
    },
}

/// Who can do something about a poll that gave no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Whoever runs the network: no name, no way, no answer in time.
    Network,
    /// Whoever runs the server's certificates, or somebody in between.
    Tls,
    /// Whoever runs the server, or a cache or portal in front of it: what came is not used.
    Server,
    /// Whoever runs this machine.
    Local,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Network, Self::Tls, Self::Server, Self::Local];

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Tls => "tls",
            Self::Server => "server",
            Self::Local => "local",
        }
    }
}

/// The right to complete one exchange, once.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// Why an exchange gave no sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who can do something about it.
    pub fault: Fault,
    /// The cause, in words for the operator.
    pub reason: String,
    /// What is left of the connection.
    pub connection: Aftermath,
    /// How long the server asks to be left alone, if it does.
    pub retry_after: Option<Span>,
}

/// What an exchange that failed leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// A connection that can be used again.
    Usable,
    /// None, or one that cannot be used again.
    Broken,
    /// None: the server had closed the kept connection, as servers do, before it was asked. A new one is worth a try at once.
    Stale,
}

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
mod tests {
    mod turns;

    use super::*;
    use crate::engine::time::Utc;

    const PACE: Pace = Pace {
        poll: Span::from_secs(16),
        max_poll: Span::from_secs(64),
        phase: Span::from_secs(5),
        burst: 0,
        coarse: false,
    };

    fn at(seconds: i64) -> Raw {
        Raw::from_nanos(0) + Span::from_secs(seconds)
    }

    fn exchange(now: Raw) -> Exchange {
        Exchange::new(now, now, Utc::from_nanos(0), Utc::from_nanos(0), None).expect("possible")
    }

    fn failure(connection: Aftermath) -> Failure {
        Failure {
            fault: Fault::Network,
            reason: "no answer".into(),
            connection,
            retry_after: None,
        }
    }

    fn ask(source: &mut Source, now: Raw) -> Ticket {
        match source.next(now) {
            Action::Exchange(ticket) => ticket,
            other => panic!("an exchange is due, not {other:?}"),
        }
    }

    /// Lets an exchange begin and end now; what the machine wants then, up to and without the wait, and how long that is.
    fn poll(
        source: &mut Source,
        now: Raw,
        result: Result<Exchange, Failure>,
    ) -> (Vec<Action>, Span) {
        let ticket = ask(source, now);
        source.completed(ticket, now, result);
        let mut actions = Vec::new();
        loop {
            match source.next(now) {
                Action::Wait(until) => return (actions, until - now),
                action => actions.push(action),
            }
        }
    }

    #[test]
    fn the_first_poll_is_when_told_and_the_next_ones_at_the_sources_turns() {
        let mut source = Source::new(PACE, at(100), 1);
        assert_eq!(source.next(at(99)), Action::Wait(at(100)));
        let (actions, wait) = poll(&mut source, at(100), Ok(exchange(at(100))));
        assert_eq!(actions, [Action::Report(Report::Sample(exchange(at(100))))]);
        // Turns are at 5 s past multiples of 16 s; the next is that at 101 s.
        assert_eq!(wait, Span::from_secs(1));
        assert_eq!(
            poll(&mut source, at(101), Ok(exchange(at(101)))).1,
            Span::from_secs(16)
        );
    }

    #[test]
    fn nobody_is_asked_twice_in_a_second() {
        let pace = Pace {
            poll: Span::from_secs(1),
            phase: Span::from_millis(700),
            ..PACE
        };
        let mut source = Source::new(pace, at(0), 1);
        let first = poll(&mut source, at(0), Ok(exchange(at(0)))).1;
        assert_eq!(first, Span::from_millis(1_700));
        let late = at(0) + first + Span::from_millis(3);
        assert_eq!(
            poll(&mut source, late, Ok(exchange(late))).1,
            Span::from_millis(997),
            "turns are kept"
        );
    }

    #[test]
    fn failures_are_asked_ever_more_rarely_up_to_the_limit_and_never_sooner_than_a_poll() {
        let mut source = Source::new(PACE, at(0), 7);
        let mut now = at(0);
        for expected in [16, 32, 64, 64, 64] {
            let (actions, wait) = poll(&mut source, now, Err(failure(Aftermath::Usable)));
            assert_eq!(
                actions,
                [Action::Report(Report::Missed {
                    fault: Fault::Network,
                    reason: "no answer".into()
                })]
            );
            assert!(
                Span::from_secs(expected) <= wait && wait <= Span::from_secs(expected * 5 / 4),
                "{wait:?}"
            );
            now = now + wait;
        }
        let (_, wait) = poll(&mut source, now, Ok(exchange(now)));
        assert!(
            wait <= Span::from_secs(24),
            "a success ends the back-off: {wait:?}"
        );
    }

    #[test]
    fn the_jitter_depends_on_the_seed_alone() {
        let wait = |seed| {
            poll(
                &mut Source::new(PACE, at(0), seed),
                at(0),
                Err(failure(Aftermath::Usable)),
            )
            .1
        };
        assert_eq!(wait(1), wait(1));
        assert_ne!(wait(1), wait(2));
    }

    #[test]
    fn a_broken_connection_is_closed() {
        let (actions, _) = poll(
            &mut Source::new(PACE, at(0), 1),
            at(0),
            Err(failure(Aftermath::Broken)),
        );
        assert_eq!(actions[0], Action::Close);
        assert_eq!(actions.len(), 2);
    }

    #[test]
    fn a_stale_connection_is_replaced_at_once_but_only_once_in_a_poll() {
        let mut source = Source::new(PACE, at(0), 1);
        for _ in 0..3 {
            let now = source.due;
            let ticket = ask(&mut source, now);
            source.completed(ticket, now, Err(failure(Aftermath::Stale)));
            assert_eq!(source.next(now), Action::Close);
            let (actions, wait) = poll(&mut source, now, Err(failure(Aftermath::Stale)));
            assert_eq!(actions.len(), 2, "closed and reported");
            assert!(wait >= PACE.poll);
        }
    }

    #[test]
    fn the_server_is_left_alone_for_as_long_as_it_asks_within_reason() {
        let asked = |seconds| {
            let failure = Failure {
                retry_after: Some(Span::from_secs(seconds)),
                ..failure(Aftermath::Usable)
            };
            poll(&mut Source::new(PACE, at(0), 1), at(0), Err(failure)).1
        };
        assert_eq!(asked(300), Span::from_secs(300));
        assert_eq!(asked(i64::MAX), MAX_RETRY_AFTER);
        assert!(asked(-5) >= PACE.poll);
    }

    #[test]
    fn a_burst_follows_the_start_and_every_waking() {
        let pace = Pace { burst: 3, ..PACE };
        let mut source = Source::new(pace, at(0), 1);
        for second in [0, 2, 4] {
            assert_eq!(
                poll(&mut source, at(second), Ok(exchange(at(second)))).1,
                Span::from_secs(2)
            );
        }
        let (_, wait) = poll(&mut source, at(6), Ok(exchange(at(6))));
        assert_eq!(wait, Span::from_secs(15), "the burst is over");
        source.wake(at(7));
        assert_eq!(
            poll(&mut source, at(7), Ok(exchange(at(7)))).1,
            Span::from_secs(2)
        );
    }

    #[test]
    fn waking_ends_a_back_off_but_asks_no_server_twice_in_a_second() {
        let mut source = Source::new(PACE, at(0), 1);
        poll(&mut source, at(0), Err(failure(Aftermath::Broken)));
        let half = at(0) + Span::from_millis(500);
        source.wake(half);
        assert_eq!(source.next(half), Action::Wait(at(1)));
        source.wake(at(9));
        assert!(matches!(source.next(at(9)), Action::Exchange(_)));
    }

    #[test]
    fn waking_does_not_break_the_silence_that_a_server_asked_for() {
        let mut source = Source::new(PACE, at(0), 1);
        let busy = Failure {
            retry_after: Some(Span::from_secs(300)),
            ..failure(Aftermath::Usable)
        };
        poll(&mut source, at(0), Err(busy));
        source.wake(at(10));
        assert_eq!(source.next(at(10)), Action::Wait(at(300)));
    }

    #[test]
    fn waking_never_puts_a_poll_off() {
        let mut source = Source::new(PACE, at(0), 1);
        source.wake(at(-50));
        assert!(matches!(source.next(at(0)), Action::Exchange(_)));
    }

    #[test]
    fn what_follows_a_question_is_asked_a_second_later_and_failures_still_count() {
        let mut source = Source::new(PACE, at(0), 1);
        poll(&mut source, at(0), Err(failure(Aftermath::Usable)));
        let mut now = source.due;
        for _ in 0..3 {
            let ticket = ask(&mut source, now);
            source.goes_on(ticket, now);
            assert_eq!(source.next(now), Action::Wait(now + LEAST_APART));
            now = source.due;
        }
        let (_, wait) = poll(&mut source, now, Err(failure(Aftermath::Usable)));
        assert!(wait >= PACE.poll.times(2), "{wait:?}");
        let ticket = Ticket(source.serial);
        source.goes_on(ticket, now);
        assert!(source.due > now + LEAST_APART, "no such ticket is out");
    }

    #[test]
    fn waking_a_source_that_somebody_else_has_just_asked_asks_it_not_twice_in_a_second() {
        let mut source = Source::new(PACE, at(11), 1).asked_at(at(10));
        source.wake(at(10));
        assert_eq!(source.next(at(10)), Action::Wait(at(11)));
    }

    #[test]
    fn nobody_is_asked_in_a_silence_and_whatever_was_due_comes_some_time_after_it() {
        // The seed says that it comes two seconds after it.
        let mut source = Source::new(PACE, at(10), 2_000_000_000);
        let silence = Silence {
            from: at(9),
            to: at(12),
            shift: Span::ZERO,
        };
        source.hush(Some(silence));
        assert_eq!(source.next(at(8)), Action::Wait(at(14)));
        assert_eq!(source.next(at(10)), Action::Wait(at(14)));
        source.wake(at(11));
        for second in 11..14 {
            assert_eq!(source.next(at(second)), Action::Wait(at(14)));
        }
        assert!(matches!(source.next(at(14)), Action::Exchange(_)));
    }

    #[test]
    fn what_is_late_in_a_silence_comes_some_time_after_it_as_well() {
        let mut source = Source::new(PACE, at(8), 2_000_000_000);
        source.hush(Some(Silence {
            from: at(9),
            to: at(12),
            shift: Span::ZERO,
        }));
        assert_eq!(source.next(at(9)), Action::Wait(at(14)));
        assert_eq!(source.next(at(12)), Action::Wait(at(14)));
    }

    #[test]
    fn many_clients_do_not_come_back_from_a_silence_all_at_once() {
        let mut soonest = [0; 8];
        for seed in 0..800 {
            let mut source = Source::new(PACE, at(10), seed * 10_000_000);
            source.hush(Some(Silence {
                from: at(9),
                to: at(12),
                shift: Span::ZERO,
            }));
            let Action::Wait(until) = source.next(at(10)) else {
                panic!("it is silent");
            };
            soonest[((until - at(12)).as_nanos() / 1_000_000_000) as usize] += 1;
        }
        assert_eq!(soonest, [100; 8]);
    }

    #[test]
    fn a_back_off_goes_on_across_a_silence() {
        let mut source = Source::new(PACE, at(0), 0);
        source.hush(Some(Silence {
            from: at(5),
            to: at(8),
            shift: Span::ZERO,
        }));
        let (_, wait) = poll(&mut source, at(0), Err(failure(Aftermath::Broken)));
        assert!(wait >= PACE.poll, "{wait:?}");
    }

    #[test]
    fn soon_after_a_silence_the_server_is_asked_once_even_if_it_is_not_due() {
        let pace = Pace {
            poll: Span::from_secs(1_024),
            ..PACE
        };
        let mut source = Source::new(pace, at(0), 2_000_000_000);
        let silence = Silence {
            from: at(100),
            to: at(103),
            shift: Span::ZERO,
        };
        source.hush(Some(silence));
        let (_, wait) = poll(&mut source, at(0), Ok(exchange(at(0))));
        assert_eq!(wait, Span::from_secs(105));
        let (_, wait) = poll(&mut source, at(105), Ok(exchange(at(105))));
        assert!(wait > Span::from_secs(512), "{wait:?}");
        let busy = Failure {
            retry_after: Some(Span::from_secs(300)),
            ..failure(Aftermath::Usable)
        };
        let mut source = Source::new(pace, at(0), 1);
        source.hush(Some(silence));
        let (_, wait) = poll(&mut source, at(0), Err(busy));
        assert!(wait >= Span::from_secs(300), "it wants to be left alone");
    }

    #[test]
    fn a_ticket_is_good_once() {
        let mut source = Source::new(PACE, at(0), 1);
        let ticket = ask(&mut source, at(0));
        assert_eq!(
            source.next(at(0)),
            Action::Wait(at(0)),
            "one exchange at a time"
        );
        source.completed(Ticket(77), at(0), Ok(exchange(at(0))));
        assert!(source.is_out, "another one's ticket changes nothing");
        source.completed(ticket, at(0), Ok(exchange(at(0))));
        source.completed(Ticket(0), at(0), Ok(exchange(at(0))));
        assert_eq!(source.queue.len(), 1);
    }
}
