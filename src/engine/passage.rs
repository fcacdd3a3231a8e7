//! The passage of a leap second: when it comes on the raw clock, when nothing is to be exchanged or published for it, and what
//! becomes of what was measured before.
//!
//! In: a decision, and whether it warns. Out: a [`Passage`], if it does. Universal time, as it is counted here, falls back by a second
//! when one is inserted, and jumps over one that is left out; the raw clock does neither, so θ changes by a second at once. Whether
//! the warning is right is not known here. Where nothing was decided before midnight, a decision soon after it shows a passage even without a
//! warning, of which no more is known than that there may be one: what was measured before says nothing then.

use super::exchange::Exchange;
use super::filter::MEMORY;
use super::leap::{Leap, end_of_the_last_day};
use super::snapshot::Decision;
use super::time::{Raw, Span, Utc};

const SECOND: Span = Span::from_secs(1);

/// How long before and after a midnight a leap second may be on the raw clock, if it is not known which one and whether θ is that from
/// before it or that from after it: two seconds either way, and one more for clocks near it.
const DOUBT: Span = Span::from_secs(3);

/// A leap second that is announced, on the raw clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// How θ changes: by −1 s when a second is inserted; `None` if that is not known.
    shift: Option<Span>,
    silence: Silence,
}

/// A time in which nothing is exchanged or published: from a second before a leap second to a second after it, and a little longer
/// for what is not known of the time. What clocks show then is open to doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Its first instant.
    pub from: Raw,
    /// The first instant after it.
    pub to: Raw,
    /// By how much θ is another one then; zero if that is not known.
    pub shift: Span,
}

impl Silence {
    /// Whether it is silent at `instant`.
    pub fn holds(&self, instant: Raw) -> bool {
        self.from <= instant && instant < self.to
    }

    /// Whether an exchange was on the way in its midst: nobody knows whether what the server told was from before the leap second.
    pub fn meets(&self, exchange: &Exchange) -> bool {
        exchange.sent() < self.to && self.from < exchange.received()
    }

    /// Whether what was decided for `at` must not be published at `now`, not before `at`: the leap second is near, or came between.
    pub fn forbids(&self, at: Raw, now: Raw) -> bool {
        at < self.to && self.from <= now
    }
}

impl Passage {
    /// The leap second that a decision warns of, if it does and this is the last day of June or December.
    pub fn of(decision: &Decision) -> Option<Self> {
        let now = decision.at + decision.theta;
        let midnight = end_of_the_last_day(now)?;
        // Where clocks show midnight for the first time, or would skip the second before it.
        let (edge, length, shift) = match decision.leap {
            Leap::None => return None,
            Leap::Insert => (midnight, SECOND, -SECOND),
            Leap::Delete => (midnight - SECOND, Span::ZERO, SECOND),
        };
        let left = edge - now;
        let begins = decision.at + left - decision.rate.over(left);
        let margin = SECOND + decision.error_at(begins).max(Span::ZERO);
        Some(Self {
            shift: Some(shift),
            silence: Silence {
                from: begins - margin,
                to: begins + length + margin,
                shift,
            },
        })
    }

    /// The leap second that there may be at the end of June or December by a decision's time, if what is remembered may be from before
    /// it; and that midnight.
    pub(super) fn possible(decision: &Decision) -> Option<(Self, Utc)> {
        let now = decision.at + decision.theta;
        let midnight = end_of_the_last_day(now - MEMORY - DOUBT)?;
        let left = midnight - now;
        let passes = decision.at + left - decision.rate.over(left);
        let margin = DOUBT + decision.error_at(passes).max(Span::ZERO);
        let silence = Silence {
            from: passes - margin,
            to: passes + margin,
            shift: Span::ZERO,
        };
        let passage = Self {
            shift: None,
            silence,
        };
        (silence.from <= decision.at).then_some((passage, midnight))
    }

    /// One of which no more is said than this.
    #[cfg(test)]
    pub(super) fn made_up(shift: Option<Span>, from: Raw, to: Raw) -> Self {
        let silence = Silence {
            from,
            to,
            shift: shift.unwrap_or(Span::ZERO),
        };
        Self { shift, silence }
    }

    /// When nothing is to be exchanged or published.
    pub fn silence(&self) -> Silence {
        self.silence
    }

    /// How θ changes by it, if that is known.
    pub(super) fn shift(&self) -> Option<Span> {
        self.shift
    }

