//! What is said about a single value or key, wherever it stands.

use super::*;

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
        ("state.directory = '/'", None),
        (
            "state.directory = 'lib'",
            Some("1: state: directory \"lib\" is not an absolute path; begin it with /"),
        ),
        (
            "leap.list = 'leap-seconds.list'",
            Some("1: leap: list \"leap-seconds.list\" is not an absolute path; begin it with /"),
        ),
        ("leap.url = 'https://a/list'", None),
        (
            "leap.url = 'http://a/list'",
            Some(
                "1: leap: url \"http://a/list\" has the scheme http; use https, nothing else vouches for the list; or name a file with list",
            ),
        ),
        (
            "leap.url = 'file:///a/list'",
            Some(
                "1: leap: url \"file:///a/list\" has the scheme file; use https, nothing else vouches for the list; or name a file with list",
            ),
        ),
        (
            "leap.url = 'ntp:'",
            Some(
                "1: leap: url \"ntp:\" has the scheme ntp; use https, nothing else vouches for the list; or name a file with list",
            ),
        ),
        (
            "leap.url = 'leap-seconds.list'",
            Some(
                "1: leap: url \"leap-seconds.list\" is not a URL: relative URL without a base; write it like \"https://example.com/leap-seconds.list\"",
            ),
        ),
        ("select.max-bound = '1ms'", None),
        ("select.max-bound = '10s'", None),
        (
            "select.max-bound = '0ms'",
            Some("1: select: max-bound 0ms is below 1ms; raise it to at least 1ms"),
        ),
        (
            "select.max-bound = '11s'",
            Some("1: select: max-bound 11s is above 10s; lower it to at most 10s"),
        ),
        ("select.min-agreeing = 1", None),
        ("select.min-agreeing = 64", None),
        (
            "select.min-agreeing = 0",
            Some("1: select: min-agreeing 0 is below 1; raise it to at least 1"),
        ),
        (
            "select.min-agreeing = 65",
            Some("1: select: min-agreeing 65 is above 64; lower it to at most 64"),
        ),
        ("shm.mode = '0600'", None),
        ("shm.mode = '0666'", None),
        (
            "shm.mode = '0400'",
            Some("1: shm: mode \"0400\" keeps its owner from reading or writing; write \"0600\""),
        ),
        (
            "shm.mode = '0667'",
            Some(
                "1: shm: mode \"0667\" lets somebody execute what cannot be executed; write \"0666\"",
            ),
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
            "shm.mode = 666",
            "1: shm: mode is the bare number 666; write \"0666\"",
        ),
        (
            "shm.mode = 0o660",
            "1: shm: mode is the bare number 0o660; write \"0660\"",
        ),
        (
            "shm.mode = 438",
            "1: shm: mode is the bare number 438; write it in octal and in quotes, like \"0666\"",
        ),
        (
            "shm.mode = 0666",
            "1: 0666 is not in quotes; write \"0666\"",
        ),
        (
            "shm.mode = 'rw'",
            "1: shm: mode \"rw\" is not a mode; write it in octal and in quotes, like \"0666\"",
        ),
        (
            "shm.mode = true",
            "1: shm: mode is a boolean, not a string; write mode = \"0666\"",
        ),
        (
            "shm.owner-check = 'no'",
            "1: shm: owner-check is a string, not true or false; write owner-check = true or owner-check = false",
        ),
        (
            "log.level = 'loud'",
            "1: log: level \"loud\" is unknown; write \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\" or leave it out",
        ),
        (
            "log = 'info'",
            "1: log is a string, not a table; write [log]",
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
fn metrics_are_served_at_an_address_that_needs_no_look_up() {
    assert_eq!(
        problems("[metrics]\nlisten = \"localhost:9975\""),
        [
            "2: metrics: listen \"localhost:9975\" is not an address and a port; names are not looked up here, write 127.0.0.1"
        ]
    );
    assert_eq!(
        problems("metrics.listen = 9975"),
        ["1: metrics: listen is an integer, not a string; write listen = \"127.0.0.1:9975\""]
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
            "shm.owner_check = true",
            "1: shm: unknown key \"owner_check\"; did you mean \"owner-check\"?",
        ),
        (
            "max-bound = '1s'",
            "1: unknown key \"max-bound\"; move it to [select]",
        ),
        (
            "Level = 'info'",
            "1: unknown key \"Level\"; move it to [log]",
        ),
        (
            "[selection]\nmin-agreeing = 1",
            "1: unknown key \"selection\"; remove it, the keys here are cycle, shm, sock, select, leap, log, state, control, metrics, source",
        ),
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
            "2: shm: unknown key \"bait\"; remove it, the keys here are enable, unit, mode, owner-check",
        ),
        (
            "interval = 1",
            "1: unknown key \"interval\"; remove it, the keys here are cycle, shm, sock, select, leap, log, state, control, metrics, source",
        ),
        (
            "\"a\\nb\" = 1",
            "1: unknown key \"a\\nb\"; remove it, the keys here are cycle, shm, sock, select, leap, log, state, control, metrics, source",
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
