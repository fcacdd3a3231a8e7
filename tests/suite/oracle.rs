//! The oracle: whatever a server, a path or a transport may honestly do, the truth is never outside an interval, nor
//! outside a bound that is published. The fake knows the truth; the exchanges are the program's own.

mod kinds;

use std::sync::Arc;
use std::time::Duration;

use webntpd::engine::exchange::Exchange;
use webntpd::engine::source::Report;
use webntpd::engine::time::{Span, Theta};
use webntpd::engine::{Engine, Settings, SourceId, SourceSettings};
use webntpd::net::{Target, Tls};
use webntpd::poller::{Upstream, UpstreamSettings};
use webntpd::protocol::refusal::Refusal;
use webntpd::sys::clock::raw_now;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::fake::{
    self, Authority, Cut, Delay, Echo, Face, FakeUpstream, Fault, Framing, HttpShape, Interim,
    JsonShape, KnownClock, Order, Path, Place, Rounding, STRANGERS, Setup, Tickets, WebSocketShape,
};

/// Exchanges with each of the fakes below.
const EXCHANGES: usize = 150;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

fn upstream(fake: &FakeUpstream, scheme: &str) -> Upstream {
    upstream_with(fake, scheme, fake.authority(), UpstreamSettings::default())
}

/// An upstream that trusts `authority`, if any.
fn upstream_with(
    fake: &FakeUpstream,
    scheme: &str,
    authority: Option<&Authority>,
    settings: UpstreamSettings,
) -> Upstream {
    let roots = authority.map(|authority| {
        CertificateDer::from_pem_slice(authority.ca_pem().as_bytes()).expect("a certificate")
    });
    let target = Target::new(fake.url(scheme, "/json").parse().expect("a URL")).expect("a target");
    Upstream::new(
        target,
        Arc::new(Tls::new(roots.into_iter().collect())),
        settings,
    )
}

#[test]
fn the_first_message_of_a_websocket_is_no_reply_unless_it_names_the_question() {
    let fake = FakeUpstream::start(Setup {
        fault: Some(Fault::ItZero),
        ..Setup::honest()
    });
    let mut upstream = upstream(&fake, "ws");
    block_on(async {
        let greeting = upstream.exchange().await.expect_err("it may be a greeting");
        assert_eq!(greeting.refusal(), Some(&Refusal::Unsolicited));
        let second = upstream.exchange().await.expect("it answers the second");
        assert!(holds(&fake, &second), "{second:?}");
    });
}

fn holds(fake: &FakeUpstream, exchange: &Exchange) -> bool {
    let truth = |raw: webntpd::engine::time::Raw| Theta::from_nanos(fake.truth(raw.as_nanos()));
    exchange.lower() <= truth(exchange.received()) && truth(exchange.sent()) <= exchange.upper()
}

/// Every exchange with a fake made of `setup` holds the truth, in the clear and under TLS, over `schemes`.
fn the_truth_is_inside(setup: &Setup, schemes: &[&str]) {
    block_on(async {
        for scheme in schemes {
            let fake = FakeUpstream::start(setup.clone());
            let mut upstream = upstream(&fake, scheme);
            for exchanges in 0..EXCHANGES {
                // Servers may close whenever they like; the next exchange connects anew.
                let exchange = match upstream.exchange().await {
                    Ok(exchange) => exchange,
                    Err(first) => {
                        upstream.close();
                        let again = upstream.exchange().await;
                        again.unwrap_or_else(|error| {
                            panic!("{first}, then {error}: {scheme} {:#?}", fake.setup())
                        })
                    }
                };
                assert!(
                    holds(&fake, &exchange),
                    "{scheme}, exchange {exchanges}: {exchange:?} {:#?}",
                    fake.setup()
                );
            }
        }
    });
}

/// A path that takes up to a few milliseconds each way, rarely more.
fn setup(seed: u64) -> Setup {
    let tail = |least| Delay::HeavyTail {
        least: Duration::from_micros(least),
        shape: 1.3,
        cap: Duration::from_millis(12),
    };
    Setup {
        clock: KnownClock::sample().ahead_by(25_000_000).gaining(37_000),
        path: Path::between(tail(200), tail(300)),
        seed,
        ..Setup::honest()
    }
}

fn secret(setup: Setup, tls: impl Fn(&Authority) -> fake::Tls) -> Setup {
    Setup {
        tls: Some(tls(&Authority::new())),
        ..setup
    }
}

const CLEAR: [&str; 2] = ["http", "ws"];
const SECRET: [&str; 2] = ["https", "wss"];

