//! A report's decision in words, in the manner of `chronyc tracking`.
//!
//! In: a [`Report`]. Out: lines of `key : value`. What is not known has no line.

use super::report::{Output, Report, Tracking};
use super::table::Length;
use super::words::{count, drift, long, plain};
use crate::engine::time::Span;
use std::fmt::Write as _;

impl Report {
    /// What is published and how good it is, several lines, each ended.
    pub fn tracking_text(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: &str| {
            let _ = writeln!(text, "{key:<15} : {value}");
        };
        line("State", &self.state_in_words());
        if let Some(tracking) = &self.tracking {
            let old = if self.is_publishing() {
                ""
            } else {
                ", as last published"
            };
            line(
                "System clock",
                &format!("{}{old}", tracking.offset_in_words()),
            );
            line("Bound", &format!("± {}", length(tracking.bound_ns)));
            line("Jitter", &length(tracking.jitter_ns));
            line("Precision", &precision(tracking.precision));
            line(
                "Raw clock",
                &format!(
                    "{}, between {} and {}",
                    drift(tracking.rate_ppb),
                    drift(tracking.rate_lo_ppb),
                    drift(tracking.rate_hi_ppb)
                ),
            );
            line("Leap second", &plain(&tracking.leap));
        }
        line("Sources", &self.agreement());
        if let Some(best) = self.sources.iter().find(|source| source.tally == "best") {
            line("Best source", &plain(&best.name));
        }
        if let Some(tracking) = &self.tracking {
            line("Last published", &format!("{} ago", age(tracking.age_ns)));
        }
        let every = length(self.cycle_ns);
        match self.age_ns {
            Some(since) => line(
                "Last cycle",
                &format!("{} ago, one every {every}", age(since)),
            ),
            None => line("Last cycle", &format!("none yet, one every {every}")),
        }
        for output in &self.outputs {
            line("Output", &output.in_words());
        }
        line("Cycles", &self.cycles.to_string());
        line("Resets", &self.resets.to_string());
        line(
            "Reloads",
            &format!("{}, {} refused", self.reloads, self.reloads_refused),
        );
        line("Uptime", &age(self.uptime_ns));
        line(
            "Version",
            &format!("{}, process {}", plain(&self.version), self.pid),
        );
        text
    }

    fn state_in_words(&self) -> String {
        let why = self
            .reason
            .as_deref()
            .map_or_else(String::new, |why| format!(": {}", plain(why)));
        match self.state.as_str() {
            "publishing" => "publishing".to_owned(),
            "starting" => "starting, nothing published yet".to_owned(),
            "refused" => format!("nothing published, no output takes it{why}"),
            "undecided" => format!("nothing published{why}"),
            other => format!("{}{why}", plain(other)),
        }
    }

    fn agreement(&self) -> String {
        let agree = |tally: &str| ["best", "survivor", "outlier"].contains(&tally);
        let agreeing = self.sources.iter().filter(|source| agree(&source.tally));
        format!("{} of {} agree", agreeing.count(), self.sources.len())
    }
}

impl Tracking {
    /// Where the system clock is, seen from the true time.
    fn offset_in_words(&self) -> String {
        let by = Length(Span::from_nanos(self.offset_ns).abs());
        if self.offset_ns < 0 {
            format!("{by} ahead of true time (fast)")
        } else {
            format!("{by} behind true time (slow)")
        }
    }
}

impl Output {
    fn in_words(&self) -> String {
        let reader = match self.reader.as_deref() {
            Some("live") => ", read",
            Some("attached") => ", somebody is attached but takes no sample",
            Some("bound") => ", a daemon has it",
            Some("absent") => ", no daemon has it",
            Some(_) | None => "",
        };
        let trouble = self.trouble.as_deref();
        let trouble = trouble.map_or_else(String::new, |trouble| format!("; {}", plain(trouble)));
        format!(
            "{}{reader}, {} written, {} failed{trouble}",
            plain(&self.name),
            count(self.written, "sample"),
            self.failed
        )
    }
}

fn length(nanos: i64) -> String {
    Length(Span::from_nanos(nanos)).to_string()
}

fn age(nanos: i64) -> String {
    long(Span::from_nanos(nanos))
}

