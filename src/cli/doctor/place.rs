//! Files and directories that the configuration points to, and whether the daemon may write there.
//!
//! In: a configuration. Out: a note for each that is not as it should be: the time comes through all the same.

use super::super::places::{self, Place};
use super::configuration::USER;
use super::link::Link;
use super::rights::{Person, WRITE};
use crate::config::Config;
use crate::sys::clock::system_now;
use std::path::Path;

/// Looks at all of them; `daemon` is as whom the daemon runs, if there is such a user.
pub(super) fn judge(config: &Config, daemon: Option<&Person>) -> Vec<Link> {
    let places = places::look(config, system_now()).into_iter();
    let mut links: Vec<Link> = places.map(link).collect();
    let log = config.log.measurements.as_deref();
    links.extend(log.and_then(|path| unwritable(path, daemon?)));
    links
}

fn link(place: Place) -> Link {
    match place.remedy {
        None => Link::ok(place.key, place.text),
        Some(remedy) => Link::note(place.key, place.text).remedy(remedy),
    }
}

/// What keeps the daemon from recording.
fn unwritable(path: &Path, daemon: &Person) -> Option<Link> {
    // A file that is not there yet is made.
    let target = if path.exists() { path } else { path.parent()? };
    let (place, facts) = daemon.obstacle(target, WRITE)?;
    let text = format!(
        "{}: user {USER} may not write there: {} ({facts})",
        path.display(),
        place.display()
    );
    let remedy = format!("name a file in a directory where user {USER} may write");
    Some(Link::note("[log] measurements", text).remedy(remedy))
}

#[cfg(test)]
mod tests {
    use super::super::link::State;
    use super::*;
    use crate::sys::sock::Facts;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn measurements_that_the_daemon_may_not_write_are_noted_and_nothing_else_is() {
        let name = format!("webntpd-doctor-place-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("writable");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let facts = Facts::of(&directory).expect("it is there");
        let person = |uid| Person {
            uid,
            groups: Vec::new(),
        };
        let mut config = Config::of(Vec::new());
        config.log.measurements = Some(directory.join("log"));
        let states = |uid| -> Vec<State> {
            let links = judge(&config, Some(&person(uid)));
            let links = links
                .iter()
                .filter(|link| link.name == "[log] measurements");
            links.map(|link| link.state).collect()
        };
        assert_eq!(states(facts.owner), [State::Ok]);
        assert_eq!(states(facts.owner + 1), [State::Ok, State::Note]);
        fs::remove_dir(directory).expect("it is ours");
    }
}
