use super::*;
use crate::sys::shm::{Facts, Orphan, Unit};
use proptest::prelude::*;

const NOW: Utc = Utc::from_secs(1_795_000_000);
const UNIT: Unit = Unit(2);

/// 25 ms behind, 400 ms ago, taken.
fn picture() -> Picture {
    Picture {
        mode: 1,
        count: 42,
        clock: Split {
            sec: 1_794_999_999,
            usec: 625_000,
            nsec: 625_000_000,
        },
        receive: Split {
            sec: 1_794_999_999,
            usec: 600_000,
            nsec: 600_000_000,
        },
        leap: 0,
        precision: -10,
        nsamples: 3,
        valid: 0,
    }
}

fn found() -> Found {
    Found {
        id: 7,
        facts: Facts {
            owner: 0,
            creator: 0,
            mode: 0o666,
            size: 96,
        },
        creator_pid: 120,
        attached: 2,
        removed: false,
        last_attach: Some(NOW - Span::from_secs(60)),
        last_detach: None,
        reading: Reading::Copied(picture()),
    }
}

fn look(found: Found) -> Look {
    Look {
        unit: UNIT,
        found: Some(found),
        orphans: Vec::new(),
    }
}

fn findings(found: Found) -> Vec<Finding> {
    judge(&look(found), NOW, QUIET)
}

/// What is found beside the note that all may write.
fn findings_of(change: impl FnOnce(&mut Picture)) -> Vec<Finding> {
    let mut picture = picture();
    change(&mut picture);
    let mut findings = findings(Found {
        reading: Reading::Copied(picture),
        ..found()
    });
    findings.retain(|finding| *finding != PUBLIC);
    findings
}

const PUBLIC: Finding = Finding::Public { mode: 0o666 };

/// The stamps moved, in seconds.
fn aged(picture: &mut Picture, seconds: i64) {
    picture.clock.sec -= seconds;
    picture.receive.sec -= seconds;
}

fn age(seconds: i64) -> Span {
    Span::from_secs(seconds) + Span::from_millis(400)
}

fn has(findings: &[Finding], finding: Finding) {
    assert!(
        findings.contains(&finding),
        "{finding:?} not in {findings:?}"
    );
}

#[test]
fn where_a_reader_takes_what_a_writer_writes_nothing_is_wrong() {
    assert_eq!(findings(found()), [PUBLIC]);
    assert!(!PUBLIC.is_fault());
    assert_eq!(findings_of(|picture| picture.valid = 1), []);
    assert_eq!(findings_of(|picture| picture.mode = 0), []);
    assert_eq!(findings_of(|picture| picture.valid = -1), []);
}

#[test]
fn no_segment_is_a_fault() {
    let none = Look {
        found: None,
        ..look(found())
    };
    let missing = Finding::Missing { unit: UNIT };
    assert_eq!(judge(&none, NOW, QUIET), [missing]);
    assert!(missing.is_fault());
    let text = missing.to_string();
    assert!(text.contains("is webntpd or ntpd running"), "{text}");
}

#[test]
fn a_segment_that_only_its_owner_may_open_keeps_confined_daemons_out() {
    let private = |owner, mode| {
        let facts = Facts {
            owner,
            mode,
            ..found().facts
        };
        findings(Found { facts, ..found() })
    };
    for mode in [0o600, 0o644, 0o660] {
        let finding = Finding::Private {
            unit: UNIT,
            owner: 1000,
            mode,
        };
        assert_eq!(private(1000, mode), [finding]);
    }
    let text = private(1000, 0o600)[0].to_string();
    assert!(
        text.starts_with(
            "owned by uid 1000, mode 0600: ntpd or chronyd under AppArmor cannot attach"
        ),
        "{text}"
    );
    assert!(text.contains("ipcrm -M 0x4e545032"), "{text}");
    // Root's daemons have it as their own.
    let roots = Finding::RootsOwn { mode: 0o600 };
    assert_eq!(private(0, 0o600), [roots]);
    assert!(!roots.is_fault());
    assert_eq!(private(1000, 0o666), [PUBLIC]);
}

#[test]
fn a_segment_below_96_bytes_stops_chronyd() {
    let small = |size| {
        let facts = Facts {
            size,
            ..found().facts
        };
        let reading = Reading::TooSmall;
        findings(Found {
            facts,
            reading,
            ..found()
        })
    };
    let finding = |size| Finding::TooSmall { unit: UNIT, size };
    assert_eq!(small(80), [finding(80), PUBLIC]);
    assert_eq!(small(95), [finding(95), PUBLIC]);
    assert_eq!(small(4096), [PUBLIC]);
}

