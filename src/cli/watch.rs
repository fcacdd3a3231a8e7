//! `webntp sources`, `webntp tracking`: asks the running daemon once, or again and again, and shows its report.
//!
//! In: a path to its control socket. Out: the report as text or as the line of JSON that came. Nothing is asked of the daemon
//! but its report, and nothing in it changes.

use super::socket::{Socket, ask};
use super::{complain, run_to_end};
use crate::engine::time::Span;
use crate::status::report::{FORMAT, Report};
use crate::sys::clock::{raw_now, sleep_until};
use crate::sys::signals::{Signal, Signals};
use anyhow::Context;
use clap::Args;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::path::Path;

/// How often the daemon is asked whether a cycle has ended, or whether it is there at all.
pub(super) const PAUSE: Span = Span::from_secs(1);

/// Moves the cursor to the upper left corner and empties the terminal from there.
const CLEAR: &str = "\x1b[H\x1b[J";

/// What the help of both commands ends with.
pub(super) const NOTES: &str = "\
JSON, the same from both commands: format (1), version, pid, started_ns (since 1970), uptime_ns, age_ns (of the last \
cycle), cycle_ns, state (starting, publishing, refused, undecided), reason, summary, tracking (age_ns, offset_ns, \
bound_ns, jitter_ns, precision, rate_ppb, rate_lo_ppb, rate_hi_ppb, leap), sources (name, url, protocol, operator, \
noselect, tally, reason, verdict, poll_ns, reach, reading, last_sample_ns, samples, missed, falseticker_cycles, steps, restarts), outputs \
(name, kind: shm or sock, unit, path, written, failed, reader, trouble), cycles, resets, reloads, reloads_refused. A reading: age_ns, offset_ns, \
bound_ns, delay_ns, jitter_ns, rate_ppb, leap. missed: network, tls, server, local. An offset is positive when the \
system clock is behind, a rate when the raw clock is slow. What is not known is null.

Exit code 0: done, also when the daemon publishes nothing; what is shown says why (webntp waitsync waits until it \
does). 1: the daemon could not be asked, standard error says why and what to do. 2: the command line makes no \
sense.";

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Print the daemon's whole report as it comes, one line of JSON
    #[arg(long)]
    json: bool,

    /// Go on until Ctrl-C: show the report every so many seconds, by default after each cycle of the daemon. A
    /// terminal is emptied each time. While the daemon is away it is waited for
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    watch: Option<Option<u32>>,

    #[command(flatten)]
    socket: Socket,
}

/// Shows the daemon's report in the form that `text` gives it, as often as the options say.
pub(super) fn show(options: &Options, text: impl Fn(&Report) -> String) -> anyhow::Result<()> {
    let mut screen = Screen::new(options, text);
    let Some(every) = options.watch else {
        let (report, line) = run_to_end(async { Ok(ask(&options.socket.path()).await?) })?;
        return screen.show(&report, &line).map(drop);
    };
    let path = options.socket.path();
    run_to_end(async {
        let mut signals = Signals::new(&Signal::ENDING).context("cannot catch signals")?;
        let every = every.map(|seconds| Span::from_secs(seconds.into()));
        tokio::select! {
            _ = signals.next() => Ok(()),
            result = watch(&path, every, screen) => result,
        }
    })
}

/// Goes on until nobody reads. A daemon that was never there is not waited for.
async fn watch<F: Fn(&Report) -> String>(
    path: &Path,
    every: Option<Span>,
    mut screen: Screen<F>,
) -> anyhow::Result<()> {
    let mut shown = None;
    let mut away = None;
    loop {
        match ask(path).await {
            Ok((report, line)) => {
                if away.take().is_some() {
                    complain("webntpd is back");
                }
                let cycle = Some((report.pid, report.started_ns, report.cycles));
                if every.is_some() || shown != cycle {
                    shown = cycle;
                    if !screen.show(&report, &line)? {
                        return Ok(());
                    }
                }
            }
            Err(why) if shown.is_none() => return Err(why.into()),
            Err(why) => {
                let why = Some(format!("{why}; trying on"));
                if let Some(why) = &why
                    && away.as_ref() != Some(why)
                {
                    complain(why);
                }
                away = why;
            }
        }
        sleep_until(raw_now() + every.unwrap_or(PAUSE)).await;
    }
}

/// Where reports are shown.
struct Screen<F> {
    text: F,
    json: bool,
    /// Whether each one takes the place of the one before.
    clears: bool,
    /// Whether there has been one.
    used: bool,
    /// The strange format that was complained about last.
    strange: Option<u32>,
}

impl<F: Fn(&Report) -> String> Screen<F> {
    fn new(options: &Options, text: F) -> Self {
        Self {
            text,
            json: options.json,
            clears: options.watch.is_some() && !options.json && io::stdout().is_terminal(),
            used: false,
            strange: None,
        }
    }

    /// Shows a report; tells whether anybody reads.
    fn show(&mut self, report: &Report, line: &str) -> anyhow::Result<bool> {
        let separator = match (self.clears, self.json || !self.used) {
            (true, _) => CLEAR,
            (false, true) => "",
            (false, false) => "\n",
        };
        self.used = true;
        let text = if self.json {
            format!("{separator}{}\n", line.trim_end())
        } else {
            format!("{separator}{}", (self.text)(report))
        };
        let mut out = io::stdout();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        // Below what is shown, where it stays to be read.
        self.note_format(report.format);
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            written => {
                written.context("cannot write to standard output")?;
                Ok(true)
            }
        }
    }

    /// Another version's report is shown as far as it is understood.
    fn note_format(&mut self, format: u32) {
        let strange = (format != FORMAT).then_some(format);
        if let Some(format) = strange.filter(|_| strange != self.strange) {
            complain(&format!(
                "the daemon's report has format {format}, this program knows {FORMAT}: some of it may be missing or \
                 mean something else; use the webntp that came with the daemon"
            ));
        }
        self.strange = strange;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::rig;
    use serde_json::Value;

    /// The names of all members, at any depth.
    fn names(value: &Value) -> Vec<String> {
        match value {
            Value::Array(items) => items.iter().flat_map(names).collect(),
            Value::Object(members) => members
                .iter()
                .flat_map(|(name, value)| [vec![name.clone()], names(value)].concat())
                .collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn the_help_names_every_member_of_the_report() {
        let status = rig::status();
        let report = serde_json::to_value(Report::new(&status, status.clock.raw)).unwrap();
        let names = names(&report);
        assert!(names.contains(&"delay_ns".to_owned()), "{names:?}");
        let told: Vec<&str> = NOTES
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .collect();
        for name in names {
            assert!(told.contains(&name.as_str()), "{name} is missing");
        }
    }
}
