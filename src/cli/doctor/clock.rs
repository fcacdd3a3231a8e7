//! The system clock, by what the sources say, and what the sources say of each other.
//!
//! In: a sample of each source that answered. Out: whether the clock is so wrong that it must be set by hand, whether there are
//! sources enough to find a liar, and which of them contradict each other.

use super::link::Link;
use crate::config::Config;
use crate::engine::time::{Span, Utc};
use crate::protocol::plausible::Plausible;
use crate::status::table::{Length, Signed};
use crate::status::words::roughly;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Beyond this ntpd ends instead of setting the clock.
const PANIC: Span = Span::from_secs(1_000);

/// Samples of one diagnosis are some ten seconds apart, in which the clock itself may wander.
const WANDER: Span = Span::from_millis(20);

/// What one exchange with a source showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// What must be added to the system clock.
    pub(super) offset: Span,
    /// The greatest error of that.
    pub(super) bound: Span,
    /// Round trip and resolution.
    pub(super) delay: Span,
}

/// A system clock that cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// What shows it.
    pub(super) how: String,
    pub(super) remedy: String,
}

/// Whether the clock, which shows `now`, is far off by itself or by most of `samples`.
pub(super) fn wrong(now: Utc, samples: &[Sample]) -> Option<Wrong> {
    let mut offsets: Vec<Span> = samples.iter().map(|sample| sample.offset).collect();
    offsets.sort_by_key(|offset| offset.abs());
    // Of two the smaller: no clock is called wrong on the word of one of them.
    let offset = offsets.get(offsets.len().saturating_sub(1) / 2).copied();
    let release = Plausible::release();
    let by_hand = |at: Option<Utc>| {
        let time = at.and_then(|at| Timestamp::from_second(at.to_parts().0).ok());
        let time = time.map_or("YYYY-MM-DD hh:mm:ss".to_owned(), |time| {
            time.strftime("%Y-%m-%d %H:%M:%S").to_string()
        });
        format!(
            "set it once by hand: stop the time daemon, date -u -s '{time}', hwclock --systohc, start the daemon"
        )
    };
    match offset {
        Some(offset) if offset.abs() > PANIC => Some(Wrong {
            how: format!(
                "the system clock is {} {} by what the sources say",
                roughly(offset.abs()),
                if offset > Span::ZERO {
                    "behind"
                } else {
                    "ahead"
                }
            ),
            remedy: by_hand(Some(now + offset)),
        }),
        Some(_) => None,
        None if now < release.not_before => Some(Wrong {
            how: format!(
                "the system clock is at least {} behind: it shows a time before this program was released",
                roughly(release.not_before - now)
            ),
            remedy: by_hand(None),
        }),
        None if now > release.not_after => Some(Wrong {
            how: "the system clock shows a time after the year 2100".to_owned(),
            remedy: by_hand(None),
        }),
        None => None,
    }
}

/// The system clock as a link.
pub(super) fn judge(wrong: Option<&Wrong>, samples: &[Sample]) -> Link {
    const NAME: &str = "system clock";
    match (wrong, samples) {
        (Some(wrong), _) => Link::fault(NAME, &wrong.how).remedy(&wrong.remedy),
        (None, []) => Link::ok(NAME, "it shows a time that may be, and no source says more"),
        (None, _) => Link::ok(
            NAME,
            "near enough to the sources for ntpd and chronyd to mend it",
        ),
    }
}

/// Whether there are enough who do not depend on each other. `answered`: the names of the sources that did, if they were asked.
pub(super) fn operators(config: &Config, answered: Option<&[&str]>) -> Link {
    const NAME: &str = "operators";
    let voters = || config.sources.iter().filter(|source| !source.noselect);
    let all: BTreeSet<_> = voters().map(|source| &source.operator).collect();
    let heard = answered.map(|names| {
        let heard = voters().filter(|source| names.contains(&source.name.as_str()));
        heard
            .map(|source| &source.operator)
            .collect::<BTreeSet<_>>()
            .len()
    });
    let count = all.len();
    let usual = if count > 2 { 2 } else { 1 };
    let needed = config.select.min_agreeing.unwrap_or(usual);
    let more = "add sources of other operators: with three or more, one that lies is found out";
    if let Some(heard) = heard
        && heard < needed
    {
        return Link::fault(
            NAME,
            format!("{heard} of {count} answered, and {needed} must agree"),
        )
        .remedy("see to the sources above that gave no sample, or add others");
    }
    let heard = heard.map_or(String::new(), |heard| format!(", {heard} answered"));
    match count {
        0 | 1 => Link::note(
            NAME,
            format!("{count}{heard}: nobody can find out when it tells a wrong time"),
        )
        .remedy(more),
        2 => Link::note(
            NAME,
            format!("2{heard}: when one tells a wrong time nobody can say which, and nothing is published"),
        )
        .remedy(more),
        _ => Link::ok(NAME, format!("{count}{heard}: a minority that tells a wrong time is found out")),
    }
}

