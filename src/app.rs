//! The world that the daemon runs in: servers on the network, outputs of this machine, a configuration in a file.

use crate::config::{self, Config, Output, Source};
use crate::net::{Deadlines, Target, Tls};
use crate::output::{ShmSink, Sink, SinkError, SockSink};
use crate::poller::{Ask, Upstream, UpstreamSettings};
use crate::supervisor::World;
use crate::sys::shm::{Policy, Unit};
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The real world.
pub struct Live {
    /// Where the configuration came from, if from a file.
    file: Option<PathBuf>,
    tls: Arc<Tls>,
}

impl Live {
    /// A world whose configuration is read again from `file`, if there is one.
    pub fn new(file: Option<&Path>) -> Self {
        Self {
            file: file.map(Path::to_owned),
            tls: Arc::new(Tls::new(Vec::new())),
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
            kind: source.protocol,
            rounding: source.rounding,
            offset: source.offset,
            deadlines: Deadlines::each(source.timeout),
        };
        let upstream = Upstream::new(target, tls, settings);
        Ok(Box::new(upstream))
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

    fn reload(&mut self) -> Result<Config, String> {
        match &self.file {
            Some(file) => load(file),
            None => Err("there is no configuration file".into()),
        }
    }
}

impl Live {
    /// How to speak TLS to a source: as to all of them, unless it has certificates of its own to trust. They are loaded at once
    /// if they will be needed.
    fn tls(&self, source: &Source) -> anyhow::Result<Arc<Tls>> {
        let tls = match &source.ca_file {
            None => Arc::clone(&self.tls),
            Some(path) => Arc::new(Tls::new(config::certificates(path).context("ca-file")?)),
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
