//! The first link: the configuration, and whether the daemon may read it.

use super::link::Link;
use super::rights::{Facts, Person, READ};
use crate::config::{self, Config, Problems};
use crate::status::words::count;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// As which the packaged daemon runs.
pub(super) const USER: &str = "webntpd";

const NAME: &str = "configuration";
const RIGHTS: &str = "rights of the configuration";

/// What was seen of the file.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    path: PathBuf,
    config: Result<Config, Problems>,
    /// Our own rights, and not the file, are what is wrong.
    is_denied: bool,
    facts: Option<Facts>,
    /// Whether there is a user webntpd, and what keeps him from reading.
    daemon: Option<Option<(PathBuf, Facts)>>,
}

impl Seen {
    pub(super) fn look(path: &Path, daemon: Option<&Person>) -> Self {
        let opened = File::open(path);
        Self {
            path: path.to_owned(),
            config: config::load(path),
            is_denied: opened.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied),
            facts: Facts::of(path).ok(),
            daemon: daemon.map(|daemon| daemon.obstacle(path, READ)),
        }
    }

    /// The configuration, if it can be used.
    pub(super) fn config(&self) -> Option<&Config> {
        self.config.as_ref().ok()
    }

    pub(super) fn judge(&self) -> Vec<Link> {
        let path = self.path.display();
        let mut links = Vec::new();
        match &self.config {
            Ok(config) if config.sources.is_empty() => links.push(
                Link::fault(NAME, format!("{path}: no [[source]] is configured"))
                    .remedy("add at least one, with its name and url"),
            ),
            Ok(config) => {
                let sources = count(config.sources.len() as u64, "source");
                let outputs: Vec<String> =
                    config.outputs().iter().map(ToString::to_string).collect();
                let text = format!("{path}: {sources}, to {}", outputs.join(" and "));
                links.push(Link::ok(NAME, text));
            }
            // It may be as the package sets it: for root and the daemon.
            Err(_) if self.is_denied && self.daemon == Some(None) => links.push(
                Link::note(
                    NAME,
                    format!("{path}: this user may not read it, the daemon may"),
                )
                .remedy("run this with sudo to have the configuration and the sources looked at"),
            ),
            Err(problems) => links.extend(problems.iter().map(|problem| {
                let line = problem
                    .line
                    .map_or(String::new(), |line| format!("{line}:"));
                let text = format!("{path}:{line} {}", problem.what);
                Link::fault(NAME, text).remedy(problem.remedy.clone())
            })),
        }
        links.extend(self.judge_rights());
        links
    }

    fn judge_rights(&self) -> Vec<Link> {
        let Some(facts) = self.facts else {
            return Vec::new();
        };
        let path = self.path.display();
        let mut links = Vec::new();
        match &self.daemon {
            Some(Some((place, facts))) => links.push(
                Link::fault(
                    RIGHTS,
                    format!("user {USER} may not pass {} ({facts})", place.display()),
                )
                .remedy(format!(
                    "chown root:{USER} {path}; chmod 0640 {path}; and let it enter the directory"
                )),
            ),
            Some(None) => links.push(Link::ok(
                RIGHTS,
                format!("user {USER} may read it ({facts})"),
            )),
            None => links.push(Link::note(
                RIGHTS,
                format!("there is no user {USER}: this is not how the package runs it ({facts})"),
            )),
        }
        if facts.mode & 0o002 != 0 {
            links.push(
                Link::fault(RIGHTS, format!("every user may change {path} ({facts})"))
                    .remedy(format!("chmod o-w {path}")),
            );
        }
        links
    }
}

#[cfg(test)]
mod tests {
    use super::super::link::State;
    use super::*;

    const PACKAGED: Facts = Facts {
        owner: 0,
        group: 990,
        mode: 0o640,
    };

    fn seen(text: &str) -> Seen {
        Seen {
            path: "/etc/webntpd.toml".into(),
            config: config::parse(text, "/etc/webntpd.toml"),
            is_denied: false,
            facts: Some(PACKAGED),
            daemon: Some(None),
        }
    }

    const GOOD: &str = "[[source]]\nname = \"a\"\nurl = \"http://a.example/\"\n";

    fn states(seen: &Seen) -> Vec<State> {
        seen.judge().iter().map(|link| link.state).collect()
    }

    #[test]
    fn a_configuration_as_the_package_sets_it_is_fine() {
        assert_eq!(states(&seen(GOOD)), [State::Ok, State::Ok]);
        assert_eq!(
            seen(GOOD).judge()[0].text,
            "/etc/webntpd.toml: 1 source, to SHM(2)"
        );
    }

    #[test]
    fn every_problem_is_told_with_its_line_and_a_remedy() {
        let links = seen("cycle = \"x\"\n\n[shm]\nunit = 999\n").judge();
        let faults: Vec<_> = links
            .iter()
            .filter(|link| link.state == State::Fault)
            .collect();
        assert_eq!(faults.len(), 2, "{links:?}");
        assert!(
            faults[0].text.starts_with("/etc/webntpd.toml:1: "),
            "{links:?}"
        );
        assert!(
            faults[1].text.starts_with("/etc/webntpd.toml:4: "),
            "{links:?}"
        );
        assert!(faults.iter().all(|fault| fault.remedy.is_some()));
    }

    #[test]
    fn a_configuration_without_sources_is_a_fault() {
        let links = seen("").judge();
        assert!(links[0].text.contains("no [[source]]"), "{links:?}");
        assert_eq!(links[0].state, State::Fault);
    }

    #[test]
    fn a_file_that_we_may_not_read_is_a_fault_only_if_the_daemon_may_not_either() {
        let path = Path::new("/none");
        let denied = |daemon| Seen {
            config: config::load(path),
            is_denied: true,
            facts: None,
            daemon,
            ..seen(GOOD)
        };
        assert_eq!(states(&denied(Some(None))), [State::Note]);
        assert_eq!(states(&denied(None)), [State::Fault]);
        let closed = Some(Some((path.to_owned(), PACKAGED)));
        assert_eq!(states(&denied(closed))[0], State::Fault);
    }

    #[test]
    fn a_file_that_the_daemon_may_not_read_or_all_may_change_is_a_fault() {
        let closed = Facts {
            group: 0,
            ..PACKAGED
        };
        let closed = Seen {
            daemon: Some(Some(("/etc/webntpd.toml".into(), closed))),
            ..seen(GOOD)
        };
        let links = closed.judge();
        assert_eq!(states(&closed), [State::Ok, State::Fault]);
        assert!(
            links[1].text.contains("uid 0, gid 0, mode 0640"),
            "{links:?}"
        );
        let open = Seen {
            facts: Some(Facts {
                mode: 0o666,
                ..PACKAGED
            }),
            ..seen(GOOD)
        };
        assert_eq!(states(&open), [State::Ok, State::Ok, State::Fault]);
    }
}