/// Which samples cannot be true together.
pub(super) fn agreement(samples: &[(&str, Sample)]) -> Vec<Link> {
    let name = |source: &str| format!("agreement of {source}");
    let contradict =
        |a: &Sample, b: &Sample| (a.offset - b.offset).abs() > a.bound + b.bound + WANDER;
    let links = samples.iter().filter_map(|(source, sample)| {
        let others = samples.len() - 1;
        let against = samples.iter().filter(|(_, other)| contradict(sample, other)).count();
        // With most of all, itself among them, it is not the one.
        if 2 * (samples.len() - against) > samples.len() {
            return None;
        }
        let text = format!(
            "it says that the system clock is off by {} ± {}, which {against} of {others} others contradict",
            Signed(sample.offset),
            Length(sample.bound)
        );
        let remedy = if others == 1 {
            "add a third operator, to find out who is wrong; see whether the clock of either is known to be off"
        } else {
            "remove this source, or tell its operator; if its clock is known to be off, correct it with `offset`"
        };
        Some(Link::fault(name(source), text).remedy(remedy))
    });
    links.collect()
}

#[cfg(test)]
mod tests {
    use super::super::link::State;
    use super::*;
    use crate::config::parse;

    const NOW: Utc = Utc::from_secs(1_800_000_000);

    fn off(seconds: i64) -> Sample {
        Sample {
            offset: Span::from_secs(seconds),
            bound: Span::from_millis(10),
            delay: Span::from_millis(20),
        }
    }

    #[test]
    fn a_clock_that_the_daemons_would_not_mend_is_to_be_set_by_hand() {
        let year = 31_557_600;
        let behind = wrong(NOW, &[off(7 * year), off(7 * year)]).expect("years");
        assert!(behind.how.contains("7 years behind"), "{behind:?}");
        assert!(behind.remedy.contains("date -u -s '2034-"), "{behind:?}");
        let ahead = wrong(NOW, &[off(-3_600)]).expect("more than ntpd takes");
        assert!(ahead.how.contains("60 min ahead"), "{ahead:?}");
        assert_eq!(wrong(NOW, &[off(900)]), None);
        assert_eq!(judge(None, &[off(1)]).state, State::Ok);
        assert_eq!(judge(Some(&ahead), &[]).state, State::Fault);
    }

    #[test]
    fn one_liar_makes_no_clock_wrong() {
        assert_eq!(wrong(NOW, &[off(100_000), off(0)]), None);
        assert_eq!(wrong(NOW, &[off(100_000), off(0), off(0)]), None);
    }

    #[test]
    fn a_clock_before_the_release_is_wrong_though_nobody_answers() {
        let never_set = wrong(Utc::from_secs(0), &[]).expect("1970");
        assert!(never_set.how.contains("years behind"), "{never_set:?}");
        assert!(wrong(Utc::from_secs(4_200_000_000), &[]).is_some());
        assert_eq!(wrong(NOW, &[]), None);
    }

    fn config(sources: usize) -> Config {
        let sources = (0..sources)
            .map(|k| format!("[[source]]\nname = \"s{k}\"\nurl = \"http://h{k}.example/\"\n"));
        parse(&sources.collect::<String>(), "test").expect("it is right")
    }

    #[test]
    fn three_operators_find_a_liar_and_fewer_do_not() {
        let state = |count| operators(&config(count), None).state;
        assert_eq!(state(1), State::Note);
        assert_eq!(state(2), State::Note);
        assert_eq!(state(3), State::Ok);
        assert_eq!(operators(&config(3), Some(&["s0", "s1"])).state, State::Ok);
        let alone = operators(&config(3), Some(&["s1"]));
        assert_eq!(alone.state, State::Fault);
        assert!(
            alone.text.starts_with("1 of 3 answered, and 2 must agree"),
            "{alone:?}"
        );
        assert_eq!(operators(&config(1), Some(&[])).state, State::Fault);
    }

    #[test]
    fn a_source_that_most_others_contradict_is_a_fault() {
        let links = agreement(&[("a", off(0)), ("liar", off(1)), ("c", off(0))]);
        assert_eq!(links.len(), 1, "{links:?}");
        assert_eq!(links[0].name, "agreement of liar");
        assert_eq!(agreement(&[("a", off(0)), ("b", off(0))]), []);
        assert_eq!(
            agreement(&[("a", off(0)), ("b", off(1))]).len(),
            2,
            "either may be it"
        );
        assert_eq!(agreement(&[("a", off(0))]), []);
    }
}
