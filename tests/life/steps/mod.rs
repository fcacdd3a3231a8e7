//! The steps of the life, in their order; each finds the service as the one before left it.

mod chrony;
mod failures;
mod feeding;
mod installing;
mod reloading;
mod removing;
mod upgrading;

use crate::life::Life;

/// What is shown by a step, and the step.
type Step = (&'static str, fn(&mut Life));

pub(crate) const ALL: &[Step] = &[
    (
        "the clock cannot be set in it",
        installing::the_clock_cannot_be_set,
    ),
    (
        "apt installs the package and what it needs, and starts nothing",
        installing::install,
    ),
    (
        "the configuration is root's, and its group reads it",
        installing::configuration,
    ),
    (
        "systemd has no complaint about the unit",
        installing::verify,
    ),
    ("its exposure is at most 1.5", installing::exposure),
    (
        "enabled and started, it says that its sources agree",
        feeding::enable,
    ),
    (
        "the journal of a healthy start has no warning",
        feeding::healthy_start,
    ),
    (
        "ntpsec shows SHM(2) with reach 377 and the right offset",
        feeding::ntpsec,
    ),
    (
        "a reload adds a source, and the others go on",
        reloading::add_a_source,
    ),
    (
        "a reload of a broken edit keeps it running as it was",
        reloading::broken_edit,
    ),
    (
        "a source that goes and comes is in the journal, with fields",
        reloading::journal_fields,
    ),
    ("the watchdog restarts it when it hangs", failures::hangs),
    ("it is restarted when it was killed", failures::killed),
    (
        "stopped and started, it leaves the segment and finds it",
        failures::stopped,
    ),
    ("chronyd takes its samples from the socket", chrony::socket),
    ("after a reboot both are up by themselves", chrony::reboot),
    (
        "an upgrade restarts it, and keeps the segment and every edit",
        upgrading::upgrade,
    ),
    ("a removal that fails leaves it running", removing::aborted),
    (
        "removed, it leaves configuration and state",
        removing::remove,
    ),
    ("purged, it leaves nothing", removing::purge),
];
