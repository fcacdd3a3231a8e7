//! The fake upstream: a server of any kind of time source, over HTTP/1.1 and WebSocket, in clear or under TLS, that knows
//! the truth.
//!
//! In: a [`Setup`], faults while it runs, clients on a port of 127.0.0.1. Out: replies; a [`Ledger`] of what it did; the
//! truth θ(t) = server's UTC − raw clock at every raw instant. Not: anything of the program under test: it is written
//! apart from it, with threads and blocking sockets, so that the two cannot share a mistake.
//!
//! The oracle: without a fault and without a cached face, every exchange of a correct client contains the truth,
//! `departed_after − received ≤ θ ≤ arrived_before − sent`.

mod answer;
mod checks;
mod clock;
mod connection;
mod date;
mod dialect;
mod fault;
mod http;
mod json;
mod ledger;
mod life;
mod ntp;
mod path;
mod random;
mod reply;
mod steering;
mod tls;
mod webntp;
mod websocket;
mod wire;

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::ServerConfig;

pub(crate) use clock::{Clock, Face, KnownClock, OsClock, Reading, Rounding, SECOND_NS, raw_now};
pub(crate) use dialect::{Dialect, HttpsTimeShape};
pub(crate) use fault::Fault;
pub(crate) use http::{Framing, HttpShape, Interim, KeepAlive};
pub(crate) use json::{Echo, JsonShape, Order, STRANGERS};
pub(crate) use ledger::{Counts, Ledger, Served};
pub(crate) use ntp::{FakeNtp, NtpFault};
pub(crate) use path::{Cut, Delay, Path, Place};
pub(crate) use tls::{Authority, Leaf, Tickets, Tls};
pub(crate) use websocket::WebSocketShape;

use connection::Connection;
use fault::Faults;
use life::Life;
use random::Random;
use steering::Steering;
use wire::Wire;

/// What kind of server it shall be.
#[derive(Clone, Debug)]
pub(crate) struct Setup<C = KnownClock> {
    /// Its time.
    pub(crate) clock: C,
    /// What it speaks.
    pub(crate) dialect: Dialect,
    /// How it shows its time; a dialect that has fewer digits cuts them.
    pub(crate) face: Face,
    /// The way to it.
    pub(crate) path: Path,
    /// TLS, or none.
    pub(crate) tls: Option<Tls>,
    /// Its HTTP.
    pub(crate) http: HttpShape,
    /// Its WebSocket.
    pub(crate) websocket: WebSocketShape,
    /// Its JSON.
    pub(crate) json: JsonShape,
    /// Its X-HTTPSTIME.
    pub(crate) https_time: HttpsTimeShape,
    /// What is wrong with it from the start.
    pub(crate) fault: Option<Fault>,
    /// Of all its delays. Print it when a test fails.
    pub(crate) seed: u64,
}

impl Setup {
    /// A plain server that has the right time, and no delays.
    pub(crate) fn honest() -> Self {
        Self::with_clock(KnownClock::sample())
    }
}

impl<C> Setup<C> {
    /// A plain server that has this time, and no delays.
    pub(crate) fn with_clock(clock: C) -> Self {
        Self {
            clock,
            dialect: Dialect::WebNtp,
            face: Face::MICROSECONDS,
            path: Path::direct(),
            tls: None,
            http: HttpShape::plain(),
            websocket: WebSocketShape::plain(),
            json: JsonShape::plain(),
            https_time: HttpsTimeShape::plain(),
            fault: None,
            seed: 1,
        }
    }
}

/// A server on a port of its own. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct FakeUpstream<C: Clock = KnownClock> {
    setup: Arc<Setup<C>>,
    shared: Arc<Shared>,
    addr: SocketAddr,
    run: Mutex<Option<Run>>,
}

/// What all connections of all runs use.
#[derive(Debug)]
struct Shared {
    ledger: Ledger,
    faults: Faults,
    steering: Steering,
    shown: Mutex<Option<Reading>>,
    tls: Option<Arc<ServerConfig>>,
}

#[derive(Debug)]
struct Run {
    life: Arc<Life>,
    listener: TcpStream,
    acceptor: JoinHandle<()>,
}

impl FakeUpstream<KnownClock> {
    /// θ in nanoseconds at a raw instant, past steps and rates included: the truth. Only a known clock has one.
    pub(crate) fn truth(&self, raw_ns: i64) -> i64 {
        self.setup.clock.theta(raw_ns) + self.shared.steering.added(raw_ns)
    }
}

