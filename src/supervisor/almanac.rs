//! What the engine is told of leap seconds by a list.
//!
//! In: leap seconds, as they are found. Out: a [`List`] when it is another one than before. Where they come from is not known here.

use crate::engine::leap::List;
use crate::protocol::leap_seconds::LeapSeconds;
use std::sync::Arc;
use tokio::sync::watch;

/// The list that the engine has, and whence the next one comes.
#[derive(Default)]
pub(super) struct Almanac {
    pub(super) found: Option<watch::Receiver<Arc<LeapSeconds>>>,
    pub(super) list: Option<List>,
}

impl Almanac {
    pub(super) fn new(found: Option<watch::Receiver<Arc<LeapSeconds>>>) -> Self {
        Self { found, list: None }
    }

    /// What the engine is to know from now on, if that is something else than before.
    pub(super) fn news(&mut self) -> Option<Option<List>> {
        let found = self.found.as_mut()?;
        // If nobody looks any more, the last word stays in force.
        if !found.has_changed().unwrap_or(false) {
            return None;
        }
        let list = list(&found.borrow_and_update());
        (list != std::mem::replace(&mut self.list, list)).then_some(list)
    }
}

/// None of leap seconds that do not say until when they are complete, like those that are built in.
fn list(leap_seconds: &LeapSeconds) -> Option<List> {
    let last = leap_seconds.last();
    Some(List {
        last,
        step: leap_seconds.at(last).step,
        expires: leap_seconds.expires()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Utc;
    use crate::protocol::leap_seconds::tests::REAL;

    #[test]
    fn only_another_list_is_news_and_one_that_does_not_expire_is_none() {
        let real = Arc::new(LeapSeconds::parse(REAL.as_bytes()).expect("real"));
        let built_in = Arc::new(LeapSeconds::built_in());
        let (sender, found) = watch::channel(Arc::clone(&built_in));
        let mut almanac = Almanac::new(Some(found));
        assert_eq!(almanac.news(), None, "nothing was found yet");
        sender.send_replace(Arc::clone(&built_in));
        assert_eq!(almanac.news(), None);
        sender.send_replace(Arc::clone(&real));
        let list = almanac.news().flatten().expect("the first");
        assert_eq!((list.last, list.step), (Utc::from_secs(1_483_228_800), 1));
        sender.send_replace(real);
        assert_eq!(almanac.news(), None, "the same");
        sender.send_replace(built_in);
        assert_eq!(almanac.news(), Some(None));
        drop(sender);
        assert_eq!(almanac.news(), None);
    }
}
