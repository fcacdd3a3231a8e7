//! The daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    webntpd::cli::daemon::main()
}
