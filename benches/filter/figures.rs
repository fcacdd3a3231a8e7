//! Figures of many errors.

/// Errors of one filter (seconds).
#[derive(Clone, Default)]
pub(crate) struct Errors(Vec<f64>);

impl Errors {
    pub(crate) fn add(&mut self, error_s: f64) {
        self.0.push(error_s.abs());
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Root mean square (milliseconds).
    pub(crate) fn rms_ms(&self) -> f64 {
        let sum: f64 = self.0.iter().map(|error| error * error).sum();
        1e3 * (sum / self.0.len().max(1) as f64).sqrt()
    }

    /// What one in a hundred exceeds (milliseconds).
    pub(crate) fn p99_ms(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        1e3 * sorted
            .get(sorted.len() * 99 / 100)
            .copied()
            .unwrap_or(f64::NAN)
    }
}

pub(crate) fn geometric_mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| {
        (sum + value.ln(), count + 1)
    });
    (sum / f64::from(count.max(1))).exp()
}
