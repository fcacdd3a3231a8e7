//! The daemon's report: all that it knows of itself, as plain data.
//!
//! In: a [`Status`] and the moment of asking. Out: what the control socket sends as JSON, and what tables and metrics are made
//! of. Times are whole nanoseconds; an age is counted on the raw clock up to the moment of asking; offsets are positive when the
//! system clock is behind, as ntpq has them. Readers pass over members that they do not know, and do without those that are
//! missing.

use super::Status;
use super::ledger::{OutputLedger, SourceLedger, State};
use super::words;
use crate::config;
use crate::engine::snapshot::{SourceView, Tally};
use crate::engine::source::Fault;
use crate::engine::time::{Raw, Span};
use crate::protocol::kind::Kind;
use crate::sys::clock::ClockPair;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The form of the report: another number when a member changes its meaning.
pub const FORMAT: u32 = 1;

/// Kinds of outputs.
const SHM: &str = "shm";
const SOCK: &str = "sock";

/// Why a source is unusable whose protocol is not known, if nothing is amiss.
const FINDING_OUT: &str = "finding out the protocol";

/// How long a daemon that is alive may be without a sign of it: four of its cycles, and ten seconds on a busy machine.
pub fn patience(cycle: Span) -> Span {
    cycle.times(4).max(Span::from_secs(10))
}

/// All that the daemon knows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started, by the system clock of then: ns since 1970.
    pub started_ns: i64,
    /// How long ago that is.
    pub uptime_ns: i64,
    /// How long ago the last cycle ended; null before the first one.
    pub age_ns: Option<i64>,
    /// How often the sources are judged.
    pub cycle_ns: i64,
    /// `starting`, `publishing`, `refused` (the time is known, but no output takes it) or `undecided`.
    pub state: String,
    /// Why nothing is published, if nothing is.
    pub reason: Option<String>,
    /// The state in a line.
    pub summary: String,
    /// The last decision that was handed on.
    pub tracking: Option<Tracking>,
    /// In the order of the configuration.
    pub sources: Vec<Source>,
    /// In the order of the configuration.
    pub outputs: Vec<Output>,
    /// Cycles that have ended.
    pub cycles: u64,
    /// Times that all history was dropped: the machine slept, the raw clock broke, most sources stepped together.
    pub resets: u64,
    /// Configurations taken over since the start.
    pub reloads: u64,
    /// Configurations refused since the start.
    pub reloads_refused: u64,
}

/// The time that was last handed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tracking {
    /// How long ago.
    pub age_ns: i64,
    /// What must be added to the system clock.
    pub offset_ns: i64,
    /// The greatest error of that if the majority is honest.
    pub bound_ns: i64,
    /// System jitter (RFC 5905 §11.2.3).
    pub jitter_ns: i64,
    /// Base-2 logarithm of the bound in seconds, as shared memory has it.
    pub precision: i8,
    /// How fast the raw clock falls behind universal time, parts per billion.
    pub rate_ppb: i64,
    /// The least that this may be if the majority is honest.
    pub rate_lo_ppb: i64,
    /// The most.
    pub rate_hi_ppb: i64,
    /// `none`, `insert` or `delete`: the leap second that is announced.
    pub leap: String,
}

/// One source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// Its name in the configuration.
    pub name: String,
    /// Where it is, without what follows a `?`.
    pub url: String,
    /// What it speaks; empty as long as that is being found out.
    pub protocol: String,
    /// Whose vote it is part of.
    pub operator: String,
    /// Whether it is only measured, and has no vote.
    pub noselect: bool,
    /// `best`, `survivor`, `outlier`, `falseticker` or `unusable`.
    pub tally: String,
    /// Why it is unusable, or why its last poll gave nothing.
    pub reason: Option<String>,
    /// Why it has its tally: null of the best and of those that count like it.
    pub verdict: Option<String>,
    /// Time between polls, as it is now while it answers.
    pub poll_ns: i64,
    /// The last eight polls, the newest in bit 0, a one for each that gave a sample. People write it in octal.
    pub reach: u8,
    /// What its samples of the last hour say together, if there are any.
    pub reading: Option<Reading>,
    /// How long ago its last sample came, since it was configured.
    pub last_sample_ns: Option<i64>,
    /// Polls that gave a sample.
    pub samples: u64,
    /// Polls that gave none, by who can do something about it: `network`, `tls`, `server`, `local`.
    pub missed: BTreeMap<String, u64>,
    /// Cycles at whose end it contradicted the majority.
    pub falseticker_cycles: u64,
    /// Times that its time or its route stepped.
    pub steps: u64,
    /// Times that its poller was started anew after a panic.
    pub restarts: u64,
}

