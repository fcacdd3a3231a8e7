//! What is kept and what is said, with directories as an operator may have them.

use super::*;
use crate::engine::bound::{Bound, MAX_RATE};
use crate::engine::leap::Leap;
use crate::engine::time::Theta;
use std::fs;
use std::path::PathBuf;

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("webntpd-memory-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn open(&self) -> Memory {
        Memory::open(Some(&self.0))
    }

    fn read(&self) -> Option<State> {
        state::read(&self.0).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn at(seconds: i64) -> Raw {
    Raw::from_nanos(0) + Span::from_secs(seconds)
}

/// Universal time at `at(0)`.
const EPOCH: Utc = Utc::from_secs(1_800_000_000);

/// A decision at that second, of an oscillator whose rate is known this well.
fn decision(second: i64, ppb: i64, error_ppb: i64) -> Decision {
    let theta = Theta::from_nanos(EPOCH.as_nanos());
    let rate =
        |ppb: i64| Rate::from_ppt((1_000 * ppb).clamp(-MAX_RATE.as_ppt(), MAX_RATE.as_ppt()));
    Decision {
        at: at(second),
        theta,
        bound: Bound {
            lo: theta,
            hi: theta,
        }
        .widened(Span::from_millis(5)),
        rate: rate(ppb),
        rates: Interval {
            lo: rate(ppb - error_ppb),
            hi: rate(ppb + error_ppb),
        },
        jitter: Span::ZERO,
        leap: Leap::None,
    }
}

/// Waits for the file that is being written.
async fn written(memory: &mut Memory) {
    if let Some(writing) = memory.writing.take() {
        let result = writing.await.unwrap();
        memory.written(&result, None);
    }
}

#[tokio::test]
async fn the_first_decision_is_kept_then_one_an_hour_and_the_last() {
    let directory = Directory::new("hourly");
    let mut memory = directory.open();
    let mut kept = Vec::new();
    for second in (16..8_000).step_by(16) {
        if memory
            .decided(&decision(second, 0, 500_000), at(second))
            .is_some()
        {
            kept.push(second);
            written(&mut memory).await;
            assert_eq!(
                directory.read().unwrap().time,
                EPOCH + Span::from_secs(second)
            );
        }
    }
    assert_eq!(kept, [16, 3_616, 7_216]);
    memory.close(at(8_000)).await;
    assert_eq!(
        directory.read().unwrap().time,
        EPOCH + Span::from_secs(7_984)
    );
}

#[tokio::test]
async fn a_rate_comes_back_as_a_prior_with_what_warmth_and_another_boot_may_do_to_it() {
    let directory = Directory::new("rate");
    let mut memory = directory.open();
    assert_eq!(memory.prior(), None);
    memory.decided(&decision(16, 40_000, 2_000), at(16));
    memory.close(at(17)).await;
    let mut memory = directory.open();
    let prior = memory.prior().unwrap();
    assert_eq!((prior.rate.as_ppb(), prior.sigma.as_ppb()), (40_000, 3_000));
    memory.boot = Some("another".to_owned());
    assert_eq!(memory.prior().unwrap().sigma.as_ppb(), 8_000);
}

#[tokio::test]
async fn a_short_run_does_not_replace_a_good_rate_by_a_worse_one_and_a_long_one_does() {
    let directory = Directory::new("short");
    let rate_ppb = || {
        directory
            .read()
            .unwrap()
            .rate
            .map(|known| known.rate.as_ppb())
    };
    let mut memory = directory.open();
    memory.decided(&decision(16, 40_000, 500_000), at(16));
    written(&mut memory).await;
    assert_eq!(rate_ppb(), None, "any oscillator is that good");
    memory.decided(&decision(32, 40_000, 2_000), at(32));
    memory.close(at(33)).await;
    assert_eq!(rate_ppb(), Some(40_000));

    let mut memory = directory.open();
    memory.decided(&decision(16, 45_000, 10_000), at(16));
    written(&mut memory).await;
    assert_eq!(rate_ppb(), Some(40_000));
    memory.decided(&decision(3_700, 43_000, 5_000), at(3_700));
    written(&mut memory).await;
    assert_eq!(rate_ppb(), Some(43_000));
    assert_eq!(memory.prior().unwrap().rate.as_ppb(), 43_000);

    // The sources contradict what was kept.
    let mut memory = directory.open();
    memory.decided(&decision(16, 90_000, 30_000), at(16));
    memory.close(at(17)).await;
    assert_eq!(rate_ppb(), None);
}

#[tokio::test]
async fn a_time_that_has_not_come_is_replaced_by_what_the_sources_say() {
    let directory = Directory::new("future");
    let future = State {
        time: EPOCH + Span::from_secs(200_000_000),
        rate: None,
    };
    state::write(&directory.0, &future).unwrap();
    let mut memory = directory.open();
    assert_eq!(memory.time(EPOCH, true), Some(future.time));
    let come = memory.decided(&decision(16, 0, 500_000), at(16));
    assert_eq!(come, Some(EPOCH + Span::from_secs(16)));
    written(&mut memory).await;
    assert_eq!(directory.read().unwrap().time, EPOCH + Span::from_secs(16));
}

#[tokio::test]
async fn a_time_that_no_release_can_see_is_none() {
    let directory = Directory::new("far-future");
    let far = State {
        time: EPOCH + Span::from_secs(2_000_000_000),
        rate: None,
    };
    state::write(&directory.0, &far).unwrap();
    assert_eq!(directory.open().time(EPOCH, true), None);
}

#[tokio::test]
async fn a_damaged_file_is_left_out_and_written_over() {
    let directory = Directory::new("damaged");
    fs::write(state::path(&directory.0), "time = yesterday\n").unwrap();
    let mut memory = directory.open();
    assert_eq!((memory.time(EPOCH, true), memory.prior()), (None, None));
    memory.decided(&decision(16, 0, 500_000), at(16));
    written(&mut memory).await;
    assert_eq!(directory.read().unwrap().time, EPOCH + Span::from_secs(16));
}

#[tokio::test]
async fn a_directory_that_is_not_there_costs_a_word_and_nothing_else() {
    let directory = Directory::new("missing");
    let none = directory.0.join("none");
    let mut memory = Memory::open(Some(&none));
    for second in [16, 3_700, 7_400] {
        assert!(
            memory
                .decided(&decision(second, 0, 500_000), at(second))
                .is_some()
        );
        written(&mut memory).await;
        assert_eq!(memory.trouble, Some(ErrorKind::NotFound));
    }
    assert!(!none.exists());
    fs::create_dir(&none).unwrap();
    memory.decided(&decision(11_100, 0, 500_000), at(11_100));
    written(&mut memory).await;
    assert_eq!(memory.trouble, None);
}

#[tokio::test]
async fn while_a_disk_hangs_nothing_waits_and_no_second_file_is_begun() {
    let directory = Directory::new("hangs");
    let mut memory = directory.open();
    let (_never, hangs) = oneshot::channel();
    memory.writing = Some(hangs);
    for second in [16, 3_700] {
        assert!(
            memory
                .decided(&decision(second, 0, 500_000), at(second))
                .is_some()
        );
    }
    assert_eq!(directory.read(), None);
    memory.close(at(3_701)).await;
    assert_eq!(directory.read(), None);
}

#[tokio::test]
async fn another_directory_gets_a_file_at_once() {
    let (first, second) = (Directory::new("first"), Directory::new("second"));
    let mut memory = first.open();
    memory.decided(&decision(16, 0, 500_000), at(16));
    written(&mut memory).await;
    memory.move_to(Some(&second.0));
    memory.decided(&decision(32, 0, 500_000), at(32));
    written(&mut memory).await;
    assert_eq!(first.read().unwrap().time, EPOCH + Span::from_secs(16));
    assert_eq!(second.read().unwrap().time, EPOCH + Span::from_secs(32));
    memory.move_to(None);
    memory.decided(&decision(3_700, 0, 500_000), at(3_700));
    assert!(memory.writing.is_none());
}
