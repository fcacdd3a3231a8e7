//! `webntp doctor`: walks the whole chain, in the order in which the time travels, and says for each link what is right and what
//! to do.
//!
//! ```text
//! configuration ─▶ sources ─▶ daemon ─▶ segment, sockets ─▶ ntpd or chronyd ─▶ its own view
//! ```
//!
//! * here: what is looked at, all at once, and the order in which it is told
//! * `place`: what the configuration points to besides
//! * `configuration`, `source`, `clock`, `daemon`, `segment`, `reader`, `view`: each link, what is seen of it apart from what is made of it
//! * `link`: what was found, for people and for programs
//! * `rights`, `process`, `probe`: what a user may do with a file; which processes run; other programs, asked for a few lines
//!
//! Nothing is written, started or ended, and the segment is not disturbed. Each server is connected to twice and asked once.

mod clock;
mod configuration;
mod daemon;
mod link;
mod place;
mod probe;
mod process;
mod reader;
mod rights;
mod segment;
mod source;
mod view;

use super::socket::{Socket, ask};
use super::{Exit, complain, run_to_end};
use crate::config::{Config, Output, Source};
use crate::engine::time::{Span, Utc};
use crate::net::KnownTime;
use crate::status::control::AskError;
use crate::status::report::{Report, patience};
use crate::sys::clock::system_now;
use crate::sys::shm::{Look, ShmError, Unit, look};
use anyhow::Context;
use clap::Args;
use clock::Sample;
use configuration::{Seen, USER};
use link::{Diagnosis, Link, State};
use probe::Said;
use process::Writers;
use reader::Daemon;
use rights::Person;
use segment::Sock;
use source::{Unfit, Visit};
pub(super) use source::{known_time, reach};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::task::spawn_blocking;

const NOTES: &str = "\
Each link is `ok`, a `note` (it works, or may), a `FAULT`, or `-` where it was not looked at; below it stands what to do. Nothing is \
changed, and each server is asked once. It takes half a minute at the most. What an ordinary user may not see is said; with sudo all \
is seen.

JSON: faults (how many), verdict, links (name, state: ok, note, fault, skipped; text; remedy, or null).

Exit code 0: no fault. 1: there is one, standard output says which; or it could not be told, standard error says why. 2: the command \
line makes no sense.";

/// Of a unit that no configuration names.
const USUAL_UNIT: u8 = 2;

#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(super) struct Arguments {
    #[command(flatten)]
    socket: Socket,

    /// One JSON object
    #[arg(long)]
    json: bool,

    /// Ask no server
    #[arg(long)]
    no_network: bool,
}

/// Looks at everything once.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match try_run(arguments) {
        Ok(true) => Exit::Done.into(),
        Ok(false) => Exit::Failed.into(),
        Err(error) => {
            complain(&format!("{error:#}"));
            Exit::Failed.into()
        }
    }
}

/// Whether there is no fault.
fn try_run(arguments: &Arguments) -> anyhow::Result<bool> {
    let diagnosis = run_to_end(diagnose(arguments))?;
    let text = if arguments.json {
        serde_json::to_string(&diagnosis)?
    } else {
        diagnosis.to_string()
    };
    match writeln!(io::stdout(), "{text}") {
        // Whoever closed the pipe has seen enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            return Err(error).context("cannot write to standard output");
        }
        _ => {}
    }
    Ok(diagnosis.is_well())
}

/// Looks at all links at once, and tells them in their order.
async fn diagnose(arguments: &Arguments) -> anyhow::Result<Diagnosis> {
    let person = Person::named(USER);
    let seen = Seen::look(&arguments.socket.config, person.as_ref());
    let config = seen.config();
    let places = config.map(|config| place::judge(config, person.as_ref()));
    let places = places.unwrap_or_default();
    let socket = arguments.socket.path_in(config);
    let outputs = config.map(Config::outputs);
    let sources = match config {
        Some(config) if !arguments.no_network => config.sources.clone(),
        _ => Vec::new(),
    };
    let known = config.map(known_time).unwrap_or_default();
    let (visits, local) = tokio::try_join!(
        visit_all(sources, &known),
        Local::look(outputs, socket, person)
    )?;

    let mut links = seen.judge();
    links.extend(places);
    links.extend(judge_sources(config, &visits, arguments.no_network));
    let local = local.judge(config, &links);
    links.extend(local);
    Ok(Diagnosis::new(links))
}

