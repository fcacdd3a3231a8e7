//! The pure part of the daemon in a simulated world: seeded, with a virtual clock, without IO.
//!
//! A [`machine::Machine`] drives the engine and one machine for each source as pollers and supervisor drive them, in a world
//! of oscillators, paths and servers that are all known; an [`oracle::Oracle`] holds every step against the truth. What is published
//! may steer the simulated system clock ([`system`]).

mod changes;
mod day;
mod honest;
mod leap;
mod liars;
mod machine;
mod oracle;
mod oscillator;
mod path;
mod random;
mod restart;
mod scenario;
mod server;
mod steered;
mod system;
mod upstream;
