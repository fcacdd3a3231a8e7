//! From the sources' readings to one decision: who is a candidate, who of them a truechimer, who survives, and what they say together.
//!
//! In: what every filter reads at the end of a cycle. Out: a [`Decision`], or why there is none; and for every source what became
//! of it. The rules are those of [`select`], [`cluster`] and [`combine`]; here they meet.

use super::bound::{self, Bound, Interval};
use super::cluster::{self, Likely, Member, Part, Seen};
use super::estimate::OwnRate;
use super::filter::Reading;
use super::leap::Leap;
use super::reason::Reason;
use super::select::{self, Candidate, Selection};
use super::snapshot::{Decision, NoDecision, Tally, Unusable};
use super::time::{Rate, Raw, Span, Theta};
use super::{Engine, SourceSettings, combine};
use std::collections::BTreeSet;

/// A source whose newest sample is older than this many polls is no candidate.
const CANDIDATE_POLLS: i64 = 4;

/// What the two ways of a path are taken to differ by, as a part of the bound's half-width. The estimate's own error does not know
/// of it; a server far away must not outweigh a near one because its delays are steady. In `benches/filter`, where all ways are
/// alike, weighing by the estimate's error and this makes errors up to a tenth smaller than weighing by the half-width.
const UNEQUAL_WAYS: f64 = 0.01;

/// The most that anybody would believe of how far off an estimate is: so many sigmas, and what ways commonly differ by, as a part of the
/// bound's half-width. A server of one's own in the same room must not be overruled because two far away share a way that is longer up
/// than down: it is by 1.5 ms where they take 20 ms up and 10 ms down, with 0.1 by 3 ms, and by 0.6 ms already with 17.5 ms and 12.5 ms.
/// Who is led by a liar that is surer than anybody is led by no more than that.
const CREDIBLE_SIGMAS: f64 = 2.0;
const COMMONLY_UNEQUAL: f64 = 0.2;

/// The best survivor stays the best until another one's uncertainty is below this part of its own.
const LOYALTY: f64 = 0.8;

/// What becomes of a source in a cycle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) tally: Tally,
    pub(super) reason: Option<Reason>,
    /// When it was last found to creep, if it has not shown since that it does not.
    pub(super) doubted: Option<Raw>,
}

