//! The command lines of both programs, and what only they do.

mod burst;
pub mod daemon;
mod demo;
mod feed;
mod leap_seconds;
mod query;
mod serve;
pub mod tool;
mod usual;

use crate::sys::log::{self, LevelFilter};
use anyhow::Context;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Options of every command that runs for long.
#[derive(Debug, Args)]
struct LogArguments {
    /// Least important kind of message to be told on standard error
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level())]
    log_level: LevelFilter,
}

fn level() -> impl TypedValueParser<Value = LevelFilter> {
    PossibleValuesParser::new(["off", "error", "warn", "info", "debug", "trace"])
        .try_map(|name| name.parse::<LevelFilter>())
}

impl LogArguments {
    fn init(&self) {
        log::init(self.log_level);
    }
}

/// One thread: these programs do little, and a sample waits for nobody.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}
