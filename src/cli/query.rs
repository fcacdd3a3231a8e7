//! `webntp URL…`: asks each server once and prints what it says, in the words of go-webntp.
//!
//! `server URL, offset -0.006376, delay 0.024411` for each that answers, then the time by the best of them:
//! `2017-03-11 18:25:10.905049427 +0900 JST, server URL, offset -0.000066`. Errors go to standard error.

use super::{complain, run_to_end};
use crate::engine::bound::{Bound, Interval};
use crate::engine::exchange::Exchange;
use crate::engine::select::{Candidate, select};
use crate::engine::time::{Span, Utc};
use crate::net::{Target, Tls};
use crate::poller::{Upstream, UpstreamSettings};
use crate::sys::clock::{ClockPair, pair_now};
use anyhow::Context;
use jiff::{Timestamp, tz::TimeZone};
use std::io::{self, Write};
use std::sync::Arc;
use url::Url;

/// What one server said.
struct Answer {
    url: String,
    exchange: Exchange,
    clock: ClockPair,
}

impl Answer {
    /// What must be added to the system clock, if the path is symmetric.
    fn offset(&self) -> Span {
        self.clock.offset(self.exchange.middle())
    }

    fn line(&self) -> String {
        format!(
            "server {}, offset {:.6}, delay {:.6}",
            self.url,
            self.offset().as_secs_f64(),
            self.exchange.delay().as_secs_f64()
        )
    }

    fn bound(&self) -> Bound {
        Interval {
            lo: self.exchange.lower(),
            hi: self.exchange.upper(),
        }
    }
}

/// Asks all servers at once and prints in the order in which they were named. Fails when none answers, or when those that do
/// contradict each other.
pub(super) fn run(urls: &[String]) -> anyhow::Result<()> {
    let answers = run_to_end(ask_all(urls))?;
    let best = best(&answers).with_context(|| {
        if answers.is_empty() {
            "no server answered"
        } else {
            "the servers contradict each other, no majority of them agrees"
        }
    })?;
    print(&verdict(best, pair_now(), &TimeZone::system()))
}

fn print(line: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{line}").context("cannot write to standard output")
}

async fn ask_all(urls: &[String]) -> anyhow::Result<Vec<Answer>> {
    let tls = Arc::new(Tls::new(Vec::new()));
    let asked: Vec<_> = urls
        .iter()
        .map(|url| (url, tokio::spawn(ask(url.clone(), Arc::clone(&tls)))))
        .collect();
    let mut answers = Vec::new();
    for (url, task) in asked {
        match task.await? {
            Ok(answer) => {
                print(&answer.line())?;
                answers.push(answer);
            }
            Err(error) => complain("webntp", &format!("server {url}: {error:#}")),
        }
    }
    Ok(answers)
}

async fn ask(url: String, tls: Arc<Tls>) -> anyhow::Result<Answer> {
    let parsed = Url::parse(&url).context("not a URL, e.g. https://webntp.shogo82148.com/json")?;
    let mut upstream = Upstream::new(Target::new(parsed)?, tls, UpstreamSettings::default());
    let exchange = upstream.exchange().await?;
    Ok(Answer {
        url,
        exchange,
        clock: pair_now(),
    })
}

/// Of those whose interval agrees with the majority, the one with the least delay.
fn best(answers: &[Answer]) -> Option<&Answer> {
    let candidates: Vec<Candidate> = answers
        .iter()
        .map(|answer| Candidate {
            operator: &answer.url,
            bound: answer.bound(),
            coarse: false,
        })
        .collect();
    let truechimers = select(&candidates)?.truechimers;
    answers
        .iter()
        .zip(truechimers)
        .filter_map(|(answer, truechimer)| truechimer.then_some(answer))
        .min_by_key(|answer| answer.exchange.delay())
}

/// The last line: what time it is.
fn verdict(best: &Answer, now: ClockPair, zone: &TimeZone) -> String {
    let offset = best.offset();
    format!(
        "{}, server {}, offset {:.6}",
        local(now.system + offset, zone),
        best.url,
        offset.as_secs_f64()
    )
}

/// Date, time with as many digits as it has, offset and name of the zone.
fn local(instant: Utc, zone: &TimeZone) -> String {
    match Timestamp::from_nanosecond(instant.as_nanos().into()) {
        Ok(timestamp) => timestamp
            .to_zoned(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S%.f %z %Z")
            .to_string(),
        Err(_) => format!("{instant:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Raw;
    use jiff::tz;

    fn answer(url: &str, ahead_ms: i64, delay_ms: i64) -> Answer {
        let system = Utc::from_nanos(1_489_224_310_905_115_427);
        let clock = ClockPair {
            raw: Raw::from_nanos(0),
            system,
        };
        let received = clock.raw + Span::from_millis(delay_ms);
        let theta = (system - clock.raw) + Span::from_millis(ahead_ms);
        let stamp = clock.raw + theta + Span::from_millis(delay_ms / 2);
        let exchange = Exchange::new(clock.raw, received, stamp, stamp, None).expect("possible");
        Answer {
            url: url.into(),
            exchange,
            clock,
        }
    }

    #[test]
    fn the_best_has_the_least_delay_among_those_that_agree() {
        let answers = [
            answer("far", 0, 40),
            answer("near", 1, 20),
            answer("wrong", 1_000, 2),
        ];
        assert_eq!(best(&answers).map(|best| best.url.as_str()), Some("near"));
    }

    #[test]
    fn two_that_contradict_each_other_have_no_best() {
        assert!(best(&[answer("a", 0, 20), answer("b", 1_000, 20)]).is_none());
        assert!(best(&[]).is_none());
    }

    #[test]
    fn the_last_line_is_the_references() {
        let best = answer("https://webntp.example/", -66, 20);
        let zone = TimeZone::fixed(tz::offset(9));
        let line = verdict(&best, best.clock, &zone);
        assert_eq!(
            line,
            "2017-03-11 18:25:10.839115427 +0900 +09, server https://webntp.example/, offset -0.066000"
        );
    }
}
