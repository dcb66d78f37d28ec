//! A subscriber that records events.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// An event as it was emitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub target: String,
    pub level: Level,
    pub name: String,
    pub fields: BTreeMap<String, String>,
}

impl Seen {
    pub fn names(&self) -> Vec<&str> {
        self.fields.keys().map(String::as_str).collect()
    }
}

#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<Seen>>>);

impl Recorder {
    pub fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// The only event of this name since the last look.
    pub fn only(&self, name: &str) -> Seen {
        let mut seen = self.take();
        seen.retain(|event| event.name == name);
        assert_eq!(seen.len(), 1, "{name}: {seen:?}");
        seen.remove(0)
    }
}

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let target = event.metadata().target();
        if !target.starts_with("fusepool") {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let name = fields.0.remove("message").unwrap_or_default();
        self.0.lock().unwrap().push(Seen {
            target: target.to_owned(),
            level: *event.metadata().level(),
            name,
            fields: fields.0,
        });
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}
