//! Samples into the socket of chronyd's `refclock SOCK` or of ntpd-rs's `sock` source.
//!
//! In: samples. Out: a datagram each, see [`sys::sock`](crate::sys::sock). Nobody there, or a socket that is closed to us, is tried
//! again with every sample; it never ends the daemon. Nothing is kept for a reader that comes later, and nothing taken back.

use super::{Published, Reader, Sample, Sink, SinkError};
use crate::sys::sock::{Listener, Message, Sender, SockError};
use std::path::PathBuf;

/// The socket at one path.
#[derive(Debug)]
pub struct SockSink {
    sender: Sender,
}

impl SockSink {
    /// A sink for the socket at this path (absolute, at most 107 bytes); it need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self {
            sender: Sender::new(path),
        }
    }

    /// What a sample would meet now, so that a refusal is known at the start.
    pub fn probe(&self) -> Result<Listener, SockError> {
        self.sender.probe()
    }
}

impl Sink for SockSink {
    fn publish(&mut self, sample: &Sample) -> Result<Published, SinkError> {
        sample.check()?;
        let listener = self.sender.send(&Message {
            receive: sample.receive,
            offset: sample.offset(),
            leap: sample.leap,
        })?;
        Ok(Published {
            output: format!("SOCK({})", self.sender.path().display()),
            reader: Some(Reader::Socket(listener)),
            notice: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::leap::Leap;
    use crate::engine::time::{Span, Utc};
    use std::os::unix::net::UnixDatagram;

    const SAMPLE: Sample = Sample {
        receive: Utc::from_nanos(1_790_557_227_000_000_999),
        clock: Utc::from_nanos(1_790_557_227_012_345_678),
        bound: Span::from_millis(40),
        leap: Leap::Insert,
    };

    /// A path that nobody else has; nothing is there afterwards.
    struct Path(PathBuf);

    impl Path {
        fn new(test: &str) -> Self {
            let name = format!("webntpd-output-{}-{test}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Path {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_sample_is_sent_with_its_offset_and_leap_second() {
        let path = Path::new("sent");
        let mut sink = SockSink::new(path.0.clone());
        let mut publish = || sink.publish(&SAMPLE).expect("nothing in the way");
        let absent = publish();
        assert_eq!(absent.output, format!("SOCK({})", path.0.display()));
        assert_eq!(absent.reader, Some(Reader::Socket(Listener::Absent)));
        let reader = UnixDatagram::bind(&path.0).expect("a new socket");
        assert_eq!(publish().reader, Some(Reader::Socket(Listener::Bound)));
        let mut bytes = [0; 41];
        assert_eq!(reader.recv(&mut bytes).expect("one is there"), 40);
        let expected = Message {
            receive: SAMPLE.receive,
            offset: Span::from_nanos(12_344_679),
            leap: Leap::Insert,
        };
        assert_eq!(bytes[..40], expected.bytes());
    }

    #[test]
    fn an_implausible_sample_is_not_sent() {
        let path = Path::new("absurd");
        let reader = UnixDatagram::bind(&path.0).expect("a new socket");
        reader.set_nonblocking(true).expect("it may");
        let absurd = Sample {
            clock: Utc::from_secs(4_102_444_800),
            ..SAMPLE
        };
        let refused = SockSink::new(path.0.clone()).publish(&absurd);
        assert!(matches!(refused, Err(SinkError::OutOfRange { .. })));
        assert!(reader.recv(&mut [0; 41]).is_err());
    }

    #[test]
    fn what_is_in_the_way_is_told_until_it_is_gone() {
        let path = Path::new("in-the-way");
        std::fs::write(&path.0, "").expect("a new file");
        let mut sink = SockSink::new(path.0.clone());
        assert!(sink.probe().is_err());
        let error = sink.publish(&SAMPLE).expect_err("no socket").to_string();
        assert!(error.contains("is a regular file"), "{error}");
        std::fs::remove_file(&path.0).expect("it is ours");
        let _reader = UnixDatagram::bind(&path.0).expect("a new socket");
        assert!(sink.publish(&SAMPLE).is_ok());
    }
}
