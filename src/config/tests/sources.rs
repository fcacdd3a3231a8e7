//! What is said about a `[[source]]`, and about several of them together.

use super::*;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use std::fs;

const HEAD: &str = "name = 'a'\nurl = 'https://a/'\n";

/// Another source, which brings a sample in every cycle.
const STEADY: &str = "\n[[source]]\nname = 'steady'\nurl = 'https://steady/'\n";

/// What `parse` says about a source with these lines, which begin on line 4.
fn told(lines: &str) -> Vec<String> {
    source_problems(&format!("{HEAD}{lines}{STEADY}"))
}

/// The source with these lines.
fn source(lines: &str) -> Source {
    let text = format!("cycle = '20s'\n[[source]]\n{HEAD}{lines}{STEADY}");
    let config = parse(&text, "f").unwrap_or_else(|problems| panic!("{problems}"));
    config.sources[0].clone()
}

#[test]
fn the_ranges_of_a_source_include_their_ends() {
    for (key, ends, problems) in [
        (
            "poll",
            ["1s", "1024s"],
            [
                ("999ms", "is below 1s; raise it to at least 1s"),
                ("1025s", "is above 1024s; lower it to at most 1024s"),
            ],
        ),
        (
            "min-poll",
            ["1s", "1024s"],
            [
                ("0s", "is below 1s; raise it to at least 1s"),
                ("18m", "is above 1024s; lower it to at most 1024s"),
            ],
        ),
        (
            "max-poll",
            ["1s", "1024s"],
            [
                ("0h", "is below 1s; raise it to at least 1s"),
                ("1h", "is above 1024s; lower it to at most 1024s"),
            ],
        ),
        (
            "timeout",
            ["100ms", "60s"],
            [
                ("99ms", "is below 100ms; raise it to at least 100ms"),
                ("60001ms", "is above 60s; lower it to at most 60s"),
            ],
        ),
        (
            "offset",
            ["-60s", "60000000us"],
            [
                ("-60000000001ns", "is below -60s; raise it to at least -60s"),
                ("+61s", "is above 60s; lower it to at most 60s"),
            ],
        ),
    ] {
        for end in ends {
            assert_eq!(told(&format!("{key} = '{end}'")), [""; 0], "{key} {end}");
        }
        for (value, problem) in problems {
            assert_eq!(
                told(&format!("{key} = '{value}'")),
                [format!("4: source \"a\": {key} {value} {problem}")]
            );
        }
    }
}

#[test]
fn polls_that_are_not_given_follow_the_cycle_and_each_other() {
    for (lines, min, max) in [
        ("", 20, 64),
        ("min-poll = '8s'", 8, 64),
        ("min-poll = '2m'", 120, 120),
        ("max-poll = '5m'", 20, 300),
        ("max-poll = '8s'", 8, 8),
        ("min-poll = '8s'\nmax-poll = '8s'", 8, 8),
        ("poll = '32s'", 32, 32),
    ] {
        let source = source(lines);
        let polls = (Span::from_secs(min), Span::from_secs(max));
        assert_eq!((source.min_poll, source.max_poll), polls, "{lines}");
    }
}

#[test]
fn polls_that_contradict_each_other_are_told() {
    assert_eq!(
        told("max-poll = '64s'\nmin-poll = '1024s'"),
        ["5: source \"a\": min-poll 1024s is above max-poll 64s; lower min-poll or raise max-poll"]
    );
    assert_eq!(
        told("max-poll = '64s'\npoll = '64s'\nmin-poll = '64s'"),
        [
            "4: source \"a\": max-poll stands beside poll, which sets both min-poll and max-poll; remove one of them",
            "6: source \"a\": min-poll stands beside poll, which sets both min-poll and max-poll; remove one of them",
        ]
    );
}

