//! `webntp completions`: what a shell needs to complete the command lines of both programs.
//!
//! In: the shell and the program. Out: a script on standard output. Not: nothing is installed; options in go-webntp's way of writing
//! are taken, but not proposed.

use super::{daemon, tool};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Command};
use clap_complete::{Shell, generate};
use std::io::{self, Write as _};

/// The programs of this package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Webntp,
    Webntpd,
}

impl Program {
    const NAMES: [&str; 2] = ["webntp", "webntpd"];

    fn of(name: &str) -> Self {
        match name {
            "webntpd" => Self::Webntpd,
            _ => Self::Webntp,
        }
    }

    fn command(self) -> Command {
        match self {
            Self::Webntp => tool::command(),
            Self::Webntpd => daemon::command(),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_parser = shell())]
    shell: Shell,

    /// The program whose command line is to be completed
    #[arg(
        long = "for",
        value_name = "PROGRAM",
        default_value = Program::NAMES[0],
        value_parser = PossibleValuesParser::new(Program::NAMES).map(|name| Program::of(&name))
    )]
    program: Program,
}

/// Those that we try; clap_complete knows more.
fn shell() -> impl TypedValueParser<Value = Shell> {
    PossibleValuesParser::new(["bash", "zsh", "fish"]).map(|name| match name.as_str() {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    })
}

/// Prints the script.
pub(super) fn run(arguments: &Arguments) -> io::Result<()> {
    let mut command = arguments.program.command();
    let name = command.get_name().to_owned();
    // `generate` panics when its reader has gone.
    let mut script = Vec::new();
    generate(arguments.shell, &mut command, name, &mut script);
    io::stdout().write_all(&script)
}
