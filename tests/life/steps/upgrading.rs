//! A newer package, whose configuration has changed as well.

use crate::life::{CONFIGURATION, Life, PACKAGE, UNIT};

/// The same package with a higher revision and another comment in its configuration.
const REPACK: &str = r#"
set -eu
cd /root
rm -rf newer
dpkg-deb -R "$1" newer
sed -i 's/^Version: .*/&+newer/' newer/DEBIAN/control
echo '# New in this version.' >>newer/etc/webntpd.toml
dpkg-deb --root-owner-group -Zgzip -z1 -b newer newer.deb >&2
rm -rf newer
"#;

pub(super) fn upgrade(life: &mut Life) {
    let debian = &life.debian;
    debian.run(&["sh", "-c", REPACK, "_", PACKAGE]);
    let pid = life.main_pid().expect("it runs");
    let edited = debian.read(CONFIGURATION);

    // As unattended upgrades do; whoever is there is asked.
    debian.run(&[
        "apt-get",
        "-o",
        "Dpkg::Options::=--force-confold",
        "install",
        "-y",
        "/root/newer.deb",
    ]);
    let version = debian.run(&["dpkg-query", "-W", "-f=${Version}", "webntpd"]);
    assert!(version.contains("+newer"), "{version}");
    life.wait_restart(&pid);
    life.wait_samples();
    assert_eq!(debian.read(CONFIGURATION), edited);
    let stat = debian.run(&["stat", "-c", "%a %U:%G", CONFIGURATION]);
    assert_eq!(stat, "640 root:webntpd\n");
    assert_eq!(debian.property(UNIT, "UnitFileState"), "enabled");
    life.wait_status("4 of 4 sources agree");
}
