//! The Debian package, on a bare Debian 12 and 13 in which no service manager runs: what it brings, what it keeps, what it leaves.

use crate::host::debian::{self, Debian};

/// All files, with owner, mode and, of links, where to; but for the state of those who install, and logs of what was installed.
const FILES: &str = r"find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/lib/dpkg \
    -o -path /var/lib/apt -o -path /var/cache -o -path /var/log/apt -o -path /var/log/dpkg.log \
    -o -path '/etc/*-' \) -prune -o -printf '%p %u:%g %m %l\n' | sort";

/// The shared memory of NTP, by key and owner, and what is near it.
const SEGMENTS: &str = "ipcs -m | awk '$1 ~ /^0x4e545/ { print $1, $3 }' | sort";

/// Segments of our user's that are not NTP's: below unit 0, and above unit 255.
const NEIGHBOURS: &str = "setpriv --reuid=webntpd --regid=webntpd --clear-groups \
    perl -e 'shmget($_, 96, 01600) // die $! for 0x4e54502f, 0x4e545130'";

/// A configuration with a server that never answers.
const CONFIGURED: &str =
    r#"printf '[[source]]\nname = "none"\nurl = "http://127.0.0.1:1/"\n' >>/etc/webntpd.toml"#;

/// Starts the daemon of this user, and waits until its segment of this unit is there.
fn feeding(debian: &Debian, user: &str, unit: u32) {
    debian.run(&format!(
        r#"printf '[shm]\nunit = {unit}\n[[source]]\nname = "none"\nurl = "http://127.0.0.1:1/"\n' >/tmp/{unit}.toml
        setpriv --reuid={user} --regid={user} --clear-groups webntpd --config /tmp/{unit}.toml >/tmp/{unit}.log 2>&1 &
        for attempt in $(seq 100); do
            ! ipcs -m | grep -q {key} || {{ kill $! && wait $! && exit 0; }}
            sleep 0.1
        done
        cat /tmp/{unit}.log >&2
        exit 1"#,
        key = format_args!("0x{:x}", 0x4e54_5030 + unit),
    ));
}

#[test]
fn lintian_has_no_complaint_about_the_package() {
    if debian::available("lintian") {
        let package = debian::package(1);
        assert_eq!(debian::lintian(&package).as_deref(), Ok(""));
    }
}

#[test]
fn the_package_works_on_a_bare_debian_12_and_purged_leaves_nothing() {
    if debian::available("the package on Debian 12") {
        the_package_lives_and_dies_well(&Debian::new("bookworm"));
    }
}

#[test]
fn the_package_works_on_a_bare_debian_13_and_purged_leaves_nothing() {
    if debian::available("the package on Debian 13") {
        the_package_lives_and_dies_well(&Debian::new("trixie"));
    }
}

fn the_package_lives_and_dies_well(debian: &Debian) {
    debian.put(&debian::package(1), "/tmp/webntpd_1.deb");
    debian.put(&debian::package(2), "/tmp/webntpd_2.deb");
    // What it needs comes first, by itself, so that the difference is the package's alone.
    let needed = debian.run(
        "apt-get update -qq
        apt-get install -s /tmp/webntpd_1.deb | sed -n 's/^Inst \\([^ ]*\\) .*/\\1/p' | grep -vx webntpd",
    );
    let needed: Vec<&str> = needed.lines().collect();
    for package in ["ca-certificates", "procps", "systemd"] {
        assert!(needed.contains(&package), "{package} is not in {needed:?}");
    }
    debian.run(&format!("apt-get install -qq -y {}", needed.join(" ")));
    let before = (debian.run(FILES), accounts(debian));

    debian.run("apt-get install -qq -y /tmp/webntpd_1.deb");
    what_is_installed_is_right(debian);
    an_upgrade_keeps_what_the_administrator_has_set(debian);
    a_configuration_that_dpkg_puts_back_is_for_the_service(debian);
    removed_it_keeps_configuration_and_state(debian);

    feeding(debian, "webntpd", 2);
    feeding(debian, "root", 3);
    feeding(debian, "webntpd", 255);
    debian.run(NEIGHBOURS);
    assert_eq!(
        debian.run(SEGMENTS),
        "0x4e54502f webntpd\n0x4e545032 webntpd\n0x4e545033 root\n0x4e54512f webntpd\n0x4e545130 webntpd\n"
    );
    let uid = debian.run("id -u webntpd");
    debian.run("apt-get purge -qq -y webntpd");
    // Their owner has no name any more.
    let left = debian.run(SEGMENTS).replace(uid.trim_end(), "webntpd");
    assert_eq!(
        left,
        "0x4e54502f webntpd\n0x4e545033 root\n0x4e545130 webntpd\n"
    );
    let after = (debian.run(FILES), accounts(debian));
    assert_eq!(difference(&before.0, &after.0), "");
    assert_eq!(before.1, after.1);
    // Once more, when there is nothing left to do.
    debian.run("apt-get install -qq -y /tmp/webntpd_2.deb && apt-get purge -qq -y webntpd");
    assert_eq!(difference(&before.0, &debian.run(FILES)), "");
    purged_it_leaves_the_units_of_the_administrator(debian);
}

