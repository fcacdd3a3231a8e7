//! The filter of one source: what its exchanges of the last hour together say.
//!
//! Exchanges go in; for any instant it gives a [`Reading`]: the bound and the range of rates that they prove, and
//! the estimate inside. It judges nothing but contradiction within the source itself: when no line fits all it has
//! heard (the server or the route stepped), the oldest go until one does.

use super::bound::{Fit, Interval, Limits, above, below};
use super::estimate::{Estimate, Prior};
use super::exchange::Exchange;
use super::hull::Hull;
use super::leap::Leap;
use super::passage::Passage;
use super::route::Detour;
use super::time::{Raw, Span};
use std::collections::VecDeque;

/// How long an exchange is remembered.
pub const MEMORY: Span = Span::from_secs(3_600);

/// Most exchanges that are remembered: 17 minutes of a source that is asked every second. In `benches/filter` that halves its errors
/// against 256, for three times the cost; sources that are asked every 4 s or less often are remembered for the hour.
pub const CAPACITY: usize = 1_024;

/// So many of the newest exchanges tell whether whole seconds are all that a server tells. One alone may do so by chance, where the
/// noughts at the end of a number are left out.
const TELLING: usize = 4;

/// The exchanges of one source, in the order in which they were completed.
#[derive(Debug, Default)]
pub struct Filter {
    heard: VecDeque<Exchange>,
    /// How many of them are in the hulls: those that were completed by the last reading.
    hulled: usize,
    /// Which of these can matter to the bound.
    above: Hull,
    below: Hull,
    /// What is known of the present route, found when the newest exchange was this one.
    detour: Option<Detour>,
    known_by: Option<Raw>,
    stepped: Option<Interval<Raw>>,
}

/// What one source says of one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What must be true if the source is honest.
    pub fit: Fit,
    /// The best guess.
    pub estimate: Estimate,
    /// When its newest exchange was completed.
    pub newest: Raw,
    /// The newest exchange's delay.
    pub delay: Span,
    /// What its newest exchange said of leap seconds, if anything. What it said before is not kept: a server that has lost touch with the
    /// world ceases to tell.
    pub leap: Option<Leap>,
    /// Whether all of its newest exchanges tell whole seconds only.
    pub whole: bool,
    /// How many exchanges were dropped just now because no line fits them and the newer ones.
    pub misfits: usize,
}

impl Reading {
    /// The greatest error of the estimate if the source is honest.
    pub fn error(&self) -> Span {
        self.fit.bound.error_of(self.estimate.theta)
    }
}

impl Filter {
    /// Takes in one more exchange. One that was begun or completed before the last is of no use and left out.
    pub fn add(&mut self, exchange: Exchange) {
        let is_late = |last: &Exchange| {
            exchange.received() <= last.received() || exchange.sent() < last.sent()
        };
        if self.heard.back().is_some_and(is_late) {
            return;
        }
        if self.heard.len() == CAPACITY {
            self.forget(1);
        }
        self.heard.push_back(exchange);
    }

    /// A leap second has passed: goes on with what is left of the exchanges after it.
    pub fn carry_over(&mut self, passage: &Passage) {
        let before = std::mem::take(self);
        self.detour = before.detour;
        for exchange in before.heard {
            if let Some(exchange) = passage.carried(&exchange) {
                self.add(exchange);
            }
        }
    }

    /// Whether anything is remembered that began before `instant`, and whether any of that warned of a leap second.
    pub(super) fn before(&self, instant: Raw) -> (bool, bool) {
        let mut older = self.heard.iter().filter(|it| it.sent() < instant);
        let warns = |exchange: &Exchange| exchange.leap().unwrap_or_default() != Leap::None;
        (older.clone().next().is_some(), older.any(warns))
    }

