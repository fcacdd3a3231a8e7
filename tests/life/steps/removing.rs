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
    // netbase makes it where there is none, and leaves it.
    "etc/hosts",
    // Where this test keeps the packages.
    "root",
];

/// The script that stops the service before a removal.
const PRERM: &str = "/var/lib/dpkg/info/webntpd.prerm";

pub(super) fn files(debian: &Container) -> Vec<String> {
    debian.run(LIST).lines().map(str::to_owned).collect()
}

/// All packages of which something is there, if only their configuration.
pub(super) fn packages(debian: &Container) -> BTreeSet<String> {
    let list = debian.run(&["dpkg-query", "-W", "-f=${Package}\\n"]);
    list.lines().map(str::to_owned).collect()
}

pub(super) fn aborted(life: &mut Life) {
    let debian = &life.debian;
    let pid = life.main_pid().expect("it runs");
    debian.run(&["cp", "-p", PRERM, "/root/prerm"]);
    debian.run(&["sed", "-i", "s/^exit 0$/exit 1/", PRERM]);
    let removed = debian.attempt(&["apt-get", "remove", "-y", "-q", "webntpd"]);
    assert!(removed.is_err(), "{removed:?}");
    debian.run(&["mv", "/root/prerm", PRERM]);
    life.wait_restart(&pid);
    life.wait_samples();
    let status = debian.run(&["dpkg-query", "-W", "-f=${db:Status-Status}", "webntpd"]);
    assert_eq!(status, "installed\n");
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
    // The socket is chronyd's own, which runs on.
    let named = ["-name", "*webntp*", "!", "-name", "chrony.*"];
    let volatile = debian.run(&[&["find", "/run", "/tmp"][..], &named].concat());
    assert_eq!(volatile, "");
    for list in [&["list-unit-files"][..], &["list-units", "--all"]] {
        let units = debian.run(&[&["systemctl"], list].concat());
        let ours: Vec<_> = units
            .lines()
            .filter(|unit| unit.contains("webntpd"))
            .collect();
        assert!(ours.is_empty(), "{ours:#?}");
    }

    // The operator's own drop-ins go, and all else that came after the bare Debian, so that what was left is seen.
    let drop_ins = "/etc/systemd/system/webntpd.service.d";
    debian.run(&["rm", &format!("{drop_ins}/impatient.conf")]);
    debian.run(&["rmdir", drop_ins]);
    for reader in ["ntpsec", "chrony"] {
        debian.run(&[
            "rm",
            "-r",
            &format!("/etc/systemd/system/{reader}.service.d"),
        ]);
    }
    let came = packages(debian);
    let came = came.difference(&life.packages).map(String::as_str);
    let purge: Vec<_> = ["apt-get", "purge", "-y", "-q"]
        .into_iter()
        .chain(came)
        .collect();
    debian.run(&purge);
    let before: BTreeSet<_> = life.before.iter().cloned().collect();
    let after: BTreeSet<_> = files(debian).into_iter().collect();
    let differences = before.symmetric_difference(&after);
    let differences: Vec<_> = differences.filter(|line| !is_of_others(line)).collect();
    assert!(
        differences.is_empty(),
        "before and after differ in {differences:#?}"
    );

    // And in no file that was there before, as those of the users.
    let named = debian.attempt(&[
        "grep",
        "-rl",
        "--exclude=*-",
        "webntp",
        "/etc",
        "/var/lib/systemd",
    ]);
    assert!(named.is_err(), "{named:?}");
}

/// Whether the file of this line belongs to somebody else.
fn is_of_others(line: &str) -> bool {
    let path = line.split(' ').next().unwrap_or_default();
    let below = |other: &str| {
        let rest = path.strip_prefix(other);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    // A service's own /var/tmp has a name with a random end.
    let logind = path.starts_with("var/tmp/") && path.contains("-systemd-logind.service-");
    logind || OTHERS.iter().any(|other| below(other))
}
