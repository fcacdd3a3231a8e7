//! A line when a leap second is announced, and one when it is over.

use super::{Line, Subject};
use crate::engine::leap::{Leap, end_of_the_last_day};
use crate::engine::snapshot::Decision;
use crate::engine::time::{Raw, Span, Utc};
use jiff::Timestamp;

/// The leap second that was announced, and the midnight that ends its day.
type Announced = Option<(Leap, Utc)>;

impl Subject<Announced> {
    /// Tells what is new in a decision.
    pub(super) fn tell(&mut self, decision: &Decision, now: Raw) {
        let time = decision.at + decision.theta;
        let announced = match decision.leap {
            Leap::None => None,
            leap => end_of_the_last_day(time).map(|midnight| (leap, midnight)),
        };
        if self.said == announced {
            return;
        }
        let text = match (announced, self.said) {
            (Some((Leap::Delete, midnight)), _) => format!(
                "a leap second is announced: {} will not be",
                last_second(midnight, 59)
            ),
            (Some((_, midnight)), _) => format!(
                "a leap second is announced: {} will be",
                last_second(midnight, 60)
            ),
            (None, Some((_, midnight))) if time >= midnight => {
                "the leap second that was announced has passed".to_owned()
            }
            (None, _) => "the leap second is not announced any more".to_owned(),
        };
        self.said = announced;
        self.budget.say(now, Line::good(text));
    }
}

/// The last second of the day before `midnight`, if it had this number.
fn last_second(midnight: Utc, number: u8) -> String {
    let (seconds, _) = (midnight - Span::from_secs(1)).to_parts();
    match Timestamp::from_second(seconds) {
        Ok(day) => format!("{} 23:59:{number} UTC", day.strftime("%F")),
        Err(_) => "one".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_second_of_a_day_is_named_by_its_day() {
        let midnight = Utc::from_secs(1_483_228_800);
        assert_eq!(last_second(midnight, 60), "2016-12-31 23:59:60 UTC");
    }
}
