//! However many upstreams are broken, and however they are broken, the log stays readable.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::fake::{Clock, FakeUpstream, Fault, OsClock, Reading, SECOND_NS, Setup};
use crate::host::{sandbox, webntpd};

const LIMIT: Duration = Duration::from_secs(60);

/// How often the sources that answer are asked, once a cycle.
const ROUNDS: usize = 20;

/// What there may be to say in so many rounds of a source that comes and goes.
const LINES_OF_A_FLICKER: usize = 8;

/// Start, stop, the segment, and whether anything is published.
const LINES_OF_ITS_OWN: usize = 16;

/// A clock that stands a second ahead in every other second.
#[derive(Clone, Copy, Debug)]
struct Jumping;

impl Clock for Jumping {
    fn read(&self) -> Reading {
        let reading = OsClock { offset_ns: 0 }.read();
        let ahead_ns = reading.raw_ns / SECOND_NS % 2 * SECOND_NS;
        Reading {
            utc_ns: reading.utc_ns + ahead_ns,
            ..reading
        }
    }
}

fn upstream(fault: Option<Fault>) -> FakeUpstream<OsClock> {
    FakeUpstream::start(Setup {
        fault,
        ..Setup::with_clock(OsClock { offset_ns: 0 })
    })
}

/// What stays as it is, each with the scheme that it is met under.
fn constant_troubles() -> Vec<(&'static str, Fault)> {
    let http = [
        Fault::Status(500),
        Fault::Redirect("/elsewhere".to_owned()),
        Fault::RetryAfter(1),
        Fault::Age,
        Fault::XCacheHit,
        Fault::Html,
        Fault::EmptyBody,
        Fault::HugeBody(1 << 20),
        Fault::HugeHeaders,
        Fault::ContentEncodingGzip,
        Fault::TwoNumbers,
        Fault::NotANumber,
        Fault::ExponentStamp,
        Fault::StampBefore2020,
        Fault::StallBeforeHeaders,
        Fault::CloseMidBody,
    ];
    let websocket = [Fault::Status(403), Fault::BinaryFrame];
    let http = http.into_iter().map(|fault| ("http", fault));
    http.chain(websocket.into_iter().map(|fault| ("ws", fault)))
        .collect()
}

/// The trouble of a round: another text each time.
fn passing_trouble(round: usize) -> Fault {
    match round % 3 {
        0 => Fault::Redirect(format!("/round-{round}")),
        1 => Fault::EmptyBody,
        _ => Fault::Status(500 + u16::try_from(round).expect("rounds are few")),
    }
}

fn lines_of(log: &str, source: usize) -> Vec<&str> {
    let mark = format!("source fake-{source}: ");
    log.lines().filter(|line| line.contains(&mark)).collect()
}

#[test]
fn twenty_five_broken_upstreams_make_a_few_lines_each() {
    sandbox::run(|| {
        let constant: Vec<_> = constant_troubles()
            .into_iter()
            .map(|(scheme, fault)| (scheme, upstream(Some(fault))))
            .collect();
        let changing = [upstream(None), upstream(None)];
        let flapping = [upstream(None), upstream(None)];
        let jumping = FakeUpstream::start(Setup::with_clock(Jumping));
        let steady = upstream(None);

        let mut urls: Vec<String> = vec![
            "http://127.0.0.1:9/".into(),
            "http://no-such-host.invalid/".into(),
        ];
        urls.extend(constant.iter().map(|(scheme, fake)| fake.url(scheme, "/")));
        let constant_troubles = urls.len();
        urls.extend(changing.iter().map(|fake| fake.url("http", "/")));
        urls.extend(flapping.iter().map(|fake| fake.url("http", "/")));
        urls.push(jumping.url("http", "/"));
        assert_eq!(urls.len(), 25);
        // Of another operator than the jumping one, so that the two agree in every other second.
        urls.push(format!("http://localhost:{}/", steady.addr().port()));

        let text = webntpd::configuration(2, &urls);
        for fake in &changing {
            fake.set_fault(Some(passing_trouble(0)));
        }
        let mut daemon = webntpd::start(Path::new("/run/webntpd"), &text);
        for round in 1..=ROUNDS {
            assert!(steady.wait_served(round, LIMIT), "no round {round}");
            for fake in &changing {
                fake.set_fault(Some(passing_trouble(round)));
            }
            for (k, fake) in flapping.iter().enumerate() {
                fake.set_fault(((round + k) % 2 == 0).then(|| passing_trouble(round)));
            }
        }
        // Who fails is asked more rarely, who stalls more rarely yet.
        for fake in constant.iter().map(|(_, fake)| fake).chain(&changing) {
            assert!(fake.wait_served(2, LIMIT), "{:?}", fake.setup().fault);
        }
        daemon.signal(Signal::SIGTERM);
        assert!(daemon.wait_exit(LIMIT).success());

        let log = daemon.log();
        for source in 0..urls.len() {
            let lines = lines_of(&log, source);
            if source < constant_troubles {
                assert!(lines.len() == 1 && lines[0].contains("WARN"), "{lines:#?}");
            } else {
                assert!(
                    (1..=LINES_OF_A_FLICKER).contains(&lines.len()),
                    "{lines:#?}"
                );
            }
        }
        let others = log.lines().filter(|line| !line.contains("source fake-"));
        let others: Vec<&str> = others.collect();
        assert!(others.len() <= LINES_OF_ITS_OWN, "{others:#?}");
    });
}
