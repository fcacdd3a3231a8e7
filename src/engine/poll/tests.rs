//! How polls grow and fall. What a source says is made up here; `tests/sim` has real estimates.

use super::*;
use crate::engine::SourceId;
use crate::engine::bound::{Bound, Fit, Interval};
use crate::engine::time::{Rate, Theta};

const CYCLE: Span = Span::from_secs(16);

/// What a source is heard of in a cycle.
#[derive(Clone, Copy)]
struct Heard {
    tally: Tally,
    /// How far its estimate is off what it should be, how sure it says that it is, and of its rate.
    off_us: i64,
    error_us: i64,
    rate_ppb: i64,
    rate_error_ppb: i64,
    misfits: usize,
    /// Whether it does not answer when it is asked.
    is_silent: bool,
}

/// Sure enough of its rate for any poll.
const CALM: Heard = Heard {
    tally: Tally::Survivor,
    off_us: 0,
    error_us: 100,
    rate_ppb: 0,
    rate_error_ppb: 10,
    misfits: 0,
    is_silent: false,
};

struct Rig {
    settings: Vec<SourceSettings>,
    pacings: Vec<Pacing>,
    newest: Vec<Raw>,
    cycles: i64,
    has_majority: bool,
}

impl Rig {
    /// Sources with these shortest and longest polls (seconds).
    fn new(polls: &[(i64, i64)]) -> Self {
        let settings = |(poll, max_poll): &(i64, i64)| SourceSettings {
            id: SourceId(0),
            name: String::new(),
            operator: String::new(),
            poll: Span::from_secs(*poll),
            max_poll: Span::from_secs(*max_poll),
            prefer: false,
            noselect: false,
            coarse: false,
        };
        Self {
            settings: polls.iter().map(settings).collect(),
            pacings: polls.iter().map(|_| Pacing::default()).collect(),
            newest: vec![Raw::from_nanos(0); polls.len()],
            cycles: 0,
            has_majority: true,
        }
    }

    /// A cycle in which each source that has its turn answers.
    fn cycle(&mut self, heard: &[Heard]) {
        let begin = Raw::from_nanos(0) + CYCLE.times(self.cycles);
        self.cycles += 1;
        for (k, heard) in heard.iter().enumerate() {
            let turns = self.pacings[k].turns(CYCLE, &self.settings[k]);
            let places = rota::places(CYCLE, turns.poll).unwrap_or(1) as i64;
            let place = turns.from.as_nanos() / CYCLE.as_nanos();
            if !heard.is_silent && (self.cycles - 1) % places == place {
                self.newest[k] = begin + CYCLE.half();
            }
        }
        let newest = self.newest.iter();
        let readings: Vec<Reading> = newest
            .zip(heard)
            .map(|(newest, heard)| reading(*newest, heard))
            .collect();
        let sources = self.settings.iter().zip(&mut self.pacings).zip(&readings);
        let mut paced: Vec<Paced<'_>> = sources
            .zip(heard)
            .map(|(((settings, pacing), reading), heard)| Paced {
                settings,
                reading: Some(reading),
                tally: heard.tally,
                pacing,
            })
            .collect();
        pace(CYCLE, begin + CYCLE, self.has_majority, &mut paced);
    }

    fn cycles(&mut self, count: usize, heard: &[Heard]) {
        for _ in 0..count {
            self.cycle(heard);
        }
    }

    /// The polls (seconds).
    fn polls(&self) -> Vec<i64> {
        let sources = self.settings.iter().zip(&self.pacings);
        sources
            .map(|(settings, pacing)| pacing.poll(settings).as_nanos() / 1_000_000_000)
            .collect()
    }
}

fn reading(newest: Raw, heard: &Heard) -> Reading {
    let theta = Theta::from_nanos(heard.off_us * 1_000);
    let apart = Span::from_millis(10);
    Reading {
        fit: Fit {
            bound: Bound {
                lo: theta - apart,
                hi: theta + apart,
            },
            rates: Interval {
                lo: Rate::from_ppm(-1),
                hi: Rate::from_ppm(1),
            },
        },
        estimate: Estimate {
            theta,
            rate: Rate::from_ppb(heard.rate_ppb),
            error: Span::from_micros(heard.error_us),
            rate_error: Rate::from_ppb(heard.rate_error_ppb),
            jitter: Span::ZERO,
        },
        whole: false,
        newest,
        delay: apart,
        leap: None,
        misfits: heard.misfits,
    }
}