#[test]
fn a_wrong_value_of_a_source_is_told_with_a_right_one() {
    for (line, problem) in [
        (
            "offset = 2",
            "offset is the bare number 2; write a whole number, with or without a sign, and one of ns, us, ms, s, like \"-2ms\"",
        ),
        (
            "offset = '1.5ms'",
            "offset \"1.5ms\" is not a correction; write a whole number, with or without a sign, and one of ns, us, ms, s, like \"-2ms\"",
        ),
        (
            "offset = '-2'",
            "offset \"-2\" has no unit; write a whole number, with or without a sign, and one of ns, us, ms, s, like \"-2ms\"",
        ),
        (
            "timeout = '-5s'",
            "timeout \"-5s\" is not a duration; write a whole number and one of ms, s, m, h, like \"16s\"",
        ),
        (
            "rounding = 'floor'",
            "rounding \"floor\" is unknown; write \"truncates\", \"rounds\", \"unknown\" or leave it out",
        ),
        (
            "address-family = 6",
            "address-family is an integer, not a string; write address-family = \"any\"",
        ),
        (
            "address-family = 'IPv6'",
            "address-family \"IPv6\" is unknown; write \"any\", \"ipv4\", \"ipv6\" or leave it out",
        ),
        (
            "burst = 1",
            "burst is an integer, not true or false; write burst = true or burst = false",
        ),
        (
            "operator = ''",
            "operator is empty; give it 1 to 253 characters",
        ),
        (
            "operator = 'A B'",
            "operator \"A B\" holds ' '; use letters, digits and punctuation only",
        ),
        (
            "ca-file = 'ca.pem'",
            "ca-file \"ca.pem\" is not an absolute path; begin it with /",
        ),
        (
            "minpoll = '8s'",
            "unknown key \"minpoll\"; did you mean \"min-poll\"?",
        ),
        (
            "max-bound = '1s'",
            "unknown key \"max-bound\"; move it to [select]",
        ),
        (
            "prefer = true\nnoselect = true",
            "prefer is of no use with noselect; remove one of them",
        ),
    ] {
        assert_eq!(told(line), [format!("4: source \"a\": {problem}")]);
    }
    assert_eq!(told("prefer = false\nnoselect = true"), [""; 0]);
}

#[test]
fn an_operator_is_the_same_in_capital_letters() {
    assert_eq!(source("operator = 'ExamplE'").operator, "example");
    assert_eq!(source("").operator, "a");
}

#[test]
fn a_ca_file_for_clear_text_is_told() {
    for scheme in ["http", "ws"] {
        assert_eq!(
            source_problems(&format!(
                "name = 'a'\nurl = '{scheme}://a/'\nca-file = '/a.pem'"
            )),
            [format!(
                "4: source \"a\": ca-file is of no use with {scheme}, which encrypts nothing; \
                 remove it, or make the url {scheme}s"
            )]
        );
    }
}

#[test]
fn an_address_that_the_family_excludes_is_told() {
    let told = |host, family| {
        source_problems(&format!(
            "name = 'a'\nurl = 'https://{host}/'\naddress-family = '{family}'"
        ))
    };
    assert_eq!(
        told("127.0.0.1", "ipv6"),
        ["4: source \"a\": address-family ipv6 excludes 127.0.0.1, which the url names; remove it"]
    );
    assert_eq!(
        told("[::1]", "ipv4"),
        ["4: source \"a\": address-family ipv4 excludes [::1], which the url names; remove it"]
    );
    for (host, family) in [
        ("127.0.0.1", "ipv4"),
        ("127.0.0.1", "any"),
        ("[::1]", "ipv6"),
        ("h", "ipv6"),
    ] {
        assert_eq!(told(host, family), [""; 0], "{host} {family}");
    }
}

#[test]
fn the_same_question_is_not_asked_twice() {
    let two = |second: &str| {
        problems(&format!(
            "[[source]]\nname = 'a'\nurl = 'https://a/x'\n[[source]]\nname = 'b'\n{second}"
        ))
    };
    for url in ["https://a/x", "https://A:443/x"] {
        assert_eq!(
            two(&format!("url = '{url}'\noperator = 'other'")),
            [
                "6: source \"b\": url is asked by the source on line 3 already; remove one of the two"
            ]
        );
    }
    // What is to be found out may turn out to be anything.
    assert_eq!(
        two("url = 'https://a/x'\nprotocol = 'http-date'"),
        [
            "6: source \"b\": url is asked by the source on line 3 already; remove one of the two, or name the protocol of both"
        ]
    );
    let both = "[[source]]\nname = 'a'\nurl = 'https://a/x'\nprotocol = 'webntp'\n\
                [[source]]\nname = 'b'\nurl = 'https://a/x'\nprotocol = 'https-time'";
    assert_eq!(problems(both), [""; 0]);
    for other in [
        "url = 'https://a/y'",
        "url = 'http://a/x'",
        "url = 'https://a/x'\naddress-family = 'ipv4'",
    ] {
        assert_eq!(two(other), [""; 0], "{other}");
    }
}

