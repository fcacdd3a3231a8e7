//! The table of all metrics: their names, what they mean, and where they come from.
//!
//! Offsets are positive when the system clock is behind. Timestamps are by the system clock as it is at the moment of asking:
//! their ages, `webntpd_system_time_seconds` less them, are right even if that clock is wrong or has been set since.

use super::Scene;
use super::text::{Samples, Value};
use crate::engine::leap::Leap;
use crate::engine::snapshot::Tally;
use crate::status::ledger::State;
use crate::status::report::{Reading, Source, Tracking};
use Kind::{Counter, Gauge};
use Value::{Count, Flag, Nano};
use std::collections::BTreeSet;

/// What a number does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the daemon or what it counts begins anew.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Kind {
    /// As the format has it.
    pub fn name(self) -> &'static str {
        match self {
            Counter => "counter",
            Gauge => "gauge",
        }
    }
}

/// Metrics of one name.
#[derive(Clone, Copy)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What its numbers do.
    pub kind: Kind,
    /// What they mean.
    pub help: &'static str,
    pub(super) samples: fn(&Scene, &mut Samples),
}

/// All of them.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "webntpd_build_info",
        kind: Gauge,
        help: "Always 1, labelled with the version of the daemon.",
        samples: |scene, out| out.add(&[("version", &scene.report.version)], Flag(true)),
    },
    Family {
        name: "webntpd_system_time_seconds",
        kind: Gauge,
        help: "The system clock at the moment of asking, in seconds since 1970; all timestamps here are by it.",
        samples: |scene, out| out.only(Some(Nano(scene.now.system.as_nanos()))),
    },
    Family {
        name: "webntpd_state",
        kind: Gauge,
        help: "1 for the state that holds: starting (no cycle has ended), publishing, refused (no output takes the time), undecided (the time is not known).",
        samples: |scene, out| {
            out.states(
                &[],
                "state",
                &State::ALL.map(State::name),
                &scene.report.state,
            )
        },
    },
    Family {
        name: "webntpd_offset_seconds",
        kind: Gauge,
        help: "What must be added to the system clock, as last published; positive when it is behind. Absent while nothing is published.",
        samples: |scene, out| out.only(tracking(scene).map(|last| Nano(last.offset_ns))),
    },
    Family {
        name: "webntpd_bound_seconds",
        kind: Gauge,
        help: "Greatest error of the published offset if the majority of operators is honest. Absent while nothing is published.",
        samples: |scene, out| out.only(tracking(scene).map(|last| Nano(last.bound_ns))),
    },
    Family {
        name: "webntpd_jitter_seconds",
        kind: Gauge,
        help: "System jitter of the published offset (RFC 5905 section 11.2.3). Absent while nothing is published.",
        samples: |scene, out| out.only(tracking(scene).map(|last| Nano(last.jitter_ns))),
    },
    Family {
        name: "webntpd_rate_ratio",
        kind: Gauge,
        help: "How fast the machine's raw clock falls behind universal time, in seconds per second. Absent while nothing is published.",
        samples: |scene, out| out.only(tracking(scene).map(|last| Nano(last.rate_ppb))),
    },
    Family {
        name: "webntpd_leap",
        kind: Gauge,
        help: "1 for the leap second that is announced to the reader: none, insert or delete. Absent while nothing is published.",
        samples: |scene, out| {
            if let Some(last) = tracking(scene) {
                out.states(&[], "leap", &Leap::ALL.map(Leap::name), &last.leap);
            }
        },
    },
    Family {
        name: "webntpd_last_decision_timestamp_seconds",
        kind: Gauge,
        help: "When a time was last published, by the system clock. Absent before the first one.",
        samples: |scene, out| {
            let last = scene.report.tracking.as_ref();
            out.only(last.map(|last| scene.ago(last.age_ns)));
        },
    },
    Family {
        name: "webntpd_cycle_seconds",
        kind: Gauge,
        help: "How often the sources are judged and a time is published.",
        samples: |scene, out| out.only(Some(Nano(scene.report.cycle_ns))),
    },
    Family {
        name: "webntpd_cycles_total",
        kind: Counter,
        help: "Cycles that have ended.",
        samples: |scene, out| out.only(Some(Count(scene.report.cycles))),
    },
    Family {
        name: "webntpd_resets_total",
        kind: Counter,
        help: "Times that all history was dropped: the machine slept, its raw clock broke, or most sources stepped together.",
        samples: |scene, out| out.only(Some(Count(scene.report.resets))),
    },
    Family {
        name: "webntpd_reloads_total",
        kind: Counter,
        help: "Configurations read again: taken over, or refused.",
        samples: |scene, out| {
            out.add(&[("result", "taken")], Count(scene.report.reloads));
            out.add(
                &[("result", "refused")],
                Count(scene.report.reloads_refused),
            );
        },
    },
    Family {
        name: "webntpd_sources",
        kind: Gauge,
        help: "Sources in the configuration.",
        samples: |scene, out| out.only(Some(Count(scene.report.sources.len() as u64))),
    },
    Family {
        name: "webntpd_sources_agreeing",
        kind: Gauge,
        help: "Sources that agree with the majority.",
        samples: |scene, out| out.only(Some(Count(agreeing(scene).count() as u64))),
    },
    Family {
        name: "webntpd_operators",
        kind: Gauge,
        help: "Operators in the configuration that vote; all sources of one have one vote together.",
        samples: |scene, out| {
            let sources = scene.report.sources.iter();
            out.only(Some(operators(sources.filter(|source| !source.noselect))));
        },
    },
    Family {
        name: "webntpd_operators_agreeing",
        kind: Gauge,
        help: "Operators of whom a source agrees with the majority.",
        samples: |scene, out| out.only(Some(operators(agreeing(scene)))),
    },
    Family {
        name: "webntpd_source_info",
        kind: Gauge,
        help: "Always 1, labelled with what the configuration says of the source; its protocol may have been found out.",
        samples: |scene, out| {
            for source in &scene.report.sources {
                let labels = [
                    ("source", source.name.as_str()),
                    ("url", &source.url),
                    ("protocol", &source.protocol),
                    ("operator", &source.operator),
                ];
                out.add(&labels, Flag(true));
            }
        },
    },
    Family {
        name: "webntpd_source_tally",
        kind: Gauge,
        help: "1 for what the selection made of the source: best, survivor, outlier, falseticker or unusable.",
        samples: |scene, out| {
            for source in &scene.report.sources {
                let labels = [("source", source.name.as_str())];
                out.states(
                    &labels,
                    "tally",
                    &Tally::ALL.map(Tally::name),
                    &source.tally,
                );
            }
        },
    },
    Family {
        name: "webntpd_source_falseticker",
        kind: Gauge,
        help: "1 while the source contradicts the majority.",
        samples: |scene, out| {
            each(scene, out, |source| {
                Some(Flag(source.tally == "falseticker"))
            })
        },
    },
    Family {
        name: "webntpd_source_falseticker_cycles_total",
        kind: Counter,
        help: "Cycles at whose end the source contradicted the majority.",
        samples: |scene, out| each(scene, out, |source| Some(Count(source.falseticker_cycles))),
    },
    Family {
        name: "webntpd_source_offset_seconds",
        kind: Gauge,
        help: "What must be added to the system clock, by this source; positive when it is behind. Absent without a sample in the last hour.",
        samples: |scene, out| reading(scene, out, |reading| reading.offset_ns),
    },
    Family {
        name: "webntpd_source_bound_seconds",
        kind: Gauge,
        help: "Greatest error of the source's offset if the source is honest. Absent without a sample in the last hour.",
        samples: |scene, out| reading(scene, out, |reading| reading.bound_ns),
    },
    Family {
        name: "webntpd_source_delay_seconds",
        kind: Gauge,
        help: "Delay of the source's newest sample. Absent without a sample in the last hour.",
        samples: |scene, out| reading(scene, out, |reading| reading.delay_ns),
    },
    Family {
        name: "webntpd_source_jitter_seconds",
        kind: Gauge,
        help: "Weighted RMS of what the source's samples are off their line. Absent without a sample in the last hour.",
        samples: |scene, out| reading(scene, out, |reading| reading.jitter_ns),
    },
    Family {
        name: "webntpd_source_rate_ratio",
        kind: Gauge,
        help: "How fast the machine's raw clock falls behind the source's, in seconds per second. Absent without a sample in the last hour.",
        samples: |scene, out| reading(scene, out, |reading| reading.rate_ppb),
    },
    Family {
        name: "webntpd_source_poll_interval_seconds",
        kind: Gauge,
        help: "Time between two polls of the source, as it is now while it answers; one that fails is asked more rarely.",
        samples: |scene, out| each(scene, out, |source| Some(Nano(source.poll_ns))),
    },
    Family {
        name: "webntpd_source_reach_ratio",
        kind: Gauge,
        help: "Share of the source's last eight polls that gave a sample; those before the first one gave none.",
        samples: |scene, out| {
            let eighth = 125_000_000;
            each(scene, out, |source| {
                Some(Nano(i64::from(source.reach.count_ones()) * eighth))
            });
        },
    },
    Family {
        name: "webntpd_source_polls_total",
        kind: Counter,
        help: "Polls of the source by their end: a sample, or none, by who can do something about it: network, tls, server or local.",
        samples: |scene, out| {
            for source in &scene.report.sources {
                let name = ("source", source.name.as_str());
                out.add(&[name, ("result", "sample")], Count(source.samples));
                for (fault, count) in &source.missed {
                    out.add(&[name, ("result", fault)], Count(*count));
                }
            }
        },
    },
    Family {
        name: "webntpd_source_last_sample_timestamp_seconds",
        kind: Gauge,
        help: "When the source's last sample came, by the system clock. Absent before the first one.",
        samples: |scene, out| {
            each(scene, out, |source| {
                source.last_sample_ns.map(|age| scene.ago(age))
            });
        },
    },
    Family {
        name: "webntpd_source_steps_total",
        kind: Counter,
        help: "Times that the source's time or the route to it stepped.",
        samples: |scene, out| each(scene, out, |source| Some(Count(source.steps))),
    },
    Family {
        name: "webntpd_source_restarts_total",
        kind: Counter,
        help: "Times that the source's poller was started anew after a panic, which is a bug.",
        samples: |scene, out| each(scene, out, |source| Some(Count(source.restarts))),
    },
    Family {
        name: "webntpd_output_samples_total",
        kind: Counter,
        help: "Samples for the output: written, or failed.",
        samples: |scene, out| {
            for output in &scene.report.outputs {
                let name = ("output", output.name.as_str());
                out.add(&[name, ("result", "written")], Count(output.written));
                out.add(&[name, ("result", "failed")], Count(output.failed));
            }
        },
    },
    Family {
        name: "webntpd_output_reader",
        kind: Gauge,
        help: "1 for what the reader of the output does: of a segment live (it takes samples), attached (it takes none) or absent; of a socket, which does not show whether samples are taken, bound or absent. Absent where it cannot be told.",
        samples: |scene, out| {
            for output in &scene.status.ledger.outputs {
                if let Some(reader) = output.reader {
                    let states: Vec<&str> = reader.alike().iter().map(|one| one.name()).collect();
                    let name = output.output.to_string();
                    out.states(&[("output", &name)], "state", &states, reader.name());
                }
            }
        },
    },
    Family {
        name: "process_start_time_seconds",
        kind: Gauge,
        help: "When the daemon started, by the system clock of then.",
        samples: |scene, out| out.only(Some(Nano(scene.report.started_ns))),
    },
    Family {
        name: "process_cpu_seconds_total",
        kind: Counter,
        help: "Processor time that the daemon has used.",
        samples: |scene, out| out.only(Some(Nano(scene.process.processor.as_nanos()))),
    },
    Family {
        name: "process_resident_memory_bytes",
        kind: Gauge,
        help: "Memory of the daemon that is in RAM.",
        samples: |scene, out| out.only(scene.process.resident.map(Count)),
    },
    Family {
        name: "process_virtual_memory_bytes",
        kind: Gauge,
        help: "Memory that the daemon has mapped.",
        samples: |scene, out| out.only(scene.process.virtual_size.map(Count)),
    },
    Family {
        name: "process_open_fds",
        kind: Gauge,
        help: "File descriptors that the daemon has open.",
        samples: |scene, out| out.only(scene.process.open_files.map(Count)),
    },
    Family {
        name: "process_max_fds",
        kind: Gauge,
        help: "File descriptors that the daemon may have open.",
        samples: |scene, out| out.only(scene.process.most_files.map(Count)),
    },
];

