//! Whether it is the raw clock that stepped, when sources contradict their own past.
//!
//! In: what every filter found out of its source, in this cycle or in an earlier one. Out: whether most stepped at one and the same time,
//! and whether there is reason to fear it and to hear the others. What follows from that is for the engine.

use super::bound::Interval;
use super::filter::{MEMORY, Reading};
use super::time::Raw;
use super::{Engine, SourceSettings, SourceState};
use std::collections::BTreeMap;

impl Engine {
    /// How many operators' sources contradict what they said before one and the same instant, if these are most of those that have a
    /// vote and more than one: then it is the raw clock that stepped against the rest of the world. Sources that are asked rarely show
    /// it one after the other.
    pub(super) fn stepped_together(&self, at: Raw, readings: &[Option<Reading>]) -> Option<usize> {
        let mut operators: BTreeMap<&str, Option<Interval<Raw>>> = BTreeMap::new();
        let mut is_news = false;
        for (settings, state, reading) in self.voters(readings) {
            let step = state.filter.stepped().filter(|step| at - step.hi <= MEMORY);
            is_news |= reading.misfits > 0;
            operators
                .entry(&settings.operator)
                .and_modify(|common| {
                    *common = common.zip(step).and_then(|(a, b)| a.intersection(&b));
                })
                .or_insert(step);
        }
        let steps = || operators.values().flatten();
        // Where most have an instant in common, one of them begins.
        let around = |instant: Raw| steps().filter(move |it| it.lo <= instant && instant <= it.hi);
        let stepped = steps().map(|step| around(step.lo).count()).max()?;
        (is_news && stepped > 1 && 2 * stepped > operators.len()).then_some(stepped)
    }

    /// Whether a source has just stepped that has not for long: it may be the first one to show that the raw clock did, and the others
    /// are to be heard soon. Who steps again and again is no reason to ask them more often.
    pub(super) fn is_alarmed(&mut self, at: Raw, readings: &[Option<Reading>]) -> bool {
        let configured = self.settings.sources.iter().zip(&mut self.sources);
        let mut is_alarmed = false;
        for ((settings, state), reading) in configured.zip(readings) {
            let newest = reading.filter(|reading| reading.misfits > 0);
            let found = newest.map(|reading| reading.newest);
            let step = state.filter.stepped().map(|step| step.hi);
            if !settings.noselect && found.is_some() && step == found {
                let last = state.stepped.replace(at);
                is_alarmed |= last.is_none_or(|last| at - last > MEMORY);
            }
        }
        is_alarmed
    }

    /// The sources that may have a vote, and what they say.
    fn voters<'a>(
        &'a self,
        readings: &'a [Option<Reading>],
    ) -> impl Iterator<Item = (&'a SourceSettings, &'a SourceState, &'a Reading)> {
        let configured = self.settings.sources.iter().zip(&self.sources);
        configured
            .zip(readings)
            .filter(|((settings, _), _)| !settings.noselect)
            .filter_map(|((settings, state), reading)| Some((settings, state, reading.as_ref()?)))
    }
}
