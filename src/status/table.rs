//! A report as a table, in the manner of `chronyc sources`.
//!
//! In: a [`Report`]. Out: lines of text, the same for a terminal and for a pipe; columns are as wide as what stands in them.
//! Offsets have the sign that ntpq gives them: positive when the system clock is behind.

use super::columns::{Columns, Side};
use super::report::{Report, Source};
use super::words::{count, drift, plain};
use crate::engine::time::Span;
use std::fmt::{self, Write as _};

/// What the marks of the first column mean.
pub const LEGEND: &str = "\
* best, + combined with it, - not needed, x falseticker, ? unusable
reach: the last eight polls in octal, the newest in the last bit; poll and last (sample): seconds where no unit stands
offset: what must be added to the system clock; bound: its greatest error if the source is honest";

const HEADER: [(&str, Side); 8] = [
    ("source", Side::Left),
    ("reach", Side::Right),
    ("poll", Side::Right),
    ("last", Side::Right),
    ("offset", Side::Right),
    ("bound", Side::Right),
    ("delay", Side::Right),
    ("jitter", Side::Right),
];

impl Report {
    /// One row for each source and the decision below, several lines, each ended.
    pub fn table(&self) -> String {
        self.rows(false)
    }

    /// The same, with the legend above, and below each source all that is known of it.
    pub fn long_table(&self) -> String {
        format!("{LEGEND}\n\n{}", self.rows(true))
    }

    fn rows(&self, detailed: bool) -> String {
        let mut columns = Columns::new(&HEADER);
        for source in &self.sources {
            columns.row(cells(source));
        }
        let lines = columns.lines();
        let mut table = format!("  {}\n", lines[0]);
        for (source, line) in self.sources.iter().zip(&lines[1..]) {
            let reason = source
                .remark()
                .map_or_else(String::new, |remark| format!("  {remark}"));
            let _ = writeln!(table, "{} {line}{reason}", source.symbol());
            if detailed {
                for detail in details(source) {
                    let _ = writeln!(table, "    {detail}");
                }
            }
        }
        let _ = writeln!(table, "  {}", self.verdict());
        table
    }

    /// How things stand, in a line.
    pub fn verdict(&self) -> String {
        if self.cycles == 0 {
            return "no cycle has ended yet".to_owned();
        }
        plain(&self.summary)
    }
}

impl Source {
    /// What there is to say of it, if anything: why it is unusable or not heard, and what is amiss although it is used.
    fn remark(&self) -> Option<String> {
        let reason = self.reason.as_deref().map(plain);
        let verdict = self.verdict.as_deref().map(plain);
        if self.is_unusable() {
            return reason.or(verdict);
        }
        let last_poll = reason.map(|reason| format!("last poll: {reason}"));
        let remarks: Vec<String> = verdict.into_iter().chain(last_poll).collect();
        (!remarks.is_empty()).then(|| remarks.join("; "))
    }

    fn is_unusable(&self) -> bool {
        self.tally == "unusable"
    }

    /// How long ago its last sample came: one from before the last hour, or from before all history was dropped, is no longer
    /// part of its reading.
    fn last_ns(&self) -> Option<i64> {
        let read = self.reading.as_ref().map(|reading| reading.age_ns);
        self.last_sample_ns.or(read)
    }
}

fn cells(source: &Source) -> [String; HEADER.len()] {
    let none = || "-".to_owned();
    let last = source.last_ns();
    let last = last.map_or_else(none, |age| Age(Span::from_nanos(age)).to_string());
    let reading = |write: fn(&super::report::Reading) -> String| {
        source.reading.as_ref().map_or_else(none, write)
    };
    [
        plain(&source.name),
        format!("{:o}", source.reach),
        seconds(source.poll()),
        last,
        reading(|reading| Signed(Span::from_nanos(reading.offset_ns)).to_string()),
        reading(|reading| format!("± {}", Length(Span::from_nanos(reading.bound_ns)))),
        reading(|reading| Length(Span::from_nanos(reading.delay_ns)).to_string()),
        reading(|reading| Length(Span::from_nanos(reading.jitter_ns)).to_string()),
    ]
}

/// Whole seconds as such, others with what is left of them.
fn seconds(span: Span) -> String {
    span.as_secs_f64().to_string()
}

