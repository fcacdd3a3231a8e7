//! The writer against the real kernel, each test on a unit of its own.

use super::super::rig::{Rig, is_root};
use super::segment::foreign;
use super::*;

const NOBODY: u32 = 65_534;

const STAMP: Stamp = Stamp {
    clock: Utc::from_nanos(1_790_557_227_012_345_678),
    receive: Utc::from_nanos(1_790_557_227_000_000_001),
    leap: Leap::None,
    precision: -6,
};

/// A stamp that can be told from others.
fn stamp(number: i64) -> Stamp {
    Stamp {
        clock: Utc::from_nanos(number),
        ..STAMP
    }
}

/// What a reader does with a segment: attach it once, look now and then, take what waits.
struct Reader(Segment);

impl Reader {
    fn of(id: Id) -> Self {
        match Segment::attach(id).expect("the reader may") {
            Attached::Fits(segment, _) => Self(segment),
            Attached::TooSmall(stat) => panic!("{stat:?}"),
        }
    }

    fn take(&self) -> Option<Contents> {
        let contents = self.0.copy();
        self.0.clear_valid();
        contents
    }
}

fn writer(rig: &Rig) -> Writer {
    Writer::new(rig.unit(), Policy::usual(rig.unit()))
}

fn write(writer: &mut Writer, number: i64) -> Written {
    writer.write(&stamp(number)).expect("written")
}

/// What the next sample tells of the reader.
fn seen(writer: &mut Writer) -> Option<ReaderState> {
    write(writer, 1).reader
}

#[test]
fn a_segment_is_made_when_there_is_none_and_stays() {
    let rig = Rig::new();
    let mut writer = writer(&rig);
    writer.attach().expect("nothing in the way");
    let stat = segment::stat(rig.id()).expect("ours");
    assert_eq!((stat.size, stat.mode, stat.attached), (96, 0o666, 1));
    assert_eq!(write(&mut writer, 1).segments, 1);
    drop(writer);
    let stat = segment::stat(rig.id()).expect("still there");
    assert_eq!((stat.attached, stat.removed), (0, false));
    assert_eq!(
        Reader::of(rig.id()).take(),
        Some(stamp(1).contents()),
        "dropping takes nothing back"
    );
}

#[test]
fn units_0_and_1_are_made_private() {
    let modes = [0, 1, 2, 255].map(|unit| Policy::usual(Unit(unit)).mode);
    assert_eq!(modes, [0o600, 0o600, 0o666, 0o666]);
}

#[test]
fn a_segment_is_made_with_the_mode_that_is_asked_for() {
    let rig = Rig::new();
    let policy = Policy {
        mode: 0o640,
        ..Policy::usual(rig.unit())
    };
    let mut writer = Writer::new(rig.unit(), policy);
    writer.attach().expect("nothing in the way");
    assert_eq!(
        segment::stat(rig.id()).map(|stat| stat.mode).ok(),
        Some(0o640)
    );
}

#[test]
fn the_segment_of_another_is_used_as_it_is() {
    let rig = Rig::new();
    let id = rig.make(4096, 0o600);
    let mut writer = writer(&rig);
    assert_eq!(write(&mut writer, 1).segments, 1);
    assert_eq!(segment::stat(id).map(|stat| stat.mode).ok(), Some(0o600));
    assert_eq!(Reader::of(id).take(), Some(stamp(1).contents()));
}

#[test]
fn a_sample_comes_to_the_reader_as_it_was_given() {
    let at = |nanos| Utc::from_nanos(nanos);
    for (stamp, contents) in [
        (
            STAMP,
            ((1_790_557_227, 12_345_678), (1_790_557_227, 1), 0, -6),
        ),
        (
            Stamp {
                clock: at(-1),
                receive: at(-1_000_000_001),
                leap: Leap::Insert,
                precision: 5,
            },
            ((-1, 999_999_999), (-2, 999_999_999), 1, 0),
        ),
        (
            Stamp {
                clock: at(999),
                receive: at(1_999_999_999),
                leap: Leap::Delete,
                precision: -128,
            },
            ((0, 999), (1, 999_999_999), 2, -30),
        ),
    ] {
        let (clock, receive, leap, precision) = contents;
        let expected = Contents {
            clock,
            receive,
            leap,
            precision,
        };
        assert_eq!(stamp.contents(), expected);
    }
}

#[test]
fn a_taken_sample_proves_a_live_reader() {
    let rig = Rig::new();
    let mut writer = writer(&rig);
    assert_eq!(seen(&mut writer), Some(ReaderState::Absent));
    let reader = Reader::of(rig.id());
    assert_eq!(write(&mut writer, 2).reader, None, "there, but new");
    let taken = reader.take();
    assert_eq!(taken, Some(stamp(2).contents()), "the newer one");
    assert_eq!(seen(&mut writer), Some(ReaderState::Live));
    reader.take();
    drop(reader);
    assert_eq!(seen(&mut writer), Some(ReaderState::Live));
    assert_eq!(seen(&mut writer), Some(ReaderState::Absent));
}

