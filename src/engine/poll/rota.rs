//! Who is asked in which cycle, so that each cycle has a new sample.
//!
//! In: how rarely each source could be asked. Out: polls and places. A poll that is longer than a cycle is a power of two of cycles;
//! a source that is asked in one of four has a quarter's share, and shares that add up to a whole can always be laid out so that no
//! cycle is left empty (the inequality of Kraft).

use super::Paced;
use crate::engine::snapshot::Tally;
use crate::engine::time::Span;

/// The longest poll, in cycles. Every share is a multiple of one in so many.
const MOST_PLACES: u64 = 1_024;

/// How many cycles there are in a poll, if that is a power of two of them.
pub(super) fn places(cycle: Span, poll: Span) -> Option<u64> {
    let (cycle, poll) = (cycle.as_nanos().max(1) as u64, poll.as_nanos() as u64);
    let places = poll / cycle;
    let is_whole = places * cycle == poll && places.is_power_of_two();
    (is_whole && places <= MOST_PLACES).then_some(places)
}

/// The next longer poll, if there is one.
pub(super) fn longer(cycle: Span, poll: Span, max: Span) -> Option<Span> {
    powers(cycle)
        .find(|longer| *longer > poll)
        .filter(|longer| *longer <= max)
}

/// The next shorter poll, `min` at the least.
pub(super) fn shorter(cycle: Span, poll: Span, min: Span) -> Span {
    let shorter = powers(cycle).take_while(|shorter| *shorter < poll).last();
    shorter.map_or(min, |shorter| shorter.max(min))
}

fn powers(cycle: Span) -> impl Iterator<Item = Span> {
    (0..=MOST_PLACES.ilog2()).map(move |exponent| cycle.times(1 << exponent))
}

/// The part of the cycles in which a source is asked, of [`MOST_PLACES`]; none, if these are not always the same ones.
fn share(cycle: Span, poll: Span) -> u64 {
    if poll <= cycle {
        MOST_PLACES
    } else {
        places(cycle, poll).map_or(0, |places| MOST_PLACES / places)
    }
}

