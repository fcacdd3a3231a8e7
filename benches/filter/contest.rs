//! The engine and the references side by side, with as many requests of each server.

use crate::figures::{Errors, geometric_mean};
use crate::oscillator::Oscillator;
use crate::path::Path;
use crate::random::Random;
use crate::references::{ClockFilter, combined, mean_of_quick_ones};
use crate::scenario::{ALL, LENGTH_S, Sample, Scenario, UNCOUNTED_S};
use std::ops::Range;
use webntpd::engine::poll::phase;
use webntpd::engine::source::Report;
use webntpd::engine::time::{Raw, Span};
use webntpd::engine::{Engine, Settings, SourceId, SourceSettings};

const CYCLE: Span = Span::from_secs(16);

/// Whose results the table shows unless others are asked for.
pub(crate) const SEEDS: Range<u64> = 1..9;

/// go-webntp asks four times, a second apart; with as many requests as the others make, once in four polls.
const SAMPLES_A_POLL: i64 = 4;

/// What came of one scenario.
#[derive(Default)]
struct Outcome {
    engine: Errors,
    quick_mean: Errors,
    clock_filter: Errors,
    covered: usize,
    half_widths_s: f64,
    /// Errors of the first source's estimate, by the sigma that it says.
    by_sigma: Errors,
}

/// Prints the table for one server, and for three.
pub(crate) fn print(seeds: Range<u64>) {
    for servers in [1, 3] {
        println!(
            "\n{servers} server(s), one request of each every 16 s if not told otherwise, {} h, the first {} min not counted, seeds {seeds:?}",
            LENGTH_S / 3_600.0,
            UNCOUNTED_S / 60.0
        );
        println!(
            "{:<36}|{:^19}|{:^19}|{:^19}|{:^15}|{:^19}",
            "errors in ms",
            "webntpd",
            "mean of quick ones",
            "RFC 5905 filter",
            "ratio of RMS",
            "bound"
        );
        println!(
            "{:<36}|{:>9}{:>9} |{:>9}{:>9} |{:>9}{:>9} |{:>7}{:>7} |{:>10}{:>9} |{:>9}",
            "",
            "RMS",
            "p99",
            "RMS",
            "p99",
            "RMS",
            "p99",
            "mean",
            "5905",
            "covers %",
            "± ms",
            "error/σ"
        );
        let outcomes: Vec<(&Scenario, Outcome)> = ALL
            .iter()
            .filter(|scenario| scenario.is_for(servers))
            .map(|scenario| (scenario, run(scenario, servers, seeds.clone())))
            .collect();
        for (scenario, outcome) in &outcomes {
            outcome.print(scenario.name);
        }
        let counted = || outcomes.iter().filter(|(scenario, _)| scenario.is_counted);
        println!(
            "{:<96}|{:>7.1}{:>7.1} |",
            "geometric mean of the first five",
            geometric_mean(counted().map(|(_, outcome)| outcome.ratios().0)),
            geometric_mean(counted().map(|(_, outcome)| outcome.ratios().1)),
        );
    }
}

impl Outcome {
    fn ratios(&self) -> (f64, f64) {
        let ours = self.engine.rms_ms();
        (
            self.quick_mean.rms_ms() / ours,
            self.clock_filter.rms_ms() / ours,
        )
    }

    fn print(&self, name: &str) {
        let (to_mean, to_filter) = self.ratios();
        let count = self.engine.count().max(1) as f64;
        println!(
            "{name:<36}|{:>9.4}{:>9.4} |{:>9.4}{:>9.4} |{:>9.4}{:>9.4} |{to_mean:>7.1}{to_filter:>7.1} |{:>10.3}{:>9.3} |{:>9.2}",
            self.engine.rms_ms(),
            self.engine.p99_ms(),
            self.quick_mean.rms_ms(),
            self.quick_mean.p99_ms(),
            self.clock_filter.rms_ms(),
            self.clock_filter.p99_ms(),
            100.0 * self.covered as f64 / count,
            1e3 * self.half_widths_s / count,
            self.by_sigma.rms_ms() / 1e3,
        );
    }
}

