//! The log: one line an event, on standard error.
//!
//! In: tracing events. Out: `2026-07-31T12:00:00.123Z WARN text key=value`; under systemd, whose journal
//! keeps the time itself, `<4>text key=value` (`sd-daemon(3)`). Peers' text may be part of an event:
//! whatever could end the line, move the cursor or turn the text around is written as an escape, in
//! message and fields alike (tracing-subscriber's own formats let line feeds pass).
//!
//! It does not filter by module, rotate or buffer.

use crate::engine::time::Utc;
use crate::sys::clock::system_now;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

pub use tracing::level_filters::LevelFilter;

/// Sends events of `level` and above to standard error from now on. A second call changes nothing.
pub fn init(level: LevelFilter) {
    let head = if stderr_is_journal() {
        Head::Priority
    } else {
        Head::Time {
            colour: io::stderr().is_terminal(),
        }
    };
    let subscriber = subscriber(level, head, io::stderr, system_now);
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

/// JOURNAL_STREAM names device and inode of the stream to the journal; it is inherited by programs
/// whose standard error went elsewhere, so the two are compared (`systemd.exec(5)`).
fn stderr_is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|stream| named == format!("{}:{}", stream.dev(), stream.ino()))
}

fn subscriber<W>(level: LevelFilter, head: Head, out: W, now: fn() -> Utc) -> impl Subscriber
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        // It would tell of a log that cannot be written on the same standard error, and panic when that fails.
        .log_internal_errors(false)
        .with_max_level(level)
        .fmt_fields(Fields)
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
        context: &FmtContext<'_, S, N>,
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
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            write!(writer, "{}", span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, "{{{fields}}}")?;
            }
            write!(writer, ": ")?;
        }
        context.format_fields(writer.by_ref(), event)?;
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

/// The message as it is, every other field as `key=value`, all of it escaped.
struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        writer: Writer<'w>,
        fields: R,
    ) -> fmt::Result {
        let mut visitor = Visitor {
            out: Escaping(writer),
            first: true,
            result: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Visitor<'w> {
    out: Escaping<'w>,
    first: bool,
    result: fmt::Result,
}

impl Visitor<'_> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.result.is_err() {
            return;
        }
        let blank = if std::mem::take(&mut self.first) {
            ""
        } else {
            " "
        };
        self.result = match field.name() {
            "message" => write!(self.out, "{blank}{value}"),
            name => write!(self.out, "{blank}{name}={value}"),
        };
    }
}

impl Visit for Visitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, format_args!("{value}"));
    }
}

/// Passes text on with everything escaped that is not plain to see on its line.
struct Escaping<'w>(Writer<'w>);

impl fmt::Write for Escaping<'_> {
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
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing::{debug, error, info, info_span, warn};

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

    fn logged(level: LevelFilter, head: Head, events: impl FnOnce()) -> String {
        let memory = Memory::default();
        let out = memory.clone();
        let now = || Utc::from_nanos(1_790_557_227_050_999_999);
        let subscriber = subscriber(level, head, move || out.clone(), now);
        tracing::subscriber::with_default(subscriber, events);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_has_time_level_text_and_fields() {
        let line = logged(LevelFilter::INFO, Head::Time { colour: false }, || {
            warn!(source = "tokyo", count = 3, "no reply");
            debug!("not asked for");
        });
        assert_eq!(
            line,
            "2026-09-28T01:00:27.050Z WARN no reply source=tokyo count=3\n"
        );
    }

    #[test]
    fn under_systemd_the_level_is_a_number_and_the_journal_keeps_the_time() {
        let lines = logged(LevelFilter::DEBUG, Head::Priority, || {
            error!("a");
            warn!("b");
            info!("c");
            debug!("d");
        });
        assert_eq!(lines, "<3>a\n<4>b\n<6>c\n<7>d\n");
    }

    #[test]
    fn spans_stand_before_the_text() {
        let line = logged(LevelFilter::INFO, Head::Priority, || {
            let _source = info_span!("source", name = "to\nkyo").entered();
            info!("up");
        });
        assert_eq!(line, "<6>source{name=to\\nkyo}: up\n");
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
        let evil =
            "a\n<0>forged\r\x1b[2J\x07\u{9b}31m\u{2028}\u{202e}\0\x7f\tz é \\ \"quoted\" 日本";
        let lines = logged(LevelFilter::INFO, Head::Priority, || {
            info!("{evil}");
            info!(evil, "str");
            info!(%evil, "display");
            info!(?evil, "debug");
            info!(
                error = &io::Error::other(evil) as &dyn std::error::Error,
                "error"
            );
        });
        let visible = "a\\n<0>forged\\r\\u{1b}[2J\\u{7}\\u{9b}31m\\u{2028}\\u{202e}\\u{0}\\u{7f}\\tz é \\ \"quoted\" 日本";
        let lines: Vec<_> = lines.split_terminator('\n').collect();
        assert_eq!(lines.len(), 5, "{lines:#?}");
        assert_eq!(lines[0], format!("<6>{visible}"));
        assert_eq!(lines[1], format!("<6>str evil={visible}"));
        assert_eq!(lines[2], format!("<6>display evil={visible}"));
        for line in lines {
            assert!(!line.chars().any(is_hostile), "{line:?}");
        }
    }
}
