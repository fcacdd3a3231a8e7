//! How often the real daemon asks, by what its servers have in their books.
//!
//! In: fakes that close what is idle, and a daemon whose cycle is a second. Out: the requests of each cycle, the samples in shared
//! memory, the log. How far polls grow over real paths, and what that is worth, is asked in `tests/sim`.

use std::fmt::Write as _;
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use ::webntpd::engine::time::Rate;
use ::webntpd::sys::clock::system_now;
use ::webntpd::sys::state::{self, KnownRate, State};
use serde_json::Value;

use crate::fake::{
    Delay, FakeUpstream, Fault, HttpShape, KnownClock, Path as NetPath, SECOND_NS, Setup, raw_now,
};
use crate::host::deadline::poll;
use crate::host::process::Process;
use crate::host::segment::Segment;
use crate::host::{sandbox, webntpd};

/// All that is awaited comes within a minute on a machine that has nothing else to do.
const LIMIT: Duration = Duration::from_secs(90);
const DIR: &str = "/run/webntpd";
const KEPT: &str = "/run/kept";
const UNIT: u8 = 2;

/// How long a poll may become, in cycles of a second: so many sources then take turns, and nobody else has a sample of a cycle.
const LONGEST: i64 = 2;
const FAKES: usize = LONGEST as usize;

/// So many cycles are watched in calm, and so many in trouble.
const CALM: u64 = 12;
const TROUBLED: u64 = 6;

/// The daemon between two cycles.
#[derive(Clone, Debug)]
struct Look {
    /// The cycle that goes on, by the raw clock.
    now: i64,
    /// How many have ended.
    cycles: u64,
    /// Of the shared memory: two for each sample.
    count: i32,
    /// Each source's poll, in cycles.
    polls: Vec<i64>,
    /// Polls that gave no sample.
    missed: u64,
    /// How much the daemon has said.
    said: usize,
}

