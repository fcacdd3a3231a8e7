//! It hangs, it is killed, it is stopped; and comes back to the same segment.

use crate::life::{Life, SHM_UNIT, UNIT};
use crate::steps::feeding::wait_reader;

/// A minute, as it is shipped, would only make the test longer.
const IMPATIENT: &str = "[Service]\nWatchdogSec=6s\n";

pub(super) fn hangs(life: &mut Life) {
    let debian = &life.debian;
    debian.write(
        "/etc/systemd/system/webntpd.service.d/impatient.conf",
        IMPATIENT,
    );
    debian.run(&["systemctl", "daemon-reload"]);
    debian.run(&["systemctl", "restart", UNIT]);
    life.wait_status("4 of 4 sources agree");

    let pid = life.main_pid().expect("it runs");
    let mark = debian.mark();
    debian.run(&["kill", "-STOP", &pid]);
    debian.wait_entry(UNIT, &mark, "Watchdog timeout");
    life.wait_restart(&pid);
    life.wait_samples();
    wait_reader(life, &mark);
    assert_eq!(debian.property(UNIT, "NRestarts"), "1");
}

pub(super) fn killed(life: &mut Life) {
    let debian = &life.debian;
    let pid = life.main_pid().expect("it runs");
    let mark = debian.mark();
    debian.run(&["kill", "-KILL", &pid]);
    life.wait_restart(&pid);
    life.wait_samples();
    wait_reader(life, &mark);
    assert_eq!(debian.property(UNIT, "NRestarts"), "2");
}

pub(super) fn stopped(life: &mut Life) {
    let debian = &life.debian;
    debian.run(&["systemctl", "stop", UNIT]);
    assert_eq!(debian.property(UNIT, "ActiveState"), "inactive");
    assert_eq!(debian.property(UNIT, "Result"), "success");
    let left = life.assert_same_segment();
    assert_eq!(
        left.valid, 0,
        "a sample waits that nobody vouches for any more"
    );
    let attached = debian.shm(SHM_UNIT).map(|shm| shm.attached);
    assert_eq!(attached, Some(1), "ntpsec alone has it");

    let mark = debian.mark();
    debian.run(&["systemctl", "start", UNIT]);
    life.wait_samples();
    wait_reader(life, &mark);
}
