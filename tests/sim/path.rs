//! The way to a server and back: each direction with a delay of its own, queues with a heavy tail, loss, outages, other routes.

use crate::random::Random;
use webntpd::engine::time::Span;

/// One direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// Least delay.
    pub(crate) base_ms: f64,
    /// Mean of the everyday queue on top.
    pub(crate) queue_ms: f64,
    /// How often there is a heavy-tailed delay on top of that, which begins at four everyday queues.
    pub(crate) tail: f64,
}

/// Times in seconds from the start of the simulation.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) up: Way,
    pub(crate) down: Way,
    /// How often a packet is lost and sent again, or the whole connection with it.
    pub(crate) loss: f64,
    /// From, to: nothing gets through.
    pub(crate) outages: Vec<(f64, f64)>,
    /// From then on, what either way takes more (milliseconds).
    pub(crate) routes: Vec<(f64, f64, f64)>,
}

/// Longest that anything is in a queue.
const LONGEST_S: f64 = 4.0;

/// TCP sends again after this much (RFC 6298: at least 200 ms in practice).
const RETRANSMIT_S: f64 = 0.2;

impl Path {
    /// Delays of these, with queues of a tenth of them.
    pub(crate) fn of(up_ms: f64, down_ms: f64) -> Self {
        let way = |base_ms: f64| Way {
            base_ms,
            queue_ms: 0.1 * base_ms,
            tail: 0.03,
        };
        Self {
            up: way(up_ms),
            down: way(down_ms),
            loss: 0.003,
            outages: Vec::new(),
            routes: Vec::new(),
        }
    }

    /// Somewhere within 5 to 60 ms each way, not the same both ways.
    pub(crate) fn any(random: &mut Random) -> Self {
        let up_ms = random.within(5.0, 60.0);
        Self::of(up_ms, up_ms * random.within(0.7, 1.4))
    }

    pub(crate) fn is_out(&self, at_s: f64) -> bool {
        let during = |(from, to): &(f64, f64)| *from <= at_s && at_s < *to;
        self.outages.iter().any(during)
    }

    /// What each way takes a packet that leaves at `at_s`; `None` when it is lost for good.
    pub(crate) fn delays(&self, at_s: f64, random: &mut Random) -> Option<(Span, Span)> {
        let mut route = self.routes.iter().rev();
        let (_, more_up, more_down) = route
            .find(|(from, ..)| *from <= at_s)
            .copied()
            .unwrap_or_default();
        let (mut up_s, mut down_s) = (
            self.up.delay_s(random) + more_up / 1e3,
            self.down.delay_s(random) + more_down / 1e3,
        );
        if random.happens(self.loss) {
            match random.pick(3) {
                0 => up_s += RETRANSMIT_S,
                1 => down_s += RETRANSMIT_S,
                _ => return None,
            }
        }
        Some((Span::from_secs_f64(up_s), Span::from_secs_f64(down_s)))
    }
}

impl Way {
    fn delay_s(self, random: &mut Random) -> f64 {
        let queue_s = self.queue_ms / 1e3;
        let mut queued_s = random.exponential(queue_s);
        if random.happens(self.tail) {
            queued_s += random.pareto(4.0 * queue_s);
        }
        self.base_ms / 1e3 + queued_s.min(LONGEST_S)
    }
}
