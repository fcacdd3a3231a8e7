//! A new configuration in the place of the old one, while all goes on.
//!
//! In: what the [`World`] reads. Out: sources, outputs and settings as it has them, or nothing changed at all. Not: what is wrong with a
//! file, which `config` says.

use super::journal::Journal;
use super::{Outputs, Supervisor, World, roster, settings};
use crate::config::Config;
use crate::engine::SourceId;
use crate::engine::time::Raw;
use crate::status::ledger::Ledger;
use crate::sys::notify;

impl<W: World> Supervisor<W> {
    /// Takes a new configuration over, whole or not at all.
    pub(super) fn reload(&mut self) {
        notify::reloading();
        match self.try_reload() {
            Ok((changes, others)) => {
                self.ledger.reloads += 1;
                self.journal.reloaded(changes, &others);
            }
            Err(problems) => {
                self.ledger.reloads_refused += 1;
                self.journal.not_reloaded(&problems);
            }
        }
        notify::ready();
    }

    /// What changed: of the sources, and which other tables.
    fn try_reload(&mut self) -> Result<(roster::Changes, Vec<&'static str>), String> {
        let config = self.world.reload()?;
        let plan = self
            .roster
            .plan(&config.sources, &mut self.world)
            .map_err(|error| format!("{error:#}"))?;
        self.world
            .listen(&config, self.status.subscribe())
            .map_err(|error| format!("{error:#}"))?;
        if self.now() >= self.engine.next_cycle() {
            self.end_cycle();
        }
        // Later than the end of a cycle that ended late.
        let now = self.now();
        let before: Vec<SourceId> = self.roster.ids().collect();
        let changes = self.roster.apply(plan, now);
        switch_outputs(
            &mut self.outputs,
            &config,
            &mut self.world,
            &mut self.journal,
            &mut self.ledger,
            now,
        );
        self.memory.move_to(config.state.directory.as_deref());
        self.engine
            .reconfigure(settings(&config, self.roster.settings()), now);
        let anew = self.roster.ids().filter(|id| !before.contains(id));
        let anew: Vec<&str> = anew.map(|id| self.roster.name(id)).collect();
        self.measurements
            .reloaded(config.log.measurements.as_deref(), &anew, now);
        self.ledger.reconfigure(&config, self.roster.ids());
        self.roster.hush(self.engine.silence());
        // Also where the configuration is as it was: the file may be another.
        self.leap_seconds.found = self.world.leap_seconds(&config);
        let before = std::mem::replace(&mut self.config, config);
        Ok((changes, before.differs_from(&self.config)))
    }
}

/// Opens what `config` has and `outputs` has not, and closes what it has not; the rest goes on as it is.
pub(super) fn switch_outputs(
    outputs: &mut Outputs,
    config: &Config,
    world: &mut impl World,
    journal: &mut Journal,
    ledger: &mut Ledger,
    now: Raw,
) {
    let wanted = config.outputs();
    journal.outputs_changed(&wanted);
    ledger.outputs_changed(&wanted);
    // The old ones withdraw first: the new ones may be the same segments.
    outputs.retain(|(output, _)| wanted.contains(output));
    for output in wanted {
        if outputs.iter().any(|(open, _)| *open == output) {
            continue;
        }
        let (sink, result) = world.output(&output);
        if let Err(error) = result {
            ledger.not_opened(&output, error.to_string());
            journal.published(&output, &Err(error), now);
        }
        outputs.push((output, sink));
    }
}