fn what_is_installed_is_right(debian: &Debian) {
    let version = debian.run("webntpd --version && webntp --version");
    let number = env!("CARGO_PKG_VERSION");
    assert_eq!(
        version,
        format!("webntpd {number}\nwebntp version {number}\n")
    );
    let checked = debian.run("webntpd --check 2>&1 || echo $?");
    assert!(checked.contains("[[source]]"), "{checked}");
    assert!(checked.ends_with("\n78\n"), "{checked}");
    assert_eq!(debian.run("dpkg --verify webntpd"), "");

    let owned = debian.run("stat -c '%U:%G %a' /etc/webntpd.toml");
    assert_eq!(owned, "root:webntpd 640\n");
    let foreign = "dpkg -L webntpd | grep -vx /etc/webntpd.toml | while read -r path; do \
        find \"$path\" -maxdepth 0 \\( ! -user root -o ! -group root -o -perm /022 ! -type l \\); done";
    assert_eq!(debian.run(foreign), "");
    let account = debian.run("getent passwd webntpd | cut -d: -f6-; id -Gn webntpd");
    assert_eq!(account, "/:/usr/sbin/nologin\nwebntpd\n");
    // The configuration is readable for the service, and for nobody else.
    debian.run("setpriv --reuid=webntpd --regid=webntpd --clear-groups cat /etc/webntpd.toml");
    let refused = "setpriv --reuid=nobody --regid=nogroup --clear-groups cat /etc/webntpd.toml";
    assert!(debian.try_run(refused).is_err());

    // The operator has not said so yet.
    assert_eq!(
        debian.run("systemctl is-enabled webntpd || true"),
        "disabled\n"
    );
    let named = debian.run(
        "unit=/usr/lib/systemd/system/webntpd.service
        sed -n 's/^Documentation=//p' $unit | tr ' ' '\\n' | sed -n 's/^file://p'
        sed -n 's/^Exec[A-Za-z]*=\\([^ ]*\\).*/\\1/p' $unit",
    );
    assert!(named.lines().count() >= 3, "{named}");
    for path in named.lines() {
        debian.run(&format!("test -s {path}"));
    }
    for page in ["man8/webntpd.8", "man1/webntp.1", "man5/webntpd.toml.5"] {
        debian.run(&format!("gzip -t /usr/share/man/{page}.gz"));
    }
    debian.run("bash -nc '. /usr/share/bash-completion/completions/webntpd'");
}

fn an_upgrade_keeps_what_the_administrator_has_set(debian: &Debian) {
    debian.run(CONFIGURED);
    debian.run("webntpd --check && systemctl enable webntpd");
    debian.run("chown root:root /etc/webntpd.toml && chmod 0600 /etc/webntpd.toml");
    debian.run("apt-get install -qq -y /tmp/webntpd_2.deb");
    let version = debian.run("dpkg-query -W -f '${Version}\n' webntpd");
    assert_eq!(version, concat!(env!("CARGO_PKG_VERSION"), "-2\n"));
    let owned = debian.run("webntpd --check >&2; stat -c '%U:%G %a' /etc/webntpd.toml");
    assert_eq!(owned, "root:root 600\n");
    assert_eq!(debian.run("systemctl is-enabled webntpd"), "enabled\n");
}

