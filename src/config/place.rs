//! Paths from the root on: of directories, of files, and of sockets.
//!
//! Nothing is looked for on this machine: what is there is another question, at another time.

use super::keys::AbsolutePath;
use super::problem::Fault;
use std::path::{Path, PathBuf};

/// Reads the whole of `text` as the path of a thing of this `kind`.
pub(super) fn parse(kind: AbsolutePath, text: &str) -> Result<PathBuf, Fault> {
    let fault = |what, remedy| Err(Fault::new(what, remedy));
    let longest = kind.longest();
    if !Path::new(text).is_absolute() {
        return fault(
            format!("{text:?} is not an absolute path"),
            "begin it with /",
        );
    }
    if text.chars().any(char::is_control) {
        let what = format!("{text:?} has a character that is not visible");
        return fault(what, "write it without");
    }
    let missing = match kind {
        AbsolutePath::Directory => None,
        AbsolutePath::File => Some("name the file in it"),
        AbsolutePath::Socket => Some("name the socket in it"),
    };
    if let Some(remedy) = missing.filter(|_| text.ends_with('/')) {
        return fault(format!("{text:?} is a directory"), remedy);
    }
    if text.len() > longest {
        let what = format!("has {} bytes, of which there may be {longest}", text.len());
        return fault(what, "use a shorter one");
    }
    Ok(PathBuf::from(text))
}