/// What the control socket says.
fn report() -> Option<Value> {
    let mut text = String::new();
    let mut socket = UnixStream::connect(format!("{DIR}/control.sock")).ok()?;
    socket.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// A look, unless a cycle ends meanwhile.
fn look(daemon: &Process) -> Option<Look> {
    let now = raw_now() / SECOND_NS;
    let told = report()?;
    let segment = Segment::read(UNIT)?;
    let cycles = |report: &Value| report["cycles"].as_u64();
    if cycles(&report()?) != cycles(&told) {
        return None;
    }
    let sources = told["sources"].as_array()?;
    let poll = |source: &Value| Some(source["poll_ns"].as_i64()? / SECOND_NS);
    let missed = |source: &Value| {
        let by_fault = source["missed"].as_object()?;
        Some(by_fault.values().filter_map(Value::as_u64).sum::<u64>())
    };
    Some(Look {
        now,
        cycles: cycles(&told)?,
        count: segment.count,
        polls: sources.iter().map(poll).collect::<Option<_>>()?,
        missed: sources.iter().map(missed).sum::<Option<_>>()?,
        said: daemon.log().len(),
    })
}

/// Waits for so many cycles on end, each with a sample, while all is as `wanted`. What is late on a busy machine has it begin anew.
fn stretch(daemon: &Process, what: &str, cycles: u64, wanted: impl Fn(&Look) -> bool) -> [Look; 2] {
    let mut seen = Vec::new();
    let mut first: Option<Look> = None;
    let found = poll(LIMIT, || {
        let look = look(daemon)?;
        seen.push(look.clone());
        let from = first.get_or_insert_with(|| look.clone());
        let ended = look.cycles - from.cycles;
        if !wanted(&look) || i64::from(look.count - from.count) != 2 * ended as i64 {
            first = None;
            return None;
        }
        (ended >= cycles).then(|| [from.clone(), look])
    });
    found.unwrap_or_else(|| panic!("{what}: {:#?}", &seen[seen.len().saturating_sub(40)..]))
}

/// The cycles that began and ended between two looks.
fn between(looks: &[Look; 2]) -> Range<i64> {
    looks[0].now + 1..looks[1].now
}

/// How often a server was asked in these cycles.
fn asked(fake: &FakeUpstream, cycles: &Range<i64>) -> i64 {
    let book = fake.ledger();
    let at = book.iter().map(|served| served.read_raw_ns / SECOND_NS);
    at.filter(|cycle| cycles.contains(cycle)).count() as i64
}

/// A server some milliseconds away that closes a connection long before a long poll is over.
fn fake(clock: KnownClock, seed: u64) -> FakeUpstream {
    let queue = Delay::Uniform(Duration::from_millis(2), Duration::from_millis(6));
    FakeUpstream::start(Setup {
        path: NetPath::between(queue, queue),
        http: HttpShape {
            idle: Some(Duration::from_millis(1_500)),
            ..HttpShape::plain()
        },
        seed,
        ..Setup::with_clock(clock)
    })
}

/// What a daemon finds that has run before. One that has not must first learn the oscillator's rate, and takes twice as long until it
/// asks rarely.
fn keep_the_rate() {
    std::fs::create_dir(KEPT).expect("the sandbox has a /run of its own");
    let kept = State {
        time: system_now(),
        rate: Some(KnownRate {
            rate: Rate::from_ppt(0),
            error: Rate::from_ppb(100),
            boot: state::boot_id(),
        }),
    };
    state::write(Path::new(KEPT), &kept).expect("the directory is ours");
}

#[test]
fn a_daemon_left_in_peace_asks_rarely_and_has_a_sample_in_every_cycle_and_asks_often_in_trouble() {
    sandbox::run(|| {
        let clock = KnownClock::sample();
        let fakes: Vec<FakeUpstream> = (0..FAKES as u64).map(|seed| fake(clock, seed)).collect();
        keep_the_rate();
        let mut text =
            format!("cycle = \"1s\"\n[shm]\nunit = {UNIT}\n[state]\ndirectory = \"{KEPT}\"\n");
        for (k, fake) in fakes.iter().enumerate() {
            let url = fake.url("http", "/json");
            write!(
                text,
                "[[source]]\nname = \"fake-{k}\"\noperator = \"fake-{k}\"\nurl = \"{url}\"\nmin-poll = \"1s\"\nmax-poll = \"{LONGEST}s\"\n"
            )
            .expect("a string takes all");
        }
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        daemon.wait_line("publishing: ", LIMIT);

        let counts = |looks: &[Look; 2]| {
            let cycles = between(looks);
            let asked: Vec<i64> = fakes.iter().map(|fake| asked(fake, &cycles)).collect();
            (cycles.end - cycles.start, asked)
        };
        let is_rare = |look: &Look| look.polls == [LONGEST; FAKES];
        let connections = || fakes.iter().map(FakeUpstream::connections).sum::<usize>() as i64;
        stretch(&daemon, "polls grow", 0, is_rare);
        let before = connections();
        let calm = stretch(&daemon, "polls stay long", CALM, is_rare);
        let (cycles, asked) = counts(&calm);
        for count in &asked {
            // A busy machine is late with one or the other.
            let of_turns = cycles / LONGEST;
            assert!(
                (count - of_turns).abs() <= 1,
                "{asked:?} in {cycles} cycles"
            );
        }
        // Each request was on a connection of its own, which cost no sample, and nobody had to say anything.
        let total: i64 = asked.iter().sum();
        assert!(connections() - before >= total - LONGEST);
        assert_eq!(
            (calm[0].missed, calm[0].said),
            (calm[1].missed, calm[1].said)
        );

        // One drops out: the other has its cycles as well.
        fakes[0].set_fault(Some(Fault::Status(503)));
        let filled = stretch(&daemon, "the other fills in", TROUBLED, |look| {
            look.polls == [1; FAKES] && look.missed > calm[1].missed
        });
        let (cycles, asked) = counts(&filled);
        assert!(
            (cycles - asked[1]).abs() <= 1,
            "{asked:?} in {cycles} cycles"
        );
        fakes[0].set_fault(None);

        // The time of all steps: all are asked as often as they may be.
        for fake in &fakes {
            fake.step_clock(SECOND_NS);
        }
        let often = stretch(&daemon, "all are asked often", TROUBLED, |look| {
            look.polls == [1; FAKES] && look.missed == filled[1].missed
        });
        let (cycles, asked) = counts(&often);
        for count in &asked {
            assert!((cycles - count).abs() <= 1, "{asked:?} in {cycles} cycles");
        }
        daemon.assert_running();
    });
}
