//! The user's tool.

use std::process::ExitCode;

fn main() -> ExitCode {
    webntpd::cli::tool::main()
}