type Visited = (Source, Result<Visit, Unfit>);

async fn visit_all(sources: Vec<Source>, known: &KnownTime) -> anyhow::Result<Vec<Visited>> {
    let tasks: Vec<_> = sources
        .into_iter()
        .map(|source| {
            let visit = source::visit(source.clone(), known.clone());
            (source, tokio::spawn(visit))
        })
        .collect();
    let mut visits = Vec::new();
    for (source, task) in tasks {
        visits.push((source, task.await?));
    }
    Ok(visits)
}

fn judge_sources(config: Option<&Config>, visits: &[Visited], no_network: bool) -> Vec<Link> {
    let answers: Vec<(&str, Sample)> = visits
        .iter()
        .filter_map(|(source, visit)| Some((source.name.as_str(), visit.as_ref().ok()?.sample()?)))
        .collect();
    let samples: Vec<Sample> = answers.iter().map(|(_, sample)| *sample).collect();
    let wrong = clock::wrong(system_now(), &samples);
    let heard: Vec<&str> = answers.iter().map(|(name, _)| *name).collect();
    let operators = |config| clock::operators(config, (!no_network).then_some(&heard));
    let does_without = config.is_some_and(|config| operators(config).state != State::Fault);
    let weigh = |link: Link| if does_without { link.minor() } else { link };
    let mut links = vec![clock::judge(wrong.as_ref(), &samples)];
    for (source, visit) in visits {
        match visit {
            Ok(visit) => {
                links.extend(visit.judge(source, wrong.as_ref()).into_iter().map(weigh));
            }
            Err(why) => links.push(weigh(
                Link::fault(format!("name of {}", source.name), why)
                    .remedy("correct `url`, or let this user read what `ca-file` names"),
            )),
        }
    }
    match config {
        None => links.push(Link::skipped(
            "sources",
            "there is no configuration that names them",
        )),
        Some(config) if !config.sources.is_empty() => {
            if no_network {
                links.push(Link::skipped("sources", "as --no-network says"));
            }
            links.push(operators(config));
        }
        Some(_) => {}
    }
    // Where two contradict each other nobody has a majority.
    let contradictions = clock::agreement(&answers);
    let is_outvoted = 2 * contradictions.len() < answers.len();
    links.extend(
        contradictions
            .into_iter()
            .map(|link| if is_outvoted { weigh(link) } else { link }),
    );
    links
}

/// What was seen on this machine.
struct Local {
    systemd: Option<daemon::Unit>,
    asked: Result<Report, AskError>,
    /// Where samples go, by the configuration; without one, by the daemon.
    outputs: Vec<Output>,
    socks: Vec<Sock>,
    /// None if no segment is written.
    look: Option<Result<Look, ShmError>>,
    /// The system clock just after the look.
    looked: Utc,
    daemons: Vec<Daemon>,
    writers: Writers,
    views: Vec<Option<Said>>,
}

impl Local {
    /// Asks all at once: each may hang for some seconds.
    async fn look(
        configured: Option<Vec<Output>>,
        socket: PathBuf,
        person: Option<Person>,
    ) -> anyhow::Result<Self> {
        let (asked, systemd, (daemons, views)) = tokio::try_join!(
            async { Ok(ask(&socket).await.map(|(report, _)| report)) },
            spawn_blocking(systemd),
            spawn_blocking(|| {
                let daemons = reader::running();
                let views = daemons.iter().map(|daemon| view::look(daemon.kind));
                let views = views.collect();
                (daemons, views)
            }),
        )?;
        let outputs = configured.unwrap_or_else(|| outputs_of(asked.as_ref().ok()));
        let socks = outputs.iter().filter_map(Output::path);
        Ok(Self {
            systemd,
            socks: socks
                .map(|path| Sock::look(path, person.as_ref()))
                .collect(),
            writers: Writers::look(asked.as_ref().ok().map(|report| report.pid)),
            asked,
            daemons,
            views,
            look: outputs.iter().find_map(Output::unit).map(Unit).map(look),
            looked: system_now(),
            outputs,
        })
    }

