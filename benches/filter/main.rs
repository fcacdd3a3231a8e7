//! How near the published offset comes to the truth, beside two filters built from their published rules, and what it costs.
//!
//! `cargo bench --bench filter` prints tables; nothing is random but by the seeds that are printed, and others can be asked for
//! (`-- --help`). In: an oscillator, ways to servers and servers that are all simulated, the same ones as in `tests/sim`. The
//! engine is the real one; the sources' machines, and whatever does IO, take no part.

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

use std::ops::Range;
use std::process::ExitCode;

const HELP: &str = "\
cargo bench --bench filter -- [--seeds FIRST..END]

Prints how near the published offset comes to the truth over simulated paths, beside two references,
and then what a sample costs.

  --seeds FIRST..END  one run of each path for each of these seeds [1..9]; then without the costs";

fn main() -> ExitCode {
    // `cargo bench` adds a `--bench` of its own.
    let args: Vec<String> = std::env::args().skip(1).collect();
    let asked: Vec<&str> = args.iter().map(String::as_str).collect();
    let asked: Vec<&str> = asked.into_iter().filter(|arg| *arg != "--bench").collect();
    match asked[..] {
        [] => {
            contest::print(contest::SEEDS);
            cost::print();
        }
        ["--seeds", seeds] if let Some(seeds) = range(seeds) => contest::print(seeds),
        ["--help"] => println!("{HELP}"),
        _ => {
            eprintln!("{HELP}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn range(text: &str) -> Option<Range<u64>> {
    let (first, end) = text.split_once("..")?;
    Some(first.parse().ok()?..end.parse().ok()?)
}
