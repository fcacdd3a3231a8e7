//! Why a candidate has its tally.
//!
//! In: what [`select`](super::select), [`cluster`](super::cluster) and [`combine`](super::combine) made of it. Out: one variant for
//! each cause that somebody can act on, with its figures. Words for people are the status room's business.

use super::bound::{Bound, Interval};
use super::time::{Rate, Span};

/// Why a source that could be used is not the best, or is not heard at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its bound has nothing in common with what the majority holds.
    OffTheMajority {
        /// How far its estimate is from what was decided, or, where nothing was, the middle of its bound from the middle of what the
        /// majority holds; positive if its clock is ahead.
        by: Span,
    },
    /// The rate of the oscillator cannot be the one that it shows: its clock runs at another speed than those of the majority.
    OffTheirRate {
        /// How much faster, from the middle of what it shows to that of what the majority allows.
        by: Rate,
    },
    /// Its bound and its rate are possible, but its estimate of the rate is far from the one that most operators see.
    Creeps {
        /// How much faster than that of the surest of the others its clock runs.
        by: Rate,
    },
    /// It was found to creep and has not shown since that it does not; nobody else is left to judge it by.
    Crept,
    /// Its estimate stands apart from those of the survivors (the job of RFC 5905 §11.2.2).
    StandsApart {
        /// How far from their mean; positive if its clock is ahead.
        by: Span,
    },
    /// It tells whole seconds only, and some truechimer tells more.
    WholeSeconds,
    /// It survived, but the operator prefers another survivor.
    NotPreferred,
    /// It agrees with the majority, of which no decision came.
    Undecided,
}

/// How far the middle of `bound` is ahead of that of `others`.
pub(super) fn ahead(bound: &Bound, others: &Bound) -> Span {
    bound.middle() - others.middle()
}

/// How much faster the middle of `rates` is than that of `others`.
pub(super) fn faster(rates: &Interval<Rate>, others: &Interval<Rate>) -> Rate {
    let middle = |rates: &Interval<Rate>| i64::midpoint(rates.lo.as_ppt(), rates.hi.as_ppt());
    Rate::from_ppt(middle(rates).saturating_sub(middle(others)))
}
