//! The sinks of a pool or a gate.

use std::sync::Arc;
#[cfg(feature = "live")]
use std::sync::OnceLock;

use super::backend::Backend;
use super::changes::{Changes, Events};
use super::event::Event;
#[cfg(feature = "metrics")]
use super::metrics::Metrics;
#[cfg(feature = "opentelemetry_0_33")]
use super::opentelemetry::OpenTelemetry;
#[cfg(feature = "live")]
use super::recent::Recent;
use super::sink::Sink;
use super::span::Spans;
use super::trace::TracingSink;
#[cfg(feature = "live")]
use crate::breaker::state::State;

/// The sinks that a builder has collected.
#[derive(Clone)]
pub(crate) struct SinkList {
    pub(crate) tracing: bool,
    pub(crate) spans: bool,
    #[cfg(feature = "metrics")]
    pub(crate) metrics: bool,
    #[cfg(feature = "opentelemetry_0_33")]
    pub(crate) meter: Option<opentelemetry::metrics::Meter>,
    pub(crate) others: Vec<Arc<dyn Sink>>,
}

impl Default for SinkList {
    fn default() -> Self {
        Self {
            tracing: true,
            spans: false,
            #[cfg(feature = "metrics")]
            metrics: false,
            #[cfg(feature = "opentelemetry_0_33")]
            meter: None,
            others: Vec::new(),
        }
    }
}

impl SinkList {
    /// The sinks of the pool with this name.
    pub(crate) fn build(mut self, pool: Arc<str>, backend: Backend) -> Sinks {
        if self.tracing {
            self.others.insert(0, Arc::new(TracingSink::default()));
        }
        #[cfg(feature = "metrics")]
        if self.metrics {
            let metrics = Metrics::new(Arc::clone(&pool), &backend);
            self.others.push(Arc::new(metrics));
        }
        #[cfg(feature = "opentelemetry_0_33")]
        if let Some(meter) = self.meter {
            let metrics = OpenTelemetry::new(meter, Arc::clone(&pool), &backend);
            self.others.push(Arc::new(metrics));
        }
        let spans = (self.spans).then(|| Spans::new(Arc::clone(&pool), backend));
        let all = self.others;
        let of_calls = all.iter().filter(|sink| sink.wants_calls());
        Sinks {
            pool,
            of_calls: of_calls.cloned().collect(),
            of_samples: all
                .iter()
                .filter(|sink| sink.wants_samples())
                .cloned()
                .collect(),
            all,
            spans,
            changes: Changes::default(),
            #[cfg(feature = "live")]
            recent: OnceLock::new(),
        }
    }
}

/// The sinks of a pool or a gate.
pub(crate) struct Sinks {
    pool: Arc<str>,
    all: Vec<Arc<dyn Sink>>,
    of_calls: Vec<Arc<dyn Sink>>,
    of_samples: Vec<Arc<dyn Sink>>,
    spans: Option<Spans>,
    changes: Changes,
    /// Not one of the others, because it may be added while the pool is in use.
    #[cfg(feature = "live")]
    recent: OnceLock<Arc<Recent>>,
}

impl Sinks {
    pub(crate) fn tell(&self, event: &Event<'_>) {
        self.tell_each(&self.all, event);
        if let Event::Breaker(event) = event {
            self.changes.send(event);
        }
    }

    /// The recent events, recorded from the first call of this method on.
    #[cfg(feature = "live")]
    pub(crate) fn recent(&self, state: State) -> Arc<Recent> {
        let recent = self.recent.get_or_init(|| Arc::new(Recent::new(state)));
        Arc::clone(recent)
    }

    pub(crate) fn changes(&self) -> Events {
        self.changes.subscribe()
    }

    /// Whether any sink wants the events of calls.
    pub(crate) fn wants_calls(&self) -> bool {
        !self.of_calls.is_empty()
    }

    pub(crate) fn tell_of_call(&self, event: &Event<'_>) {
        self.tell_each(&self.of_calls, event);
    }

    /// Makes the spans of calls, if there are any.
    pub(crate) fn spans(&self) -> Option<&Spans> {
        self.spans.as_ref()
    }

    /// Whether any sink wants samples.
    pub(crate) fn wants_samples(&self) -> bool {
        !self.of_samples.is_empty()
    }

    pub(crate) fn tell_of_sample(&self, event: &Event<'_>) {
        self.tell_each(&self.of_samples, event);
    }

    /// Tells what the server says that it is.
    pub(crate) fn tell_system(&self, name: &'static str) {
        if let Some(spans) = &self.spans {
            spans.rename(name);
        }
        self.tell(&Event::System { name });
    }

    fn tell_each(&self, sinks: &[Arc<dyn Sink>], event: &Event<'_>) {
        for sink in sinks {
            sink.event(&self.pool, event);
        }
        #[cfg(feature = "live")]
        if let Some(recent) = self.recent.get() {
            recent.event(event);
        }
    }
}
