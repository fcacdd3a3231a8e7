//! `webntp waitsync`: waits until the running daemon publishes, and the clock is right enough.
//!
//! In: what must hold, and for how long to wait. Out: an exit code; on standard error what is waited for. It looks at the daemon's
//! last decision: an offset is that of the last cycle, so a clock that is set is known to be right after the next one.

use super::socket::{Socket, ask, ask_until};
use super::watch::PAUSE;
use super::{complain, run_to_end};
use crate::config;
use crate::engine::time::{Raw, Span};
use crate::status::report::Report;
use crate::status::table::Length;
use crate::status::words::{long, plain};
use crate::sys::clock::{raw_now, sleep_until};
use anyhow::bail;
use clap::Args;
use std::future;
use std::path::Path;

/// After how many polls, or cycles, that brought nothing what was published is no longer held to be current: as many as a
/// source may miss.
const PATIENCE: i64 = 4;

/// What the first look may take although the timeout is shorter.
const ONE_LOOK: Span = Span::from_secs(2);

const EXIT_CODES: &str = "\
An offset is that of the daemon's last cycle: after the clock was set it takes another one until the new offset is \
known. Durations are whole numbers with ms, s, m or h, as in the configuration.

Exit code 0: it holds. 1: it did not until the timeout. 2: the command line makes no sense.";

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Arguments {
    /// The system clock must be no further off the time that is published, like 100ms
    #[arg(long, value_name = "DURATION", value_parser = config::duration)]
    max_offset: Option<Span>,

    /// That time must be known this well: its greatest error if the majority of the sources is honest
    #[arg(long, value_name = "DURATION", value_parser = config::duration)]
    max_bound: Option<Span>,

    /// Give up after this time; 0s looks once, which may take 2 s [default: never]
    #[arg(long, value_name = "DURATION", value_parser = config::duration)]
    timeout: Option<Span>,

    #[command(flatten)]
    socket: Socket,
}

/// Waits. The daemon may be starting: that it is not there, or may not be asked, is no reason to give up.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = arguments.socket.path();
    run_to_end(async {
        let deadline = arguments.timeout.map(|timeout| raw_now() + timeout);
        let mut told = Told::default();
        let first = deadline.map(|deadline| deadline.max(raw_now() + ONE_LOOK));
        let Some(mut obstacle) = look(&path, first, arguments).await else {
            return Ok(());
        };
        loop {
            if let (Some(deadline), Some(timeout)) = (deadline, arguments.timeout)
                && raw_now() >= deadline
            {
                bail!("{}: {obstacle}", limit(timeout));
            }
            told.tell(&obstacle);
            let next = async {
                sleep_until(raw_now() + PAUSE).await;
                look(&path, deadline, arguments).await
            };
            tokio::select! {
                // A look that the timeout cuts short is no news of the daemon.
                biased;
                () = passed(deadline) => {}
                looked = next => match looked {
                    Some(next) => obstacle = next,
                    None => return Ok(()),
                },
            }
        }
    })
}

/// What is still in the way, if anything; the daemon must have answered by `due`.
async fn look(path: &Path, due: Option<Raw>, arguments: &Arguments) -> Option<String> {
    let asked = match due {
        Some(due) => ask_until(path, due).await,
        None => ask(path).await,
    };
    match asked {
        Ok((report, _)) => obstacle(&report, arguments.max_offset, arguments.max_bound),
        Err(why) => Some(why.to_string()),
    }
}

/// What did not do.
fn limit(timeout: Span) -> String {
    if timeout == Span::ZERO {
        "not now".to_owned()
    } else {
        format!("not within {}", Length(timeout))
    }
}

async fn passed(deadline: Option<Raw>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => future::pending().await,
    }
}

fn obstacle(report: &Report, max_offset: Option<Span>, max_bound: Option<Span>) -> Option<String> {
    let Some(tracking) = report.tracking.as_ref().filter(|_| report.is_publishing()) else {
        let why = report.reason.as_deref().filter(|_| report.cycles > 0);
        return Some(match why {
            Some(why) => format!("nothing published: {}", plain(why)),
            None => "webntpd has just started, nothing published yet".to_owned(),
        });
    };
    let [published, offset, bound] =
        [tracking.age_ns, tracking.offset_ns, tracking.bound_ns].map(Span::from_nanos);
    if let Some(idle) = report.hangs() {
        return Some(format!("webntpd's last cycle ended {} ago", long(idle)));
    }
    if published > freshness(report) {
        return Some(format!(
            "the last time was published {} ago",
            long(published)
        ));
    }
    let above = |what: &str, is: Span, limit: Option<Span>| {
        let limit = limit.filter(|limit| is > *limit)?;
        Some(format!(
            "{what} {}, more than {}",
            Length(is),
            Length(limit)
        ))
    };
    above("the system clock is off by", offset.abs(), max_offset)
        .or_else(|| above("the time is known to ±", bound, max_bound))
}

