//! Sources that do not say what they speak: found out by the daemon and by `webntpd --check`, from servers of every kind, and from
//! none that fails, or hides behind somebody.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::fake::{
    Authority, Dialect, FakeUpstream, Fault, HttpShape, KeepAlive, OsClock, SECOND_NS, Setup, Tls,
};
use crate::host::process::Process;
use crate::host::{deadline, sandbox, webntpd};

const LIMIT: Duration = Duration::from_secs(60);

/// How many it takes until `http-date` is settled.
const QUESTIONS: usize = 4;
const DIR: &str = "/run/webntpd";
const LOG: &str = "/run/webntpd/measurements.jsonl";

/// What each kind of server is found to speak.
const SPOKEN: [(Dialect, &str); 9] = [
    (Dialect::WebNtp, "webntp"),
    (Dialect::Nict, "webntp"),
    (Dialect::HtpTime, "htptime"),
    (Dialect::HttpsTime, "https-time"),
    (Dialect::XTime, "x-time"),
    (Dialect::Text, "text"),
    (Dialect::Iso, "text"),
    (Dialect::Trace, "text"),
    (Dialect::HttpDate, "http-date"),
];

/// What is said behind the finding of a kind of which somebody may expect more than it can give.
const CAUTION: &str = "; if it speaks a finer kind, name that as its protocol: a server that rounds its Date is half a second off, and nobody can tell";

fn caution(spoken: &str) -> &str {
    if spoken == "http-date" { CAUTION } else { "" }
}

fn fake(dialect: Dialect, fault: Option<Fault>) -> FakeUpstream<OsClock> {
    FakeUpstream::start(Setup {
        dialect,
        fault,
        ..Setup::with_clock(OsClock { offset_ns: 0 })
    })
}

/// The same under TLS.
fn encrypted(dialect: Dialect, authority: &Authority) -> FakeUpstream<OsClock> {
    FakeUpstream::start(Setup {
        dialect,
        tls: Some(Tls::of(authority)),
        ..Setup::with_clock(OsClock { offset_ns: 0 })
    })
}

/// One of a configuration's sources, asked every second.
fn source(name: &str, url: &str, more: &str) -> String {
    format!(
        "[[source]]\nname = '{name}'\noperator = '{name}'\nurl = '{url}'\npoll = '1s'\n{more}\n"
    )
}

fn check(text: &str) -> Output {
    let path = webntpd::write_configuration(Path::new(DIR), text);
    let mut command = webntpd::command();
    command.args(["--check", "--config"]).arg(path);
    command.output().expect("the program starts")
}

/// What `--check` says of a good configuration's sources.
fn checked(text: &str) -> Vec<String> {
    let output = check(text);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("text");
    let mut lines = said.lines().map(str::to_owned);
    let first = lines.next().expect("a line");
    assert!(first.contains("webntpd.toml: good, "), "{said}");
    lines.collect()
}

fn sources() -> Vec<Value> {
    let mut command = webntpd::tool();
    let output = command.args(["sources", "--json"]).output();
    let output = output.expect("the program starts");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    report["sources"].as_array().cloned().unwrap_or_default()
}

