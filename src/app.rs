//! The world that the daemon runs in: servers on the network, outputs of this machine, a configuration in a file.

use crate::config::{self, Config, Source};
use crate::net::{Target, Tls};
use crate::output::{ShmSink, Sink, SinkError};
use crate::poller::{Ask, Upstream, UpstreamSettings};
use crate::supervisor::World;
use crate::sys::shm::Unit;
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
        if matches!(source.url.scheme(), "https" | "wss") {
            self.tls
                .load()
                .with_context(|| format!("source {}", source.name))?;
        }
        let settings = UpstreamSettings {
            kind: source.protocol,
            ..UpstreamSettings::default()
        };
        let upstream = Upstream::new(target, Arc::clone(&self.tls), settings);
        Ok(Box::new(upstream))
    }

    fn outputs(&mut self, config: &Config) -> Vec<(Box<dyn Sink>, Result<(), SinkError>)> {
        let mut shm = ShmSink::new(Unit(config.shm.unit));
        let attached = shm.attach().map_err(SinkError::from);
        vec![(Box::new(shm), attached)]
    }

    fn reload(&mut self) -> Result<Config, String> {
        match &self.file {
            Some(file) => load(file),
            None => Err("there is no configuration file".into()),
        }
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
