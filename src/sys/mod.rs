//! What the operating system offers: clocks, shared memory and sockets of other daemons, signals, the service manager, the log.

pub mod clock;
pub mod continuity;
pub mod log;
pub mod notify;
pub mod shm;
pub mod signals;
pub mod sock;
