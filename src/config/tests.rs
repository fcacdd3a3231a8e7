//! The texts that a person gets, from a file to its problems: they are part of what the program promises.

use super::*;
use crate::engine::time::Span;
use proptest::prelude::*;

const SHIPPED: &str = include_str!("../../config/webntpd.toml");

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
        shm: Shm { unit: 2 },
        sources: Vec::new(),
    };
    assert_eq!(parse("", "f"), Ok(config.clone()));
    assert_eq!(parse(SHIPPED, "f"), Ok(config));
}

#[test]
fn the_example_lines_of_the_shipped_file_hold_the_defaults_and_two_sources() {
    let text: String = SHIPPED
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let config = parse(&text, "f").expect("the examples are right");
    let defaults = parse("", "f").expect("nothing is wrong with nothing");
    assert_eq!((config.cycle, config.shm), (defaults.cycle, defaults.shm));
    let urls: Vec<_> = config
        .sources
        .iter()
        .map(|source| source.url.as_str())
        .collect();
    assert_eq!(
        urls,
        [
            "https://webntp.shogo82148.com/json",
            "wss://webntp.shogo82148.com/websocket"
        ]
    );
    assert_eq!(config.sources[0].poll, Span::from_secs(64));
    assert_eq!(config.sources[1].poll, config.cycle);
}

#[test]
fn every_key_is_read() {
    let text = r#"
        cycle = "1m"
        shm.unit = 0x11
        source = [
            { name = "東京", url = "ws://a:81/b?c", protocol = "webntp", poll = "1024s" },
            { name = "b", url = "http://b/" },
        ]
    "#;
    let config = Config {
        cycle: Span::from_secs(60),
        shm: Shm { unit: 17 },
        sources: vec![
            Source {
                name: "東京".to_owned(),
                url: "ws://a:81/b?c".parse().expect("a URL"),
                protocol: Protocol::WebNtp,
                poll: Span::from_secs(1_024),
            },
            Source {
                name: "b".to_owned(),
                url: "http://b/".parse().expect("a URL"),
                protocol: Protocol::WebNtp,
                poll: Span::from_secs(60),
            },
        ],
    };
    assert_eq!(parse(text, "f"), Ok(config));
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
protocol = "ntp"
"#;
    let expected = r#"1: cycle 500ms is below 1s; raise it to at least 1s
3: shm: unit 256 is above 255; lower it to at most 255
4: shm: unknown key "units"; did you mean "unit"?
7: source "tokyo": unknown key "pol"; did you mean "poll"?
8: source "tokyo": url "ftp://a/" has the scheme ftp; use http, https, ws or wss
10: source "tokyo": name is taken by the source on line 6; give each source its own name
12: source "tokyo": poll is the bare number 16; write "16s"
13: source 3: name is missing; add name = "tokyo"
13: source 3: url is missing; add url = "https://example.com/json"
14: source 3: protocol "ntp" is unknown; write one of "webntp", "nict", "htptime", "https-time", "http-date" or leave it out"#;
    assert_eq!(problems(text).join("\n"), expected);
}

#[test]
fn only_webntp_is_spoken_over_websocket() {
    let source = |scheme: &str, protocol: &str| {
        source_problems(&format!(
            "name = \"a\"\nurl = \"{scheme}://a/\"\nprotocol = \"{protocol}\""
        ))
    };
    for protocol in Protocol::ALL {
        for scheme in ["http", "https"] {
            assert!(source(scheme, protocol.name()).is_empty());
        }
    }
    assert!(source("wss", "webntp").is_empty());
    assert_eq!(
        source("ws", "nict"),
        [
            r#"4: source "a": protocol "nict" is not spoken over ws; begin the url with http, or use protocol "webntp""#
        ]
    );
    for protocol in ["nict", "htptime", "https-time", "http-date"] {
        let problem = source("wss", protocol).join("\n");
        assert!(
            problem.contains("begin the url with https, or"),
            "{problem}"
        );
    }
}