/// What a source says, at the end of the last cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reading {
    /// How long ago its newest sample came.
    pub age_ns: i64,
    /// What must be added to the system clock, by this source.
    pub offset_ns: i64,
    /// The greatest error of that if the source is honest.
    pub bound_ns: i64,
    /// Delay of the newest sample.
    pub delay_ns: i64,
    /// Weighted RMS of what its samples are off their line.
    pub jitter_ns: i64,
    /// Its estimate of the raw clock's rate, parts per billion.
    pub rate_ppb: i64,
    /// What it last said of leap seconds: `none`, `insert`, `delete`, or null if nothing.
    pub leap: Option<String>,
}

/// One output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Output {
    /// In words: `SHM(2)`.
    pub name: String,
    /// `shm` or `sock`.
    pub kind: String,
    /// Of a segment; null of a socket.
    pub unit: Option<u8>,
    /// Of a socket; null of a segment.
    pub path: Option<String>,
    /// Samples handed on.
    pub written: u64,
    /// Samples that it did not take.
    pub failed: u64,
    /// Of a segment `live` (it takes the samples), `attached` (it has the segment and takes none) or `absent`; of a socket `bound`
    /// (somebody has it) or `absent`; null where it cannot be told.
    pub reader: Option<String>,
    /// What is wrong with it, in words.
    pub trouble: Option<String>,
}

impl Report {
    /// What is to be told at `now`.
    pub fn new(status: &Status, now: Raw) -> Self {
        let Status {
            snapshot,
            clock,
            ledger,
            ..
        } = status;
        // A cycle without news leaves the reason of the one before.
        let undecided = || snapshot.outcome.as_ref().err().map(ToString::to_string);
        let reason = ledger.reason.clone().or_else(undecided);
        let sources = ledger.sources.iter().zip(&snapshot.sources);
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_ns: ledger.started.system.as_nanos(),
            uptime_ns: (now - ledger.started.raw).as_nanos(),
            age_ns: (ledger.cycles > 0).then(|| (now - clock.raw).as_nanos()),
            cycle_ns: ledger.cycle.as_nanos(),
            state: ledger.state.name().to_owned(),
            reason: reason.filter(|_| ledger.state != State::Publishing),
            summary: status.summary(),
            tracking: ledger.last.as_ref().map(|(decision, clock)| {
                let bound = decision.error_at(clock.raw);
                Tracking {
                    age_ns: (now - clock.raw).as_nanos(),
                    offset_ns: clock.offset(decision.theta_at(clock.raw)).as_nanos(),
                    bound_ns: bound.as_nanos(),
                    jitter_ns: decision.jitter.as_nanos(),
                    precision: bound.log2_ceil(),
                    rate_ppb: decision.rate.as_ppb(),
                    rate_lo_ppb: decision.rates.lo.as_ppb(),
                    rate_hi_ppb: decision.rates.hi.as_ppb(),
                    leap: decision.leap.name().to_owned(),
                }
            }),
            sources: sources
                .map(|(counts, view)| Source::new(counts, view, *clock, now))
                .collect(),
            outputs: ledger.outputs.iter().map(Output::new).collect(),
            cycles: ledger.cycles,
            resets: ledger.resets,
            reloads: ledger.reloads,
            reloads_refused: ledger.reloads_refused,
        }
    }

    /// How long no cycle has ended, if that is longer than in a daemon that is alive.
    pub fn hangs(&self) -> Option<Span> {
        let idle = Span::from_nanos(self.age_ns.unwrap_or(self.uptime_ns));
        (idle > patience(Span::from_nanos(self.cycle_ns))).then_some(idle)
    }

    /// Whether samples are being handed on.
    pub fn is_publishing(&self) -> bool {
        self.state == State::Publishing.name()
    }
}

