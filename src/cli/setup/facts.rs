//! What is known of our daemon, as far as its readers must know it.
//!
//! In: the report of the one that runs, or the configuration of the one that would. Out: [`Facts`], with the words that say where they
//! come from. It asks nobody.

use crate::config::{Config, Output, Shm};
use crate::engine::time::Span;
use crate::status::report::{Report, Tracking};
use crate::status::table::Length;
use crate::status::words::roughly;
use std::path::{Path, PathBuf};

/// Whoever has watched for less than this has not seen much of the paths.
const YOUNG: Span = Span::from_secs(600);

/// What readers must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Between two samples.
    pub(super) cycle: Span,
    /// The unit of the segment, if one is written.
    pub(super) unit: Option<u8>,
    /// Whether the segment is for every user of this machine.
    pub(super) is_public: bool,
    /// The sockets that are sent to.
    pub(super) socks: Vec<PathBuf>,
    /// How far off a sample may be.
    pub(super) bound: Span,
    /// By how much samples scatter; unknown as long as there were none.
    pub(super) jitter: Option<Span>,
    /// Where all this comes from, a sentence each.
    pub(super) origin: Vec<String>,
}

impl Facts {
    /// From the daemon that runs; what it does not say of itself, from its configuration, if that may be read. If it has published
    /// nothing yet, it is believed to be as far off as it may be.
    pub(super) fn observed(report: &Report, config: Option<&Config>) -> Self {
        let (unit, socks) = outputs(report);
        // The file may have been edited since.
        let configured = config
            .map(|config| config.shm.clone())
            .filter(|shm| Some(shm.unit) == unit);
        let shm = configured.or_else(|| unit.map(Shm::of_unit));
        let select = config.map(|config| config.select.clone());
        let widest = select.unwrap_or_default().max_bound;
        let mut facts = Self {
            cycle: Span::from_nanos(report.cycle_ns),
            unit,
            is_public: shm.as_ref().is_some_and(is_public),
            socks,
            bound: widest,
            jitter: None,
            origin: Vec::new(),
        };
        match &report.tracking {
            Some(tracking) => facts.take(tracking, report),
            None => facts.origin.push(format!(
                "From the running daemon, which has published nothing yet ({}): the widest bound that it would publish is assumed, ± {}. \
                 Run this again once it publishes.",
                report.reason.as_deref().unwrap_or(&report.state),
                Length(widest)
            )),
        }
        facts
    }

    fn take(&mut self, tracking: &Tracking, report: &Report) {
        self.bound = Span::from_nanos(tracking.bound_ns);
        let jitter = Span::from_nanos(tracking.jitter_ns);
        self.jitter = Some(jitter);
        let uptime = Span::from_nanos(report.uptime_ns);
        let agrees = |tally: &str| ["best", "survivor", "outlier"].contains(&tally);
        let agreeing = report.sources.iter().filter(|source| agrees(&source.tally));
        self.origin.push(format!(
            "From the running daemon: bound ± {}, jitter {}, {} of {} sources agree, after {}.",
            Length(self.bound),
            Length(jitter),
            agreeing.count(),
            report.sources.len(),
            roughly(uptime)
        ));
        if !report.is_publishing() {
            self.origin.push(format!(
                "It publishes nothing now ({}); this was so {} ago. Run this again once it publishes.",
                report.reason.as_deref().unwrap_or(&report.state),
                roughly(Span::from_nanos(tracking.age_ns))
            ));
        }
        if uptime < YOUNG {
            self.origin.push(format!(
                "That is too short to trust the numbers: run this again when it has run for {}.",
                roughly(YOUNG)
            ));
        }
    }

    /// From the configuration in `file`, while no daemon runs.
    pub(super) fn configured(config: &Config, file: &Path) -> Self {
        let widest = config.select.max_bound;
        Self {
            cycle: config.cycle,
            unit: config.shm.enable.then_some(config.shm.unit),
            is_public: is_public(&config.shm),
            socks: config.socks.iter().map(|sock| sock.path.clone()).collect(),
            bound: widest,
            jitter: None,
            origin: vec![format!(
                "From {}: no daemon runs, so the widest bound that it would publish is assumed, ± {} (max-bound). \
                 Run this again once webntpd publishes.",
                file.display(),
                Length(widest)
            )],
        }
    }
}

