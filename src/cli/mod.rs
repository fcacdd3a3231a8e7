//! The command lines of both programs, and what only they do.

mod burst;
mod completions;
pub mod daemon;
mod demo;
mod doctor;
mod feed;
#[cfg(test)]
mod manual;
mod places;
mod protocols;
mod query;
mod replay;
mod serve;
mod setup;
mod shm;
mod socket;
mod sources;
pub mod tool;
mod tracking;
mod usual;
mod waitsync;
mod watch;

use crate::sys::log::{self, LevelFilter};
use anyhow::Context;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::io::Write as _;
use std::process::ExitCode;

/// How a program ends, if no signal ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// It did what it was asked to, and all is well.
    Done,
    /// It did not, or something is not well.
    Failed,
    /// The command line makes no sense. clap has the same number.
    Misused,
    /// The configuration must be mended before another start is worth while (`EX_CONFIG` of sysexits.h).
    Misconfigured,
}

impl Exit {
    /// All of `webntp`.
    #[cfg(test)]
    const OF_TOOL: [Self; 3] = [Self::Done, Self::Failed, Self::Misused];

    /// All of `webntpd`.
    #[cfg(test)]
    const OF_DAEMON: [Self; 4] = [Self::Done, Self::Failed, Self::Misused, Self::Misconfigured];

    const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Misused => 2,
            Self::Misconfigured => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// Options of every command that runs for long.
#[derive(Debug, Args)]
struct LogArguments {
    /// Least important kind of message to be told on standard error [default: that of the
    /// configuration if there is one, else info]
    #[arg(long, value_name = "LEVEL", value_parser = level())]
    log_level: Option<LevelFilter>,
}

fn level() -> impl TypedValueParser<Value = LevelFilter> {
    PossibleValuesParser::new(["off", "error", "warn", "info", "debug", "trace"])
        .try_map(|name| name.parse::<LevelFilter>())
}

impl LogArguments {
    /// Begins the log of a command that has no configuration.
    fn init(&self) {
        self.init_or(LevelFilter::INFO);
    }

    /// Begins the log, at the level `usual` if the command line names none.
    fn init_or(&self, usual: LevelFilter) {
        log::init(self.log_level.unwrap_or(usual));
    }
}

/// Runs `program` on one thread: these programs do little, and a sample waits for nobody. What still runs then (a name look-up
/// that has no answer) is not waited for.
fn run_to_end<T>(program: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(program);
    runtime.shutdown_background();
    result
}

/// Says on standard error what went wrong.
fn complain(what: &str) {
    // Without standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "webntp: {what}");
}
