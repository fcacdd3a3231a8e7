//! A sink that keeps every sample, for tests.

use super::{Published, Reader, Sample, Sink, SinkError};
use std::sync::{Arc, Mutex};

/// Keeps every sample. Clones share what they keep: the test holds one, the code under test another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    samples: Vec<Sample>,
    failure: Option<SinkError>,
    reader: Option<Reader>,
}

impl Recorder {
    /// All samples so far.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.0.lock().expect("no panic").samples.clone()
    }

    /// From now on every sample is refused with `failure`, or taken when there is none.
    pub(crate) fn fail_with(&self, failure: Option<SinkError>) {
        self.0.lock().expect("no panic").failure = failure;
    }

    /// From now on this is said of whoever reads it.
    pub(crate) fn set_reader(&self, reader: Option<Reader>) {
        self.0.lock().expect("no panic").reader = reader;
    }
}

impl Sink for Recorder {
    fn publish(&mut self, sample: &Sample) -> Result<Published, SinkError> {
        let mut state = self.0.lock().expect("no panic");
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.samples.push(*sample);
        Ok(Published {
            output: "recorder".into(),
            reader: state.reader,
            notice: None,
        })
    }
}
