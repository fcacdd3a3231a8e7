//! Who sets the clock: which time daemons run, and whether one is told to read what webntpd writes.
//!
//! In: /proc, and the configuration of each daemon as far as it may be read. Out: the daemons and their reference clocks, and what to
//! do where there is none for our unit.

mod clocks;

pub(super) use clocks::Clock;

use super::link::Link;
use super::process::{self, Namespace, Writers};
use crate::config::Output;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A daemon that sets the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// ntpsec's or the classic one: both are called ntpd.
    Ntpd,
    Chronyd,
    /// It reads sockets, and no shared memory.
    NtpdRs,
    /// It reads neither.
    Timesyncd,
}

/// One that runs.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) kind: Kind,
    pid: u32,
    /// Its configuration, and the reference clocks in it.
    file: PathBuf,
    /// Whose shared memory it sees, if that may be known.
    ipc: Option<Namespace>,
    pub(super) clocks: io::Result<Vec<Clock>>,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Ntpd, Self::Chronyd, Self::NtpdRs, Self::Timesyncd];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ntpd => "ntpd",
            Self::Chronyd => "chronyd",
            Self::NtpdRs => "ntp-daemon",
            Self::Timesyncd => "systemd-timesyncd",
        }
    }

    /// By the name that the kernel has of a process, cut to 15 bytes.
    fn of_comm(comm: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            let name = kind.name();
            comm == &name[..name.len().min(15)]
        })
    }

    /// The option that names the configuration.
    fn option(self) -> &'static str {
        match self {
            Self::Chronyd => "-f",
            _ => "-c",
        }
    }

    /// Where Debian has the configuration, the usual place first.
    fn files(self) -> &'static [&'static str] {
        match self {
            Self::Ntpd => &["/etc/ntpsec/ntp.conf", "/etc/ntp.conf"],
            Self::Chronyd => &["/etc/chrony/chrony.conf", "/etc/chrony.conf"],
            Self::NtpdRs => &["/etc/ntpd-rs/ntp.toml"],
            Self::Timesyncd => &["/etc/systemd/timesyncd.conf"],
        }
    }
}

/// All daemons that set the clock, one of each kind.
pub(super) fn running() -> Vec<Daemon> {
    let known = |(name, pid): (String, u32)| Some((Kind::of_comm(&name)?, pid));
    let mut found: Vec<(Kind, u32)> = process::all().into_iter().filter_map(known).collect();
    found.sort_unstable();
    // chronyd has a helper of the same name, which came later.
    found.dedup_by_key(|(kind, _)| *kind);
    found
        .into_iter()
        .map(|(kind, pid)| Daemon::look(kind, pid))
        .collect()
}

impl Daemon {
    fn look(kind: Kind, pid: u32) -> Self {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let usual = || {
            let mut files = kind.files().iter().map(Path::new);
            let first = files.clone().next().unwrap_or(Path::new("/etc/ntp.conf"));
            files.find(|file| file.exists()).unwrap_or(first).to_owned()
        };
        let file = named_file(&words, kind.option()).unwrap_or_else(usual);
        Self {
            kind,
            pid,
            ipc: process::ipc(&pid.to_string()),
            clocks: clocks::read(&file),
            file,
        }
    }

    /// Its reference clock for one of our outputs.
    pub(super) fn clock(&self, outputs: &[Output]) -> Option<&Clock> {
        let clocks = self.clocks.as_ref().ok()?;
        clocks
            .iter()
            .find(|clock| outputs.iter().any(|output| output.is_at(&clock.output)))
    }
}

/// What follows `option` on a command line, as a word of its own or joined.
fn named_file(words: &[u8], option: &str) -> Option<PathBuf> {
    let mut words = words.split(|&byte| byte == 0);
    while let Some(word) = words.next() {
        if let Some(joined) = word.strip_prefix(option.as_bytes()) {
            let file = if joined.is_empty() {
                words.next()?
            } else {
                joined
            };
            return Some(OsStr::from_bytes(file).into());
        }
    }
    None
}

/// Who reads our outputs, and who is in whose way; `has_reader` if somebody besides webntpd has the segment.
pub(super) fn judge(
    daemons: &[Daemon],
    outputs: &[Output],
    has_reader: bool,
    writers: &Writers,
) -> Vec<Link> {
    let mut links = vec![judge_company(daemons, has_reader)];
    for daemon in daemons {
        links.push(judge_daemon(daemon, outputs));
        links.extend(judge_sight(daemon, outputs, writers));
    }
    links
}

/// Whether a daemon that is to read the segment cannot see it.
pub(super) fn is_blind(daemon: &Daemon, outputs: &[Output], writers: &Writers) -> bool {
    judge_sight(daemon, outputs, writers).is_some()
}