#[test]
fn a_segment_wants_one_who_writes_and_one_who_reads() {
    let with = |attached, valid, receive_age: i64| {
        let mut picture = picture();
        picture.valid = valid;
        aged(&mut picture, receive_age);
        findings(Found {
            attached,
            reading: Reading::Copied(picture),
            ..found()
        })
    };
    has(&with(0, 0, 0), Finding::Deserted);
    assert_eq!(with(1, 1, 0), [Finding::NoReader, PUBLIC]);
    // Who wrote it may have gone.
    assert_eq!(with(1, 0, 0), [Finding::Alone, PUBLIC]);
    // Nobody takes what somebody writes: that is said once.
    assert_eq!(with(1, 1, 6), [Finding::NoReader, PUBLIC]);
    has(&with(1, 1, 181), Finding::Alone);
    assert_eq!(with(3, 1, 0), [PUBLIC]);
}

#[test]
fn a_sample_that_waits_for_longer_than_ntpd_accepts_has_no_reader() {
    let waiting = |seconds| {
        findings_of(|picture| {
            picture.valid = 1;
            aged(picture, seconds);
        })
    };
    assert_eq!(waiting(4), []);
    assert_eq!(waiting(5), [Finding::NotTaken { age: age(5) }]);
}

#[test]
fn an_old_last_sample_means_that_nobody_writes() {
    let old = |seconds| findings_of(|picture| aged(picture, seconds));
    assert_eq!(old(170), []);
    assert_eq!(old(180), [Finding::Silent { age: age(180) }]);
    let slow = judge(
        &look(found()),
        NOW + Span::from_secs(1_000),
        Span::from_secs(4_096),
    );
    assert_eq!(slow, [PUBLIC], "as slowly as the configuration says");
}

#[test]
fn a_segment_without_any_sample_is_no_sample_of_1970() {
    let empty = |valid| {
        findings_of(|picture| {
            let zero = Split {
                sec: 0,
                usec: 0,
                nsec: 0,
            };
            (picture.clock, picture.receive, picture.valid) = (zero, zero, valid);
        })
    };
    assert_eq!(empty(0), [Finding::Empty]);
    assert_eq!(empty(1).len(), 2, "waiting, silent: {:?}", empty(1));
}

#[test]
fn what_could_not_be_copied_is_not_called_well() {
    let errno = libc::EPERM;
    for (reading, finding) in [
        (Reading::Restless, Finding::Restless),
        (Reading::Denied { user: 990 }, Finding::Denied { user: 990 }),
        (Reading::Spared, Finding::Spared),
        (Reading::Failed { errno }, Finding::Failed { errno }),
    ] {
        assert_eq!(findings(Found { reading, ..found() }), [finding, PUBLIC]);
        assert!(finding.is_fault());
    }
}

#[test]
fn a_receive_stamp_is_not_later_than_now() {
    let ahead = findings_of(|picture| aged(picture, -1));
    let finding = Finding::Future {
        ahead: Span::from_millis(600),
    };
    assert_eq!(ahead, [finding]);
}

#[test]
fn an_odd_count_is_half_a_sample_only_where_no_whole_one_waits() {
    let odd = |valid, seconds| {
        findings_of(|picture| {
            (picture.count, picture.valid) = (-7, valid);
            aged(picture, seconds);
        })
    };
    assert_eq!(odd(1, 0), [Finding::OddCount]);
    assert_eq!(odd(0, 0), [Finding::OddCount]);
    has(&odd(0, 200), Finding::HalfWritten);
    has(&odd(1, 200), Finding::OddCount);
    assert!(Finding::HalfWritten.is_fault() && !Finding::OddCount.is_fault());
}

#[test]
fn the_mode_field_is_0_or_1() {
    for mode in [-1, 2] {
        let found = findings_of(|picture| picture.mode = mode);
        assert_eq!(found, [Finding::BadMode { mode }]);
    }
}

#[test]
fn nanoseconds_and_microseconds_say_the_same() {
    let rounded = findings_of(|picture| picture.clock.usec += 1);
    assert_eq!(rounded, [Finding::Contradiction]);
    let micros = findings_of(|picture| (picture.clock.nsec, picture.receive.nsec) = (0, 0));
    assert_eq!(micros, [Finding::OnlyMicros]);
    assert!(!Finding::OnlyMicros.is_fault());
    let nanos = findings_of(|picture| (picture.clock.usec, picture.receive.usec) = (0, 0));
    assert_eq!(nanos, [Finding::OnlyNanos]);
}

#[test]
fn microseconds_and_nanoseconds_are_less_than_a_second() {
    let nanos = findings_of(|picture| picture.clock.nsec = 4_000_000_000);
    assert_eq!(nanos, [Finding::OutOfRange]);
    for usec in [-1, 1_000_000] {
        let micros = findings_of(|picture| picture.receive.usec = usec);
        has(&micros, Finding::OutOfRange);
    }
}

#[test]
fn leap_is_0_1_or_2() {
    for leap in [1, 2] {
        assert_eq!(findings_of(|picture| picture.leap = leap), []);
    }
    assert_eq!(
        findings_of(|picture| picture.leap = 3),
        [Finding::NotInSync]
    );
    for leap in [-1, 4, 259] {
        let found = findings_of(|picture| picture.leap = leap);
        assert_eq!(found, [Finding::BadLeap { leap }]);
    }
}

