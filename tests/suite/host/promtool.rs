//! promtool, which says whether metrics and rules are what Prometheus takes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::daemon;

/// A file of the repository's `packaging/monitoring/`.
pub(crate) fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging/monitoring")
        .join(name)
}

/// What it finds wrong with metrics in the text format, style included; nothing, if they are well. Inside a sandbox only.
pub(crate) fn complaints(metrics: &str) -> String {
    let path = "/run/metrics.txt";
    fs::write(path, metrics).expect("the sandbox has a /run of its own");
    let input = File::open(path).expect("it is written");
    run(daemon("promtool").args(["check", "metrics"]).stdin(input)).unwrap_or_else(|said| said)
}

/// Runs it on files of `packaging/monitoring/`: what it says, which is an error if it is not content.
pub(crate) fn judge(arguments: &[&str], file: &str) -> Result<String, String> {
    let mut command = daemon("promtool");
    run(command.args(arguments).arg(shipped(file)))
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().expect("tests/run has seen that it starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(format!("{said}{}", output.status)),
    }
}
