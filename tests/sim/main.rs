//! The pure part of the daemon in a simulated world: seeded, with a virtual clock, without IO.
//!
//! A [`machine::Machine`] drives the engine and one machine for each source as pollers and supervisor drive them, in a world
//! of oscillators, paths and servers that are all known; an [`oracle::Oracle`] holds every step against the truth.

mod changes;
mod day;
mod honest;
mod liars;
mod machine;
mod oracle;
mod oscillator;
mod path;
mod random;
mod requests;
mod restart;
mod scenario;
mod server;
mod upstream;
