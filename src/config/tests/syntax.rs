//! What is said about a file that is not TOML, or cannot be read.

use super::*;

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
            "[[source]]\n[source]\nurl = 1",
            "2: source is given twice; write each of them as [[source]]",
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
