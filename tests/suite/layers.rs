//! Who may import whom: the layers of the crate, held against its sources.
//!
//! In: every file below `src`. Out: nothing, or each breach with file, line, path and rule. A type that
//! arrives through a re-export goes unseen.

mod paths;

use paths::{Import, Token, imports, tokens};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

const PURE: &[&str] = &["engine", "protocol"];
const BASE: &[&str] = &["engine", "protocol", "config", "sys"];
const DRIVERS: &[&str] = &[
    "engine",
    "protocol",
    "config",
    "sys",
    "net",
    "output",
    "server",
    "status",
    "poller",
    "supervisor",
];

/// What each room may import besides itself. `engine::time` is a room of its own, open to all; rooms
/// that stand at the top (`None`) may import everything.
const ROOMS: &[(&str, Option<&[&str]>)] = &[
    ("engine::time", Some(&[])),
    ("engine", Some(&[])),
    ("protocol", Some(&[])),
    ("config", Some(PURE)),
    ("sys", Some(PURE)),
    ("net", Some(BASE)),
    ("output", Some(BASE)),
    ("server", Some(BASE)),
    ("status", Some(BASE)),
    ("leap_seconds", Some(&["engine", "protocol", "sys", "net"])),
    ("poller", Some(DRIVERS)),
    ("supervisor", Some(DRIVERS)),
    ("app", None),
    ("cli", None),
    ("bin", None),
    ("lib", None),
];

/// The pure rooms: no clock, no IO, no randomness, no runtime.
const PURE_CRATES: &[&str] = &["std", "core", "alloc", "sha1", "thiserror"];
/// What their tests may use on top.
const PURE_TEST_CRATES: &[&str] = &["proptest"];
/// What of std is IO, a clock, or another thread.
const IMPURE_STD: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

#[derive(Debug, PartialEq, Eq)]
struct Breach {
    file: String,
    line: usize,
    what: String,
    rule: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}: {}",
            self.file, self.line, self.what, self.rule
        )
    }
}

#[test]
fn every_room_imports_only_what_its_layer_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dependencies = dependencies(&read(&root.join("Cargo.toml")));
    let mut breaches = Vec::new();
    let mut unsafe_files = Vec::new();
    let files = rust_files(&root.join("src"));
    assert!(files.len() > 5, "the sources are somewhere else: {files:?}");
    for path in files {
        let file = path.strip_prefix(root).expect("below the root");
        let file = file.to_str().expect("our names are UTF-8").to_owned();
        let source = read(&path);
        breaches.extend(check(&file, &source, &dependencies));
        if let Some(line) = first_unsafe(&source) {
            unsafe_files.push((file, line));
        }
    }
    breaches.extend(check_unsafe(unsafe_files));
    let list: String = breaches
        .iter()
        .map(|breach| format!("\n{breach}"))
        .collect();
    assert!(breaches.is_empty(), "layers are broken:{list}\n");
}

