//! What the steps of the life share: the Debian, the servers that it asks, what is remembered from one step to the next.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use crate::container::Container;
use crate::fake::{FakeUpstream, OsClock, Setup, raw_now};
use crate::host::segment::{Entry as Shm, Segment};
use crate::tree;

pub(crate) const UNIT: &str = "webntpd.service";
pub(crate) const CONFIGURATION: &str = "/etc/webntpd.toml";
pub(crate) const SHM_UNIT: u8 = 2;

/// The fakes are ahead of the machine's clock by so much.
pub(crate) const AHEAD_MS: f64 = 25.0;
const AHEAD_NS: i64 = 25_000_000;

/// What a loaded machine may put between the two readings of the clocks.
pub(crate) const TOLERANCE_MS: f64 = 1.0;

/// Where the package lies inside.
pub(crate) const PACKAGE: &str = "/root/webntpd.deb";

/// How a source is asked: its name, scheme, path, protocol.
const KINDS: [(&str, &str, &str, &str); 4] = [
    ("json", "http", "/json", "webntp"),
    ("websocket", "ws", "/websocket", "webntp"),
    ("https-time", "http", "/", "https-time"),
    ("late", "http", "/json", "webntp"),
];

pub(crate) struct Life {
    pub(crate) debian: Container,
    /// In the order of [`KINDS`].
    pub(crate) fakes: [FakeUpstream<OsClock>; 4],
    /// All files before the installation.
    pub(crate) before: Vec<String>,
    /// All packages before it.
    pub(crate) packages: BTreeSet<String>,
    /// The segment, once there is one.
    pub(crate) shm: Option<Shm>,
}

impl Life {
    pub(crate) fn begin(package: &Path) -> Self {
        let fakes = [(); 4].map(|()| {
            FakeUpstream::start(Setup::with_clock(OsClock {
                offset_ns: AHEAD_NS,
            }))
        });
        let debian = timed("a Debian boots", || Container::boot(&tree::dir()));
        fs::copy(package, debian.path(PACKAGE)).expect("the sandbox is root");
        Self {
            debian,
            fakes,
            before: Vec::new(),
            packages: BTreeSet::new(),
            shm: None,
        }
    }

    /// Edits the configuration: the first `sources`, and what else.
    pub(crate) fn configure(&self, sources: usize, more: &str) {
        let mut text = format!("cycle = \"1s\"\n{more}\n[shm]\nunit = {SHM_UNIT}\n");
        for (fake, (name, scheme, path, protocol)) in self.fakes.iter().zip(KINDS).take(sources) {
            let url = fake.url(scheme, path);
            write!(
                text,
                "\n[[source]]\nname = \"{name}\"\nurl = \"{url}\"\nprotocol = \"{protocol}\"\n\
                 operator = \"{name}\"\nmin-poll = \"1s\"\n"
            )
            .expect("a string takes all");
        }
        self.debian.write(CONFIGURATION, &text);
    }

    pub(crate) fn status(&self) -> String {
        self.debian.property(UNIT, "StatusText")
    }

    /// Waits for a status that begins like this.
    pub(crate) fn wait_status(&self, start: &str) -> String {
        self.debian.wait(&format!("the status {start:?}"), || {
            Some(self.status()).filter(|status| status.starts_with(start))
        })
    }

    /// The process that the manager watches; nothing while there is none, or it is not ready.
    pub(crate) fn main_pid(&self) -> Option<String> {
        let active = self.debian.property(UNIT, "ActiveState") == "active";
        let pid = self.debian.property(UNIT, "MainPID");
        (active && pid != "0").then_some(pid)
    }

    /// Waits until another process than `old` is the service, and ready.
    pub(crate) fn wait_restart(&self, old: &str) -> String {
        self.debian.wait("another process", || {
            self.main_pid().filter(|pid| pid != old)
        })
    }

    /// The samples go where they went before, whoever writes them.
    pub(crate) fn assert_same_segment(&self) -> Segment {
        let now = self.debian.shm(SHM_UNIT).expect("the segment is gone");
        let then = self.shm.as_ref().expect("there was one");
        assert_eq!(
            (now.id, now.owner, now.mode),
            (then.id, then.owner, then.mode),
            "it is another segment"
        );
        self.debian.segment(now.id)
    }

    /// Waits for two samples in the segment that were taken after what is in it now.
    pub(crate) fn wait_samples(&self) {
        let mut last = self.assert_same_segment().receive.ns();
        for _ in 0..2 {
            last = self.debian.wait("a new sample in the segment", || {
                let receive = self.assert_same_segment().receive.ns();
                (receive > last).then_some(receive)
            });
        }
    }

    /// How many connections the first `fakes` have accepted.
    pub(crate) fn connections(&self, fakes: usize) -> Vec<usize> {
        let fakes = self.fakes.iter().take(fakes);
        fakes.map(FakeUpstream::connections).collect()
    }
}

/// Does what the name says, and prints the name and how long it took. The name of what fails stands alone.
pub(crate) fn timed<T>(name: &str, what: impl FnOnce() -> T) -> T {
    print!("    {name} ... ");
    // For whoever waits, and for a failure to find its place behind it.
    let _ = io::stdout().flush();
    let start = raw_now();
    let result = what();
    let took = Duration::from_nanos((raw_now() - start).unsigned_abs());
    println!("{:.1} s", took.as_secs_f64());
    result
}
