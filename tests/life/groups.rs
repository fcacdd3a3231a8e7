//! Control groups of our own, for the Debian's systemd to rule.
//!
//! In: the hierarchies of this machine in which systemd keeps its own. Out: an empty group in each, by [`LIST`] to the inside.
//! Not: limits. Two Debians in the same group would each take the other's processes for its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use crate::host::deadline;

/// Set inside the sandbox: the groups, one after the other, with a colon between.
pub(crate) const LIST: &str = "WEBNTPD_LIFE_GROUPS";

const ROOT: &str = "/sys/fs/cgroup";
const PREFIX: &str = "webntpd-life-";

/// The groups; they go when this does.
pub(crate) struct Groups(Vec<PathBuf>);

impl Groups {
    pub(crate) fn new() -> Self {
        let parents = parents();
        assert!(!parents.is_empty(), "no control groups below {ROOT}");
        let groups = parents.iter().map(|parent| {
            // Of runs that were killed. Those in use cannot be removed.
            for old in children(parent) {
                let name = old.file_name().unwrap_or_default().to_string_lossy();
                if name.starts_with(PREFIX) {
                    remove(&old);
                }
            }
            let group = parent.join(format!("{PREFIX}{}", process::id()));
            fs::create_dir(&group).unwrap_or_else(|error| {
                panic!(
                    "{}: {error}; a container needs --privileged",
                    group.display()
                )
            });
            group
        });
        Self(groups.collect())
    }

    pub(crate) fn list(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|group| group.to_string_lossy()).collect();
        names.join(":")
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.0 {
            // The last processes may be on their way out.
            deadline::poll(Duration::from_secs(5), || {
                remove(group);
                (!group.exists()).then_some(())
            });
        }
    }
}

/// Our own group in each hierarchy that a systemd uses: its named one, and the one of cgroup v2.
fn parents() -> Vec<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").expect("the kernel has control groups");
    let unified = Path::new(ROOT).join("unified");
    let unified = match unified.is_dir() {
        true => unified,
        false => PathBuf::from(ROOT),
    };
    own.lines()
        .filter_map(|line| {
            let mount = match line {
                line if line.starts_with("0::") => unified.clone(),
                line if line.contains(":name=systemd:") => Path::new(ROOT).join("systemd"),
                _ => return None,
            };
            let path = line.splitn(3, ':').nth(2)?.trim_start_matches('/');
            let group = mount.join(path);
            group.join("cgroup.procs").exists().then_some(group)
        })
        .collect()
}

fn children(group: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(group) else {
        return Vec::new();
    };
    let entries = entries.flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).collect()
}

/// Removes a group and all below it, as far as they are empty.
fn remove(group: &Path) {
    for child in children(group) {
        remove(&child);
    }
    // Fails while somebody is in it, which the callers foresee.
    let _ = fs::remove_dir(group);
}
