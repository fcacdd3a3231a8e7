//! The command line of `webntp`, the user's tool.
//!
//! In: arguments. Out: what was asked for on standard output, everything else on standard error, and an exit code: 0 done,
//! 1 it could not be done, 2 the command line makes no sense.

use super::{complain, query, serve};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Ask WebNTP servers for the time, or run one.
#[derive(Debug, Parser)]
#[command(
    name = "webntp",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Arguments {
    /// Servers to ask once: http, https, ws or wss
    #[arg(value_name = "URL", required = true)]
    urls: Vec<String>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a WebNTP server that tells the time of this machine's clock
    Serve(serve::Arguments),
}

/// Runs `webntp` with the process's arguments.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Some(Command::Serve(arguments)) => serve::run(&arguments).map_err(Into::into),
        None => query::run(&arguments.urls),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain("webntp", &format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::log::LevelFilter;
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
            let Some(Command::Serve(arguments)) = Arguments::try_parse_from(line).unwrap().command
            else {
                panic!("serve is a command");
            };
            assert_eq!(arguments.log.log_level, Some(level));
        }
        assert!(
            Arguments::try_parse_from(["webntp", "serve", "--log-level", "loud", ":1"]).is_err()
        );
    }

    #[test]
    fn urls_are_asked_and_something_must_be_named() {
        let arguments =
            Arguments::try_parse_from(["webntp", "http://a/", "ws://b/"]).expect("two URLs");
        assert_eq!(arguments.urls, ["http://a/", "ws://b/"]);
        assert!(Arguments::try_parse_from(["webntp"]).is_err());
    }
}
