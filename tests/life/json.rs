//! The lines of `journalctl -o json`.

use std::collections::HashMap;

use serde_json::Value;

/// The fields of one entry that are texts. The others are left out: a binary value is a list of bytes, a long one is null.
pub(crate) type Entry = HashMap<String, String>;

pub(crate) fn entry(line: &str) -> Entry {
    let fields: HashMap<String, Value> =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let texts = fields.into_iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some((name, text)),
        _ => None,
    });
    texts.collect()
}
