//! The oracle for the kinds of source beside WebNTP: whatever way their stamp takes, and however its last digit came
//! about, the truth is inside.
//!
//! In: a setup, which every kind is tried with, in the clear and under TLS. Out: a panic, with the exchange and the setup.
//! Not: WebNTP itself, which the parent has.

use super::*;

use webntpd::protocol::kind::Kind;
use webntpd::protocol::stamp;

use crate::fake::{Dialect, Fault, HttpsTimeShape, SECOND_NS};

/// Exchanges with each fake under each way to take its digits.
const ROUNDS: usize = 12;

/// What the fake is ahead more before each exchange, so that they fall on all parts of a second: by the golden section
/// of one.
const STEP_NS: i64 = 618_033_989;

/// How old a `Date` may be that is believed.
const CACHED: Duration = Duration::from_millis(20);

const KINDS: [(Kind, Dialect); 8] = [
    (Kind::Nict, Dialect::Nict),
    (Kind::HtpTime, Dialect::HtpTime),
    (Kind::HttpsTime, Dialect::HttpsTime),
    (Kind::XTime, Dialect::XTime),
    (Kind::Text, Dialect::Text),
    (Kind::Text, Dialect::Iso),
    (Kind::Text, Dialect::Trace),
    (Kind::HttpDate, Dialect::HttpDate),
];

/// What a client may say of a server that makes its digits so: that it does not know, or how.
fn told(face: Face) -> [stamp::Rounding; 2] {
    let known = match face.rounding {
        Rounding::Truncate => stamp::Rounding::Truncates,
        Rounding::Nearest | Rounding::NearestWithoutCarry => stamp::Rounding::Rounds,
    };
    [stamp::Rounding::Unknown, known]
}

fn speaking(
    fake: &FakeUpstream,
    scheme: &str,
    authority: Option<&Authority>,
    (kind, rounding): (Kind, stamp::Rounding),
) -> Upstream {
    let settings = UpstreamSettings {
        kind,
        rounding,
        ..UpstreamSettings::default()
    };
    upstream_with(fake, scheme, authority, settings)
}

/// Every exchange with a fake of any of these kinds, made of `setup`, holds the truth.
fn the_truth_is_inside(setup: &Setup) {
    let tls = fake::Tls::of(&Authority::new());
    for (kind, dialect) in KINDS {
        for (scheme, tls) in [("http", None), ("https", Some(&tls))] {
            let fake = FakeUpstream::start(Setup {
                dialect,
                tls: tls.cloned(),
                ..setup.clone()
            });
            for rounding in told(setup.face) {
                let mut upstream = speaking(&fake, scheme, fake.authority(), (kind, rounding));
                block_on(hold(&fake, &mut upstream, |_| {}));
            }
        }
    }
}

/// Runs some exchanges, each after `prepare`, over all parts of a second.
async fn hold(fake: &FakeUpstream, upstream: &mut Upstream, prepare: impl Fn(&mut Upstream)) {
    for round in 0..ROUNDS {
        fake.step_clock(STEP_NS);
        prepare(upstream);
        let exchange = upstream
            .exchange()
            .await
            .unwrap_or_else(|error| panic!("{error}: {:#?}", fake.setup()));
        assert!(
            holds(fake, &exchange),
            "exchange {round}: {exchange:?} {:#?}",
            fake.setup()
        );
    }
}

#[test]
fn the_truth_is_inside_in_every_kind_whatever_the_path_takes_each_way() {
    the_truth_is_inside(&setup(101));
    let (fast, slow) = (
        Delay::NONE,
        Delay::Uniform(Duration::ZERO, Duration::from_millis(9)),
    );
    for (seed, path) in (102..).zip([Path::between(fast, slow), Path::between(slow, fast)]) {
        the_truth_is_inside(&Setup {
            path,
            ..setup(seed)
        });
    }
}

#[test]
fn the_truth_is_inside_in_every_kind_however_the_stamp_is_written() {
    for (seed, digits) in (110..).zip([0, 2, 3, 6, 9]) {
        for rounding in [Rounding::Truncate, Rounding::Nearest] {
            let face = Face {
                digits,
                rounding,
                ..Face::MICROSECONDS
            };
            // Without delays: nothing else keeps the truth inside then.
            the_truth_is_inside(&Setup {
                face,
                path: Path::direct(),
                ..setup(seed)
            });
        }
    }
}

