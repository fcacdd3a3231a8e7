//! The truth: universal time, and a raw clock that an imperfect oscillator drives and that stands still while the machine sleeps.
//!
//! Piecewise linear in integers of nanoseconds, so that every instant has one exact θ and both directions agree.

use crate::random::Random;
use webntpd::engine::bound::WANDER;
use webntpd::engine::time::{Rate, Raw, Span, Theta, Utc};

/// What the raw clock shows when a simulation begins.
const BOOT: Raw = Raw::from_nanos(1_234_567_891_011);

/// When a simulation begins.
const EPOCH: Utc = Utc::from_secs(1_800_000_000);

/// The rate is constant for this long.
const PIECE_S: f64 = 10.0;

/// What an oscillator does; times in seconds of the raw clock from the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Habits {
    /// Rate at the start (ppm of θ: positive when the raw clock runs slow).
    pub(crate) rate_ppm: f64,
    /// Random walk of the rate: standard deviation after 1000 s.
    pub(crate) wander_ppm: f64,
    /// Amplitude of a wave of the rate with a period of an hour.
    pub(crate) wave_ppm: f64,
    /// The rate changes at once, by so many ppm.
    pub(crate) steps: Vec<(f64, f64)>,
    /// The clock stands still, for so many seconds.
    pub(crate) sleeps: Vec<(f64, f64)>,
    /// The same without a trace in any other clock of the machine, as when the host halts a virtual one.
    pub(crate) halts: Vec<(f64, f64)>,
}

impl Habits {
    /// A usual one: up to 50 ppm off, 0.02 ppm of wander in 1000 s, a wave of 0.1 ppm.
    pub(crate) fn usual(random: &mut Random) -> Self {
        Self {
            rate_ppm: random.within(-50.0, 50.0),
            wander_ppm: 0.02,
            wave_ppm: 0.1,
            ..Self::default()
        }
    }
}

#[derive(Debug)]
pub(crate) struct Oscillator {
    pieces: Vec<Piece>,
    midnight: Option<Midnight>,
}

/// The end of the last day of a June or December.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Midnight {
    pub(crate) utc: Utc,
    /// When clocks come to where a second is inserted or left out.
    pub(crate) raw: Raw,
    /// 1 for a second that is inserted, −1 for one that is left out, 0 for none.
    pub(crate) step: i8,
}

impl Midnight {
    /// What clocks show more from then on.
    pub(crate) fn shift(&self) -> Span {
        Span::from_secs(-i64::from(self.step))
    }

    /// Whether an instant is within a second of the leap second.
    pub(crate) fn is_near(&self, raw: Raw) -> bool {
        let second = Span::from_secs(1);
        let ends = self.raw + second.times(1 + i64::from(self.step.max(0)));
        self.step != 0 && self.raw - second < raw && raw < ends
    }
}

/// θ from an instant on.
#[derive(Clone, Copy, Debug)]
struct Piece {
    raw: Raw,
    theta: Theta,
    rate: Rate,
    /// All the sleep so far.
    slept: Span,
}

impl Oscillator {
    /// The first `length_s` seconds of an oscillator's life; it goes on as it ends.
    pub(crate) fn new(habits: &Habits, length_s: f64, mut random: Random) -> Self {
        let mut edges: Vec<f64> = (0..=(length_s / PIECE_S) as usize)
            .map(|k| k as f64 * PIECE_S)
            .chain(habits.steps.iter().map(|(at, _)| *at))
            .chain(habits.sleeps.iter().map(|(at, _)| *at))
            .chain(habits.halts.iter().map(|(at, _)| *at))
            .collect();
        edges.sort_by(f64::total_cmp);
        edges.dedup();

        let mut pieces: Vec<Piece> = Vec::with_capacity(edges.len());
        let (mut drifting_ppm, mut last_s) = (habits.rate_ppm, 0.0);
        for edge_s in edges {
            drifting_ppm +=
                habits.wander_ppm * ((edge_s - last_s) / 1_000.0).sqrt() * random.gauss();
            last_s = edge_s;
            let at_edge = |events: &[(f64, f64)]| {
                let these = events.iter().filter(|(at, _)| *at == edge_s);
                these.map(|(_, amount)| amount).sum::<f64>()
            };
            drifting_ppm += at_edge(&habits.steps);
            let wave = habits.wave_ppm * (std::f64::consts::TAU * edge_s / 3_600.0).sin();
            let asleep = Span::from_secs_f64(at_edge(&habits.sleeps));
            let halted = Span::from_secs_f64(at_edge(&habits.halts));
            let raw = BOOT + Span::from_secs_f64(edge_s);
            let (theta, slept) = pieces.last().map_or((EPOCH - BOOT, Span::ZERO), |last| {
                (last.theta_at(raw) + asleep + halted, last.slept + asleep)
            });
            pieces.push(Piece {
                raw,
                theta,
                rate: Rate::from_ppt(((drifting_ppm + wave) * 1e6).round() as i64),
                slept,
            });
        }
        Self {
            pieces,
            midnight: None,
        }
    }

