//! chronyd in ntpsec's place, fed through its socket by the unprivileged service.

use crate::container::LIMIT;
use crate::host::chronyd::Source;
use crate::host::deadline::poll;
use crate::life::{AHEAD_MS, Life, SHM_UNIT, TOLERANCE_MS, UNIT};

const SOCKET: &str = "/run/chrony.webntpd.sock";

/// What the package documents; it opens the socket to the service's group.
const EXAMPLE: &str = "/usr/share/doc/webntpd/examples/chrony-sock.conf";

/// Without the capability to set the clock Debian's unit does not start it. The rest of that unit is as it is.
const UNIT_OF_CHRONY: &str = "[Unit]\nConditionCapability=\n";

/// And this keeps it from trying.
const OPTIONS: &str = "DAEMON_OPTS=\"-F 1 -x\"\n";

/// With `noselect` it shows what it gets, not what it makes of it.
const CHRONY: &str = "\
refclock SOCK /run/chrony.webntpd.sock refid WEB poll 0 filter 1 delay 0.05 precision 1e-3 noselect
driftfile /var/lib/chrony/chrony.drift
";

pub(super) fn socket(life: &mut Life) {
    let debian = &life.debian;
    debian.run(&[
        "apt-get",
        "install",
        "-y",
        "-q",
        "--no-install-recommends",
        "chrony",
    ]);
    let ntpsec = debian.attempt(&["dpkg-query", "-W", "-f=${db:Status-Status}", "ntpsec"]);
    assert_ne!(
        ntpsec.as_deref(),
        Ok("installed\n"),
        "they exclude each other"
    );
    debian.write(
        "/etc/systemd/system/chrony.service.d/no-clock.conf",
        UNIT_OF_CHRONY,
    );
    debian.write("/etc/default/chrony", OPTIONS);
    debian.write("/etc/chrony/chrony.conf", CHRONY);
    let drop_in = "/etc/systemd/system/chrony.service.d/chrony-sock.conf";
    debian.run(&["cp", EXAMPLE, drop_in]);
    debian.run(&["systemctl", "daemon-reload"]);
    debian.run(&["systemctl", "restart", "chrony.service"]);

    let mark = debian.mark();
    life.configure(4, &format!("[[sock]]\npath = \"{SOCKET}\"\n"));
    debian.run(&["systemctl", "reload", UNIT]);
    debian.wait_entry(UNIT, &mark, "sources: 4 go on, 0 started, 0 stopped");
    wait_reach(life);

    // The socket is another after this, and nobody tells the service.
    debian.run(&["systemctl", "restart", "chrony.service"]);
    wait_reach(life);
    let user = debian.property(UNIT, "User");
    let capabilities = debian.property(UNIT, "AmbientCapabilities");
    assert_eq!((user.as_str(), capabilities.as_str()), ("webntpd", ""));
}

/// Both are enabled, so both come; which first is systemd's to choose.
pub(super) fn reboot(life: &mut Life) {
    life.debian.reboot();
    life.wait_status("4 of 4 sources agree, offset +");
    wait_reach(life);
    let debian = &life.debian;
    assert_eq!(debian.property(UNIT, "NRestarts"), "0");
    let shm = debian.shm(SHM_UNIT).expect("it makes the segment");
    let uid = debian.run(&["id", "-u", "webntpd"]);
    assert_eq!(shm.owner.to_string(), uid.trim_end());
    life.shm = Some(shm);
    life.wait_samples();
}

fn wait_reach(life: &Life) {
    let mut said = String::new();
    let source = poll(LIMIT, || {
        let answer = life.debian.attempt(&["chronyc", "-n", "-c", "sources"]);
        said = answer.unwrap_or_else(|failure| failure);
        let mut sources = said.lines().filter_map(Source::parse);
        sources.find(|source| source.name == "WEB" && source.reach.count_ones() >= 4)
    });
    let source = source.unwrap_or_else(|| panic!("chronyd took no samples in {LIMIT:?}:\n{said}"));
    let off = (source.offset_ms() - AHEAD_MS).abs();
    assert!(off <= source.error_s * 1e3 + TOLERANCE_MS, "{source:?}");
}
