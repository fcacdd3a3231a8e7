//! The WebNTP JSON, and a response body that is stamped when it is sent.
//!
//! In: the Host asked for, the client's stamp, and the leap second to name. Out:
//! `{"id":"localhost:8080","it":1489217288.328757,"st":1489224472.995564,"time":1489224472.995564,"leap":36,"next":1483228800,"step":1}`.
//! Everything but the stamps is written beforehand.

use super::ServerClock;
use crate::engine::time::Utc;
use crate::protocol::decimal::{DecimalSeconds, Fixed};
use crate::protocol::webntp::LeapNotice;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::fmt::Write as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Digits behind the point of a stamp, cut off and never rounded: old clients take the reply for
/// microseconds, and a rounded one would name a moment that has not come yet.
pub(super) const DIGITS: usize = 6;
/// Longest stamp of a client that is echoed, in bytes.
const MAX_ECHO: usize = 32;
/// Longest `id` told back, in characters. A DNS name has at most 253.
const MAX_ID: usize = 255;

/// A reply that lacks only its stamp.
#[derive(Clone, Debug)]
pub(super) struct Json {
    before: String,
    after: String,
}

impl Json {
    /// The reply to a client that asked `host` and sent `sent`: decimal seconds, or anything else,
    /// which is no stamp. `leap` is the leap second that the clock stands before, or else the last one.
    pub(super) fn new(host: &str, sent: &[u8], leap: &LeapNotice) -> Self {
        let mut before = String::with_capacity(64 + host.len());
        before.push_str("{\"id\":\"");
        escape(host.chars().take(MAX_ID), &mut before);
        before.push_str("\",\"it\":");
        before.push_str(echo(sent));
        before.push_str(",\"st\":");
        let after = format!(
            r#","leap":{},"next":{},"step":{}}}"#,
            leap.tai_utc_before,
            leap.next.to_parts().0,
            leap.step
        );
        Self { before, after }
    }

    /// The whole reply, made at `now`.
    pub(super) fn stamped(&self, now: Utc) -> String {
        let stamp = Fixed {
            instant: now,
            digits: DIGITS,
        };
        format!("{}{stamp},\"time\":{stamp}{}", self.before, self.after)
    }
}

/// The number to echo: the client's own digits, as the client compares them, if they are a plain
/// decimal; else 0, "none".
fn echo(sent: &[u8]) -> &str {
    let plain = sent.len() <= MAX_ECHO && DecimalSeconds::parse(sent).is_ok();
    let Some(text) = std::str::from_utf8(sent).ok().filter(|_| plain) else {
        return "0";
    };
    // JSON allows no zeros in front of a number, other than one before the point.
    let needed = text.find('.').unwrap_or(text.len()) - 1;
    let zeros = text[..needed].bytes().take_while(|&b| b == b'0').count();
    &text[zeros..]
}

