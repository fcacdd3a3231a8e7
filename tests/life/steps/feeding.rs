//! The service at work, with ntpsec for its reader.

use crate::container::{LIMIT, Mark};
use crate::host::deadline::poll;
use crate::host::ntpsec::Peer;
use crate::life::{AHEAD_MS, Life, SHM_UNIT, TOLERANCE_MS, UNIT};

/// Without the capability to set the clock Debian's unit does not start it, and without that capability ntpd cannot become
/// another user.
const NTPSEC_UNIT: &str = "\
[Unit]
ConditionCapability=
[Service]
Type=simple
PIDFile=
ExecStart=
ExecStart=/usr/sbin/ntpd -n -c /etc/ntpsec/ntp.conf -I lo
";

/// Polls every two seconds; reads only, and answers only us.
const NTPSEC: &str = "\
refclock shm unit 2 refid WEB minpoll 0 maxpoll 0
disable ntp
driftfile /var/lib/ntpsec/ntp.drift
restrict 127.0.0.1
";

/// How it shows the clock. Now and then an ntpsec 1.2.2 has lost the name of it, and shows the address as long as it runs.
const NAMES: [&str; 2] = ["SHM(2)", "127.127.28.2"];

pub(super) fn enable(life: &mut Life) {
    life.configure(3, "");
    let debian = &life.debian;
    // It returns when the service says that it is ready.
    debian.run(&["systemctl", "enable", "--now", UNIT]);
    assert_eq!(debian.property(UNIT, "ActiveState"), "active");
    assert_eq!(debian.property(UNIT, "UnitFileState"), "enabled");

    let status = life.wait_status("3 of 3 sources agree, offset +");
    let shown = debian.run(&["systemctl", "status", UNIT]);
    assert!(
        shown.contains("Status: \"3 of 3 sources agree, offset +"),
        "{status}\n{shown}"
    );
    let (offset, bound) = offset_and_bound_ms(&status);
    assert!(
        (offset - AHEAD_MS).abs() <= bound + TOLERANCE_MS,
        "{status}"
    );

    let shm = debian.shm(SHM_UNIT).expect("it makes the segment");
    let uid = debian.run(&["id", "-u", "webntpd"]);
    assert_eq!(
        (shm.owner.to_string(), shm.mode),
        (uid.trim_end().to_owned(), 0o666)
    );
    life.shm = Some(shm);
    life.wait_samples();
}

pub(super) fn healthy_start(life: &mut Life) {
    // What systemd says of the unit included.
    let warnings = life.debian.run(&[
        "journalctl",
        "-q",
        "-u",
        UNIT,
        "-p",
        "warning",
        "-o",
        "short",
    ]);
    assert_eq!(warnings, "");
    let said = life
        .debian
        .run(&["journalctl", "-q", "-u", UNIT, "-o", "cat"]);
    assert!(said.contains("publishing: "), "{said}");
    // And of what belongs to it and is not said in its name, as the directories and the user.
    let others = life
        .debian
        .run(&["journalctl", "-q", "-b", "-p", "warning", "-o", "cat"]);
    assert!(!others.contains("webntp"), "{others}");
}

pub(super) fn ntpsec(life: &mut Life) {
    let debian = &life.debian;
    debian.run(&[
        "apt-get",
        "install",
        "-y",
        "-q",
        "--no-install-recommends",
        "ntpsec",
    ]);
    debian.write(
        "/etc/systemd/system/ntpsec.service.d/no-clock.conf",
        NTPSEC_UNIT,
    );
    debian.write("/etc/ntpsec/ntp.conf", NTPSEC);
    debian.run(&["systemctl", "daemon-reload"]);
    debian.run(&["systemctl", "enable", "ntpsec.service"]);
    debian.run(&["systemctl", "restart", "ntpsec.service"]);
    let mut reaches = Vec::new();
    let peer = wait_peer(life, |peer| {
        if reaches.last() != Some(&peer.reach) {
            reaches.push(peer.reach);
        }
        peer.reach == 0o377
    });
    assert!(
        reaches.is_sorted() && reaches.len() > 4,
        "reach did not grow: {reaches:?}"
    );
    let (_, bound) = offset_and_bound_ms(&life.status());
    let off = (peer.offset_ms - AHEAD_MS).abs();
    assert!(off <= bound + TOLERANCE_MS, "{peer:?}, bound {bound} ms");
    life.assert_same_segment();
}

/// ntpsec takes samples again, that were not there before `mark`.
pub(super) fn wait_reader(life: &Life, mark: &Mark) {
    life.debian
        .wait_entry(UNIT, mark, "SHM(2): a daemon takes the samples");
    wait_peer(life, |peer| peer.reach & 0b11 == 0b11);
    life.assert_same_segment();
}

/// Waits until ntpsec's view of us is as wished.
fn wait_peer(life: &Life, mut wished: impl FnMut(&Peer) -> bool) -> Peer {
    let mut said = String::new();
    let found = poll(LIMIT, || {
        let answer = life.debian.attempt(&["ntpq", "-n", "-p", "127.0.0.1"]);
        said = answer.unwrap_or_else(|failure| failure);
        let mut peers = said.lines().filter_map(Peer::parse);
        let ours = peers.find(|peer| NAMES.contains(&peer.remote.as_str()))?;
        assert_eq!(ours.refid, ".WEB.");
        wished(&ours).then_some(ours)
    });
    found.unwrap_or_else(|| panic!("ntpsec did not come to it in {LIMIT:?}:\n{said}"))
}

/// `3 of 3 sources agree, offset +25.012 ms ± 310.2 us`, in milliseconds.
fn offset_and_bound_ms(status: &str) -> (f64, f64) {
    let parse = || {
        let (_, lengths) = status.split_once("offset ")?;
        let (offset, bound) = lengths.split_once(" ± ")?;
        Some((milliseconds(offset)?, milliseconds(bound)?))
    };
    parse().unwrap_or_else(|| panic!("no offset with its bound: {status}"))
}

fn milliseconds(length: &str) -> Option<f64> {
    let mut words = length.split([' ', ',']);
    let number: f64 = words.next()?.parse().ok()?;
    match words.next()? {
        "s" => Some(number * 1e3),
        "ms" => Some(number),
        "us" => Some(number / 1e3),
        _ => None,
    }
}
