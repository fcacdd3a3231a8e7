//! The log: events for people as lines on standard error, for people and machines as entries of the journal.
//!
//! In: tracing events. Out, of three ways the best that there is:
//!
//! 1. under systemd an entry sent to journald: `MESSAGE`, `PRIORITY`, and each of the event's fields under its own name in
//!    capitals (`journalctl -u webntpd SOURCE=tokyo`);
//! 2. where journald's socket is out of reach, a line for the stream that it reads, `<4>text` (`sd-daemon(3)`);
//! 3. else a line with its time, `2026-07-31T12:00:00.123Z WARN text`.
//!
//! The text tells people everything. Fields are for machines, say nothing that the text does not, and go to the journal only.
//! They have no prefix, and no name that `systemd.journal-fields(7)` has taken:
//!
//! | field | means |
//! |---|---|
//! | `SOURCE` | name of the source concerned |
//! | `REASON` | why its poll gave nothing, or why nothing is published |
//! | `OFFSET_NS` | system clock to true time, nanoseconds, positive: the system clock is behind |
//! | `BOUND_NS` | how far from that the true time may be, nanoseconds |
//! | `PEER` | address of a client |
//!
//! Peers' text may be part of an event: whatever could end the line, move the cursor or turn the text around is written as
//! an escape, in the text and in fields alike. What a field may hold cannot become another field: lengths go before values.
//!
//! It does not filter by module, rotate or buffer, and knows no spans.

mod journal;

use crate::engine::time::Utc;
use crate::sys::clock::system_now;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

pub use tracing::level_filters::LevelFilter;

/// Sends events of `level` and above to the log from now on. A second call changes nothing.
pub fn init(level: LevelFilter) {
    let head = if stderr_is_journal() {
        match journal::subscriber(level) {
            Ok(subscriber) => return install(subscriber),
            // It may stand in the way of fields, never of the log itself.
            Err(_) => Head::Priority,
        }
    } else {
        Head::Time {
            colour: io::stderr().is_terminal(),
        }
    };
    install(lines(level, head, io::stderr, system_now));
}

fn install(subscriber: impl Subscriber + Send + Sync + 'static) {
    // An error means that there is a log already.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// What a line begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// syslog's number of the level: the journal adds the rest.
    Priority,
    /// Universal time to the millisecond and the level's name, coloured for a terminal.
    Time { colour: bool },
}

/// What is read of the environment.
pub(crate) const VARIABLE: &str = "JOURNAL_STREAM";

/// JOURNAL_STREAM names device and inode of the stream to the journal; it is inherited by programs
/// whose standard error went elsewhere, so the two are compared (`systemd.exec(5)`).
fn stderr_is_journal() -> bool {
    let Ok(named) = std::env::var(VARIABLE) else {
        return false;
    };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|stream| named == format!("{}:{}", stream.dev(), stream.ino()))
}

fn lines<W>(level: LevelFilter, head: Head, out: W, now: fn() -> Utc) -> impl Subscriber
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        // It would tell of a log that cannot be written on the same standard error, and panic when that fails.
        .log_internal_errors(false)
        .with_max_level(level)
        .event_format(Line { head, now })
        .with_writer(out)
        .finish()
}

struct Line {
    head: Head,
    now: fn() -> Utc,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        match self.head {
            Head::Priority => write!(writer, "<{}>", priority(level))?,
            Head::Time { colour } => {
                let (before, after) = if colour { paint(level) } else { ("", "") };
                let time = Stamp((self.now)());
                write!(writer, "{time} {before}{level}{after} ")?;
            }
        }
        let mut text = Text {
            out: Escaping(writer.by_ref()),
            result: Ok(()),
        };
        event.record(&mut text);
        text.result?;
        writeln!(writer)
    }
}

/// syslog's severities, `<syslog.h>`.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

fn paint(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::ERROR => ("\x1b[31m", "\x1b[0m"),
        Level::WARN => ("\x1b[33m", "\x1b[0m"),
        Level::INFO => ("\x1b[32m", "\x1b[0m"),
        _ => ("\x1b[2m", "\x1b[0m"),
    }
}