impl Scene<'_> {
    /// The timestamp of what was `age_ns` ago.
    fn ago(&self, age_ns: i64) -> Value {
        Nano(self.now.system.as_nanos().saturating_sub(age_ns))
    }
}

/// The decision, as long as it is the present one.
fn tracking<'a>(scene: &'a Scene<'_>) -> Option<&'a Tracking> {
    let last = scene.report.tracking.as_ref();
    last.filter(|_| scene.report.is_publishing())
}

fn agreeing<'a>(scene: &'a Scene<'_>) -> impl Iterator<Item = &'a Source> {
    let contradicts = ["falseticker", "unusable"];
    let sources = scene.report.sources.iter();
    sources.filter(move |source| !contradicts.contains(&source.tally.as_str()))
}

fn operators<'a>(sources: impl Iterator<Item = &'a Source>) -> Value {
    let operators: BTreeSet<&str> = sources.map(|source| source.operator.as_str()).collect();
    Count(operators.len() as u64)
}

/// A number for each source of which it is known.
fn each(scene: &Scene, out: &mut Samples, value: impl Fn(&Source) -> Option<Value>) {
    for source in &scene.report.sources {
        if let Some(value) = value(source) {
            out.add(&[("source", &source.name)], value);
        }
    }
}

/// A number for each source that has said anything.
fn reading(scene: &Scene, out: &mut Samples, nano: impl Fn(&Reading) -> i64) {
    each(scene, out, |source| {
        source.reading.as_ref().map(|reading| Nano(nano(reading)))
    });
}

