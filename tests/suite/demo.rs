//! `webntpd --demo`, as somebody runs it who has just built it.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::host::process::Process;
use crate::host::segment::{Entry, Segment};
use crate::host::{deadline, sandbox, webntpd};

const LIMIT: Duration = Duration::from_secs(60);

/// The unit that the introduction names.
fn unit(introduction: &str) -> u8 {
    let (_, rest) = introduction
        .split_once("SHM unit ")
        .expect("it names the unit");
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a unit is a number")
}

/// The column of a table row in which offsets stand, in milliseconds.
fn offset_ms(row: &str) -> f64 {
    let words: Vec<&str> = row.split_whitespace().collect();
    let value: f64 = words[5].parse().expect("an offset");
    match words[6] {
        "s" => value * 1e3,
        "ms" => value,
        "us" => value / 1e3,
        unit => panic!("{unit} is no unit"),
    }
}

#[test]
fn the_wrong_server_is_a_falseticker_and_moves_nothing() {
    sandbox::run(|| {
        let mut demo = Process::start(webntpd::command().arg("--demo"));
        let unit = unit(&demo.wait_line("SHM unit ", LIMIT));
        let wrong = demo.wait_line("x wrong-by-1s", LIMIT);
        assert!((offset_ms(&wrong) - 1_000.0).abs() < 50.0, "{wrong}");
        let decision = demo.wait_line("3 of 4 sources agree", LIMIT);
        assert!(!decision.contains(" s ±"), "{decision}");
        let honest = demo.wait_line("honest-http ", LIMIT);
        assert!(
            "*+-".contains(honest.trim_start().chars().next().expect("a tally")),
            "{honest}"
        );
        assert!(offset_ms(&honest).abs() < 50.0, "{honest}");

        let segment = deadline::poll(LIMIT, || {
            Segment::read(unit).filter(|segment| segment.valid == 1)
        });
        let segment = segment.expect("the demo publishes");
        assert!(segment.offset_ns().abs() < 50_000_000, "{segment:?}");
    });
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    sandbox::run(|| {
        let before = Entry::all();
        let mut demo = Process::start(webntpd::command().arg("--demo"));
        demo.wait_line("sources agree", LIMIT);
        assert_eq!(Entry::all().len(), before.len() + 1);
        demo.signal(Signal::SIGINT);
        assert!(demo.wait_exit(LIMIT).success());
        assert_eq!(Entry::all().len(), before.len());
    });
}