fn is_public(shm: &Shm) -> bool {
    shm.mode & 0o006 == 0o006
}

/// The unit and the sockets.
fn outputs(report: &Report) -> (Option<u8>, Vec<PathBuf>) {
    let places: Vec<Output> = report
        .outputs
        .iter()
        .filter_map(|output| output.place())
        .collect();
    let unit = places.iter().find_map(Output::unit);
    let socks = places.iter().filter_map(Output::path);
    (unit, socks.map(Path::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::report;
    use crate::status::rig;

    fn report() -> Report {
        let status = rig::status();
        let mut report = Report::new(&status, status.clock.raw);
        report.uptime_ns = Span::from_secs(1_200).as_nanos();
        report
    }

    fn observed(report: &Report) -> Facts {
        Facts::observed(report, None)
    }

    #[test]
    fn what_the_daemon_observed_is_taken_from_its_report() {
        let facts = observed(&report());
        assert_eq!(facts.unit, Some(2));
        assert_eq!(facts.cycle, Span::from_secs(16));
        assert_eq!(Length(facts.bound).to_string(), "11.504 ms");
        assert_eq!(facts.jitter, Some(Span::from_micros(500)));
        assert_eq!(
            facts.origin,
            [
                "From the running daemon: bound ± 11.504 ms, jitter 500.000 us, 2 of 4 sources agree, after 20 min."
            ]
        );
    }

    #[test]
    fn a_daemon_that_has_run_for_less_than_ten_minutes_is_not_trusted_and_said_so() {
        let mut report = report();
        report.uptime_ns = Span::from_secs(599).as_nanos();
        let said = observed(&report).origin.join("\n");
        assert!(said.contains("too short to trust"), "{said}");
    }

    #[test]
    fn a_daemon_that_has_published_nothing_is_believed_to_be_as_wrong_as_it_may_be() {
        let mut report = report();
        report.tracking = None;
        report.reason = Some("no usable source".into());
        let facts = observed(&report);
        assert_eq!(
            (facts.bound, facts.jitter),
            (Span::from_millis(1_500), None)
        );
        assert!(facts.origin[0].contains("(no usable source)"), "{facts:?}");
    }

    #[test]
    fn a_daemon_that_publishes_no_longer_is_said_to() {
        let mut report = report();
        report.state = "undecided".into();
        report.reason = Some("no majority".into());
        report.tracking.as_mut().expect("a decision").age_ns = Span::from_secs(300).as_nanos();
        let said = observed(&report).origin.join("\n");
        assert!(
            said.contains("(no majority); this was so 5 min ago"),
            "{said}"
        );
    }

    #[test]
    fn a_segment_is_for_everyone_unless_the_file_or_its_unit_says_otherwise() {
        let mut config = Config::of(Vec::new());
        assert!(observed(&report()).is_public);
        assert!(Facts::observed(&report(), Some(&config)).is_public);
        config.shm.mode = 0o660;
        assert!(!Facts::observed(&report(), Some(&config)).is_public);
        assert!(!Facts::configured(&config, Path::new("f")).is_public);
        // A file that speaks of another unit says nothing of this one.
        config.shm.unit = 3;
        assert!(Facts::observed(&report(), Some(&config)).is_public);
        let mut root = report();
        root.outputs[0].unit = Some(1);
        assert!(!observed(&root).is_public);
    }

    #[test]
    fn every_output_of_the_daemon_is_known_whatever_its_name_is() {
        let output = |kind: &str, unit: Option<u8>, path: Option<&str>| report::Output {
            name: "in words".into(),
            kind: kind.into(),
            unit,
            path: path.map(str::to_owned),
            ..report::Output::default()
        };
        let mut report = report();
        report.outputs = vec![
            output("sock", None, Some("/run/a.sock")),
            output("shm", Some(17), None),
            output("later", Some(18), Some("/run/b.sock")),
        ];
        let facts = observed(&report);
        assert_eq!(facts.unit, Some(17));
        assert_eq!(facts.socks, [PathBuf::from("/run/a.sock")]);
    }
}
