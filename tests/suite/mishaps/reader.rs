//! What the real daemons have in common as readers of shared memory.

use std::fs;
use std::path::Path;

use super::{LIMIT, UNIT};
use crate::host::chronyd::Chronyd;
use crate::host::deadline;
use crate::host::ntpsec::Ntpsec;
use crate::host::process::Process;

/// A daemon that takes samples from [`UNIT`].
pub(super) trait Reader: Sized {
    /// Where it adds a line for each poll that brought a sample, in one life after the other.
    const RECORD: &str;

    /// Starts it; its files stay from one life to the next.
    fn start() -> Self;

    fn process(&mut self) -> &mut Process;

    /// Waits for a state of its last eight polls, of which the newest is the lowest bit.
    fn wait_reach(&mut self, wished: impl Fn(u8) -> bool);

    /// Waits until so many more polls than now have brought samples, the last one too. Samples that are older than the
    /// call may be among those of the first.
    fn wait_more(&mut self, polls: usize) {
        let before = recorded(Self::RECORD);
        let more = deadline::poll(LIMIT, || {
            self.process().assert_running();
            (recorded(Self::RECORD) >= before + polls).then_some(())
        });
        more.unwrap_or_else(|| panic!("{before} polls brought samples, and no more"));
        self.wait_reach(|reach| reach & 1 == 1);
    }
}

/// How many polls brought a sample. chronyd has headings and a second line for what its filter makes of it.
fn recorded(path: &str) -> usize {
    fs::read_to_string(path)
        .unwrap_or_default()
        .lines()
        .filter(|line| line.contains("SHM(2)") || line.contains(" N 0 "))
        .count()
}

impl Reader for Ntpsec {
    const RECORD: &str = "/run/ntpsec/peerstats";

    fn start() -> Self {
        Self::start(UNIT, 0, Path::new("/run/ntpsec"))
    }

    fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn wait_reach(&mut self, wished: impl Fn(u8) -> bool) {
        self.wait_peer(LIMIT, |peer| wished(peer.reach));
    }
}

impl Reader for Chronyd {
    const RECORD: &str = "/run/chrony/refclocks.log";

    fn start() -> Self {
        Self::start("SHM 2:perm=0666", Path::new("/run/chrony"))
    }

    fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn wait_reach(&mut self, wished: impl Fn(u8) -> bool) {
        self.wait_source(LIMIT, |source| wished(source.reach));
    }
}