    /// What the exchanges completed by `at` say of that instant, with what was known of the rate before; `None` when there are
    /// none that are young enough.
    pub fn read(&mut self, at: Raw, prior: Prior) -> Option<Reading> {
        let is_old = |oldest: &Exchange| at - oldest.received() > MEMORY;
        while self.heard.front().is_some_and(is_old) {
            self.forget(1);
        }
        let completed = self.hull(at);
        let mut misfits = 0;
        let fit = self.fit(at).or_else(|| {
            misfits = Limits::new(self.heard.range(..completed), at).misfits();
            self.stepped = self.step(misfits, completed).or(self.stepped);
            self.detour = None;
            self.forget(misfits);
            self.fit(at)
        })?;
        let heard = self.heard.range(..self.hulled);
        let newest = *heard.clone().next_back()?;
        let (estimate, detour) = Estimate::along(heard.clone(), &fit, prior, self.detour, at)?;
        // Only what is new teaches: how often it is read does not matter.
        if self.known_by.replace(newest.received()) != Some(newest.received()) {
            self.detour = detour;
        }
        Some(Reading {
            fit,
            estimate,
            newest: newest.received(),
            delay: newest.delay(),
            leap: newest.leap(),
            whole: heard
                .rev()
                .take(TELLING)
                .all(|exchange| exchange.whole() > Span::ZERO),
            misfits,
        })
    }

    /// Between which instants its time stepped last, against the raw clock. Not before the beginning of the newest exchange that had to
    /// go, even if that was noticed only after some more; not after what it was noticed by.
    pub(super) fn stepped(&self) -> Option<Interval<Raw>> {
        self.stepped
    }

    /// The same if so many of the `completed` exchanges have to go now. When it is the rate that changed, few do.
    fn step(&self, misfits: usize, completed: usize) -> Option<Interval<Raw>> {
        let last_before = self.heard.get(misfits.checked_sub(1)?)?;
        let newest = self.heard.get(completed.checked_sub(1)?)?;
        (2 * misfits >= completed).then(|| Interval {
            lo: last_before.sent(),
            hi: newest.received(),
        })
    }

    /// The lines through all that is in the hulls.
    fn fit(&self, at: Raw) -> Option<Fit> {
        let of = |hull: &Hull| {
            hull.places()
                .map(|place| &self.heard[place])
                .collect::<Vec<_>>()
        };
        let (above, below) = (of(&self.above), of(&self.below));
        Limits::of(above.into_iter(), below.into_iter(), at).fit()
    }

    /// Puts into the hulls what was completed by `at`, and nothing else; gives the number.
    fn hull(&mut self, at: Raw) -> usize {
        let completed = self
            .heard
            .partition_point(|exchange| exchange.received() <= at);
        if completed < self.hulled {
            self.forget_hulls();
        }
        for place in self.hulled..completed {
            self.above.push(place, |place| above(&self.heard[place]));
            self.below.push(place, |place| below(&self.heard[place]));
        }
        self.hulled = completed;
        completed
    }

    /// Must follow whatever changes exchanges that are there already: the hulls are found anew.
    fn forget_hulls(&mut self) {
        self.hulled = 0;
        (self.above, self.below) = (Hull::default(), Hull::default());
    }

