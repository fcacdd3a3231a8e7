//! The real daemon among fake upstreams, in real time. Honest ones are ahead of the machine's clock by 25 ms.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::fake::{Dialect, FakeUpstream, OsClock, Setup};
use crate::host::ntpsec::Ntpsec;
use crate::host::process::Process;
use crate::host::segment::Segment;
use crate::host::{deadline, sandbox, webntpd};

const UNIT: u8 = 2;
const LIMIT: Duration = Duration::from_secs(60);

const AHEAD_NS: i64 = 25_000_000;
const AHEAD_MS: f64 = 25.0;

/// Tells the offset from nothing and from any lie here on the busiest machine.
const TOLERANCE_MS: f64 = 20.0;

const PLUS_3_S: i64 = 3_000_000_000;
const PLUS_700_MS: i64 = 700_000_000;
const PLUS_400_MS: i64 = 400_000_000;
const MINUS_1_H: i64 = -3_600_000_000_000;
const CREEP_PPB: i64 = 20_000;

/// An upstream of the panel. Each has an operator of its own.
struct Member {
    name: &'static str,
    dialect: Dialect,
    fake: FakeUpstream<OsClock>,
}

impl Member {
    fn honest(name: &'static str, dialect: Dialect) -> Self {
        Self::lying(name, dialect, 0)
    }

    /// It is off by `lie_ns`; positive: ahead.
    fn lying(name: &'static str, dialect: Dialect, lie_ns: i64) -> Self {
        let clock = OsClock {
            offset_ns: AHEAD_NS + lie_ns,
        };
        let fake = FakeUpstream::start(Setup {
            dialect,
            ..Setup::with_clock(clock)
        });
        Self {
            name,
            dialect,
            fake,
        }
    }

    /// Right at the start, and off by another 20 µs with every second.
    fn creeping(name: &'static str, dialect: Dialect) -> Self {
        let member = Self::honest(name, dialect);
        member.fake.skew_clock(CREEP_PPB);
        member
    }

    fn protocol(&self) -> &'static str {
        match self.dialect {
            Dialect::WebNtp => "webntp",
            Dialect::Nict => "nict",
            Dialect::HtpTime => "htptime",
            Dialect::HttpsTime => "https-time",
            Dialect::XTime => "x-time",
            Dialect::Text | Dialect::Iso | Dialect::Trace => "text",
            Dialect::HttpDate => "http-date",
        }
    }
}

/// The daemon, which asks every member and publishes every second.
fn daemon(panel: &[Member]) -> Process {
    let mut text = webntpd::configuration(UNIT, &[]);
    for member in panel {
        let (name, protocol) = (member.name, member.protocol());
        let url = member.fake.url("http", "/json");
        write!(
            text,
            "\n[[source]]\nname = \"{name}\"\nurl = \"{url}\"\nprotocol = \"{protocol}\"\noperator = \"{name}\"\n"
        )
        .expect("a string takes all");
    }
    webntpd::start(Path::new("/run/webntpd"), &text)
}

/// The last sample that was written whole, if there is one, taken or not.
fn sample() -> Option<Segment> {
    Segment::read(UNIT).filter(|segment| segment.count > 0 && segment.count % 2 == 0)
}

fn is_near(offset_ms: f64) -> bool {
    (offset_ms - AHEAD_MS).abs() < TOLERANCE_MS
}

/// Fails if the segment holds anything but the right time.
fn assert_right_or_nothing() {
    if let Some(segment) = sample() {
        assert!(is_near(segment.offset_ns() as f64 / 1e6), "{segment:?}");
    }
}

/// Looks at the segment all the time until every member has answered so many more times.
fn watch(daemon: &mut Process, panel: &[Member], more: usize) {
    let wanted: Vec<usize> = panel.iter().map(|m| m.fake.served() + more).collect();
    let asked = deadline::poll(LIMIT, || {
        daemon.assert_running();
        assert_right_or_nothing();
        let mut members = panel.iter().zip(&wanted);
        members
            .all(|(member, wanted)| member.fake.served() >= *wanted)
            .then_some(())
    });
    asked.expect("the daemon goes on asking everybody");
}

