//! `webntp URL…`: asks each server a few times and prints what it says, in the words of go-webntp.
//!
//! `server URL, offset -0.006376, delay 0.024411` for each that answers, then the time by the best of them:
//! `2017-03-11 18:25:10.905049427 +0900 JST, server URL, offset -0.000066`. Errors go to standard error.

use super::burst::{Burst, Server};
use super::{complain, feed, run_to_end};
use crate::engine::snapshot::{Decision, Tally};
use crate::engine::source::{Failure, Report};
use crate::engine::time::{Raw, Span, Utc};
use crate::engine::{Engine, Settings, SourceId, SourceSettings};
use crate::net::Tls;
use crate::sys::clock::{ClockPair, pair_now, raw_now};
use anyhow::{Context, bail};
use clap::Args;
use jiff::{Timestamp, tz::TimeZone};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

/// What has been asked is never too old: a round is short.
const POLL: Span = Span::from_secs(3_600);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Servers to ask: http, https, ws, wss or ntp
    #[arg(value_name = "URL", required = true, value_parser = url)]
    pub(super) urls: Vec<String>,

    /// How often to ask each server, once a second, 1 to 8. The offset that is told is the best guess inside of
    /// what all its replies prove, the delay is the least
    #[arg(
        short = 'p',
        long,
        value_name = "N",
        default_value = "4",
        value_parser = clap::value_parser!(u8).range(1..=8)
    )]
    pub(super) samples: u8,

    /// Feed the NTP shared memory of this unit, 1 to 255, with the time that the majority holds: ask every minute
    /// until a signal ends it, and write nothing when no server answers or they contradict each other [default: 0,
    /// none]
    #[arg(
        long,
        value_name = "UNIT",
        default_value = "0",
        hide_default_value = true
    )]
    pub(super) shm: u8,
}

/// A word that can be no URL is a command that was mistyped. What is wrong with anything else is told when it is asked.
fn url(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase()) {
        let tool = super::tool::command();
        let names = tool.get_subcommands().map(clap::Command::get_name);
        let nearest = names.min_by_key(|name| strsim::osa_distance(name, text));
        let meant = nearest.filter(|name| strsim::osa_distance(name, text) <= 2);
        let advice = match meant {
            Some(name) => format!("is `webntp {name}` meant?"),
            None => "see `webntp --help`".to_owned(),
        };
        return Err(format!("neither a command nor a URL; {advice}"));
    }
    Ok(text.to_owned())
}

/// Asks, once or for ever.
pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    run_to_end(async {
        if options.shm != 0 {
            return feed::run(options).await;
        }
        let mut query = Query::new(&options.urls, options.samples, Span::MAX);
        match query.round().await? {
            Ok(_) => Ok(()),
            Err(why) => bail!(why),
        }
    })
}

/// Whom to ask, and how.
pub(super) struct Query {
    questions: Vec<Question>,
    samples: u8,
    /// Greatest half-width of a bound that is of use.
    max_bound: Span,
}

/// One URL.
struct Question {
    url: String,
    server: Result<Server, String>,
    /// The server wants to be left alone until then.
    not_before: Option<Raw>,
}

/// What one server said, if anything, as the others see it.
struct Said<'a> {
    url: &'a str,
    operator: &'a str,
    burst: Option<Burst>,
}

impl Query {
    pub(super) fn new(urls: &[String], samples: u8, max_bound: Span) -> Self {
        let (tls, mut paces) = (Arc::new(Tls::new(Vec::new())), BTreeMap::new());
        let questions = urls.iter().map(|url| Question {
            url: url.clone(),
            server: Server::new(url, &tls, &mut paces).map_err(|error| format!("{error:#}")),
            not_before: None,
        });
        Self {
            questions: questions.collect(),
            samples,
            max_bound,
        }
    }

