//! The texts that a person gets, from a file to its problems: they are part of what the program promises.

mod manual;
mod outputs;
mod shipped;
mod sources;
mod syntax;
mod values;

use super::*;
use crate::engine::time::Span;
use crate::protocol::stamp::Rounding;
use proptest::prelude::*;
use std::path::PathBuf;

/// What `parse` says about a text, without the name of the file.
fn problems(text: &str) -> Vec<String> {
    match parse(text, "f") {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .to_string()
            .lines()
            .map(|line| {
                line.strip_prefix("f:")
                    .expect("begins with the file")
                    .to_owned()
            })
            .collect(),
    }
}

/// What `parse` says about a source with these lines, which begin on line 2.
fn source_problems(lines: &str) -> Vec<String> {
    problems(&format!("[[source]]\n{lines}"))
}

#[test]
fn an_empty_file_has_the_defaults_and_no_source() {
    let config = Config {
        cycle: Span::from_secs(16),
        shm: Shm {
            enable: true,
            unit: 2,
            mode: 0o666,
            owner_check: true,
        },
        socks: Vec::new(),
        select: Select {
            min_agreeing: None,
            max_bound: Span::from_millis(1_500),
        },
        leap: Leap {
            list: None,
            url: None,
        },
        log: Log::default(),
        state: State {
            directory: Some(PathBuf::from("/var/lib/webntpd")),
        },
        control: Some(Control {
            path: PathBuf::from("/run/webntpd/control.sock"),
            mode: 0o666,
        }),
        metrics: None,
        sources: Vec::new(),
    };
    assert_eq!(parse("", "f"), Ok(config));
}

#[test]
fn every_key_is_read() {
    let text = r#"
        cycle = "1m"
        shm = { enable = false, unit = 0x11, mode = "0660", owner-check = false }
        sock = [{ path = "/run/a.sock" }, { path = "/run/b.sock" }]
        select = { min-agreeing = 2, max-bound = "250ms" }
        leap = { list = "/etc/leap-seconds.list", url = "https://example.org/list" }
        log.level = "debug"
        log.measurements = "/srv/measurements.jsonl"
        state.directory = "/srv/webntpd"
        control = { path = "/tmp/c", mode = "0660" }
        metrics = { listen = "[::1]:9975" }
        source = [
            {
                name = "東京",
                url = "wss://a:81/b?c",
                protocol = "webntp",
                min-poll = "2s",
                max-poll = "1024s",
                burst = false,
                operator = "Us",
                prefer = true,
                noselect = false,
                offset = "-1500us",
                rounding = "rounds",
                timeout = "60s",
                ca-file = "/etc/ssl/ours.pem",
                address-family = "ipv6",
            },
            { name = "b", url = "http://B.example./", noselect = true },
            { name = "c", url = "http://c/", poll = "5s" },
        ]
    "#;
    let config = Config {
        cycle: Span::from_secs(60),
        shm: Shm {
            enable: false,
            unit: 17,
            mode: 0o660,
            owner_check: false,
        },
        socks: ["/run/a.sock", "/run/b.sock"]
            .map(|path| Sock { path: path.into() })
            .into(),
        select: Select {
            min_agreeing: Some(2),
            max_bound: Span::from_millis(250),
        },
        leap: Leap {
            list: Some(PathBuf::from("/etc/leap-seconds.list")),
            url: Some("https://example.org/list".parse().expect("a URL")),
        },
        log: Log {
            level: Level::Debug,
            measurements: Some(PathBuf::from("/srv/measurements.jsonl")),
        },
        state: State {
            directory: Some(PathBuf::from("/srv/webntpd")),
        },
        control: Some(Control {
            path: PathBuf::from("/tmp/c"),
            mode: 0o660,
        }),
        metrics: Some(Metrics {
            listen: vec!["[::1]:9975".parse().expect("an address")],
        }),
        sources: vec![
            Source {
                name: "東京".to_owned(),
                url: "wss://a:81/b?c".parse().expect("a URL"),
                protocol: Some(Protocol::WebNtp),
                min_poll: Span::from_secs(2),
                max_poll: Span::from_secs(1_024),
                burst: false,
                operator: "us".to_owned(),
                prefer: true,
                noselect: false,
                offset: Span::from_micros(-1_500),
                rounding: Rounding::Rounds,
                timeout: Span::from_secs(60),
                ca_file: Some(PathBuf::from("/etc/ssl/ours.pem")),
                address_family: AddressFamily::Ipv6,
            },
            Source {
                name: "b".to_owned(),
                url: "http://b.example./".parse().expect("a URL"),
                protocol: None,
                min_poll: Span::from_secs(60),
                max_poll: Span::from_secs(64),
                burst: true,
                operator: "b.example".to_owned(),
                prefer: false,
                noselect: true,
                offset: Span::ZERO,
                rounding: Rounding::Unknown,
                timeout: Span::from_secs(5),
                ca_file: None,
                address_family: AddressFamily::Any,
            },
            Source {
                max_poll: Span::from_secs(5),
                ..Source::new("c", "http://c/".parse().expect("a URL"), Span::from_secs(5))
            },
        ],
    };
    assert_eq!(parse(text, "f"), Ok(config));
}

