//! A replay: the engine of the daemon, driven by a measurement log.
//!
//! In: a configuration, and the lines of a log. Out: the end of every cycle, as the daemon would have seen it. Nothing waits and no
//! clock is read, so the same lines give the same on every run. Memory does not grow with the log. What is shown of it is for others.

use super::measurements::line::{BadLine, Item, START, moved};
use super::{roster, settings};
use crate::config::Config;
use crate::engine::exchange::Exchange;
use crate::engine::snapshot::{NoDecision, Snapshot, Tally, Unusable};
use crate::engine::source::Report;
use crate::engine::time::{Raw, Span};
use crate::engine::{Engine, Settings, SourceId};
use crate::protocol::kind::Kind;
use std::collections::{BTreeSet, HashMap};

mod shown;

pub use shown::{Decided, Undecided};

/// So many sources that are in the log and not in the configuration are kept apart.
const MOST_STRANGERS: usize = 64;

const TICK: Span = Span::from_nanos(1);

/// How much earlier an exchange may be than one above it: a poller that had no turn for a while reports late.
const BACKWARDS: Span = Span::from_secs(60);

/// The end of a cycle goes to it.
pub type Show<'a> = dyn FnMut(&Snapshot) + 'a;

/// An engine and what it has been told of a log.
pub struct Replay {
    settings: Settings,
    /// By name: the place in the settings, and the configured `offset`.
    sources: HashMap<String, (usize, Span)>,
    /// The places of those whose protocol the configuration does not name: the log does.
    unnamed: BTreeSet<usize>,
    /// Of these, those that the log has named so far, and those of which it had exchanges before.
    named: BTreeSet<usize>,
    untold: BTreeSet<usize>,
    next_id: u64,
    /// Whether cycles in which nothing can be decided are shown as well.
    shows_all: bool,
    /// None before the first line that has a time.
    run: Option<Run>,
    /// When the newest exchange of this boot was received.
    newest: Option<Raw>,
    /// How many cycles ended in earlier runs.
    ended: u64,
    strangers: BTreeSet<String>,
    strange: u64,
}

/// From a start on, in one boot.
struct Run {
    engine: Engine,
    cycle: Span,
    /// How many cycles have ended, those that were left out among them.
    ended: u64,
    boot: Option<String>,
    /// The cycle that is due ends only then.
    late: Option<Raw>,
    /// When the newest exchange came that no cycle has used yet.
    news: Option<Raw>,
    /// No cycle can decide anything before an exchange comes.
    is_silent: bool,
    /// The daemon has ended.
    has_stopped: bool,
}

/// Exchanges with sources that the configuration does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strangers<'a> {
    /// How many exchanges.
    pub exchanges: u64,
    /// Their sources, sorted; not all, if they are many.
    pub names: &'a BTreeSet<String>,
}

impl Replay {
    /// A replay of what a daemon with this configuration would have made of a log. With `shows_all` every cycle is shown, else
    /// those may be left out in which nothing is decided.
    pub fn new(config: &Config, shows_all: bool) -> Self {
        let numbered = || config.sources.iter().enumerate();
        let of = |(k, source)| roster::settings(SourceId(k as u64), source);
        Self {
            settings: settings(config, numbered().map(of).collect()),
            sources: numbered()
                .map(|(k, source)| (source.name.clone(), (k, source.offset)))
                .collect(),
            unnamed: numbered()
                .filter(|(_, source)| source.protocol.is_none())
                .map(|(k, _)| k)
                .collect(),
            named: BTreeSet::new(),
            untold: BTreeSet::new(),
            next_id: config.sources.len() as u64,
            shows_all,
            run: None,
            newest: None,
            ended: 0,
            strangers: BTreeSet::new(),
            strange: 0,
        }
    }