fn run(scenario: &Scenario, servers: usize, seeds: Range<u64>) -> Outcome {
    let mut outcome = Outcome::default();
    for seed in seeds {
        let mut random = Random::new(seed);
        let clock = scenario.clock(&mut random);
        let mut contest = Contest {
            scenario,
            clock: &clock,
            paths: (0..servers).map(|server| scenario.path(server)).collect(),
            engine: engine(servers, scenario.poll),
            filters: vec![ClockFilter::default(); servers],
            quick_means: vec![None; servers],
            ours: random.branch(),
            theirs: random.branch(),
        };
        for _ in 1..(LENGTH_S / CYCLE.as_secs_f64()) as i64 {
            contest.cycle(&mut outcome);
        }
    }
    outcome
}

/// One run.
struct Contest<'a> {
    scenario: &'a Scenario,
    clock: &'a Oscillator,
    paths: Vec<Path>,
    engine: Engine,
    filters: Vec<ClockFilter>,
    quick_means: Vec<Option<f64>>,
    /// The filter of RFC 5905 has the engine's samples; the samples in quick succession are others.
    ours: Random,
    theirs: Random,
}

impl Contest<'_> {
    fn cycle(&mut self, outcome: &mut Outcome) {
        let end = self.engine.next_cycle();
        let start_s = Self::seconds(end - CYCLE);
        let poll = self.scenario.poll;
        for turn in (1..=CYCLE.as_nanos() / poll.as_nanos()).rev() {
            self.ask(end - poll.times(turn));
        }
        let snapshot = self.engine.cycle(end).expect("it is due");
        if start_s < UNCOUNTED_S {
            return;
        }
        let Ok(decision) = snapshot.outcome else {
            return;
        };
        let truth = self.clock.theta(end);
        if let Some(reading) = &snapshot.sources[0].reading {
            let estimate = reading.estimate;
            let sigma_s = estimate.error.as_secs_f64().max(1e-9);
            let error_s = (estimate.theta - truth).as_secs_f64();
            outcome.by_sigma.add(error_s / sigma_s);
        }
        outcome.engine.add((decision.theta - truth).as_secs_f64());
        let bound = decision.bound;
        outcome.covered += usize::from(bound.lo <= truth && truth <= bound.hi);
        outcome.half_widths_s += bound.half_width().as_secs_f64();
        let means: Vec<f64> = self.quick_means.iter().flatten().copied().collect();
        outcome
            .quick_mean
            .add(means.iter().sum::<f64>() / means.len().max(1) as f64);
        if let Some(offset_s) = combined(&self.filters, Self::seconds(end)) {
            outcome.clock_filter.add(offset_s);
        }
    }

    /// One request of each server in the poll interval that begins at `from`.
    fn ask(&mut self, from: Raw) {
        let poll = self.scenario.poll;
        let to_s = Self::seconds(from + poll);
        let number = (to_s / poll.as_secs_f64()).round() as i64 - 1;
        for k in 0..self.filters.len() {
            // As the supervisor spreads them.
            let sent = from + phase(SourceId(k as u64), poll);
            let (way, random) = (&self.paths[k], &mut self.ours);
            if let Some(sample) = self.scenario.sample(self.clock, way, sent, random) {
                self.filters[k].add(&sample, to_s, poll.as_secs_f64());
                let report = Report::Sample(sample.exchange);
                self.engine.report(SourceId(k as u64), report);
            }
            if number % SAMPLES_A_POLL == 0
                && let Some(mean) = mean_of_quick_ones(&self.in_succession(k, sent))
            {
                self.quick_means[k] = Some(mean);
            }
        }
    }

    fn seconds(at: Raw) -> f64 {
        (at - Oscillator::start()).as_secs_f64()
    }

    /// Four requests, a second apart.
    fn in_succession(&mut self, server: usize, first: Raw) -> Vec<Sample> {
        (0..SAMPLES_A_POLL)
            .filter_map(|second| {
                let sent = first + Span::from_secs(second - SAMPLES_A_POLL);
                self.scenario
                    .sample(self.clock, &self.paths[server], sent, &mut self.theirs)
            })
            .collect()
    }
}

/// An engine for so many servers of an operator each.
fn engine(servers: usize, poll: Span) -> Engine {
    let source = |k: usize| SourceSettings {
        id: SourceId(k as u64),
        name: k.to_string(),
        operator: k.to_string(),
        poll,
        max_poll: poll,
        prefer: false,
        noselect: false,
        coarse: false,
    };
    let settings = Settings {
        cycle: CYCLE,
        min_agreeing: None,
        max_bound: Span::from_millis(1_500),
        sources: (0..servers).map(source).collect(),
    };
    Engine::new(settings, Oscillator::start())
}
