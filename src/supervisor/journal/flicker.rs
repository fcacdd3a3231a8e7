//! A condition of which the log hears when it comes and when it has gone, however fast it comes and goes.

use crate::engine::time::{Raw, Span};

/// How long the condition must have been absent to be over, when it came back for the first time: less than a cycle mostly is,
/// so that whoever mends something by trial and error sees the first results at once.
const FIRST_PATIENCE: Span = Span::from_secs(4);

/// How long at the most; and after so long an absence all is forgotten.
const LONGEST_PATIENCE: Span = Span::from_secs(3_600);

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is there.
    Begins,
    /// It has gone.
    Ends,
}

/// At first its end is believed at once; each time that it comes back, twice as much patience is needed. Whatever a peer does,
/// there are some two dozen turns in the first hours, and then no more than two an hour.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flicker {
    /// The last turn told was a beginning.
    present: bool,
    /// When it was met last.
    last: Option<Raw>,
    patience: Span,
}

impl Flicker {
    /// The condition was met at `now`, or it was not.
    pub(super) fn observe(&mut self, now: Raw, met: bool) -> Option<Turn> {
        let absent = self.last.map(|last| now - last);
        if met {
            self.last = Some(now);
            if self.present {
                return None;
            }
            self.patience = match absent {
                Some(absent) if absent < LONGEST_PATIENCE => self
                    .patience
                    .times(2)
                    .clamp(FIRST_PATIENCE, LONGEST_PATIENCE),
                _ => Span::ZERO,
            };
        } else if !self.present || absent.is_some_and(|absent| absent < self.patience) {
            return None;
        }
        self.present = met;
        Some(if met { Turn::Begins } else { Turn::Ends })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Raw {
        Raw::from_nanos(0) + Span::from_secs(seconds)
    }

    #[test]
    fn the_first_end_is_told_at_once_and_later_ones_after_ever_more_patience() {
        let mut flicker = Flicker::default();
        assert_eq!(flicker.observe(at(0), false), None);
        assert_eq!(flicker.observe(at(1), true), Some(Turn::Begins));
        assert_eq!(flicker.observe(at(2), true), None);
        assert_eq!(flicker.observe(at(3), false), Some(Turn::Ends));
        assert_eq!(flicker.observe(at(4), false), None);
        let mut last = 4;
        for patience in [4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600] {
            last += 1;
            assert_eq!(flicker.observe(at(last), true), Some(Turn::Begins));
            let over = last + patience;
            assert_eq!(flicker.observe(at(over - 1), false), None);
            assert_eq!(flicker.observe(at(over), false), Some(Turn::Ends));
            last = over;
        }
    }

    #[test]
    fn after_an_hour_without_it_all_is_forgotten() {
        let mut flicker = Flicker::default();
        for start in [0, 3_602] {
            assert_eq!(flicker.observe(at(start), true), Some(Turn::Begins));
            assert_eq!(flicker.observe(at(start + 1), false), Some(Turn::Ends));
        }
    }

    proptest! {
        #[test]
        fn no_pattern_makes_more_than_some_turns_an_hour(pattern in prop::collection::vec(any::<bool>(), 1..300)) {
            let mut flicker = Flicker::default();
            let hours = 10;
            let turns = (0..hours * 3600)
                .zip(pattern.iter().cycle())
                .filter(|&(second, &met)| flicker.observe(at(second), met).is_some())
                .count();
            prop_assert!(turns <= 24 + 2 * hours as usize, "{turns}");
        }
    }
}