/// What an operator wants to know of a source that gives trouble.
fn details(source: &Source) -> Vec<String> {
    let missed: u64 = source
        .missed
        .values()
        .fold(0, |sum, &count| sum.saturating_add(count));
    let whose = source.missed.iter().filter(|(_, count)| **count > 0);
    let whose: Vec<String> = whose
        .map(|(whose, count)| format!("{count} {}", plain(whose)))
        .collect();
    let whose = match whose.as_slice() {
        [] => String::new(),
        whose => format!(" ({})", whose.join(", ")),
    };
    let spoken = match source.protocol.as_str() {
        "" => "protocol not known yet".to_owned(),
        protocol => format!("speaks {}", plain(protocol)),
    };
    let mut details = vec![
        format!(
            "{}, {}, operator {}",
            plain(&source.url),
            spoken,
            plain(&source.operator)
        ),
        format!(
            "{}, {missed} missed{whose}, falseticker in {}, {}, {}",
            count(source.samples, "sample"),
            count(source.falseticker_cycles, "cycle"),
            count(source.steps, "step"),
            count(source.restarts, "restart"),
        ),
    ];
    // What a poll came to stands behind its row, and may hide what this did to it.
    if source.is_unusable()
        && source.reason != source.verdict
        && let Some(verdict) = &source.verdict
    {
        details.push(format!("unusable: {}", plain(verdict)));
    }
    if let Some(reading) = &source.reading {
        let leap = reading.leap.as_deref().map_or("not told".to_owned(), plain);
        let drift = drift(reading.rate_ppb);
        details.push(format!("raw clock {drift} by it, leap second {leap}"));
    }
    details
}

/// A span with its sign, in the unit that suits it.
pub struct Signed(pub Span);

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < Span::ZERO { '-' } else { '+' };
        write!(f, "{sign}{}", Length(self.0.abs()))
    }
}

/// A length of time in the unit that suits it: seconds, milliseconds, microseconds.
pub struct Length(pub Span);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        match seconds.abs() {
            length if length >= 0.9995 => write!(f, "{seconds:.3} s"),
            length if length >= 0.999_5e-3 => write!(f, "{:.3} ms", seconds * 1e3),
            _ => write!(f, "{:.3} us", seconds * 1e6),
        }
    }
}

