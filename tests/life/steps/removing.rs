//! The package goes.

use std::collections::BTreeSet;

use crate::container::Container;
use crate::life::{CONFIGURATION, Life, SHM_UNIT, UNIT};

/// Every file with its kind, mode and owner; of links also where they lead.
const LIST: &[&str] = &["find", "/", "-xdev", "-printf", "%P %y %m %U:%G %l\\n"];

/// What changes whenever packages come and go, and what the two readers leave behind.
const OTHERS: &[&str] = &[
    // Of apt, dpkg and debconf.
    "var/lib/dpkg",
    "var/lib/apt",
    "var/cache",
    "var/log",
    "etc/ld.so.cache",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    // Of systemd, since it was booted.
    "var/lib/systemd",
    "etc/machine-id",
    "etc/.updated",
    "var/.updated",
    // Where this test keeps the packages.
    "root",
];

pub(super) fn files(debian: &Container) -> Vec<String> {
    debian.run(LIST).lines().map(str::to_owned).collect()
}

pub(super) fn remove(life: &mut Life) {
    let debian = &life.debian;
    let edited = debian.read(CONFIGURATION);
    debian.run(&["apt-get", "remove", "-y", "-q", "webntpd"]);
    assert_eq!(debian.property(UNIT, "ActiveState"), "inactive");
    assert_eq!(debian.property(UNIT, "LoadState"), "not-found");
    assert_eq!(debian.read(CONFIGURATION), edited);
    debian.run(&["test", "-d", "/var/lib/webntpd"]);
    life.assert_same_segment();
    debian.run(&["getent", "passwd", "webntpd"]);
}

pub(super) fn purge(life: &mut Life) {
    let debian = &life.debian;
    let uid = debian.run(&["id", "-u", "webntpd"]);
    debian.run(&["apt-get", "purge", "-y", "-q", "webntpd"]);
    for database in ["passwd", "group"] {
        let entry = debian.attempt(&["getent", database, "webntpd"]);
        assert!(entry.is_err(), "{entry:?}");
    }
    assert_eq!(debian.shm(SHM_UNIT), None, "the segment is still there");
    let owned = debian.run(&[
        "find",
        "/",
        "/run",
        "/tmp",
        "/dev/shm",
        "-xdev",
        "-uid",
        uid.trim_end(),
    ]);
    assert_eq!(owned, "", "files of a user who is no more");
    let volatile = debian.run(&["find", "/run", "/tmp", "-name", "*webntp*"]);
    assert_eq!(volatile, "");
    let units = debian.run(&["systemctl", "list-unit-files", "webntpd*", "--no-legend"]);
    assert_eq!(units, "");

    // All that came after the bare Debian goes, so that what was left is seen.
    for mine in ["impatient.conf"] {
        debian.run(&[
            "rm",
            "-r",
            &format!("/etc/systemd/system/webntpd.service.d/{mine}"),
        ]);
    }
    debian.run(&["rmdir", "/etc/systemd/system/webntpd.service.d"]);
    debian.run(&[
        "apt-get",
        "purge",
        "-y",
        "-q",
        "--auto-remove",
        "ntpsec",
        "chrony",
    ]);
    let before: BTreeSet<_> = life.before.iter().cloned().collect();
    let after: BTreeSet<_> = files(debian).into_iter().collect();
    let differences = before.symmetric_difference(&after);
    let differences: Vec<_> = differences.filter(|line| !is_of_others(line)).collect();
    assert!(
        differences.is_empty(),
        "before and after differ in {differences:#?}"
    );
}

/// Whether the file of this line belongs to somebody else.
fn is_of_others(line: &str) -> bool {
    let path = line.split(' ').next().unwrap_or_default();
    let readers = ["chrony", "ntpsec", "_chrony"];
    OTHERS.iter().any(|other| {
        path.strip_prefix(other)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }) || path.split(['/', '.']).any(|part| readers.contains(&part))
}
