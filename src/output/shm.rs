//! Samples into NTP shared memory, for ntpd and chronyd.
//!
//! In: samples. Out: the segment of one unit, see [`sys::shm`](crate::sys::shm), and in words what a person
//! should do about it. A segment that cannot be used is tried again with every sample; it never ends the
//! daemon.

use super::{Published, Sample, Sink, SinkError};
use crate::sys::reader::Reader;
use crate::sys::shm::{Policy, ShmError, Stamp, Unit, Writer, Written};

/// The segment of one unit. Dropping it takes back a sample that nobody has read: what is not updated any
/// more should not be read as new.
#[derive(Debug)]
pub struct ShmSink {
    writer: Writer,
}

impl ShmSink {
    /// A sink for this unit; nothing is attached yet.
    pub fn new(unit: Unit, policy: Policy) -> Self {
        Self {
            writer: Writer::new(unit, policy),
        }
    }

    /// The unit that it feeds.
    pub fn unit(&self) -> Unit {
        self.writer.unit()
    }

    /// Attaches the segment before there is anything to write, so that a reader can find it and a refusal is
    /// known at the start. [`publish`](Sink::publish) attaches too.
    pub fn attach(&mut self) -> Result<(), ShmError> {
        self.writer.attach()
    }

    /// Stops, and removes the segment if this process made it: for a private unit that no daemon reads.
    pub fn remove(mut self) {
        let empty = Writer::new(self.writer.unit(), self.writer.policy());
        std::mem::replace(&mut self.writer, empty).remove();
    }
}

impl Sink for ShmSink {
    fn publish(&mut self, sample: &Sample) -> Result<Published, SinkError> {
        sample.check()?;
        let written = self.writer.write(&Stamp {
            clock: sample.clock,
            receive: sample.receive,
            leap: sample.leap,
            precision: sample.precision(),
        })?;
        Ok(Published {
            reader: written.reader.map(Reader::Segment),
            notice: notice(self.writer.unit(), &written),
        })
    }
}

impl Drop for ShmSink {
    fn drop(&mut self) {
        self.writer.withdraw();
    }
}

/// What is said of a segment that somebody else writes to as well; with the unit before it, and what to do behind it.
pub const RIVAL: &str = "another program writes to the same segment";

