//! The command line of `webntpd`.

use super::{LogArguments, demo, runtime};
use crate::app::Daemon;
use crate::config::{self, Config, Level, Shm};
use crate::output::{ShmSink, Sink};
use crate::sys::log::LevelFilter;
use crate::sys::shm::{Policy, Unit};
use crate::sys::signals::{Signal, Signals};
use anyhow::Context;
use clap::Parser;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing::{error, info, warn};

/// The configuration must be mended before another start is worth while (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;

const DEFAULT_CONFIG: &str = "/etc/webntpd.toml";

/// Feed ntpd or chronyd with time from the web
///
/// webntpd measures time from WebNTP servers over HTTP and WebSocket and writes it into NTP shared memory. It never sets the
/// clock itself.
#[derive(Parser)]
#[command(name = "webntpd", version, about, max_term_width = 100)]
struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,

    /// Check the configuration and exit: 0 if it is good, 78 if not
    #[arg(long)]
    check: bool,

    /// Show the whole chain at work, with servers of its own on this machine, one of them wrong by a second
    #[arg(long, conflicts_with_all = ["config", "check"])]
    demo: bool,

    #[command(flatten)]
    log: LogArguments,
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
        run(&config)
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(path: &Path) -> ExitCode {
    match load(path) {
        Ok(config) => {
            let sources = config.sources.len();
            let plural = if sources == 1 { "" } else { "s" };
            // Whoever closed the pipe does not want to know.
            let _ = writeln!(
                std::io::stdout(),
                "{}: good, {sources} source{plural}",
                path.display()
            );
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

/// Reads the configuration; all that is wrong with it goes to standard error.
fn load(path: &Path) -> Result<Config, ExitCode> {
    let problems = match config::load(path) {
        Ok(config) if !config.sources.is_empty() => return Ok(config),
        Ok(_) => format!(
            "{}: no [[source]] is configured; add at least one, with its name and url",
            path.display()
        ),
        Err(problems) => problems.to_string(),
    };
    let _ = writeln!(std::io::stderr(), "{}", problems.trim_end());
    Err(ExitCode::from(EXIT_CONFIG))
}

fn run(config: &Config) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let mut signals = Signals::new(&[Signal::Interrupt, Signal::Terminate, Signal::Hangup])
            .context("cannot catch signals")?;
        let mut shm = ShmSink::new(Unit(config.shm.unit), shm_policy(&config.shm));
        if let Err(error) = shm.attach() {
            warn!("{error}; trying again each cycle");
        }
        let outputs: Vec<Box<dyn Sink>> = vec![Box::new(shm)];
        let daemon = Daemon::build(config, outputs)?;
        info!(
            "webntpd {} started, sources: {}",
            env!("CARGO_PKG_VERSION"),
            names(config)
        );
        daemon.run(stopped(&mut signals)).await?;
        info!("stopped");
        Ok(())
    })
}

fn shm_policy(shm: &Shm) -> Policy {
    Policy {
        mode: shm.mode,
        owner_check: shm.owner_check,
    }
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

fn names(config: &Config) -> String {
    let names: Vec<&str> = config
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    names.join(", ")
}

/// Done when somebody asks the daemon to stop.
pub(super) async fn stopped(signals: &mut Signals) {
    loop {
        match signals.next().await {
            Signal::Interrupt => return info!("stopping: SIGINT"),
            Signal::Terminate => return info!("stopping: SIGTERM"),
            Signal::Hangup => warn!(
                "SIGHUP: the configuration is read at start only; restart to have it read again"
            ),
        }
    }
}
