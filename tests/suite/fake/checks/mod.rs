//! The fake's own tests: it honours its own truth, and its faults are what their names say.
//!
//! In: fakes, and a small blocking client of our own. Out: nothing. Not: anything of the program under test.

mod certificates;
mod client;
mod dialect_faults;
mod dialect_truth;
mod dialects;
mod http_faults;
mod life;
mod manner;
mod parts;
mod shapes;
mod steering;
mod truth;
mod websocket_faults;
