//! The world that the daemon runs in: servers on the network, outputs of this machine, a configuration in a file.

use crate::config::{self, Config, Control, Leap, Metrics, Output, Source, State};
use crate::engine::time::Utc;
use crate::leap_seconds::{Keeper, Place, Web};
use crate::net::{Deadlines, KnownTime, Target, Tls};
use crate::output::{ShmSink, Sink, SinkError, SockSink};
use crate::poller::{Ask, Finder, Upstream, UpstreamSettings};
use crate::protocol::leap_seconds::LeapSeconds;
use crate::status::Status;
use crate::status::control::{BindError, ControlSocket};
use crate::status::metrics::MetricsServer;
use crate::supervisor::World;
use crate::sys::shm::{Policy, Unit};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tracing::{info, warn};

/// The real world.
pub struct Live {
    /// Where the configuration came from, if from a file.
    file: Option<PathBuf>,
    tls: Arc<Tls>,
    known_time: KnownTime,
    control: Option<(Control, ControlSocket)>,
    metrics: Option<(Metrics, MetricsServer)>,
    leap_seconds: Option<LeapSecondsKept>,
}

/// Leap seconds, and the task that keeps them up to date.
struct LeapSecondsKept {
    /// As the configuration has them.
    wanted: (Leap, State),
    told: watch::Receiver<Arc<LeapSeconds>>,
    again: Arc<Notify>,
    task: AbortHandle,
}

/// The list of leap seconds that was fetched, in the state directory.
const KEPT_LIST: &str = "leap-seconds.list";

impl Live {
    /// A world whose configuration is read again from `file`, if there is one.
    pub fn new(file: Option<&Path>) -> Self {
        let known_time = KnownTime::default();
        Self {
            file: file.map(Path::to_owned),
            tls: Arc::new(Tls::new(Vec::new()).with_known_time(known_time.clone())),
            known_time,
            control: None,
            metrics: None,
            leap_seconds: None,
        }
    }
}

impl World for Live {
    fn server(&mut self, source: &Source) -> anyhow::Result<Box<dyn Ask>> {
        let target =
            Target::new(source.url.clone()).with_context(|| format!("source {}", source.name))?;
        let tls = self
            .tls(source)
            .with_context(|| format!("source {}", source.name))?;
        let target = target.with_address_family(source.address_family);
        let settings = UpstreamSettings {
            kind: source.protocol.unwrap_or_default(),
            rounding: source.rounding,
            offset: source.offset,
            deadlines: Deadlines::each(source.timeout),
        };
        Ok(match source.protocol {
            Some(_) => Box::new(Upstream::new(target, tls, settings)),
            None => Box::new(Finder::new(target, tls, settings)),
        })
    }

    fn output(&mut self, output: &Output) -> (Box<dyn Sink>, Result<(), SinkError>) {
        match output {
            Output::Shm(shm) => {
                let policy = Policy {
                    mode: shm.mode,
                    owner_check: shm.owner_check,
                };
                let mut sink = ShmSink::new(Unit(shm.unit), policy);
                let attached = sink.attach().map_err(SinkError::from);
                (Box::new(sink), attached)
            }
            Output::Sock(sock) => {
                let sink = SockSink::new(sock.path.clone());
                let probed = sink.probe().map(drop).map_err(SinkError::from);
                (Box::new(sink), probed)
            }
        }
    }

    fn listen(&mut self, config: &Config, status: watch::Receiver<Status>) -> anyhow::Result<()> {
        // First what can fail.
        self.serve_metrics(config.metrics.as_ref(), &status)?;
        self.listen_for_control(config.control.as_ref(), status);
        Ok(())
    }

    fn reload(&mut self) -> Result<Config, String> {
        match &self.file {
            Some(file) => load(file),
            None => Err("there is no configuration file".into()),
        }
    }

    fn leap_seconds(&mut self, config: &Config) -> Option<watch::Receiver<Arc<LeapSeconds>>> {
        let wanted = (config.leap.clone(), config.state.clone());
        if let Some(kept) = self.leap_seconds.as_ref()
            && kept.wanted == wanted
        {
            kept.again.notify_one();
            return Some(kept.told.clone());
        }
        let keeper = self.keeper(config);
        let (told, again) = (keeper.told(), keeper.again());
        // It does not end by itself: a panic within is its own affair.
        let task = tokio::spawn(async { match keeper.run().await {} }).abort_handle();
        let kept = LeapSecondsKept {
            wanted,
            told: told.clone(),
            again,
            task,
        };
        if let Some(before) = self.leap_seconds.replace(kept) {
            before.task.abort();
        }
        Some(told)
    }

    fn time_has_come(&mut self, time: Utc) {
        self.known_time.learn(time);
    }
}

