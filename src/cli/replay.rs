//! `webntp replay`: what the daemon would have made of a measurement log, without waiting and without asking anybody.
//!
//! In: a configuration and a log. Out: a line of JSON for each cycle, or a table; on standard error what was passed over. The
//! decisions are the engine's own, see [`crate::supervisor::replay`].

mod summary;

use super::complain;
use super::daemon::DEFAULT_CONFIG;
use crate::config;
use crate::engine::snapshot::Snapshot;
use crate::status::words::plain;
use crate::supervisor::replay::{Decided, Replay, Undecided};
use crate::sys::clock::raw_now;
use anyhow::{Context, bail};
use clap::Args;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read as _, Write};
use std::path::{Path, PathBuf};
use summary::Summary;

/// How a file begins that gzip has made, as logrotate has it do.
const GZIP: &[u8] = b"\x1f\x8b";

/// Letters of a name that are shown of a source that is not in the configuration; one that could be has no more.
const LONGEST_NAME: usize = 32;

/// No line of a log is longer (bytes).
const LONGEST_LINE: u64 = 65_536;

const NOTES: &str = "\
The log is what `measurements` in [log] has the daemon record. Of the configuration, `cycle`, [select] and the sources count; a source \
of the log is one of the same name. Of more files than one the oldest comes first: zcat -f LOG.2.gz LOG.1 LOG | webntp replay -

JSON, a line for each cycle in which the daemon would have published: at (ns on CLOCK_MONOTONIC_RAW), offset, lo, hi (UTC minus that \
clock, ns), jitter (ns), leap (none, insert, delete), survivors, falsetickers, rate_ppb. Of others, with --all: at, why.

Exit code 0: done. 1: a line of the log is bad, standard error says which; what stands before it was replayed. 2: the command line \
makes no sense.";

#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,

    /// Tell of the cycles in which nothing would have been published, too, and why
    #[arg(long)]
    all: bool,

    /// Show one table for people, and on standard error how many lines a second it took
    #[arg(long, conflicts_with = "all")]
    summary: bool,

    /// The log; - for standard input
    #[arg(value_name = "LOG")]
    log: PathBuf,
}

/// Where the ends of cycles go.
enum Outlet<W: Write> {
    Lines { out: W, all: bool },
    Table { out: W, summary: Box<Summary> },
}

/// Replays the log.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = match config::load_alone(&arguments.config) {
        Ok(config) if config.sources.is_empty() => {
            bail!(
                "{}: no [[source]] is configured",
                arguments.config.display()
            )
        }
        Ok(config) => config,
        Err(problems) => bail!("{}", problems.to_string().trim_end()),
    };
    let (mut log, name): (Box<dyn BufRead>, String) = if arguments.log == Path::new("-") {
        (Box::new(io::stdin().lock()), "standard input".to_owned())
    } else {
        let name = arguments.log.display().to_string();
        let file = File::open(&arguments.log).with_context(|| name.clone())?;
        (Box::new(BufReader::new(file)), name)
    };
    let out = BufWriter::new(io::stdout().lock());
    let mut outlet = if arguments.summary {
        let summary = Box::new(Summary::new(&config));
        Outlet::Table { out, summary }
    } else {
        let all = arguments.all;
        Outlet::Lines { out, all }
    };
    let mut replay = Replay::new(&config, arguments.all);
    let begin = raw_now();
    let (lines, result) = replayed(&mut log, &mut replay, &mut outlet);
    let took = raw_now() - begin;
    let result = match result {
        Err(Stopped::Output(error)) => Err(Stopped::Output(error)),
        // What stands above a bad line is shown.
        read => {
            let written = outlet.finish(replay.cycles());
            written.map_err(Stopped::Output).and(read)
        }
    };
    if let Some(strangers) = replay.strangers() {
        let names: Vec<String> = strangers.names.iter().map(|name| shown(name)).collect();
        complain(&format!(
            "passed over, not in {}: {} of {} lines, of source {}",
            arguments.config.display(),
            strangers.exchanges,
            lines,
            names.join(", ")
        ));
    }
    let untold = replay.untold();
    if !untold.is_empty() {
        complain(&format!(
            "neither {} nor the log says in time what these speak, they are taken to tell more than whole seconds: source {}",
            arguments.config.display(),
            untold.join(", ")
        ));
    }
    if arguments.summary {
        let rate = lines as f64 / took.as_secs_f64().max(1e-9);
        complain(&format!(
            "{lines} lines in {:.3} s, {rate:.0} lines a second",
            took.as_secs_f64()
        ));
    }
    match result {
        Ok(()) => Ok(()),
        // Whoever closed the pipe does not want to know more.
        Err(Stopped::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(Stopped::Output(error)) => Err(error).context("standard output"),
        Err(Stopped::Log(why)) => bail!("{name}:{lines}: {why}"),
    }
}

