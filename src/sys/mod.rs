//! What the operating system offers: clocks, shared memory, signals, the service manager, the log.

pub mod clock;
pub mod continuity;
pub mod listen;
pub mod log;
pub mod notify;
pub mod shm;
pub mod signals;
