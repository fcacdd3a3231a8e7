//! What the engine shows of itself at the end of a cycle: plain data. Whoever shows anything to anybody reads only this.

use super::bound::{Bound, Interval};
use super::leap::Leap;
use super::reason::Reason;
use super::time::{Rate, Raw, Span, Theta};
use std::fmt;

/// The engine at the end of a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The end of the cycle.
    pub at: Raw,
    /// What may be published, or why nothing may.
    pub outcome: Result<Decision, NoDecision>,
    /// One for each source, in the order of the configuration.
    pub sources: Vec<SourceView>,
}

/// The time that a majority of the sources holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The instant that it is for.
    pub at: Raw,
    /// Best guess of universal time minus raw clock.
    pub theta: Theta,
    /// Where θ must be if the majority is honest.
    pub bound: Bound,
    /// How fast θ changes, best guess.
    pub rate: Rate,
    /// How fast θ may change, if the majority is honest.
    pub rates: Interval<Rate>,
    /// System jitter (RFC 5905 §11.2.3).
    pub jitter: Span,
    /// The leap second that the majority announces ([`leap::warning`](super::leap::warning)).
    pub leap: Leap,
}

impl Decision {
    /// The best guess, carried on to an instant not long after [`at`](Self::at).
    pub fn theta_at(&self, instant: Raw) -> Theta {
        self.theta + self.rate.over(instant - self.at)
    }

    /// The greatest error of [`theta_at`](Self::theta_at) for the same instant: the estimate need not be in the middle of the
    /// bound, and the bound opens with time, forwards and backwards.
    pub fn error_at(&self, instant: Raw) -> Span {
        let since = instant - self.at;
        let (slow, fast) = (self.rates.lo.over(since), self.rates.hi.over(since));
        let bound = Bound {
            lo: self.bound.lo + slow.min(fast),
            hi: self.bound.hi + slow.max(fast),
        };
        bound.error_of(self.theta_at(instant))
    }
}

/// Why a cycle ends without a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDecision {
    /// No source can be used; the views say why.
    NoCandidates,
    /// No point lies in the bounds of more than half of the operators.
    NoMajority {
        /// Operators that voted.
        votes: usize,
    },
    /// A majority agrees, but it is smaller than asked for.
    TooFewAgreeing {
        /// Operators that agree.
        agreeing: usize,
        /// How many must (`min-agreeing`).
        needed: usize,
    },
    /// The majority knows the time less well than asked for.
    TooUncertain {
        /// Half-width of its bound.
        half_width: Span,
    },
    /// No survivor, of this cycle or of the last one, has answered since the last decision.
    NothingNew,
    /// A leap second that was announced is near: what clocks show now is open to doubt.
    LeapSecond,
    /// Most operators' sources contradict what they said before: all history was dropped.
    Stepped {
        /// How many operators.
        operators: usize,
    },
}

impl fmt::Display for NoDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCandidates => write!(f, "no usable source"),
            Self::NoMajority { votes } => {
                write!(f, "no majority: {votes} operators contradict each other")
            }
            Self::TooFewAgreeing { agreeing, needed } => {
                write!(
                    f,
                    "too few operators agree: {agreeing}, and {needed} are needed"
                )
            }
            Self::TooUncertain { half_width } => {
                write!(f, "too uncertain: ± {:.3} s", half_width.as_secs_f64())
            }
            Self::NothingNew => write!(f, "nothing new from any source"),
            Self::LeapSecond => write!(f, "a leap second passes"),
            Self::Stepped { operators } => {
                write!(
                    f,
                    "the sources of {operators} operators stepped together, beginning anew"
                )
            }
        }
    }
}

/// One source at the end of a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceView {
    /// Its name in the configuration.
    pub name: String,
    /// What the selection made of it.
    pub tally: Tally,
    /// Why it has that tally, if it could be used and is not the best or an equal of it.
    pub reason: Option<Reason>,
    /// Time between polls, from the end of this cycle on.
    pub poll: Span,
    /// Its last eight polls, the newest in bit 0, a one for each that gave a sample (RFC 5905 §9.2). For people;
    /// it decides nothing.
    pub reach: u8,
    /// What its filter says, if it has heard anything in the last hour.
    pub reading: Option<super::filter::Reading>,
    /// Why the last poll gave no sample, if it did not.
    pub trouble: Option<String>,
}

/// What the selection made of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// The survivor that counts most.
    Best,
    /// A survivor.
    Survivor,
    /// A truechimer that was cast out or not needed.
    Outlier,
    /// Contradicts the majority.
    Falseticker,
    /// Took no part.
    Unusable(Unusable),
}

impl Tally {
    /// One of each kind.
    pub const ALL: [Self; 5] = [
        Self::Best,
        Self::Survivor,
        Self::Outlier,
        Self::Falseticker,
        Self::Unusable(Unusable::NoSample),
    ];

    /// The mark that chronyc gives it.
    pub fn symbol(self) -> char {
        match self {
            Self::Best => '*',
            Self::Survivor => '+',
            Self::Outlier => '-',
            Self::Falseticker => 'x',
            Self::Unusable(_) => '?',
        }
    }

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Survivor => "survivor",
            Self::Outlier => "outlier",
            Self::Falseticker => "falseticker",
            Self::Unusable(_) => "unusable",
        }
    }

    /// Whether the source's estimate is part of the decision.
    pub fn survives(self) -> bool {
        matches!(self, Self::Best | Self::Survivor)
    }
}

/// Why a source took no part in the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It has not answered within the last hour.
    NoSample,
    /// Its newest sample is older than four polls.
    Stale,
    /// It knows the time less well than asked for (`max-bound`).
    TooUncertain,
    /// Its operator wants it measured only.
    NoSelect,
    /// The others do not agree either.
    NoMajority,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSample => "no sample",
            Self::Stale => "no new sample for four polls",
            Self::TooUncertain => "too uncertain",
            Self::NoSelect => "noselect",
            Self::NoMajority => "no majority",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_off_grows_with_the_time_to_the_decision_whether_it_is_past_or_to_come() {
        let at = Raw::from_nanos(0);
        let apart = Span::from_millis(10);
        let decision = Decision {
            at,
            theta: Theta::from_nanos(0),
            bound: Bound {
                lo: Theta::from_nanos(0) - apart,
                hi: Theta::from_nanos(0) + apart,
            },
            rate: Rate::from_ppm(0),
            rates: Interval {
                lo: Rate::from_ppm(-20),
                hi: Rate::from_ppm(10),
            },
            jitter: Span::ZERO,
            leap: Leap::None,
        };
        let hour = Span::from_secs(3_600);
        let grown = apart + Span::from_millis(72);
        assert_eq!(decision.error_at(at), apart);
        assert_eq!(decision.error_at(at + hour), grown);
        assert_eq!(decision.error_at(at - hour), grown);
    }
}
