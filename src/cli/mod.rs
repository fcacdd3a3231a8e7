//! The command lines of both programs, and what only they do.

pub mod daemon;
mod demo;
mod query;
mod serve;
pub mod tool;

use crate::sys::log::{self, LevelFilter};
use anyhow::Context;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Options of every command that runs for long.
#[derive(Debug, Args)]
struct LogArguments {
    /// Least important kind of message to be told on standard error, by default that of the
    /// configuration, else info
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

/// One thread: these programs do little, and a sample waits for nobody.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}