impl<C: Clock> FakeUpstream<C> {
    /// Starts it on a free port.
    pub(crate) fn start(setup: Setup<C>) -> Self {
        let shared = Shared {
            ledger: Ledger::default(),
            faults: Faults::default(),
            steering: Steering::default(),
            shown: Mutex::default(),
            tls: setup.tls.as_ref().map(Tls::server_config),
        };
        shared.faults.set(setup.fault.clone());
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has free ports");
        let addr = listener.local_addr().expect("it is bound");
        let fake = Self {
            setup: Arc::new(setup),
            shared: Arc::new(shared),
            addr,
            run: Mutex::new(None),
        };
        *fake.lock_run() = Some(fake.run(listener));
        fake
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its address under a scheme: `http`, `https`, `ws`, `wss`. Whether it speaks that is the caller's business.
    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.addr)
    }

    /// Who vouches for it, if it has TLS.
    pub(crate) fn authority(&self) -> Option<&Authority> {
        self.setup.tls.as_ref().map(|tls| &tls.authority)
    }

    /// The setup, to print when a test fails.
    pub(crate) fn setup(&self) -> &Setup<C> {
        &self.setup
    }

    /// Steps its clock by so many nanoseconds, positive: forward. Returns the raw instant from which on that holds. An
    /// exchange astride of it holds for θ at the instant of the stamp, which is in the ledger, and no other.
    pub(crate) fn step_clock(&self, step_ns: i64) -> i64 {
        self.shared.steering.step(step_ns)
    }

    /// From now on its clock gains `rate_ppb` nanoseconds a second on the clock of the setup, which may have a rate
    /// already; 0: no more. Returns the raw instant from which on that holds.
    pub(crate) fn skew_clock(&self, rate_ppb: i64) -> i64 {
        self.shared.steering.skew(rate_ppb)
    }

    /// From now on every reply that it concerns has this fault, or none.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.shared.faults.set(fault);
    }

    /// The next `replies` that it concerns have this fault, then none has.
    pub(crate) fn set_fault_for(&self, fault: Fault, replies: usize) {
        self.shared.faults.set_for(Some(fault), replies);
    }

    /// Requests answered so far, faults included; upgrades are not counted unless a fault meets them.
    pub(crate) fn served(&self) -> usize {
        self.counts().served
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.counts().accepted
    }

    /// All counts at one moment.
    pub(crate) fn counts(&self) -> Counts {
        self.shared.ledger.counts()
    }

    /// What it did, oldest first.
    pub(crate) fn ledger(&self) -> Vec<Served> {
        self.shared.ledger.entries()
    }

    /// Waits until so many requests are answered in all; false if that did not happen in time.
    pub(crate) fn wait_served(&self, requests: usize, timeout: Duration) -> bool {
        self.wait(|counts| counts.served >= requests, timeout)
    }

    /// Waits for any state of the counts; false if that did not happen in time.
    pub(crate) fn wait(&self, wanted: impl Fn(Counts) -> bool, timeout: Duration) -> bool {
        self.shared.ledger.wait(wanted, timeout)
    }

    /// Closes the port and every connection at once, and waits for its threads. Again: nothing.
    pub(crate) fn stop(&self) {
        let Some(run) = self.lock_run().take() else {
            return;
        };
        run.life.end();
        // Wakes the acceptor; a listener that is down already has woken it.
        let _ = run.listener.shutdown(Shutdown::Both);
        drop(run.listener);
        let ended = run.acceptor.join();
        assert!(
            ended.is_ok() || thread::panicking(),
            "the fake's own threads do not panic"
        );
    }

    /// Stops it if it runs, and starts it again where it was.
    pub(crate) fn restart_at_same_port(&self) {
        self.stop();
        let listener = TcpListener::bind(self.addr).expect("nobody took the port meanwhile");
        *self.lock_run() = Some(self.run(listener));
    }

    fn run(&self, listener: TcpListener) -> Run {
        let life = Arc::new(Life::default());
        let twin = listener.try_clone().expect("descriptors are left");
        let (setup, shared) = (Arc::clone(&self.setup), Arc::clone(&self.shared));
        let acceptor = {
            let life = Arc::clone(&life);
            thread::spawn(move || accept(&listener, &setup, &shared, &life))
        };
        Run {
            life,
            // std can shut down streams only; to the kernel a listener is a socket like any other.
            listener: TcpStream::from(OwnedFd::from(twin)),
            acceptor,
        }
    }

    fn lock_run(&self) -> MutexGuard<'_, Option<Run>> {
        self.run.lock().expect("nobody panics while holding it")
    }
}

impl<C: Clock> Drop for FakeUpstream<C> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Accepts until the run ends; returns when the last connection's thread has.
fn accept<C: Clock>(listener: &TcpListener, setup: &Setup<C>, shared: &Shared, life: &Life) {
    thread::scope(|scope| {
        loop {
            match listener.accept() {
                Ok((socket, _)) => {
                    let number = shared.ledger.accept();
                    if !life.admit(number, &socket) {
                        shared.ledger.close();
                        continue;
                    }
                    scope.spawn(move || {
                        // How a connection ends is the peer's business, and the test's.
                        let _ = serve(socket, number, setup, shared, life);
                        life.forget(number);
                        shared.ledger.close();
                    });
                }
                Err(_) if life.pause(Duration::from_millis(1)).is_err() => return,
                Err(_) => {}
            }
        }
    });
}

fn serve<C: Clock>(
    socket: TcpStream,
    number: usize,
    setup: &Setup<C>,
    shared: &Shared,
    life: &Life,
) -> io::Result<()> {
    let tls = setup.tls.as_ref().zip(shared.tls.clone());
    let wire = Wire::open(socket, life, tls)?;
    let random = Random::new(setup.seed, number as u64);
    Connection {
        number,
        setup,
        shared,
        life,
        wire,
        random,
        held: Vec::new(),
    }
    .serve()
}
