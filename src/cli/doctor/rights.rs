//! What a user may do with a file, by owners and modes alone.
//!
//! In: a user, and a path. Out: what is in his way. Access lists and security modules are not looked at.

pub(super) use crate::sys::sock::Facts;

use nix::unistd::{Gid, Uid, User, getgrouplist, getgroups};
use std::ffi::CString;
use std::path::{Path, PathBuf};

/// Whose rights are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) uid: u32,
    pub(super) groups: Vec<u32>,
}

pub(super) const READ: u32 = 4;
pub(super) const WRITE: u32 = 2;
const ENTER: u32 = 1;

impl Person {
    /// The user of this name, if there is one.
    pub(super) fn named(name: &str) -> Option<Self> {
        let user = User::from_name(name).ok().flatten()?;
        let groups = CString::new(name)
            .ok()
            .and_then(|name| getgrouplist(&name, user.gid).ok());
        let groups = groups.unwrap_or_else(|| vec![user.gid]);
        Some(Self {
            uid: user.uid.as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
        })
    }

    /// Whoever runs this.
    pub(super) fn ourselves() -> Self {
        let mut groups = getgroups().unwrap_or_default();
        groups.push(Gid::effective());
        Self {
            uid: Uid::effective().as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
        }
    }

    pub(super) fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Whether one of the bits `wanted` suffices; the first class that fits decides.
    pub(super) fn may(&self, wanted: u32, facts: Facts) -> bool {
        let shift = if self.uid == facts.owner {
            6
        } else if self.groups.contains(&facts.group) {
            3
        } else {
            0
        };
        self.is_root() || facts.mode >> shift & wanted == wanted
    }

    /// The first directory, or the file itself, that keeps him from what is `wanted`. What we cannot see is no obstacle.
    pub(super) fn obstacle(&self, path: &Path, wanted: u32) -> Option<(PathBuf, Facts)> {
        let mut way: Vec<&Path> = path.ancestors().skip(1).collect();
        way.reverse();
        let directories = way.into_iter().map(|directory| (directory, ENTER));
        directories
            .chain([(path, wanted)])
            .filter_map(|(place, wanted)| Some((place, wanted, Facts::of(place).ok()?)))
            .find(|(_, wanted, facts)| !self.may(*wanted, *facts))
            .map(|(place, _, facts)| (place.to_owned(), facts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_class_that_fits_decides_and_root_may_all() {
        let facts = Facts {
            owner: 10,
            group: 20,
            mode: 0o240,
        };
        let person = |uid, group| Person {
            uid,
            groups: vec![group],
        };
        assert!(
            !person(10, 20).may(READ, facts),
            "the owner is not asked as one of the group"
        );
        assert!(person(10, 20).may(WRITE, facts));
        assert!(person(11, 20).may(READ, facts));
        assert!(!person(11, 20).may(WRITE, facts));
        assert!(!person(11, 21).may(READ, facts));
        assert!(person(0, 21).may(READ, facts));
    }
}