fn judge_sight(daemon: &Daemon, outputs: &[Output], writers: &Writers) -> Option<Link> {
    let reads_segment = match &daemon.clocks {
        Ok(_) => daemon.clock(outputs)?.output.unit().is_some(),
        // It is told nothing, or we are not.
        Err(_) => process::is_only_shared(outputs),
    };
    let can_read = matches!(daemon.kind, Kind::Ntpd | Kind::Chronyd);
    let writer = writers.are_apart_from(daemon.ipc.as_ref());
    let writer = writer.filter(|_| reads_segment && can_read)?;
    let (name, pid) = (daemon.kind.name(), daemon.pid);
    let share = "let both share one IPC namespace (containers: --ipc; systemd: PrivateIPC=no)";
    Some(
        Link::fault(
            format!("IPC namespace of {name}"),
            format!("{name} (process {pid}) runs in another IPC namespace than {writer} and never sees its segment"),
        )
        .remedy(match daemon.kind {
            Kind::Chronyd => format!("{share}, or use a socket: [[sock]], and `webntp setup chrony --sock`"),
            _ => share.to_owned(),
        }),
    )
}

fn judge_company(daemons: &[Daemon], has_reader: bool) -> Link {
    const NAME: &str = "time daemon";
    let names: Vec<&str> = daemons.iter().map(|daemon| daemon.kind.name()).collect();
    match daemons {
        [] if has_reader => Link::note(
            NAME,
            "none is to be seen, though somebody has the segment: one in another container?",
        ),
        [] => Link::fault(NAME, "none runs, neither ntpd nor chronyd: nobody sets the clock by what webntpd measures")
            .remedy("apt install chrony (or ntpsec), have it read webntpd's output, and start it"),
        [one] => Link::ok(NAME, format!("{} runs, process {}", one.kind.name(), one.pid)),
        [..] => Link::fault(NAME, format!("{} run beside each other and pull at one clock", names.join(" and ")))
            .remedy("keep the one that reads webntpd's output, disable the others: systemctl disable --now NAME"),
    }
}

fn judge_daemon(daemon: &Daemon, outputs: &[Output]) -> Link {
    let (kind, file) = (daemon.kind, daemon.file.display());
    let name = format!("configuration of {}", kind.name());
    if kind == Kind::Timesyncd {
        return Link::fault(name, "it reads neither shared memory nor a socket")
            .remedy("apt install chrony (or ntpsec), which takes its place");
    }
    if kind == Kind::NtpdRs {
        return Link::skipped(
            name,
            "it takes samples by a socket only; see `type = \"sock\"` in its configuration",
        );
    }
    match &daemon.clocks {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Link::note(name, format!("this user may not read {file}")).remedy("run this with sudo")
        }
        Err(error) => Link::note(name, format!("{file} cannot be read: {error}")).remedy(format!(
            "see with which file {} was started (ps -fp {}), and whether it reads {}",
            kind.name(),
            daemon.pid,
            list(outputs)
        )),
        Ok(_) => match daemon.clock(outputs) {
            Some(clock) => Link::ok(name, format!("{file}: it reads {}", clock.output)),
            None => {
                let others: Vec<String> = daemon
                    .clocks
                    .iter()
                    .flatten()
                    .map(|clock| clock.output.to_string())
                    .collect();
                let others = if others.is_empty() {
                    "no refclock that samples could come by".to_owned()
                } else {
                    format!("only {}", others.join(", "))
                };
                Link::fault(
                    name,
                    format!("{file} has {others}: it does not read {}", list(outputs)),
                )
                .remedy(format!(
                    "add `{}` to it, better what `webntp setup {}` prints, and restart {}",
                    line(kind, outputs),
                    if kind == Kind::Chronyd {
                        "chrony"
                    } else {
                        "ntpsec"
                    },
                    kind.name()
                ))
            }
        },
    }
}

fn list(outputs: &[Output]) -> String {
    let names: Vec<String> = outputs.iter().map(ToString::to_string).collect();
    names.join(" or ")
}