#[cfg(test)]
mod tests {
    use super::super::exposition;
    use super::*;
    use crate::engine::snapshot::NoDecision;
    use crate::engine::time::Span;
    use crate::status::{Status, rig};
    use crate::sys::clock::ClockPair;
    use crate::sys::reader::Reader;
    use crate::sys::shm::ReaderState;
    use crate::sys::sock::Listener;

    /// What is told five seconds after the cycle ended.
    fn told(status: &Status) -> String {
        let later = Span::from_secs(5);
        let now = ClockPair {
            raw: status.clock.raw + later,
            system: status.clock.system + later,
        };
        exposition(status, now)
    }

    #[test]
    fn everything_that_is_known_is_told() {
        let mut status = rig::status();
        status.ledger.sources[3].noselect = true;
        let text = told(&status);
        for line in [
            "webntpd_system_time_seconds 1795000021",
            "webntpd_state{state=\"publishing\"} 1",
            "webntpd_state{state=\"starting\"} 0",
            "webntpd_last_decision_timestamp_seconds 1795000016",
            "webntpd_cycle_seconds 16",
            "webntpd_reloads_total{result=\"refused\"} 0",
            "webntpd_sources 4",
            "webntpd_sources_agreeing 2",
            "webntpd_operators 3",
            "webntpd_operators_agreeing 2",
            "webntpd_leap{leap=\"none\"} 1",
            "webntpd_source_info{source=\"tokyo\",url=\"https://tokyo.example.org/json\",protocol=\"webntp\",operator=\"tokyo.example.org\"} 1",
            "webntpd_source_falseticker{source=\"liar\"} 1",
            "webntpd_source_falseticker{source=\"tokyo\"} 0",
            "webntpd_source_tally{source=\"dead\",tally=\"unusable\"} 1",
            "webntpd_source_delay_seconds{source=\"tokyo\"} 0.02",
            "webntpd_source_reach_ratio{source=\"tokyo\"} 0.125",
            "webntpd_source_polls_total{source=\"dead\",result=\"network\"} 1",
            "webntpd_source_polls_total{source=\"dead\",result=\"sample\"} 0",
            "webntpd_source_last_sample_timestamp_seconds{source=\"tokyo\"} 1795000012.02",
            "webntpd_output_samples_total{output=\"SHM(2)\",result=\"written\"} 1",
            "webntpd_output_reader{output=\"SHM(2)\",state=\"live\"} 1",
            "process_start_time_seconds 1795000000",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        for family in FAMILIES {
            let type_line = format!("# TYPE {} {}\n", family.name, family.kind.name());
            assert_eq!(text.matches(&type_line).count(), 1, "{type_line}");
        }
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn an_output_has_only_the_states_that_its_kind_can_have() {
        let of = |reader: Reader| {
            let mut status = rig::status();
            status.ledger.outputs[0].reader = Some(reader);
            let text = told(&status);
            let name = "webntpd_output_reader{output=\"SHM(2)\",state=";
            let lines = text.lines().filter_map(|line| line.strip_prefix(name));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            of(Reader::Segment(ReaderState::Attached)),
            ["\"live\"} 0", "\"attached\"} 1", "\"absent\"} 0"]
        );
        assert_eq!(
            of(Reader::Socket(Listener::Bound)),
            ["\"bound\"} 1", "\"absent\"} 0"]
        );
        assert_eq!(
            of(Reader::Socket(Listener::Absent)),
            ["\"bound\"} 0", "\"absent\"} 1"]
        );
    }

    #[test]
    fn whatever_holds_is_one_of_the_states_that_are_told() {
        let mut statuses = vec![
            rig::starting(),
            rig::silent(),
            rig::refused(),
            rig::status(),
        ];
        for leap in [Leap::None, Leap::Insert, Leap::Delete] {
            let mut status = rig::status();
            let (decision, _) = status.ledger.last.as_mut().expect("it publishes");
            decision.leap = leap;
            statuses.push(status);
        }
        for status in &statuses {
            let text = told(status);
            let holding = |start: &str| {
                let lines = text.lines().filter(|line| line.starts_with(start));
                lines.filter(|line| line.ends_with(" 1")).count()
            };
            assert_eq!(holding("webntpd_state{"), 1, "{text}");
            assert_eq!(holding("webntpd_source_tally{"), 4, "{text}");
            let publishes = status.ledger.state == State::Publishing;
            assert_eq!(holding("webntpd_leap{"), usize::from(publishes), "{text}");
        }
    }

    #[test]
    fn the_offset_is_what_must_be_added() {
        let text = told(&rig::status());
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("webntpd_offset_seconds "));
        let offset: f64 = line.expect("it publishes").parse().expect("a number");
        assert!((offset - 0.025).abs() < 0.001, "{offset}");
    }

    #[test]
    fn what_is_not_known_is_absent() {
        let mut status = rig::status();
        let snapshot = {
            status.snapshot.outcome = Err(NoDecision::NoCandidates);
            status.snapshot.sources[1].reading = None;
            status.snapshot.clone()
        };
        status.ledger.cycle_ended(&snapshot, None, status.clock);
        status.ledger.outputs[0].reader = None;
        let text = told(&status);
        for absent in [
            "webntpd_offset_seconds",
            "webntpd_bound_seconds",
            "webntpd_leap",
            "webntpd_output_reader",
            "webntpd_source_offset_seconds{source=\"osaka\"}",
            "webntpd_source_offset_seconds{source=\"dead\"}",
            "webntpd_source_last_sample_timestamp_seconds{source=\"dead\"}",
            "NaN",
        ] {
            assert!(!text.contains(absent), "{absent}\n{text}");
        }
        assert!(text.contains("webntpd_state{state=\"undecided\"} 1\n"));
        assert!(text.contains("\nwebntpd_last_decision_timestamp_seconds 1795000016\n"));
    }
}
