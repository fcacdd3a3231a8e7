//! Servers that speak NTP: the oracle against a fake of one with every delay and fault, and the real chronyd.
//!
//! In: the fake, chronyd in a sandbox. Out: exchanges that hold the truth, refusals in words, a daemon that publishes.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use webntpd::engine::exchange::Exchange;
use webntpd::engine::leap::Leap;
use webntpd::engine::source::Aftermath;
use webntpd::engine::time::{Span, Theta};
use webntpd::net::{Deadlines, Target, Tls};
use webntpd::poller::{Upstream, UpstreamSettings};
use webntpd::protocol::kind::Kind;
use webntpd::sys::clock::pair_now;

use crate::fake::{Delay, FakeNtp, KnownClock, NtpFault, Path, SECOND_NS};
use crate::host::chronyd::Chronyd;
use crate::host::{deadline, sandbox, webntpd as daemon};

const LIMIT: Duration = Duration::from_secs(60);
const EXCHANGES: usize = 60;
/// For a reply that comes, on a machine that is busy.
const PATIENCE: Span = Span::from_secs(5);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

fn upstream(url: &str, timeout: Span) -> Upstream {
    let settings = UpstreamSettings {
        kind: Kind::Ntp,
        deadlines: Deadlines::each(timeout),
        ..UpstreamSettings::default()
    };
    let target = Target::new(url.parse().expect("a URL")).expect("a target");
    Upstream::new(target, Arc::new(Tls::new(Vec::new())), settings)
}

fn asking(fake: &FakeNtp, timeout: Span) -> Upstream {
    upstream(&format!("ntp://{}", fake.addr), timeout)
}

fn holds(fake: &FakeNtp, exchange: &Exchange) -> bool {
    let truth = |raw: webntpd::engine::time::Raw| Theta::from_nanos(fake.truth(raw.as_nanos()));
    exchange.lower() <= truth(exchange.received()) && truth(exchange.sent()) <= exchange.upper()
}

#[test]
fn the_truth_is_inside_whatever_the_path_takes_each_way_and_in_either_era() {
    let (fast, slow) = (
        Delay::NONE,
        Delay::Uniform(Duration::ZERO, Duration::from_millis(6)),
    );
    let year = 365 * 86_400 * SECOND_NS;
    for (seed, (request, reply)) in
        (1..).zip([(fast, fast), (slow, fast), (fast, slow), (slow, slow)])
    {
        for (years, rate_ppb) in [(0, 0), (0, 400_000), (20, -400_000)] {
            let clock = KnownClock::sample()
                .ahead_by(years * year)
                .gaining(rate_ppb);
            let path = Path {
                think: Delay::micros(300),
                ..Path::between(request, reply)
            };
            let fake = FakeNtp::start(clock, path, seed);
            let mut upstream = asking(&fake, PATIENCE);
            block_on(async {
                for _ in 0..EXCHANGES / 4 {
                    let exchange = upstream.exchange().await.expect("an exchange");
                    assert!(holds(&fake, &exchange), "seed {seed}: {exchange:?}");
                    assert_eq!(exchange.leap(), Some(Leap::None));
                    // Both stamps count: what the server took for itself is not in doubt.
                    let open = exchange.received() - exchange.sent() - exchange.delay();
                    assert!(open >= Span::from_micros(290), "{open:?}");
                }
            });
        }
    }
}

#[test]
fn a_reply_that_is_not_to_be_used_is_refused_by_cause_and_the_next_good_one_counts() {
    let hour = Some(Span::from_secs(3_600));
    let cases = [
        (NtpFault::WrongOrigin, "no answer to our request", None),
        (NtpFault::ZeroOrigin, "no answer to our request", None),
        (
            NtpFault::Kiss(*b"RATE"),
            "kiss code \"RATE\"",
            Some(Span::from_secs(900)),
        ),
        (NtpFault::Kiss(*b"DENY"), "kiss code \"DENY\"", hour),
        (NtpFault::Kiss(*b"RSTR"), "kiss code \"RSTR\"", hour),
        (NtpFault::Kiss(*b"INIT"), "kiss code \"INIT\"", None),
        (NtpFault::Mode6, "of mode 6", None),
        (NtpFault::Echo, "of mode 3", None),
        (NtpFault::Short, "only 24 bytes", None),
        (NtpFault::Leap3, "not synchronized itself", None),
        (NtpFault::Stratum(16), "not synchronized itself", None),
        (NtpFault::Distant, "may be off by 65536", None),
        (NtpFault::NoStamps, "without its stamps", None),
        (
            NtpFault::HeldForAnHour,
            "longer than the whole exchange",
            None,
        ),
        (
            NtpFault::Silence,
            "no answer to the request within 0.2 s",
            None,
        ),
    ];
    // At the same time: what is no answer is told only when the time for one is over.
    thread::scope(|scope| {
        for (fault, words, pause) in cases {
            scope.spawn(move || is_refused(fault, words, pause));
        }
    });
}

