//! The files of the package's documentation that our messages, manuals and examples send people to: that the package has them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::host::process::output;
use webntpd::sys::EXAMPLES;

const LIMIT: Duration = Duration::from_secs(30);

const DOCUMENTATION: &str = "/usr/share/doc/webntpd";

/// What speaks to people who have the package.
const SPEAKERS: &[&str] = &[
    "src",
    "config",
    "systemd",
    "packaging/man",
    "packaging/debian",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files at or below a path of the repository, and what is in them.
fn texts(path: &Path) -> Vec<(String, String)> {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("it is ours");
        return entries
            .flat_map(|entry| texts(&entry.expect("it is ours").path()))
            .collect();
    }
    let text = fs::read_to_string(path).expect("all of these are text");
    vec![(path.display().to_string(), text)]
}

/// The files that Cargo.toml has put below [`DOCUMENTATION`], the two that each package has there, and their directories.
fn documentation() -> BTreeSet<String> {
    let mut metadata = Command::new(env!("CARGO"));
    metadata
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root());
    let said = output(&mut metadata, LIMIT).expect("cargo is here");
    let said: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    let assets = said["packages"][0]["metadata"]["deb"]["assets"].as_array();
    let mut paths = BTreeSet::from(["copyright", "changelog.Debian.gz"].map(below));
    for asset in assets.expect("it is a list") {
        let word = |index: usize| asset[index].as_str().expect("it is a word");
        let (from, to) = (word(0), format!("/{}", word(1)));
        if !to.starts_with(DOCUMENTATION) {
            continue;
        }
        match from.strip_suffix("/*") {
            Some(from) => {
                for (path, _) in texts(&root().join(from)) {
                    let name = path.rsplit('/').next().expect("split gives something");
                    paths.insert(format!("{to}{name}"));
                }
            }
            None => drop(paths.insert(to)),
        }
    }
    let directories: Vec<String> = paths
        .iter()
        .flat_map(|path| Path::new(path).ancestors().skip(1))
        .map(|path| path.display().to_string())
        .collect();
    paths.extend(directories);
    paths
}

fn below(name: &str) -> String {
    format!("{DOCUMENTATION}/{name}")
}

/// Each path below [`DOCUMENTATION`] that a text names.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(DOCUMENTATION).map(|(start, _)| {
        let rest = &text[start..];
        let is_part = |c: char| c.is_ascii_alphanumeric() || "/.-_".contains(c);
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        rest[..end].trim_end_matches(['.', '/'])
    })
}

#[test]
fn each_file_of_the_documentation_that_is_named_is_in_the_package() {
    let there = documentation();
    let mut found = BTreeSet::new();
    for speaker in SPEAKERS.iter().chain(&["README.md"]) {
        for (path, text) in texts(&root().join(speaker)) {
            let text = text
                .replace("{EXAMPLES}", EXAMPLES)
                .replace("{examples}", EXAMPLES);
            for name in named(&text) {
                assert!(there.contains(name), "{path}: {name} is not in the package");
                found.insert(name.to_owned());
            }
        }
    }
    for example in texts(&root().join("systemd/examples")) {
        let name = example.0.rsplit('/').next().expect("it has a name");
        let path = format!("{EXAMPLES}/{name}");
        assert!(found.contains(&path), "nothing sends anybody to {path}");
    }
}

#[test]
fn no_message_and_no_manual_names_a_directory_that_only_the_source_tree_has() {
    for speaker in SPEAKERS {
        for (path, text) in texts(&root().join(speaker)) {
            for line in text.lines() {
                // What developers read.
                if line.trim_start().starts_with("//") {
                    continue;
                }
                let line = line.replace(EXAMPLES, "");
                assert!(!line.contains("examples/"), "{path}: {line}");
            }
        }
    }
}
