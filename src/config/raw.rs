//! The mirror of the file: the keys that it has, each of the right type and in its range, all optional.
//!
//! In: TOML. Out: what stands there, and where. Defaults, what must be there and what does not go together
//! are the business of [`checked`](super::checked).

use super::checked::{AddressFamily, Level, Protocol};
use super::keys;
use super::problem::Report;
use super::reader::{At, Table};
use super::word;
use crate::engine::time::Span;
use crate::protocol::stamp::Rounding;
use std::net::SocketAddr;
use std::path::PathBuf;
use toml::de::DeTable;

/// What the file says.
pub(super) struct File<'a> {
    pub(super) cycle: Option<At<Span>>,
    pub(super) shm: Shm,
    pub(super) socks: Vec<Sock<'a>>,
    pub(super) select: Select<'a>,
    pub(super) leap: Leap<'a>,
    pub(super) log: Log,
    pub(super) state: State,
    pub(super) control: Control,
    pub(super) metrics: Metrics,
    pub(super) sources: Vec<Source<'a>>,
}

/// `[shm]`
#[derive(Default)]
pub(super) struct Shm {
    pub(super) enable: Option<At<bool>>,
    pub(super) unit: Option<At<i64>>,
    pub(super) mode: Option<At<u32>>,
    pub(super) owner_check: Option<At<bool>>,
}

/// One `[[sock]]`
pub(super) struct Sock<'a> {
    pub(super) table: Table<'a>,
    /// Where it begins.
    pub(super) offset: usize,
    pub(super) path: Option<At<PathBuf>>,
}

/// `[select]`
#[derive(Default)]
pub(super) struct Select<'a> {
    /// None when the file has no such table.
    pub(super) table: Option<Table<'a>>,
    pub(super) min_agreeing: Option<At<i64>>,
    pub(super) max_bound: Option<At<Span>>,
}

/// `[leap]`
#[derive(Default)]
pub(super) struct Leap<'a> {
    /// None when the file has no such table.
    pub(super) table: Option<Table<'a>>,
    pub(super) list: Option<At<PathBuf>>,
    pub(super) url: Option<At<String>>,
}

/// `[log]`
#[derive(Default)]
pub(super) struct Log {
    pub(super) level: Option<At<Level>>,
    pub(super) measurements: Option<At<PathBuf>>,
}

/// `[state]`
#[derive(Default)]
pub(super) struct State {
    pub(super) directory: Option<At<PathBuf>>,
}

/// `[control]`
#[derive(Default)]
pub(super) struct Control {
    pub(super) path: Option<At<PathBuf>>,
    pub(super) mode: Option<At<u32>>,
}

/// `[metrics]`
#[derive(Default)]
pub(super) struct Metrics {
    pub(super) listen: Option<At<Vec<SocketAddr>>>,
}

/// One `[[source]]`
pub(super) struct Source<'a> {
    pub(super) table: Table<'a>,
    /// Where it begins.
    pub(super) offset: usize,
    pub(super) name: Option<At<String>>,
    pub(super) url: Option<At<String>>,
    pub(super) protocol: Option<At<Protocol>>,
    pub(super) poll: Option<At<Span>>,
    pub(super) min_poll: Option<At<Span>>,
    pub(super) max_poll: Option<At<Span>>,
    pub(super) burst: Option<At<bool>>,
    pub(super) operator: Option<At<String>>,
    pub(super) prefer: Option<At<bool>>,
    pub(super) noselect: Option<At<bool>>,
    /// Called `correction` here: `offset` is a place in the text.
    pub(super) correction: Option<At<Span>>,
    pub(super) rounding: Option<At<Rounding>>,
    pub(super) timeout: Option<At<Span>>,
    pub(super) ca_file: Option<At<String>>,
    pub(super) address_family: Option<At<AddressFamily>>,
}