/// Decides the polls of all sources by their wishes, and their places.
pub(super) fn share_out(cycle: Span, sources: &mut [Paced<'_>]) {
    let mut polls: Vec<Span> = sources.iter().map(|source| source.pacing.wish).collect();
    shorten(cycle, sources, &mut polls);
    place(cycle, sources, &polls);
}

/// Shortens polls until the sources that can be counted on bring a sample in every cycle, the longest poll first.
fn shorten(cycle: Span, sources: &[Paced<'_>], polls: &mut [Span]) {
    loop {
        let reliable = || (0..sources.len()).filter(|k| sources[*k].is_reliable());
        let covered: u64 = reliable().map(|k| share(cycle, polls[k])).sum();
        let longest = reliable()
            .filter(|k| polls[*k] > sources[*k].settings.poll)
            // Of equals the one that was asked more often before, lest they take turns.
            .min_by_key(|k| {
                let source = &sources[*k];
                (
                    -polls[*k].as_nanos(),
                    source.pacing.poll,
                    source.tally != Tally::Best,
                )
            });
        match longest {
            Some(k) if covered < MOST_PLACES => {
                polls[k] = shorter(cycle, polls[k], sources[k].settings.poll);
            }
            _ => return,
        }
    }
}

/// Gives each source with a poll of some cycles its place: one that nobody has, its old one if that may be. Who is asked more often
/// goes first, so that no gap is left that is too narrow.
fn place(cycle: Span, sources: &mut [Paced<'_>], polls: &[Span]) {
    let mut order: Vec<(u64, bool, usize)> = sources
        .iter()
        .zip(polls)
        .enumerate()
        .filter(|(_, (_, poll))| **poll > cycle)
        .filter_map(|(k, (source, poll))| Some((places(cycle, *poll)?, !source.is_reliable(), k)))
        .collect();
    order.sort_by_key(|(places, is_unreliable, k)| (*is_unreliable, *places, *k));
    let most = order.iter().map(|(places, ..)| *places).max().unwrap_or(1);
    let mut taken = vec![0u32; most as usize];
    for (places, _, k) in order {
        let load = |place: u64| -> u32 {
            let cycles = (place..most).step_by(places as usize);
            cycles.map(|cycle| taken[cycle as usize]).sum()
        };
        let old = sources[k].pacing.place % places;
        let free = (0..places).min_by_key(|place| (load(*place), *place != old, *place));
        let place = free.unwrap_or(0);
        for cycle in (place..most).step_by(places as usize) {
            taken[cycle as usize] += 1;
        }
        let pacing = &mut *sources[k].pacing;
        pacing.moved |= pacing.place != place && pacing.poll > Span::ZERO;
        pacing.place = place;
    }
    for (source, poll) in sources.iter_mut().zip(polls) {
        source.pacing.poll = *poll;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Pacing, RELIABLE};
    use super::*;
    use crate::engine::{SourceId, SourceSettings};
    use proptest::prelude::*;

    const CYCLE: Span = Span::from_secs(16);

    fn seconds(seconds: i64) -> Span {
        Span::from_secs(seconds)
    }

    fn settings(min: i64, max: i64) -> SourceSettings {
        SourceSettings {
            id: SourceId(0),
            name: String::new(),
            operator: String::new(),
            poll: seconds(min),
            max_poll: seconds(max),
            prefer: false,
            noselect: false,
            coarse: false,
        }
    }

    /// A survivor that answers.
    fn survivor(wish: i64) -> Pacing {
        Pacing {
            wish: seconds(wish),
            in_time: 99,
            ..Pacing::default()
        }
    }

    fn shared_out(settings: &[SourceSettings], pacings: &mut [Pacing], survive: &[bool]) {
        let sources = settings.iter().zip(pacings).zip(survive);
        let mut sources: Vec<Paced<'_>> = sources
            .map(|((settings, pacing), survives)| Paced {
                settings,
                reading: None,
                tally: if *survives {
                    Tally::Survivor
                } else {
                    Tally::Falseticker
                },
                pacing,
            })
            .collect();
        share_out(CYCLE, &mut sources);
    }

    /// The polls (s) and places of survivors that could be asked this rarely.
    fn rota(wishes: &[i64]) -> Vec<(i64, u64)> {
        let settings = vec![settings(16, 1_024); wishes.len()];
        let mut pacings: Vec<Pacing> = wishes.iter().map(|wish| survivor(*wish)).collect();
        shared_out(&settings, &mut pacings, &vec![true; wishes.len()]);
        let told = pacings.iter();
        told.map(|pacing| (pacing.poll.as_nanos() / 1_000_000_000, pacing.place))
            .collect()
    }

    #[test]
    fn one_source_is_asked_in_every_cycle() {
        assert_eq!(rota(&[64]), [(16, 0)]);
    }

    #[test]
    fn some_sources_take_turns() {
        assert_eq!(rota(&[64, 64]), [(32, 0), (32, 1)]);
        assert_eq!(rota(&[64, 64, 64]), [(32, 0), (64, 1), (64, 3)]);
        assert_eq!(rota(&[64; 4]), [(64, 0), (64, 1), (64, 2), (64, 3)]);
    }

    #[test]
    fn who_wants_to_be_asked_often_relieves_the_others() {
        assert_eq!(rota(&[16, 64]), [(16, 0), (64, 0)]);
        assert_eq!(rota(&[32, 256, 256]), [(32, 0), (64, 1), (64, 3)]);
    }

    #[test]
    fn who_is_not_counted_on_fills_no_cycle() {
        let settings = vec![settings(16, 64); 3];
        let mut pacings = [64, 64, 64].map(survivor);
        pacings[1].in_time = RELIABLE - 1;
        shared_out(&settings, &mut pacings, &[true, true, false]);
        let polls = pacings.map(|pacing| pacing.poll);
        assert_eq!(polls, [seconds(16), seconds(64), seconds(64)]);
    }

    #[test]
    fn who_is_not_asked_in_the_same_cycles_always_fills_none_and_has_no_place() {
        // Half a cycle too much, three cycles, and more than there may be.
        for poll in [40, 48, 16 * 2_048] {
            assert_eq!(places(CYCLE, seconds(poll)), None, "{poll}");
            assert_eq!(share(CYCLE, seconds(poll)), 0, "{poll}");
        }
        assert_eq!(places(CYCLE, seconds(16 * 1_024)), Some(1_024));
        // Two of three cycles are left for the other one, or all of them.
        let settings = [settings(48, 48), settings(16, 64)];
        let mut pacings = [survivor(48), survivor(64)];
        shared_out(&settings, &mut pacings, &[true; 2]);
        assert_eq!(pacings.map(|pacing| pacing.poll), [48, 16].map(seconds));
    }

    #[test]
    fn who_is_asked_more_often_than_once_in_a_cycle_fills_them_all() {
        let settings = [settings(4, 4), settings(16, 64)];
        let mut pacings = [survivor(4), survivor(64)];
        shared_out(&settings, &mut pacings, &[true; 2]);
        assert_eq!(pacings.map(|pacing| pacing.poll), [4, 64].map(seconds));
    }

    #[test]
    fn places_are_kept_as_long_as_they_may_be() {
        let settings = vec![settings(16, 64); 4];
        let mut pacings = [64; 4].map(survivor);
        for (pacing, place) in pacings.iter_mut().zip([2, 0, 3, 1]) {
            pacing.poll = seconds(64);
            pacing.place = place;
        }
        shared_out(&settings, &mut pacings, &[true; 4]);
        assert_eq!(pacings.each_ref().map(|pacing| pacing.place), [2, 0, 3, 1]);
        assert!(pacings.iter().all(|pacing| !pacing.moved));
        // One drops out: another one is asked twice as often, and one makes room.
        shared_out(&settings, &mut pacings, &[true, true, true, false]);
        let told = pacings.map(|pacing| (pacing.poll, pacing.place, pacing.moved));
        assert_eq!(told[0], (seconds(32), 0, true));
        assert_eq!(told[2], (seconds(64), 3, false));
        assert_eq!(told[1], (seconds(64), 1, true));
    }

    #[test]
    fn polls_are_least_polls_and_powers_of_two_of_cycles() {
        let ladder = |min: i64, max: i64| {
            let mut poll = seconds(min);
            let mut polls = vec![min];
            while let Some(next) = longer(CYCLE, poll, seconds(max)) {
                poll = next;
                polls.push(poll.as_nanos() / 1_000_000_000);
            }
            for pair in polls.windows(2) {
                assert_eq!(
                    shorter(CYCLE, seconds(pair[1]), seconds(min)),
                    seconds(pair[0])
                );
            }
            polls
        };
        assert_eq!(ladder(16, 64), [16, 32, 64]);
        assert_eq!(ladder(4, 100), [4, 16, 32, 64]);
        assert_eq!(ladder(20, 64), [20, 32, 64]);
        assert_eq!(ladder(64, 64), [64]);
    }

    proptest! {
        #[test]
        fn every_cycle_has_a_source_to_be_asked_if_that_can_be(
            sources in prop::collection::vec((0u32..5, 0u32..5, any::<bool>(), 0u64..64), 1..9),
        ) {
            let of = |exponent: u32| 16 << exponent;
            let settings: Vec<SourceSettings> =
                sources.iter().map(|(min, ..)| settings(of(*min), 1_024)).collect();
            let mut pacings: Vec<Pacing> = sources
                .iter()
                .map(|(min, more, _, place)| Pacing { place: *place, ..survivor(of(min + more)) })
                .collect();
            let survive: Vec<bool> = sources.iter().map(|(_, _, survives, _)| *survives).collect();
            shared_out(&settings, &mut pacings, &survive);

            let counted = || (0..sources.len()).filter(|k| survive[*k]);
            let most: u64 = counted().map(|k| share(CYCLE, settings[k].poll)).sum();
            for k in 0..sources.len() {
                prop_assert!(settings[k].poll <= pacings[k].poll && pacings[k].poll <= pacings[k].wish);
            }
            let is_asked = |cycle: u64| {
                counted().any(|k| {
                    let places = places(CYCLE, pacings[k].poll).expect("a power of two");
                    cycle % places == pacings[k].place % places
                })
            };
            prop_assert!(most < MOST_PLACES || (0..64).all(is_asked), "{:?}", pacings);
        }
    }
}