    /// What an exchange proves after the leap second: from before it, it is moved along; from its midst, it proves nothing.
    pub fn carried(&self, exchange: &Exchange) -> Option<Exchange> {
        if self.silence.meets(exchange) {
            None
        } else if exchange.received() <= self.silence.from {
            Some(exchange.moved(self.shift?))
        } else {
            Some(*exchange)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::bound::Interval;
    use crate::engine::time::{Rate, Theta, Utc};

    /// 2017-01-01.
    const MIDNIGHT: Utc = Utc::from_secs(1_483_228_800);

    fn at(ms: i64) -> Raw {
        Raw::from_nanos(ms * 1_000_000)
    }

    /// One made at raw 0, `ms` before midnight, ± 10 ms.
    fn decision(leap: Leap, ms: i64) -> Decision {
        let theta = (MIDNIGHT - Span::from_millis(ms)) - at(0);
        let error = Span::from_millis(10);
        Decision {
            at: at(0),
            theta,
            bound: Interval {
                lo: theta - error,
                hi: theta + error,
            },
            rate: Rate::from_ppm(0),
            rates: Interval {
                lo: Rate::from_ppm(0),
                hi: Rate::from_ppm(0),
            },
            jitter: Span::ZERO,
            leap,
        }
    }

    fn silence(leap: Leap, ms: i64) -> Option<Silence> {
        Passage::of(&decision(leap, ms)).map(|passage| passage.silence())
    }

    #[test]
    fn an_inserted_second_is_silent_from_a_second_before_to_a_second_after_it() {
        let expected = Silence {
            from: at(18_990),
            to: at(22_010),
            shift: -SECOND,
        };
        assert_eq!(silence(Leap::Insert, 20_000), Some(expected));
    }

    #[test]
    fn a_second_that_is_left_out_is_silent_for_a_second_either_way() {
        let expected = Silence {
            from: at(17_990),
            to: at(20_010),
            shift: SECOND,
        };
        assert_eq!(silence(Leap::Delete, 20_000), Some(expected));
    }

    #[test]
    fn without_a_warning_or_on_another_day_nothing_is_silent() {
        assert_eq!(silence(Leap::None, 20_000), None);
        assert_eq!(silence(Leap::Insert, 86_400_001), None);
        assert_eq!(silence(Leap::Insert, -1_000), None);
    }

    #[test]
    fn what_is_not_known_of_the_time_makes_the_silence_longer() {
        let mut decision = decision(Leap::Insert, 3_600_000);
        decision.rates.hi = Rate::from_ppm(100);
        let silence = Passage::of(&decision).expect("it warns").silence();
        assert_eq!(silence.from, at(3_600_000 - 1_000 - 370));
        assert_eq!(silence.to, at(3_600_000 + 2_000 + 370));
    }

    #[test]
    fn midnight_comes_sooner_on_a_raw_clock_that_falls_behind() {
        // By 100 ppm: 360 ms in an hour.
        let mut early = decision(Leap::Insert, 3_600_000);
        early.rate = Rate::from_ppm(100);
        (early.rates.lo, early.rates.hi) = (early.rate, early.rate);
        let silence = Passage::of(&early).expect("it warns").silence();
        let off = silence.from - at(3_600_000 - 360 - 1_010);
        assert!(off.abs() < Span::from_millis(1), "{off:?}");

        let mut late = decision(Leap::None, -1_800_000);
        late.rate = Rate::from_ppm(100);
        (late.rates.lo, late.rates.hi) = (late.rate, late.rate);
        let (passage, _) = Passage::possible(&late).expect("it may have passed");
        let off = passage.silence().from - at(-1_800_000 + 180 - 3_010);
        assert!(off.abs() < Span::from_millis(1), "{off:?}");
    }

    #[test]
    fn what_may_have_passed_is_in_doubt_for_three_seconds_and_what_is_not_known_of_the_time() {
        let possible = |ms: i64| Passage::possible(&decision(Leap::None, ms));
        let (passage, midnight) = possible(2_000).expect("it is near");
        let expected = Silence {
            from: at(2_000 - 3_010),
            to: at(2_000 + 3_010),
            shift: Span::ZERO,
        };
        assert_eq!((passage.silence(), midnight), (expected, MIDNIGHT));
        assert_eq!(passage.shift(), None);
        assert!(possible(3_010).is_some() && possible(3_011).is_none());
        assert!(possible(-3_602_000).is_some() && possible(-3_604_000).is_none());

        // Half an hour after it, at rates up to 100 ppm either way.
        let mut late = decision(Leap::None, -1_800_000);
        late.rates.hi = Rate::from_ppm(100);
        late.rates.lo = Rate::from_ppm(-100);
        let (passage, _) = Passage::possible(&late).expect("it may have passed");
        assert_eq!(passage.silence().from, at(-1_800_000 - 3_010 - 180));
        assert_eq!(passage.silence().to, at(-1_800_000 + 3_010 + 180));
    }

    #[test]
    fn nothing_is_published_near_a_leap_second_or_across_it() {
        let silence = silence(Leap::Insert, 20_000).expect("it warns");
        for (decided, now, forbidden) in [
            (16_000, 16_001, false),
            (16_000, 18_990, true),
            (16_000, 30_000, true),
            (22_010, 22_011, false),
        ] {
            assert_eq!(silence.forbids(at(decided), at(now)), forbidden, "{now}");
        }
    }

    #[test]
    fn what_was_measured_before_is_moved_and_what_was_in_its_midst_is_left_out() {
        let exchange = |sent: i64| {
            let stamp = at(sent) + Theta::from_nanos(0);
            Exchange::new(at(sent), at(sent + 100), stamp, stamp, Some(Leap::Insert))
                .expect("possible")
        };
        for (leap, shift) in [(Leap::Insert, -SECOND), (Leap::Delete, SECOND)] {
            let passage = Passage::of(&decision(leap, 20_000)).expect("it warns");
            let before = exchange(10_000);
            let moved = passage.carried(&before).expect("it was before");
            assert_eq!(moved.upper(), before.upper() + shift);
            assert_eq!(moved.lower(), before.lower() + shift);
            assert_eq!((moved.sent(), moved.leap()), (before.sent(), before.leap()));
            assert_eq!(
                passage.carried(&exchange(17_950)).is_none(),
                leap == Leap::Delete
            );
            assert_eq!(passage.carried(&exchange(19_000)), None);
            assert_eq!(passage.carried(&exchange(30_000)), Some(exchange(30_000)));
        }
    }
}
