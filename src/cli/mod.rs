//! The command lines of both programs, and what only they do.

mod burst;
mod completions;
pub mod daemon;
mod demo;
mod doctor;
mod feed;
mod leap_seconds;
#[cfg(test)]
mod manual;
mod query;
mod replay;
mod serve;
mod setup;
mod shm;
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