#[test]
fn each_protocol_is_read_by_its_name() {
    for protocol in Protocol::ALL {
        let text = format!(
            "[[source]]\nname = \"a\"\nurl = \"https://a/\"\nprotocol = \"{}\"",
            protocol.name()
        );
        let config = parse(&text, "f").expect("nothing is wrong");
        assert_eq!(config.sources[0].protocol, protocol);
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

#[test]
fn ranges_include_their_ends() {
    for (text, problem) in [
        ("cycle = '1s'", None),
        ("cycle = '1024s'", None),
        (
            "cycle = '999ms'",
            Some("1: cycle 999ms is below 1s; raise it to at least 1s"),
        ),
        (
            "cycle = '1024001ms'",
            Some("1: cycle 1024001ms is above 1024s; lower it to at most 1024s"),
        ),
        (
            "cycle = '99999999999999999999h'",
            Some("1: cycle 99999999999999999999h is above 1024s; lower it to at most 1024s"),
        ),
        ("shm.unit = 0", None),
        ("shm.unit = 255", None),
        (
            "shm.unit = -1",
            Some("1: shm: unit -1 is below 0; raise it to at least 0"),
        ),
        (
            "shm.unit = 99999999999999999999",
            Some("1: shm: unit 99999999999999999999 is above 255; lower it to at most 255"),
        ),
        (
            "shm.unit = -99999999999999999999",
            Some("1: shm: unit -99999999999999999999 is below 0; raise it to at least 0"),
        ),
    ] {
        assert_eq!(problems(text), Vec::from_iter(problem), "{text}");
    }
}

#[test]
fn a_wrong_type_is_named_with_the_right_one() {
    for (text, problem) in [
        (
            "cycle = true",
            "1: cycle is a boolean, not a string; write cycle = \"16s\"",
        ),
        (
            "cycle = 1.5",
            "1: cycle is the bare number 1.5; write a whole number and one of ms, s, m, h, like \"16s\"",
        ),
        (
            "cycle = -5",
            "1: cycle is the bare number -5; write a whole number and one of ms, s, m, h, like \"16s\"",
        ),
        ("cycle = '16'", "1: cycle \"16\" has no unit; write \"16s\""),
        ("shm = 2", "1: shm is an integer, not a table; write [shm]"),
        (
            "[[shm]]\nunit = 2",
            "1: shm is an array, not a table; write [shm]",
        ),
        (
            "shm.unit = '2'",
            "1: shm: unit is a string, not an integer; write unit = 2",
        ),
        (
            "shm.unit = 2.0",
            "1: shm: unit is a float, not an integer; write unit = 2",
        ),
        (
            "[source]\nname = 'a'",
            "1: source is a table, not an array of tables; write [[source]]",
        ),
        (
            "source = ['a']",
            "1: source 1 is a string, not a table; write [[source]]",
        ),
    ] {
        assert_eq!(problems(text), [problem], "{text}");
    }
    assert_eq!(
        source_problems("name = 1979-05-27\nurl = []\nprotocol = 1\npoll = {}"),
        [
            "2: source 1: name is a date or time, not a string; write name = \"tokyo\"",
            "3: source 1: url is an array, not a string; write url = \"https://example.com/json\"",
            "4: source 1: protocol is an integer, not a string; write protocol = \"webntp\"",
            "5: source 1: poll is a table, not a string; write poll = \"16s\"",
        ]
    );
}

#[test]
fn an_unknown_key_is_led_to_where_it_belongs() {
    for (text, problem) in [
        (
            "Cycle = '1s'",
            "1: unknown key \"Cycle\"; did you mean \"cycle\"?",
        ),
        ("unit = 2", "1: unknown key \"unit\"; move it to [shm]"),
        (
            "[shm]\ncycle = '1s'",
            "2: shm: unknown key \"cycle\"; move it to the top of the file, above the first [table]",
        ),
        (
            "[shm]\npoll = '1s'",
            "2: shm: unknown key \"poll\"; move it to a [[source]]",
        ),
        (
            "[shm]\nbait = 1",
            "2: shm: unknown key \"bait\"; remove it, the keys here are unit",
        ),
        (
            "interval = 1",
            "1: unknown key \"interval\"; remove it, the keys here are cycle, shm, source",
        ),
        (
            "\"a\\nb\" = 1",
            "1: unknown key \"a\\nb\"; remove it, the keys here are cycle, shm, source",
        ),
    ] {
        assert_eq!(problems(text), [problem], "{text}");
    }
}

#[test]
fn a_name_is_one_visible_word() {
    let url = "url = 'http://a/'";
    let with_name = |name: &str| source_problems(&format!("{url}\nname = {name:?}"));
    for name in ["a", "a.b-c_d/e", "tōkyō", &"é".repeat(32)] {
        assert_eq!(with_name(name), [""; 0], "{name}");
    }
    for (name, problem) in [
        ("", "is empty; give it 1 to 32 characters"),
        (
            "a b",
            "\"a b\" holds ' '; use letters, digits and punctuation only",
        ),
        (
            "a\tb",
            "\"a\\tb\" holds '\\t'; use letters, digits and punctuation only",
        ),
        (
            "a\u{200b}",
            "\"a\\u{200b}\" holds '\\u{200b}'; use letters, digits and punctuation only",
        ),
    ] {
        // In TOML the last one is written as it is.
        let text = format!("{url}\nname = \"{}\"", name.replace('\t', "\\t"));
        assert_eq!(
            source_problems(&text),
            [format!("3: source 1: name {problem}")]
        );
    }
    let long = "é".repeat(33);
    assert_eq!(
        with_name(&long),
        [format!(
            "3: source 1: name \"{long}\" has 33 characters; shorten it to at most 32"
        )]
    );
}

#[test]
fn forgotten_quotes_are_told_from_other_syntax() {
    let source = "url = http://a/\nname = tokyo # it\npoll = 1.5s\nprotocol = \"webntp\nurl = 'x'";
    assert_eq!(
        source_problems(source),
        [
            "2: http://a/ is not in quotes; write \"http://a/\"",
            "3: tokyo is not in quotes; write \"tokyo\"",
            "4: 1.5s is not in quotes; write \"1.5s\"",
            "5: not TOML: invalid basic string, expected `\"`; correct this line",
            "6: url is given twice; keep one of them",
        ]
    );
}

#[test]
fn syntax_and_other_problems_come_together() {
    assert_eq!(
        problems("cycle = '0s'\n[[source]]\nname = a\npoll = '0s'"),
        [
            "1: cycle 0s is below 1s; raise it to at least 1s",
            "3: a is not in quotes; write \"a\"",
            "4: source \"a\": poll 0s is below 1s; raise it to at least 1s",
        ]
    );
}

#[test]
fn what_stands_behind_a_broken_header_or_bracket_is_not_judged() {
    for (text, problem) in [
        (
            "[[source]\nname = 'a'",
            "1: not TOML: unclosed array table, expected `]`; correct this line",
        ),
        (
            "[shm]\n[shm]\nurl = 1",
            "2: shm is given twice; keep one of them",
        ),
        (
            "source = [\n[shm]\nunit = 300",
            "2: not TOML: string values must be quoted, expected literal string; correct this line",
        ),
        (
            "source = [\ncycle = '0s'\nunit = 300",
            "2: not TOML: string values must be quoted, expected literal string; correct this line",
        ),
        (
            "shm = { unit = 2\ncycle = '0s'\nunit = 300",
            "2: not TOML: missing comma between key-value pairs, expected `,`; correct this line",
        ),
    ] {
        assert_eq!(problems(text), [problem], "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_with_a_remedy() {
    let text = |path: &str| load(Path::new(path)).expect_err(path).to_string();
    assert_eq!(
        text("/nonexistent/webntpd.toml"),
        "/nonexistent/webntpd.toml: there is no such file; create it or name another one"
    );
    assert_eq!(
        text("/proc/self"),
        "/proc/self: is a directory; name the file in it"
    );
    assert_eq!(
        text("/dev/zero"),
        "/dev/zero: is larger than 1 MiB; name the configuration file, this cannot be it"
    );
    assert_eq!(
        unreadable("f", &io::Error::from(ErrorKind::PermissionDenied)).to_string(),
        "f: may not be read by this user; let the user that webntpd runs as read it, and enter its directory"
    );
    assert_eq!(
        unreadable("f", &io::Error::other("odd")).to_string(),
        "f: cannot be read: odd; name a file that can"
    );
    assert_eq!(
        not_utf8("f", b"a\n\xff", 2).to_string(),
        "f:2: byte 0xff is not UTF-8; save the file as UTF-8"
    );
}

#[test]
fn a_file_is_read_from_its_path() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/webntpd.toml");
    assert_eq!(load(Path::new(path)), parse("", "f"));
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
