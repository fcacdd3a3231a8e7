//! What Prometheus finds at `[metrics] listen`, and what the shipped rules make of it, as promtool judges both.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::fake::{FakeUpstream, OsClock, SECOND_NS, Setup};
use crate::host::process::Process;
use crate::host::promtool::{complaints, judge, shipped};
use crate::host::{deadline, sandbox, webntpd};

const LIMIT: Duration = Duration::from_secs(60);
const DIR: &str = "/run/webntpd";
const LISTEN: &str = "127.0.0.1:9975";

/// The fakes are ahead of the machine by so much, seconds; the tolerance is for the busiest machine.
const AHEAD: f64 = 0.025;
const TOLERANCE: f64 = 0.020;

/// A name with all that a label must escape.
const ODD: &str = r#"a"b\c"#;

fn fake(ahead_ns: i64) -> FakeUpstream<OsClock> {
    FakeUpstream::start(Setup::with_clock(OsClock {
        offset_ns: ahead_ns,
    }))
}

fn good() -> FakeUpstream<OsClock> {
    fake(25_000_000)
}

/// A configuration with sources of these names and URLs, each of an operator of its own.
fn configuration(listen: &str, sources: &[(&str, String)]) -> String {
    let mut text = format!("cycle = '1s'\n[metrics]\nlisten = '{listen}'\n");
    for (k, (name, url)) in sources.iter().enumerate() {
        text += &format!("[[source]]\nname = '{name}'\nurl = '{url}'\noperator = 'o{k}'\n");
    }
    text
}

fn one_source(listen: &str, fake: &FakeUpstream<OsClock>) -> String {
    configuration(listen, &[("a", fake.url("http", "/json"))])
}

