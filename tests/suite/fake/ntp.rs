//! The fake of an NTP server: packets over UDP, from a clock that knows the truth.
//!
//! In: a clock, a path, a fault, which may change while it runs; datagrams on a port of 127.0.0.1. Out: datagrams, a count
//! of the requests. Not: anything of the program under test; what it sends is put together by the figures of RFC 5905,
//! byte by byte.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::random::Random;
use super::{Clock, KnownClock, Path, SECOND_NS};

/// 1900 to 1970.
const EPOCH_S: i64 = 2_208_988_800;
/// How soon it sees that it shall stop.
const TURN: Duration = Duration::from_millis(10);
/// Of a packet that must not be used, how far its time is off.
const HOUR_NS: i64 = 3600 * SECOND_NS;

/// What is wrong with it. What it says then is an hour ahead, so that whoever uses it is caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NtpFault {
    /// It answers another request than ours.
    WrongOrigin,
    /// It answers none: an echo of nothing.
    ZeroOrigin,
    /// A kiss code.
    Kiss([u8; 4]),
    /// A packet of mode 6, which is for management.
    Mode6,
    /// Our own packet back.
    Echo,
    /// The first half of a packet.
    Short,
    /// It says that it is not synchronized.
    Leap3,
    /// This stratum.
    Stratum(u8),
    /// It may be off by as many seconds as fit.
    Distant,
    /// Its stamps are zero.
    NoStamps,
    /// It claims to have held the request for an hour.
    HeldForAnHour,
    /// Nothing comes.
    Silence,
    /// A reply with a foreign origin comes first, and the good one twice. This does no harm.
    Noise,
}

/// The server. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct FakeNtp {
    pub(crate) addr: SocketAddr,
    clock: KnownClock,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stopped: AtomicBool,
    asked: AtomicUsize,
    fault: Mutex<Option<NtpFault>>,
}

impl FakeNtp {
    /// Starts it on a free port.
    pub(crate) fn start(clock: KnownClock, path: Path, seed: u64) -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("the loopback has free ports");
        socket.set_read_timeout(Some(TURN)).expect("a socket");
        let addr = socket.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            stopped: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            fault: Mutex::default(),
        });
        let thread = {
            let shared = Arc::clone(&shared);
            let random = Random::new(seed, 0);
            thread::spawn(move || serve(&socket, clock, &path, random, &shared))
        };
        Self {
            addr,
            clock,
            shared,
            thread: Some(thread),
        }
    }

    /// θ in nanoseconds at a raw instant: the truth.
    pub(crate) fn truth(&self, raw_ns: i64) -> i64 {
        self.clock.theta(raw_ns)
    }

    /// From now on every reply has this fault, or none.
    pub(crate) fn set_fault(&self, fault: Option<NtpFault>) {
        *self
            .shared
            .fault
            .lock()
            .expect("nobody panics while holding it") = fault;
    }

    /// Requests that came so far.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Drop for FakeNtp {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            matches!(ended, Some(Ok(()))) || thread::panicking(),
            "the fake's own thread does not panic"
        );
    }
}

fn serve(socket: &UdpSocket, clock: KnownClock, path: &Path, mut random: Random, shared: &Shared) {
    let mut asked = [0; 128];
    while !shared.stopped.load(Ordering::SeqCst) {
        let Ok((length, from)) = socket.recv_from(&mut asked) else {
            continue;
        };
        assert_eq!((length, asked[0]), (48, 0x23), "version 4, mode 3");
        thread::sleep(path.request.draw(&mut random));
        shared.asked.fetch_add(1, Ordering::SeqCst);
        let fault = *shared.fault.lock().expect("nobody panics while holding it");
        let off = match fault {
            None | Some(NtpFault::Noise) => 0,
            _ => HOUR_NS,
        };
        let received = clock.read().utc_ns + off;
        thread::sleep(path.think.draw(&mut random));
        let sent = clock.read().utc_ns + off;
        let mut packet = packet(&asked[40..48], received, sent);
        let packets = spoil(&mut packet, fault, &asked[..48]);
        thread::sleep(path.reply.draw(&mut random));
        for packet in packets {
            // Who asked may have gone.
            let _ = socket.send_to(&packet, from);
        }
    }
}

/// A stamp of 64 bits, of whatever era.
fn stamp(utc_ns: i64) -> [u8; 8] {
    let seconds = (utc_ns.div_euclid(SECOND_NS) + EPOCH_S) as u32;
    let nanos = utc_ns.rem_euclid(SECOND_NS) as u64;
    let fraction = ((nanos << 32) / SECOND_NS as u64) as u32;
    let mut stamp = [0; 8];
    stamp[..4].copy_from_slice(&seconds.to_be_bytes());
    stamp[4..].copy_from_slice(&fraction.to_be_bytes());
    stamp
}

/// Stratum 2, precision 2^-24 s, half a second of root delay.
fn packet(origin: &[u8], received: i64, sent: i64) -> Vec<u8> {
    let mut packet = vec![0x24, 2, 6, 0xe8, 0, 0, 0x80, 0, 0, 0, 0x10, 0, 192, 0, 2, 1];
    packet.extend(stamp(received - SECOND_NS));
    packet.extend(origin);
    packet.extend(stamp(received));
    packet.extend(stamp(sent));
    packet
}

fn spoil(packet: &mut Vec<u8>, fault: Option<NtpFault>, asked: &[u8]) -> Vec<Vec<u8>> {
    let Some(fault) = fault else {
        return vec![packet.clone()];
    };
    match fault {
        NtpFault::WrongOrigin => packet[31] ^= 1,
        NtpFault::ZeroOrigin => packet[24..32].fill(0),
        NtpFault::Kiss(code) => {
            packet[..2].copy_from_slice(&[0xe4, 0]);
            packet[12..16].copy_from_slice(&code);
        }
        NtpFault::Mode6 => packet[0] = 0x26,
        NtpFault::Echo => *packet = asked.to_vec(),
        NtpFault::Short => packet.truncate(24),
        NtpFault::Leap3 => packet[0] = 0xe4,
        NtpFault::Stratum(stratum) => packet[1] = stratum,
        NtpFault::Distant => packet[8..12].fill(0xff),
        NtpFault::NoStamps => packet[32..].fill(0),
        NtpFault::HeldForAnHour => {
            let early = u32::from_be_bytes([packet[32], packet[33], packet[34], packet[35]]);
            packet[32..36].copy_from_slice(&early.wrapping_sub(3600).to_be_bytes());
        }
        NtpFault::Silence => return Vec::new(),
        NtpFault::Noise => {
            let mut foreign = packet.clone();
            foreign[31] ^= 1;
            return vec![foreign, packet.clone(), packet.clone()];
        }
    }
    vec![packet.clone()]
}