impl Source {
    fn new(counts: &SourceLedger, view: &SourceView, clock: ClockPair, now: Raw) -> Self {
        let age = |since: Raw| (now - since).as_nanos();
        let unusable = match view.tally {
            Tally::Unusable(why) => Some(why.to_string()),
            _ => None,
        };
        let unknown = counts.protocol.is_none().then(|| FINDING_OUT.to_owned());
        let missed = Fault::ALL.iter().zip(counts.missed);
        Self {
            name: counts.name.clone(),
            url: counts.url.clone(),
            protocol: counts.protocol.map_or("", Kind::name).to_owned(),
            operator: counts.operator.clone(),
            noselect: counts.noselect,
            tally: view.tally.name().to_owned(),
            reason: view
                .trouble
                .clone()
                .or_else(|| unknown.clone())
                .or_else(|| unusable.clone()),
            verdict: view
                .reason
                .as_ref()
                .map(words::reason)
                .or(unknown)
                .or(unusable),
            poll_ns: view.poll.as_nanos(),
            reach: view.reach,
            reading: view.reading.map(|reading| Reading {
                age_ns: age(reading.newest),
                offset_ns: clock.offset(reading.estimate.theta).as_nanos(),
                bound_ns: reading.error().as_nanos(),
                delay_ns: reading.delay.as_nanos(),
                jitter_ns: reading.estimate.jitter.as_nanos(),
                rate_ppb: reading.estimate.rate.as_ppb(),
                leap: reading.leap.map(|leap| leap.name().to_owned()),
            }),
            last_sample_ns: counts.last_sample.map(age),
            samples: counts.samples,
            missed: missed
                .map(|(fault, count)| (fault.name().to_owned(), count))
                .collect(),
            falseticker_cycles: counts.falseticker,
            steps: counts.steps,
            restarts: counts.restarts,
        }
    }

    /// The mark that chronyc gives it.
    pub fn symbol(&self) -> char {
        let tallies = [
            Tally::Best,
            Tally::Survivor,
            Tally::Outlier,
            Tally::Falseticker,
        ];
        let tally = tallies.iter().find(|tally| tally.name() == self.tally);
        tally.map_or('?', |tally| tally.symbol())
    }

    /// Time between polls.
    pub fn poll(&self) -> Span {
        Span::from_nanos(self.poll_ns)
    }
}

impl Output {
    fn new(counts: &OutputLedger) -> Self {
        Self {
            name: counts.output.to_string(),
            kind: match counts.output {
                config::Output::Shm(_) => SHM,
                config::Output::Sock(_) => SOCK,
            }
            .to_owned(),
            unit: counts.output.unit(),
            path: counts
                .output
                .path()
                .map(|path| path.to_string_lossy().into_owned()),
            written: counts.written,
            failed: counts.failed,
            reader: counts.reader.map(|reader| reader.name().to_owned()),
            trouble: counts.trouble.clone(),
        }
    }
}