#[test]
fn polls_grow_step_by_step_while_all_is_as_expected() {
    let mut rig = Rig::new(&[(16, 64); 4]);
    assert_eq!(rig.polls(), [16; 4]);
    // All is to be calm for eight times as long.
    rig.cycles(16, &[CALM; 4]);
    assert_eq!(rig.polls(), [16; 4]);
    rig.cycle(&[CALM; 4]);
    assert_eq!(rig.polls(), [32; 4]);
    rig.cycles(14, &[CALM; 4]);
    assert_eq!(rig.polls(), [32; 4]);
    rig.cycles(4, &[CALM; 4]);
    assert_eq!(rig.polls(), [64; 4]);
    rig.cycles(100, &[CALM; 4]);
    assert_eq!(rig.polls(), [64; 4], "max-poll");
}

#[test]
fn one_source_alone_and_one_with_a_fixed_poll_are_asked_as_ever() {
    let mut rig = Rig::new(&[(16, 64)]);
    rig.cycles(200, &[CALM]);
    assert_eq!(rig.polls(), [16]);
    let mut rig = Rig::new(&[(16, 16), (64, 64), (16, 64)]);
    rig.cycles(200, &[CALM; 3]);
    assert_eq!(rig.polls(), [16, 64, 64]);
}

#[test]
fn a_poll_grows_no_longer_than_the_rate_is_known_for() {
    // A tenth of the error is 10 us: 48 s.
    let known = Heard {
        rate_error_ppb: 208,
        ..CALM
    };
    let mut rig = Rig::new(&[(16, 16), (16, 64)]);
    rig.cycles(200, &[CALM, known]);
    assert_eq!(rig.polls(), [16, 32]);
    // For 32 s it is too long, but not by much; then by more.
    let worse = Heard {
        rate_error_ppb: 600,
        ..CALM
    };
    rig.cycles(20, &[CALM, worse]);
    assert_eq!(rig.polls(), [16, 32]);
    let much_worse = Heard {
        rate_error_ppb: 700,
        ..CALM
    };
    rig.cycles(20, &[CALM, much_worse]);
    assert_eq!(rig.polls(), [16, 16]);
}

/// Four that are asked rarely.
fn rare() -> Rig {
    let mut rig = Rig::new(&[(16, 64); 4]);
    rig.cycles(200, &[CALM; 4]);
    assert_eq!(rig.polls(), [64; 4]);
    rig
}

#[test]
fn all_fall_when_an_estimate_moves_by_more_than_it_should() {
    let moved = |off_us| Heard { off_us, ..CALM };
    let mut rig = rare();
    rig.cycle(&[CALM, moved(160), CALM, CALM]);
    assert_eq!(rig.polls(), [64; 4]);
    let mut rig = rare();
    rig.cycle(&[CALM, moved(-180), CALM, CALM]);
    assert_eq!(rig.polls(), [16; 4]);
    rig.cycles(200, &[CALM, moved(-180), CALM, CALM]);
    assert_eq!(rig.polls(), [64; 4], "they grow again");
    // What has no say tells nothing of the others.
    let aside = |off_us| Heard {
        tally: Tally::Outlier,
        ..moved(off_us)
    };
    let mut rig = Rig::new(&[(16, 64); 5]);
    let four = |last| [CALM, CALM, CALM, CALM, last];
    rig.cycles(200, &four(aside(0)));
    rig.cycle(&four(aside(1_000)));
    assert_eq!(rig.polls(), [64, 64, 64, 64, 16]);
}

