//! The configuration is edited while the service runs.

use crate::fake::FakeUpstream;
use crate::json::Entry;
use crate::life::{CONFIGURATION, Life, UNIT};

/// Journald's numbers.
const ERROR: &str = "3";
const WARNING: &str = "4";

pub(super) fn add_a_source(life: &mut Life) {
    let debian = &life.debian;
    let (pid, connections) = (life.main_pid(), life.connections(3));
    assert!(pid.is_some());
    let mark = debian.mark();
    life.configure(4, "");
    debian.run(&["systemctl", "reload", UNIT]);
    debian.wait_entry(UNIT, &mark, "sources: 3 go on, 1 started, 0 stopped");
    life.wait_status("4 of 4 sources agree");

    // Asked since, over the same connections.
    for fake in &life.fakes {
        let wanted = fake.served() + 2;
        assert!(
            fake.wait_served(wanted, crate::container::LIMIT),
            "it is not asked any more"
        );
    }
    assert_eq!(
        life.connections(3),
        connections,
        "a connection was not kept"
    );
    assert_eq!(life.main_pid(), pid);
    // Sources with a history have nothing to say anew.
    let lines = debian.entries(UNIT, &mark, &[]);
    let anew = lines.iter().filter(|entry| {
        let message = field(entry, "MESSAGE");
        message.starts_with("source ") && !message.starts_with("source late: ")
    });
    assert_eq!(anew.count(), 0, "{lines:#?}");
    life.wait_samples();
}

pub(super) fn broken_edit(life: &mut Life) {
    let debian = &life.debian;
    let pid = life.main_pid();
    let mark = debian.mark();
    life.configure(2, "colour = 3");
    // The reload itself is a signal, and has no outcome under this systemd: the journal tells.
    let _ = debian.attempt(&["systemctl", "reload", UNIT]);
    let entry = debian.wait_entry(UNIT, &mark, "colour");
    let message = field(&entry, "MESSAGE");
    assert!(
        message.starts_with(&format!("{CONFIGURATION}:2: ")),
        "{message}"
    );
    assert_eq!(field(&entry, "PRIORITY"), ERROR);
    debian.wait_entry(UNIT, &mark, "the old one stays in force");

    life.wait_samples();
    life.wait_status("4 of 4 sources agree");
    assert_eq!(life.main_pid(), pid);

    let mark = debian.mark();
    life.configure(4, "");
    debian.run(&["systemctl", "reload", UNIT]);
    debian.wait_entry(UNIT, &mark, "sources: 4 go on, 0 started, 0 stopped");
}

pub(super) fn journal_fields(life: &mut Life) {
    let debian = &life.debian;
    let mark = debian.mark();
    life.fakes[0].stop();
    let entry = debian.wait_entry(UNIT, &mark, "source json: ");
    assert_eq!(field(&entry, "PRIORITY"), WARNING);
    assert_eq!(field(&entry, "SOURCE"), "json");
    let message = format!("source json: {}", field(&entry, "REASON"));
    assert_eq!(field(&entry, "MESSAGE"), message);
    assert_eq!(field(&entry, "SYSLOG_IDENTIFIER"), "webntpd");

    FakeUpstream::restart_at_same_port(&life.fakes[0]);
    let entry = debian.wait_entry(UNIT, &mark, "source json: answers again");
    assert_eq!(field(&entry, "SOURCE"), "json");
    life.wait_status("4 of 4 sources agree");

    // All that it published since the Debian runs.
    let all = debian.run(&["journalctl", "-q", "-o", "json", "-u", UNIT]);
    let entries: Vec<Entry> = all.lines().map(crate::json::entry).collect();
    let published = entries
        .iter()
        .filter(|entry| field(entry, "MESSAGE").starts_with("publishing: "));
    let mut count = 0;
    for entry in published {
        for name in ["OFFSET_NS", "BOUND_NS"] {
            let number: Result<i64, _> = field(entry, name).parse();
            assert!(number.is_ok_and(|number| number > 0), "{name}: {entry:?}");
        }
        count += 1;
    }
    assert!(count > 0, "{all}");
}

fn field<'a>(entry: &'a Entry, name: &str) -> &'a str {
    entry.get(name).map_or("", String::as_str)
}