#[test]
fn what_a_server_of_any_kind_speaks_is_found_measured_and_said_once() {
    sandbox::run(|| {
        let authority = Authority::new();
        fs::create_dir_all(DIR).expect("a directory");
        let ca = authority.write_ca(Path::new(DIR));
        let mut text = "cycle = '1s'\n".to_owned();
        let fakes: Vec<_> = SPOKEN
            .iter()
            .enumerate()
            .map(|(k, (dialect, _))| {
                // A page in clear text would be taken for a portal's.
                let is_page = *dialect == Dialect::HttpDate;
                let (fake, scheme, more) = if is_page {
                    let ca = format!("ca-file = {ca:?}");
                    (encrypted(*dialect, &authority), "https", ca)
                } else {
                    (fake(*dialect, None), "http", String::new())
                };
                text += &source(&format!("s{k}"), &fake.url(scheme, "/time"), &more);
                fake
            })
            .collect();

        let lines = checked(&text);
        assert_eq!(lines.len(), SPOKEN.len(), "{lines:?}");
        for (k, (line, (_, spoken))) in lines.iter().zip(SPOKEN).enumerate() {
            let begins = format!("source s{k}: speaks {spoken} (");
            let ends = format!("protocol = \"{spoken}\"{}", caution(spoken));
            assert!(line.starts_with(&begins) && line.ends_with(&ends), "{line}");
        }

        let asked: Vec<usize> = fakes.iter().map(FakeUpstream::served).collect();
        let daemon = webntpd::start(Path::new(DIR), &text);
        let all = deadline::poll(LIMIT, || {
            let sources = sources();
            let is_measured = |source: &Value| source["samples"].as_u64() > Some(1);
            (sources.len() == SPOKEN.len() && sources.iter().all(is_measured)).then_some(sources)
        });
        let all = all.unwrap_or_else(|| panic!("{:?}\n{}", sources(), daemon.log()));
        for (k, (_, spoken)) in SPOKEN.into_iter().enumerate() {
            assert_eq!(all[k]["protocol"], spoken);
            let line = format!(
                "source s{k}: no protocol is given; its server was found to speak {spoken} ("
            );
            // The daemon has said it by now; whoever reads its log may be late.
            let said = deadline::poll(LIMIT, || daemon.log().contains(&line).then_some(()));
            let log = daemon.log();
            assert!(said.is_some(), "{line}\n{log}");
            assert_eq!(log.matches(&line).count(), 1, "{line}\n{log}");
            let line = log.lines().find(|told| told.contains(&line));
            let is_cautious = line.is_some_and(|line| line.contains(CAUTION));
            assert_eq!(is_cautious, spoken == "http-date", "{line:?}");
        }
        for (fake, before) in fakes.iter().zip(asked) {
            let ledger = fake.ledger();
            let times: Vec<i64> = ledger[before..]
                .iter()
                .map(|served| served.read_raw_ns)
                .collect();
            let apart = times.windows(2).map(|pair| pair[1] - pair[0]);
            // Once that is settled, the edge of a second is searched for with two a second, and after the burst turns are on a
            // grid: a request that a busy machine sent late is nearer to the next one. Before, the second is counted from the reply.
            let dialect = fake.setup().dialect;
            let least = apart.take(QUESTIONS).min().expect("more than one");
            assert!(least > SECOND_NS * 9 / 10, "{least} {dialect:?}");
        }
    });
}

#[test]
fn nothing_that_passes_settles_a_protocol_and_what_comes_after_it_does() {
    sandbox::run(|| {
        let elsewhere = fake(Dialect::WebNtp, None);
        let port = elsewhere.addr().port();
        let faults = [
            (Fault::Html, "a captive portal"),
            (Fault::Age, "out of a cache"),
            (Fault::XCacheHit, "out of a cache"),
            (Fault::Status(503), "status 503"),
            (Fault::Status(403), "status 403"),
            (
                Fault::Redirect(format!("http://localhost:{port}/json")),
                "redirected",
            ),
            (Fault::StallBeforeHeaders, "no answer to the request"),
            (Fault::CloseMidBody, "before its reply was complete"),
            (Fault::ContentEncodingGzip, "is coded as"),
            (Fault::StampBefore2020, "before this program was released"),
            (Fault::SevenDigits, "1000000"),
            (Fault::HugeBody(4_096), "above 1 KiB"),
        ];
        let mut text = "cycle = '1s'\n".to_owned();
        let mut fakes = Vec::new();
        for (k, (fault, _)) in faults.iter().enumerate() {
            let fake = fake(Dialect::WebNtp, Some(fault.clone()));
            // `--check` asks once: whoever answers has the usual time for it.
            let more = match fault {
                Fault::StallBeforeHeaders => "timeout = '500ms'",
                _ => "",
            };
            text += &source(&format!("s{k}"), &fake.url("http", "/json"), more);
            fakes.push(fake);
        }
        let lines = checked(&text);
        assert_eq!(lines.len(), faults.len(), "{lines:?}");
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        for (k, (_, why)) in faults.iter().enumerate() {
            let begins = format!("source s{k}: ");
            let ends = "; its protocol is still to be found out";
            let line = &lines[k];
            assert!(
                line.starts_with(&begins) && line.contains(why) && line.ends_with(ends),
                "{line}"
            );
            let told = |log: &str| {
                let mut lines = log.lines();
                lines
                    .any(|line| line.contains(&begins) && line.contains(why) && line.contains(ends))
            };
            let told = deadline::poll(LIMIT, || told(&daemon.log()).then_some(()));
            assert!(told.is_some(), "s{k} {why}\n{}", daemon.log());
        }
        assert!(
            !daemon.log().contains("was found to speak"),
            "{}",
            daemon.log()
        );
        let unknown = sources();
        assert!(
            unknown
                .iter()
                .all(|source| source["protocol"] == "" && source["samples"] == 0),
            "{unknown:?}"
        );
        for fake in &fakes {
            fake.set_fault(None);
        }
        for _ in &fakes {
            daemon.wait_line("was found to speak webntp", LIMIT);
        }
        assert_eq!(elsewhere.served(), 0, "another host may speak anything");
    });
}

