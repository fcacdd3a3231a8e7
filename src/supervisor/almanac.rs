//! What the engine is told of leap seconds by a list.
//!
//! In: leap seconds, as they are found, and the time. Out: a [`List`] when it is another one than before: the engine knows one leap
//! second at a time, the one that comes next. Where they come from is not known here.

use crate::engine::leap::List;
use crate::engine::time::Utc;
use crate::protocol::leap_seconds::LeapSeconds;
use std::sync::Arc;
use tokio::sync::watch;

/// The list that the engine has, and whence the next one comes.
#[derive(Default)]
pub(super) struct Almanac {
    pub(super) found: Option<watch::Receiver<Arc<LeapSeconds>>>,
    leap_seconds: Option<Arc<LeapSeconds>>,
    list: Option<List>,
    /// The last time that was decided.
    time: Option<Utc>,
}

impl Almanac {
    pub(super) fn new(found: Option<watch::Receiver<Arc<LeapSeconds>>>) -> Self {
        Self {
            found,
            ..Self::default()
        }
    }

    /// What the engine is to know from now on, if that is something else than before. Without a time that has been `decided` the one
    /// before counts, or else that of the `system`.
    pub(super) fn news(&mut self, decided: Option<Utc>, system: Utc) -> Option<Option<List>> {
        self.time = decided.or(self.time);
        // If nobody looks any more, the last word stays in force, also if it was not heard before.
        if let Some(found) = &mut self.found {
            let word = found.borrow_and_update();
            if word.has_changed() {
                self.leap_seconds = Some(Arc::clone(&word));
            }
        }
        let leap_seconds = self.leap_seconds.as_ref()?;
        let list = list(leap_seconds, self.time.unwrap_or(system));
        (list != std::mem::replace(&mut self.list, list)).then_some(list)
    }
}

/// The leap second that comes next, or else the last one. None of leap seconds that do not say until when they are complete, like
/// those that are built in.
fn list(leap_seconds: &LeapSeconds, now: Utc) -> Option<List> {
    let notice = leap_seconds.at(now);
    Some(List {
        last: notice.next,
        step: notice.step,
        expires: leap_seconds.expires()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::leap_seconds::tests::REAL;

    const NOW: Utc = Utc::from_secs(1_500_000_000);

    #[test]
    fn only_another_list_is_news_and_one_that_does_not_expire_is_none() {
        let real = Arc::new(LeapSeconds::parse(REAL.as_bytes()).expect("real"));
        let built_in = Arc::new(LeapSeconds::built_in());
        let (sender, found) = watch::channel(Arc::clone(&built_in));
        let mut almanac = Almanac::new(Some(found));
        assert_eq!(almanac.news(None, NOW), None, "nothing was found yet");
        sender.send_replace(Arc::clone(&built_in));
        assert_eq!(almanac.news(None, NOW), None);
        sender.send_replace(Arc::clone(&real));
        let list = almanac.news(None, NOW).flatten().expect("the first");
        assert_eq!((list.last, list.step), (Utc::from_secs(1_483_228_800), 1));
        sender.send_replace(real);
        assert_eq!(almanac.news(None, NOW), None, "the same");
        sender.send_replace(built_in);
        assert_eq!(almanac.news(None, NOW), Some(None));
        drop(sender);
        assert_eq!(almanac.news(None, NOW), None);
    }

    #[test]
    fn the_last_word_counts_also_if_nobody_looks_any_more() {
        let real = Arc::new(LeapSeconds::parse(REAL.as_bytes()).expect("real"));
        let (sender, found) = watch::channel(Arc::new(LeapSeconds::built_in()));
        let mut almanac = Almanac::new(Some(found));
        sender.send_replace(real);
        drop(sender);
        assert!(almanac.news(None, NOW).flatten().is_some());
        assert_eq!(almanac.news(None, NOW), None, "it is no news twice");
    }

    #[test]
    fn of_leap_seconds_to_come_the_next_one_is_told_and_the_one_after_it_when_it_has_passed() {
        let real = Arc::new(LeapSeconds::parse(REAL.as_bytes()).expect("real"));
        let (sender, found) = watch::channel(Arc::clone(&real));
        sender.send_replace(real);
        let mut almanac = Almanac::new(Some(found));
        let mut next = |decided: Option<i64>, system: i64| {
            let news = almanac.news(decided.map(Utc::from_secs), Utc::from_secs(system));
            news.flatten().map(|list| list.last.to_parts().0)
        };
        let (first, second) = (1_435_708_800, 1_483_228_800);
        assert_eq!(next(None, first - 1), Some(first), "the system's time");
        assert_eq!(
            next(Some(first - 1), second),
            None,
            "what is decided counts"
        );
        assert_eq!(next(None, second), None, "and stays");
        assert_eq!(next(Some(first), 0), Some(second));
        assert_eq!(next(Some(second), 0), None, "it is the last one");
    }
}
