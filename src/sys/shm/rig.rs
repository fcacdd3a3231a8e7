//! A unit for one test alone: no other test and no other run of the tests has it at the same time.

use super::segment::{self, Id, foreign};
use super::{Unit, free_unit};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// The units that tests use: no daemon's example does.
const UNITS: std::ops::RangeInclusive<u8> = 200..=255;

/// A free unit, reserved as long as this lives; its segment is then removed.
pub(crate) struct Rig {
    unit: Unit,
    /// The name of an abstract socket: taken once in the whole system, and free again however a test ends.
    _reservation: UnixListener,
}

impl Rig {
    pub(crate) fn new() -> Self {
        UNITS
            .filter_map(|unit| {
                let name = format!("webntpd test of shm unit {unit}");
                let address = SocketAddr::from_abstract_name(name).ok()?;
                let reservation = UnixListener::bind_addr(&address).ok()?;
                Some(Self {
                    unit: free_unit(unit..=unit)?,
                    _reservation: reservation,
                })
            })
            .next()
            .expect("56 units are enough for all tests at once")
    }

    pub(crate) fn unit(&self) -> Unit {
        self.unit
    }

    /// The segment that has the key now.
    pub(super) fn id(&self) -> Id {
        segment::lookup(self.unit.key())
            .expect("anyone may look")
            .expect("there is a segment")
    }

    /// Makes the segment as another program would.
    pub(crate) fn make(&self, size: usize, mode: u32) -> Id {
        foreign::create(self.unit.key(), size, mode).expect("there is none yet")
    }

    /// What is in the segment.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        foreign::bytes(self.id())
    }

    /// `ipcrm`
    pub(crate) fn remove(&self) {
        segment::remove(self.id()).expect("ours");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Ok(Some(id)) = segment::lookup(self.unit.key()) {
            let _ = segment::remove(id);
        }
    }
}

/// Whether the test may become another user.
pub(super) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
