//! From the sources' readings to one decision: who is a candidate, who of them a truechimer, who survives, and what they say together.
//!
//! In: what every filter reads at the end of a cycle. Out: a [`Decision`], or why there is none; and for every source what became
//! of it. The rules are those of [`select`], [`cluster`] and [`combine`]; here they meet.

use super::bound::{self, Bound, Interval};
use super::cluster::{self, Member, Seen};
use super::filter::Reading;
use super::select::{self, Candidate, Vote};
use super::snapshot::{Decision, NoDecision, Tally, Unusable};
use super::time::{Rate, Raw, Span};
use super::{Engine, SourceSettings, combine, leap};
use std::collections::{BTreeMap, BTreeSet};

/// A source whose newest sample is older than this many polls is no candidate.
const CANDIDATE_POLLS: i64 = 4;

/// The best survivor stays the best until another one's uncertainty is below this part of its own.
const LOYALTY: f64 = 0.8;

impl Engine {
    /// Why a source that is asked every `poll` is no candidate, if it is none.
    pub(super) fn unusable(
        &self,
        source: &SourceSettings,
        poll: Span,
        reading: Option<&Reading>,
        at: Raw,
    ) -> Option<Unusable> {
        let Some(reading) = reading else {
            return Some(Unusable::NoSample);
        };
        if source.noselect {
            Some(Unusable::NoSelect)
        } else if at - reading.newest >= poll.times(CANDIDATE_POLLS) {
            Some(Unusable::Stale)
        } else if reading.fit.bound.half_width() >= self.settings.max_bound {
            Some(Unusable::TooUncertain)
        } else {
            None
        }
    }

    /// From readings to a decision; marks in `tallies` what becomes of each candidate, and in `doubted` who creeps.
    pub(super) fn decide(
        &self,
        at: Raw,
        readings: &[Option<Reading>],
        tallies: &mut [Tally],
        doubted: &mut [bool],
    ) -> Result<Decision, NoDecision> {
        let candidates: Vec<(usize, &Reading)> = readings
            .iter()
            .enumerate()
            .filter(|(k, _)| tallies[*k] == Tally::Unusable(Unusable::NoMajority))
            .filter_map(|(k, reading)| Some((k, reading.as_ref()?)))
            .collect();
        if candidates.is_empty() {
            return Err(NoDecision::NoCandidates);
        }
        let voters: Vec<Candidate> = candidates
            .iter()
            .map(|(k, reading)| Candidate {
                operator: &self.settings.sources[*k].operator,
                bound: reading.fit.bound,
                rates: reading.fit.rates,
                coarse: self.settings.sources[*k].coarse,
            })
            .collect();
        let selection = select::select(&voters).ok_or_else(|| NoDecision::NoMajority {
            votes: voters
                .iter()
                .map(|voter| voter.operator)
                .collect::<BTreeSet<_>>()
                .len(),
        })?;
        for ((k, _), truechimer) in candidates.iter().zip(&selection.truechimers) {
            tallies[*k] = if *truechimer {
                Tally::Outlier
            } else {
                Tally::Falseticker
            };
        }
        if selection.agreeing < self.needed {
            return Err(NoDecision::TooFewAgreeing {
                agreeing: selection.agreeing,
                needed: self.needed,
            });
        }
        let half_width = selection.bound.half_width();
        if half_width >= self.settings.max_bound {
            return Err(NoDecision::TooUncertain { half_width });
        }

        let survivors = self.cluster(&candidates, tallies, doubted, selection.bound);
        let best = self.best_of(&survivors);
        for (k, ..) in &survivors {
            tallies[*k] = if Some(*k) == best {
                Tally::Best
            } else {
                Tally::Survivor
            };
        }
        let last = self.last_decision;
        if !survivors
            .iter()
            .any(|(_, reading, _)| last.is_none_or(|last| reading.newest > last))
        {
            return Err(NoDecision::NothingNew);
        }
        combined(
            at,
            &survivors,
            selection.bound,
            self.common_rates(&candidates),
        )
        .ok_or(NoDecision::NoCandidates)
    }