/// How old what was published may be: all together, sources may be asked more rarely than they are judged.
fn freshness(report: &Report) -> Span {
    let used = report.sources.iter();
    let used = used.filter(|source| ["best", "survivor"].contains(&source.tally.as_str()));
    let a_second: f64 = used
        .map(|source| 1.0 / source.poll().as_secs_f64().max(1e-9))
        .sum();
    let apart = if a_second > 0.0 {
        Span::from_secs_f64(1.0 / a_second)
    } else {
        Span::ZERO
    };
    apart.max(Span::from_nanos(report.cycle_ns)).times(PATIENCE)
}

/// What was said, so that it is not said again with other numbers.
#[derive(Default)]
struct Told(Option<String>);

impl Told {
    fn tell(&mut self, obstacle: &str) {
        if self.is_news(obstacle) {
            complain(&format!("waiting: {obstacle}"));
        }
    }

    fn is_news(&mut self, obstacle: &str) -> bool {
        let is_kept = |c: &char| c.is_alphabetic();
        let kind: String = obstacle.chars().filter(is_kept).collect();
        let is_news = self.0.as_ref() != Some(&kind);
        self.0 = Some(kind);
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::rig;

    fn report() -> Report {
        let status = rig::status();
        Report::new(&status, status.clock.raw)
    }

    fn ms(millis: i64) -> Option<Span> {
        Some(Span::from_millis(millis))
    }

    #[test]
    fn what_is_published_and_good_enough_is_not_waited_for() {
        assert_eq!(obstacle(&report(), None, None), None);
        assert_eq!(obstacle(&report(), ms(26), ms(12)), None);
    }

    #[test]
    fn a_clock_too_far_off_and_a_time_not_known_well_enough_are_waited_for() {
        let said = obstacle(&report(), ms(25), ms(11));
        let offset = "the system clock is off by 25.500 ms, more than 25.000 ms";
        assert_eq!(said.as_deref(), Some(offset));
        let mut behind = report();
        behind.tracking.as_mut().expect("a decision").offset_ns = -25_500_000;
        assert_eq!(obstacle(&behind, ms(25), None).as_deref(), Some(offset));
        let bound = "the time is known to ± 11.504 ms, more than 11.000 ms";
        assert_eq!(obstacle(&report(), ms(26), ms(11)).as_deref(), Some(bound));
    }

    #[test]
    fn what_is_not_published_or_no_longer_is_waited_for() {
        let said = |status: &crate::status::Status| {
            obstacle(&Report::new(status, status.clock.raw), None, None)
        };
        let starting = "webntpd has just started, nothing published yet";
        assert_eq!(said(&rig::starting()).as_deref(), Some(starting));
        let silent = "nothing published: no usable source";
        assert_eq!(said(&rig::silent()).as_deref(), Some(silent));
        let refused = "nothing published: SHM(2): no room";
        assert_eq!(said(&rig::refused()).as_deref(), Some(refused));
    }

    #[test]
    fn what_was_published_holds_for_as_long_as_four_samples_of_all_that_are_used_take() {
        let mut report = report();
        report.tracking.as_mut().expect("a decision").age_ns = 65_000_000_000;
        let old = "the last time was published 1 min 5 s ago";
        assert_eq!(obstacle(&report, None, None).as_deref(), Some(old));
        // Two take turns in the cycles.
        for source in &mut report.sources {
            source.poll_ns = 32_000_000_000;
        }
        assert_eq!(obstacle(&report, None, None).as_deref(), Some(old));
        for source in &mut report.sources {
            source.poll_ns = 64_000_000_000;
        }
        assert_eq!(obstacle(&report, None, None), None);
        for source in &mut report.sources {
            source.tally = "unusable".into();
        }
        assert_eq!(obstacle(&report, None, None).as_deref(), Some(old));
    }

    #[test]
    fn a_daemon_whose_cycles_have_stopped_is_not_believed() {
        let mut report = report();
        report.age_ns = Some(65_000_000_000);
        let stuck = "webntpd's last cycle ended 1 min 5 s ago";
        assert_eq!(obstacle(&report, None, None).as_deref(), Some(stuck));
    }

    #[test]
    fn one_look_that_finds_an_obstacle_is_told_without_a_time() {
        assert_eq!(limit(Span::ZERO), "not now");
        assert_eq!(limit(Span::from_secs(1)), "not within 1.000 s");
    }

    #[test]
    fn other_numbers_are_no_news() {
        let mut told = Told::default();
        assert!(told.is_news("off by 25.500 ms"));
        assert!(!told.is_news("off by 24.100 ms"));
        assert!(told.is_news("no usable source"));
        assert!(told.is_news("off by 24.000 ms"));
    }
}
