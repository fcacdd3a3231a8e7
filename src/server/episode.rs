//! A condition of which the log hears twice: when it comes, and when it has gone.
//!
//! A peer that makes the condition flicker fills no log with it: it is over only after a minute
//! without it.

use crate::engine::time::{Raw, Span};

/// How long the condition must have been absent to be over.
const QUIET: Span = Span::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Episode {
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    last: Raw,
    times: u64,
}

impl Episode {
    /// The condition was met at `now`; true when an episode begins with it.
    pub(super) fn note(&mut self, now: Raw) -> bool {
        let begins = self.current.is_none();
        let times = self.current.as_ref().map_or(0, |current| current.times);
        self.current = Some(Current {
            last: now,
            times: times.saturating_add(1),
        });
        begins
    }

    /// The condition was not met at `now`; how often it was in all, when the episode ends with this.
    pub(super) fn end(&mut self, now: Raw) -> Option<u64> {
        self.current
            .take_if(|current| now - current.last >= QUIET)
            .map(|over| over.times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Raw {
        Raw::from_nanos(0) + Span::from_secs(seconds)
    }

    #[test]
    fn an_episode_begins_once_and_ends_after_a_quiet_minute() {
        let mut episode = Episode::default();
        assert_eq!(episode.end(at(0)), None);
        assert!(episode.note(at(0)));
        assert!(!episode.note(at(1)));
        assert_eq!(episode.end(at(60)), None);
        assert_eq!(episode.end(at(61)), Some(2));
        assert_eq!(episode.end(at(62)), None);
        assert!(episode.note(at(63)));
    }

    #[test]
    fn flicker_is_one_episode() {
        let mut episode = Episode::default();
        assert!(episode.note(at(0)));
        for second in 1..1000 {
            assert_eq!(episode.end(at(second)), None);
            assert!(!episode.note(at(second)));
        }
    }
}