    /// Takes in the next line of the log, and shows the cycles that had ended before.
    pub fn take(&mut self, line: &[u8], show: &mut Show<'_>) -> Result<(), BadLine> {
        match Item::read(line)? {
            Item::Exchange(source, exchange) => self.exchange(&source, exchange, show)?,
            Item::Start { boot, raw } => self.start(&boot, raw, show)?,
            Item::Continued { boot, raw } => {
                // What stands above it without a beginning was cut off by who copied the file and emptied it.
                if let Some(run) = self.run.as_mut().filter(|run| run.boot.is_none()) {
                    run.boot = Some(boot.to_string());
                }
                self.start(&boot, raw, show)?;
            }
            Item::Reset { raw, why } => self.reset(raw, &why, show),
            Item::Reload { raw, anew } => {
                self.advance(raw, show);
                for name in anew {
                    self.begin_anew(&name);
                }
                let settings = self.settings.clone();
                self.run(raw).engine.reconfigure(settings, raw);
            }
            Item::Rate { raw, prior } => {
                self.advance(raw, show).engine.remember_rate(prior);
            }
            Item::Protocol { raw, source, kind } => self.settle(&source, kind, raw),
            Item::LeapList { raw, list } => {
                self.advance(raw, show).engine.know_leap_seconds(list);
            }
            Item::Cycle { raw } => {
                self.advance(raw, show);
            }
            Item::Late { raw } => {
                let run = self.run(raw);
                run.late = run.late.max(Some(raw));
            }
            Item::Stop { raw } => {
                self.advance(raw, show).has_stopped = true;
            }
            Item::Unknown => {}
        }
        Ok(())
    }

    /// Shows what the last lines led to.
    pub fn finish(&mut self, show: &mut Show<'_>) {
        if let Some(run) = &mut self.run {
            run.finish(self.shows_all, show);
        }
    }

    /// How many cycles have ended by now, also those that were not shown.
    pub fn cycles(&self) -> u64 {
        self.ended + self.run.as_ref().map_or(0, |run| run.ended)
    }

    /// What was passed over, if anything was.
    pub fn strangers(&self) -> Option<Strangers<'_>> {
        (self.strange > 0).then_some(Strangers {
            exchanges: self.strange,
            names: &self.strangers,
        })
    }

    /// The sources, sorted, of which there were exchanges before it was told what their servers speak, by the configuration or by the
    /// log: their stamps were taken for finer than whole seconds.
    pub fn untold(&self) -> Vec<&str> {
        let untold = self.untold.iter();
        let mut names: Vec<&str> = untold
            .map(|place| &*self.settings.sources[*place].name)
            .collect();
        names.sort_unstable();
        names
    }

    fn exchange(
        &mut self,
        source: &str,
        exchange: Exchange,
        show: &mut Show<'_>,
    ) -> Result<(), BadLine> {
        let received = exchange.received();
        is_in_order(self.newest, received)?;
        self.newest = self.newest.max(Some(received));
        let Some(&(place, offset)) = self.sources.get(source) else {
            self.strange += 1;
            if self.strangers.len() < MOST_STRANGERS && !self.strangers.contains(source) {
                self.strangers.insert(source.to_owned());
            }
            return Ok(());
        };
        if self.unnamed.contains(&place) && !self.named.contains(&place) {
            self.untold.insert(place);
        }
        let exchange = moved(&exchange, offset)?;
        let id = self.settings.sources[place].id;
        let before = received - TICK;
        self.run(before).has_stopped = false;
        let run = self.advance(before, show);
        run.engine.report(id, Report::Sample(exchange));
        run.news = run.news.max(Some(received));
        run.is_silent = false;
        Ok(())
    }

    fn start(&mut self, boot: &str, raw: Raw, show: &mut Show<'_>) -> Result<(), BadLine> {
        // Where the kernel names no boot, all are called alike.
        if boot.is_empty() {
            self.newest = None;
        }
        if let Some(run) = &mut self.run {
            if run.boot.as_deref() == Some(boot) {
                is_in_order(self.newest, raw)?;
                run.advance(raw, self.shows_all, show);
                if run.has_stopped {
                    let cycle = self.settings.cycle.as_nanos().max(1);
                    let passed = Span::from_nanos(raw.as_nanos().rem_euclid(cycle));
                    run.late = Some(raw - passed + self.settings.cycle);
                    run.has_stopped = false;
                }
                return Ok(());
            }
            run.finish(self.shows_all, show);
        }
        self.newest = None;
        self.begin(Some(boot.to_owned()), raw);
        Ok(())
    }

    /// Goes on without history.
    fn begin(&mut self, boot: Option<String>, now: Raw) {
        let run = Run {
            boot,
            ..Run::new(self.settings.clone(), now)
        };
        if let Some(before) = self.run.replace(run) {
            self.ended += before.ended;
        }
    }

    fn reset(&mut self, raw: Raw, why: &str, show: &mut Show<'_>) {
        // A break that was found when a cycle was due came before its end.
        self.run(raw);
        let run = self.advance(raw - TICK, show);
        if why == START {
            let boot = run.boot.take();
            self.begin(boot, raw);
        } else {
            run.engine.forget(raw);
        }
    }

    /// Takes in what a source speaks, of which there has been no exchange yet: no cycle ends for that.
    fn settle(&mut self, source: &str, kind: Kind, now: Raw) {
        let Some((place, _)) = self.sources.get(source) else {
            return;
        };
        if self.unnamed.contains(place) {
            self.named.insert(*place);
            self.settings.sources[*place].coarse = kind.is_coarse();
            if let Some(run) = &mut self.run {
                run.engine.reconfigure(self.settings.clone(), now);
            }
        }
    }

    /// Takes a source for another one, without history.
    fn begin_anew(&mut self, name: &str) {
        if let Some(&(place, _)) = self.sources.get(name) {
            self.settings.sources[place].id = SourceId(self.next_id);
            self.next_id += 1;
        }
    }

    /// Ends all cycles that are due by `until`.
    fn advance(&mut self, until: Raw, show: &mut Show<'_>) -> &mut Run {
        let shows_all = self.shows_all;
        let run = self.run(until);
        run.advance(until, shows_all, show);
        run
    }

    /// What runs, or began at `now`.
    fn run(&mut self, now: Raw) -> &mut Run {
        let settings = &self.settings;
        self.run
            .get_or_insert_with(|| Run::new(settings.clone(), now))
    }
}

