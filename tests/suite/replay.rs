//! What the real daemon records, and what `webntp replay` makes of it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use ::webntpd::status::report::Report;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::fake::{FakeUpstream, OsClock, Setup};
use crate::host::process::Process;
use crate::host::{deadline, sandbox, webntpd};

const LIMIT: Duration = Duration::from_secs(60);
const DIR: &str = "/run/webntpd";
const LOG: &str = "/run/webntpd/measurements.jsonl";
const OLD: &str = "/run/webntpd/measurements.jsonl.1";

/// How many decisions are compared at the least.
const ENOUGH: usize = 20;

fn fake_ahead_by(offset_ns: i64) -> FakeUpstream<OsClock> {
    FakeUpstream::start(Setup::with_clock(OsClock { offset_ns }))
}

fn configuration(sources: &[(&str, &str, &str)]) -> String {
    let mut text =
        format!("cycle = \"1s\"\n[shm]\nunit = 2\n[log]\nmeasurements = \"{LOG}\"\n");
    for (name, url, more) in sources {
        write!(
            text,
            "[[source]]\nname = \"{name}\"\noperator = \"{name}\"\nurl = \"{url}\"\n{more}\n"
        )
        .expect("a string takes all");
    }
    text
}

fn replay(arguments: &[&str]) -> Output {
    let mut command = webntpd::tool();
    command.arg("replay").args(arguments);
    command.output().expect("the program starts")
}

/// What is printed, when nothing is wrong.
fn printed(arguments: &[&str]) -> String {
    let output = replay(arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).expect("JSON is UTF-8")
}

fn objects(text: &str) -> Vec<Value> {
    let lines = text.lines().map(serde_json::from_str);
    lines.map(|line| line.expect("JSON")).collect()
}

/// The ends of cycles that the daemon itself tells of, as long as it runs or until there are this many with a decision.
fn watched(daemon: &mut Process, mut at: impl FnMut(&mut Process, usize)) -> Vec<Value> {
    let mut seen: Vec<Value> = Vec::new();
    deadline::poll(LIMIT, || {
        let output = webntpd::tool()
            .args(["tracking", "--json"])
            .output()
            .expect("the program starts");
        if let Ok(report) = serde_json::from_slice::<Value>(&output.stdout)
            && report["state"] == "publishing"
            && seen.last().is_none_or(|last| last["cycle_ended"] != report["cycle_ended"])
        {
            seen.push(report);
            at(daemon, seen.len());
        }
        (seen.len() >= ENOUGH).then_some(())
    })
    .expect("it publishes");
    seen
}