/// Escapes what may not stand in a JSON string, RFC 8259 §7, and DEL, which terminals obey.
fn escape(text: impl Iterator<Item = char>, out: &mut String) {
    for c in text {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            _ if c.is_ascii_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
}

/// The body of a response: nothing, or the JSON, which gets its stamp when the connection asks for
/// the bytes, after the head of the response has been written.
#[derive(Debug)]
pub(super) struct Reply {
    json: Option<Json>,
    /// The head promised this many bytes.
    length: u64,
    clock: ServerClock,
}

impl Reply {
    pub(super) fn empty() -> Self {
        Self {
            json: None,
            length: 0,
            clock: ServerClock::default(),
        }
    }

    pub(super) fn json(json: Json, clock: ServerClock) -> Self {
        Self {
            length: json.stamped(clock.now()).len() as u64,
            json: Some(json),
            clock,
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(json) = self.json.take() else {
            return Poll::Ready(None);
        };
        let text = json.stamped(self.clock.now());
        if text.len() as u64 != self.length {
            // The clock was set across 2001-09-09, where seconds get their tenth digit, just now.
            let error = io::Error::other("the stamp no longer fits the promised length");
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.json.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(if self.json.is_some() { self.length } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LAST: LeapNotice = LeapNotice {
        tai_utc_before: 36,
        next: Utc::from_secs(1_483_228_800),
        step: 1,
    };

    fn json(host: &str, sent: &[u8]) -> Json {
        Json::new(host, sent, &LAST)
    }

    #[test]
    fn the_documented_example_is_what_is_written() {
        let json = json("localhost:8080", b"1489217288.328757");
        assert_eq!(
            json.stamped(Utc::from_nanos(1_489_224_472_995_564_999)),
            r#"{"id":"localhost:8080","it":1489217288.328757,"st":1489224472.995564,"time":1489224472.995564,"leap":36,"next":1483228800,"step":1}"#
        );
    }

    #[test]
    fn the_leap_second_is_told_as_it_was_given() {
        let coming = LeapNotice {
            tai_utc_before: 37,
            next: Utc::from_secs(2_066_860_800),
            step: -1,
        };
        let text = Json::new("h", b"", &coming).stamped(Utc::from_secs(2_066_860_799));
        assert!(
            text.ends_with(r#","leap":37,"next":2066860800,"step":-1}"#),
            "{text}"
        );
    }

    #[test]
    fn a_stamp_is_cut_off_and_keeps_its_zeros() {
        let json = json("h", b"");
        for (nanos, stamp) in [
            (1_489_224_472_999_999_999, "1489224472.999999"),
            (1_489_224_473_000_000_999, "1489224473.000000"),
            (-1, "0.000000"),
        ] {
            let text = json.stamped(Utc::from_nanos(nanos));
            let expected = format!(r#""it":0,"st":{stamp},"time":{stamp},"#);
            assert!(text.contains(&expected), "{text}");
        }
    }

    #[test]
    fn the_clients_digits_are_echoed_as_a_json_number() {
        for (sent, echoed) in [
            ("1489217288.328757", "1489217288.328757"),
            ("1489217288.3", "1489217288.3"),
            ("1489217288", "1489217288"),
            ("0", "0"),
            ("0.5", "0.5"),
            ("007.50", "7.50"),
            ("00", "0"),
            ("00.10", "0.10"),
            (
                "1.123456789012345678901234567890",
                "1.123456789012345678901234567890",
            ),
        ] {
            assert_eq!(echo(sent.as_bytes()), echoed);
        }
    }

    #[test]
    fn what_is_not_a_plain_short_decimal_is_echoed_as_none() {
        let long = "1.1234567890123456789012345678901";
        for sent in [
            "", "-1", "1e9", "NaN", "1.", ".5", "t=1", "1,2", "\"", "}", long,
        ] {
            assert_eq!(echo(sent.as_bytes()), "0", "{sent:?}");
        }
        assert_eq!(echo(b"\xff"), "0");
    }

    #[test]
    fn a_hostile_host_stays_inside_its_string() {
        let text = json("a\"b\\c\n\0\x7f\u{2028}é", b"").before;
        assert_eq!(
            text,
            "{\"id\":\"a\\\"b\\\\c\\u000a\\u0000\\u007f\u{2028}é\",\"it\":0,\"st\":"
        );
    }

    #[test]
    fn an_endless_host_is_cut() {
        let text = json(&"é".repeat(10_000), b"").before;
        assert_eq!(text.matches('é').count(), MAX_ID);
    }

    #[test]
    fn a_body_that_no_longer_fits_its_length_is_an_error() {
        let mut body = Reply::json(json("h", b""), ServerClock::default());
        body.length += 1;
        let mut context = Context::from_waker(std::task::Waker::noop());
        let frame = Pin::new(&mut body).poll_frame(&mut context);
        assert!(matches!(frame, Poll::Ready(Some(Err(_)))));
    }

    proptest! {
        #[test]
        fn no_bytes_sent_panic(sent: Vec<u8>) {
            let _ = echo(&sent);
        }

        #[test]
        fn an_echo_is_the_number_that_was_sent(sent in "0{0,3}[0-9]{1,9}(\\.[0-9]{1,6})?") {
            let read = |text: &str| DecimalSeconds::parse(text.as_bytes()).map(|read| read.instant);
            prop_assert_eq!(read(echo(sent.as_bytes())), read(&sent));
        }
    }
}