    /// Drops so many of the oldest.
    fn forget(&mut self, count: usize) {
        for _ in 0..count {
            if self.hulled > 0 {
                self.above
                    .pop(self.hulled, |place| above(&self.heard[place]));
                self.below
                    .pop(self.hulled, |place| below(&self.heard[place]));
                self.hulled -= 1;
            }
            self.heard.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::route::Bias;
    use crate::engine::time::{Rate, Theta};
    use proptest::prelude::*;

    fn exchange(second: i64, theta_ms: i64) -> Exchange {
        let sent = Raw::from_nanos(second * 1_000_000_000);
        let received = sent + Span::from_millis(2);
        let stamp = sent + Theta::from_nanos(theta_ms * 1_000_000) + Span::from_millis(1);
        Exchange::new(sent, received, stamp, stamp, None).expect("possible")
    }

    fn at(second: i64) -> Raw {
        Raw::from_nanos(second * 1_000_000_000)
    }

    #[test]
    fn what_is_completed_later_is_not_used() {
        let mut filter = Filter::default();
        filter.add(exchange(10, 5));
        filter.add(exchange(20, 5));
        assert_eq!(filter.read(at(9), Prior::default()), None);
        let reading = filter
            .read(at(15), Prior::default())
            .expect("one exchange is there");
        assert!(reading.newest < at(11));
        assert!(
            filter
                .read(at(21), Prior::default())
                .expect("two are there")
                .newest
                > at(20)
        );
    }

    #[test]
    fn an_exchange_is_forgotten_after_an_hour() {
        let mut filter = Filter::default();
        filter.add(exchange(0, 5));
        assert!(filter.read(at(3_600), Prior::default()).is_some());
        assert!(filter.read(at(3_601), Prior::default()).is_none());
    }

    #[test]
    fn who_tells_whole_seconds_every_time_tells_no_more() {
        let whole = |second: i64| {
            let sent = at(second);
            let stamp = sent + Theta::from_nanos(0);
            let later = stamp + Span::from_secs(1);
            Exchange::new(sent, sent + Span::from_millis(2), later, stamp, None).expect("possible")
        };
        let says = |filter: &mut Filter, second| {
            let reading = filter.read(at(second), Prior::default());
            reading.expect("some are there").whole
        };
        let mut filter = Filter::default();
        filter.add(exchange(0, 0));
        assert!(!says(&mut filter, 1));
        for second in 2..5 {
            filter.add(whole(second));
        }
        assert!(!says(&mut filter, 5));
        filter.add(whole(6));
        assert!(says(&mut filter, 7));
        filter.add(exchange(8, 0));
        assert!(!says(&mut filter, 9));
    }

    #[test]
    fn of_leap_seconds_it_says_what_the_newest_exchange_did() {
        let mut filter = Filter::default();
        let says = |filter: &mut Filter, second| {
            let reading = filter.read(at(second), Prior::default());
            reading.expect("some are there").leap
        };
        for (second, leap) in [(0, Some(Leap::Insert)), (10, Some(Leap::None)), (20, None)] {
            let exchange = exchange(second, 5);
            let (sent, received) = (exchange.sent(), exchange.received());
            let stamps = (exchange.arrived_before(), exchange.departed_after());
            let exchange = Exchange::new(sent, received, stamps.0, stamps.1, leap);
            filter.add(exchange.expect("possible"));
            assert_eq!(says(&mut filter, second + 1), leap);
        }
    }

    #[test]
    fn what_is_known_of_the_route_is_kept_when_a_leap_second_passes() {
        let detour = Detour {
            least: Span::from_millis(2),
            longer: 0.001,
            bias: Bias::of_longer(0.001),
        };
        for shift in [Some(Span::from_secs(-1)), None] {
            let mut filter = Filter {
                detour: Some(detour),
                ..Filter::default()
            };
            filter.add(exchange(0, 5));
            filter.carry_over(&Passage::made_up(shift, at(10), at(13)));
            assert_eq!(filter.detour, Some(detour));
            assert_eq!(filter.heard.len(), usize::from(shift.is_some()));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut filter = Filter::default();
        for second in 0..2_000 {
            filter.add(exchange(second, 5));
        }
        assert_eq!(filter.heard.len(), CAPACITY);
    }

    #[test]
    fn a_server_that_stepped_is_believed_anew_and_told_once() {
        let mut filter = Filter::default();
        for second in 0..30 {
            filter.add(exchange(second, 5));
        }
        filter.add(exchange(30, 900));
        let reading = filter
            .read(at(31), Prior::default())
            .expect("the new one is there");
        assert_eq!(reading.misfits, 30);
        assert!(reading.fit.bound.lo > Theta::from_nanos(890_000_000));
        assert_eq!(
            filter
                .read(at(31), Prior::default())
                .expect("still there")
                .misfits,
            0
        );
    }

    /// Asks every 16 s for two hours, by a way up that is 30 ms longer from the `first` exchange on, the quickest one being the one before;
    /// how far the estimate is off at the end, and what it says of that (ms).
    fn off_after_a_detour(first: i64) -> (f64, f64) {
        let mut filter = Filter::default();
        let mut reading = None;
        for k in 0..450 {
            let queue = |factor: i64| Span::from_micros(100 + k * factor % 199 * 10);
            let (mut up, mut down) = (queue(83), queue(151));
            if k == first - 1 {
                (up, down) = (Span::ZERO, Span::ZERO);
            }
            let longer = Span::from_millis(if k < first { 0 } else { 30 });
            let sent = at(16 * k);
            let arrival = sent + Span::from_millis(10) + longer + up;
            let stamp = arrival + Theta::from_nanos(0);
            let received = arrival + Span::from_millis(10) + down;
            filter.add(Exchange::new(sent, received, stamp, stamp, None).expect("possible"));
            reading = filter.read(at(16 * k + 15), Prior::default());
        }
        let estimate = reading.expect("there are many").estimate;
        let ms = |span: Span| 1e3 * span.as_secs_f64();
        (
            ms(estimate.theta - Theta::from_nanos(0)),
            ms(estimate.error),
        )
    }

    #[test]
    fn a_detour_is_known_as_such_when_all_exchanges_by_the_shorter_route_are_forgotten() {
        let (off, error) = off_after_a_detour(150);
        assert!(
            off.abs() < 0.5,
            "{off} ms: the middles are off by 15 ms, and it was known"
        );
        assert!(off.abs() < 3.0 * error, "{off} ± {error} ms");
    }

    #[test]
    fn a_detour_is_known_as_such_even_if_it_began_after_a_few_minutes() {
        let (off, error) = off_after_a_detour(18);
        assert!(off.abs() < 2.0, "{off} ± {error} ms");
        assert!(off.abs() < 3.0 * error, "{off} ± {error} ms");
    }

    #[test]
    fn an_answer_out_of_order_is_left_out() {
        let mut filter = Filter::default();
        filter.add(exchange(10, 5));
        filter.add(exchange(9, 700));
        assert_eq!(filter.heard.len(), 1);
    }

    proptest! {
        #[test]
        fn the_bound_is_that_of_all_limits_whatever_came_and_left_and_did_not_fit(
            polls in prop::collection::vec((1i64..400, 1i64..20_000, 1i64..20_000, 0u8..30, 0i64..30), 1..200),
            ppb in -300_000i64..300_000,
        ) {
            let (mut filter, mut all) = (Filter::default(), Vec::<Exchange>::new());
            let (mut sent, mut stepped) = (at(0), Span::ZERO);
            for (wait, up, down, luck, late) in polls {
                sent = sent + Span::from_secs(wait);
                if luck == 0 {
                    stepped += Span::from_millis(up);
                }
                let arrival = sent + Span::from_micros(up);
                let ahead = Rate::from_ppb(ppb).over(arrival - at(0)) + stepped;
                let stamp = arrival + Theta::from_nanos(ahead.as_nanos());
                let exchange = Exchange::new(sent, arrival + Span::from_micros(down), stamp, stamp, None);
                let exchange = exchange.expect("possible");
                filter.add(exchange);
                all.push(exchange);
                if luck < 9 {
                    continue;
                }
                // Now and then before the last one was completed.
                let now = sent + Span::from_millis(late);
                all.retain(|exchange| now - exchange.received() <= MEMORY);
                all.drain(..all.len().saturating_sub(CAPACITY));
                let completed = all.partition_point(|exchange| exchange.received() <= now);
                let misfits = Limits::new(all[..completed].iter(), now).misfits();
                all.drain(..misfits);
                let expected = Limits::new(all[..completed - misfits].iter(), now).fit();
                let reading = filter.read(now, Prior::default());
                prop_assert_eq!(reading.map(|reading| (reading.fit, reading.misfits)), expected.map(|fit| (fit, misfits)));
                prop_assert_eq!(filter.heard.len(), all.len());
            }
        }
    }
}
