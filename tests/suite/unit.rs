//! The systemd unit, its drop-ins and its user, as systemd itself judges them.

use std::fs;

use crate::host::sandbox;
use crate::host::systemd::{Root, shipped, version};

/// The exposure of chronyd's own restricted unit, which cannot feed from a reference clock, is 21.
const EXPOSURE_TENTHS: u32 = 15;
/// With a capability, for the segments that belong to root alone.
const EXPOSURE_TENTHS_UNITS_0_AND_1: u32 = 17;

/// What must be there, word by word.
const REQUIRED: &[(&str, &str)] = &[
    // systemd 252 takes notify-reload for simple.
    ("Type", "notify"),
    ("ExecReload", "/bin/kill -HUP $MAINPID"),
    ("WatchdogSec", "60s"),
    ("Restart", "on-failure"),
    ("RestartPreventExitStatus", "78"),
    ("Wants", "network-online.target"),
    (
        "After",
        "network-online.target nss-lookup.target time-set.target",
    ),
    ("Environment", "SYSTEMD_NSS_RESOLVE_VALIDATE=0"),
    ("User", "webntpd"),
    ("RuntimeDirectory", "webntpd"),
    ("StateDirectory", "webntpd"),
    ("LogsDirectory", "webntpd"),
    // Else the segment goes at our stop.
    ("RemoveIPC", "no"),
    ("ProtectClock", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("CapabilityBoundingSet", ""),
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
];

/// What must not be there at all, whatever its value.
const FORBIDDEN: &[(&str, &str)] = &[
    ("DynamicUser", "it forces RemoveIPC=yes"),
    ("PrivateIPC", "the reader would not see the segment"),
    ("IPCNamespacePath", "the reader would not see the segment"),
    (
        "PrivateUsers",
        "foreign owners of a segment would be nobody",
    ),
    ("PrivateNetwork", "sources are elsewhere"),
    ("IPAddressDeny", "sources and name servers may be anywhere"),
    ("RootDirectory", "journal and notify sockets are in /run"),
    ("Before", "either side may start first"),
    ("Requires", "no daemon to feed is needed"),
    ("BindsTo", "no daemon to feed is needed"),
];

/// The settings of the shipped unit; of one that is given several times, all.
fn settings() -> Vec<(String, String)> {
    let unit = fs::read_to_string(shipped("webntpd.service")).expect("it is shipped");
    unit.lines()
        .filter(|line| !line.starts_with(['#', '[']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn systemd_has_no_complaint_about_the_unit() {
    sandbox::run(|| assert_eq!(Root::new().complaints(), ""));
}

#[test]
fn systemd_has_no_complaint_about_the_drop_in_for_units_0_and_1() {
    sandbox::run(|| {
        let root = Root::with_example("units-0-and-1.conf");
        assert_eq!(root.complaints(), "");
    });
}

#[test]
fn systemd_has_no_complaint_about_the_drop_in_for_reloads_if_it_is_new_enough() {
    sandbox::run(|| {
        let complaints = Root::with_example("notify-reload.conf").complaints();
        let lines: Vec<&str> = complaints.lines().collect();
        if version() >= 253 {
            assert!(lines.is_empty(), "{complaints}");
        } else {
            // This is why it is no part of the unit. systemd reads, and says, some things more than once.
            let expected = "Failed to parse service type, ignoring: notify-reload";
            assert!(!lines.is_empty());
            assert!(
                lines.iter().all(|line| line.ends_with(expected)),
                "{complaints}"
            );
        }
    });
}

#[test]
fn systemd_has_no_complaint_about_the_drop_in_for_the_socket_of_chrony() {
    sandbox::run(|| {
        let root = Root::chrony_with_example("chrony-sock.conf");
        assert_eq!(root.complaints_about_chrony(), "");
    });
}

#[test]
fn the_exposure_is_at_most_1_5() {
    sandbox::run(|| {
        if let Err(table) = Root::new().exposure_within(EXPOSURE_TENTHS) {
            panic!("{table}");
        }
    });
}

#[test]
fn the_exposure_with_the_capability_for_units_0_and_1_is_at_most_1_7() {
    sandbox::run(|| {
        let root = Root::with_example("units-0-and-1.conf");
        if let Err(table) = root.exposure_within(EXPOSURE_TENTHS_UNITS_0_AND_1) {
            panic!("{table}");
        }
    });
}

#[test]
fn the_unit_says_what_it_must_and_nothing_that_it_must_not() {
    let settings = settings();
    for &(key, wanted) in REQUIRED {
        let mut values = settings.iter().filter(|(name, _)| name == key);
        let value = values.next().map(|(_, value)| value.as_str());
        assert_eq!(value, Some(wanted), "{key}=");
        assert_eq!(values.next(), None, "{key}= is there twice");
    }
    for (key, why) in FORBIDDEN {
        let found = settings.iter().find(|(name, _)| name == key);
        assert_eq!(found, None, "{why}");
    }
    // The daemon that we feed reaches that one.
    let waits = settings
        .iter()
        .find(|(_, value)| value.contains("time-sync.target"));
    assert_eq!(waits, None);
}

#[test]
fn the_user_of_the_unit_is_made_without_a_shell_or_a_home() {
    sandbox::run(|| {
        let users = Root::new().users();
        let [user] = users.as_slice() else {
            panic!("{users:?}");
        };
        let fields: Vec<&str> = user.split(':').collect();
        assert_eq!(fields[0], "webntpd");
        assert_eq!(fields[5..], ["/", "/usr/sbin/nologin"]);
    });
}