    /// `above`: what was told of the sources.
    fn judge(&self, config: Option<&Config>, above: &[Link]) -> Vec<Link> {
        let mut links = Vec::new();
        match &self.systemd {
            Some(unit) => links.push(unit.judge(self.asked.is_ok())),
            None => links.push(Link::skipped("systemd unit", "systemd does not run here")),
        }
        links.extend(daemon::judge(&self.asked, config, above, &self.writers));
        let quiet = config.map_or(Span::ZERO, |config| patience(config.cycle));
        match &self.look {
            Some(Ok(look)) => {
                let quiet = quiet.max(crate::status::segment::QUIET);
                if let Some(pid) = self.writers.out_of_sight() {
                    let text = format!(
                        "webntpd (process {pid}) runs in another IPC namespace than this program, which sees another segment than it"
                    );
                    let remedy = format!("nsenter -t {pid} -i webntp doctor sees the same");
                    links.push(Link::note("segment", text).remedy(remedy));
                }
                links.extend(segment::judge(look, self.looked, quiet, self.known()));
            }
            Some(Err(error)) => {
                links.push(Link::note("segment", error.to_string()).remedy("run this with sudo"));
            }
            None => links.push(Link::skipped("segment", "the configuration has none")),
        }
        links.extend(self.socks.iter().map(Sock::judge));
        let outputs = &self.outputs;
        let found = self
            .look
            .as_ref()
            .and_then(|look| look.as_ref().ok()?.found);
        let has_reader = found.is_some_and(|found| found.attached > self.writing());
        let writers = &self.writers;
        links.extend(reader::judge(&self.daemons, outputs, has_reader, writers));
        for (daemon, said) in self.daemons.iter().zip(&self.views) {
            if let Some(said) = said {
                links.push(view::judge(
                    daemon.kind,
                    said,
                    daemon.clock(outputs),
                    outputs,
                ));
            }
        }
        links
    }
}

impl Local {
    /// What else is known of the segment.
    fn known(&self) -> segment::Known {
        let is_blind = |daemon: &Daemon| reader::is_blind(daemon, &self.outputs, &self.writers);
        let is_seen = self.writers.out_of_sight().is_none();
        segment::Known {
            is_written: is_seen && self.asked.as_ref().is_ok_and(Report::is_publishing),
            is_out_of_sight: self.daemons.iter().any(is_blind),
        }
    }

    /// How many may have the segment and only write to it.
    fn writing(&self) -> u64 {
        let is_shared = self.asked.as_ref().is_ok_and(daemon::has_rival);
        if is_shared {
            self.writers.pids.len().max(2) as u64
        } else {
            1
        }
    }
}

/// Where samples go, by the daemon's own report; without one, where they usually go.
fn outputs_of(report: Option<&Report>) -> Vec<Output> {
    let told = report.iter().flat_map(|report| &report.outputs);
    let outputs: Vec<Output> = told.filter_map(|output| output.place()).collect();
    if outputs.is_empty() {
        vec![Output::of_unit(USUAL_UNIT)]
    } else {
        outputs
    }
}

/// What systemd says of our unit, where it runs.
fn systemd() -> Option<daemon::Unit> {
    Path::new("/run/systemd/system").exists().then_some(())?;
    let word = |verb| match probe::ask("systemctl", &[verb, "webntpd.service"]) {
        Said::Lines(lines) => lines.lines().next().map(|line| line.trim().to_owned()),
        Said::Missing | Said::Nothing(_) => None,
    };
    let enabled = word("is-enabled")?;
    let is_missing = enabled.contains("No such file") || enabled.is_empty();
    Some(daemon::Unit {
        enabled: if is_missing {
            "not-found".to_owned()
        } else {
            enabled
        },
        active: word("is-active")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_configuration_the_daemon_tells_where_samples_go_and_without_it_it_is_unit_2() {
        let output =
            |kind: &str, unit: Option<u8>, path: Option<&str>| crate::status::report::Output {
                kind: kind.into(),
                unit,
                path: path.map(str::to_owned),
                ..Default::default()
            };
        let report = Report {
            outputs: vec![
                output("shm", Some(7), None),
                output("sock", None, Some("/run/a(b).sock")),
                output("odd", Some(8), None),
            ],
            ..Report::default()
        };
        let told = [Output::of_unit(7), Output::of_path("/run/a(b).sock")];
        assert_eq!(outputs_of(Some(&report)), told);
        assert_eq!(outputs_of(None), [Output::of_unit(2)]);
    }
}