impl Live {
    /// Opens the control socket where `config` has it, or says why that cannot be, which is no reason to keep the time to ourselves;
    /// then it stays where it is.
    fn listen_for_control(&mut self, config: Option<&Control>, status: watch::Receiver<Status>) {
        if self.control.as_ref().map(|(config, _)| config) == config {
            return;
        }
        let Some(config) = config else {
            self.control = None;
            return;
        };
        let before = self.control.as_ref();
        let socket = before.map(|(_, socket)| socket);
        match (
            ControlSocket::start(&config.path, config.mode, socket, status),
            before,
        ) {
            (Ok(socket), _) => self.control = Some((config.clone(), socket)),
            (Err(why), Some((before, _))) => {
                warn!("{why}; the one at {} stays", before.path.display());
            }
            (Err(why @ BindError::NoDirectory(_)), None) => info!("{why}"),
            (Err(why), None) => warn!("{why}"),
        }
    }

    /// Keeps leap seconds as `config` has them. What is wrong with that costs nothing else.
    fn keeper(&self, config: &Config) -> Keeper {
        let list = match &config.leap.list {
            Some(path) => Place::named(path.clone()),
            None => Place::usual(Leap::USUAL_LIST.into()),
        };
        let url = config.leap.url.as_ref();
        let web = url.and_then(|url| {
            let web = Web::new(url.as_str(), &self.tls);
            web.inspect_err(|error| warn!("[leap] url: {error}")).ok()
        });
        let directory = config.state.directory.as_ref().filter(|_| url.is_some());
        let kept = directory.map(|directory| directory.join(KEPT_LIST));
        Keeper::with_files(vec![list], kept, web).with_known_time(self.known_time.clone())
    }

    /// Serves the metrics where `config` has them; if that cannot be, they stay where they are.
    fn serve_metrics(
        &mut self,
        config: Option<&Metrics>,
        status: &watch::Receiver<Status>,
    ) -> anyhow::Result<()> {
        if self.metrics.as_ref().map(|(config, _)| config) == config {
            return Ok(());
        }
        let Some(config) = config else {
            self.metrics = None;
            return Ok(());
        };
        let start = |config: &Metrics| MetricsServer::start(&config.listen, status.clone());
        let server = start(config).or_else(|why| match self.metrics.take() {
            // All addresses are in the way of one of them on the same port, and the other way round.
            Some((old, server)) if why.is_taken() && old.port() == config.port() => {
                drop(server);
                start(config).inspect_err(|_| {
                    self.metrics = start(&old).ok().map(|server| (old, server));
                })
            }
            old => {
                self.metrics = old;
                Err(why)
            }
        });
        self.metrics = Some((config.clone(), server.context("[metrics] listen")?));
        Ok(())
    }

    /// How to speak TLS to a source: as to all of them, unless it has certificates of its own to trust. They are loaded at once
    /// if they will be needed.
    fn tls(&self, source: &Source) -> anyhow::Result<Arc<Tls>> {
        let tls = match &source.ca_file {
            None => Arc::clone(&self.tls),
            Some(path) => {
                let own = Tls::new(config::certificates(path).context("ca-file")?);
                Arc::new(own.with_known_time(self.known_time.clone()))
            }
        };
        if source.is_encrypted() {
            tls.load()?;
        }
        Ok(tls)
    }
}

/// Reads a configuration that names at least one source; fails with all that is wrong with it, a line each.
pub fn load(file: &Path) -> Result<Config, String> {
    match config::load(file) {
        Ok(config) if config.sources.is_empty() => Err(format!(
            "{}: no [[source]] is configured; add at least one, with its name and url",
            file.display()
        )),
        Ok(config) => Ok(config),
        Err(problems) => Err(problems.to_string().trim_end().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Span;
    use crate::status::control::ask;
    use crate::status::rig;
    use crate::sys::clock::raw_now;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn listening(path: &Path, mode: u32) -> Config {
        Config {
            control: Some(Control {
                path: path.to_owned(),
                mode,
            }),
            ..Config::of(Vec::new())
        }
    }

    async fn answers(path: &Path) -> bool {
        ask(path, raw_now() + Span::from_secs(3_600)).await.is_ok()
    }

    #[tokio::test]
    async fn a_reload_that_changes_the_control_socket_leaves_one_where_it_is_to_be() {
        let name = format!("webntpd-app-{}", std::process::id());
        let place = std::env::temp_dir().join(name);
        fs::create_dir_all(&place).unwrap();
        let (old, new) = (place.join("old.sock"), place.join("new.sock"));
        let (status, _) = watch::channel(rig::status());
        let mut live = Live::new(None);
        let mut listen = |config: &Config| live.listen(config, status.subscribe());

        listen(&listening(&old, 0o600)).unwrap();
        listen(&listening(&old, 0o666)).unwrap();
        let mode = fs::symlink_metadata(&old).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
        assert!(answers(&old).await, "its mode changed");

        listen(&listening(&new, 0o666)).unwrap();
        assert!(answers(&new).await && !old.exists(), "its path changed");

        fs::write(&old, "in the way").unwrap();
        listen(&listening(&old, 0o666)).unwrap();
        assert!(answers(&new).await, "it stays where it was");
        fs::remove_file(&old).unwrap();
        listen(&listening(&old, 0o666)).unwrap();
        assert!(answers(&old).await && !new.exists(), "and is tried again");

        let mut none = listening(&old, 0o666);
        none.control = None;
        listen(&none).unwrap();
        assert!(!old.exists());
        fs::remove_dir(place).unwrap();
    }
}
