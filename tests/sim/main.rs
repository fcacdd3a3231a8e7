//! The pure part of the daemon in a simulated world: seeded, with a virtual clock, without IO.
//!
//! A [`machine::Machine`] drives the engine and one machine for each source as pollers and supervisor drive them, in a world
//! of oscillators, paths and servers that are all known; an [`oracle::Oracle`] holds every step against the truth. What is published
//! may steer the simulated system clock ([`system`]); the [`matrix`] draws worlds of every kind by their seeds.
//!
//! `cargo test --test sim -- --nocapture` prints the figures; `cargo test --test sim matrix -- --nocapture` those of the matrix.
//! A run that fails prints its seed: `WEBNTPD_SIM_SEED=17 cargo test --test sim matrix` runs that one alone, and
//! `WEBNTPD_SIM_SEEDS=2000` runs so many, from the first usual one on. (The limits of the scenarios by name are those of their usual
//! seeds; what the oracle asks for holds for all.)

mod changes;
mod day;
mod edge;
mod honest;
mod leap;
mod liars;
mod machine;
mod matrix;
mod oracle;
mod oscillator;
mod path;
mod random;
mod requests;
mod restart;
mod scenario;
mod server;
mod steered;
mod system;
mod turns;
mod upstream;
