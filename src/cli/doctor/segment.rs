//! The shared memory, and the sockets beside it.

use super::link::Link;
use super::rights::{Facts, Person, WRITE};
use crate::engine::time::{Span, Utc};
use crate::status::segment::{self, Finding};
use crate::status::table::Signed;
use crate::sys::shm::{Look, Reading};
use crate::sys::sock::{Listener, Sender, SockError};
use std::path::{Path, PathBuf};

/// What is known of a segment besides what is seen of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// The daemon publishes: who has the segment alone is the one that writes.
    pub(super) is_written: bool,
    /// The daemon that should read it cannot see it, which is told below.
    pub(super) is_out_of_sight: bool,
}

/// What was seen of a segment; `quiet` as [`segment::judge`] has it.
pub(super) fn judge(look: &Look, now: Utc, quiet: Span, known: Known) -> Vec<Link> {
    let name = format!("segment of unit {}", look.unit);
    let mut findings = segment::judge(look, now, quiet);
    if known.is_written && findings.contains(&Finding::Alone) {
        findings.retain(|finding| !matches!(finding, Finding::NotTaken { .. }));
        for finding in &mut findings {
            if *finding == Finding::Alone {
                *finding = Finding::NoReader;
            }
        }
    }
    let mut links: Vec<Link> = findings
        .iter()
        // As is usual; `webntp shm` tells it.
        .filter(|finding| !matches!(finding, Finding::Public { .. }))
        .map(|finding| match finding {
            Finding::NoReader | Finding::NotTaken { .. } if known.is_out_of_sight => {
                Link::note(&name, finding.what())
                    .remedy("as below: the IPC namespace of the reader")
            }
            finding => judge_finding(&name, finding),
        })
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
    /// What keeps the daemon's user from writing.
    obstacle: Option<SockError>,
    /// What a message of ours would meet; none is sent.
    probed: Result<Listener, SockError>,
}

impl Sock {
    pub(super) fn look(path: &Path, daemon: Option<&Person>) -> Self {
        let ourselves = Person::ourselves();
        let daemon = daemon.unwrap_or(&ourselves);
        let obstacle = daemon.obstacle(path, WRITE);
        Self {
            path: path.to_owned(),
            obstacle: obstacle.map(|(place, facts)| refusal(path, daemon.uid, place, facts)),
            probed: Sender::new(path.to_owned()).probe(),
        }
    }

    pub(super) fn judge(&self) -> Link {
        let name = format!("socket {}", self.path.display());
        match (&self.probed, &self.obstacle) {
            (Err(error @ SockError::NoSocket { .. }), _) | (_, Some(error)) => {
                Link::fault(name, error.what()).remedy(error.remedy())
            }
            (Ok(Listener::Bound), None) => Link::ok(name, "somebody listens"),
            (Ok(Listener::Absent), None) => {
                Link::fault(name, "nobody listens: it is not there, or whoever made it is gone").remedy(
                    "is chronyd running, with `refclock SOCK` and this path? It makes the socket when it starts",
                )
            }
            // Our rights, not the daemon's.
            (Err(SockError::Denied { .. } | SockError::OutOfReach { .. }), None) => {
                Link::note(name, "this user may not see whether somebody listens")
                    .remedy("run this with sudo")
            }
            (Err(error), None) => Link::fault(name, error.what()).remedy(error.remedy()),
        }
    }
}

/// What the daemon will say of a place on the way to `path` that is closed to it.
fn refusal(path: &Path, user: u32, place: PathBuf, facts: Facts) -> SockError {
    let path = path.to_owned();
    if place == path {
        SockError::Denied {
            path,
            user,
            socket: facts,
        }
    } else {
        SockError::OutOfReach {
            path,
            user,
            directory: place,
            facts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::link::State;
    use super::*;
    use crate::sys::shm::{Found, Picture, Split, Unit};
    use std::fs;
    use std::os::unix::net::UnixDatagram;

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
        judge(&look, NOW, segment::QUIET, Known::default())
    }

    #[test]
    fn a_segment_that_the_daemon_writes_and_nobody_else_has_lacks_a_reader() {
        let alone = Look {
            unit: Unit(2),
            found: Some(Found {
                attached: 1,
                ..found()
            }),
            orphans: Vec::new(),
        };
        let mut known = Known {
            is_written: true,
            is_out_of_sight: false,
        };
        let links = judge(&alone, NOW, segment::QUIET, known);
        assert_eq!(links.len(), 1, "{links:?}");
        assert_eq!(
            (links[0].state, &links[0].text),
            (State::Fault, &Finding::NoReader.what())
        );
        known.is_out_of_sight = true;
        let links = judge(&alone, NOW, segment::QUIET, known);
        assert_eq!(links[0].state, State::Note, "{links:?}");
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
        let path = Path::new("/run/chrony/web.sock");
        let sock = |probed, obstacle| Sock {
            path: path.to_owned(),
            obstacle,
            probed,
        };
        let facts = Facts {
            owner: 0,
            group: 0,
            mode: 0o755,
        };
        let closed = |place: &str| Some(refusal(path, 990, place.into(), facts));
        let no_socket = SockError::NoSocket {
            path: path.to_owned(),
            what: "is a regular file".to_owned(),
        };
        let full = SockError::Full {
            path: path.to_owned(),
        };
        let good = || Ok(Listener::Bound);
        assert_eq!(sock(good(), None).judge().state, State::Ok);
        for (sock, text, remedy) in [
            (sock(Ok(Listener::Absent), None), "not there", "chronyd"),
            (sock(Err(no_socket), None), "is a regular file", "remove it"),
            (sock(Err(full), None), "queue is full", "hangs"),
            (
                sock(good(), closed("/run/chrony/web.sock")),
                "uid 990 may not send to the socket (owner uid 0, gid 0, mode 0755)",
                "drop-in",
            ),
            (
                sock(good(), closed("/run/chrony")),
                "uid 990 may not enter /run/chrony",
                "open to all",
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
        let denied = closed("/run/chrony/web.sock").expect("a refusal");
        assert_eq!(sock(Err(denied), None).judge().state, State::Note);
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