#[test]
fn precision_is_between_a_nanosecond_and_a_second() {
    for precision in [-30, 0] {
        assert_eq!(findings_of(|picture| picture.precision = precision), []);
    }
    for precision in [-31, 1, 127] {
        let found = findings_of(|picture| picture.precision = precision);
        assert_eq!(found, [Finding::BadPrecision { precision }]);
    }
}

#[test]
fn an_offset_of_more_than_four_hours_is_absurd() {
    let by = |seconds| findings_of(|picture| picture.clock.sec += seconds);
    assert_eq!(by(14_399), []);
    for seconds in [14_400, -14_401] {
        let offset = Span::from_secs(seconds) + Span::from_millis(25);
        assert_eq!(by(seconds), [Finding::Absurd { offset }]);
    }
}

#[test]
fn a_removed_segment_is_told_and_so_is_one_that_may_have_been_this_one() {
    let removed = Found {
        removed: true,
        ..found()
    };
    assert_eq!(findings(removed), [Finding::Removed, PUBLIC]);
    let orphans = vec![Orphan { id: 5, attached: 1 }];
    let orphan = Finding::Orphan { id: 5 };
    let beside = |attached| Look {
        orphans: orphans.clone(),
        ..look(Found {
            attached,
            ..found()
        })
    };
    has(&judge(&beside(1), NOW, QUIET), orphan);
    assert_eq!(judge(&beside(2), NOW, QUIET), [PUBLIC], "somebody else's");
    let alone = Look {
        found: None,
        ..beside(0)
    };
    has(&judge(&alone, NOW, QUIET), orphan);
}

fn shown(look: &Look, act: impl FnOnce(&Account<'_>) -> String) -> String {
    let findings = judge(look, NOW, QUIET);
    act(&Account {
        look,
        owner: Some("root"),
        now: NOW,
        findings: &findings,
    })
}

#[test]
fn a_segment_is_shown_in_words() {
    let expected = "\
shm unit 2, key 0x4e545032, segment 7
  owner     root (uid 0), permissions 0666, 96 bytes
  made by   process 120
  attached  by 2 processes
  sample    offset +25.000 ms, the system clock is behind
            400.000 ms old, taken by a reader
            leap 0 (none), precision -10 (976.563 us), count 42, protocol mode 1
note: mode 0666: every user of this machine may write to it, as is usual from unit 2 up
nothing is wrong
";
    let text = shown(&look(found()), |account| account.to_string());
    assert_eq!(text, expected);
}

#[test]
fn what_is_wrong_stands_before_what_is_worth_to_be_known() {
    let text = shown(
        &look(Found {
            attached: 0,
            ..found()
        }),
        |account| account.to_string(),
    );
    let wrong = text.find("\nwrong: nobody has it").expect("it is wrong");
    assert!(wrong < text.find("\nnote: ").expect("a note"), "{text}");
    assert!(!text.contains("nothing is wrong"), "{text}");
}

fn json(account: &Account<'_>) -> String {
    serde_json::to_string(&LookObject::new(account)).unwrap()
}

#[test]
fn json_has_whole_nanoseconds_and_the_names_of_the_findings() {
    let text = shown(&look(found()), json);
    let sample = "\"sample\":{\"offset_ns\":25000000,\"clock_ns\":1794999999625000000,\
                  \"receive_ns\":1794999999600000000,\"age_ns\":400000000,\"leap\":0,\"precision\":-10,\"count\":42,\
                  \"mode\":1,\"nsamples\":3,\"valid\":0}";
    assert!(text.contains(sample), "{text}");
    assert!(
        text.starts_with("{\"unit\":2,\"key\":1314148402,\"segment\":{\"id\":7,"),
        "{text}"
    );
    assert!(
        text.contains("\"well\":true,\"findings\":[{\"name\":\"public\",\"fault\":false,"),
        "{text}"
    );
    let none = Look {
        found: None,
        ..look(found())
    };
    let text = shown(&none, json);
    assert!(text.contains("\"segment\":null"), "{text}");
}

proptest! {
    #[test]
    fn nothing_in_a_segment_panics(
        clock in any::<(i64, i32, u32)>(),
        receive in any::<(i64, i32, u32)>(),
        (mode, count, leap, precision, valid) in any::<(i32, i32, i32, i32, i32)>(),
        now in any::<i64>(),
    ) {
        let split = |(sec, usec, nsec)| Split { sec, usec, nsec };
        let picture = Picture {
            mode, count, leap, precision, valid,
            clock: split(clock),
            receive: split(receive),
            nsamples: 0,
        };
        let look = look(Found { reading: Reading::Copied(picture), ..found() });
        let now = Utc::from_nanos(now);
        let findings = judge(&look, now, QUIET);
        let account = Account { look: &look, owner: None, now, findings: &findings };
        let _ = (account.to_string(), account.row(), json(&account));
    }
}
