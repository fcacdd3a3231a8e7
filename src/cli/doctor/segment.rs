//! The shared memory, and the sockets beside it.

use super::configuration::USER;
use super::link::Link;
use super::rights::{Facts, Person, WRITE};
use crate::engine::time::{Span, Utc};
use crate::status::segment::{self, Finding};
use crate::status::table::Signed;
use crate::sys::shm::{Look, Reading};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// What was seen of a segment; `quiet` as [`segment::judge`] has it.
pub(super) fn judge(look: &Look, now: Utc, quiet: Span) -> Vec<Link> {
    let name = format!("segment of unit {}", look.unit);
    let findings = segment::judge(look, now, quiet);
    let mut links: Vec<Link> = findings
        .iter()
        // As is usual; `webntp shm` tells it.
        .filter(|finding| !matches!(finding, Finding::Public { .. }))
        .map(|finding| judge_finding(&name, finding))
        .collect();
    if let Some(found) = &look.found
        && links.is_empty()
    {
        let sample = match &found.reading {
            Reading::Copied(picture) => {
                format!(", the last sample has offset {}", Signed(picture.offset()))
            }
            _ => String::new(),
        };
        links.push(Link::ok(
            name,
            format!("{} processes have it{sample}", found.attached),
        ));
    }
    links
}

fn judge_finding(name: &str, finding: &Finding) -> Link {
    let what = finding.what();
    let link = match finding {
        // Our rights, not the segment.
        Finding::Denied { .. } | Finding::Spared => Link::note(name, what),
        _ if finding.is_fault() => Link::fault(name, what),
        _ => Link::note(name, what),
    };
    match finding.remedy() {
        Some(remedy) => link.remedy(remedy),
        None => link,
    }
}

/// What was seen of a path that `refclock SOCK` of chronyd should have made.
#[derive(Debug)]
pub(super) struct Sock {
    path: PathBuf,
    /// Whether it is a socket, if anything is there.
    is_socket: io::Result<bool>,
    /// What keeps the daemon's user from writing.
    obstacle: Option<(PathBuf, Facts)>,
    /// What comes of connecting, which sends nothing.
    connected: io::Result<()>,
}

impl Sock {
    pub(super) fn look(path: &Path, daemon: Option<&Person>) -> Self {
        let ourselves = Person::ourselves();
        let daemon = daemon.unwrap_or(&ourselves);
        Self {
            path: path.to_owned(),
            is_socket: fs::metadata(path).map(|found| found.file_type().is_socket()),
            obstacle: daemon.obstacle(path, WRITE),
            connected: UnixDatagram::unbound().and_then(|socket| socket.connect(path)),
        }
    }

    pub(super) fn judge(&self) -> Link {
        let path = self.path.display();
        let name = format!("socket {path}");
        let restart = "is chronyd running, with `refclock SOCK` and this path? It makes the socket when it starts";
        match &self.is_socket {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Link::fault(name, "it is not there").remedy(restart);
            }
            Err(error) => return Link::note(name, error.to_string()).remedy("run this with sudo"),
            Ok(false) => {
                return Link::fault(name, "what is there is no socket")
                    .remedy("remove it and restart chronyd, or name another `path` in [[sock]]");
            }
            Ok(true) => {}
        }
        if let Some((place, facts)) = &self.obstacle {
            let text = format!("user {USER} may not pass {} ({facts})", place.display());
            return Link::fault(name, text).remedy(
                "let the group webntpd write to it: install the example chrony-sock.conf as a drop-in of chrony.service \
                 and restart that",
            );
        }
        match &self.connected {
            Ok(()) => Link::ok(name, "somebody listens"),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                Link::fault(name, "nobody listens: whoever made it is gone").remedy(restart)
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                Link::note(name, "this user may not see whether somebody listens")
                    .remedy("run this with sudo")
            }
            Err(error) => Link::fault(name, error.to_string()).remedy(restart),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::link::State;
    use super::*;
    use crate::sys::shm::{Found, Picture, Split, Unit};

    const NOW: Utc = Utc::from_secs(1_795_000_000);

    fn found() -> Found {
        let split = |usec| Split {
            sec: 1_794_999_999,
            usec,
            nsec: usec as u32 * 1_000,
        };
        Found {
            id: 7,
            facts: crate::sys::shm::Facts {
                owner: 990,
                creator: 990,
                mode: 0o666,
                size: 96,
            },
            creator_pid: 1,
            attached: 2,
            removed: false,
            last_attach: None,
            last_detach: None,
            reading: Reading::Copied(Picture {
                mode: 1,
                count: 2,
                clock: split(25_000),
                receive: split(0),
                leap: 0,
                precision: -10,
                nsamples: 3,
                valid: 0,
            }),
        }
    }