    /// Asks all servers at once and prints in the order in which they were named. Gives the time that they agree on, or
    /// why they do not; fails when nobody reads what is printed.
    pub(super) async fn round(&mut self) -> anyhow::Result<Result<Decision, String>> {
        let asked: Vec<_> = self
            .questions
            .iter()
            .map(|question| {
                let server = question.server()?.clone();
                Ok(tokio::spawn(server.ask(self.samples)))
            })
            .collect();
        let mut bursts = Vec::new();
        for (question, asked) in self.questions.iter_mut().zip(asked) {
            let result = match asked {
                Ok(task) => task.await?.map_err(|failure| question.blame(&failure)),
                Err(why) => Err(why),
            };
            match result {
                Ok(burst) => {
                    print(&line(&question.url, &burst))?;
                    question.excuse(&burst, self.samples);
                    bursts.push(Some(burst));
                }
                Err(why) => {
                    complain(&format!("server {}: {why}", question.url));
                    bursts.push(None);
                }
            }
        }
        let said: Vec<Said<'_>> = self
            .questions
            .iter()
            .zip(bursts)
            .map(|(question, burst)| question.said(burst))
            .collect();
        let now = pair_now();
        Ok(match judge(&said, self.max_bound, now.raw) {
            Ok((best, decision)) => {
                print(&verdict(best, now, &TimeZone::system()))?;
                Ok(decision)
            }
            Err(why) => Err(why),
        })
    }
}

impl Question {
    fn server(&self) -> Result<&Server, String> {
        let server = self.server.as_ref().map_err(String::clone)?;
        let left = self.not_before.map_or(Span::ZERO, |at| at - raw_now());
        if left > Span::ZERO {
            let left = left.as_secs_f64();
            return Err(format!(
                "not asked, it wants to be left alone for {left:.0} s"
            ));
        }
        Ok(server)
    }

    /// Why there is no sample, and what follows from it.
    fn blame(&mut self, failure: &Failure) -> String {
        self.not_before = failure.retry_after.map(|pause| raw_now() + pause);
        failure.reason.clone()
    }

    /// Tells what was not as it should be although there is a time.
    fn excuse(&mut self, burst: &Burst, samples: u8) {
        let (url, count) = (self.url.clone(), burst.exchanges.len());
        if let Some(failure) = &burst.trouble {
            let why = self.blame(failure);
            complain(&format!(
                "server {url}: {count} of {samples} samples, then: {why}"
            ));
        }
        let misfits = burst.misfits();
        if misfits > 0 {
            complain(&format!(
                "server {url}: contradicts itself, the first {misfits} of {count} samples are left out"
            ));
        }
    }

    fn said(&self, burst: Option<Burst>) -> Said<'_> {
        let operator = self.server.as_ref().map(|server| server.operator.as_str());
        Said {
            url: &self.url,
            operator: operator.unwrap_or_default(),
            burst,
        }
    }
}

/// What all together hold at `now`, and who of them knows it best. Only those that answered have a vote.
fn judge<'a>(
    said: &'a [Said<'a>],
    max_bound: Span,
    now: Raw,
) -> Result<((&'a str, &'a Burst), Decision), String> {
    let answers: Vec<_> = said
        .iter()
        .filter_map(|said| Some((said.url, said.operator, said.burst.as_ref()?)))
        .collect();
    if answers.is_empty() {
        return Err("no server answered".to_owned());
    }
    let sources = (0..)
        .zip(&answers)
        .map(|(id, (url, operator, _))| SourceSettings {
            id: SourceId(id),
            name: (*url).to_owned(),
            operator: (*operator).to_owned(),
            poll: POLL,
            max_poll: POLL,
            prefer: false,
            noselect: false,
            coarse: false,
        });
    let cycle = Span::from_nanos(1);
    let settings = Settings {
        cycle,
        min_agreeing: Some(1),
        max_bound,
        sources: sources.collect(),
    };
    let mut engine = Engine::new(settings, now - cycle);
    for (id, (.., burst)) in (0..).zip(&answers) {
        for exchange in &burst.exchanges {
            engine.report(SourceId(id), Report::Sample(*exchange));
        }
    }
    let snapshot = engine.cycle(now).ok_or("the clock went back")?;
    let decision = snapshot.outcome.map_err(|why| why.to_string())?;
    let best = snapshot
        .sources
        .iter()
        .position(|source| source.tally == Tally::Best);
    let (url, _, burst) = answers[best.unwrap_or_default()];
    Ok(((url, burst), decision))
}