fn is_refused(fault: NtpFault, words: &str, pause: Option<Span>) {
    let fake = FakeNtp::start(KnownClock::sample(), Path::direct(), 1);
    // Only where nothing comes is it waited for in vain; the others have their time.
    let timeout = match fault {
        NtpFault::Silence => Span::from_millis(200),
        _ => PATIENCE,
    };
    let mut upstream = asking(&fake, timeout);
    fake.set_fault(Some(fault));
    let failure = block_on(upstream.exchange())
        .expect_err(words)
        .into_failure();
    assert!(failure.reason.contains(words), "{fault:?}: {failure:?}");
    assert_eq!(failure.retry_after, pause, "{fault:?}");
    if failure.connection != Aftermath::Usable {
        upstream.close();
    }
    fake.set_fault(None);
    let mut upstream = asking(&fake, PATIENCE);
    let exchange = block_on(upstream.exchange()).expect("it is well again");
    assert!(holds(&fake, &exchange), "after {fault:?}: {exchange:?}");
}

#[test]
fn what_comes_beside_the_answer_does_no_harm() {
    let fake = FakeNtp::start(KnownClock::sample(), Path::direct(), 1);
    fake.set_fault(Some(NtpFault::Noise));
    let mut upstream = asking(&fake, PATIENCE);
    for asked in 1..=EXCHANGES {
        let exchange = block_on(upstream.exchange()).expect("an exchange");
        assert!(holds(&fake, &exchange), "{exchange:?}");
        assert_eq!(fake.asked(), asked, "one request for each");
    }
}

#[test]
fn chronyds_time_is_inside_what_it_answers_over_either_family() {
    sandbox::run(|| {
        let mut chronyd = Chronyd::serving(FilePath::new("/run/chrony"));
        for host in ["127.0.0.1", "[::1]", "localhost"] {
            let mut upstream = upstream(&format!("ntp://{host}"), PATIENCE);
            // It may not be listening yet.
            let first = deadline::poll(LIMIT, || {
                let exchange = block_on(upstream.exchange());
                if exchange.is_err() {
                    upstream.close();
                }
                exchange.ok()
            });
            assert!(first.is_some(), "chronyd does not answer at {host}");
            let mut delays = Vec::new();
            for _ in 0..EXCHANGES {
                let before = pair_now();
                let exchange = block_on(upstream.exchange()).expect("an exchange");
                let after = pair_now();
                let truth = [before, after].map(|pair| pair.system - pair.raw);
                let (least, most) = (truth[0].min(truth[1]), truth[0].max(truth[1]));
                assert!(
                    exchange.lower() <= most && least <= exchange.upper(),
                    "{truth:?} {exchange:?}"
                );
                delays.push(exchange.delay());
            }
            // Between stamps that are far apart anything would be inside.
            let least = delays.iter().min();
            assert!(least < Some(&Span::from_millis(100)), "{delays:?}");
        }
        chronyd.process.assert_running();
    });
}

#[test]
fn the_daemon_publishes_what_chronyd_says() {
    sandbox::run(|| {
        let mut chronyd = Chronyd::serving(FilePath::new("/run/chrony"));
        let listens = deadline::poll(LIMIT, || {
            block_on(upstream("ntp://127.0.0.1", Span::from_secs(1)).exchange()).ok()
        });
        assert!(listens.is_some(), "chronyd does not answer");
        let text = daemon::configuration(2, &["ntp://127.0.0.1".to_owned()]);
        let mut webntpd = daemon::start(FilePath::new("/run/webntpd"), &text);
        webntpd.wait_line("publishing: 1 of 1 source", LIMIT);
        webntpd.signal(Signal::SIGTERM);
        assert!(webntpd.wait_exit(LIMIT).success());
        chronyd.process.assert_running();
    });
}
