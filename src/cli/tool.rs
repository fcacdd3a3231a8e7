//! The command line of `webntp`, the user's tool.
//!
//! In: arguments. Out: what was asked for on standard output, everything else on standard error, and an exit code: 0 done,
//! 1 it could not be done, 2 the command line makes no sense. go-webntp's command lines work as they are.

use super::{Exit, complain, completions, doctor, query, replay, serve, setup, shm};
use super::{sources, tracking, usual::usual, waitsync};
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

const LIKE_THE_REFERENCE: &str = "\
go-webntp's way of writing it works as well: webntp -serve :8080 [-allow-cross-origin] [-leap-second-path FILE] \
[-leap-second-url URL], webntp -p 1 -shm 2 URL...

Exit code 0: done. 1: it could not be done, standard error says why; no server answered, or they contradict each \
other. 2: the command line makes no sense.";

/// Ask WebNTP servers for the time, or run one.
#[derive(Debug, Parser)]
#[command(
    name = "webntp",
    version = concat!("version ", env!("CARGO_PKG_VERSION")),
    after_help = LIKE_THE_REFERENCE,
    max_term_width = 100,
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Arguments {
    #[command(flatten)]
    query: query::Options,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a WebNTP server that tells the time of this machine's clock
    Serve(serve::Arguments),

    /// Show what the running daemon makes of its sources
    Sources(sources::Arguments),

    /// Show what the running daemon publishes and how good it is
    Tracking(tracking::Arguments),

    /// Wait until the running daemon publishes and the clock is right
    Waitsync(waitsync::Arguments),

    /// Print the lines for the configuration of chronyd or ntpd that have it read what webntpd writes
    Setup(setup::Arguments),

    /// Show an NTP shared memory segment without disturbing it, and say what is wrong with it
    Shm(shm::Arguments),

    /// Walk the whole chain, from the configuration to ntpd or chronyd, and say what is wrong and what to do
    Doctor(doctor::Arguments),

    /// Tell what the daemon would have made of a log of measurements, and with another configuration
    Replay(replay::Arguments),

    /// Print what a shell needs to complete the command line of webntp or webntpd
    Completions(completions::Arguments),
}

/// The whole command line, for whoever describes it.
pub(super) fn command() -> clap::Command {
    Arguments::command()
}

/// Runs `webntp` with the process's arguments.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse_from(usual(std::env::args_os()));
    let result = match arguments.command {
        Some(Command::Shm(arguments)) => return shm::run(&arguments),
        Some(Command::Doctor(arguments)) => return doctor::run(&arguments),
        Some(Command::Serve(arguments)) => serve::run(&arguments).map_err(Into::into),
        Some(Command::Completions(arguments)) => completions::run(&arguments).map_err(Into::into),
        Some(Command::Sources(arguments)) => sources::run(&arguments),
        Some(Command::Tracking(arguments)) => tracking::run(&arguments),
        Some(Command::Waitsync(arguments)) => waitsync::run(&arguments),
        Some(Command::Setup(arguments)) => setup::run(&arguments),
        Some(Command::Replay(arguments)) => replay::run(&arguments),
        None => query::run(&arguments.query),
    };
    match result {
        Ok(()) => Exit::Done.into(),
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(misuse) => {
                // Without standard error there is nobody to tell.
                let _ = misuse.print();
                Exit::Misused.into()
            }
            Err(error) => {
                complain(&format!("{error:#}"));
                Exit::Failed.into()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::log::LevelFilter;

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
        assert_eq!(arguments.query.urls, ["http://a/", "ws://b/"]);
        assert!(Arguments::try_parse_from(["webntp"]).is_err());
    }

    #[test]
    fn a_mistyped_command_is_not_taken_for_a_server() {
        let told = |word: &str| {
            let error = Arguments::try_parse_from(["webntp", word]).expect_err("no command");
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        assert!(told("sourcs").contains("is `webntp sources` meant?"));
        assert!(told("example").contains("neither a command nor a URL; see"));
    }

    #[test]
    fn each_server_is_asked_four_times_unless_told_otherwise_and_eight_times_at_the_most() {
        let read = |words: &[&str]| {
            let line = usual(words.iter().map(Into::into));
            Arguments::try_parse_from(line).map(|read| (read.query.samples, read.query.shm))
        };
        assert_eq!(read(&["webntp", "http://a/"]).ok(), Some((4, 0)));
        let both = ["webntp", "-p", "1", "-shm", "2", "http://a/"];
        assert_eq!(read(&both).ok(), Some((1, 2)));
        assert_eq!(read(&["webntp", "http://a/", "-p=8"]).ok(), Some((8, 0)));
        for wrong in ["-p=0", "-p=9", "-p=-1", "-p=x", "-shm=256", "-shm=-1"] {
            assert!(read(&["webntp", wrong, "http://a/"]).is_err(), "{wrong}");
        }
    }
}