#[test]
fn the_truth_is_inside_whatever_the_path_takes_each_way() {
    the_truth_is_inside(&setup(1), &CLEAR);
    the_truth_is_inside(&secret(setup(2), fake::Tls::of), &SECRET);
    let lopsided = Path::between(
        Delay::NONE,
        Delay::Uniform(Duration::ZERO, Duration::from_millis(9)),
    );
    the_truth_is_inside(
        &Setup {
            path: lopsided,
            ..setup(3)
        },
        &CLEAR,
    );
    let lopsided = Path::between(
        Delay::Uniform(Duration::ZERO, Duration::from_millis(9)),
        Delay::NONE,
    );
    the_truth_is_inside(
        &Setup {
            path: lopsided,
            ..setup(4)
        },
        &CLEAR,
    );
}

#[test]
fn the_truth_is_inside_however_the_stamp_is_written() {
    for (seed, digits) in (10..).zip([0, 1, 3, 6, 9]) {
        for rounding in [Rounding::Truncate, Rounding::Nearest] {
            let face = Face {
                digits,
                rounding,
                ..Face::MICROSECONDS
            };
            the_truth_is_inside(
                &Setup {
                    face,
                    ..setup(seed)
                },
                &["http"],
            );
        }
    }
}

#[test]
fn the_truth_is_inside_however_the_object_is_laid_out() {
    for (seed, order) in (20..).zip([Order::Backwards, Order::StampLast]) {
        let json = JsonShape {
            order,
            spaced: true,
            strangers: STRANGERS,
            ..JsonShape::plain()
        };
        the_truth_is_inside(
            &Setup {
                json,
                ..setup(seed)
            },
            &["http"],
        );
    }
    for (seed, echo) in (25..).zip([Echo::TrailingZerosDropped, Echo::ThreeZerosMore]) {
        let json = JsonShape {
            echo,
            ..JsonShape::plain()
        };
        the_truth_is_inside(
            &Setup {
                json,
                ..setup(seed)
            },
            &["ws"],
        );
    }
}

#[test]
fn the_truth_is_inside_when_segments_split_the_reply() {
    let gap = Delay::Uniform(Duration::ZERO, Duration::from_millis(4));
    for (seed, place) in (30..).zip([Place::AfterHead, Place::InsideStamp, Place::BeforeLastBrace])
    {
        let mut path = Path::direct();
        path.cuts = vec![Cut { at: place, gap }];
        let setup = Setup {
            path,
            ..setup(seed)
        };
        the_truth_is_inside(&setup, &CLEAR);
        the_truth_is_inside(&secret(setup, fake::Tls::of), &["https"]);
    }
}

#[test]
fn the_truth_is_inside_when_something_else_comes_first() {
    let gap = Delay::Fixed(Duration::from_millis(3));
    let http = HttpShape {
        interim: vec![Interim { status: 103, gap }],
        ..HttpShape::plain()
    };
    the_truth_is_inside(&Setup { http, ..setup(40) }, &["http"]);
    let http = HttpShape {
        head_first: Some(gap),
        ..HttpShape::plain()
    };
    the_truth_is_inside(&Setup { http, ..setup(41) }, &["http"]);
    let websocket = WebSocketShape {
        ping_first: Some(gap),
        ..WebSocketShape::plain()
    };
    the_truth_is_inside(
        &Setup {
            websocket,
            ..setup(42)
        },
        &["ws"],
    );
    let websocket = WebSocketShape {
        two_frames: Some(gap),
        ..WebSocketShape::plain()
    };
    the_truth_is_inside(
        &Setup {
            websocket,
            ..setup(43)
        },
        &["ws"],
    );
}

#[test]
fn the_truth_is_inside_when_tickets_and_record_ends_come_at_their_own_time() {
    let gap = Delay::Fixed(Duration::from_millis(3));
    let held = |authority: &Authority| fake::Tls {
        tickets: Tickets::BeforeFirstReply(gap),
        ..fake::Tls::of(authority)
    };
    // The tickets come before the first reply of a connection only: a new one for each exchange.
    let http = HttpShape {
        keep_alive: Some(fake::KeepAlive {
            requests: 1,
            announced: true,
        }),
        ..HttpShape::plain()
    };
    the_truth_is_inside(&secret(Setup { http, ..setup(50) }, held), &["https"]);
    let late = |authority: &Authority| fake::Tls {
        late_last_byte: Some(gap),
        ..fake::Tls::of(authority)
    };
    the_truth_is_inside(&secret(setup(51), late), &SECRET);
    let old = |authority: &Authority| fake::Tls {
        only_tls12: true,
        ..fake::Tls::of(authority)
    };
    the_truth_is_inside(&secret(setup(52), old), &SECRET);
}

#[test]
fn the_truth_is_inside_however_the_connection_is_kept() {
    for (seed, announced) in (60..).zip([true, false]) {
        let http = HttpShape {
            keep_alive: Some(fake::KeepAlive {
                requests: 2,
                announced,
            }),
            framing: Framing::Chunked(7),
            mixed_case: true,
            ..HttpShape::plain()
        };
        the_truth_is_inside(
            &Setup {
                http,
                ..setup(seed)
            },
            &["http"],
        );
    }
    let http = HttpShape {
        framing: Framing::UntilClose,
        ..HttpShape::plain()
    };
    the_truth_is_inside(&Setup { http, ..setup(62) }, &["http"]);
    let websocket = WebSocketShape {
        replies: Some(3),
        ..WebSocketShape::plain()
    };
    the_truth_is_inside(
        &Setup {
            websocket,
            ..setup(63)
        },
        &["ws"],
    );
}

