//! The package to live with.
//!
//! In: WEBNTPD_PACKAGE, or the tree. Out: the path of a package. Not: what is in it; the life will show.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

/// Names a package that is there already.
const GIVEN: &str = "WEBNTPD_PACKAGE";

/// A build that has everything yet to compile, on a small machine.
const LIMIT: Duration = Duration::from_secs(1800);

pub(crate) fn build() -> PathBuf {
    let path = match env::var_os(GIVEN) {
        Some(path) => path.into(),
        None => {
            let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
            let mut command = Command::new(tree.join("packaging/build-deb"));
            command.arg("--out").arg(tree.join("target/life"));
            let said = crate::output(&mut command, LIMIT);
            let path = said.lines().last().map(PathBuf::from);
            path.unwrap_or_else(|| panic!("packaging/build-deb named no package"))
        }
    };
    fs::canonicalize(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
