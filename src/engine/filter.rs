//! The filter of one source: what its exchanges of the last hour together say.
//!
//! Exchanges go in; for any instant it gives a [`Reading`]: the bound and the range of rates that they prove, and
//! the estimate inside. It judges nothing but contradiction within the source itself: when no line fits all it has
//! heard (the server or the route stepped), the oldest go until one does.

use super::bound::{Fit, Limits};
use super::estimate::{Estimate, Prior};
use super::exchange::Exchange;
use super::leap::Leap;
use super::passage::Passage;
use super::time::{Raw, Span};
use std::collections::VecDeque;

/// How long an exchange is remembered.
pub const MEMORY: Span = Span::from_secs(3_600);

/// Most exchanges that are remembered.
pub const CAPACITY: usize = 256;

/// The exchanges of one source, in the order in which they were completed.
#[derive(Debug, Default)]
pub struct Filter {
    history: VecDeque<Exchange>,
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
    /// What it last said of leap seconds, if anything.
    pub leap: Option<Leap>,
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
    /// Takes in one more exchange. One that was completed before the last is of no use and left out.
    pub fn add(&mut self, exchange: Exchange) {
        let last = self.history.back();
        if last.is_some_and(|last| exchange.received() <= last.received()) {
            return;
        }
        if self.history.len() == CAPACITY {
            self.history.pop_front();
        }
        self.history.push_back(exchange);
    }

    /// A leap second has passed: goes on with what is left of the exchanges after it.
    pub fn carry_over(&mut self, passage: &Passage) {
        let before = std::mem::take(self);
        for exchange in before.history {
            if let Some(exchange) = passage.carried(&exchange) {
                self.add(exchange);
            }
        }
    }

    /// What the exchanges completed by `at` say of that instant, with what was known of the rate before; `None` when there are
    /// none that are young enough.
    pub fn read(&mut self, at: Raw, prior: Prior) -> Option<Reading> {
        while self
            .history
            .front()
            .is_some_and(|oldest| at - oldest.received() > MEMORY)
        {
            self.history.pop_front();
        }
        let completed = self
            .history
            .partition_point(|exchange| exchange.received() <= at);
        let mut limits = Limits::new(self.history.range(..completed), at);
        let misfits = limits.misfits();
        limits.forget_first(misfits);
        self.history.drain(..misfits);

        let heard = self.history.range(..completed - misfits);
        let newest = heard.clone().next_back()?;
        let fit = limits.fit()?;
        Some(Reading {
            fit,
            estimate: Estimate::new(heard, &fit, prior, at)?,
            newest: newest.received(),
            delay: newest.delay(),
            leap: newest.leap(),
            misfits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Theta;

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
    fn memory_is_bounded() {
        let mut filter = Filter::default();
        for second in 0..1_000 {
            filter.add(exchange(second, 5));
        }
        assert_eq!(filter.history.len(), CAPACITY);
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

    #[test]
    fn an_answer_out_of_order_is_left_out() {
        let mut filter = Filter::default();
        filter.add(exchange(10, 5));
        filter.add(exchange(9, 700));
        assert_eq!(filter.history.len(), 1);
    }
}
