//! `webntp shm [UNIT]`: shows a segment without disturbing it, and says what is wrong with it.
//!
//! In: a unit, or all. Out: the segment and what was found, for people or as JSON, on standard output. Exit code 0: nothing is wrong;
//! 1: something is, or it could not be looked at; 2 (by clap): the command line makes no sense.

mod watch;

use super::socket::ask;
use super::{Exit, complain, run_to_end};
use crate::config::{self, Config, Control, Output};
use crate::engine::time::Span;
use crate::status::report::Report;
use crate::status::segment::{self, Account, LookObject};
use crate::sys::clock::system_now;
use crate::sys::shm::{Found, Look, Unit, look, units};
use anyhow::Context;
use clap::Args;
use nix::unistd::{Uid, User};
use serde::Serialize;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const NOTES: &str = "\
Nothing is written or removed, and the segment is attached only while it is copied.

JSON: unit, key, segment (id, owner, owner_name, creator, creator_pid, permissions, size, attached, removed, \
last_attach_ns, last_detach_ns, reading, sample), orphans (id, attached), well, findings (name, fault, text). A sample: \
offset_ns (positive: the system clock is behind), clock_ns, receive_ns, age_ns, leap, precision (log2 of seconds), count, \
mode, nsamples, valid. With --watch: event (segment, none, sample), fate of a sample (taken, replaced, waiting).

Exit code 0: nothing is wrong. 1: something is, standard output says what; or the segment could not be looked at, \
standard error says why. 2: the command line makes no sense. With --watch, 0 whenever it was ended.";

/// Of a unit that the configuration does not name.
const USUAL_UNIT: Unit = Unit(2);

/// A writer that misses this many of its cycles is silent.
const CYCLES: i64 = 4;

#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct Arguments {
    /// Which segment, 0 to 255: ntpd's 127.127.28.UNIT, chrony's `refclock SHM UNIT` [default: that of the configuration, else 2]
    #[arg(value_name = "UNIT")]
    unit: Option<u8>,

    /// All segments of this machine that have a unit, one a line, and what is wrong with each
    #[arg(long, conflicts_with_all = ["unit", "watch"])]
    all: bool,

    /// Tell each new sample in a line, and whether it was taken, until a signal ends it
    #[arg(long)]
    watch: bool,

    /// One JSON object for each segment, with --watch for each event; times in nanoseconds
    #[arg(long)]
    json: bool,

    /// The configuration of webntpd that names the unit; one that cannot be read does not matter
    #[arg(long, value_name = "FILE", default_value = super::daemon::DEFAULT_CONFIG)]
    config: PathBuf,
}

/// Looks once, or until it is ended.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match try_run(arguments) {
        Ok(true) => Exit::Done.into(),
        Ok(false) => Exit::Failed.into(),
        // Whoever closed the pipe has seen enough.
        Err(error) if is_closed_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            complain(&format!("{error:#}"));
            Exit::Failed.into()
        }
    }
}

/// Whether nothing is wrong.
fn try_run(arguments: &Arguments) -> anyhow::Result<bool> {
    let (unit, quiet) = expected(arguments)?;
    if arguments.watch {
        run_to_end(watch::run(unit, arguments.json))?;
        Ok(true)
    } else if arguments.all {
        all(quiet, arguments.json)
    } else {
        one(unit, quiet, arguments.json)
    }
}

/// The unit to look at, and after how long its writer is silent.
fn expected(arguments: &Arguments) -> anyhow::Result<(Unit, Span)> {
    let path = arguments.config.as_path();
    let named = arguments.unit.map(Unit);
    match config::load(path) {
        Ok(Config { shm, cycle, .. }) => Ok((named.unwrap_or(Unit(shm.unit)), quiet(cycle))),
        // As the package sets it: for root and the daemon, which tells everybody.
        Err(_) if is_closed(path) => {
            let asked = run_to_end(async { Ok(ask(&Control::default().path).await) })?;
            let told = asked.ok().and_then(|(report, _)| told(&report));
            if told.is_none() && named.is_none() && !arguments.all {
                complain(&assumption(path));
            }
            let (unit, quiet) = told.unwrap_or((USUAL_UNIT, segment::QUIET));
            Ok((named.unwrap_or(unit), quiet))
        }
        Err(_) => Ok((named.unwrap_or(USUAL_UNIT), segment::QUIET)),
    }
}

