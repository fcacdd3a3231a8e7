//! The notices of the crates that are in the programs, as packages and images bring them: that they are complete, and made from what
//! the images are made from.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::host::process::output;

const LIMIT: Duration = Duration::from_secs(120);

/// The notices for a source tree; nothing may have to be fetched for them.
pub(crate) fn of(tree: &Path) -> String {
    let mut command = Command::new(tree.join("packaging/notices"));
    command.env("CARGO_NET_OFFLINE", "true");
    output(&mut command, LIMIT).unwrap_or_else(|error| panic!("{error}"))
}

/// What cargo says about each crate that is linked, or makes code that is.
fn crates(format: &str) -> BTreeSet<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--locked", "--offline", "-e", "normal"])
        .args(["--prefix", "none", "--no-dedupe", "-f", format]);
    let said = output(&mut tree, LIMIT).expect("cargo is here");
    let others = said.lines().filter(|line| !line.starts_with("webntpd v"));
    others.map(str::to_owned).collect()
}

#[test]
fn the_notices_have_each_crate_of_the_programs_with_its_licence_and_a_text() {
    let notices = of(Path::new(env!("CARGO_MANIFEST_DIR")));
    let crates = crates("{p}|{l}");
    assert!(crates.len() > 100, "{crates:?}");
    for line in &crates {
        let (name, licence) = line.split_once('|').expect("as asked for");
        let mut words = name.split(' ');
        let (name, version) = (words.next(), words.next());
        let name = name.expect("split gives something");
        let version = version.and_then(|version| version.strip_prefix('v'));
        let version = version.expect("each crate has one");
        let row = format!("\n{name} {version}; {licence}; ");
        assert!(notices.contains(&row), "{line} is not in the table");
        let text = format!("\n{name} {version}: ");
        assert!(notices.contains(&text), "{line} has no text");
    }
    // One that has others' work in it.
    assert!(notices.contains(": third_party/fiat/LICENSE\n"));
    assert!(notices.contains("Copyright notices for The Rust Standard Library"));
}