#[test]
fn a_reader_is_idle_when_it_leaves_several_samples_in_a_row() {
    let rig = Rig::new();
    let mut writer = writer(&rig);
    writer.attach().expect("nothing in the way");
    let reader = Reader::of(rig.id());
    for first in [None, Some(ReaderState::Live)] {
        assert_eq!(seen(&mut writer), first);
        for _ in 1..PATIENCE {
            assert_eq!(seen(&mut writer), first, "it may poll more rarely");
        }
        for _ in 0..PATIENCE {
            assert_eq!(seen(&mut writer), Some(ReaderState::Attached));
        }
        reader.take();
    }
}

#[test]
fn a_reader_that_takes_one_sample_of_several_is_live_all_the_time() {
    let rig = Rig::new();
    let mut writer = writer(&rig);
    writer.attach().expect("nothing in the way");
    let reader = Reader::of(rig.id());
    seen(&mut writer);
    for number in 0..5 * PATIENCE {
        if number % PATIENCE == 0 {
            reader.take();
        }
        assert_eq!(seen(&mut writer), Some(ReaderState::Live), "{number}");
    }
}

#[test]
fn a_segment_that_was_empty_before_our_first_sample_proves_nothing() {
    let rig = Rig::new();
    let _reader = Reader::of(rig.make(96, 0o600));
    assert_eq!(seen(&mut writer(&rig)), None);
}

#[test]
fn another_writer_on_the_unit_is_noticed_and_hides_the_reader() {
    let rig = Rig::new();
    let (mut ours, mut other) = (writer(&rig), writer(&rig));
    assert!(!write(&mut ours, 1).rival && !write(&mut other, 2).rival);
    let reader = Reader::of(rig.id());
    reader.take();
    let written = write(&mut ours, 3);
    assert_eq!((written.rival, written.reader), (true, None));
    drop(other);
    for _ in 1..MEMORY {
        reader.take();
        let written = write(&mut ours, 4);
        assert_eq!((written.rival, written.reader), (true, None), "at rest");
    }
    reader.take();
    let written = write(&mut ours, 5);
    assert_eq!(
        (written.rival, written.reader),
        (false, Some(ReaderState::Live)),
        "gone"
    );
}

#[test]
fn nothing_moves_without_a_write() {
    let rig = Rig::new();
    let mut writer = writer(&rig);
    write(&mut writer, 1);
    let before = rig.bytes();
    writer.attach().expect("attached already");
    assert_eq!(rig.bytes(), before);
}

// `ipcrm` while both are attached, then the daemon restarts.
#[test]
fn after_ipcrm_both_the_old_and_the_new_segment_are_written_until_the_old_reader_leaves() {
    let rig = Rig::new();
    let mut writer = writer(&rig);
    write(&mut writer, 1);
    let old_reader = Reader::of(rig.id());
    rig.remove();

    let written = write(&mut writer, 2);
    assert_eq!(
        (written.segments, written.removed),
        (1, true),
        "no new one is made while the old one works"
    );
    assert_eq!(old_reader.take(), Some(stamp(2).contents()));
    assert_eq!(segment::lookup(rig.unit().key()).ok(), Some(None));

    let new_reader = Reader::of(rig.make(96, 0o666));
    let written = write(&mut writer, 3);
    assert_eq!((written.segments, written.removed), (2, true));
    assert_eq!(written.reader, Some(ReaderState::Live));
    assert_eq!(old_reader.take(), Some(stamp(3).contents()));
    assert_eq!(new_reader.take(), Some(stamp(3).contents()));

    drop(old_reader);
    let written = write(&mut writer, 4);
    assert_eq!(
        (written.segments, written.removed),
        (1, false),
        "nobody else has the old one"
    );
    assert_eq!(new_reader.take(), Some(stamp(4).contents()));
}

#[test]
fn after_ipcrm_with_nobody_else_attached_a_new_segment_is_made() {
    let rig = Rig::new();
    let mut writer = writer(&rig);
    write(&mut writer, 1);
    let old = rig.id();
    segment::remove(old).expect("ours");
    assert_eq!(write(&mut writer, 2).segments, 1);
    assert_ne!(rig.id(), old);
    assert_eq!(Reader::of(rig.id()).take(), Some(stamp(2).contents()));
}

// `ipcrm`, then the writer restarts: nothing leads back to the segment that the reader has.
#[test]
fn a_reader_left_behind_on_a_removed_segment_is_noticed() {
    let rig = Rig::new();
    let mut old = writer(&rig);
    write(&mut old, 1);
    let reader = Reader::of(rig.id());
    rig.remove();
    assert!(!write(&mut old, 2).abandoned, "it is fed");
    drop(old);

    let mut new = writer(&rig);
    let written = write(&mut new, 3);
    assert_eq!(written.reader, Some(ReaderState::Absent));
    assert!(written.abandoned && !written.removed);
    assert_eq!(reader.take(), Some(stamp(2).contents()));
}