#[test]
fn a_redirect_within_the_host_and_a_server_that_closes_after_each_reply_are_no_obstacles() {
    sandbox::run(|| {
        let moved = fake(Dialect::Text, None);
        moved.set_fault_for(Fault::Redirect("/elsewhere".to_owned()), 1);
        let brusque = [true, false].map(|announced| {
            let keep_alive = Some(KeepAlive {
                requests: 1,
                announced,
            });
            FakeUpstream::start(Setup {
                dialect: Dialect::XTime,
                http: HttpShape {
                    keep_alive,
                    ..HttpShape::plain()
                },
                ..Setup::with_clock(OsClock { offset_ns: 0 })
            })
        });
        let text = source("moved", &moved.url("http", "/time"), "")
            + &source("closes", &brusque[0].url("http", "/"), "")
            + &source("hangs-up", &brusque[1].url("http", "/"), "");
        let text = format!("cycle = '1s'\n{text}");
        let lines = checked(&text);
        let found = [
            "moved: speaks text",
            "closes: speaks x-time",
            "hangs-up: speaks x-time",
        ];
        for (line, found) in lines.iter().zip(found) {
            assert!(line.starts_with(&format!("source {found} (")), "{line}");
        }
        assert_eq!(moved.served(), 4, "one of them is the redirect");
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        for name in ["moved", "closes", "hangs-up"] {
            let answers = format!("source {name}: answers");
            let said = deadline::poll(LIMIT, || daemon.log().contains(&answers).then_some(()));
            assert!(said.is_some(), "{}", daemon.log());
        }
        assert!(
            !daemon.log().contains("still to be found out"),
            "{}",
            daemon.log()
        );
        daemon.assert_running();
    });
}

#[test]
fn a_server_that_wants_to_be_left_alone_is_not_asked_what_it_speaks() {
    sandbox::run(|| {
        let busy = fake(Dialect::WebNtp, Some(Fault::RetryAfter(600)));
        let other = fake(Dialect::WebNtp, None);
        let text = format!(
            "cycle = '1s'\n{}{}",
            source("busy", &busy.url("http", "/json"), ""),
            source("other", &other.url("http", "/json"), "")
        );
        let mut daemon = webntpd::start(Path::new(DIR), &text);
        daemon.wait_line(
            "source busy: status 503, asking for a pause of 600 s",
            LIMIT,
        );
        assert!(other.wait_served(8, LIMIT), "{}", daemon.log());
        assert_eq!(busy.served(), 1);
    });
}

#[test]
fn check_asks_nobody_where_every_source_says_what_it_speaks_and_blames_no_file_for_a_dead_server() {
    sandbox::run(|| {
        let fake = fake(Dialect::WebNtp, None);
        let url = fake.url("http", "/json");
        assert_eq!(
            checked(&source("named", &url, "protocol = 'webntp'")),
            [""; 0]
        );
        assert_eq!(checked(&source("ws", &fake.url("ws", "/"), "")), [""; 0]);
        assert_eq!((fake.connections(), fake.served()), (0, 0));

        // One that is gone, one that takes connections and says nothing, a name that nobody knows.
        let (gone, silent) = (listener(), listener());
        let address = |listener: &TcpListener| listener.local_addr().expect("bound");
        let (dead, mute) = (address(&gone), address(&silent));
        drop(gone);
        // Long enough to connect on a machine that is busy: that has the same limit.
        let text = source("dead", &format!("http://{dead}/"), "")
            + &source("mute", &format!("http://{mute}/"), "timeout = '3s'")
            + &source("nameless", "http://no-such-host.invalid/", "")
            + &source("good", &url, "");
        let lines = checked(&format!("cycle = '1s'\n{text}"));
        let [dead, mute, nameless, good] = &lines[..] else {
            panic!("{lines:?}");
        };
        assert!(
            dead.starts_with("source dead: cannot connect to "),
            "{dead}"
        );
        assert!(
            mute.starts_with("source mute: no answer to the request within 3 s; "),
            "{mute}"
        );
        assert!(nameless.starts_with("source nameless: "), "{nameless}");
        assert!(good.starts_with("source good: speaks webntp ("), "{good}");
    });
}