struct Stamp(Utc);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(self.0.as_nanos().into()) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => f.write_str("-"),
        }
    }
}

/// Writes an event's text and leaves its fields to the journal.
struct Text<W> {
    out: Escaping<W>,
    result: fmt::Result,
}

impl<W: fmt::Write> Visit for Text<W> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.result = write!(self.out, "{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// Passes text on with everything escaped that is not plain to see on its line.
struct Escaping<W>(W);

impl<W: fmt::Write> fmt::Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(is_hostile) {
            let last = part.chars().next_back().filter(|&c| is_hostile(c));
            let plain = &part[..part.len() - last.map_or(0, char::len_utf8)];
            self.0.write_str(plain)?;
            if let Some(hostile) = last {
                write!(self.0, "{}", hostile.escape_default())?;
            }
        }
        Ok(())
    }
}

/// Control characters, line and paragraph separators, and the marks that change the direction of text.
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that these events make, with their level as the journal has it (`<4>` is a warning).
    pub(crate) fn with_priority(events: impl FnOnce()) -> String {
        logged(LevelFilter::DEBUG, Head::Priority, events)
    }

    /// The lines that these events make, all of one time.
    pub(super) fn logged(level: LevelFilter, head: Head, events: impl FnOnce()) -> String {
        let memory = Memory::default();
        let out = memory.clone();
        let now = || Utc::from_nanos(1_790_557_227_050_999_999);
        let subscriber = lines(level, head, move || out.clone(), now);
        tracing::subscriber::with_default(subscriber, events);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::logged;
    use super::*;
    use proptest::prelude::*;
    use tracing::{debug, error, info, warn};

    /// What a peer might send.
    pub(super) const EVIL: &str =
        "a\n<0>forged\r\x1b[2J\x07\u{9b}31m\u{2028}\u{202e}\0\x7f\tz é \\ \"quoted\" 日本";
    /// What shall be seen of it.
    pub(super) const VISIBLE: &str = "a\\n<0>forged\\r\\u{1b}[2J\\u{7}\\u{9b}31m\\u{2028}\\u{202e}\\u{0}\\u{7f}\\tz é \\ \"quoted\" 日本";

    #[test]
    fn a_line_has_time_level_and_text_and_leaves_fields_to_the_journal() {
        let line = logged(LevelFilter::INFO, Head::Time { colour: false }, || {
            warn!(source = "tokyo", count = 3, "source {}: no reply", "tokyo");
            debug!("not asked for");
        });
        assert_eq!(
            line,
            "2026-09-28T01:00:27.050Z WARN source tokyo: no reply\n"
        );
    }

    #[test]
    fn on_the_journals_stream_the_level_is_a_number_and_the_journal_keeps_the_time() {
        let lines = logged(LevelFilter::DEBUG, Head::Priority, || {
            error!("a");
            warn!("b");
            info!("c");
            debug!("d");
        });
        assert_eq!(lines, "<3>a\n<4>b\n<6>c\n<7>d\n");
    }

    #[test]
    fn colour_is_the_level_only() {
        let line = logged(LevelFilter::INFO, Head::Time { colour: true }, || {
            warn!("x");
        });
        assert!(line.ends_with(" \x1b[33mWARN\x1b[0m x\n"), "{line:?}");
    }

    #[test]
    fn a_peers_text_cannot_forge_a_line_or_reach_the_terminal() {
        let lines = logged(LevelFilter::INFO, Head::Priority, || {
            info!("{EVIL}");
            info!(reason = EVIL, "field");
            let error = io::Error::other(EVIL);
            info!(message = &error as &dyn std::error::Error);
        });
        let lines: Vec<_> = lines.split_terminator('\n').collect();
        let text = format!("<6>{VISIBLE}");
        assert_eq!(lines, [&text, "<6>field", &text]);
    }

    proptest! {
        #[test]
        fn whatever_is_written_stays_on_its_line(text: String) {
            let mut escaped = String::new();
            write!(Escaping(&mut escaped), "{text}").unwrap();
            prop_assert!(!escaped.contains(is_hostile));
            if !text.contains(is_hostile) {
                prop_assert_eq!(escaped, text);
            }
        }
    }
}
