//! How fast `webntp replay` reads: `cargo bench --bench replay` prints lines a second, for 1, 4 and 16 sources that are asked every
//! 16 s.
//!
//! The log is made here and kept in memory, and nothing is printed of the decisions: what is measured is the reading and the engine.

use std::fmt::Write as _;
use webntpd::config;
use webntpd::supervisor::replay::Replay;
use webntpd::sys::clock::raw_now;

const LINES: i64 = 40_000;

fn main() {
    println!("sources      lines  decisions  lines a second");
    for sources in [1, 4, 16] {
        let mut text = String::new();
        for k in 0..sources {
            write!(
                text,
                "[[source]]\nname = \"s{k}\"\nurl = \"http://s{k}/\"\npoll = \"16s\"\n"
            )
            .expect("a string takes all");
        }
        let config = config::parse(&text, "bench").expect("it is good");
        let log: Vec<String> = (0..LINES).map(|line| reply(line, sources)).collect();
        let mut replay = Replay::new(&config, false);
        let mut decisions = 0;
        let begin = raw_now();
        for line in &log {
            let taken = replay.take(line.as_bytes(), &mut |snapshot| {
                decisions += u32::from(snapshot.outcome.is_ok());
            });
            taken.expect("a good line");
        }
        let took = (raw_now() - begin).as_secs_f64();
        let rate = LINES as f64 / took;
        println!("{sources:>7}  {LINES:>9}  {decisions:>9}  {rate:>14.0}");
    }
}

/// One source after the other, 16 s for each round; the path wavers by milliseconds.
fn reply(line: i64, sources: i64) -> String {
    let source = line % sources;
    let sent = (line / sources) * 16_000_000_000 + source * (16_000_000_000 / sources);
    let wavers = (line * 7_919) % 4_000_000;
    let stamp = 1_795_000_000_000_000_000 + sent + 5_000_000 + wavers;
    let received = sent + 10_000_000 + wavers + (line * 104_729) % 3_000_000;
    format!(
        "{{\"source\":\"s{source}\",\"sent\":{sent},\"arrived_before\":{stamp},\"departed_after\":{stamp},\"received\":{received},\
         \"leap\":\"none\"}}\n"
    )
}