#[test]
fn the_truth_is_inside_in_every_kind_when_segments_split_the_reply() {
    let gap = Delay::Uniform(Duration::ZERO, Duration::from_millis(4));
    let places = [
        Place::InsideStamp,
        Place::AfterHead,
        Place::BeforeLastBrace,
        Place::Byte(1),
    ];
    for (seed, place) in (120..).zip(places) {
        let mut path = Path::direct();
        path.cuts = vec![Cut { at: place, gap }];
        the_truth_is_inside(&Setup {
            path,
            ..setup(seed)
        });
    }
}

#[test]
fn the_truth_is_inside_in_every_kind_when_something_else_comes_first() {
    let gap = Delay::Fixed(Duration::from_millis(3));
    let interim = HttpShape {
        interim: [100, 103].map(|status| Interim { status, gap }).to_vec(),
        ..HttpShape::plain()
    };
    let head_first = HttpShape {
        head_first: Some(gap),
        ..HttpShape::plain()
    };
    for (seed, http) in (130..).zip([interim, head_first]) {
        the_truth_is_inside(&Setup {
            http,
            ..setup(seed)
        });
    }
}

#[test]
fn the_truth_is_inside_in_every_kind_at_any_rate() {
    for (seed, rate_ppb) in (140..).zip([500_000, -500_000]) {
        let clock = KnownClock::sample().gaining(rate_ppb);
        the_truth_is_inside(&Setup {
            clock,
            ..setup(seed)
        });
    }
}

/// Each exchange is on a new connection, whose first reply is a redirect that has the time in it, too.
#[test]
fn the_truth_is_inside_in_every_kind_where_a_redirect_leads_to() {
    let tls = fake::Tls::of(&Authority::new());
    for (kind, dialect) in KINDS {
        let setup = Setup {
            dialect,
            https_time: HttpsTimeShape {
                everywhere: true,
                ..HttpsTimeShape::plain()
            },
            ..setup(150)
        };
        let redirect = |upstream: &mut Upstream, fake: &FakeUpstream, to: String| {
            upstream.close();
            fake.set_fault_for(Fault::Redirect(to), 1);
        };
        for (scheme, tls) in [("http", None), ("https", Some(&tls))] {
            let fake = FakeUpstream::start(Setup {
                tls: tls.cloned(),
                ..setup.clone()
            });
            let of = (kind, stamp::Rounding::Unknown);
            let mut upstream = speaking(&fake, scheme, fake.authority(), of);
            block_on(hold(&fake, &mut upstream, |upstream| {
                redirect(upstream, &fake, "/elsewhere".to_owned());
            }));
            assert_eq!(fake.served(), 2 * ROUNDS, "{:#?}", fake.setup());
        }

        // To another server, which has another time: that one counts.
        let goal = FakeUpstream::start(Setup {
            tls: Some(tls.clone()),
            ..setup.clone()
        });
        let fake = FakeUpstream::start(Setup {
            clock: setup.clock.ahead_by(3600 * SECOND_NS),
            ..setup
        });
        let of = (kind, stamp::Rounding::Unknown);
        let mut upstream = speaking(&fake, "http", goal.authority(), of);
        block_on(hold(&goal, &mut upstream, |upstream| {
            redirect(upstream, &fake, goal.url("https", "/elsewhere"));
        }));
        assert_eq!((fake.served(), goal.served()), (ROUNDS, ROUNDS));
    }
}

/// Servers keep the text of their `Date` for a while, past the end of its second: that is allowed for, no other kind has
/// such an allowance.
#[test]
fn the_truth_is_inside_with_a_date_from_a_cache_of_twenty_milliseconds() {
    let mut misled = 0;
    for seed in 160..168 {
        let (clock, now) = (KnownClock::sample(), fake::raw_now());
        let rest_ns = (-(now + clock.theta(now))).rem_euclid(SECOND_NS);
        // The second ends after 30 ms.
        let clock = clock.ahead_by(rest_ns - 30_000_000);
        let face = Face {
            cached: Some(CACHED),
            ..Face::MICROSECONDS
        };
        let fake = FakeUpstream::start(Setup {
            clock,
            face,
            dialect: Dialect::HttpDate,
            path: Path::direct(),
            seed,
            ..Setup::honest()
        });
        let rounding = told(face)[usize::from(seed % 2 == 0)];
        let mut upstream = speaking(&fake, "http", None, (Kind::HttpDate, rounding));
        block_on(async {
            while fake::raw_now() < now + 60_000_000 {
                let exchange = upstream.exchange().await.expect("an exchange");
                assert!(holds(&fake, &exchange), "{exchange:?} {:#?}", fake.setup());
                let truth = Theta::from_nanos(fake.truth(exchange.sent().as_nanos()));
                misled += usize::from(truth > exchange.upper() - Span::from(CACHED));
            }
        });
    }
    assert!(
        misled > 0,
        "the cache never showed: this test tests nothing"
    );
}
