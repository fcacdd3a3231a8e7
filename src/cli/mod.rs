//! The user's tool, `webntp`: what the command line says, and who does it.
//!
//! In: arguments. Out: what was asked for on standard output, everything else on standard error, and
//! an exit code: 0 done, 1 it could not be done, 2 the command line makes no sense.

mod serve;

use crate::sys::log::{self, LevelFilter};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;

/// Tell the time over HTTP and WebSocket (WebNTP).
#[derive(Debug, Parser)]
#[command(name = "webntp", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a WebNTP server that tells the time of this machine's clock.
    Serve(serve::Arguments),
}

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

/// Does what `arguments` (the first is the program's own name) ask for.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Arguments::try_parse_from(arguments) {
        Ok(arguments) => dispatch(arguments),
        Err(answer) => {
            // Help and version are "errors" as well, with exit code 0. Nobody is left to be told when
            // the text cannot be printed.
            let _ = answer.print();
            ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2))
        }
    }
}

/// The one place where commands meet those who carry them out.
fn dispatch(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Command::Serve(arguments) => outcome(serve::run(&arguments)),
    }
}

fn outcome<E: fmt::Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("webntp: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_level_of_the_log_has_its_name() {
        for (name, level) in [
            ("off", LevelFilter::OFF),
            ("warn", LevelFilter::WARN),
            ("trace", LevelFilter::TRACE),
        ] {
            let line = ["webntp", "serve", "--log-level", name, ":1"];
            let Command::Serve(arguments) = Arguments::try_parse_from(line).unwrap().command;
            assert_eq!(arguments.log.log_level, level);
        }
        let line = ["webntp", "serve", "--log-level", "loud", ":1"];
        assert!(Arguments::try_parse_from(line).is_err());
    }
}
