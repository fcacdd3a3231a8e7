//! The fake's own tests: it honours its own truth, and its faults are what their names say.
//!
//! In: fakes, and a small blocking client of our own. Out: nothing. Not: anything of the program under test.

mod client;
mod http_faults;
mod life;
mod parts;
mod shapes;
mod truth;
mod websocket_faults;