#[test]
fn more_operators_than_there_are_cannot_be_asked_to_agree() {
    let with = |needed: usize, sources: &[(&str, &str)]| {
        let mut text = format!("[select]\nmin-agreeing = {needed}\n");
        for (k, (host, lines)) in sources.iter().enumerate() {
            text += &format!("[[source]]\nname = 's{k}'\nurl = 'https://{host}/{k}'\n{lines}\n");
        }
        problems(&text)
    };
    let three = [("a", ""), ("a", ""), ("b", "")];
    assert_eq!(with(2, &three), [""; 0]);
    assert_eq!(
        with(3, &three),
        [
            "2: select: min-agreeing 3 can never be reached, operators that vote: 2; lower it to at most 2, or add sources of other operators"
        ]
    );
    assert_eq!(
        with(3, &[("a", ""), ("a", "operator = 'x'"), ("b", "")]),
        [""; 0]
    );
    assert_eq!(
        with(2, &[("a", ""), ("b", "noselect = true")]),
        [
            "2: select: min-agreeing 2 can never be reached, operators that vote: 1; lower it to at most 1, or add sources of other operators"
        ]
    );
    assert_eq!(
        with(1, &[("a", "noselect = true")]),
        [
            "6: source \"s0\": noselect leaves nobody to believe, no source has a vote; remove one noselect"
        ]
    );
    // What else is wrong may be the reason; and a file without any source is a template.
    assert_eq!(with(9, &[]), [""; 0]);
    assert_eq!(with(2, &[("a", ""), ("b:0", "")]).len(), 1);
    assert_eq!(with(2, &[("a", ""), ("b", "poll = 16s")]).len(), 1);
}

/// A directory of this test's own, gone afterwards.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("webntpd-ca-file-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a place for temporary files");
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).expect("our directory");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn ca() -> (String, Vec<u8>) {
    let mut params = CertificateParams::new(vec![]).expect("no names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let ca = CertifiedIssuer::self_signed(params, key).expect("a CA");
    (ca.pem(), ca.as_ref().der().to_vec())
}

#[test]
fn a_ca_file_that_cannot_be_used_is_told_with_its_line_when_the_file_is_loaded() {
    let directory = Directory::new();
    let (pem, der) = ca();
    let loaded = |ca_file: &Path| {
        let text = format!("[[source]]\n{HEAD}ca-file = {ca_file:?}\n");
        let path = directory.write("webntpd.toml", text.as_bytes());
        load(&path).map_err(|problems| {
            let head = format!("{}:4: source \"a\": ca-file {ca_file:?} ", path.display());
            let text = problems.to_string();
            text.strip_prefix(&head).map(str::to_owned).unwrap_or(text)
        })
    };
    let two = directory.write("two.pem", format!("words\n{pem}{}", ca().0).as_bytes());
    let config = loaded(&two).expect("two certificates");
    assert_eq!(config.sources[0].ca_file.as_deref(), Some(two.as_path()));
    assert_eq!(certificates(&two).map(|found| found.len()), Ok(2));
    assert_eq!(certificates(&two).expect("two")[0].as_ref(), der);

    let secret = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    let hollow = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";
    let begin = "name a file that begins with -----BEGIN CERTIFICATE-----";
    for (name, bytes, problem) in [
        (
            "der",
            der.clone(),
            format!("holds no certificate in PEM form; {begin}"),
        ),
        (
            "empty.pem",
            Vec::new(),
            format!("holds no certificate in PEM form; {begin}"),
        ),
        (
            "key.pem",
            secret.into(),
            format!("holds no certificate in PEM form; {begin}"),
        ),
        (
            "hollow.pem",
            format!("{pem}{hollow}").into(),
            "is broken at certificate 2; copy it again from where it came from".to_owned(),
        ),
        (
            "cut.pem",
            pem.as_bytes()[..pem.len() - 30].to_vec(),
            "is broken at certificate 1; copy it again from where it came from".to_owned(),
        ),
        (
            "large.pem",
            vec![b'\n'; (1 << 20) + 1],
            format!("is larger than 1 MiB; {begin}"),
        ),
    ] {
        let path = directory.write(name, &bytes);
        assert_eq!(loaded(&path), Err(problem), "{name}");
    }
    assert_eq!(
        loaded(&directory.0.join("none.pem")),
        Err("does not exist; create it or name another one".to_owned())
    );
    assert_eq!(loaded(&directory.0), Err(format!("is not a file; {begin}")));
}

proptest! {
    #[test]
    fn no_value_of_a_source_panics(key: prop::sample::Index, value: String) {
        let key = key.get(keys::SOURCE.keys).name();
        let _ = source_problems(&format!("{key} = {value:?}"));
        let _ = told(&format!("{key} = {value}"));
    }

    #[test]
    fn polls_are_in_range_and_in_order(min in prop::option::of(0i64..2_000), max in prop::option::of(0i64..2_000)) {
        let line = |key, value: Option<i64>| value.map_or(String::new(), |value| format!("{key} = '{value}s'\n"));
        let text = format!("[[source]]\n{HEAD}{}{}", line("min-poll", min), line("max-poll", max));
        if let Ok(config) = parse(&text, "f") {
            let Source { min_poll, max_poll, .. } = config.sources[0];
            prop_assert!(Span::from_secs(1) <= min_poll);
            prop_assert!(min_poll <= max_poll);
            prop_assert!(max_poll <= Span::from_secs(1_024));
        }
    }
}
