//! `webntp shm [UNIT]`: shows a segment without disturbing it, and says what is wrong with it.
//!
//! In: a unit, or all. Out: the segment and what was found, for people or as JSON, on standard output. Exit code 0: nothing is wrong;
//! 1: something is, or it could not be looked at; 2 (by clap): the command line makes no sense.

mod watch;

use super::{Exit, complain, run_to_end};
use crate::config::{self, Config};
use crate::engine::time::Span;
use crate::status::segment::{self, Account, LookObject};
use crate::sys::clock::system_now;
use crate::sys::shm::{Found, Look, Unit, look, units};
use anyhow::Context;
use clap::Args;
use jiff::tz::TimeZone;
use nix::unistd::{Uid, User};
use serde::Serialize;
use std::fmt::Display;
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
    let (unit, quiet) = expected(&arguments.config);
    let unit = arguments.unit.map_or(unit, Unit);
    if arguments.watch {
        run_to_end(watch::run(unit, arguments.json))?;
        Ok(true)
    } else if arguments.all {
        all(quiet, arguments.json)
    } else {
        one(unit, quiet, arguments.json)
    }
}

/// The unit that webntpd writes, and after how long it is silent.
fn expected(path: &Path) -> (Unit, Span) {
    match config::load(path) {
        Ok(Config { shm, cycle, .. }) => (Unit(shm.unit), cycle.times(CYCLES).max(segment::QUIET)),
        Err(_) => (USUAL_UNIT, segment::QUIET),
    }
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
        zone: &TimeZone::system(),
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