impl<'a> File<'a> {
    /// Reads the top table and all below it.
    pub(super) fn read(entries: &'a DeTable<'a>, text: &'a str, report: &mut Report) -> Self {
        let top = Table {
            entries,
            text,
            context: String::new(),
        };
        top.refuse_unknown(&keys::TOP, report);
        Self {
            cycle: top.length(&keys::CYCLE, report),
            shm: top
                .table("shm", report)
                .map(|table| Shm::read(&table, report))
                .unwrap_or_default(),
            socks: top
                .tables("sock", report)
                .into_iter()
                .map(|(offset, table)| Sock::read(offset, table, report))
                .collect(),
            select: top
                .table("select", report)
                .map(|table| Select::read(table, report))
                .unwrap_or_default(),
            leap: top
                .table("leap", report)
                .map(|table| Leap::read(table, report))
                .unwrap_or_default(),
            log: top
                .table("log", report)
                .map(|table| Log::read(&table, report))
                .unwrap_or_default(),
            state: top
                .table("state", report)
                .map(|table| State::read(&table, report))
                .unwrap_or_default(),
            control: top
                .table("control", report)
                .map(|table| Control::read(&table, report))
                .unwrap_or_default(),
            metrics: top
                .table("metrics", report)
                .map(|table| Metrics::read(&table, report))
                .unwrap_or_default(),
            sources: top
                .tables("source", report)
                .into_iter()
                .map(|(offset, table)| Source::read(offset, table, report))
                .collect(),
        }
    }
}

impl Shm {
    fn read(table: &Table<'_>, report: &mut Report) -> Self {
        table.refuse_unknown(&keys::SHM, report);
        Self {
            enable: table.switch(&keys::ENABLE, report),
            unit: table.whole(&keys::UNIT, report),
            mode: table.mode(&keys::MODE, report),
            owner_check: table.switch(&keys::OWNER_CHECK, report),
        }
    }
}

impl<'a> Sock<'a> {
    fn read(offset: usize, table: Table<'a>, report: &mut Report) -> Self {
        table.refuse_unknown(&keys::SOCK, report);
        Self {
            offset,
            path: table.path(&keys::PATH, report),
            table,
        }
    }
}

impl<'a> Select<'a> {
    fn read(table: Table<'a>, report: &mut Report) -> Self {
        table.refuse_unknown(&keys::SELECT, report);
        Self {
            min_agreeing: table.whole(&keys::MIN_AGREEING, report),
            max_bound: table.length(&keys::MAX_BOUND, report),
            table: Some(table),
        }
    }
}

impl<'a> Leap<'a> {
    fn read(table: Table<'a>, report: &mut Report) -> Self {
        table.refuse_unknown(&keys::LEAP, report);
        Self {
            list: table.path(&keys::LEAP_LIST, report),
            url: table.string(&keys::LEAP_URL, report),
            table: Some(table),
        }
    }
}

impl Log {
    fn read(table: &Table<'_>, report: &mut Report) -> Self {
        table.refuse_unknown(&keys::LOG, report);
        Self {
            level: table.choice(&keys::LEVEL, report),
            measurements: table.path(&keys::MEASUREMENTS, report),
        }
    }
}

impl State {
    fn read(table: &Table<'_>, report: &mut Report) -> Self {
        table.refuse_unknown(&keys::STATE, report);
        Self {
            directory: table.path(&keys::DIRECTORY, report),
        }
    }
}

impl Control {
    fn read(table: &Table<'_>, report: &mut Report) -> Self {
        table.refuse_unknown(&keys::CONTROL, report);
        Self {
            path: table.path(&keys::CONTROL_PATH, report),
            mode: table.mode(&keys::CONTROL_MODE, report),
        }
    }
}

impl Metrics {
    fn read(table: &Table<'_>, report: &mut Report) -> Self {
        table.refuse_unknown(&keys::METRICS, report);
        Self {
            listen: table.addresses(&keys::METRICS_LISTEN, report),
        }
    }
}

impl<'a> Source<'a> {
    fn read(offset: usize, mut table: Table<'a>, report: &mut Report) -> Self {
        let name = table.string(&keys::NAME, report);
        if let Some(name) = &name
            && word::fault(&name.value, word::LONGEST_NAME).is_none()
        {
            table.context = format!("source {:?}: ", name.value);
        }
        table.refuse_unknown(&keys::SOURCE, report);
        Self {
            offset,
            url: table.string(&keys::URL, report),
            protocol: table.choice(&keys::PROTOCOL, report),
            poll: table.length(&keys::POLL, report),
            min_poll: table.length(&keys::MIN_POLL, report),
            max_poll: table.length(&keys::MAX_POLL, report),
            burst: table.switch(&keys::BURST, report),
            operator: table.string(&keys::OPERATOR, report),
            prefer: table.switch(&keys::PREFER, report),
            noselect: table.switch(&keys::NOSELECT, report),
            correction: table.correction(&keys::OFFSET, report),
            rounding: table.choice(&keys::ROUNDING, report),
            timeout: table.length(&keys::TIMEOUT, report),
            ca_file: table.string(&keys::CA_FILE, report),
            address_family: table.choice(&keys::ADDRESS_FAMILY, report),
            name,
            table,
        }
    }
}