#[test]
fn nobody_falls_because_a_leap_second_has_passed_if_what_it_said_goes_along() {
    let second = |ms: i64| Heard {
        off_us: ms * 1_000,
        ..CALM
    };
    let polls_after = |shift: Option<Option<Span>>, ms| {
        let mut rig = rare();
        if let Some(shift) = shift {
            let midnight = Raw::from_nanos(0) + CYCLE.times(rig.cycles);
            let passage = Passage::made_up(shift, midnight, midnight + Span::from_secs(3));
            for pacing in &mut rig.pacings {
                pacing.carry_over(&passage);
            }
        }
        rig.cycle(&[second(ms); 4]);
        rig.polls()
    };
    let back = Some(Span::from_secs(-1));
    assert_eq!(polls_after(None, -1_000), [16; 4]);
    assert_eq!(polls_after(Some(back), -1_000), [64; 4]);
    assert_eq!(polls_after(Some(back), 0), [16; 4]);
    // Nothing is expected where nobody knows how it passed.
    assert_eq!(polls_after(Some(None), -1_000), [64; 4]);
    assert_eq!(polls_after(Some(None), 0), [64; 4]);
}

#[test]
fn all_fall_when_a_rate_has_become_another_one_by_and_by() {
    let mut rig = rare();
    let mut fell_at = None;
    for cycle in 0..200 {
        let rate_ppb = (cycle / 8).min(4) * 10;
        rig.cycle(&[CALM, Heard { rate_ppb, ..CALM }, CALM, CALM]);
        if rig.polls() == [16; 4] {
            fell_at = fell_at.or(Some(rate_ppb));
        }
    }
    assert_eq!(fell_at, Some(20), "more than 1.7 standard errors");
    assert_eq!(rig.polls(), [64; 4], "nothing has changed since");
}

#[test]
fn all_fall_when_there_is_no_majority_and_grow_no_sooner_than_at_first() {
    let mut rig = rare();
    rig.has_majority = false;
    rig.cycle(&[CALM; 4]);
    assert_eq!(rig.polls(), [16; 4]);
    rig.has_majority = true;
    // 256 s from the newest sample of each, which is of this cycle or of one of the three before.
    rig.cycles(12, &[CALM; 4]);
    assert_eq!(rig.polls(), [16; 4]);
    rig.cycles(5, &[CALM; 4]);
    assert_eq!(rig.polls(), [32; 4]);
}

#[test]
fn an_estimate_that_goes_on_at_its_rate_has_not_moved() {
    let estimate = |off_us, rate_error_ppb| {
        let heard = Heard {
            off_us,
            rate_ppb: 10_000,
            rate_error_ppb,
            ..CALM
        };
        reading(Raw::from_nanos(0), &heard).estimate
    };
    // 160 µs, and ± 100 µs.
    let moved_to = |off_us| moved(&estimate(0, 0), &estimate(off_us, 0), CYCLE);
    assert_eq!([160, 260, 60].map(moved_to), [0.0, 1.0, 1.0]);
    // What is not known of the rate may have moved it as well.
    let unsure = estimate(0, 10_000);
    let by = moved(&unsure, &estimate(420, 0), CYCLE);
    assert!((by - 1.0).abs() < 1e-9, "{by}");
}

#[test]
fn the_turns_of_any_number_of_sources_are_apart_and_not_at_the_ends_of_a_poll() {
    let poll = Span::from_secs(16);
    let sixteenth = poll.as_nanos() / 16;
    assert_eq!(phase(SourceId(0), poll).as_nanos(), sixteenth * 15 / 2);
    for count in 2..100 {
        let ids = (7..7 + count).map(SourceId);
        let mut places: Vec<i64> = ids.map(|id| phase(id, poll).as_nanos()).collect();
        places.sort_unstable();
        let apart = places.windows(2).map(|pair| pair[1] - pair[0]).min();
        // Evenly laid out they would be so far apart; it is no less than a third of that.
        let evenly = 13 * sixteenth / count as i64;
        assert!(apart > Some(evenly / 3), "{count}: {apart:?}");
        assert!(places[0] >= sixteenth && places[count as usize - 1] <= 14 * sixteenth);
    }
}

#[test]
fn who_contradicts_its_own_past_falls_and_the_others_go_on() {
    let misfit = Heard { misfits: 1, ..CALM };
    let mut rig = rare();
    rig.cycle(&[CALM, CALM, misfit, CALM]);
    assert_eq!(rig.polls(), [64, 64, 16, 64]);
}

#[test]
fn who_does_not_answer_in_time_falls_and_others_fill_its_cycles() {
    let silent = Heard {
        is_silent: true,
        ..CALM
    };
    let mut rig = rare();
    rig.cycles(6, &[silent, CALM, CALM, CALM]);
    assert_eq!(rig.polls(), [16, 32, 64, 64]);
    rig.cycle(&[CALM; 4]);
    assert_eq!(
        rig.polls(),
        [16, 32, 64, 64],
        "it is not counted on at once"
    );
    rig.cycles(200, &[CALM; 4]);
    assert_eq!(rig.polls(), [64; 4]);
}