/// What comes back for these bytes, until the other side hangs up.
fn sent(address: &str, bytes: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(bytes)?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

fn scrape(address: &str) -> io::Result<String> {
    let reply = sent(address, b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n")?;
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    Ok(body.to_owned())
}

/// The metrics, once they have a line that begins so.
fn wait(address: &str, line: &str) -> String {
    let mut last = String::new();
    let seen = deadline::poll(LIMIT, || {
        last = scrape(address).unwrap_or_default();
        last.lines()
            .any(|found| found.starts_with(line))
            .then(|| last.clone())
    });
    seen.unwrap_or_else(|| panic!("no {line:?} at {address}:\n{last}"))
}

fn value(metrics: &str, series: &str) -> f64 {
    let number = metrics
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no {series} in:\n{metrics}"));
    number.parse().expect("a number")
}

fn reload(daemon: &Process, text: &str) {
    webntpd::write_configuration(Path::new(DIR), text);
    daemon.signal(Signal::SIGHUP);
}

#[test]
fn promtool_takes_the_metrics_and_they_are_right() {
    sandbox::run(|| {
        let (first, second, liar) = (good(), good(), fake(SECOND_NS + 25_000_000));
        let url = |fake: &FakeUpstream<OsClock>| fake.url("http", "/json");
        let sources = [
            ("first", url(&first)),
            ("second", url(&second)),
            ("liar", url(&liar)),
            (ODD, "http://127.0.0.1:9/".to_owned()),
        ];
        let _daemon = webntpd::start(Path::new(DIR), &configuration(LISTEN, &sources));
        wait(LISTEN, "webntpd_source_falseticker{source=\"liar\"} 1");
        let metrics = wait(LISTEN, "webntpd_state{state=\"publishing\"} 1");
        assert_eq!(complaints(&metrics), "");

        let of = |series: &str| value(&metrics, series);
        for series in [
            "webntpd_offset_seconds",
            "webntpd_source_offset_seconds{source=\"first\"}",
            "webntpd_source_offset_seconds{source=\"second\"}",
        ] {
            assert!(
                (of(series) - AHEAD).abs() < TOLERANCE,
                "{series} {}",
                of(series)
            );
        }
        assert!(of("webntpd_source_offset_seconds{source=\"liar\"}") > 0.9);
        assert!((of("webntpd_offset_seconds") - AHEAD).abs() <= of("webntpd_bound_seconds"));
        assert_eq!(of("webntpd_source_falseticker{source=\"first\"}"), 0.0);
        assert_eq!(of("webntpd_operators"), 4.0);
        assert_eq!(of("webntpd_operators_agreeing"), 2.0);
        let odd = r#"source="a\"b\\c""#;
        let polls = |result: &str| {
            of(&format!(
                "webntpd_source_polls_total{{{odd},result=\"{result}\"}}"
            ))
        };
        assert!(
            polls("network") >= 1.0 && polls("sample") == 0.0,
            "{metrics}"
        );
        assert!(of("webntpd_source_polls_total{source=\"first\",result=\"sample\"}") >= 1.0);
        assert!(of("webntpd_output_samples_total{output=\"SHM(2)\",result=\"written\"}") >= 1.0);
        assert_eq!(
            of("webntpd_output_reader{output=\"SHM(2)\",state=\"absent\"}"),
            1.0
        );
        let age = of("webntpd_system_time_seconds") - of("webntpd_last_decision_timestamp_seconds");
        assert!((0.0..60.0).contains(&age), "{age}");
        assert!(of("process_open_fds") > 3.0 && of("process_resident_memory_bytes") > 1e6);
        rules_name_only_what_is_in(&metrics);
    });
}

/// Every metric and every label that a rule asks for is there; `up` and its job are Prometheus' own.
fn rules_name_only_what_is_in(metrics: &str) {
    let rules = fs::read_to_string(shipped("webntpd.rules.yml")).expect("it is shipped");
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut asked = 0;
    for expression in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "))
    {
        for (at, _) in expression
            .match_indices("webntpd_")
            .chain(expression.match_indices("process_"))
        {
            let rest = &expression[at..];
            let (name, rest) = rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()));
            let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let labels = labels.map_or("", |(labels, _)| labels);
            let is_asked_for = |line: &str| {
                let sample = line
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']));
                let mut labels = labels.split(',').filter(|label| !label.starts_with("job="));
                sample && labels.all(|label| line.contains(label))
            };
            // What only grows begins at none, so it is there before the first one.
            assert!(metrics.lines().any(is_asked_for), "{expression}\n{metrics}");
            asked += 1;
        }
    }
    assert!(asked >= 12, "{asked}");
}

#[test]
fn promtool_takes_the_rules_and_each_fires_when_it_should() {
    for (arguments, file) in [
        (
            &["check", "rules", "--lint=all", "--lint-fatal"][..],
            "webntpd.rules.yml",
        ),
        (&["test", "rules"], "webntpd.rules.test.yml"),
        (&["check", "config"], "prometheus.yml"),
    ] {
        if let Err(said) = judge(arguments, file) {
            panic!("{said}");
        }
    }
    let read = |name| fs::read_to_string(shipped(name)).expect("it is shipped");
    let (rules, tests) = (read("webntpd.rules.yml"), read("webntpd.rules.test.yml"));
    for name in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        let quiet = tests.matches(&format!("alertname: {name}, ")).count();
        let fires = tests.matches(&format!("alertname: {name}\n")).count();
        assert!(quiet >= 2 && fires >= 1, "{name}: {quiet} {fires}");
    }
}

#[test]
fn a_port_that_is_taken_fails_the_start_and_is_named() {
    sandbox::run(|| {
        let _taken = TcpListener::bind(LISTEN).expect("it is free here");
        let text = configuration(LISTEN, &[("a", "http://127.0.0.1:9/".to_owned())]);
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        // Not 78: the configuration is good, and the other program may go.
        assert_eq!(daemon.wait_exit(LIMIT).code(), Some(1));
        let log = daemon.log();
        let why = "[metrics] listen: no metrics at 127.0.0.1:9975: Address already in use; \
                   another program listens there: stop it or take another port";
        assert!(log.contains(why), "{log}");
    });
}

