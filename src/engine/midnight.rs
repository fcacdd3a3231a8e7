//! What an engine does about leap seconds: whom it believes that one comes, when it is silent, for whom it waits afterwards.
//!
//! In: what sources and the list say, decisions. Out: the warning of a decision, the passage that is due. What a passage does to history is
//! [`passage`](super::passage)'s business.

use super::Engine;
use super::decision::{Verdict, is_stale};
use super::filter::{MEMORY, Reading};
use super::leap::{self, Leap};
use super::passage::{Passage, Silence};
use super::snapshot::{Decision, Tally, Unusable};
use super::source::HUSH_SPREAD;
use super::time::{Raw, Span, Utc};

/// So many cycles after a leap second, who has not answered since is left out.
const ANSWER_CYCLES: i64 = 4;

/// But not before it has been asked and has had so much time to answer, which is more than the usual deadline, however short cycles are.
const ANSWER_TIME: Span = Span::from_secs(6);

/// A warning that was given, which a break of the raw clock does not change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Warned {
    /// The midnight at which the leap second is to be.
    pub(super) midnight: Utc,
    /// What it is, if a server said so and not the list alone: that is asked every time, and taken back with it.
    pub(super) by_servers: Option<Leap>,
}

impl Engine {
    /// Whether a leap second is near. When it has passed, history goes along with it.
    pub(super) fn is_silent(&mut self, at: Raw) -> bool {
        let Some(passage) = self.coming.filter(|coming| at >= coming.silence().from) else {
            return false;
        };
        if passage.silence().holds(at) {
            return true;
        }
        for state in &mut self.sources {
            state.filter.carry_over(&passage);
            state.pacing.carry_over(&passage);
        }
        self.coming = None;
        self.passed = Some(passage);
        false
    }

    /// Whether candidates are to be heard first, because they have not been since a leap second passed: whether their clocks had it is
    /// not known before, and one that did not would still agree with the others that were not heard. They are not waited for long.
    pub(super) fn waits_for_answers(
        &self,
        at: Raw,
        readings: &[Option<Reading>],
        verdicts: &mut [Verdict],
    ) -> bool {
        let Some(Silence { from, to, .. }) = self.passed.map(|passage| passage.silence()) else {
            return false;
        };
        let answered = HUSH_SPREAD + ANSWER_TIME;
        let is_late = at - to >= answered.max(self.settings.cycle.times(ANSWER_CYCLES));
        let configured = self.settings.sources.iter().zip(&self.sources);
        for ((verdict, reading), (source, state)) in
            verdicts.iter_mut().zip(readings).zip(configured)
        {
            let Some(reading) = reading.filter(|reading| reading.newest < to) else {
                continue;
            };
            // In the silence, and as long as it waits for its turn after that, nobody becomes stale.
            let was_fresh = !is_stale(reading.newest, state.pacing.slowest(source), from);
            match verdict.tally {
                Tally::Unusable(Unusable::NoMajority) if is_late => {
                    verdict.tally = Tally::Unusable(Unusable::Stale);
                }
                Tally::Unusable(Unusable::NoMajority) => return true,
                Tally::Unusable(Unusable::Stale) if was_fresh && !is_late => return true,
                _ => {}
            }
        }
        false
    }

    /// The leap second to warn of at `now`, which is when `at` is by the decision: not that of the survivors alone, since a truechimer that
    /// stands apart knows of it as well. What a falseticker says is not heard, but it counts among those of whom most must warn: it may
    /// be an honest one that a minority has put in the wrong.
    pub(super) fn warning(
        &self,
        now: Utc,
        candidates: &[(usize, &Reading)],
        verdicts: &[Verdict],
    ) -> Leap {
        let Some(midnight) = leap::end_of_the_last_day(now) else {
            return Leap::None;
        };
        let said = candidates.iter().map(|(k, reading)| {
            let is_heard = verdicts[*k].tally != Tally::Falseticker;
            let operator = self.settings.sources[*k].operator.as_str();
            (operator, reading.leap.filter(|_| is_heard))
        });
        let given = self.warned_of(midnight);
        leap::warning(
            said,
            self.leap_list.and_then(|list| list.says(now)),
            given.and_then(|warned| warned.by_servers),
        )
    }

    /// The warning that the last decision gave, if it was for this midnight.
    fn warned_of(&self, midnight: Utc) -> Option<Warned> {
        self.warned.filter(|warned| warned.midnight == midnight)
    }

    /// What is to be remembered of a decision that warns.
    pub(super) fn warned_by(
        &self,
        decision: &Decision,
        readings: &[Option<Reading>],
        verdicts: &[Verdict],
    ) -> Option<Warned> {
        let midnight = leap::end_of_the_last_day(decision.at + decision.theta)?;
        let leap = decision.leap;
        let warned = self.warned_of(midnight);
        let was_theirs = warned.is_some_and(|warned| warned.by_servers == Some(leap));
        let heard = readings.iter().zip(verdicts).filter(|(_, verdict)| {
            !matches!(verdict.tally, Tally::Unusable(_) | Tally::Falseticker)
        });
        let mut said = heard.filter_map(|(reading, _)| Some(reading.as_ref()?.leap));
        let is_theirs = was_theirs || said.any(|said| said == Some(leap));
        Some(Warned {
            midnight,
            by_servers: is_theirs.then_some(leap),
        })
    }

    /// The leap second that may have passed, or may pass just now, without a decision before it that could tell: whoever spoke of one is
    /// enough for doubt, and so is the list, and what was last warned of before history was dropped.
    pub(super) fn doubtful(&self, decision: &Decision) -> Option<Passage> {
        let (passage, midnight) = Passage::possible(decision)?;
        let Silence { from, to, .. } = passage.silence();
        let was_decided = self.last_decision.is_some_and(|last| from - last <= MEMORY);
        let has_passed = self.passed.is_some_and(|passed| passed.silence().to > from);
        if was_decided || has_passed {
            return None;
        }
        let before = self.sources.iter().map(|state| state.filter.before(to));
        let (mut straddles, mut is_warned) = (false, self.warned_of(midnight).is_some());
        for (remembers, warns) in before {
            straddles |= remembers;
            is_warned |= warns;
        }
        let eve = midnight - Span::from_secs(1);
        let listed = self.leap_list.and_then(|list| list.says(eve));
        let is_listed = listed.unwrap_or_default() != Leap::None;
        (straddles && (is_warned || is_listed)).then_some(passage)
    }
}