/// What a person should know and do about what was written; the gravest thing only.
fn notice(unit: Unit, written: &Written) -> Option<String> {
    if let Some(refused) = &written.refused {
        Some(format!(
            "somebody removed the segment and made another one, only the old one is fed: {refused}"
        ))
    } else if written.rival {
        Some(format!(
            "shm unit {unit}: {RIVAL}; give one of them another unit"
        ))
    } else if written.removed {
        Some(format!(
            "shm unit {unit}: somebody removed the segment while it was in use; restart the daemon that reads it"
        ))
    } else if written.abandoned {
        Some(format!(
            "shm unit {unit}: no daemon has the segment, but one that was removed is still in use; \
             restart the daemon that should read unit {unit}"
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::leap::Leap;
    use crate::engine::time::{Span, Utc};
    use crate::sys::shm::ReaderState;
    use crate::sys::shm::rig::Rig;

    const SAMPLE: Sample = Sample {
        receive: Utc::from_nanos(1_790_557_227_000_000_001),
        clock: Utc::from_nanos(1_790_557_227_012_345_678),
        bound: Span::from_millis(40),
        leap: Leap::Insert,
    };

    fn sink(rig: &Rig) -> ShmSink {
        ShmSink::new(rig.unit(), Policy::usual(rig.unit()))
    }

    fn i32_at(bytes: &[u8], at: usize) -> i32 {
        i32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
    }

    #[test]
    fn a_sample_is_written_with_its_precision_and_leap_second() {
        let rig = Rig::new();
        let mut sink = sink(&rig);
        let published = sink.publish(&SAMPLE).expect("nothing in the way");
        assert_eq!(published.reader, Some(Reader::Segment(ReaderState::Absent)));
        let bytes = rig.bytes();
        // clockTimeStampNSec and receiveTimeStampNSec, then leap, precision, valid.
        assert_eq!((i32_at(&bytes, 52), i32_at(&bytes, 56)), (12_345_678, 1));
        assert_eq!(
            (i32_at(&bytes, 36), i32_at(&bytes, 40), i32_at(&bytes, 48)),
            (1, -4, 1)
        );
    }

    #[test]
    fn an_implausible_sample_leaves_the_segment_alone() {
        let rig = Rig::new();
        let mut sink = sink(&rig);
        sink.attach().expect("nothing in the way");
        let absurd = Sample {
            clock: Utc::from_secs(4_102_444_800),
            ..SAMPLE
        };
        assert!(matches!(
            sink.publish(&absurd),
            Err(SinkError::OutOfRange { .. })
        ));
        assert_eq!(rig.bytes(), [0; 96]);
    }

    #[test]
    fn a_sink_that_failed_works_once_the_segment_is_right() {
        let rig = Rig::new();
        rig.make(80, 0o666);
        let mut sink = sink(&rig);
        assert!(sink.attach().is_err());
        let error = sink.publish(&SAMPLE).expect_err("too small").to_string();
        assert!(error.contains("smaller than the 96 bytes"), "{error}");
        rig.remove();
        assert!(sink.publish(&SAMPLE).is_ok());
    }

    #[test]
    fn dropping_the_sink_takes_an_unread_sample_back_and_leaves_the_segment() {
        let rig = Rig::new();
        let mut sink = sink(&rig);
        sink.publish(&SAMPLE).expect("nothing in the way");
        drop(sink);
        assert_eq!(i32_at(&rig.bytes(), 48), 0);
    }

    #[test]
    fn the_defaults_of_the_configuration_are_what_all_daemons_do() {
        for unit in 0..=255 {
            let configured = crate::config::Shm::of_unit(unit);
            let usual = Policy::usual(Unit(unit));
            assert_eq!(
                (configured.mode, configured.owner_check),
                (usual.mode, usual.owner_check)
            );
        }
    }

    #[test]
    fn removing_leaves_nothing_of_a_private_unit() {
        let rig = Rig::new();
        let mut sink = sink(&rig);
        sink.publish(&SAMPLE).expect("nothing in the way");
        let Unit(unit) = sink.unit();
        sink.remove();
        assert_eq!(crate::sys::shm::free_unit(unit..=unit), Some(Unit(unit)));
    }

    #[test]
    fn a_notice_names_the_gravest_state_and_the_remedy() {
        let well = Written {
            reader: Some(ReaderState::Live),
            segments: 1,
            removed: false,
            abandoned: false,
            rival: false,
            refused: None,
        };
        assert_eq!(notice(Unit(2), &well), None);
        let abandoned = Written {
            abandoned: true,
            ..well
        };
        assert_eq!(
            notice(Unit(2), &abandoned).expect("an orphan"),
            "shm unit 2: no daemon has the segment, but one that was removed is still in use; \
             restart the daemon that should read unit 2"
        );
        let removed = Written {
            removed: true,
            ..abandoned
        };
        assert_eq!(
            notice(Unit(2), &removed).expect("no key"),
            "shm unit 2: somebody removed the segment while it was in use; restart the daemon that reads it"
        );
        let rival = Written {
            rival: true,
            ..removed
        };
        assert_eq!(
            notice(Unit(2), &rival).expect("a rival"),
            "shm unit 2: another program writes to the same segment; give one of them another unit"
        );
        let error = ShmError::System {
            unit: Unit(2),
            call: "shmat",
            errno: libc::ENOMEM,
        };
        let refused = Written {
            refused: Some(error.clone()),
            ..rival
        };
        assert_eq!(
            notice(Unit(2), &refused).expect("a refusal"),
            format!(
                "somebody removed the segment and made another one, only the old one is fed: {error}"
            )
        );
    }
}
