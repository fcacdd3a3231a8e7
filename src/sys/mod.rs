//! What the operating system offers: clocks, shared memory and sockets of other daemons, signals, the service manager, the log,
//! a place to keep things, a file that grows.

pub mod append;
pub mod clock;
pub mod continuity;
pub mod listen;
pub mod log;
pub mod notify;
pub mod panic;
pub mod reader;
pub mod shm;
pub mod signals;
pub mod sock;
pub mod state;
#[cfg(test)]
pub(crate) mod testing;

/// Where the package has the drop-ins, for what is said about them. In the source tree they are in `systemd/examples`.
pub const EXAMPLES: &str = "/usr/share/doc/webntpd/examples";