#[test]
fn a_reload_moves_the_metrics_or_leaves_them_where_they_are() {
    const TAKEN: &str = "127.0.0.1:9976";
    const MOVED: &str = "127.0.0.1:9977";
    sandbox::run(|| {
        let fake = good();
        let _taken = TcpListener::bind(TAKEN).expect("it is free here");
        let mut daemon = webntpd::start(Path::new(DIR), &one_source(LISTEN, &fake));
        wait(LISTEN, "webntpd_state{state=\"publishing\"} 1");

        reload(&daemon, &one_source(TAKEN, &fake));
        daemon.wait_line(
            "no metrics at 127.0.0.1:9976: Address already in use",
            LIMIT,
        );
        wait(LISTEN, "webntpd_reloads_total{result=\"refused\"} 1");

        // All addresses, the present one among them, and back again.
        for (listen, taken) in [(":9975", 1), (LISTEN, 2)] {
            reload(&daemon, &one_source(listen, &fake));
            wait(
                LISTEN,
                &format!("webntpd_reloads_total{{result=\"taken\"}} {taken}"),
            );
        }

        // Another's on the same port: ours are in nobody's way, and come back.
        let _other = TcpListener::bind("127.0.0.2:9975").expect("it is free here");
        reload(&daemon, &one_source("0.0.0.0:9975", &fake));
        daemon.wait_line("no metrics at 0.0.0.0:9975: Address already in use", LIMIT);
        wait(LISTEN, "webntpd_reloads_total{result=\"refused\"} 2");

        reload(&daemon, &one_source(MOVED, &fake));
        wait(MOVED, "webntpd_reloads_total{result=\"taken\"} 3");
        assert!(TcpStream::connect(LISTEN).is_err(), "it is served at both");

        reload(
            &daemon,
            &one_source(MOVED, &fake).replace("listen", "#listen"),
        );
        let gone = deadline::poll(LIMIT, || TcpStream::connect(MOVED).is_err().then_some(()));
        assert!(gone.is_some(), "it is still served");
        daemon.assert_running();
    });
}

#[test]
fn hostile_clients_hold_up_neither_the_metrics_for_long_nor_the_samples() {
    sandbox::run(|| {
        let fake = good();
        let mut daemon = webntpd::start(Path::new(DIR), &one_source(LISTEN, &fake));
        let metrics = wait(LISTEN, "webntpd_state{state=\"publishing\"} 1");
        let written = "webntpd_output_samples_total{output=\"SHM(2)\",result=\"written\"}";
        let before = value(&metrics, written);

        // Three full houses of clients that never finish their heads, one by one left alone.
        let slow: Vec<TcpStream> = (0..24)
            .map(|_| {
                let mut stream = TcpStream::connect(LISTEN).expect("it listens");
                stream
                    .write_all(b"GET /metrics HTTP/1.1\r\nHo")
                    .expect("it is taken");
                stream
            })
            .collect();
        let huge = [b"GET / HTTP/1.1\r\nx: ".as_slice(), &vec![b'x'; 1 << 20]].concat();
        let reply = sent(LISTEN, &huge).unwrap_or_default();
        assert!(!reply.contains(" 200 "), "{reply}");
        let body = b"POST /metrics HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n";
        let reply = sent(LISTEN, body).expect("a reply");
        assert!(reply.starts_with("HTTP/1.1 405 "), "{reply}");

        let metrics = wait(LISTEN, "webntpd_state{state=\"publishing\"} 1");
        // A sample each second, whatever the clients did: the slow ones took some seconds in all.
        assert!(value(&metrics, written) > before + 3.0);
        drop(slow);
        daemon.assert_running();
        let log = daemon.log();
        assert!(!log.contains("ERROR"), "{log}");
    });
}