#[test]
fn units_0_and_1_are_private_unless_the_file_says_otherwise() {
    for (text, mode) in [
        ("unit = 0", 0o600),
        ("unit = 1", 0o600),
        ("unit = 2", 0o666),
        ("unit = 255", 0o666),
        ("unit = 1\nmode = '666'", 0o666),
        ("unit = 2\nmode = '0600'", 0o600),
    ] {
        let config = parse(&format!("[shm]\n{text}"), "f").expect(text);
        assert_eq!(config.shm.mode, mode, "{text}");
    }
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_file() {
    let text = r#"cycle = "500ms"
[shm]
unit = 256
units = 3
[[source]]
name = "tokyo"
pol = "16s"
url = "ftp://a/"
[[source]]
name = "tokyo"
url = "https://a/"
poll = 16
[[source]]
protocol = "sntp"
"#;
    let expected = r#"1: cycle 500ms is below 1s; raise it to at least 1s
3: shm: unit 256 is above 255; lower it to at most 255
4: shm: unknown key "units"; did you mean "unit"?
7: source "tokyo": unknown key "pol"; did you mean "poll"?
8: source "tokyo": url "ftp://a/" has the scheme ftp; use http, https, ws, wss or ntp
10: source "tokyo": name is taken by the source on line 6; give each source its own name
12: source "tokyo": poll is the bare number 16; write "16s"
13: source 3: name is missing; add name = "tokyo"
13: source 3: url is missing; add url = "https://example.com/json"
14: source 3: protocol "sntp" is unknown; write "webntp", "nict", "htptime", "https-time", "x-time", "text", "http-date", "ntp" or leave it out"#;
    assert_eq!(problems(text).join("\n"), expected);
}

#[test]
fn only_webntp_is_spoken_over_websocket_and_only_ntp_by_packets() {
    let source = |scheme: &str, protocol: &str| {
        source_problems(&format!(
            "name = \"a\"\nurl = \"{scheme}://a/\"\nprotocol = \"{protocol}\""
        ))
    };
    for protocol in Protocol::OVER_HTTP {
        for scheme in ["http", "https"] {
            assert!(source(scheme, protocol.name()).is_empty());
        }
    }
    assert!(source("wss", "webntp").is_empty());
    assert_eq!(
        source("https", "ntp"),
        [
            r#"4: source "a": protocol "ntp" is not spoken over https; begin the url with ntp, or use protocol "webntp""#
        ]
    );
    assert_eq!(
        source("ws", "nict"),
        [
            r#"4: source "a": protocol "nict" is not spoken over ws; begin the url with http, or use protocol "webntp""#
        ]
    );
    for protocol in [
        "nict",
        "htptime",
        "https-time",
        "x-time",
        "text",
        "http-date",
    ] {
        let problem = source("wss", protocol).join("\n");
        assert!(
            problem.contains("begin the url with https, or"),
            "{problem}"
        );
    }
}

#[test]
fn a_url_of_ntp_needs_no_protocol_and_suffers_no_other() {
    let text = "cycle = \"4s\"\n[[source]]\nname = \"a\"\nurl = \"ntp://A.example/\"\n";
    let config = parse(text, "f").expect("nothing is wrong");
    let source = &config.sources[0];
    assert_eq!(source.protocol, Some(Protocol::Ntp));
    assert_eq!(
        (source.operator.as_str(), source.url.as_str()),
        ("a.example", "ntp://a.example")
    );
    assert_eq!(
        source.min_poll,
        Span::from_secs(16),
        "the cycle is too fast for it"
    );
    let other = source_problems("name = \"a\"\nurl = \"ntp://a\"\nprotocol = \"text\"");
    assert_eq!(
        other,
        [
            r#"4: source "a": protocol "text" is not spoken over ntp; begin the url with https, or use protocol "ntp""#
        ]
    );
}

#[test]
fn a_server_of_ntp_is_not_asked_too_often() {
    for key in ["poll", "min-poll"] {
        let given = |poll| {
            source_problems(&format!(
                "name = \"a\"\nurl = \"ntp://a\"\n{key} = \"{poll}\""
            ))
        };
        let expected = format!(
            "4: source \"a\": {key} 15s is more often than servers of ntp want to be asked; raise it to at least 16s"
        );
        assert_eq!(given("15s"), [expected]);
        assert!(given("16s").is_empty());
    }
}

#[test]
fn an_address_of_ntp_is_of_a_family_and_has_no_certificates() {
    let problems = source_problems(
        "name = \"a\"\nurl = \"ntp://192.0.2.1\"\naddress-family = \"ipv6\"\nca-file = \"/a\"",
    );
    let all = problems.join("\n");
    assert!(all.contains("excludes 192.0.2.1"), "{all}");
    assert!(
        all.contains("is of no use with ntp, which encrypts nothing; remove it"),
        "{all}"
    );
}

#[test]
fn each_protocol_is_read_by_its_name() {
    for protocol in Protocol::ALL {
        let url = match protocol {
            Protocol::Ntp => "ntp://a",
            _ => "https://a/",
        };
        let text = format!(
            "[[source]]\nname = \"a\"\nurl = \"{url}\"\nprotocol = \"{}\"",
            protocol.name()
        );
        let config = parse(&text, "f").expect("nothing is wrong");
        assert_eq!(config.sources[0].protocol, Some(protocol));
    }
}

#[test]
fn what_is_spoken_is_open_where_neither_the_scheme_nor_the_file_says_it() {
    for (scheme, protocol) in [
        ("http", None),
        ("https", None),
        ("ws", Some(Protocol::WebNtp)),
        ("wss", Some(Protocol::WebNtp)),
        ("ntp", Some(Protocol::Ntp)),
    ] {
        let text = format!("[[source]]\nname = \"a\"\nurl = \"{scheme}://a\"");
        let config = parse(&text, "f").expect("nothing is wrong");
        assert_eq!(config.sources[0].protocol, protocol, "{scheme}");
    }
}

#[test]
fn a_problem_begins_with_the_file_and_its_line() {
    let text = "\n\n[[source]]\nname = \"tokyo\"\nurl = \"http://a/\"\npoll = \"500ms\"\n";
    assert_eq!(
        parse(text, "/etc/webntpd.toml")
            .expect_err("a poll too short")
            .to_string(),
        "/etc/webntpd.toml:6: source \"tokyo\": poll 500ms is below 1s; raise it to at least 1s"
    );
}

proptest! {
    #[test]
    fn no_text_panics(text: String) {
        let _ = parse(&text, "f");
    }

    #[test]
    fn no_mixture_of_toml_panics(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "[", "]", "[[source]]", "[shm]", "source", "shm", "unit", "cycle", "poll", "name", "url",
                "[select]", "select", "min-agreeing", "max-bound", "mode", "min-poll", "max-poll", "offset",
                "ca-file", "address-family", "prefer", "noselect", "operator", "ipv6", "-1ms", "0600", "/",
                "=", "\"", "'", "\"\"\"", "16", "s", "1e9", "0x", "-", ".", ",", "{", "}", "#", "\n", "\r\n",
                " ", "é", "\u{feff}", "true", "1979-05-27", "https://", "@", "\\",
            ]),
            0..40,
        )
    ) {
        let text = pieces.concat();
        if let Err(problems) = parse(&text, "f") {
            let lines = 1 + text.matches('\n').count();
            let mut last = 1;
            for problem in problems.iter() {
                let line = problem.line.expect("every problem of a text has a line");
                prop_assert!((last..=lines).contains(&line));
                last = line;
            }
        }
    }
}

