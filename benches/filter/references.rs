//! Two filters from their published rules, each on a clock of perfect rate, so that an old offset is as good as when it was
//! measured: more than any real clock gives them.

use crate::scenario::Sample;

/// go-webntp: the mean of the offsets of those samples of a poll that took less than twice the least.
pub(crate) fn mean_of_quick_ones(poll: &[Sample]) -> Option<f64> {
    let least = poll.iter().map(|sample| sample.delay_s).reduce(f64::min)?;
    let quick = || poll.iter().filter(|sample| sample.delay_s < 2.0 * least);
    Some(quick().map(|sample| sample.error_s).sum::<f64>() / quick().count() as f64)
}

/// Stages of the shift register (NSTAGE of RFC 5905).
const STAGES: usize = 8;
/// Spike gate (SGATE).
const GATE: f64 = 3.0;
/// Rate at which dispersion grows (PHI).
const PHI: f64 = 15e-6;
/// Dispersion of what was never heard (MAXDISP), seconds.
const MAX_DISPERSION_S: f64 = 16.0;
/// Precision of the clocks (seconds).
const PRECISION_S: f64 = 1e-6;
/// Least increment of the root distance (MINDISP), seconds.
const MIN_DISPERSION_S: f64 = 0.005;

/// The clock filter of RFC 5905 §10.
#[derive(Clone, Default)]
pub(crate) struct ClockFilter {
    /// The newest last.
    stages: Vec<Stage>,
    pub(crate) peer: Option<Peer>,
}

#[derive(Clone, Copy)]
struct Stage {
    offset_s: f64,
    delay_s: f64,
    at_s: f64,
}

/// What the filter says of its server.
#[derive(Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) offset_s: f64,
    delay_s: f64,
    dispersion_s: f64,
    jitter_s: f64,
    at_s: f64,
}

impl ClockFilter {
    /// Takes in a sample at `now_s`, where the time between polls is `poll_s`.
    pub(crate) fn add(&mut self, sample: &Sample, now_s: f64, poll_s: f64) {
        if self.stages.len() == STAGES {
            self.stages.remove(0);
        }
        self.stages.push(Stage {
            offset_s: sample.error_s,
            delay_s: sample.delay_s,
            at_s: now_s,
        });
        let mut sorted = self.stages.clone();
        sorted.sort_by(|a, b| a.delay_s.total_cmp(&b.delay_s));
        let best = sorted[0];
        let aged = |stage: &Stage| PRECISION_S + PHI * (now_s - stage.at_s);
        let missing = (sorted.len()..STAGES).map(|_| MAX_DISPERSION_S);
        let dispersions = sorted.iter().map(aged).chain(missing);
        let dispersion_s = dispersions.rev_sum();
        let apart = sorted[1..]
            .iter()
            .map(|stage| (stage.offset_s - best.offset_s).powi(2));
        let jitter_s = (apart.sum::<f64>() / (sorted.len() - 1).max(1) as f64)
            .sqrt()
            .max(PRECISION_S);
        if let Some(peer) = &mut self.peer {
            // An old sample is never used again, nor one before it.
            if best.at_s <= peer.at_s {
                return;
            }
            // Popcorn spike suppressor.
            let is_spike = (best.offset_s - peer.offset_s).abs() > GATE * peer.jitter_s;
            if is_spike && best.at_s - peer.at_s < 2.0 * poll_s {
                peer.jitter_s = jitter_s;
                peer.dispersion_s = dispersion_s;
                return;
            }
        }
        self.peer = Some(Peer {
            offset_s: best.offset_s,
            delay_s: best.delay_s,
            dispersion_s,
            jitter_s,
            at_s: best.at_s,
        });
    }
}

/// Each half as much as the one before.
trait FadingSum {
    fn rev_sum(self) -> f64;
}

impl<I: Iterator<Item = f64>> FadingSum for I {
    fn rev_sum(self) -> f64 {
        let (sum, _) = self.fold((0.0, 0.5), |(sum, part), dispersion| {
            (sum + part * dispersion, 0.5 * part)
        });
        sum
    }
}

/// RFC 5905 §11.2.3: weighted by the inverse of the root distance. All servers here are honest and no more than three, so
/// §11.2.1 and §11.2.2 leave out none of them.
pub(crate) fn combined(filters: &[ClockFilter], now_s: f64) -> Option<f64> {
    let peers = || filters.iter().filter_map(|filter| filter.peer.as_ref());
    peers().next()?;
    let weight = |peer: &Peer| {
        let distance = (peer.delay_s / 2.0).max(MIN_DISPERSION_S)
            + peer.dispersion_s
            + PHI * (now_s - peer.at_s)
            + peer.jitter_s;
        1.0 / distance
    };
    let total: f64 = peers().map(weight).sum();
    Some(
        peers()
            .map(|peer| weight(peer) * peer.offset_s)
            .sum::<f64>()
            / total,
    )
}
