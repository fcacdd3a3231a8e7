use super::*;
use crate::sys::shm::{Facts, Orphan, Split};

const UNIT: Unit = Unit(2);

fn at(tenths: i64) -> Utc {
    Utc::from_secs(1_795_000_000) + PERIOD.times(tenths)
}

/// The sample of this number.
fn picture(number: i32, valid: i32) -> Picture {
    let split = |nsec| Split {
        sec: 1_795_000_000 + i64::from(number),
        usec: nsec as i32 / 1_000,
        nsec,
    };
    Picture {
        mode: 1,
        count: 2 * number,
        clock: split(25_000_000),
        receive: split(0),
        leap: 0,
        precision: -10,
        nsamples: 3,
        valid,
    }
}

fn segment(id: i32, reading: Reading) -> Look {
    let facts = Facts {
        owner: 0,
        creator: 0,
        mode: 0o666,
        size: 96,
    };
    let found = Found {
        id,
        facts,
        creator_pid: 1,
        attached: 2,
        removed: false,
        last_attach: None,
        last_detach: None,
        reading,
    };
    Look {
        unit: UNIT,
        found: Some(found),
        orphans: Vec::new(),
    }
}

fn copied(number: i32, valid: i32) -> Look {
    segment(7, Reading::Copied(picture(number, valid)))
}

/// A watch that has seen the first sample, taken long ago.
fn begun() -> Watch {
    let mut watch = Watch::default();
    let events = watch.see(&copied(1, 0), at(0));
    assert!(matches!(events[..], [Event::Segment(..)]), "{events:?}");
    watch
}

fn sample(number: i32, valid: i32, seen: Utc, fate: Fate) -> Event {
    let picture = picture(number, valid);
    Event::Sample(Sample { picture, seen }, fate)
}

#[test]
fn a_sample_is_told_once_when_it_is_taken() {
    let mut watch = begun();
    assert_eq!(watch.see(&copied(2, 1), at(1)), []);
    assert_eq!(watch.see(&copied(2, 1), at(2)), []);
    let taken = sample(2, 1, at(1), Fate::Taken);
    assert_eq!(watch.see(&copied(2, 0), at(3)), [taken]);
    assert_eq!(watch.see(&copied(2, 0), at(4)), []);
}

#[test]
fn a_sample_that_is_taken_before_it_is_seen_is_told_too() {
    let mut watch = begun();
    assert_eq!(watch.see(&copied(2, 0), at(1)), []);
    let taken = sample(2, 0, at(1), Fate::Taken);
    assert_eq!(watch.see(&copied(2, 0), at(2)), [taken]);
}

#[test]
fn a_sample_that_nobody_takes_is_told_when_the_next_one_comes_or_patience_ends() {
    let mut watch = begun();
    watch.see(&copied(2, 1), at(1));
    let replaced = sample(2, 1, at(1), Fate::Replaced);
    assert_eq!(watch.see(&copied(3, 1), at(2)), [replaced]);
    assert_eq!(watch.see(&copied(3, 1), at(21)), []);
    let waiting = sample(3, 1, at(2), Fate::Waiting);
    assert_eq!(watch.see(&copied(3, 1), at(22)), [waiting]);
    assert_eq!(watch.see(&copied(3, 1), at(23)), []);
}

#[test]
fn half_a_sample_is_told_when_it_is_whole() {
    let mut watch = begun();
    let half = Picture {
        count: 3,
        ..picture(2, 0)
    };
    assert_eq!(watch.see(&segment(7, Reading::Copied(half)), at(1)), []);
    assert_eq!(watch.see(&copied(2, 1), at(2)), []);
    let taken = sample(2, 1, at(2), Fate::Taken);
    assert_eq!(watch.see(&copied(2, 0), at(3)), [taken]);
}

#[test]
fn a_segment_that_goes_is_told_and_so_is_the_next_one() {
    let none = |orphans| Look {
        unit: UNIT,
        found: None,
        orphans,
    };
    let gone = |removed| Event::None {
        removed,
        gone: true,
    };
    let mut watch = begun();
    assert_eq!(watch.see(&none(vec![]), at(1)), [gone(false)]);
    assert_eq!(watch.see(&none(vec![]), at(2)), []);
    let events = watch.see(&segment(8, Reading::Denied { user: 1000 }), at(3));
    let [event @ Event::Segment(..)] = &events[..] else {
        panic!("{events:?}");
    };
    let line = event.line(UNIT, &TimeZone::UTC);
    assert!(
        line.starts_with("shm unit 2: segment 8, owner root (uid 0), mode 0666"),
        "{line}"
    );
    assert!(line.ends_with("may not be read by this user"), "{line}");
    // It lives on with those who have it.
    let orphan = Orphan { id: 8, attached: 1 };
    assert_eq!(watch.see(&none(vec![orphan]), at(4)), [gone(true)]);
    let first = Event::None {
        removed: false,
        gone: false,
    };
    assert_eq!(Watch::default().see(&none(vec![orphan]), at(0)), [first]);
}

#[test]
fn another_segment_under_the_same_key_is_told() {
    let mut watch = begun();
    watch.see(&copied(2, 1), at(1));
    let events = watch.see(&segment(8, Reading::Copied(picture(3, 1))), at(2));
    let waiting = sample(2, 1, at(1), Fate::Waiting);
    assert_eq!(events[0], waiting);
    assert!(matches!(&events[1..], [Event::Segment(found, _)] if found.id == 8));
}

#[test]
fn a_line_tells_time_offset_age_precision_and_fate() {
    let event = sample(0, 1, at(4), Fate::Taken);
    assert_eq!(
        event.line(UNIT, &TimeZone::UTC),
        "12:26:40.400  offset +25.000 ms, 400.000 ms old, precision 976.563 us, taken"
            .replace("12:26:40.400", &time(at(4), &TimeZone::UTC))
    );
    let json = serde_json::to_string(&event.object()).unwrap();
    assert!(
        json.starts_with(
            "{\"event\":\"sample\",\"fate\":\"taken\",\"sample\":{\"offset_ns\":25000000,"
        ),
        "{json}"
    );
}