impl Output {
    /// Where it is; nothing if it is of a kind that this version does not know.
    pub fn place(&self) -> Option<config::Output> {
        match self.kind.as_str() {
            SHM => self.unit.map(config::Output::of_unit),
            SOCK => self.path.as_ref().map(config::Output::of_path),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::rig;

    #[test]
    fn ages_are_counted_up_to_the_moment_of_asking() {
        let status = rig::status();
        let later = status.clock.raw + Span::from_secs(5);
        let report = Report::new(&status, later);
        assert_eq!(report.age_ns, Some(5_000_000_000));
        assert_eq!(report.uptime_ns, 21_000_000_000);
        let newest = report.sources[0].reading.as_ref().expect("it answered");
        assert_eq!(newest.age_ns, 8_980_000_000);
        assert_eq!(report.tracking.expect("a decision").age_ns, 5_000_000_000);
    }

    #[test]
    fn a_source_whose_poller_panics_has_been_heard_of() {
        let mut status = rig::starting();
        let id = status.ledger.sources[0].id;
        assert!(status.ledger.sources[0].is_unheard());
        status.ledger.panicked(id);
        assert!(!status.ledger.sources[0].is_unheard());
    }

    #[test]
    fn a_report_comes_back_from_json_as_it_was() {
        let status = rig::status();
        let report = Report::new(&status, status.clock.raw);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }

    #[test]
    fn an_output_tells_its_kind_and_its_place_apart_from_its_name() {
        let status = rig::status();
        let mut counts = status.ledger.outputs[0].clone();
        for place in [
            config::Output::of_unit(7),
            config::Output::of_path("/run/a(b).sock"),
        ] {
            counts.output = place.clone();
            let mut output = Output::new(&counts);
            output.name = "in other words".into();
            assert_eq!(output.place(), Some(place));
        }
        assert_eq!(Output::default().place(), None);
        let json = serde_json::to_string(&Output::new(&status.ledger.outputs[0])).unwrap();
        let told = r#"{"name":"SHM(2)","kind":"shm","unit":2,"path":null,"#;
        assert!(json.starts_with(told), "{json}");
    }

    #[test]
    fn a_report_of_another_version_is_read_as_far_as_it_goes() {
        let report: Report = serde_json::from_str(r#"{"format":1,"new":[1],"reloads":3}"#).unwrap();
        assert_eq!((report.format, report.reloads), (1, 3));
    }

    #[test]
    fn what_follows_the_question_mark_of_a_url_is_not_told() {
        let status = rig::status();
        let report = Report::new(&status, status.clock.raw);
        assert_eq!(report.sources[0].url, "https://tokyo.example.org/json");
    }

    #[test]
    fn a_source_whose_protocol_is_being_found_out_says_so_unless_it_gives_trouble() {
        let mut status = rig::silent();
        let silent = Report::new(&status, status.clock.raw).sources;
        status.ledger.sources[0].protocol = None;
        let told = |status: &Status| {
            let source = Report::new(status, status.clock.raw).sources.remove(0);
            (source.protocol, source.reason)
        };
        assert_eq!(silent[0].protocol, "webntp");
        status.snapshot.sources[0].trouble = None;
        let reason = Some("finding out the protocol".to_owned());
        assert_eq!(told(&status), (String::new(), reason));
        let table = Report::new(&status, status.clock.raw).long_table();
        assert!(
            table.contains("/json, protocol not known yet, operator"),
            "{table}"
        );
        let trouble = Some("no answer".to_owned());
        status.snapshot.sources[0].trouble.clone_from(&trouble);
        assert_eq!(told(&status).1, trouble);
    }

    #[test]
    fn polls_are_counted_by_their_end() {
        let status = rig::status();
        let report = Report::new(&status, status.clock.raw);
        let counts = |k: usize| {
            (
                report.sources[k].samples,
                report.sources[k].missed["network"],
            )
        };
        assert_eq!((counts(0), counts(3)), ((1, 0), (0, 1)));
        assert_eq!(report.sources[2].falseticker_cycles, 1);
        assert_eq!(
            (
                report.outputs[0].written,
                report.outputs[0].reader.as_deref()
            ),
            (1, Some("live"))
        );
    }

    #[test]
    fn a_cycle_without_news_keeps_the_reason_of_the_one_before() {
        for (mut status, state, reason) in [
            (rig::refused(), "refused", "SHM(2): no room"),
            (rig::silent(), "undecided", "no usable source"),
        ] {
            status.snapshot.outcome = Err(crate::engine::snapshot::NoDecision::NothingNew);
            status.refused = None;
            let snapshot = status.snapshot.clone();
            status.ledger.cycle_ended(&snapshot, None, status.clock);
            let report = Report::new(&status, status.clock.raw);
            assert_eq!(report.state, state);
            assert_eq!(report.reason.as_deref(), Some(reason));
            assert_eq!(report.summary, format!("nothing published: {reason}"));
        }
    }

    #[test]
    fn an_output_that_takes_nothing_says_nothing_of_its_reader_and_one_not_opened_lost_nothing() {
        let mut status = rig::status();
        let output = status.ledger.outputs[0].output.clone();
        let told = |status: &Status| Report::new(status, status.clock.raw).outputs.remove(0);
        status.ledger.not_opened(&output, "no room".into());
        let opened = told(&status);
        assert_eq!((opened.written, opened.failed), (1, 0));
        assert_eq!(opened.trouble.as_deref(), Some("no room"));
        status.ledger.not_written(&output, "no room".into());
        let failed = told(&status);
        assert_eq!((failed.reader, failed.failed), (None, 1));
    }

    #[test]
    fn a_daemon_hangs_when_four_cycles_and_ten_seconds_have_passed_without_the_end_of_one() {
        let hangs = |cycle: i64, age: Option<i64>, uptime: i64| {
            let second = 1_000_000_000;
            let report = Report {
                cycle_ns: cycle * second,
                age_ns: age.map(|age| age * second),
                uptime_ns: uptime * second,
                ..Report::default()
            };
            report.hangs().is_some()
        };
        assert!(!hangs(16, Some(64), 1_000) && hangs(16, Some(65), 1_000));
        assert!(!hangs(1, Some(10), 1_000) && hangs(1, Some(11), 1_000));
        assert!(!hangs(16, None, 64) && hangs(16, None, 65));
    }

    #[test]
    fn a_cycle_without_news_changes_no_state() {
        let mut status = rig::status();
        status.snapshot.outcome = Err(crate::engine::snapshot::NoDecision::NothingNew);
        let snapshot = status.snapshot.clone();
        status.ledger.cycle_ended(&snapshot, None, status.clock);
        assert!(Report::new(&status, status.clock.raw).is_publishing());
        status.snapshot.outcome = Err(crate::engine::snapshot::NoDecision::NoCandidates);
        let snapshot = status.snapshot.clone();
        status.ledger.cycle_ended(&snapshot, None, status.clock);
        let report = Report::new(&status, status.clock.raw);
        assert_eq!(
            (report.state.as_str(), report.reason.as_deref()),
            ("undecided", Some("no usable source"))
        );
        assert!(report.tracking.is_some(), "the last one stays to be seen");
    }
}
