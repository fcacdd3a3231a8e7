//! `webntp tracking`: what the running daemon publishes and how good it is, as `chronyc tracking` shows it.

use super::watch;
use crate::status::report::Report;
use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = watch::NOTES)]
pub(super) struct Arguments {
    #[command(flatten)]
    options: watch::Options,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    watch::show(&arguments.options, Report::tracking_text)
}
