//! The user's tool: see [`webntpd::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    webntpd::cli::run(std::env::args_os())
}