impl Run {
    fn new(settings: Settings, now: Raw) -> Self {
        Self {
            cycle: settings.cycle,
            ended: 0,
            engine: Engine::new(settings, now),
            boot: None,
            late: None,
            news: None,
            is_silent: true,
            has_stopped: false,
        }
    }

    /// When the next cycle is to end.
    fn due(&self) -> Raw {
        let next = self.engine.next_cycle();
        self.late.map_or(next, |late| late.max(next))
    }

    /// Ends all cycles that are due by `until`.
    fn advance(&mut self, until: Raw, shows_all: bool, show: &mut Show<'_>) {
        while !self.has_stopped {
            let due = self.due();
            if due > until {
                return;
            }
            // Of many cycles that decide nothing and change nothing, the last one will do.
            let now = if self.is_silent && !shows_all {
                until
            } else {
                due
            };
            let Some(snapshot) = self.engine.cycle(now) else {
                return;
            };
            self.late = None;
            self.ended += 1 + whole_cycles(snapshot.at - due, self.cycle);
            self.news = self.news.filter(|newest| *newest > snapshot.at);
            self.is_silent = self.news.is_none() && is_silent(&snapshot);
            show(&snapshot);
            if self.engine.next_cycle() <= now {
                // There is no later time.
                return;
            }
        }
    }

    /// Ends the cycle in which the last exchange came; the daemon may have ended it, too.
    fn finish(&mut self, shows_all: bool, show: &mut Show<'_>) {
        // A cycle that ended late may have left some of them to the next one.
        for _ in 0..2 {
            if self.news.is_some() {
                self.advance(self.due(), shows_all, show);
            }
        }
    }
}

/// Whether this may follow upon the newest exchange above it: what an older file has behind a newer one would be passed over
/// without a word.
fn is_in_order(newest: Option<Raw>, raw: Raw) -> Result<(), BadLine> {
    match newest.map(|newest| newest - raw) {
        Some(back) if back > BACKWARDS => Err(BadLine::Backwards(back)),
        _ => Ok(()),
    }
}

/// How many cycles ended up to the end of one, this much later than one was due; that may have been late, within its cycle.
fn whole_cycles(later: Span, cycle: Span) -> u64 {
    let cycle = cycle.as_nanos().max(1);
    let up = later.as_nanos().saturating_add(cycle - 1);
    u64::try_from(up / cycle).unwrap_or(0)
}

/// Whether no source can be of use before it answers again, and none is remembered as a survivor: then the next cycle is as this one,
/// and so is every one until an exchange comes.
fn is_silent(snapshot: &Snapshot) -> bool {
    use Unusable::{NoSample, NoSelect, Stale};
    // No source was looked at.
    if snapshot.outcome == Err(NoDecision::LeapSecond) {
        return false;
    }
    snapshot
        .sources
        .iter()
        .all(|source| matches!(source.tally, Tally::Unusable(NoSample | NoSelect | Stale)))
}

#[cfg(test)]
mod tests;