#[test]
fn a_segment_too_small_is_refused_and_not_touched() {
    let rig = Rig::new();
    let id = rig.make(80, 0o666);
    let mut writer = writer(&rig);
    let error = writer.write(&STAMP).expect_err("80 bytes");
    assert!(
        matches!(error, ShmError::TooSmall { segment, .. } if segment.size == 80),
        "{error}"
    );
    assert_eq!(foreign::bytes(id), [0; 80]);
    assert_eq!(segment::stat(id).map(|stat| stat.attached).ok(), Some(0));

    segment::remove(id).expect("ours");
    assert_eq!(
        write(&mut writer, 1).segments,
        1,
        "tried again at the next write"
    );
}

#[test]
fn a_refused_successor_does_not_stop_the_feed_of_the_old_segment() {
    let rig = Rig::new();
    let mut writer = writer(&rig);
    write(&mut writer, 1);
    let reader = Reader::of(rig.id());
    rig.remove();
    rig.make(80, 0o666);
    let written = write(&mut writer, 2);
    assert_eq!(written.segments, 1);
    assert!(matches!(written.refused, Some(ShmError::TooSmall { .. })));
    assert_eq!(reader.take(), Some(stamp(2).contents()));
}

#[test]
fn a_segment_of_another_user_is_refused_and_not_touched() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    let id = rig.make(96, 0o666);
    foreign::chown(id, 1000).expect("root may");
    let error = writer(&rig).write(&STAMP).expect_err("not ours");
    assert!(
        matches!(error, ShmError::Foreign { segment, .. } if segment.owner == 1000),
        "{error}"
    );
    assert_eq!(foreign::bytes(id), [0; 96]);
}

#[test]
fn without_the_owner_check_the_segment_of_another_user_is_fed() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    let id = rig.make(96, 0o666);
    foreign::chown(id, 1000).expect("root may");
    let policy = Policy {
        owner_check: false,
        ..Policy::usual(rig.unit())
    };
    write(&mut Writer::new(rig.unit(), policy), 1);
    assert_eq!(Reader::of(id).take(), Some(stamp(1).contents()));
}

#[test]
fn a_segment_that_another_user_gave_to_root_is_refused() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    foreign::as_user(NOBODY, || {
        foreign::chown(rig.make(96, 0o666), 0).expect("its maker may give it away");
    });
    let error = writer(&rig)
        .write(&STAMP)
        .expect_err("its maker keeps his rights");
    assert!(
        matches!(error, ShmError::Foreign { segment, .. } if (segment.owner, segment.creator) == (0, NOBODY)),
        "{error}"
    );
}

#[test]
fn a_private_segment_of_root_is_denied_to_others_in_words() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    rig.make(96, 0o600);
    let error =
        foreign::as_user(NOBODY, || writer(&rig).write(&STAMP)).expect_err("no right to it");
    let text = error.to_string();
    let facts =
        "uid 65534 may not open the segment (owner uid 0, mode 0600, 96 bytes); have the daemon";
    assert!(text.contains(facts), "{text}");
}

#[test]
fn a_private_segment_of_another_user_is_refused_for_its_owner() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    foreign::as_user(1000, || rig.make(96, 0o600));
    let error =
        foreign::as_user(NOBODY, || writer(&rig).write(&STAMP)).expect_err("no right to it");
    assert!(
        matches!(error, ShmError::Foreign { segment, .. } if (segment.owner, segment.mode) == (1000, 0o600)),
        "{error}"
    );
}

#[test]
fn a_public_segment_of_root_is_written_by_anyone() {
    if !is_root() {
        return;
    }
    let rig = Rig::new();
    let id = rig.make(96, 0o666);
    foreign::as_user(NOBODY, || write(&mut writer(&rig), 1));
    assert_eq!(Reader::of(id).take(), Some(stamp(1).contents()));
}

#[test]
fn withdrawing_takes_the_sample_back_and_leaves_the_segment() {
    let rig = Rig::new();
    let mut writer = writer(&rig);
    write(&mut writer, 1);
    let reader = Reader::of(rig.id());
    writer.withdraw();
    assert_eq!(reader.take(), None);
    let stat = reader.0.stat().expect("ours");
    assert_eq!((stat.attached, stat.removed), (1, false));
    assert_eq!(write(&mut writer, 2).reader, None, "and it can begin again");
}

#[test]
fn a_segment_that_this_process_made_can_be_removed() {
    let rig = Rig::new();
    let mut writer = writer(&rig);
    write(&mut writer, 1);
    writer.remove();
    assert_eq!(segment::lookup(rig.unit().key()).ok(), Some(None));
}

#[test]
fn a_free_unit_is_one_without_a_segment() {
    let rig = Rig::new();
    let Unit(unit) = rig.unit();
    assert_eq!(super::super::free_unit(unit..=unit), Some(rig.unit()));
    rig.make(96, 0o600);
    assert_eq!(super::super::free_unit(unit..=unit), None);
}
