//! Events as entries of the journal, with their fields, by journald's native protocol.
//!
//! In: tracing events. Out: a datagram each to `/run/systemd/journal/socket`, which systemd itself holds: what is sent while
//! journald restarts waits there. It does not look whether standard error goes to the journal.

use super::Escaping;
use std::fmt::{self, Write as _};
use std::io;
use tracing::field::{Field, Value, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Sends events of `level` and above to journald; fails if nobody listens there.
pub(super) fn subscriber(level: LevelFilter) -> io::Result<impl Subscriber + Send + Sync> {
    let layer = tracing_journald::layer()?
        .with_field_prefix(None)
        .with_priority_mappings(PRIORITIES);
    Ok(tracing_subscriber::registry()
        .with(level)
        .with(Escaped(layer)))
}

/// As on the lines, see [`priority`](super::priority): an informational entry is no notice.
const PRIORITIES: PriorityMappings = PriorityMappings {
    error: Priority::Error,
    warn: Priority::Warning,
    info: Priority::Informational,
    debug: Priority::Debug,
    trace: Priority::Debug,
};

/// Hands events on with the text of every field escaped: journald keeps them apart whatever they hold, but shows a text with
/// control characters as a `[blob data]`, and passes line feeds on to syslog.
struct Escaped<L>(L);

impl<S: Subscriber, L: Layer<S>> Layer<S> for Escaped<L> {
    /// Spans would have to be escaped, too; there are none.
    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        metadata.is_event()
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut texts = Texts(vec![None; metadata.fields().len()]);
        event.record(&mut texts);
        let values: Vec<_> = texts
            .0
            .iter()
            .map(|text| text.as_ref().map(|text| text as &dyn Value))
            .collect();
        let values = metadata.fields().value_set_all(&values);
        self.0.on_event(&Event::new(metadata, &values), context);
    }
}

/// The fields' texts, by the fields' indices.
struct Texts(Vec<Option<String>>);

impl Visit for Texts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Only a value that cannot be written fails; the rest of the event is worth having.
        let _ = write!(Escaping(&mut text), "{value:?}");
        if let Some(place) = self.0.get_mut(field.index()) {
            *place = Some(text);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{EVIL, VISIBLE};
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing::{info, info_span, warn};

    /// In place of journald: what arrives, as name and value.
    #[derive(Clone, Default)]
    struct Recorder(Arc<Mutex<Vec<(String, String)>>>);

    impl<S: Subscriber> Layer<S> for Recorder {
        fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
            event.record(&mut |field: &Field, value: &dyn fmt::Debug| {
                let pair = (field.name().to_owned(), format!("{value:?}"));
                self.0.lock().unwrap().push(pair);
            });
        }

        fn on_new_span(
            &self,
            _attributes: &tracing::span::Attributes<'_>,
            _id: &tracing::span::Id,
            _context: Context<'_, S>,
        ) {
            panic!("there are no spans");
        }
    }

    fn recorded(events: impl FnOnce()) -> Vec<(String, String)> {
        let recorder = Recorder::default();
        let layer = Escaped(recorder.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), events);
        recorder.0.lock().unwrap().clone()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        // Texts arrive as texts, which the recorder shows in quotes.
        (name.to_owned(), format!("{value:?}"))
    }

    #[test]
    fn every_field_arrives_and_an_empty_one_does_not() {
        let pairs = recorded(|| {
            let _span = info_span!("span", of = "nobody").entered();
            let absent: Option<&str> = None;
            warn!(
                source = "tokyo",
                absent,
                offset_ns = -5_i64,
                "{} {}",
                "no",
                "reply"
            );
        });
        let expected = [
            pair("source", "tokyo"),
            pair("offset_ns", "-5"),
            pair("message", "no reply"),
        ];
        for pair in &expected {
            assert!(pairs.contains(pair), "{pair:?} is not in {pairs:?}");
        }
        assert_eq!(pairs.len(), expected.len());
    }

    #[test]
    fn a_peers_text_is_escaped_in_every_kind_of_field() {
        let error = io::Error::other(EVIL);
        let pairs = recorded(|| {
            info!("{EVIL}");
            info!(reason = EVIL);
            info!(reason = %EVIL);
            info!(reason = &error as &dyn std::error::Error);
        });
        let mut expected = vec![pair("reason", VISIBLE); 4];
        expected[0].0 = "message".to_owned();
        assert_eq!(pairs, expected);
    }
}