/// The breaches of one file, named from the root of the crate (`src/engine/time.rs`).
fn check(file: &str, source: &str, dependencies: &BTreeSet<String>) -> Vec<Breach> {
    let breach = |line: usize, what: String, rule: String| Breach {
        file: file.to_owned(),
        line,
        what,
        rule,
    };
    let module = module_of(file);
    let Some(&(room, may)) = room_of(&module) else {
        let rule = "this room is in no layer; add it to ROOMS in tests/suite/layers.rs".to_owned();
        return vec![breach(1, module.join("::"), rule)];
    };
    let pure = PURE.contains(&module[0].as_str());
    let mut breaches = Vec::new();
    for Import { line, path, tests } in imports(source, &module) {
        let shown = path.join("::");
        if path[0] == "crate" {
            let Some(may) = may else { continue };
            let target = room_of(&path[1..]).map(|&(target, _)| target);
            let open = ["engine::time", room];
            if !target.is_some_and(|target| open.contains(&target) || may.contains(&target)) {
                let what = match may {
                    [] => "engine::time and itself".to_owned(),
                    _ => format!("{} and itself", may.join(", ")),
                };
                breaches.push(breach(
                    line,
                    shown,
                    format!("{room} may import only {what}"),
                ));
            }
        } else if pure {
            let named =
                dependencies.contains(&path[0]) || ["std", "tokio"].contains(&path[0].as_str());
            let allowed = PURE_CRATES.contains(&path[0].as_str())
                || (tests && PURE_TEST_CRATES.contains(&path[0].as_str()));
            let impure = IMPURE_STD
                .iter()
                .any(|part| shown == *part || shown.starts_with(&format!("{part}::")));
            if (named && !allowed) || impure {
                let rule = format!(
                    "{room} is pure: std without IO and clocks, sha1, thiserror; proptest in tests"
                );
                breaches.push(breach(line, shown, rule));
            } else if room == "engine::time" && ["sha1", "thiserror"].contains(&path[0].as_str()) {
                breaches.push(breach(
                    line,
                    shown,
                    "engine::time may import std only".to_owned(),
                ));
            }
        }
    }
    if pure {
        let waits = |token: &&Token| ["async", "await"].contains(&token.text.as_str());
        for token in tokens(source).iter().filter(waits) {
            breaches.push(breach(
                token.line,
                token.text.clone(),
                format!("{room} is pure: nothing waits"),
            ));
        }
    }
    breaches
}

/// All unsafe code stands in one file below src/sys/.
fn check_unsafe(mut files: Vec<(String, usize)>) -> Vec<Breach> {
    files.sort();
    let home = files
        .iter()
        .position(|(file, _)| file.starts_with("src/sys/"));
    let strays = files.iter().enumerate().filter(|&(at, _)| Some(at) != home);
    strays
        .map(|(_, (file, line))| Breach {
            file: file.clone(),
            line: *line,
            what: "unsafe".to_owned(),
            rule: match home {
                Some(home) => format!("unsafe code stands in one file, {}", files[home].0),
                None => "unsafe code stands in one file below src/sys/".to_owned(),
            },
        })
        .collect()
}

fn first_unsafe(source: &str) -> Option<usize> {
    let tokens = tokens(source);
    tokens
        .iter()
        .find(|token| token.text == "unsafe")
        .map(|token| token.line)
}

fn room_of(module: &[String]) -> Option<&'static (&'static str, Option<&'static [&'static str]>)> {
    let first = module.first()?;
    let time = first == "engine" && module.get(1).is_some_and(|second| second == "time");
    let name = if time { "engine::time" } else { first };
    ROOMS.iter().find(|(room, _)| *room == name)
}

/// `src/engine/time.rs` → `engine::time`; `src/lib.rs` → `lib`.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
    if module.len() > 1 && module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