/// How long ago, as chronyc writes it: seconds, then minutes, hours, days.
pub struct Age(pub Span);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_nanos().max(0) / 1_000_000_000;
        match seconds {
            0..1_000 => write!(f, "{seconds}"),
            1_000..60_000 => write!(f, "{}m", seconds / 60),
            60_000..360_000 => write!(f, "{}h", seconds / 3_600),
            _ => write!(f, "{}d", seconds / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Status, rig};

    fn report(status: &Status) -> Report {
        Report::new(status, status.clock.raw)
    }

    #[test]
    fn the_table_has_a_row_for_each_source_and_the_decision_below() {
        let expected = "  \
  source  reach  poll  last      offset        bound      delay    jitter
* tokyo       1    16     3  +25.000 ms  ± 12.004 ms  20.000 ms  0.000 us
+ osaka       1    16     3  +26.000 ms  ± 12.004 ms  20.000 ms  0.000 us
x liar        1    16     3    +1.025 s  ± 12.004 ms  20.000 ms  0.000 us  1.000 s ahead of what the majority holds
? dead        0    16     -           -            -          -         -  connection refused
  2 of 4 sources agree, offset +25.500 ms ± 11.504 ms, jitter 500.000 us
";
        assert_eq!(report(&rig::status()).table(), expected);
    }

    #[test]
    fn the_long_table_has_the_legend_and_all_that_is_known_of_each_source() {
        let mut report = report(&rig::status());
        report.sources.truncate(1);
        let source = &mut report.sources[0];
        source.missed.insert("server".into(), 2);
        source.missed.insert("network".into(), 1);
        (source.steps, source.restarts) = (1, 3);
        let (legend, table) = (
            LEGEND,
            "\
* tokyo       1    16     3  +25.000 ms  ± 12.004 ms  20.000 ms  0.000 us
    https://tokyo.example.org/json, speaks webntp, operator tokyo.example.org
    1 sample, 3 missed (1 network, 2 server), falseticker in 0 cycles, 1 step, 3 restarts
    raw clock 0.000 ppm slow by it, leap second not told
",
        );
        let long = report.long_table();
        assert!(
            long.starts_with(&format!("{legend}\n\n  source  reach")),
            "{long}"
        );
        assert!(long.contains(table), "{long}");
    }

    #[test]
    fn before_the_first_cycle_nothing_is_known_and_the_table_says_so() {
        let table = report(&rig::starting()).table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 6, "{table}");
        assert_eq!(
            lines[1],
            "? tokyo       0    16     -       -      -      -       -  no sample"
        );
        assert_eq!(lines[5], "  no cycle has ended yet");
    }

    #[test]
    fn when_everything_is_unusable_every_row_says_why_and_the_last_line_that_nothing_is_published()
    {
        let table = report(&rig::silent()).table();
        assert_eq!(table.matches("connection refused\n").count(), 4, "{table}");
        assert!(
            table.ends_with("\n  nothing published: no usable source\n"),
            "{table}"
        );
    }

    #[test]
    fn without_sources_the_header_and_the_decision_remain() {
        let mut report = report(&rig::status());
        report.sources.clear();
        let table = report.table();
        assert_eq!(table.lines().count(), 2, "{table}");
    }

    #[test]
    fn a_source_that_is_used_may_have_missed_its_last_poll() {
        let mut report = report(&rig::status());
        report.sources[0].reason = Some("time is up".into());
        let table = report.table();
        assert!(
            table.contains("0.000 us  last poll: time is up\n"),
            "{table}"
        );
    }

    #[test]
    fn who_is_not_heard_has_the_reason_behind_its_row_and_the_trouble_of_its_last_poll_as_well() {
        let mut report = report(&rig::status());
        report.sources[1].verdict = Some("stands apart".into());
        report.sources[1].reason = Some("time is up".into());
        let table = report.table();
        assert!(
            table.contains("0.000 us  stands apart; last poll: time is up\n"),
            "{table}"
        );
        let long = report.long_table();
        assert!(long.contains("connection refused\n    "), "{long}");
        assert!(long.contains("    unusable: no sample\n"), "{long}");
    }

    #[test]
    fn a_sample_too_old_to_be_read_still_has_its_age() {
        let mut report = report(&rig::status());
        report.sources[0].reading = None;
        report.sources[0].last_sample_ns = Some(7_200_000_000_000);
        let table = report.table();
        assert!(
            table.contains("* tokyo       1    16  120m           -  "),
            "{table}"
        );
    }

    #[test]
    fn columns_stand_below_each_other_whatever_the_names_are() {
        let mut report = report(&rig::status());
        // Two columns for each; one for both together (a combining accent); one for each of 32.
        for (source, name) in
            report
                .sources
                .iter_mut()
                .zip(["東京", "cafe\u{301}", &"x".repeat(32)])
        {
            source.name = name.into();
        }
        let table = report.table();
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows[0].find("reach").unwrap(), 2 + 32 + 2);
        assert!(
            rows[1].starts_with(&format!("* 東京{}      1    16", " ".repeat(28))),
            "{table}"
        );
        assert!(
            rows[2].starts_with(&format!("+ cafe\u{301}{}      1    16", " ".repeat(28))),
            "{table}"
        );
        assert!(
            rows[3].starts_with(&format!("x {}      1    16", "x".repeat(32))),
            "{table}"
        );
    }

    #[test]
    fn what_a_name_or_a_reason_says_moves_no_cursor() {
        let mut report = report(&rig::status());
        report.sources[0].name = "a\u{1b}[2J".into();
        report.sources[3].reason = Some("b\nc\u{202e}".into());
        report.sources[3].url = "http://\u{7}/".into();
        let table = report.long_table();
        assert!(table.contains("a\\u{1b}[2J"), "{table}");
        assert!(table.contains("b\\nc\\u{202e}\n"), "{table}");
        assert!(!table.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{table}");
    }

    #[test]
    fn a_decision_that_no_output_took_is_not_called_published() {
        let table = report(&rig::refused()).table();
        let said = "\n  nothing published: SHM(2): no room; 2 of 4 sources agree, offset ";
        assert!(table.contains(said), "{table}");
    }

    #[test]
    fn the_unit_suits_the_length() {
        let written = |nanos| Length(Span::from_nanos(nanos)).to_string();
        assert_eq!(written(999), "0.999 us");
        assert_eq!(written(999_600), "1.000 ms");
        assert_eq!(written(25_012_000), "25.012 ms");
        assert_eq!(written(1_000_000_000), "1.000 s");
        assert_eq!(Signed(Span::from_nanos(-1_500)).to_string(), "-1.500 us");
        assert_eq!(Age(Span::from_secs(1_200)).to_string(), "20m");
    }
}