/// A stamp from a cache is older than the reply: still a lower bound, and an upper one once it is widened by the age that a
/// cached stamp may have.
#[test]
fn a_cached_clock_costs_the_upper_limit_its_age_and_the_lower_nothing() {
    let period = Duration::from_millis(20);
    let face = Face {
        cached: Some(period),
        ..Face::MICROSECONDS
    };
    let fake = FakeUpstream::start(Setup { face, ..setup(70) });
    let mut upstream = upstream(&fake, "http");
    block_on(async {
        let mut misled = 0;
        for _ in 0..EXCHANGES {
            let exchange = upstream.exchange().await.expect("an exchange");
            let truth = Theta::from_nanos(fake.truth(exchange.sent().as_nanos()));
            assert!(exchange.lower() <= truth, "{exchange:?}");
            assert!(
                truth <= exchange.upper() + Span::from(period),
                "{exchange:?}"
            );
            misled += usize::from(truth > exchange.upper());
        }
        assert!(
            misled > 0,
            "the cache never showed: this test tests nothing"
        );
    });
}

/// Three honest servers, one wrong by a second and one creeping away, asked as fast as they answer; the engine decides ten
/// times a second.
#[test]
fn the_truth_is_never_outside_a_published_bound() {
    let clock = KnownClock::sample().ahead_by(25_000_000).gaining(-21_000);
    let path = |least, most| {
        Path::between(
            Delay::Uniform(Duration::from_micros(least), Duration::from_micros(most)),
            Delay::Uniform(
                Duration::from_micros(2 * least),
                Duration::from_micros(3 * most),
            ),
        )
    };
    let setups = [
        (clock, path(100, 900), "http"),
        (clock, path(10, 3_000), "ws"),
        (clock, path(800, 1_000), "http"),
        (clock.ahead_by(1_000_000_000), path(10, 20), "http"),
        (clock.gaining(400_000), path(10, 20), "ws"),
    ];
    let fakes: Vec<(FakeUpstream, &str)> = (80..)
        .zip(setups)
        .map(|(seed, (clock, path, scheme))| {
            (
                FakeUpstream::start(Setup {
                    clock,
                    path,
                    seed,
                    ..Setup::honest()
                }),
                scheme,
            )
        })
        .collect();
    let sources = (0..fakes.len() as u64)
        .map(|k| SourceSettings {
            id: SourceId(k),
            name: format!("fake-{k}"),
            operator: format!("fake-{k}"),
            poll: Span::from_secs(1),
            max_poll: Span::from_secs(1),
            prefer: false,
            noselect: false,
            coarse: false,
        })
        .collect();
    let settings = Settings {
        cycle: Span::from_millis(100),
        min_agreeing: None,
        max_bound: Span::from_millis(1_500),
        sources,
    };
    block_on(async {
        let mut engine = Engine::new(settings, raw_now());
        let mut upstreams: Vec<Upstream> = fakes
            .iter()
            .map(|(fake, scheme)| upstream(fake, scheme))
            .collect();
        let (mut decisions, mut exchanges) = (0, 0);
        while decisions < 60 {
            for (k, upstream) in (0..).zip(&mut upstreams) {
                let exchange = upstream.exchange().await.expect("an exchange");
                exchanges += 1;
                // A cycle that ended before this exchange comes first, as in the supervisor.
                if let Some(snapshot) = engine.cycle(raw_now()) {
                    let decision = match snapshot.outcome {
                        Ok(decision) => decision,
                        // The first cycle may end before every source has answered once.
                        Err(_) if decisions == 0 && exchanges < 10 => continue,
                        Err(why) => panic!("three of five are honest, but {why}: {snapshot:#?}"),
                    };
                    let truth = Theta::from_nanos(fakes[0].0.truth(decision.at.as_nanos()));
                    assert!(
                        decision.bound.lo <= truth && truth <= decision.bound.hi,
                        "{truth:?} {snapshot:#?}"
                    );
                    assert!(
                        decision.bound.lo <= decision.theta && decision.theta <= decision.bound.hi
                    );
                    // The first decision may come before it has answered once.
                    if snapshot.sources[3].reading.is_some() {
                        assert_eq!(snapshot.sources[3].tally.symbol(), 'x');
                    }
                    decisions += 1;
                }
                engine.report(SourceId(k), Report::Sample(exchange));
            }
        }
        assert!(
            exchanges > 300,
            "too few exchanges to mean anything: {exchanges}"
        );
    });
}