/// Why a replay ends before its log.
enum Stopped {
    Output(io::Error),
    Log(String),
}

/// How many lines were read, and why no more if there are more.
fn replayed<W: Write>(
    log: &mut dyn BufRead,
    replay: &mut Replay,
    outlet: &mut Outlet<W>,
) -> (u64, Result<(), Stopped>) {
    let mut lines = 0;
    let mut line = Vec::new();
    let mut written = Ok(());
    loop {
        line.clear();
        let read = log.take(LONGEST_LINE).read_until(b'\n', &mut line);
        let is_whole = line.ends_with(b"\n");
        let bad = match read {
            Ok(0) => break,
            Ok(_) if !is_whole && line.len() as u64 == LONGEST_LINE => {
                Some("longer than any line of a log".to_owned())
            }
            Ok(_) => {
                let mut show = |snapshot: &Snapshot| {
                    if written.is_ok() {
                        written = outlet.show(snapshot);
                    }
                };
                let taken = replay.take(&line, &mut show);
                taken.err().map(|bad| words(&bad, &line))
            }
            Err(error) => Some(format!("cannot be read: {error}")),
        };
        lines += 1;
        if let Some(why) = bad {
            if !is_whole && (line.len() as u64) < LONGEST_LINE {
                // The log ends here, with a crash or a full disk.
                replay.finish(&mut |snapshot| {
                    if written.is_ok() {
                        written = outlet.show(snapshot);
                    }
                });
            }
            let written = written.map_err(Stopped::Output);
            return (lines, written.and(Err(Stopped::Log(why))));
        }
        if let Err(error) = written {
            return (lines, Err(Stopped::Output(error)));
        }
    }
    replay.finish(&mut |snapshot| {
        if written.is_ok() {
            written = outlet.show(snapshot);
        }
    });
    (lines, written.map_err(Stopped::Output))
}

/// What is wrong with a line, for people: to the reader of JSON each is the first.
fn words(bad: &(dyn Error + 'static), line: &[u8]) -> String {
    if line.starts_with(GZIP) {
        return "compressed; have zcat -f read it, and name - as the log".to_owned();
    }
    let json = bad
        .source()
        .and_then(|cause| cause.downcast_ref::<serde_json::Error>());
    match json {
        Some(json) if json.is_syntax() => format!(
            "not JSON (column {}); is this a record of [log] measurements?",
            json.column()
        ),
        // Such as the first number of a log for people.
        Some(_) if !line.trim_ascii_start().starts_with(b"{") => {
            "not a JSON object; is this a record of [log] measurements?".to_owned()
        }
        _ => {
            let cut = match line.ends_with(b"\n") {
                true => "",
                false => " (the line is cut off)",
            };
            plain(&bad.to_string()).replace(" at line 1 column ", " at column ") + cut
        }
    }
}

/// The name of a source that no configuration has vouched for.
fn shown(name: &str) -> String {
    let mut letters = name.chars();
    let kept: String = letters.by_ref().take(LONGEST_NAME).collect();
    let more = if letters.next().is_some() { "…" } else { "" };
    plain(&kept) + more
}

impl<W: Write> Outlet<W> {
    fn show(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        match self {
            Self::Table { summary, .. } => {
                summary.take(snapshot);
                Ok(())
            }
            Self::Lines { out, all } => {
                if let Some(decided) = Decided::of(snapshot) {
                    serde_json::to_writer(&mut *out, &decided)?;
                } else if let Some(undecided) = Undecided::of(snapshot).filter(|_| *all) {
                    serde_json::to_writer(&mut *out, &undecided)?;
                } else {
                    return Ok(());
                }
                out.write_all(b"\n")
            }
        }
    }

    /// After so many cycles.
    fn finish(&mut self, cycles: u64) -> io::Result<()> {
        match self {
            Self::Lines { out, .. } => out.flush(),
            Self::Table { out, summary } => {
                summary.end(cycles);
                write!(out, "{summary}")?;
                out.flush()
            }
        }
    }
}