/// The names under which the dependencies of a manifest are imported.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| inside) {
            names.insert(name.trim().replace('-', "_"));
        }
    }
    names
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(file: &str, source: &str) -> Vec<String> {
        let dependencies = dependencies(
            "[dependencies]\nserde = \"1\"\ntokio-util = \"1\"\n[dev-dependencies]\nproptest = \"1\"\nthiserror = \"2\"\n[features]\nstd = []",
        );
        let breaches = check(file, source, &dependencies).into_iter();
        breaches.map(|breach| breach.to_string()).collect()
    }

    #[test]
    fn a_breach_names_file_line_path_and_rule() {
        assert_eq!(
            breaches(
                "src/net/tls.rs",
                "use crate::sys::clock;\n\nuse crate::{config::A, server::B};"
            ),
            [
                "src/net/tls.rs:3: crate::server::B: net may import only engine, protocol, config, sys and itself"
            ]
        );
    }

    #[test]
    fn the_table_is_the_designs() {
        for (file, allowed, forbidden) in [
            (
                "src/engine/time.rs",
                &["engine::time"][..],
                &["engine::leap", "engine", "protocol", "sys"][..],
            ),
            (
                "src/engine/leap.rs",
                &["engine::time", "engine::bound"],
                &["protocol", "sys", "config"],
            ),
            (
                "src/protocol/ntp.rs",
                &["engine::time", "protocol::text"],
                &["engine", "engine::bound", "sys"],
            ),
            (
                "src/config/mod.rs",
                &["engine", "protocol"],
                &["sys", "net"],
            ),
            (
                "src/sys/shm.rs",
                &["engine::bound", "protocol"],
                &["config", "output"],
            ),
            (
                "src/output/shm.rs",
                &["engine", "sys", "config"],
                &["net", "server", "status", "poller"],
            ),
            (
                "src/server/mod.rs",
                &["engine", "sys", "config"],
                &["net", "output", "app", "cli"],
            ),
            (
                "src/poller.rs",
                &["net", "supervisor", "sys", "engine"],
                &["app", "cli"],
            ),
            ("src/app.rs", &["cli", "poller", "net", "anything"], &[]),
            ("src/bin/webntpd.rs", &["app", "sys"], &[]),
        ] {
            for target in allowed {
                let code = format!("use crate::{target}::X;");
                assert_eq!(breaches(file, &code), Vec::<String>::new(), "{target}");
            }
            for target in forbidden {
                let code = format!("use crate::{target}::X;");
                assert_eq!(breaches(file, &code).len(), 1, "{file} imports {target}");
            }
        }
        assert!(
            breaches("src/new/mod.rs", "")
                .concat()
                .contains("in no layer")
        );
    }

    #[test]
    fn the_pure_rooms_name_no_crate_that_is_not_pure() {
        for code in [
            "use serde::Serialize;",
            "use tokio_util::x;",
            "#[tokio::test] fn f() {}",
            "use std::time::{Duration, Instant};",
            "fn f() { std::fs::read(x) }",
            "use std::io;",
            "use proptest::prelude::*;",
            "async fn f() {}",
            "mod tests { fn f() { x.await } }",
        ] {
            for file in ["src/engine/bound.rs", "src/protocol/text.rs"] {
                assert_eq!(breaches(file, code).len(), 1, "{code}");
            }
            assert_eq!(breaches("src/net/mod.rs", code), Vec::<String>::new());
        }
        for code in [
            "use std::time::Duration; use core::fmt; #[derive(thiserror::Error)] enum E {}",
            "mod tests { use proptest::prelude::*; use super::*; }",
            "use time::Span; local::f();",
        ] {
            assert_eq!(
                breaches("src/engine/bound.rs", code),
                Vec::<String>::new(),
                "{code}"
            );
        }
        assert_eq!(
            breaches("src/engine/time.rs", "use thiserror::Error;").len(),
            1
        );
    }

    #[test]
    fn unsafe_code_has_one_home() {
        let at = |files: &[&str]| {
            let files = files.iter().map(|file| ((*file).to_owned(), 7)).collect();
            let breaches = check_unsafe(files).into_iter();
            breaches
                .map(|breach| breach.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(at(&["src/sys/shm.rs"]), Vec::<String>::new());
        assert_eq!(
            at(&["src/sys/shm.rs", "src/sys/sock.rs"]),
            ["src/sys/sock.rs:7: unsafe: unsafe code stands in one file, src/sys/shm.rs"]
        );
        assert_eq!(
            at(&["src/net/mod.rs"]),
            ["src/net/mod.rs:7: unsafe: unsafe code stands in one file below src/sys/"]
        );
        assert_eq!(
            first_unsafe("#[expect(unsafe_code)] // unsafe\nfn f() { unsafe { g() } }"),
            Some(2)
        );
        assert_eq!(
            first_unsafe("#![forbid(unsafe_code)] /* unsafe */ \"unsafe\""),
            None
        );
    }
}