#[test]
fn who_is_given_another_place_has_until_then_to_answer() {
    let mut rig = rare();
    while rig.pacings[0].place as i64 != rig.cycles % 4 {
        rig.cycle(&[CALM; 4]);
    }
    // Another one that is to be asked after the first has to make room, and has the place before.
    let after = (rig.pacings[0].place + 1) % 4;
    let other = (1..4).find(|k| rig.pacings[*k].place == after);
    let other = other.expect("each has its place");
    rig.pacings[0].place = after;
    rig.cycle(&[CALM; 4]);
    let waits_since = rig.newest[other];
    assert!(rig.pacings[other].moved);
    for cycle in 1..4 {
        assert_eq!(rig.newest[other], waits_since, "in cycle {cycle}");
        rig.cycle(&[CALM; 4]);
        assert_eq!(rig.polls(), [64; 4], "after cycle {cycle}");
    }
    // It is asked, and has no more time the next time.
    rig.cycle(&[CALM; 4]);
    assert!(rig.newest[other] > waits_since && !rig.pacings[other].moved);
    let silent = Heard {
        is_silent: true,
        ..CALM
    };
    let mut heard = [CALM; 4];
    heard[other] = silent;
    rig.cycles(5, &heard);
    assert_eq!(rig.polls()[other], 16);
}

#[test]
fn who_has_no_say_is_asked_rarely_and_falls_when_it_has_one() {
    for tally in [Tally::Falseticker, Tally::Unusable(Unusable::NoSelect)] {
        let aside = Heard {
            tally,
            rate_error_ppb: 20_000,
            ..CALM
        };
        let mut rig = Rig::new(&[(16, 16), (16, 64)]);
        rig.cycles(200, &[CALM, aside]);
        assert_eq!(rig.polls(), [16, 64]);
        // What it says may move as it likes.
        let moved = Heard {
            off_us: 1_000_000,
            ..aside
        };
        rig.cycles(4, &[CALM, moved]);
        assert_eq!(rig.polls(), [16, 64]);
        rig.cycle(&[CALM, CALM]);
        assert_eq!(rig.polls(), [16, 16]);
    }
}

#[test]
fn who_cannot_be_used_falls() {
    let unusable = Heard {
        tally: Tally::Unusable(Unusable::TooUncertain),
        ..CALM
    };
    let mut rig = rare();
    rig.cycle(&[CALM, unusable, CALM, CALM]);
    assert_eq!(rig.polls()[1], 16);
    // The others do what it did.
    let mut others = rig.polls();
    others.remove(1);
    others.sort_unstable();
    assert_eq!(others, [32, 64, 64]);
    rig.cycle(&[CALM; 4]);
    assert!(
        rig.polls()[2..].contains(&64),
        "it is not counted on at once"
    );
    let mut others = rig.polls();
    others.remove(1);
    assert!(others.contains(&32), "it is not counted on at once");
}

#[test]
fn a_poll_that_becomes_shorter_makes_nobody_stale() {
    let mut rig = rare();
    rig.has_majority = false;
    rig.cycle(
        &[Heard {
            is_silent: true,
            ..CALM
        }; 4],
    );
    let slowest = |rig: &Rig| rig.pacings[0].slowest(&rig.settings[0]);
    assert_eq!((rig.polls()[0], slowest(&rig)), (16, Span::from_secs(64)));
    rig.cycle(&[CALM; 4]);
    assert_eq!(slowest(&rig), CYCLE, "until it has answered");
}

#[test]
fn another_range_is_obeyed_at_once() {
    let mut rig = rare();
    for settings in &mut rig.settings {
        settings.max_poll = Span::from_secs(32);
    }
    rig.cycle(&[CALM; 4]);
    assert_eq!(rig.polls(), [32; 4]);
    for settings in &mut rig.settings {
        settings.poll = Span::from_secs(64);
        settings.max_poll = Span::from_secs(64);
    }
    assert_eq!(rig.polls(), [64; 4], "before a cycle has ended");
}
