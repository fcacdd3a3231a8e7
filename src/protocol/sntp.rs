//! The packet of NTP as a simple client needs it (RFC 4330; RFC 5905 §7.3).
//!
//! In: a nonce, and later the datagrams that come. Out: the packet to send; whether a datagram answers it; the server's
//! two stamps or a refusal. Not: extension fields, authentication, the exchange itself. The transmit stamp that we send
//! is no time but random bits: it tells nobody what our clock shows, and whoever cannot see the question cannot answer
//! it (as draft-ietf-ntp-data-minimization has it).

use crate::engine::time::{Span, Utc};
use crate::protocol::excerpt::Excerpt;
use crate::protocol::plausible::Plausible;
use crate::protocol::refusal::Refusal;
use crate::protocol::stamp::ServerBounds;

/// Bytes of a packet without extension fields.
pub const LENGTH: usize = 48;

/// No leap warning, version 4, client.
const ASK: u8 = 4 << 3 | 3;
const SERVER: u8 = 4;

/// Seconds from 1900 to 1970.
const EPOCH_S: i64 = 2_208_988_800;
/// Seconds of an era, after which stamps begin anew: in 2036 for the first time.
const ERA_S: i64 = 1 << 32;

/// A server that may be further off than this is no help (RFC 5905 has 1 s for MAXDIST, ntpd 1.5 s).
const MAX_DISTANCE: Span = Span::from_millis(1_500);

/// How long a server is left alone that finds us too fast (RFC 5905 §7.4, RATE).
const RATE_PAUSE: Span = Span::from_secs(900);
/// How long one that wants nothing from us (DENY, RSTR).
const DENY_PAUSE: Span = Span::from_secs(3_600);

/// What a server said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its stamps, each widened by its precision.
    pub server: ServerBounds,
    /// What its leap indicator says of the last minute of the day.
    pub warning: Warning,
}

/// A leap second that is announced for the end of the day, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The midnight at which it would be.
    pub next: Utc,
    /// Its sign, 0 for none.
    pub step: i8,
}

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketFault {
    /// Less than 48 bytes.
    #[error("only {0} bytes")]
    Short(usize),
    /// Not from a server to a client.
    #[error("of mode {0}, not 4")]
    Mode(u8),
    /// Another version.
    #[error("of version {0}")]
    Version(u8),
    /// It answers another question than ours.
    #[error("no answer to our request")]
    Origin,
    /// The server does not know the time.
    #[error("from a server that is not synchronized itself")]
    Unsynchronized,
    /// The server says that it may be far off.
    #[error("from a server that may be off by {} s", .0.as_secs_f64())]
    Distant(Span),
    /// A precision of more than a second.
    #[error("of a precision of 2^{0} s")]
    Precision(i8),
    /// A stamp that was never set.
    #[error("without its stamps")]
    NoStamp,
    /// It left before the request had come.
    #[error("sent before the request was received")]
    Backwards,
}

/// The packet to send.
pub fn request(nonce: u64) -> [u8; LENGTH] {
    let mut packet = [0; LENGTH];
    packet[0] = ASK;
    packet[40..].copy_from_slice(&nonce.to_be_bytes());
    packet
}

/// Refuses a datagram that is no answer to the request with this nonce: late, doubled, from somebody else.
pub fn check_origin(packet: &[u8], nonce: u64) -> Result<(), Refusal> {
    Packet::of(packet, nonce)?;
    Ok(())
}

/// Reads the answer to the request with this nonce.
pub fn parse(packet: &[u8], nonce: u64, plausible: &Plausible) -> Result<Reply, Refusal> {
    let packet = Packet::of(packet, nonce)?;
    let (leap, stratum) = (packet.0[0] >> 6, packet.0[1]);
    if stratum == 0 {
        return Err(packet.kiss());
    }
    if leap == 3 || stratum > 15 {
        return Err(PacketFault::Unsynchronized.into());
    }
    let distance = packet.short(4).half() + packet.short(8);
    if distance > MAX_DISTANCE {
        return Err(PacketFault::Distant(distance).into());
    }
    let resolution = packet.precision()?;
    let received = packet.stamp(32, plausible)?;
    let transmitted = packet.stamp(40, plausible)?;
    // Servers fill what is below their precision with random bits.
    if received - transmitted > resolution.times(2) {
        return Err(PacketFault::Backwards.into());
    }
    let server = ServerBounds {
        departed_after: transmitted - resolution,
        // The stamp was cut to a nanosecond.
        arrived_before: received + resolution + Span::from_nanos(1),
    };
    let (seconds, _) = transmitted.to_parts();
    let warning = Warning {
        next: Utc::from_secs((seconds.div_euclid(86_400) + 1) * 86_400),
        step: match leap {
            1 => 1,
            2 => -1,
            _ => 0,
        },
    };
    Ok(Reply { server, warning })
}

