//! What the sources speak that do not say so, for `webntpd --check`.
//!
//! In: a configuration. Out: a line for each source whose protocol it does not name. All are asked at once, within half a minute;
//! that a server does not answer now is no fault of the file. Where every source names its protocol nobody is asked.

use super::doctor::{known_time, reach};
use crate::config::{Config, Source};
use crate::net::{Deadlines, KnownTime};
use crate::poller::{Finder, UpstreamSettings};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The longest that all questions to a source may take, whatever the configuration allows: somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether no server has to be asked.
pub(super) fn are_named(config: &Config) -> bool {
    config
        .sources
        .iter()
        .all(|source| source.protocol.is_some())
}

/// A line for each source whose protocol is not named, in the order of the configuration.
pub(super) async fn found(config: &Config) -> Vec<String> {
    let known = known_time(config);
    let unnamed = config
        .sources
        .iter()
        .filter(|source| source.protocol.is_none());
    let mut asked = JoinSet::new();
    for (nth, source) in unnamed.enumerate() {
        let (source, known) = (source.clone(), known.clone());
        asked.spawn(async move { (nth, line(&source, known).await) });
    }
    let mut lines = asked.join_all().await;
    lines.sort_by_key(|(nth, _)| *nth);
    lines.into_iter().map(|(_, line)| line).collect()
}

async fn line(source: &Source, known: KnownTime) -> String {
    let name = &source.name;
    let finder = match finder(source, known) {
        Ok(finder) => finder,
        Err(unfit) => return format!("source {name}: {unfit}"),
    };
    match timeout(PATIENCE, finder.settle()).await {
        Ok(Ok((kind, _))) => {
            let (kind, words, caution) = (kind.name(), kind.words(), kind.caution());
            format!(
                "source {name}: speaks {kind} ({words}); to settle that: protocol = \"{kind}\"{caution}"
            )
        }
        Ok(Err(trouble)) => format!("source {name}: {trouble}"),
        Err(_) => {
            let limit = PATIENCE.as_secs();
            format!(
                "source {name}: did not answer all questions within {limit} s; its protocol is still to be found out"
            )
        }
    }
}

/// Who finds out what the server of a source speaks, as the daemon does.
fn finder(source: &Source, known: KnownTime) -> Result<Finder, String> {
    let (target, tls) = reach(source, known)?;
    let settings = UpstreamSettings {
        rounding: source.rounding,
        offset: source.offset,
        deadlines: Deadlines::each(source.timeout),
        ..UpstreamSettings::default()
    };
    Ok(Finder::new(target, tls, settings))
}
