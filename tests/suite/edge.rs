//! Web servers that tell whole seconds only: the real poller, and the real daemon, find the edge between two of them.
//!
//! In: fakes that know the truth. Out: how many requests it took, what they prove together. How fast it is, and how near it comes on an
//! idle machine, is not asked here.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use webntpd::engine::SourceId;
use webntpd::engine::edge::Edge;
use webntpd::engine::estimate::Prior;
use webntpd::engine::exchange::Exchange;
use webntpd::engine::filter::Filter;
use webntpd::engine::source::{Pace, Report, Source};
use webntpd::engine::time::{Raw, Span, Theta};
use webntpd::net::{Target, Tls};
use webntpd::poller::{Handle, Poller, Upstream, UpstreamSettings};
use webntpd::protocol::kind::Kind;
use webntpd::sys::clock::raw_now;

use crate::fake::{
    Delay, Dialect, FakeUpstream, KnownClock, OsClock, Path as NetPath, SECOND_NS, Setup,
};
use crate::host::deadline::poll;
use crate::host::{sandbox, webntpd as daemon};

const LIMIT: Duration = Duration::from_secs(60);
const DIR: &str = "/run/webntpd";

/// So many requests at random moments would leave more than a tenth of a second; on a machine that has much else to do, those that
/// are aimed still leave less than this.
const FOUND: Span = Span::from_millis(20);

const MOST: usize = 14;

fn left(exchanges: &[Exchange]) -> Option<Span> {
    let at = exchanges.last()?.received();
    let left = Edge::of(exchanges.iter()).left(at)?;
    Some(left.hi - left.lo)
}

/// What a poller brings home from a fake until that is enough.
async fn asked(fake: &FakeUpstream) -> Vec<Exchange> {
    let settings = UpstreamSettings {
        kind: Kind::HttpDate,
        ..UpstreamSettings::default()
    };
    let target = Target::new(fake.url("http", "/").parse().expect("a URL")).expect("a target");
    let pace = Pace {
        poll: Span::from_secs(16),
        max_poll: Span::from_secs(64),
        phase: Span::ZERO,
        burst: 3,
        coarse: true,
    };
    let now = raw_now();
    let (reports, mut polls) = mpsc::channel(8);
    let (findings, _) = mpsc::channel(1);
    let poller = Poller {
        id: SourceId(0),
        source: Source::new(pace, now, 1),
        server: Box::new(Upstream::new(
            target,
            Arc::new(Tls::new(Vec::new())),
            settings,
        )),
        reports,
        findings,
        handle: Arc::new(Handle::new(now)),
    };
    let poller = tokio::spawn(poller.run());
    let mut exchanges = Vec::new();
    while exchanges.len() < MOST && left(&exchanges).is_none_or(|left| left >= FOUND) {
        match polls.recv().await.expect("it goes on").report {
            Report::Sample(exchange) => exchanges.push(exchange),
            Report::Missed { reason, .. } => panic!("{reason}"),
        }
    }
    poller.abort();
    exchanges
}

#[test]
fn a_poller_finds_the_edge_with_fourteen_requests_and_the_truth_is_inside() {
    let paths = [
        NetPath::direct(),
        NetPath::between(Delay::micros(3_000), Delay::micros(3_000)),
    ];
    for (path, ahead_ns) in paths.into_iter().zip([123_456_789, 987_654_321]) {
        let fake = FakeUpstream::start(Setup {
            clock: KnownClock::sample().ahead_by(ahead_ns).gaining(20_000),
            dialect: Dialect::HttpDate,
            path,
            ..Setup::honest()
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let exchanges = runtime.expect("a runtime").block_on(asked(&fake));
        assert!(fake.served() <= MOST, "{}", fake.served());

        let truth = |at: Raw| Theta::from_nanos(fake.truth(at.as_nanos()));
        let at = exchanges[exchanges.len() - 1].received();
        let mut filter = Filter::default();
        for exchange in &exchanges {
            assert!(
                exchange.lower() <= truth(exchange.received()),
                "{exchange:?}"
            );
            assert!(truth(exchange.sent()) <= exchange.upper(), "{exchange:?}");
            filter.add(*exchange);
        }
        let reading = filter.read(at, Prior::default()).expect("one is there");
        let bound = reading.fit.bound;
        assert!(bound.lo <= truth(at) && truth(at) <= bound.hi, "{bound:?}");

        let left = left(&exchanges).expect("one is there");
        assert!(left < FOUND, "{left:?} {exchanges:#?}");
        let off = (reading.estimate.theta - truth(at)).abs();
        assert!(off < FOUND, "{off:?} {exchanges:#?}");
    }
}

#[test]
fn a_daemon_with_a_web_server_alone_publishes_its_time_to_milliseconds() {
    sandbox::run(|| {
        let ahead = SECOND_NS / 4;
        let fake = FakeUpstream::start(Setup {
            dialect: Dialect::HttpDate,
            ..Setup::with_clock(OsClock { offset_ns: ahead })
        });
        let text = format!(
            "cycle = \"1s\"\n\n[shm]\nunit = 2\n\n[[source]]\nname = \"web\"\nurl = \"{}\"\nprotocol = \"http-date\"\n",
            fake.url("http", "/")
        );
        let mut daemon = daemon::start(Path::new(DIR), &text);
        daemon.wait_line("publishing: 1 of 1", LIMIT);
        let offset = || {
            let mut tracking = daemon::tool();
            let output = tracking.args(["tracking", "--json"]).output();
            let report: Value = serde_json::from_slice(&output.expect("it starts").stdout).ok()?;
            report["tracking"]["offset_ns"].as_i64()
        };
        let near = FOUND.as_nanos();
        let found = || offset().is_some_and(|offset| (offset - ahead).abs() < near);
        assert!(
            poll(LIMIT, || found().then_some(())).is_some(),
            "{:?}",
            offset()
        );
    });
}