#[test]
fn one_source_at_least_is_asked_in_every_cycle() {
    let sources = |polls: &[&str]| {
        let text: Vec<String> = (1..)
            .zip(polls)
            .map(|(k, poll)| {
                format!("[[source]]\nname = \"s{k}\"\nurl = \"http://h{k}/\"\n{poll}\n")
            })
            .collect();
        match parse(&text.concat(), "f") {
            Ok(_) => Vec::new(),
            Err(problems) => problems.to_string().lines().map(str::to_owned).collect(),
        }
    };
    assert!(sources(&["", ""]).is_empty());
    assert!(sources(&["poll = \"64s\"", ""]).is_empty());
    assert_eq!(
        sources(&["poll = \"64s\""]),
        [
            r#"f:4: source "s1": poll 64s is above cycle, and so is that of every source: some cycles would have no sample; lower it for one source at least, or raise cycle"#
        ]
    );
    assert_eq!(sources(&["min-poll = \"48s\"", "poll = \"48s\""]).len(), 2);
    assert_eq!(
        sources(&["noselect = true", "poll = \"32s\""]).len(),
        2,
        "who is only measured brings nothing"
    );
    assert_eq!(
        sources(&["noselect = true"]),
        [
            r#"f:4: source "s1": noselect leaves nobody to believe, no source has a vote; remove one noselect"#
        ]
    );
}
