//! Where leap seconds come from.
//!
//! Nothing is looked for: whether there is a list is another question, at another time.

use super::endpoint;
use super::problem::Report;
use super::raw;
use std::path::PathBuf;
use url::Url;

/// `[leap]`: where lists of leap seconds come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leap {
    /// `list`: a file that somebody keeps up to date (an absolute path; without it [`USUAL_LIST`](Self::USUAL_LIST), if that is
    /// there).
    pub list: Option<PathBuf>,
    /// `url`: where one is fetched besides, when the newest that is known has expired or is a month old (https; default nowhere).
    pub url: Option<Url>,
}

impl Leap {
    /// Where Debian's tzdata has the list.
    pub const USUAL_LIST: &str = "/usr/share/zoneinfo/leap-seconds.list";
}

/// Checks what the file says.
pub(super) fn checked(raw: &raw::Leap<'_>, report: &mut Report) -> Leap {
    let mut leap = Leap {
        list: raw.list.as_ref().map(|list| list.value.clone()),
        url: None,
    };
    if let (Some(given), Some(table)) = (&raw.url, &raw.table) {
        match endpoint::parse_list(&given.value) {
            Ok(url) => leap.url = Some(url),
            Err(fault) => table.add_about("url", given.offset, fault, report),
        }
    }
    leap
}
