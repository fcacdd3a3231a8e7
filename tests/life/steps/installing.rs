//! A bare Debian gets the package.

use crate::life::{CONFIGURATION, Life, PACKAGE, UNIT};
use crate::steps::removing::{files, packages};

/// Else none of the daemons in it may run.
pub(super) fn the_clock_cannot_be_set(life: &mut Life) {
    let refused = life.debian.attempt(&["date", "--set", "2001-01-01"]);
    let said = refused.expect_err("the clock was set");
    assert!(said.contains("Operation not permitted"), "{said}");
}

pub(super) fn install(life: &mut Life) {
    let debian = &life.debian;
    life.before = files(debian);
    life.packages = packages(debian);
    debian.run(&["apt", "install", "-y", PACKAGE]);
    let installed = debian.run(&["dpkg-query", "-W", "-f=${db:Status-Status}", "webntpd"]);
    assert_eq!(installed, "installed\n");

    // Only the operator says when it starts.
    assert_eq!(debian.property(UNIT, "UnitFileState"), "disabled");
    assert_eq!(debian.property(UNIT, "ActiveState"), "inactive");
    assert_eq!(debian.property(UNIT, "NRestarts"), "0");
    assert_eq!(
        debian.property(UNIT, "ExecMainStartTimestamp"),
        "",
        "it was started"
    );
    for program in [&["webntpd", "--version"], &["webntp", "--version"]] {
        debian.run(program);
    }
}

pub(super) fn configuration(life: &mut Life) {
    let debian = &life.debian;
    let stat = debian.run(&["stat", "-c", "%a %U:%G", CONFIGURATION]);
    assert_eq!(stat, "640 root:webntpd\n");
    let conffiles = debian.run(&["dpkg-query", "-W", "-f=${Conffiles}", "webntpd"]);
    assert!(
        conffiles.contains(&format!(" {CONFIGURATION} ")),
        "{conffiles}"
    );
    let user = debian.run(&["getent", "passwd", "webntpd"]);
    assert!(user.trim_end().ends_with(":/usr/sbin/nologin"), "{user}");
}

pub(super) fn verify(life: &mut Life) {
    // The manual is read by whoever has a man(1); a Debian as bare as this has none.
    let command = "systemd-analyze verify --man=no webntpd.service 2>&1";
    assert_eq!(life.debian.run(&["sh", "-c", command]), "");
}

pub(super) fn exposure(life: &mut Life) {
    let debian = &life.debian;
    debian.run(&["systemd-analyze", "security", "--threshold=15", UNIT]);
}
