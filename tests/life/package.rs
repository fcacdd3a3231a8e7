//! The package to live with.
//!
//! In: WEBNTPD_PACKAGE, or the tree. Out: the path of a package. Not: what is in it; the life will show.

use std::path::PathBuf;
use std::{env, fs};

use crate::host::debian;

/// Names a package that is there already.
const GIVEN: &str = "WEBNTPD_PACKAGE";

pub(crate) fn build() -> PathBuf {
    let given = env::var_os(GIVEN).map(PathBuf::from);
    let path = given.unwrap_or_else(|| debian::package(1));
    fs::canonicalize(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
