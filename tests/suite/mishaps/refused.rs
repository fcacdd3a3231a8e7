//! Whose segment it is: made by either side, by a stranger, or by another webntpd.

use std::path::Path;
use std::process::Command;

use super::{LIMIT, RIVAL, TAKEN, UNIT, fake};
use crate::host::chronyd::Chronyd;
use crate::host::ntpsec::Ntpsec;
use crate::host::process::{Process, output};
use crate::host::segment::{self, Entry, SIZE, Segment};
use crate::host::{deadline, sandbox, webntpd};

const ROOT: u32 = 0;
/// Who runs webntpd.
const OURS: u32 = 990;
const STRANGER: u32 = 1001;

/// Starts webntpd as this user.
fn start(user: u32, unit: u8, url: &str) -> Process {
    let text = webntpd::configuration(unit, &[url.to_owned()]);
    let dir = Path::new("/run/webntpd").join(unit.to_string());
    let path = webntpd::write_configuration(&dir, &text);
    Process::start(webntpd::command_as(user).arg("--config").arg(path))
}

fn wait_entry(unit: u8) -> Entry {
    deadline::poll(LIMIT, || Entry::of(unit)).expect("a segment is made")
}

/// A segment in the way.
struct Obstacle {
    unit: u8,
    size: usize,
    mode: u32,
    maker: u32,
    owner: u32,
    /// Who runs webntpd.
    user: u32,
    /// What webntpd says of it, behind unit and key.
    said: &'static str,
}

const OBSTACLES: [Obstacle; 7] = [
    Obstacle {
        unit: 0,
        size: SIZE,
        mode: 0o600,
        maker: ROOT,
        owner: ROOT,
        user: OURS,
        said: "uid 990 may not open the segment (owner uid 0, mode 0600, 96 bytes); \
               use a unit of 2 or above, or give webntpd the capability CAP_IPC_OWNER",
    },
    Obstacle {
        unit: 1,
        size: SIZE,
        mode: 0o666,
        maker: STRANGER,
        owner: STRANGER,
        user: ROOT,
        said: "the segment does not belong to root (owner uid 1001, mode 0666, 96 bytes); find out who made it, \
               remove it with `ipcrm -M 0x4e545031`, then restart the daemon that reads it",
    },
    Obstacle {
        unit: 2,
        size: SIZE,
        mode: 0o666,
        maker: STRANGER,
        owner: STRANGER,
        user: OURS,
        said: "the segment belongs neither to root nor to uid 990 (owner uid 1001, mode 0666, 96 bytes); \
               find out who made it, \
               remove it with `ipcrm -M 0x4e545032`, then restart the daemon that reads it",
    },
    Obstacle {
        unit: 3,
        size: SIZE,
        mode: 0o666,
        maker: STRANGER,
        owner: ROOT,
        user: OURS,
        said: "the segment belongs neither to root nor to uid 990 \
               (owner uid 0, made by uid 1001, mode 0666, 96 bytes); find out who made it, \
               remove it with `ipcrm -M 0x4e545033`, then restart the daemon that reads it",
    },
    Obstacle {
        unit: 4,
        size: SIZE,
        mode: 0o600,
        maker: STRANGER,
        owner: STRANGER,
        user: OURS,
        said: "the segment belongs neither to root nor to uid 990 (owner uid 1001, mode 0600, 96 bytes); \
               find out who made it, \
               remove it with `ipcrm -M 0x4e545034`, then restart the daemon that reads it",
    },
    Obstacle {
        unit: 5,
        size: SIZE,
        mode: 0o600,
        maker: ROOT,
        owner: ROOT,
        user: OURS,
        said: "uid 990 may not open the segment (owner uid 0, mode 0600, 96 bytes); \
               have the daemon make it for everyone (chrony: `SHM 5:perm=0666`, ntpd: without `mode 1`): \
               remove it with `ipcrm -M 0x4e545035`, then restart the daemon that reads it",
    },
    Obstacle {
        unit: 6,
        size: 80,
        mode: 0o666,
        maker: ROOT,
        owner: ROOT,
        user: OURS,
        said: "the segment is smaller than the 96 bytes of a sample (owner uid 0, mode 0666, 80 bytes); \
               remove it with `ipcrm -M 0x4e545036`, then restart the daemon that reads it",
    },
];

#[test]
fn a_segment_in_the_way_is_left_alone_and_explained_until_it_is_removed() {
    sandbox::run_with_users(|| {
        let fake = fake();
        let url = fake.url("http", "/json");
        let daemons: Vec<(Entry, Process)> = OBSTACLES
            .iter()
            .map(|obstacle| {
                let Obstacle {
                    unit,
                    size,
                    mode,
                    maker,
                    owner,
                    ..
                } = *obstacle;
                let entry = segment::make(unit, size, mode, maker, owner);
                assert_eq!((entry.owner, entry.creator), (owner, maker));
                (entry, start(obstacle.user, unit, &url))
            })
            .collect();
        for (obstacle, (entry, mut daemon)) in OBSTACLES.iter().zip(daemons) {
            let Obstacle { unit, user, .. } = *obstacle;
            let key = format!("{:#x}", segment::key(unit));
            let said = format!("shm unit {unit} (key {key}): {}", obstacle.said);
            daemon.wait_line(&said, LIMIT);
            // Now there was a sample that it could have written.
            daemon.wait_line("1 of 1 source agrees", LIMIT);
            assert_eq!(Entry::of(unit), Some(entry.clone()), "nor attached");
            assert_eq!(Segment::of(entry.id), Segment::decode(&[0; SIZE]));

            let mut ipcrm = Command::new("ipcrm");
            output(ipcrm.args(["-M", &key]), LIMIT).expect("root may");
            let written = deadline::poll(LIMIT, || {
                Segment::read(unit).filter(|segment| segment.valid == 1)
            });
            assert!(written.is_some(), "unit {unit} is not written");
            let own = wait_entry(unit);
            let private = if unit < 2 { 0o600 } else { 0o666 };
            assert_eq!((own.owner, own.mode, own.size), (user, private, SIZE));
            daemon.assert_running();
        }
    });
}

#[test]
fn webntpd_needs_no_privilege_whether_it_starts_before_the_reader_or_after() {
    sandbox::run_with_users(|| {
        let fake = fake();
        let url = fake.url("http", "/json");

        let mut ntpsec = Ntpsec::start(UNIT, 0, Path::new("/run/ntpsec"));
        let entry = wait_entry(UNIT);
        assert_eq!((entry.owner, entry.mode), (ROOT, 0o666));
        let mut after = start(OURS, UNIT, &url);

        let mut before = start(OURS, 0, &url);
        let entry = wait_entry(0);
        assert_eq!((entry.owner, entry.mode), (OURS, 0o600));
        let mut chronyd = Chronyd::start("SHM 0", Path::new("/run/chrony"));

        after.wait_line(TAKEN, LIMIT);
        ntpsec.wait_peer(LIMIT, |peer| peer.reach & 1 == 1);
        before.wait_line(TAKEN, LIMIT);
        chronyd.wait_source(LIMIT, |source| source.reach & 1 == 1);
    });
}

#[test]
fn two_webntpd_on_one_unit_notice_each_other() {
    sandbox::run(|| {
        let fake = fake();
        let text = webntpd::configuration(UNIT, &[fake.url("http", "/json")]);
        let mut first = webntpd::start(Path::new("/run/webntpd"), &text);
        let mut second = webntpd::start(Path::new("/run/webntpd"), &text);
        first.wait_line(RIVAL, LIMIT);
        second.wait_line(RIVAL, LIMIT);
    });
}
