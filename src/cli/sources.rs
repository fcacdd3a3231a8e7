//! `webntp sources`: what the running daemon makes of its sources, as `chronyc sources` shows them.

use super::watch;
use crate::status::report::Report;
use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = watch::NOTES)]
pub(super) struct Arguments {
    /// Explain the columns, and tell of each source its URL, protocol and operator, its samples and misses and whose
    /// fault those were, how often it was a falseticker, stepped or was started anew, and what it says of the raw
    /// clock
    #[arg(short, long)]
    verbose: bool,

    #[command(flatten)]
    options: watch::Options,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let text = if arguments.verbose {
        Report::long_table
    } else {
        Report::table
    };
    watch::show(&arguments.options, text)
}