    /// The truechimers (marked as outliers so far) that survive clustering. Coarse ones only if there are no others.
    fn cluster<'a>(
        &self,
        candidates: &[(usize, &'a Reading)],
        tallies: &[Tally],
        doubted: &mut [bool],
        bound: Bound,
    ) -> Vec<(usize, &'a Reading, Member)> {
        let is_coarse = |k: usize| self.settings.sources[k].coarse;
        let truechimers = || {
            candidates
                .iter()
                .filter(|(k, _)| tallies[*k] == Tally::Outlier)
        };
        let all_coarse = truechimers().all(|(k, _)| is_coarse(*k));
        let heard: Vec<(usize, &Reading)> = truechimers()
            .filter(|(k, _)| all_coarse || !is_coarse(*k))
            .copied()
            .collect();
        let slope = |rate: Rate| rate.as_ppt() as f64 / 1e12;
        let seen: Vec<Seen> = heard
            .iter()
            .map(|(k, reading)| Seen {
                operator: &self.settings.sources[*k].operator,
                rate: slope(reading.estimate.rate),
                sigma: slope(reading.estimate.rate_error),
                doubted: doubted[*k],
                prefer: self.settings.sources[*k].prefer,
            })
            .collect();
        let agrees = cluster::of_common_rate(&seen);
        for ((k, _), agrees) in heard.iter().zip(&agrees) {
            doubted[*k] = !agrees;
        }
        let members: Vec<(usize, &Reading, Member)> = heard
            .iter()
            .zip(agrees)
            .filter_map(|(heard, agrees)| agrees.then_some(heard))
            .map(|&(k, reading)| {
                let member = Member {
                    offset_s: (reading.estimate.theta - bound.middle()).as_secs_f64(),
                    jitter_s: reading.estimate.jitter.as_secs_f64(),
                    uncertainty_s: reading.fit.bound.half_width().as_secs_f64(),
                    loyal: self.sources[k].survived,
                    prefer: self.settings.sources[k].prefer,
                };
                (k, reading, member)
            })
            .collect();
        let survives = cluster::survivors(
            &members
                .iter()
                .map(|(.., member)| *member)
                .collect::<Vec<_>>(),
        );
        members
            .into_iter()
            .zip(survives)
            .filter_map(|(member, survives)| survives.then_some(member))
            .collect()
    }

    /// The survivor that counts most: a preferred one before others, then the surest; the last best one if it is as good.
    fn best_of(&self, survivors: &[(usize, &Reading, Member)]) -> Option<usize> {
        let rank = |k: usize, member: &Member| {
            let loyalty = if self.sources[k].was_best {
                LOYALTY
            } else {
                1.0
            };
            (!member.prefer, loyalty * member.uncertainty_s)
        };
        survivors
            .iter()
            .map(|(k, _, member)| (*k, rank(*k, member)))
            .min_by(|(_, a), (_, b)| a.0.cmp(&b.0).then_with(|| a.1.total_cmp(&b.1)))
            .map(|(k, _)| k)
    }

    /// The range of the oscillator's rate by the rule that makes the published bound: no minority can forge it.
    fn common_rates(&self, candidates: &[(usize, &Reading)]) -> Option<Interval<Rate>> {
        let mut by_operator: BTreeMap<&str, Vec<Interval<Rate>>> = BTreeMap::new();
        for (k, reading) in candidates {
            let operator = self.settings.sources[*k].operator.as_str();
            by_operator
                .entry(operator)
                .or_default()
                .push(reading.fit.rates);
        }
        select::of_honest_majority(
            &by_operator
                .into_values()
                .map(Vote::union)
                .collect::<Vec<_>>(),
        )
    }
}

/// One decision out of the survivors', clamped into what all of them allow if there is such a thing, and in any case into
/// the published bound.
pub(super) fn combined(
    at: Raw,
    survivors: &[(usize, &Reading, Member)],
    bound: Bound,
    common_rates: Option<Interval<Rate>>,
) -> Option<Decision> {
    let members: Vec<(Member, f64)> = survivors
        .iter()
        .map(|(_, reading, member)| (*member, reading.estimate.rate.as_ppt() as f64))
        .collect();
    let mean = combine::combine(&members)?;
    let theta = bound.middle() + Span::from_secs_f64(mean.offset_s);
    let in_common = survivors.iter().try_fold(bound, |common, (_, reading, _)| {
        common.intersection(&reading.fit.bound)
    });
    let rate = Rate::from_ppt(mean.rate.round() as i64);
    // The rates need not have a majority of their own; then any rate is possible.
    let rates = common_rates.unwrap_or(Interval {
        lo: Rate::from_ppt(-bound::MAX_RATE.as_ppt()),
        hi: bound::MAX_RATE,
    });
    Some(Decision {
        at,
        theta: in_common.unwrap_or(bound).clamp(theta),
        bound,
        rate: rates.clamp(rate),
        rates,
        jitter: Span::from_secs_f64(mean.jitter_s),
        leap: leap::majority(survivors.iter().filter_map(|(_, reading, _)| reading.leap)),
    })
}