#[test]
fn falsetickers_among_all_kinds_are_named_and_move_nothing_in_ntpsec() {
    sandbox::run(|| {
        let honest = [
            "webntp",
            "nict",
            "htptime",
            "https-time",
            "x-time",
            "text",
            "text-iso",
            "text-trace",
            "http-date",
        ];
        assert_eq!(honest.len(), Dialect::ALL.len());
        let kinds = honest.into_iter().zip(Dialect::ALL);
        let mut panel: Vec<Member> = kinds
            .map(|(name, dialect)| Member::honest(name, dialect))
            .collect();
        panel.push(Member::lying("plus-3s", Dialect::WebNtp, PLUS_3_S));
        panel.push(Member::lying("minus-1h", Dialect::HtpTime, MINUS_1_H));
        panel.push(Member::creeping("creeping", Dialect::HttpsTime));
        let mut daemon = daemon(&panel);
        let mut ntpsec = Ntpsec::start(UNIT, 0, Path::new("/run/ntpsec"));

        let named = |daemon: &Process, name: &str| {
            let line = format!("WARN source {name}: falseticker, it contradicts the majority");
            daemon.log().contains(&line)
        };
        let convicted = deadline::poll(LIMIT, || {
            assert_right_or_nothing();
            ["plus-3s", "minus-1h"]
                .iter()
                .all(|name| named(&daemon, name))
                .then_some(())
        });
        assert!(convicted.is_some(), "{}", daemon.log());

        let peer = ntpsec.wait_peer(LIMIT, |peer| {
            assert_right_or_nothing();
            assert!(
                peer.reach == 0 || is_near(peer.offset_ms),
                "ntpsec was misled: {peer:?}"
            );
            peer.reach & 0b111 == 0b111
        });
        assert!(is_near(peer.offset_ms), "{peer:?}");
        assert!(sample().is_some());
        let crept_too_far = deadline::poll(LIMIT, || {
            assert_right_or_nothing();
            named(&daemon, "creeping").then_some(())
        });
        assert!(crept_too_far.is_some(), "{}", daemon.log());
        let after = ntpsec.wait_peer(LIMIT, |peer| peer.reach & 1 == 1);
        assert!(is_near(after.offset_ms), "{after:?}");
        daemon.assert_running();
        for name in honest {
            assert!(!named(&daemon, name), "{name} is honest");
        }
    });
}

#[test]
fn three_of_five_wrong_in_three_ways_give_nothing_wrong() {
    sandbox::run(|| {
        let panel = [
            Member::honest("honest", Dialect::WebNtp),
            Member::honest("honest-too", Dialect::Nict),
            Member::lying("plus-3s", Dialect::HtpTime, PLUS_3_S),
            Member::lying("minus-1h", Dialect::HttpsTime, MINUS_1_H),
            Member::lying("plus-700ms", Dialect::WebNtp, PLUS_700_MS),
        ];
        let mut daemon = daemon(&panel);
        watch(&mut daemon, &panel, 5);
        daemon.wait_line("nothing published: no majority", LIMIT);
        watch(&mut daemon, &panel, 3);
    });
}

#[test]
fn a_web_server_wrong_by_less_than_it_shows_helps_the_honest_and_moves_nothing() {
    sandbox::run(|| {
        // Whole seconds that are off by less than half of one do not contradict the honest two, who alone are no majority.
        let panel = [
            Member::honest("honest", Dialect::WebNtp),
            Member::honest("honest-too", Dialect::HttpsTime),
            Member::lying("plus-3s", Dialect::HttpDate, PLUS_3_S),
            Member::lying("minus-1h", Dialect::HttpDate, MINUS_1_H),
            Member::lying("plus-400ms", Dialect::HttpDate, PLUS_400_MS),
        ];
        let mut daemon = daemon(&panel);
        daemon.wait_line("publishing: 3 of 5 sources agree", LIMIT);
        watch(&mut daemon, &panel, 4);
        assert!(sample().is_some());
    });
}