/// A packet of a server to us.
struct Packet<'a>(&'a [u8; LENGTH]);

impl<'a> Packet<'a> {
    fn of(bytes: &'a [u8], nonce: u64) -> Result<Self, PacketFault> {
        let head = bytes.first_chunk().ok_or(PacketFault::Short(bytes.len()))?;
        let packet = Self(head);
        let (version, mode) = (head[0] >> 3 & 7, head[0] & 7);
        if mode != SERVER {
            return Err(PacketFault::Mode(mode));
        }
        // Some servers know no 4.
        if !(3..=4).contains(&version) {
            return Err(PacketFault::Version(version));
        }
        if packet.long(24) != nonce {
            return Err(PacketFault::Origin);
        }
        Ok(packet)
    }

    /// What stratum 0 means (RFC 5905 §7.4).
    fn kiss(&self) -> Refusal {
        let code = &self.0[12..16];
        Refusal::Kiss {
            code: Excerpt::of(code),
            pause: match code {
                b"RATE" => Some(RATE_PAUSE),
                b"DENY" | b"RSTR" => Some(DENY_PAUSE),
                _ => None,
            },
        }
    }

    fn word(&self, at: usize) -> u32 {
        let bytes = [0, 1, 2, 3].map(|nth| self.0[at + nth]);
        u32::from_be_bytes(bytes)
    }

    fn long(&self, at: usize) -> u64 {
        u64::from(self.word(at)) << 32 | u64::from(self.word(at + 4))
    }

    /// Sixteen bits of seconds and sixteen of a fraction.
    fn short(&self, at: usize) -> Span {
        Span::from_nanos((i64::from(self.word(at)) * 1_000_000_000) >> 16)
    }

    /// How far a stamp may be off; a nanosecond at the least.
    fn precision(&self) -> Result<Span, PacketFault> {
        let log2 = self.0[3] as i8;
        if log2 > 0 {
            return Err(PacketFault::Precision(log2));
        }
        let shift = log2.unsigned_abs().min(30);
        Ok(Span::from_nanos((1_000_000_000 >> shift) + 1))
    }

