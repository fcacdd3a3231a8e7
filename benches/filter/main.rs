//! How near the published offset comes to the truth, beside two filters built from their published rules, and what it costs.
//!
//! `cargo bench --bench filter` prints tables; nothing is random but by the seeds that are printed. In: an oscillator, ways to
//! servers and servers that are all simulated, the same ones as in `tests/sim`. The engine is the real one; the sources'
//! machines, and whatever does IO, take no part.

mod contest;
mod cost;
mod figures;
#[path = "../../tests/sim/oscillator.rs"]
#[expect(dead_code, reason = "the simulation asks it for more")]
mod oscillator;
#[path = "../../tests/sim/path.rs"]
#[expect(dead_code, reason = "the simulation asks it for more")]
mod path;
#[path = "../../tests/sim/random.rs"]
#[expect(dead_code, reason = "the simulation asks it for more")]
mod random;
mod references;
mod scenario;

fn main() {
    contest::print();
    cost::print();
}
