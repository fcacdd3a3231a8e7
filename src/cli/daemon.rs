//! The command line of `webntpd`.

use super::{Exit, LogArguments, demo, places, protocols, run_to_end};
use crate::app::{self, Live};
use crate::config::{Config, Level};
use crate::status::words::count;
use crate::supervisor::{Command, Supervisor};
use crate::sys::clock::{SystemClocks, system_now};
use crate::sys::log::LevelFilter;
use crate::sys::signals::{Signal, Signals};
use anyhow::Context;
use clap::{CommandFactory, Parser};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::sync::mpsc;
use tracing::{error, info};

pub(super) const DEFAULT_CONFIG: &str = "/etc/webntpd.toml";

/// Feed ntpd or chronyd with time from the web
///
/// webntpd measures time from servers on the web, over HTTP and WebSocket, and hands it on through NTP shared memory or
/// chronyd's socket. It never sets the clock itself.
#[derive(Parser)]
#[command(name = "webntpd", version, about, max_term_width = 100)]
struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,

    /// Check the configuration and exit: 0 if it is good, 78 if not. Say what is wrong with the files and directories that it
    /// names. Of each source that names no protocol, ask its server and say what it speaks
    #[arg(long)]
    check: bool,

    /// Show the whole chain at work, with servers of its own on this machine, one of them wrong by a second
    #[arg(long, conflicts_with_all = ["config", "check"])]
    demo: bool,

    #[command(flatten)]
    log: LogArguments,
}

/// The whole command line, for whoever describes it.
pub(super) fn command() -> clap::Command {
    Arguments::command()
}

/// Runs `webntpd` with the process's arguments.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.check {
        return check(&arguments.config);
    }
    let result = if arguments.demo {
        arguments.log.init();
        demo::run()
    } else {
        let config = match load(&arguments.config) {
            Ok(config) => config,
            Err(code) => return code,
        };
        arguments.log.init_or(log_level(config.log.level));
        run(config, &arguments.config)
    };
    match result {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            error!("{error:#}");
            Exit::Failed.into()
        }
    }
}

fn check(path: &Path) -> ExitCode {
    match load(path) {
        Ok(config) => {
            // Whoever closed the pipe does not want to know.
            let _ = writeln!(
                std::io::stdout(),
                "{}: good, {}",
                path.display(),
                inventory(&config)
            );
            tell_places(&config);
            tell_protocols(&config);
            Exit::Done.into()
        }
        Err(code) => code,
    }
}

/// Tells what is wrong with what the configuration points to. The daemon runs without, and it may be put right at any time.
fn tell_places(config: &Config) {
    for place in places::look(config, system_now()) {
        if place.is_named && place.remedy.is_some() {
            let _ = writeln!(std::io::stdout(), "{place}");
        }
    }
}

/// Tells what the sources speak that do not say so. A server that cannot be asked now is no fault of the configuration.
fn tell_protocols(config: &Config) {
    if protocols::are_named(config) {
        return;
    }
    match run_to_end(async { Ok(protocols::found(config).await) }) {
        Ok(lines) => {
            for line in lines {
                let _ = writeln!(std::io::stdout(), "{line}");
            }
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error:#}");
        }
    }
}

/// Reads the configuration; all that is wrong with it goes to standard error.
fn load(path: &Path) -> Result<Config, ExitCode> {
    app::load(path).map_err(|problems| {
        let _ = writeln!(std::io::stderr(), "{problems}");
        Exit::Misconfigured.into()
    })
}

fn run(config: Config, file: &Path) -> anyhow::Result<()> {
    run_to_end(async {
        let mut signals = Signals::new(&Signal::ALL).context("cannot catch signals")?;
        signals
            .end_at_the_second()
            .context("cannot catch signals")?;
        let (sources, outputs) = (inventory(&config), destinations(&config));
        let supervisor = Supervisor::start(config, Live::new(Some(file)), Box::new(SystemClocks))?;
        let version = env!("CARGO_PKG_VERSION");
        info!(
            "webntpd {version} started with {}: {sources}, to {outputs}",
            file.display()
        );
        supervisor.run(commands(signals, Command::Reload)).await;
        info!("stopped");
        Ok(())
    })
}

fn log_level(level: Level) -> LevelFilter {
    match level {
        Level::Off => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

/// How many sources there are, and how many votes they have together.
fn inventory(config: &Config) -> String {
    let voters = config.sources.iter().filter(|source| !source.noselect);
    let operators = voters.map(|source| source.operator.as_str());
    let operators: BTreeSet<&str> = operators.collect();
    format!(
        "{}, {}",
        count(config.sources.len() as u64, "source"),
        count(operators.len() as u64, "vote")
    )
}

/// `SHM(2) and SOCK(/run/chrony.webntpd.sock)`
fn destinations(config: &Config) -> String {
    let names: Vec<String> = config.outputs().iter().map(ToString::to_string).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// What signals ask the supervisor to do; SIGHUP means different things to a daemon and to a program at a terminal.
pub(super) fn commands(mut signals: Signals, hangup: Command) -> mpsc::Receiver<Command> {
    let (sender, commands) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let command = match signals.next().await {
                Signal::Hangup => hangup,
                signal => {
                    info!("stopping: {signal}");
                    Command::Stop
                }
            };
            if sender.send(command).await.is_err() {
                return;
            }
        }
    });
    commands
}
