//! webntpd.toml(5) says what the parser does.

use super::super::keys::{AnyKey, KINDS, Kind, Without};

const PAGE: &str = include_str!("../../../packaging/man/webntpd.toml.5");

/// What stands below the heading of a kind of table.
fn section(kind: &Kind) -> &'static str {
    let heading = match kind.header {
        "" => "\n.Ss \\&At the top".to_owned(),
        header => format!("\n.Ss {header}:"),
    };
    let (_, below) = PAGE
        .split_once(&heading)
        .unwrap_or_else(|| panic!("there is no section {heading:?}"));
    below.split("\n.S").next().expect("split gives one part")
}

/// What is said of a key, as it reads without its macros: in small letters, one space between the words.
fn entry(kind: &Kind, key: &dyn AnyKey) -> String {
    let head = format!("\n.It Ic {}\n", key.name());
    let (_, below) = section(kind)
        .split_once(&head)
        .unwrap_or_else(|| panic!("{} has no entry {}", kind.header, key.name()));
    let item = below.split("\n.It ").next().expect("split gives one part");
    let words = item
        .split_whitespace()
        .filter(|word| !matches!(*word, ".Ic" | ".Pa" | ".Fl" | ".Ql" | ".El"));
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

#[test]
fn every_key_stands_in_the_manual_with_its_range_and_its_default() {
    for kind in KINDS {
        for key in kind.keys {
            let said = entry(kind, *key);
            let without = match key.without() {
                Without::Required(_) => "required.".to_owned(),
                Without::Is(words) | Without::Depends(words, _) => format!("default: {words}."),
            };
            for due in [key.range(), without] {
                let name = key.name();
                assert!(
                    said.contains(&due.to_lowercase()),
                    "{} {name}: {due:?} is missing in {said:?}",
                    kind.header
                );
            }
        }
    }
}

#[test]
fn the_manual_has_no_key_that_the_parser_does_not_know() {
    let items = |text: &str| text.matches("\n.It Ic ").count();
    let known: usize = KINDS.iter().map(|kind| kind.keys.len()).sum();
    assert_eq!(items(PAGE), known);
    let said: usize = KINDS.iter().map(|kind| items(section(kind))).sum();
    assert_eq!(said, known, "all of them in the sections of their tables");
}
