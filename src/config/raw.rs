//! The mirror of the file: the keys that it may have, each with its type, all optional.
//!
//! In: TOML. Out: what stands there, and where. Ranges, defaults and what must be there are the business
//! of [`checked`](super::checked).

use super::problem::{Fault, Report};
use super::reader::{At, Kind, Table};
use crate::engine::time::Span;
use toml::de::DeTable;

/// What the file says.
pub(super) struct File<'a> {
    pub(super) table: Table<'a>,
    pub(super) cycle: Option<At<Span>>,
    pub(super) shm: Option<Shm<'a>>,
    pub(super) sources: Vec<Source<'a>>,
}

/// `[shm]`
pub(super) struct Shm<'a> {
    pub(super) table: Table<'a>,
    pub(super) unit: Option<At<i64>>,
}

/// One `[[source]]`
pub(super) struct Source<'a> {
    pub(super) table: Table<'a>,
    /// Where it begins.
    pub(super) offset: usize,
    pub(super) name: Option<At<String>>,
    pub(super) url: Option<At<String>>,
    pub(super) protocol: Option<At<String>>,
    pub(super) poll: Option<At<Span>>,
}

const TOP: Kind = Kind {
    place: "to the top of the file, above the first [table]",
    keys: &["cycle", "shm", "source"],
};
const SHM: Kind = Kind {
    place: "to [shm]",
    keys: &["unit"],
};
const SOURCE: Kind = Kind {
    place: "to a [[source]]",
    keys: &["name", "url", "protocol", "poll"],
};
const KINDS: [Kind; 3] = [TOP, SHM, SOURCE];

impl<'a> File<'a> {
    /// Reads the top table and all below it.
    pub(super) fn read(entries: &'a DeTable<'a>, text: &'a str, report: &mut Report) -> Self {
        let table = Table {
            entries,
            text,
            context: String::new(),
        };
        table.refuse_unknown(&TOP, &KINDS, report);
        Self {
            cycle: table.duration("cycle", "cycle = \"16s\"", report),
            shm: table
                .table("shm", report)
                .map(|table| Shm::read(table, report)),
            sources: table
                .tables("source", report)
                .into_iter()
                .map(|(offset, table)| Source::read(offset, table, report))
                .collect(),
            table,
        }
    }
}

impl<'a> Shm<'a> {
    fn read(table: Table<'a>, report: &mut Report) -> Self {
        table.refuse_unknown(&SHM, &KINDS, report);
        Self {
            unit: table.integer("unit", "unit = 2", report),
            table,
        }
    }
}

impl<'a> Source<'a> {
    fn read(offset: usize, mut table: Table<'a>, report: &mut Report) -> Self {
        let name = table.string("name", "name = \"tokyo\"", report);
        if let Some(name) = &name
            && name_fault(&name.value).is_none()
        {
            table.context = format!("source {:?}: ", name.value);
        }
        table.refuse_unknown(&SOURCE, &KINDS, report);
        Self {
            offset,
            url: table.string("url", "url = \"https://example.com/json\"", report),
            protocol: table.string("protocol", "protocol = \"webntp\"", report),
            poll: table.duration("poll", "poll = \"16s\"", report),
            name,
            table,
        }
    }
}

/// Longest name of a source, in characters: it heads a column of a table.
const LONGEST_NAME: usize = 32;

/// What is wrong with the name of a source, if anything. It is shown in tables, logs and metrics, so it
/// must be one visible word: letters and digits of any script, and ASCII punctuation.
pub(super) fn name_fault(name: &str) -> Option<Fault> {
    let length = name.chars().count();
    let stray = name
        .chars()
        .find(|c| !c.is_ascii_graphic() && !c.is_alphanumeric());
    if name.is_empty() {
        let remedy = format!("give it 1 to {LONGEST_NAME} characters");
        Some(Fault::new("is empty", remedy))
    } else if let Some(stray) = stray {
        Some(Fault::new(
            format!("{name:?} holds {stray:?}"),
            "use letters, digits and punctuation only",
        ))
    } else if length > LONGEST_NAME {
        Some(Fault::new(
            format!("{name:?} has {length} characters"),
            format!("shorten it to at most {LONGEST_NAME}"),
        ))
    } else {
        None
    }
}