fn print(line: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{line}").context("cannot write to standard output")
}

fn line(url: &str, burst: &Burst) -> String {
    format!(
        "server {url}, offset {:.6}, delay {:.6}",
        burst.offset().as_secs_f64(),
        burst.delay().as_secs_f64()
    )
}

/// The last line: what time it is.
fn verdict((url, best): (&str, &Burst), now: ClockPair, zone: &TimeZone) -> String {
    let offset = best.offset();
    format!(
        "{}, server {url}, offset {:.6}",
        local(now.system + offset, zone),
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
    use crate::engine::exchange::Exchange;
    use jiff::tz;

    const NOW: ClockPair = ClockPair {
        raw: Raw::from_nanos(0),
        system: Utc::from_nanos(1_489_224_310_905_115_427),
    };

    /// A server that is ahead of the system clock, asked just now.
    fn said(url: &str, ahead_ms: i64, delay_ms: i64) -> Said<'_> {
        let sent = NOW.raw - Span::from_millis(delay_ms);
        let theta = (NOW.system - NOW.raw) + Span::from_millis(ahead_ms);
        let stamp = sent + theta + Span::from_millis(delay_ms / 2);
        let exchange = Exchange::new(sent, NOW.raw, stamp, stamp, None).expect("possible");
        Said {
            url,
            operator: url,
            burst: Burst::new(vec![exchange], None, NOW),
        }
    }

    fn judged(said: &[Said<'_>], max_bound: Span) -> Result<(String, Decision), String> {
        judge(said, max_bound, NOW.raw).map(|((best, _), decision)| (best.to_owned(), decision))
    }

    #[test]
    fn the_best_has_the_least_delay_among_those_that_agree() {
        let all = [
            said("far", 0, 40),
            said("near", 1, 20),
            said("wrong", 1_000, 2),
        ];
        let (best, decision) = judged(&all, Span::MAX).expect("two of three agree");
        assert_eq!(best, "near");
        let offset = NOW.offset(decision.theta);
        assert!(
            (offset - Span::from_millis(1)).abs() < Span::from_millis(1),
            "{offset:?}"
        );
        assert!(decision.bound.half_width() < Span::from_millis(11));
    }

    #[test]
    fn two_that_contradict_each_other_have_no_best() {
        let why = judged(&[said("a", 0, 20), said("b", 1_000, 20)], Span::MAX);
        assert_eq!(
            why.expect_err("no majority"),
            "no majority: 2 operators contradict each other"
        );
    }

    #[test]
    fn nobody_has_no_best() {
        let silent = Said {
            burst: None,
            ..said("a", 0, 20)
        };
        for nobody in [&[][..], &[silent]] {
            assert_eq!(
                judged(nobody, Span::MAX).expect_err("nobody"),
                "no server answered"
            );
        }
    }

    #[test]
    fn a_server_at_several_urls_has_one_vote() {
        let twice = |url| Said {
            operator: "liar",
            ..said(url, 1_000, 2)
        };
        let all = [
            twice("a"),
            twice("b"),
            said("right", 0, 20),
            said("too", 0, 40),
        ];
        assert_eq!(judged(&all, Span::MAX).expect("two of three").0, "right");
    }

    #[test]
    fn what_is_too_uncertain_for_its_use_is_no_time() {
        let slow = [said("slow", 0, 3_200)];
        assert!(judged(&slow, Span::MAX).is_ok());
        assert_eq!(
            judged(&slow, Span::from_millis(1_500)).expect_err("1.6 s"),
            "no usable source"
        );
    }

    #[test]
    fn the_lines_are_the_references() {
        let url = "https://webntp.example/";
        let burst = said(url, -66, 20).burst.expect("it answered");
        assert_eq!(
            line(url, &burst),
            "server https://webntp.example/, offset -0.066000, delay 0.020000"
        );
        let zone = TimeZone::fixed(tz::offset(9));
        assert_eq!(
            verdict((url, &burst), NOW, &zone),
            "2017-03-11 18:25:10.839115427 +0900 +09, server https://webntp.example/, offset -0.066000"
        );
    }
}