    /// The same at another date, `at_s` seconds before the last day of 2016 ends, with the leap second that is named.
    pub(crate) fn with_midnight(mut self, at_s: f64, step: i8) -> Self {
        let utc = Utc::from_secs(1_483_228_800);
        let raw = BOOT + Span::from_secs_f64(at_s);
        let edge = if step < 0 {
            utc - Span::from_secs(1)
        } else {
            utc
        };
        let later = edge - self.utc(raw);
        for piece in &mut self.pieces {
            piece.theta = piece.theta + later;
        }
        self.midnight = Some(Midnight { utc, raw, step });
        self
    }

    pub(crate) fn midnight(&self) -> Option<Midnight> {
        self.midnight
    }

    /// When the simulation begins.
    pub(crate) fn start() -> Raw {
        BOOT
    }

    /// The true θ.
    pub(crate) fn theta(&self, raw: Raw) -> Theta {
        let leapt = self.midnight.filter(|midnight| raw >= midnight.raw);
        self.steady_theta(raw) + leapt.map_or(Span::ZERO, |midnight| midnight.shift())
    }

    /// The true θ if there were no leap second.
    fn steady_theta(&self, raw: Raw) -> Theta {
        self.piece(raw).theta_at(raw)
    }

    /// The true time, which knows of no leap second.
    pub(crate) fn utc(&self, raw: Raw) -> Utc {
        raw + self.steady_theta(raw)
    }

    /// How long the machine has slept so far.
    pub(crate) fn slept(&self, raw: Raw) -> Span {
        self.piece(raw).slept
    }

    /// What the raw clock shows first at or after the true time `utc`; during a sleep, what it shows afterwards.
    pub(crate) fn raw(&self, utc: Utc) -> Raw {
        let after = self
            .pieces
            .partition_point(|piece| piece.raw + piece.theta <= utc);
        let piece = self.pieces[after.saturating_sub(1)];
        let since = utc - (piece.raw + piece.theta);
        // Second order is left out: with 100 ppm over 10 s, 0.1 µs; the search below makes it exact.
        let mut raw = piece.raw + since - piece.rate.over(since);
        while raw + piece.theta_at(raw) < utc {
            raw = raw + (utc - (raw + piece.theta_at(raw)));
        }
        self.pieces.get(after).map_or(raw, |next| raw.min(next.raw))
    }

    /// Whether the bound's model of oscillators holds for what is remembered at `now` and was measured after `since`: one line
    /// through the true θ now is nowhere further off the past than [`WANDER`] allows.
    pub(crate) fn is_within_model(&self, since: Raw, now: Raw) -> bool {
        let theta = self.steady_theta(now);
        let current = self.piece(now).rate.as_ppt() as f64 / 1e12;
        let (mut least, mut most) = (current, current);
        let remembered = self.pieces.iter().filter(|piece| {
            since < piece.raw && piece.raw < now && now - piece.raw < Span::from_secs(3_700)
        });
        for piece in remembered {
            // The truth just before the edge, lest a sleep be overlooked, and just after it.
            for theta_then in [
                piece.theta,
                self.steady_theta(piece.raw - Span::from_nanos(1)),
            ] {
                let mean = (theta - theta_then).as_secs_f64() / (now - piece.raw).as_secs_f64();
                (least, most) = (least.min(mean), most.max(mean));
            }
        }
        most - least <= 2.0 * WANDER.as_ppt() as f64 / 1e12
    }

    fn piece(&self, raw: Raw) -> &Piece {
        let after = self.pieces.partition_point(|piece| piece.raw <= raw);
        &self.pieces[after.saturating_sub(1)]
    }
}

impl Piece {
    fn theta_at(&self, raw: Raw) -> Theta {
        self.theta + self.rate.over(raw - self.raw)
    }
}

#[test]
fn both_directions_agree_and_a_sleep_is_a_jump() {
    let habits = Habits {
        sleeps: vec![(35.5, 100.0)],
        steps: vec![(50.0, 2.0)],
        ..Habits::usual(&mut Random::new(7))
    };
    let clock = Oscillator::new(&habits, 100.0, Random::new(1));
    for ms in (0..150_000).step_by(137) {
        let raw = BOOT + Span::from_millis(ms);
        let back = clock.raw(clock.utc(raw));
        assert!(
            (back - raw).abs() <= Span::from_nanos(1),
            "{raw:?} {back:?}"
        );
    }
    let asleep = BOOT + Span::from_millis(35_500);
    let before = asleep - Span::from_nanos(1);
    assert_eq!(
        clock.slept(asleep) - clock.slept(before),
        Span::from_secs(100)
    );
    assert_eq!(clock.raw(clock.utc(before) + Span::from_secs(50)), asleep);
    assert!(!clock.is_within_model(BOOT, asleep + Span::from_secs(10)));
    assert!(clock.is_within_model(asleep, asleep + Span::from_secs(60)));
}
