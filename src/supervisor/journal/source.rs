//! Lines about a source: that it answers or fails, contradicts the others, is asked more rarely.

use super::{Line, Subject, gist};
use crate::engine::reason::Reason;
use crate::engine::snapshot::{SourceView, Tally};
use crate::engine::time::{Raw, Span};
use crate::status::words;
use tracing::debug;

/// What an operator should know of a source.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct SourceState {
    trouble: Option<String>,
    falseticker: bool,
    creeps: bool,
    answered: bool,
    /// Time between polls; none before the first word.
    poll: Option<Span>,
}

impl Subject<SourceState> {
    /// Tells what is new of a source at the end of a cycle.
    pub(super) fn tell(&mut self, source: &SourceView, now: Raw) {
        let name = &source.name;
        let state = SourceState {
            trouble: source.trouble.clone(),
            falseticker: match source.tally {
                Tally::Falseticker => true,
                // Whoever takes no part is not acquitted by that, nor who is left with too few others.
                Tally::Unusable(_) => self.said.falseticker,
                _ if source.reason == Some(Reason::Undecided) => self.said.falseticker,
                _ => false,
            },
            creeps: match source.reason {
                Some(Reason::Creeps { .. } | Reason::Crept) => true,
                _ => self.said.creeps && !source.tally.survives(),
            },
            answered: self.said.answered || source.reading.is_some(),
            poll: Some(source.poll),
        };
        // As usual as samples are.
        if self.said.poll.is_some() && self.said.poll != state.poll {
            let poll = source.poll.as_secs_f64();
            debug!("source {name}: asked every {poll} s from now on");
        }
        let mut say = |is_bad, reason, what: &str| {
            let text = format!("source {name}: {what}");
            self.budget.say(
                now,
                Line {
                    text,
                    is_bad,
                    reason,
                    source: Some(name),
                    ..Line::default()
                },
            );
        };
        match (&self.said.trouble, &state.trouble) {
            (before, Some(reason)) if before.as_deref().map(gist) != Some(gist(reason)) => {
                say(true, Some(reason.as_str()), reason)
            }
            (Some(_), None) if self.said.answered => say(false, None, "answers again"),
            (_, None) if state.answered && !self.said.answered => say(false, None, "answers"),
            _ => {}
        }
        let why = source.reason.as_ref().map(words::reason);
        let why = why.as_deref();
        let because = why.map_or_else(String::new, |why| format!(": {why}"));
        if state.falseticker && !self.said.falseticker {
            let what = format!("falseticker, it contradicts the majority{because}");
            say(true, why, &what);
        } else if self.said.falseticker && !state.falseticker {
            say(false, None, "agrees with the majority again");
        }
        // One that is convicted as a falseticker as well has had its line.
        if state.creeps && !self.said.creeps && !state.falseticker {
            say(true, why, &format!("not heard{because}"));
        } else if self.said.creeps && !state.creeps {
            say(false, None, "shows the same rate as the others again");
        }
        if let Some(reading) = &source.reading
            && reading.misfits > 0
        {
            let dropped = reading.misfits;
            say(
                true,
                None,
                &format!("its time or its route stepped, {dropped} older samples were dropped"),
            );
        }
        self.said = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::estimate::Prior;
    use crate::engine::exchange::Exchange;
    use crate::engine::filter::{Filter, Reading};
    use crate::engine::snapshot::Unusable;
    use crate::engine::time::{Rate, Utc};
    use crate::sys::log::testing::with_priority;

    /// What is said of a source that had these tallies, and these reasons for them.
    fn said(views: &[(Tally, Option<Reason>)]) -> String {
        let view = |&(tally, reason): &(Tally, Option<Reason>)| SourceView {
            tally,
            reason,
            ..view()
        };
        told_of(views.iter().map(view))
    }

    /// A source that has not been heard.
    fn view() -> SourceView {
        SourceView {
            name: "c".into(),
            tally: Tally::Unusable(Unusable::NoSample),
            reason: None,
            poll: Span::from_secs(16),
            reach: 1,
            reading: None,
            trouble: None,
        }
    }

    /// The lines about a source that was seen so, at the end of one cycle after the other.
    fn told_of(views: impl Iterator<Item = SourceView>) -> String {
        with_priority(|| {
            let mut subject = Subject::<SourceState>::default();
            for view in views {
                subject.tell(&view, Raw::from_nanos(0));
            }
        })
    }

    #[test]
    fn a_source_that_creeps_is_told_of_once_and_again_when_it_is_heard() {
        let creeps = |ppm| Reason::Creeps {
            by: Rate::from_ppm(ppm),
        };
        let stale = (Tally::Unusable(Unusable::Stale), None);
        let lines = said(&[
            (Tally::Outlier, Some(creeps(20))),
            (Tally::Outlier, Some(creeps(21))),
            stale,
            (Tally::Outlier, Some(creeps(19))),
            (Tally::Survivor, None),
        ]);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        let line = "<4>source c: not heard: creeps, its clock runs 20.0 ppm faster than the others";
        assert!(lines[0].starts_with(line), "{lines:?}");
        let line = "<6>source c: shows the same rate as the others again";
        assert!(lines[1].starts_with(line), "{lines:?}");
    }

    #[test]
    fn a_falseticker_is_told_of_with_its_reason_and_not_as_a_creeping_one_as_well() {
        let creeps = Some(Reason::Creeps {
            by: Rate::from_ppm(20),
        });
        let off = Some(Reason::OffTheMajority {
            by: Span::from_secs(-3),
        });
        let lines = said(&[
            (Tally::Falseticker, off),
            (Tally::Outlier, creeps),
            (Tally::Falseticker, off),
        ]);
        let told =
            "falseticker, it contradicts the majority: 3.000 s behind what the majority holds";
        assert_eq!(lines.matches(told).count(), 2, "{lines}");
        assert_eq!(lines.matches("not heard: creeps").count(), 1, "{lines}");
        assert_eq!(
            lines.matches("agrees with the majority").count(),
            1,
            "{lines}"
        );
    }

    /// What a filter says that has heard something.
    fn reading() -> Reading {
        let mut filter = Filter::default();
        let (sent, received) = (Raw::from_nanos(0), Raw::from_nanos(1_000_000));
        let stamp = Utc::from_secs(1_893_456_000);
        filter.add(Exchange::new(sent, received, stamp, stamp, None).unwrap());
        filter.read(received, Prior::default()).unwrap()
    }

    #[test]
    fn only_a_source_that_has_answered_before_answers_again() {
        let failed = || SourceView {
            trouble: Some("status 503".into()),
            ..view()
        };
        let heard = || SourceView {
            reading: Some(reading()),
            ..view()
        };
        // Between the two a question may have been answered that is no sample.
        let views = [failed(), view(), heard(), failed(), heard()];
        let lines = told_of(views.into_iter());
        let lines: Vec<&str> = lines.lines().collect();
        let expected = [
            "<4>source c: status 503",
            "<6>source c: answers",
            "<4>source c: status 503",
            "<6>source c: answers again",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn how_often_a_source_is_asked_is_told_when_it_changes_to_those_who_debug() {
        let every = |millis| SourceView {
            poll: Span::from_millis(millis),
            ..view()
        };
        let views = [
            every(500),
            every(500),
            every(32_000),
            every(32_000),
            every(500),
        ];
        let lines = told_of(views.into_iter());
        let lines: Vec<&str> = lines.lines().collect();
        let expected = [
            "<7>source c: asked every 32 s from now on",
            "<7>source c: asked every 0.5 s from now on",
        ];
        assert_eq!(lines, expected);
    }
}