    /// A stamp, in the era in which it is plausible, else nearest to being so.
    fn stamp(&self, at: usize, plausible: &Plausible) -> Result<Utc, Refusal> {
        let stamp = self.long(at);
        if stamp == 0 {
            return Err(PacketFault::NoStamp.into());
        }
        let (seconds, fraction) = ((stamp >> 32) as i64, stamp & 0xffff_ffff);
        let nanos = ((fraction * 1_000_000_000) >> 32) as i64;
        let in_era =
            |era: i64| Utc::from_secs(seconds - EPOCH_S + era * ERA_S) + Span::from_nanos(nanos);
        let beyond = |instant: Utc| {
            let early = plausible.not_before - instant;
            let late = instant - plausible.not_after;
            early.max(late).max(Span::ZERO)
        };
        let (first, second) = (in_era(0), in_era(1));
        let nearest = if beyond(second) < beyond(first) {
            second
        } else {
            first
        };
        plausible.check(nearest)?;
        Ok(nearest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONCE: u64 = 0x0123_4567_89ab_cdef;
    const NOW: Utc = Utc::from_nanos(1_893_456_001_500_000_000);

    /// Seconds since 1900, whatever the era, and a fraction.
    fn ntp(instant: Utc) -> u64 {
        let (seconds, nanos) = instant.to_parts();
        let fraction = (u64::from(nanos) << 32) / 1_000_000_000;
        ((seconds + EPOCH_S) as u64) << 32 | fraction
    }

    /// What a good server says that got our request at `received` and answered a millisecond later.
    fn reply_at(received: Utc) -> [u8; LENGTH] {
        let mut packet = [0; LENGTH];
        packet[..4].copy_from_slice(&[0x24, 2, 6, -20i8 as u8]);
        packet[4..8].copy_from_slice(&0x0000_8000u32.to_be_bytes());
        packet[8..12].copy_from_slice(&0x0000_4000u32.to_be_bytes());
        packet[24..32].copy_from_slice(&NONCE.to_be_bytes());
        packet[32..40].copy_from_slice(&ntp(received).to_be_bytes());
        packet[40..].copy_from_slice(&ntp(received + Span::from_millis(1)).to_be_bytes());
        packet
    }

    fn with(at: usize, bytes: &[u8]) -> Result<Reply, Refusal> {
        let mut packet = reply_at(NOW);
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        parse(&packet, NONCE, &Plausible::release())
    }

    fn refused(at: usize, bytes: &[u8]) -> PacketFault {
        match with(at, bytes) {
            Err(Refusal::Packet(fault)) => fault,
            other => panic!("{at} {bytes:?}: {other:?}"),
        }
    }

    #[test]
    fn a_request_tells_nothing_but_its_nonce() {
        let packet = request(NONCE);
        assert_eq!(packet[0], 0x23);
        assert_eq!(packet[1..40], [0; 39]);
        assert_eq!(packet[40..], NONCE.to_be_bytes());
    }

    #[test]
    fn both_stamps_are_read_and_widened_by_the_precision() {
        let reply = with(0, &[]).expect("it is good");
        let resolution = Span::from_nanos(1_000_000_000 / (1 << 20) + 1);
        let close = |a: Utc, b: Utc| (a - b).abs() <= Span::from_nanos(2);
        let ServerBounds {
            departed_after,
            arrived_before,
        } = reply.server;
        assert!(close(
            departed_after,
            NOW + Span::from_millis(1) - resolution
        ));
        assert!(close(arrived_before, NOW + resolution));
        assert_eq!(reply.warning.step, 0);
        assert_eq!(reply.warning.next, Utc::from_secs(1_893_542_400));
        for (log2, nanos) in [(0i8, 1_000_000_001), (-6, 15_625_001), (-30, 1), (-128, 1)] {
            let reply = with(3, &[log2 as u8]).expect("it is good");
            let width = NOW - reply.server.departed_after + Span::from_millis(1);
            assert!(
                (width - Span::from_nanos(nanos)).abs() <= Span::from_nanos(2),
                "{log2}"
            );
        }
        assert_eq!(refused(3, &[1]), PacketFault::Precision(1));
    }

    #[test]
    fn what_answers_somebody_else_is_told_from_the_answer() {
        let check = |packet: &[u8]| check_origin(packet, NONCE);
        let good = reply_at(NOW);
        assert_eq!(check(&good), Ok(()));
        let longer = [&good[..], &[1; 20]].concat();
        assert_eq!(check(&longer), Ok(()), "extension fields may follow");
        assert_eq!(check(&good[..47]), Err(PacketFault::Short(47).into()));
        assert_eq!(check(&[]), Err(PacketFault::Short(0).into()));
        for (first, fault) in [
            (0x26, PacketFault::Mode(6)),
            (0x23, PacketFault::Mode(3)),
            (0x14, PacketFault::Version(2)),
            (0x2c, PacketFault::Version(5)),
        ] {
            assert_eq!(refused(0, &[first]), fault);
        }
        assert!(with(0, &[0x1c]).is_ok(), "version 3");
        assert_eq!(refused(31, &[0xee]), PacketFault::Origin);
        assert_eq!(refused(24, &[0; 8]), PacketFault::Origin);
    }

    #[test]
    fn a_server_that_does_not_know_the_time_is_refused() {
        assert_eq!(refused(0, &[0xe4]), PacketFault::Unsynchronized);
        assert_eq!(refused(1, &[16]), PacketFault::Unsynchronized);
        assert!(with(1, &[15]).is_ok());
        let distance = Span::from_nanos(1_500_015_258);
        let dispersion = 0x0001_4001u32.to_be_bytes();
        assert_eq!(refused(8, &dispersion), PacketFault::Distant(distance));
        assert!(with(8, &0x0001_4000u32.to_be_bytes()).is_ok());
        assert!(matches!(refused(4, &[0xff; 4]), PacketFault::Distant(_)));
    }

    #[test]
    fn a_kiss_is_told_by_its_code_and_obeyed() {
        let kissed = |code: &[u8; 4]| {
            let mut packet = reply_at(NOW);
            packet[..2].copy_from_slice(&[0xe4, 0]);
            packet[12..16].copy_from_slice(code);
            let refusal = parse(&packet, NONCE, &Plausible::release()).expect_err("a kiss");
            (refusal.retry_after(), refusal.to_string())
        };
        let (pause, words) = kissed(b"RATE");
        assert_eq!(pause, Some(RATE_PAUSE));
        assert_eq!(
            words,
            "the server sends a kiss code \"RATE\" instead of the time, it is left alone for 900 s"
        );
        assert_eq!(kissed(b"DENY").0, Some(DENY_PAUSE));
        assert_eq!(kissed(b"RSTR").0, Some(DENY_PAUSE));
        let (pause, words) = kissed(b"IN\x1b\n");
        assert_eq!(pause, None);
        assert_eq!(
            words,
            r#"the server sends a kiss code "IN\x1b\n" instead of the time"#
        );
    }

    #[test]
    fn a_kiss_that_answers_somebody_else_is_none() {
        let mut packet = reply_at(NOW);
        packet[..2].copy_from_slice(&[0xe4, 0]);
        packet[12..16].copy_from_slice(b"DENY");
        let refusal = parse(&packet, NONCE + 1, &Plausible::release());
        assert_eq!(refusal, Err(PacketFault::Origin.into()));
    }

    #[test]
    fn stamps_that_cannot_be_are_refused() {
        assert_eq!(refused(32, &[0; 8]), PacketFault::NoStamp);
        assert_eq!(refused(40, &[0; 8]), PacketFault::NoStamp);
        let before = ntp(NOW - Span::from_millis(1)).to_be_bytes();
        assert_eq!(refused(40, &before), PacketFault::Backwards);
        // Within the random bits below a precision of 15 ms.
        let mut packet = reply_at(NOW);
        packet[3] = -6i8 as u8;
        packet[40..].copy_from_slice(&before);
        assert!(parse(&packet, NONCE, &Plausible::release()).is_ok());
    }

    #[test]
    fn the_era_is_the_one_in_which_the_stamp_can_be() {
        let wrap = Utc::from_secs(ERA_S - EPOCH_S);
        for instant in [
            Utc::from_secs(1_800_000_000),
            wrap - Span::from_secs(1),
            wrap + Span::from_nanos(1),
            wrap + Span::from_secs(1),
            Utc::from_secs(4_102_444_000),
        ] {
            let reply = parse(&reply_at(instant), NONCE, &Plausible::release());
            let server = reply.expect("it can be").server;
            assert!(
                (server.arrived_before - instant).abs() < Span::from_millis(1),
                "{instant:?}"
            );
        }
        // Between the two stamps the era ends.
        let astride = wrap - Span::from_micros(500);
        assert!(parse(&reply_at(astride), NONCE, &Plausible::release()).is_ok());
        // A clock that is some years behind is behind, not a century ahead.
        let late = parse(
            &reply_at(Utc::from_secs(1_500_000_000)),
            NONCE,
            &Plausible::release(),
        );
        assert!(
            matches!(late, Err(Refusal::BeforeRelease { .. })),
            "{late:?}"
        );
        let far = parse(
            &reply_at(Utc::from_secs(4_200_000_000)),
            NONCE,
            &Plausible::release(),
        );
        assert!(matches!(far, Err(Refusal::BeyondHorizon { .. })), "{far:?}");
    }

    #[test]
    fn the_leap_indicator_names_the_end_of_the_day() {
        for (first, step) in [(0x24, 0), (0x64, 1), (0xa4, -1)] {
            let warning = with(0, &[first]).expect("it is good").warning;
            assert_eq!(warning.step, step);
            assert_eq!(warning.next, Utc::from_secs(1_893_542_400));
        }
    }

    proptest! {
        #[test]
        fn the_servers_clock_is_never_outside(
            second in 1_893_456_000i64..4_000_000_000, nanos in 0i64..1_000_000_000, log2 in -32i8..=0, random: u64,
        ) {
            let clock = Utc::from_secs(second) + Span::from_nanos(nanos);
            // As ntpd and chronyd do it.
            let fuzz = random >> 32 >> (-log2).min(31);
            let mut packet = reply_at(clock);
            packet[3] = log2 as u8;
            let stamp = ntp(clock);
            let mask = ((1u64 << 32) >> (-log2)).wrapping_sub(1);
            let fuzzed = stamp & !mask | fuzz & mask;
            packet[32..40].copy_from_slice(&fuzzed.to_be_bytes());
            packet[40..].copy_from_slice(&fuzzed.to_be_bytes());
            let reply = parse(&packet, NONCE, &Plausible::release()).expect("it is good");
            prop_assert!(reply.server.departed_after <= clock && clock <= reply.server.arrived_before);
        }

        #[test]
        fn no_bytes_panic(packet: Vec<u8>, nonce: u64) {
            let _ = parse(&packet, nonce, &Plausible::release());
        }

        #[test]
        fn one_byte_off_never_panics(at in 0usize..LENGTH, byte: u8) {
            let _ = with(at, &[byte]);
        }
    }
}