fn removed_it_keeps_configuration_and_state(debian: &Debian) {
    debian.run(
        "install -d -o webntpd -g webntpd /var/lib/webntpd /var/log/webntpd /run/webntpd
        mkdir /etc/systemd/system/webntpd.service.d
        touch /var/lib/webntpd/state /var/log/webntpd/webntpd.log /run/webntpd/control.sock",
    );
    debian.run("apt-get remove -qq -y webntpd && ! command -v webntpd");
    debian.run("grep -q none /etc/webntpd.toml && ls /var/lib/webntpd/state && id webntpd");
    debian.run("apt-get install -qq -y /tmp/webntpd_2.deb && webntpd --check");
    let owned = debian.run("stat -c '%U:%G %a' /etc/webntpd.toml");
    assert_eq!(owned, "root:root 600\n");
}

fn a_configuration_that_dpkg_puts_back_is_for_the_service(debian: &Debian) {
    let put_back = "cp -p /etc/webntpd.toml /tmp/kept.toml && rm /etc/webntpd.toml
        dpkg --force-confmiss -i /tmp/webntpd_2.deb >&2
        stat -c '%U:%G %a' /etc/webntpd.toml
        mv /tmp/kept.toml /etc/webntpd.toml";
    assert_eq!(debian.run(put_back), "root:webntpd 640\n");
    let chosen = "dpkg-statoverride --add root root 0600 /etc/webntpd.toml";
    let choose_no_more = "dpkg-statoverride --remove /etc/webntpd.toml";
    let owned = debian.run(&format!("{chosen}\n{put_back}\n{choose_no_more}"));
    assert_eq!(owned, "root:root 600\n");
    // Once it is there, its owner is the administrator's to choose, and nothing is left of what was noted.
    let chosen = "chown root:root /etc/webntpd.toml && chmod 0640 /etc/webntpd.toml
        dpkg --force-confmiss -i /tmp/webntpd_2.deb >&2
        stat -c '%U:%G %a' /etc/webntpd.toml && chmod 0600 /etc/webntpd.toml";
    assert_eq!(debian.run(chosen), "root:root 640\n");
    assert_eq!(debian.run("ls /run | grep webntpd || true"), "");
}

fn purged_it_leaves_the_units_of_the_administrator(debian: &Debian) {
    let links = "find /etc/systemd/system -name webntpd.service -printf '%P %l\n' | sort";
    let install = "apt-get install -qq -y /tmp/webntpd_2.deb && systemctl enable webntpd";
    let purge = "apt-get purge -qq -y webntpd";
    debian.run(&format!("{install} && systemctl mask webntpd"));
    assert_eq!(debian.run(links).lines().count(), 2);
    debian.run(purge);
    assert_eq!(debian.run(links), "");

    debian.run(&format!(
        "{install}
        mkdir -p /opt && cp /usr/lib/systemd/system/webntpd.service /opt/
        systemctl disable webntpd && systemctl enable /opt/webntpd.service"
    ));
    let own = debian.run(links);
    assert_eq!(
        own,
        "multi-user.target.wants/webntpd.service /opt/webntpd.service\nwebntpd.service /opt/webntpd.service\n"
    );
    debian.run(purge);
    assert_eq!(debian.run(links), own);
}

/// All users and groups.
fn accounts(debian: &Debian) -> String {
    debian.run("cat /etc/passwd /etc/group /etc/shadow /etc/gshadow | sort")
}

/// The lines that are in one of two only.
fn difference(before: &str, after: &str) -> String {
    let only = |some: &str, others: &str, sign: char| -> String {
        some.lines()
            .filter(|line| !others.lines().any(|other| other == *line))
            .map(|line| format!("{sign}{line}\n"))
            .collect()
    };
    only(before, after, '-') + &only(after, before, '+')
}
