//! What the keys of the configuration do, from the file to the log and the segment.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use ::webntpd::engine::time::{Span, Theta};
use ::webntpd::net::Target;
use ::webntpd::poller::{Upstream, UpstreamSettings};
use ::webntpd::protocol::stamp::Rounding;

use crate::fake::{self, Authority, FakeUpstream, OsClock, Setup, Tls};
use crate::host::process::Process;
use crate::host::segment::{Entry, Segment};
use crate::host::{deadline, sandbox, webntpd};

const LIMIT: Duration = Duration::from_secs(60);
const DIR: &str = "/run/webntpd";
const UNIT: u8 = 2;

/// How far the fake's clock is ahead of the machine's.
const AHEAD_MS: f64 = 25.0;

fn setup() -> Setup<OsClock> {
    Setup::with_clock(OsClock {
        offset_ns: 25_000_000,
    })
}

/// The offset of the first sample, once there is one.
fn offset_ms() -> f64 {
    let written = deadline::poll(LIMIT, || {
        Segment::read(UNIT).filter(|segment| segment.valid == 1)
    });
    written.expect("the daemon writes a sample").offset_ns() as f64 / 1e6
}

#[test]
fn a_source_is_trusted_by_its_own_ca_and_corrected_and_the_segment_is_made_as_told() {
    sandbox::run(|| {
        let authority = Authority::new();
        fs::create_dir_all(DIR).expect("a directory");
        let ca = authority.write_ca(Path::new(DIR));
        let fake = FakeUpstream::start(Setup {
            tls: Some(Tls::of(&authority)),
            ..setup()
        });
        let text = format!(
            "cycle = '1s'\n[shm]\nmode = '0660'\n[[source]]\nname = 'a'\nurl = '{}'\n\
             ca-file = {ca:?}\noffset = '-10s'\naddress-family = 'ipv4'\nrounding = 'unknown'\n",
            fake.url("https", "/json")
        );
        let _daemon = webntpd::start(Path::new(DIR), &text);
        let offset = offset_ms();
        // Beside ten seconds no load of a machine counts.
        assert!((offset - AHEAD_MS + 10_000.0).abs() < 4_000.0, "{offset}");
        let entry = Entry::of(UNIT).expect("the daemon made it");
        assert_eq!(entry.mode, 0o660);
    });
}

#[test]
fn what_is_known_of_a_clock_narrows_and_moves_its_bound_and_the_truth_stays_inside() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        // A whole second of resolution: what a path on loopback adds is nothing beside it.
        for (shown, rounding, least_ms, most_ms) in [
            (fake::Rounding::Truncate, Rounding::Unknown, 1_500, 1_999),
            (fake::Rounding::Nearest, Rounding::Unknown, 1_500, 1_999),
            (fake::Rounding::Truncate, Rounding::Truncates, 1_000, 1_499),
            (fake::Rounding::Nearest, Rounding::Rounds, 1_000, 1_499),
        ] {
            let fake = FakeUpstream::start(Setup {
                face: fake::Face {
                    digits: 0,
                    rounding: shown,
                    ..fake::Face::MICROSECONDS
                },
                ..Setup::honest()
            });
            let url = fake.url("http", "/json").parse().expect("a URL");
            let offset = Span::from_secs(-7);
            let mut upstream = Upstream::new(
                Target::new(url).expect("a target"),
                std::sync::Arc::new(::webntpd::net::Tls::new(vec![])),
                UpstreamSettings {
                    rounding,
                    offset,
                    ..UpstreamSettings::default()
                },
            );
            let truth = |raw: ::webntpd::engine::time::Raw| {
                Theta::from_nanos(fake.truth(raw.as_nanos())) + offset
            };
            // A busy machine may hold up one or the other.
            let mut widths = Vec::new();
            for _ in 0..3 {
                let exchange = upstream.exchange().await.expect("an honest server");
                assert!(
                    exchange.lower() <= truth(exchange.received()),
                    "{rounding:?}"
                );
                assert!(truth(exchange.sent()) <= exchange.upper(), "{rounding:?}");
                widths.push(exchange.upper() - exchange.lower());
            }
            let width = widths.into_iter().min().expect("there are some");
            assert!(
                Span::from_millis(least_ms) <= width && width <= Span::from_millis(most_ms),
                "{rounding:?}: {width:?}"
            );
        }
    });
}

#[test]
fn a_server_that_says_nothing_is_left_after_the_timeout_of_its_source() {
    sandbox::run(|| {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = silent.local_addr().expect("bound");
        let text = format!(
            "cycle = '1s'\n[[source]]\nname = 'silent'\nurl = 'http://{address}/'\ntimeout = '150ms'\n"
        );
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        daemon.wait_line(
            "source silent: no answer to the request within 0.15 s",
            LIMIT,
        );
    });
}

#[test]
fn nothing_is_published_before_as_many_operators_agree_as_the_file_says() {
    sandbox::run(|| {
        let (first, second) = (FakeUpstream::start(setup()), FakeUpstream::start(setup()));
        second.stop();
        let mut text = "cycle = '1s'\n[select]\nmin-agreeing = 2\n".to_owned();
        for (name, fake) in [("a", &first), ("b", &second)] {
            let url = fake.url("http", "/json");
            text += &format!(
                "[[source]]\nname = '{name}'\nurl = '{url}'\noperator = '{name}'\npoll = '1s'\n"
            );
        }
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        daemon.wait_line("nothing published: too few operators agree", LIMIT);
        assert_eq!(Segment::read(UNIT).expect("attached").count, 0);
        second.restart_at_same_port();
        offset_ms();
    });
}

#[test]
fn the_level_of_the_log_is_that_of_the_file_unless_the_command_line_says_otherwise() {
    sandbox::run(|| {
        let fake = FakeUpstream::start(setup());
        let text = format!(
            "{}\n[log]\nlevel = 'error'\n",
            webntpd::configuration(UNIT, &[fake.url("http", "/json")])
        );
        let quiet = webntpd::start(Path::new(DIR), &text);
        offset_ms();
        assert_eq!(quiet.log(), "");
        drop(quiet);
        let path = webntpd::write_configuration(Path::new(DIR), &text);
        let mut command = webntpd::command();
        command.args(["--log-level", "info", "--config"]).arg(path);
        Process::start(&mut command).wait_line("started with", LIMIT);
    });
}

#[test]
fn check_names_a_ca_file_that_is_not_there_with_its_line() {
    sandbox::run(|| {
        let text = "[[source]]\nname = 'a'\nurl = 'https://a/'\nca-file = '/run/none.pem'\n";
        let path = webntpd::write_configuration(Path::new(DIR), text);
        let output = webntpd::command()
            .args(["--check", "--config"])
            .arg(path)
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(78));
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "/run/webntpd/webntpd.toml:4: source \"a\": ca-file \"/run/none.pem\" does not exist; \
             create it or name another one\n"
        );
    });
}