impl Verdict {
    pub(super) fn unusable(why: Unusable, doubted: Option<Raw>) -> Self {
        Self {
            tally: Tally::Unusable(why),
            reason: None,
            doubted,
        }
    }
}

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
        } else if is_stale(reading.newest, poll, at) {
            Some(Unusable::Stale)
        } else if reading.fit.bound.half_width() >= self.settings.max_bound {
            Some(Unusable::TooUncertain)
        } else {
            None
        }
    }

    /// From readings to a decision; marks in `verdicts` what becomes of each candidate.
    pub(super) fn decide(
        &self,
        at: Raw,
        readings: &[Option<Reading>],
        verdicts: &mut [Verdict],
    ) -> Result<Decision, NoDecision> {
        let candidates: Vec<(usize, &Reading)> = readings
            .iter()
            .enumerate()
            .filter(|(k, _)| verdicts[*k].tally == Tally::Unusable(Unusable::NoMajority))
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
                coarse: self.is_coarse(*k, reading),
                doubted: verdicts[*k].doubted.is_some(),
            })
            .collect();
        let votes: BTreeSet<&str> = voters.iter().map(|voter| voter.operator).collect();
        let votes = votes.len();
        let selection = select::select(&voters).ok_or(NoDecision::NoMajority { votes })?;
        for ((k, _), objection) in candidates.iter().zip(&selection.objections) {
            (verdicts[*k].tally, verdicts[*k].reason) = match objection {
                None => (Tally::Outlier, Some(Reason::Undecided)),
                Some(_) => (Tally::Falseticker, *objection),
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

        let (survivors, credible) = self.cluster(at, &candidates, verdicts, votes, selection.bound);
        let best = self.best_of(&survivors);
        let preferred = survivors.iter().any(|(.., member)| member.prefer);
        for (k, _, member) in &survivors {
            let unheard = preferred && !member.prefer;
            verdicts[*k].reason = unheard.then_some(Reason::NotPreferred);
            verdicts[*k].tally = if Some(*k) == best {
                Tally::Best
            } else {
                Tally::Survivor
            };
        }
        // Who crept is not heard when it is left alone with others of its kind either.
        let nobody = NoDecision::TooFewAgreeing {
            agreeing: 0,
            needed: self.needed,
        };
        let decision = combined(at, &survivors, credible, &selection).ok_or(nobody)?;
        for (k, reading) in &candidates {
            // What the majority holds may be wide, and its middle far from the best guess.
            if let Some(Reason::OffTheMajority { by }) = &mut verdicts[*k].reason {
                *by = reading.estimate.theta - decision.theta;
            }
        }
        if !self.has_news(&candidates, verdicts) {
            return Err(NoDecision::NothingNew);
        }
        Ok(Decision {
            leap: self.warning(at + decision.theta, &candidates, verdicts),
            ..decision
        })
    }

    /// Whether somebody who counts has been heard since the last decision. Who survived the last one was counted on for a sample: that it
    /// has brought it is enough, even if it stands apart by that very sample, when it is too late to ask anybody else.
    fn has_news(&self, candidates: &[(usize, &Reading)], verdicts: &[Verdict]) -> bool {
        let last = self.last_decision;
        let counts = |k: usize| match verdicts[k].tally {
            Tally::Outlier => self.sources[k].survived,
            tally => tally.survives(),
        };
        let is_new = |reading: &Reading| last.is_none_or(|last| reading.newest > last);
        candidates
            .iter()
            .any(|(k, reading)| counts(*k) && is_new(reading))
    }

    /// Whether the source tells whole seconds only, by its kind or by what it told.
    fn is_coarse(&self, k: usize, reading: &Reading) -> bool {
        self.settings.sources[k].coarse || reading.whole
    }

    /// The truechimers (marked as outliers so far) that survive clustering, and what most can believe the offset from the middle of
    /// `bound` to be. Coarse ones only if there are no others.
    fn cluster<'a>(
        &self,
        at: Raw,
        candidates: &[(usize, &'a Reading)],
        verdicts: &mut [Verdict],
        voters: usize,
        bound: Bound,
    ) -> (Vec<(usize, &'a Reading, Member)>, Likely) {
        let mut heard: Vec<(usize, &Reading)> = candidates
            .iter()
            .filter(|(k, _)| verdicts[*k].tally == Tally::Outlier)
            .copied()
            .collect();
        let operators: BTreeSet<&str> = heard
            .iter()
            .map(|(k, _)| self.settings.sources[*k].operator.as_str())
            .collect();
        let is_coarse = |(k, reading): &(usize, &Reading)| self.is_coarse(*k, reading);
        let mut coarse = Vec::new();
        if !heard.iter().all(is_coarse) {
            coarse.extend(heard.extract_if(.., |heard| is_coarse(heard)));
            for (k, _) in &coarse {
                verdicts[*k].reason = Some(Reason::WholeSeconds);
            }
        }
        self.without_creeping(at, voters, candidates, &coarse, &mut heard, verdicts);
        if heard.is_empty() {
            heard = coarse;
        }
        let operators: Vec<&str> = operators.into_iter().collect();
        let members: Vec<Member> = heard
            .iter()
            .map(|&(k, reading)| Member {
                operator: operators
                    .partition_point(|name| *name < self.settings.sources[k].operator.as_str()),
                offset_s: (reading.estimate.theta - bound.middle()).as_secs_f64(),
                jitter_s: reading.estimate.jitter.as_secs_f64(),
                uncertainty_s: off_by(reading, 1.0, UNEQUAL_WAYS),
                credible: credible(reading, bound.middle()),
                loyal: self.sources[k].survived,
                prefer: self.settings.sources[k].prefer,
            })
            .collect();
        let survives = cluster::survivors(&members, operators.len());
        let credible = cluster::credible(&members, operators.len());
        let survivors = || {
            members
                .iter()
                .zip(&survives)
                .filter(|(_, survives)| **survives)
        };
        let sum: f64 = survivors().map(|(member, _)| member.offset_s).sum();
        let mean_s = sum / survivors().count().max(1) as f64;
        for (((k, _), member), survives) in heard.iter().zip(&members).zip(&survives) {
            let by = Span::from_secs_f64(member.offset_s - mean_s);
            verdicts[*k].reason = (!survives).then_some(Reason::StandsApart { by });
        }
        let survivors = heard
            .into_iter()
            .zip(members)
            .zip(survives)
            .filter_map(|(((k, reading), member), survives)| {
                survives.then_some((k, reading, member))
            })
            .collect();
        (survivors, credible)
    }

    /// Leaves out those that see another rate of the one oscillator than most of the `operators`. The `coarse` have a word in that as
    /// well: what a server rounds by is off by the same most of the time, so that a few minutes tell the rate. So have falsetickers: whose
    /// time is wrong may be one that a minority has put in the wrong. Those of them that are doubted are judged again, lest a doubt pass
    /// while they creep, or stay when they do not.
    fn without_creeping(
        &self,
        at: Raw,
        operators: usize,
        candidates: &[(usize, &Reading)],
        coarse: &[(usize, &Reading)],
        heard: &mut Vec<(usize, &Reading)>,
        verdicts: &mut [Verdict],
    ) {
        let is_wrong = |k: usize| verdicts[k].tally == Tally::Falseticker;
        let wrong = candidates.iter().copied().filter(|(k, _)| is_wrong(*k));
        let (judged, words): (Vec<_>, Vec<_>) =
            wrong.partition(|(k, _)| verdicts[*k].doubted.is_some());
        let judged: Vec<(usize, &Reading)> = heard.iter().copied().chain(judged).collect();
        let words = coarse.iter().chain(&words);
        let prior = self.oscillator.prior();
        let seen: Vec<Seen> = judged
            .iter()
            .map(|one| match is_wrong(one.0) {
                true => (one, Part::Accused),
                false => (one, Part::Full),
            })
            .chain(words.map(|one| (one, Part::Witness)))
            .map(|((k, reading), part)| {
                let OwnRate {
                    rate,
                    sigma,
                    further,
                } = reading.estimate.own_rate(prior);
                Seen {
                    part,
                    operator: &self.settings.sources[*k].operator,
                    rate,
                    sigma,
                    further,
                    doubted: verdicts[*k].doubted.is_some(),
                    prefer: self.settings.sources[*k].prefer,
                }
            })
            .collect();
        for ((k, _), creeping) in judged.iter().zip(cluster::creeping(&seen, operators)) {
            let verdict = &mut verdicts[*k];
            let before = verdict.doubted;
            verdict.doubted =
                creeping.and_then(|creeping| if creeping.found { Some(at) } else { before });
            if verdict.tally == Tally::Falseticker {
                continue;
            }
            verdict.reason = creeping.map(|creeping| match creeping.by {
                Some(by) => Reason::Creeps {
                    by: Rate::from_ppt((by * 1e12).round() as i64),
                },
                None => Reason::Crept,
            });
        }
        heard.retain(|(k, _)| verdicts[*k].doubted.is_none());
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
}

/// Whether a source that is asked every `poll` is no candidate at `at`, by when its newest sample was completed.
pub(super) fn is_stale(newest: Raw, poll: Span, at: Raw) -> bool {
    at - newest >= poll.times(CANDIDATE_POLLS)
}

/// How far off a source's estimate may be, in seconds: so many sigmas, and such a part of what its two ways can differ by at all.
fn off_by(reading: &Reading, sigmas: f64, unequal: f64) -> f64 {
    let half_width_s = reading.fit.bound.half_width().as_secs_f64();
    sigmas * reading.estimate.error.as_secs_f64() + unequal * half_width_s
}

/// Where the truth is at the farthest, from `base` in seconds, if a source is to be believed at all.
fn credible(reading: &Reading, base: Theta) -> Likely {
    let from_base = |theta: Theta| (theta - base).as_secs_f64();
    let (offset_s, proven) = (from_base(reading.estimate.theta), reading.fit.bound);
    let off_s = off_by(reading, CREDIBLE_SIGMAS, COMMONLY_UNEQUAL);
    Likely {
        lo: (offset_s - off_s).max(from_base(proven.lo)),
        hi: (offset_s + off_s).min(from_base(proven.hi)),
    }
}

/// One decision out of the survivors', without a leap second: clamped into what all of them allow if there is such a thing, as far as most
/// can believe that, and in any case into the published bound.
pub(super) fn combined(
    at: Raw,
    survivors: &[(usize, &Reading, Member)],
    credible: Likely,
    selection: &Selection,
) -> Option<Decision> {
    let bound = selection.bound;
    let members: Vec<(Member, f64)> = survivors
        .iter()
        .map(|(_, reading, member)| (*member, reading.estimate.rate.as_ppt() as f64))
        .collect();
    let mean = combine::combine(&members)?;
    let in_common = survivors.iter().try_fold(bound, |common, (_, reading, _)| {
        common.intersection(&reading.fit.bound)
    });
    let base = bound.middle();
    let mean_theta = base + Span::from_secs_f64(mean.offset_s);
    let allowed = in_common.unwrap_or(bound).clamp(mean_theta);
    let believed = base + Span::from_secs_f64(credible.clamp((allowed - base).as_secs_f64()));
    let rate = Rate::from_ppt(mean.rate.round() as i64);
    // The rates need not have a majority of their own; then any rate is possible.
    let rates = selection.rates.unwrap_or(Interval {
        lo: Rate::from_ppt(-bound::MAX_RATE.as_ppt()),
        hi: bound::MAX_RATE,
    });
    Some(Decision {
        at,
        theta: bound.clamp(believed),
        bound,
        rate: rates.clamp(rate),
        rates,
        jitter: Span::from_secs_f64(mean.jitter_s),
        leap: Leap::None,
    })
}
