//! A source from the outside: a server, the way to it, and the connection kept to it, as a poller would find them.

use crate::oscillator::Oscillator;
use crate::path::Path;
use crate::random::Random;
use crate::server::Server;
use webntpd::engine::exchange::Exchange;
use webntpd::engine::source::{Aftermath, Failure, Fault};
use webntpd::engine::time::{Raw, Span};

/// The poller's deadline for one phase.
const DEADLINE: Span = Span::from_secs(5);

/// What is allowed for seconds that are told too late, as the protocol does.
const DATE_STALE: Span = Span::from_millis(20);
/// As the configuration has it.
const MAX_POLL: Span = Span::from_secs(64);

#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pub(crate) operator: String,
    pub(crate) poll: Span,
    pub(crate) max_poll: Span,
    pub(crate) coarse: bool,
    pub(crate) noselect: bool,
    pub(crate) path: Path,
    pub(crate) server: Server,
    /// How often its poller panics in the midst of an exchange.
    pub(crate) panics: f64,
    pub(crate) kept: Option<Kept>,
}

/// A connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    requests: u32,
    last_used: Raw,
}

/// How an exchange ends.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) done: Raw,
    pub(crate) result: Result<Exchange, Failure>,
}

impl Upstream {
    /// An honest one, run by whom its place in the list names.
    pub(crate) fn new(path: Path, server: Server) -> Self {
        Self {
            operator: String::new(),
            poll: Span::from_secs(16),
            max_poll: MAX_POLL,
            coarse: false,
            noselect: false,
            path,
            server,
            panics: 0.0,
            kept: None,
        }
    }

    pub(crate) fn honest(path: Path) -> Self {
        Self::new(path, Server::default())
    }

    pub(crate) fn polled_every(self, seconds: i64) -> Self {
        let poll = Span::from_secs(seconds);
        let max_poll = poll.max(MAX_POLL);
        Self {
            poll,
            max_poll,
            ..self
        }
    }

    /// As often as ever, however calm all is.
    pub(crate) fn at_a_fixed_poll(self) -> Self {
        Self {
            max_poll: self.poll,
            ..self
        }
    }

    pub(crate) fn run_by(self, operator: &str) -> Self {
        let operator = operator.to_owned();
        Self { operator, ..self }
    }

    /// A web server's `Date`: whole seconds.
    pub(crate) fn date(mut self) -> Self {
        self.coarse = true;
        self.server.digits = 0;
        self
    }

    /// Runs one exchange that begins `now`.
    pub(crate) fn exchange(
        &mut self,
        now: Raw,
        clock: &Oscillator,
        random: &mut Random,
    ) -> Outcome {
        let start = Oscillator::start();
        let at_s = (now - start).as_secs_f64();
        let after = |span: Span| now + span;
        if let Some(kept) = self.kept {
            let idle_s = (clock.utc(now) - clock.utc(kept.last_used)).as_secs_f64();
            if kept.requests >= self.server.requests_per_connection
                || idle_s > self.server.patience_s
            {
                return failed(after(random.lateness()), "closed", Aftermath::Stale);
            }
        }
        if self.path.is_out(at_s) {
            let waited = if random.happens(0.5) {
                DEADLINE
            } else {
                random.lateness()
            };
            return failed(after(waited), "unreachable", Aftermath::Broken);
        }
        let Some((up, down)) = self.path.delays(at_s, random) else {
            return failed(after(DEADLINE), "no answer in time", Aftermath::Broken);
        };
        if self.kept.is_none() && random.happens(self.server.slams) {
            return failed(after((up + down).times(4)), "closed", Aftermath::Stale);
        }
        // TCP, TLS, and then the exchange on its own.
        let handshake = if self.kept.is_none() {
            (up + down).times(3)
        } else {
            Span::ZERO
        };
        let sent = after(handshake);
        let arrival = clock.utc(sent + random.stamp_noise()) + up;
        let stay_s = self.server.stay_s;
        let stamped = arrival + Span::from_secs_f64(random.exponential(stay_s));
        let departure = stamped + Span::from_secs_f64(random.exponential(stay_s));
        let received = clock.raw(departure + down) + random.stamp_noise();

        if clock.slept(received) != clock.slept(now) && random.happens(0.5) {
            return failed(received, "connection reset", Aftermath::Broken);
        }
        if received - sent > DEADLINE {
            return failed(sent + DEADLINE, "no answer in time", Aftermath::Broken);
        }
        let kept = self.kept.get_or_insert(Kept {
            requests: 0,
            last_used: now,
        });
        kept.requests += 1;
        kept.last_used = received;
        if random.happens(self.server.refuses) {
            let mut refused = failed(received, "503", Aftermath::Usable);
            if let Err(failure) = &mut refused.result
                && random.happens(self.server.asks_for_silence)
            {
                failure.retry_after = Some(Span::from_secs(random.pick(600) as i64));
            }
            return refused;
        }
        let read = clock.raw(stamped);
        let midnight = clock.midnight();
        // All stamps of a reply are off by as much: a jump within one would be found out at once.
        let mut off = self.server.error(start, read) + self.server.leapt(midnight, read);
        let told = stamped + off;
        let leap = self.server.says(midnight, told);
        let since_s = f64::from(told.to_parts().1) / 1e9;
        if since_s < self.server.stale_s && since_s < self.server.stale_s * random.unit() {
            off = off - Span::from_secs(1);
        }
        let mut shown = self.server.bounds(
            [arrival, stamped, departure].map(|instant| instant + off),
            [up, down],
        );
        if self.coarse {
            shown.arrived_before = shown.arrived_before + DATE_STALE;
        }
        let exchange = Exchange::new(
            sent,
            received,
            shown.arrived_before,
            shown.departed_after,
            leap,
        );
        match exchange {
            Ok(exchange) => Outcome {
                done: received,
                result: Ok(exchange),
            },
            Err(impossible) => failed(received, &impossible.to_string(), Aftermath::Usable),
        }
    }
}

fn failed(done: Raw, reason: &str, connection: Aftermath) -> Outcome {
    Outcome {
        done,
        result: Err(Failure {
            fault: Fault::Network,
            reason: reason.to_owned(),
            connection,
            retry_after: None,
        }),
    }
}