#[test]
fn a_source_whose_websocket_is_none_says_so_in_the_table_as_others_do() {
    sandbox::run(|| {
        let none = fake(Dialect::WebNtp, Some(Fault::Html));
        let text = source("none", &none.url("ws", "/"), "");
        let daemon = webntpd::start(Path::new(DIR), &format!("cycle = '1s'\n{text}"));
        let said = deadline::poll(LIMIT, || {
            let sources = sources();
            let reason = sources.first()?["reason"].as_str()?.to_owned();
            reason
                .starts_with("status 200 instead of a WebSocket")
                .then_some(())
        });
        assert!(said.is_some(), "{:?}\n{}", sources(), daemon.log());
    });
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

#[test]
fn what_was_found_outlives_a_reload_and_stands_in_the_record_for_a_replay() {
    sandbox::run(|| {
        let authority = Authority::new();
        fs::create_dir_all(DIR).expect("a directory");
        let ca = authority.write_ca(Path::new(DIR));
        let page = encrypted(Dialect::HttpDate, &authority);
        let exact = [0, 1].map(|_| fake(Dialect::WebNtp, None));
        let mut text = format!("cycle = '1s'\n[log]\nmeasurements = '{LOG}'\n");
        text += &source(
            "page",
            &page.url("https", "/"),
            &format!("ca-file = {ca:?}\nrounding = 'truncates'"),
        );
        for (k, fake) in exact.iter().enumerate() {
            write!(
                text,
                "{}",
                source(&format!("s{k}"), &fake.url("http", "/json"), "")
            )
            .expect("a string takes all");
        }
        let path = webntpd::write_configuration(Path::new(DIR), &text);
        let mut command = webntpd::command();
        command
            .args(["--log-level", "debug", "--config"])
            .arg(&path);
        let mut daemon = Process::start(&mut command);
        daemon.wait_line("source page: no protocol is given", LIMIT);
        wait_for_samples(&mut daemon, 4);

        // As logrotate has it; one source is another one now, of one it is only said what it speaks.
        fs::rename(LOG, "/run/webntpd/old.jsonl").expect("it is there");
        let changed = text
            .replace("name = 's1'", "name = 's1'\nburst = false")
            .replace("name = 'page'", "name = 'page'\nprotocol = 'http-date'");
        let before = Path::new("/run/webntpd/before.toml");
        fs::copy(&path, before).expect("the sandbox has room");
        webntpd::write_configuration(Path::new(DIR), &changed);
        daemon.signal(Signal::SIGHUP);
        daemon.wait_line("2 go on, 1 started, 1 stopped", LIMIT);
        daemon.wait_line("source s1: no protocol is given", LIMIT);
        wait_for_samples(&mut daemon, 4);
        daemon.signal(Signal::SIGTERM);
        assert!(daemon.wait_exit(LIMIT).success());

        let log = daemon.log();
        let found = |name: &str| {
            log.matches(&format!("source {name}: no protocol is given"))
                .count()
        };
        assert_eq!(
            (found("page"), found("s0"), found("s1")),
            (1, 1, 2),
            "{log}"
        );
        assert_eq!(
            page.connections(),
            1,
            "its connection was kept all the time"
        );

        let [old, new] = ["/run/webntpd/old.jsonl", LOG]
            .map(|file| fs::read_to_string(file).expect("it is there"));
        for text in [&old, &new] {
            let told = "\"source\":\"page\",\"protocol\":\"http-date\"}";
            assert_eq!(text.matches(told).count(), 1, "{text}");
        }
        let whole = "/run/webntpd/whole.jsonl";
        fs::write(whole, old + &new).expect("the sandbox has room");
        let own = log.lines().filter_map(|line| line.split_once("decided: "));
        let own: Vec<&str> = own.map(|(_, decision)| decision).collect();
        assert!(own.len() > 4, "{log}");
        // By the configuration that names it, and by that which does not.
        for config in [&path, before] {
            let mut replay: Command = webntpd::tool();
            replay.args(["replay", "--config"]).arg(config).arg(whole);
            let output = replay.output().expect("the program starts");
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            let replayed = String::from_utf8(output.stdout).expect("JSON is UTF-8");
            assert_eq!(replayed.lines().collect::<Vec<_>>(), own);
        }
    });
}

/// Waits until the page has given so many more samples.
fn wait_for_samples(daemon: &mut Process, count: usize) {
    for _ in 0..count {
        daemon.wait_line("source page: sample, ", LIMIT);
    }
}