fn quiet(cycle: Span) -> Span {
    cycle.times(CYCLES).max(segment::QUIET)
}

/// Whether it is only this user who may not read it.
fn is_closed(path: &Path) -> bool {
    File::open(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// What the daemon says of its unit, and after how long it is silent.
fn told(report: &Report) -> Option<(Unit, Span)> {
    let places = report.outputs.iter().filter_map(|output| output.place());
    let unit = places.into_iter().find_map(|place| Output::unit(&place))?;
    Some((Unit(unit), quiet(Span::from_nanos(report.cycle_ns))))
}

fn assumption(path: &Path) -> String {
    format!(
        "this user may not read {}, and no webntpd tells its unit: {USUAL_UNIT} is assumed; try with sudo, or name the unit",
        path.display()
    )
}

fn one(unit: Unit, quiet: Span, json: bool) -> anyhow::Result<bool> {
    let look = look(unit)?;
    with_account(&look, quiet, |account| {
        if json {
            print_json(&LookObject::new(account))?;
        } else {
            put(account)?;
        }
        Ok(account.is_well())
    })
}

fn all(quiet: Span, json: bool) -> anyhow::Result<bool> {
    let looks: Vec<Look> = units().into_iter().map(look).collect::<Result<_, _>>()?;
    let mut faults = Vec::new();
    let mut is_well = true;
    if !json && !looks.is_empty() {
        print(Account::HEADING)?;
    }
    for look in &looks {
        with_account(look, quiet, |account| {
            is_well &= account.is_well();
            if json {
                return print_json(&LookObject::new(account));
            }
            let wrong = account.findings.iter().filter(|finding| finding.is_fault());
            faults.extend(wrong.map(|finding| format!("wrong: unit {}: {finding}", look.unit)));
            print(account.row())
        })?;
    }
    for fault in faults {
        print(fault)?;
    }
    if !json && looks.is_empty() {
        print("wrong: no daemon has made a segment: is webntpd or ntpd running?")?;
    }
    Ok(is_well && !looks.is_empty())
}

fn with_account<T>(look: &Look, quiet: Span, act: impl FnOnce(&Account<'_>) -> T) -> T {
    let now = system_now();
    let findings = segment::judge(look, now, quiet);
    let owner = look.found.as_ref().and_then(owner_name);
    act(&Account {
        look,
        owner: owner.as_deref(),
        now,
        findings: &findings,
    })
}

fn owner_name(found: &Found) -> Option<String> {
    let user = User::from_uid(Uid::from_raw(found.facts.owner));
    // Without a list of users nobody has a name.
    user.ok().flatten().map(|user| user.name)
}

/// Writes a line at once: who reads a pipe wants to see it now.
fn print(line: impl Display) -> anyhow::Result<()> {
    put(format_args!("{line}\n"))
}

/// Writes a JSON object as a line.
fn print_json(object: &impl Serialize) -> anyhow::Result<()> {
    print(serde_json::to_string(object)?)
}

fn put(text: impl Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::rig;

    #[test]
    fn the_daemon_tells_the_unit_that_the_configuration_keeps_to_itself() {
        let status = rig::status();
        let mut report = Report::new(&status, status.clock.raw);
        report.outputs[0].unit = Some(7);
        report.cycle_ns = Span::from_secs(64).as_nanos();
        assert_eq!(told(&report), Some((Unit(7), Span::from_secs(256))));
        report.outputs.clear();
        assert_eq!(told(&report), None);
    }

    #[test]
    fn a_unit_that_is_only_assumed_is_said_to_be() {
        let said = assumption(Path::new("/etc/webntpd.toml"));
        assert!(
            said.contains("/etc/webntpd.toml") && said.contains(": 2 is assumed"),
            "{said}"
        );
    }
}
