//! The shipped file says what the parser does: it is all that most people read.

use super::super::keys::{KINDS, Kind, TOP, Without};
use super::*;

const SHIPPED: &str = include_str!("../../../config/webntpd.toml");

/// A key in the shipped file.
#[derive(Debug)]
struct Entry {
    header: String,
    name: String,
    value: String,
    /// What stands above it.
    comment: String,
}

/// The file with every key that is commented out put in.
fn uncommented() -> String {
    let lines = SHIPPED.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => key,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn entries() -> Vec<Entry> {
    let mut header = String::new();
    let mut comment = Vec::new();
    let mut entries = Vec::new();
    let text = uncommented();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("# ") {
            comment.push(words);
            continue;
        }
        if line.starts_with('[') {
            line.clone_into(&mut header);
        } else if let Some((name, value)) = line.split_once(" = ") {
            entries.push(Entry {
                header: header.clone(),
                name: name.to_owned(),
                value: value.to_owned(),
                comment: comment.join(" "),
            });
        }
        comment.clear();
    }
    entries
}

#[test]
fn the_shipped_file_is_good_and_changes_nothing() {
    assert_eq!(parse(SHIPPED, "f"), parse("", "f"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/webntpd.toml");
    assert_eq!(load(Path::new(path)), parse("", "f"));
}

#[test]
fn every_key_stands_in_the_shipped_file_with_its_range_and_its_default() {
    let entries = entries();
    for kind in KINDS {
        for key in kind.keys {
            let entry = entries
                .iter()
                .find(|entry| entry.header == kind.header && entry.name == key.name())
                .unwrap_or_else(|| panic!("{} {} is not there", kind.header, key.name()));
            let range = key.range();
            assert!(entry.comment.contains(&range), "{range}: {entry:?}");
            match key.without() {
                Without::Is(value) => assert_eq!(entry.value, value, "{entry:?}"),
                Without::Depends(words, _) => {
                    let words = format!("Default: {words}.");
                    assert!(entry.comment.contains(&words), "{words} {entry:?}");
                }
                Without::Required(_) => {
                    assert!(entry.comment.contains("Required."), "{entry:?}");
                }
            }
        }
    }
}

#[test]
fn all_examples_of_the_shipped_file_are_good_together_and_hold_the_defaults() {
    let config = parse(&uncommented(), "f").expect("the examples are right");
    let [http, websocket] = &config.sources[..] else {
        panic!("two examples: {:?}", config.sources);
    };
    let url = |url: &str| url.parse().expect("a URL");
    let mut expected = Config::of(vec![
        Source {
            protocol: Some(Protocol::WebNtp),
            ca_file: Some(PathBuf::from("/etc/ssl/example-ca.pem")),
            ..Source::new(
                "shogo-http",
                url("https://webntp.shogo82148.com/json"),
                config.cycle,
            )
        },
        Source::new(
            "shogo-ws",
            url("wss://webntp.shogo82148.com/websocket"),
            Span::from_secs(64),
        ),
    ]);
    expected.socks = vec![Sock {
        path: PathBuf::from("/run/chrony.webntpd.sock"),
    }];
    expected.select.min_agreeing = Some(1);
    expected.leap = Leap {
        list: Some(PathBuf::from(Leap::USUAL_LIST)),
        url: Some(url(
            "https://data.iana.org/time-zones/tzdb/leap-seconds.list",
        )),
    };
    expected.log.measurements = Some(PathBuf::from("/var/log/webntpd/measurements.jsonl"));
    expected.control = Some(Control::default());
    expected.metrics = Some(Metrics {
        listen: vec!["127.0.0.1:9975".parse().expect("an address")],
    });
    assert_eq!(config, expected);
    assert_eq!(
        http.operator, websocket.operator,
        "so that one must agree, as by default"
    );
}

/// A file in which a key has this value, and all else that must be there.
fn with(kind: &Kind, name: &str, value: &str) -> String {
    let required = |key: &str, given: &str| {
        if name == key {
            String::new()
        } else {
            format!("{key} = {given}\n")
        }
    };
    let others = if kind.header == "[[source]]" {
        required("name", "'a'") + &required("url", "'https://a/'")
    } else if kind.header == "[[sock]]" {
        required("path", "'/a'")
    } else {
        String::new()
    };
    format!("{}\n{others}{name} = {value}\n", kind.header)
}

#[test]
fn a_default_that_the_file_can_say_changes_nothing_when_it_is_said() {
    for kind in KINDS {
        let absent = parse(&with(kind, "", "").replace("\n =", "\n#"), "f");
        assert!(absent.is_ok(), "{absent:?}");
        for key in kind.keys {
            if let Without::Is(value) = key.without() {
                let text = with(kind, key.name(), value);
                assert_eq!(parse(&text, "f"), absent, "{text}");
            }
        }
    }
}

#[test]
fn every_example_in_a_remedy_is_good() {
    for kind in KINDS {
        for key in kind.keys {
            let (Without::Required(value) | Without::Is(value) | Without::Depends(_, value)) =
                key.without();
            let text = with(kind, key.name(), value);
            assert!(parse(&text, "f").is_ok(), "{text}");
        }
    }
}

#[test]
fn every_table_is_known_by_its_header() {
    let mut headers: Vec<_> = KINDS
        .iter()
        .map(|kind| kind.header.trim_matches(['[', ']']))
        .filter(|header| !header.is_empty())
        .collect();
    let mut tables = TOP.tables.to_vec();
    headers.sort_unstable();
    tables.sort_unstable();
    assert_eq!(headers, tables);
}