/// What a daemon's configuration lacks.
fn line(kind: Kind, outputs: &[Output]) -> String {
    let unit = outputs.iter().find_map(Output::unit);
    match (kind, unit, outputs.first()) {
        (Kind::Chronyd, None, Some(Output::Sock(sock))) => {
            format!("refclock SOCK {} refid WEB", sock.path.display())
        }
        (Kind::Chronyd, unit, _) => {
            format!("refclock SHM {}:perm=0666 refid WEB", unit.unwrap_or(2))
        }
        (_, unit, _) => format!("refclock shm unit {} refid WEB", unit.unwrap_or(2)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::link::State;
    use super::*;
    use crate::config::Shm;

    fn daemon(kind: Kind, text: &str) -> Daemon {
        Daemon {
            kind,
            pid: 7,
            file: "/etc/its.conf".into(),
            ipc: None,
            clocks: Ok(clocks::parse(text)),
        }
    }

    fn judge_with(daemons: &[Daemon], has_reader: bool) -> Vec<Link> {
        let outputs = [Output::of_unit(2)];
        judge(daemons, &outputs, has_reader, &Writers::default())
    }

    fn states(daemons: &[Daemon]) -> Vec<State> {
        judge_with(daemons, false)
            .iter()
            .map(|link| link.state)
            .collect()
    }

    #[test]
    fn one_daemon_that_reads_our_unit_is_fine() {
        assert_eq!(
            states(&[daemon(Kind::Ntpd, "refclock shm unit 2 refid WEB\n")]),
            [State::Ok, State::Ok]
        );
        assert_eq!(
            states(&[daemon(Kind::Chronyd, "refclock SHM 2 refid WEB\n")]),
            [State::Ok, State::Ok]
        );
    }

    #[test]
    fn no_daemon_is_a_fault_and_so_are_two_at_one_clock() {
        assert_eq!(states(&[]), [State::Fault]);
        assert_eq!(
            judge_with(&[], true)[0].state,
            State::Note,
            "out of our sight"
        );
        let two = [
            daemon(Kind::Ntpd, "refclock shm unit 2"),
            daemon(Kind::Timesyncd, ""),
        ];
        assert_eq!(states(&two), [State::Fault, State::Ok, State::Fault]);
        let text = &judge_with(&two, false)[0].text;
        assert!(
            text.starts_with("ntpd and systemd-timesyncd run beside each other"),
            "{text}"
        );
    }

    #[test]
    fn a_daemon_in_another_ipc_namespace_than_webntpd_is_told_not_to_see_the_segment() {
        let [here, there] = ["ipc:[1]", "ipc:[2]"].map(Namespace::from);
        let writers = Writers {
            pids: vec![9],
            answers: Some((9, Some(here.clone()))),
            ours: Some(here.clone()),
        };
        let of = |text: &str, ipc: &Namespace| Daemon {
            ipc: Some(ipc.clone()),
            ..daemon(Kind::Chronyd, text)
        };
        let outputs = [Output::of_unit(2), Output::of_path("/run/chrony.w.sock")];
        let sight = |daemon: &Daemon| judge_sight(daemon, &outputs, &writers);
        let link = sight(&of("refclock SHM 2\n", &there)).expect("it is blind");
        assert_eq!(link.state, State::Fault);
        assert_eq!(
            link.text,
            "chronyd (process 7) runs in another IPC namespace than webntpd (process 9) and never sees its segment"
        );
        assert!(
            link.remedy
                .is_some_and(|remedy| remedy.contains("[[sock]]"))
        );
        assert_eq!(sight(&of("refclock SHM 2\n", &here)), None);
        assert_eq!(
            sight(&of("refclock SOCK /run/chrony.w.sock\n", &there)),
            None
        );
    }

    #[test]
    fn a_daemon_without_our_unit_is_told_the_line_that_it_lacks() {
        for (kind, text, line) in [
            (
                Kind::Ntpd,
                "server a.example\n",
                "add `refclock shm unit 2 refid WEB`",
            ),
            (
                Kind::Chronyd,
                "refclock SHM 0\n",
                "add `refclock SHM 2:perm=0666 refid WEB`",
            ),
        ] {
            let link = judge_daemon(&daemon(kind, text), &[Output::of_unit(2)]);
            assert_eq!(link.state, State::Fault);
            assert!(
                link.remedy
                    .as_ref()
                    .is_some_and(|remedy| remedy.starts_with(line)),
                "{link:?}"
            );
        }
        let sock = Output::of_path("/run/chrony.webntpd.sock");
        let reads = daemon(Kind::Chronyd, "refclock SOCK /run/chrony.webntpd.sock");
        assert_eq!(judge_daemon(&reads, &[sock]).state, State::Ok);
    }

    #[test]
    fn a_daemon_reads_our_unit_whatever_its_mode_is() {
        let ours = Output::Shm(Shm {
            mode: 0o600,
            owner_check: false,
            ..Shm::of_unit(2)
        });
        let reads = daemon(Kind::Chronyd, "refclock SHM 2");
        assert_eq!(judge_daemon(&reads, &[ours]).state, State::Ok);
    }

    #[test]
    fn a_configuration_that_may_not_be_read_is_no_fault() {
        let closed = Daemon {
            clocks: Err(io::ErrorKind::PermissionDenied.into()),
            ..daemon(Kind::Ntpd, "")
        };
        assert_eq!(states(&[closed]), [State::Ok, State::Note]);
    }

    #[test]
    fn daemons_are_known_by_the_15_bytes_that_the_kernel_keeps() {
        assert_eq!(Kind::of_comm("systemd-timesyn"), Some(Kind::Timesyncd));
        assert_eq!(Kind::of_comm("ntpd"), Some(Kind::Ntpd));
        assert_eq!(Kind::of_comm("ntpdate"), None);
    }

    #[test]
    fn the_configuration_is_the_one_that_the_command_line_names() {
        let named = |words: &str, option| named_file(words.as_bytes(), option);
        assert_eq!(
            named("ntpd\0-p\0/run/pid\0-c\0/x/ntp.conf\0-g\0", "-c"),
            Some("/x/ntp.conf".into())
        );
        assert_eq!(
            named("chronyd\0-f/x/c.conf\0", "-f"),
            Some("/x/c.conf".into())
        );
        assert_eq!(named("chronyd\0-F\0-1\0", "-f"), None);
        assert_eq!(named("ntpd\0-c", "-c"), None);
    }
}