    fn judged(found: Option<Found>) -> Vec<Link> {
        let look = Look {
            unit: Unit(2),
            found,
            orphans: Vec::new(),
        };
        judge(&look, NOW, segment::QUIET)
    }

    #[test]
    fn a_segment_that_two_have_and_that_is_written_is_fine() {
        let links = judged(Some(found()));
        assert_eq!(links.len(), 1, "{links:?}");
        assert_eq!(links[0].state, State::Ok);
        assert_eq!(
            links[0].text,
            "2 processes have it, the last sample has offset +25.000 ms"
        );
    }

    #[test]
    fn each_fault_of_a_segment_has_its_remedy() {
        let mut private = found();
        private.facts.mode = 0o600;
        let alone = Found {
            attached: 1,
            ..found()
        };
        for (found, what, remedy) in [
            (None, "no daemon has made a segment", "is webntpd"),
            (
                Some(private),
                "owned by uid 990, mode 0600",
                "ipcrm -M 0x4e545032",
            ),
            (Some(alone), "only one process has it", "ntpd or chronyd"),
        ] {
            let links = judged(found);
            assert_eq!(links[0].state, State::Fault);
            assert!(links[0].text.contains(what), "{links:?}");
            assert!(
                links[0]
                    .remedy
                    .as_ref()
                    .is_some_and(|text| text.contains(remedy)),
                "{links:?}"
            );
        }
    }

    #[test]
    fn what_is_only_explained_is_no_remedy() {
        let mut roots = found();
        (roots.facts.owner, roots.facts.mode) = (0, 0o600);
        let links = judged(Some(roots));
        assert!(
            links[0].text.contains("webntpd as a user of its own"),
            "{links:?}"
        );
        assert_eq!(links[0].remedy, None);
    }

    #[test]
    fn a_segment_that_we_may_not_read_is_no_fault_of_it() {
        let denied = Found {
            reading: Reading::Denied { user: 1000 },
            ..found()
        };
        let links = judged(Some(denied));
        assert_eq!(links[0].state, State::Note);
        assert!(
            links[0]
                .remedy
                .as_ref()
                .is_some_and(|text| text.contains("as root")),
            "{links:?}"
        );
    }

    #[test]
    fn a_socket_is_there_may_be_written_and_has_a_listener() {
        let good = || Sock {
            path: "/run/chrony.webntpd.sock".into(),
            is_socket: Ok(true),
            obstacle: None,
            connected: Ok(()),
        };
        let failing = |kind: ErrorKind| Sock {
            connected: Err(kind.into()),
            ..good()
        };
        assert_eq!(good().judge().state, State::Ok);
        let facts = Facts {
            owner: 0,
            group: 0,
            mode: 0o755,
        };
        for (sock, text, remedy) in [
            (
                Sock {
                    is_socket: Err(ErrorKind::NotFound.into()),
                    ..good()
                },
                "not there",
                "chronyd",
            ),
            (
                Sock {
                    is_socket: Ok(false),
                    ..good()
                },
                "no socket",
                "remove it",
            ),
            (
                Sock {
                    obstacle: Some(("/run/s".into(), facts)),
                    ..good()
                },
                "mode 0755",
                "drop-in",
            ),
            (
                failing(ErrorKind::ConnectionRefused),
                "nobody listens",
                "chronyd",
            ),
        ] {
            let link = sock.judge();
            assert_eq!(link.state, State::Fault);
            assert!(link.text.contains(text), "{link:?}");
            assert!(
                link.remedy
                    .as_ref()
                    .is_some_and(|words| words.contains(remedy)),
                "{link:?}"
            );
        }
        assert_eq!(
            failing(ErrorKind::PermissionDenied).judge().state,
            State::Note
        );
    }

    #[test]
    fn a_look_at_a_socket_sends_nothing() {
        let path = std::env::temp_dir().join(format!("webntp-doctor-{}.sock", std::process::id()));
        let _ = fs::remove_file(&path);
        let listener = UnixDatagram::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let link = Sock::look(&path, None).judge();
        assert_eq!(link.state, State::Ok, "{link:?}");
        assert!(listener.recv(&mut [0; 64]).is_err());
        drop(listener);
        assert_eq!(Sock::look(&path, None).judge().state, State::Fault);
        fs::remove_file(&path).unwrap();
    }
}