/// A power of two, and the time that it stands for.
fn precision(exponent: i8) -> String {
    let length = Span::from_secs_f64(f64::from(exponent).exp2());
    format!("2^{exponent} s, {}", Length(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Status, rig};

    fn text(status: &Status) -> String {
        Report::new(status, status.clock.raw + Span::from_secs(5)).tracking_text()
    }

    /// The value behind `key`.
    fn value<'a>(text: &'a str, key: &str) -> &'a str {
        let mut pairs = text.lines().filter_map(|line| line.split_once(" : "));
        let found = pairs.find(|(name, _)| name.trim_end() == key);
        found.unwrap_or_else(|| panic!("no {key} in {text}")).1
    }

    #[test]
    fn each_line_says_what_it_is_and_how_much() {
        let mut report = Report::new(&rig::status(), rig::status().clock.raw + Span::from_secs(5));
        report.pid = 12;
        report.version = "1.2.3".into();
        let tracking = report.tracking.as_mut().expect("a decision");
        (
            tracking.rate_ppb,
            tracking.rate_lo_ppb,
            tracking.rate_hi_ppb,
        ) = (12_500, -1_000, 26_000);
        let expected = "\
State           : publishing
System clock    : 25.500 ms behind true time (slow)
Bound           : ± 11.504 ms
Jitter          : 500.000 us
Precision       : 2^-6 s, 15.625 ms
Raw clock       : 12.500 ppm slow, between 1.000 ppm fast and 26.000 ppm slow
Leap second     : none
Sources         : 2 of 4 agree
Best source     : tokyo
Last published  : 5 s ago
Last cycle      : 5 s ago, one every 16.000 s
Output          : SHM(2), read, 1 sample written, 0 failed
Cycles          : 1
Resets          : 0
Reloads         : 0, 0 refused
Uptime          : 21 s
Version         : 1.2.3, process 12
";
        assert_eq!(report.tracking_text(), expected);
    }

    #[test]
    fn a_clock_that_is_ahead_is_fast() {
        let tracking = Tracking {
            offset_ns: -25_012_000,
            ..Tracking::default()
        };
        let words = "25.012 ms ahead of true time (fast)";
        assert_eq!(tracking.offset_in_words(), words);
    }

    #[test]
    fn before_the_first_cycle_no_time_is_told() {
        let text = text(&rig::starting());
        assert_eq!(value(&text, "State"), "starting, nothing published yet");
        assert_eq!(value(&text, "Last cycle"), "none yet, one every 16.000 s");
        assert!(!text.contains("System clock"), "{text}");
    }

    #[test]
    fn the_reason_why_nothing_is_published_stands_in_the_first_line() {
        let text = text(&rig::silent());
        assert!(
            text.starts_with("State           : nothing published: no usable source\n"),
            "{text}"
        );
        assert_eq!(value(&text, "Sources"), "0 of 4 agree");
        assert!(!text.contains("Best source"), "{text}");
    }

    #[test]
    fn what_no_output_takes_is_refused_and_the_last_offset_is_called_old() {
        let text = text(&rig::refused());
        let state = "nothing published, no output takes it: SHM(2): no room";
        assert_eq!(value(&text, "State"), state);
        let old = "25.500 ms behind true time (slow), as last published";
        assert_eq!(value(&text, "System clock"), old);
        let output = "SHM(2), 1 sample written, 1 failed; no room";
        assert_eq!(value(&text, "Output"), output);
    }

    #[test]
    fn a_reader_is_told_from_one_that_only_attached_and_from_none() {
        for (reader, words) in [
            (Some("live"), "SHM(2), read, 0 samples written, 0 failed"),
            (
                Some("attached"),
                "SHM(2), somebody is attached but takes no sample, 0 samples written, 0 failed",
            ),
            (
                Some("absent"),
                "SHM(2), no daemon has it, 0 samples written, 0 failed",
            ),
            (None, "SHM(2), 0 samples written, 0 failed"),
        ] {
            let output = Output {
                name: "SHM(2)".into(),
                reader: reader.map(str::to_owned),
                ..Output::default()
            };
            assert_eq!(output.in_words(), words);
        }
    }

    #[test]
    fn no_number_of_a_foreign_report_panics() {
        for extreme in [i64::MIN, i64::MAX] {
            let tracking = Tracking {
                age_ns: extreme,
                offset_ns: extreme,
                bound_ns: extreme,
                jitter_ns: extreme,
                precision: extreme.clamp(-128, 127) as i8,
                rate_ppb: extreme,
                rate_lo_ppb: extreme,
                rate_hi_ppb: extreme,
                leap: "none".into(),
            };
            let mut report = Report::new(&rig::status(), rig::status().clock.raw);
            (report.age_ns, report.cycle_ns) = (Some(extreme), extreme);
            report.uptime_ns = extreme;
            report.sources[0].poll_ns = extreme;
            report.sources[0].last_sample_ns = Some(extreme);
            report.tracking = Some(tracking);
            assert!(!report.tracking_text().is_empty());
            assert!(!report.long_table().is_empty());
        }
    }
}
