//! The metrics, through OpenTelemetry's API instead of the crate `metrics`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Label, Metadata,
    Recorder, SharedString, Unit, with_local_recorder,
};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{self as api, Meter};

use super::backend::Backend;
use super::event::Event;
use super::metrics::{DURATION_BUCKETS, Metrics};
use super::sink::Sink;

/// Records the metrics of one pool or gate with a meter.
pub(crate) struct OpenTelemetry {
    /// `None` when this is dropped.
    metrics: Option<Metrics>,
    bridge: Bridge,
}

impl OpenTelemetry {
    pub(crate) fn new(meter: Meter, pool: Arc<str>, backend: &Backend) -> Self {
        let bridge = Bridge {
            meter,
            descriptions: Mutex::default(),
            instruments: Mutex::default(),
        };
        let metrics = with_local_recorder(&bridge, || Metrics::new(pool, backend));
        Self {
            metrics: Some(metrics),
            bridge,
        }
    }
}

impl Sink for OpenTelemetry {
    fn wants_calls(&self) -> bool {
        true
    }

    fn wants_samples(&self) -> bool {
        true
    }

    fn event(&self, pool: &str, event: &Event<'_>) {
        if let Some(metrics) = &self.metrics {
            with_local_recorder(&self.bridge, || metrics.event(pool, event));
        }
    }
}

/// Sets the gauges of a pool that ended to zero.
impl Drop for OpenTelemetry {
    fn drop(&mut self) {
        with_local_recorder(&self.bridge, || drop(self.metrics.take()));
    }
}

/// Turns the instruments of the crate `metrics` into those of a meter.
struct Bridge {
    meter: Meter,
    descriptions: Mutex<HashMap<KeyName, String>>,
    /// There are as many as the metrics have series, which is bounded.
    instruments: Mutex<HashMap<Key, Instrument>>,
}

#[derive(Clone)]
enum Instrument {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

impl Bridge {
    fn describe(&self, name: KeyName, description: SharedString) {
        let mut descriptions = lock(&self.descriptions);
        descriptions.insert(name, description.into_owned());
    }

    fn description(&self, key: &Key) -> String {
        let descriptions = lock(&self.descriptions);
        descriptions.get(key.name()).cloned().unwrap_or_default()
    }

    /// The instrument of this key, which is made at its first use.
    fn instrument(&self, key: &Key, make: impl FnOnce() -> Instrument) -> Instrument {
        let mut instruments = lock(&self.instruments);
        instruments.entry(key.clone()).or_insert_with(make).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn attributes(key: &Key) -> Vec<KeyValue> {
    let pair = |label: &Label| KeyValue::new(label.key().to_owned(), label.value().to_owned());
    key.labels().map(pair).collect()
}

impl Recorder for Bridge {
    fn describe_counter(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(name, description);
    }

    fn describe_gauge(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(name, description);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, description: SharedString) {
        self.describe(name, description);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let make = || {
            let counter = self.meter.u64_counter(key.name().to_owned());
            Instrument::Counter(Counter::from_arc(Arc::new(Total {
                counter: counter.with_description(self.description(key)).build(),
                attributes: attributes(key),
                last: AtomicU64::new(0),
            })))
        };
        match self.instrument(key, make) {
            Instrument::Counter(counter) => counter,
            _ => Counter::noop(),
        }
    }

    /// The conventions call the numbers of connections counters that go up and down.
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let make = || {
            let (name, description) = (key.name().to_owned(), self.description(key));
            let value = match name.starts_with("db.") {
                true => {
                    let counter = self.meter.f64_up_down_counter(name);
                    Level::Changes(counter.with_description(description).build())
                }
                false => {
                    let gauge = self.meter.f64_gauge(name).with_description(description);
                    Level::Values(gauge.build())
                }
            };
            Instrument::Gauge(Gauge::from_arc(Arc::new(Value {
                level: value,
                attributes: attributes(key),
                last: Mutex::new(0.0),
            })))
        };
        match self.instrument(key, make) {
            Instrument::Gauge(gauge) => gauge,
            _ => Gauge::noop(),
        }
    }

    /// All of them are of durations.
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let make = || {
            let histogram = self.meter.f64_histogram(key.name().to_owned());
            let histogram = histogram.with_description(self.description(key));
            let histogram = histogram
                .with_unit("s")
                .with_boundaries(DURATION_BUCKETS.into());
            Instrument::Histogram(Histogram::from_arc(Arc::new(Durations {
                histogram: histogram.build(),
                attributes: attributes(key),
            })))
        };
        match self.instrument(key, make) {
            Instrument::Histogram(histogram) => histogram,
            _ => Histogram::noop(),
        }
    }
}

struct Total {
    counter: api::Counter<u64>,
    attributes: Vec<KeyValue>,
    last: AtomicU64,
}

impl CounterFn for Total {
    fn increment(&self, by: u64) {
        self.last.fetch_add(by, Ordering::Relaxed);
        self.counter.add(by, &self.attributes);
    }

    fn absolute(&self, total: u64) {
        let last = self.last.fetch_max(total, Ordering::Relaxed);
        self.counter
            .add(total.saturating_sub(last), &self.attributes);
    }
}

struct Value {
    level: Level,
    attributes: Vec<KeyValue>,
    last: Mutex<f64>,
}

enum Level {
    Values(api::Gauge<f64>),
    Changes(api::UpDownCounter<f64>),
}

impl Value {
    fn change(&self, to: impl FnOnce(f64) -> f64) {
        let mut last = lock(&self.last);
        let value = to(*last);
        match &self.level {
            Level::Values(gauge) => gauge.record(value, &self.attributes),
            Level::Changes(counter) => counter.add(value - *last, &self.attributes),
        }
        *last = value;
    }
}

impl GaugeFn for Value {
    fn increment(&self, by: f64) {
        self.change(|last| last + by);
    }

    fn decrement(&self, by: f64) {
        self.change(|last| last - by);
    }

    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

struct Durations {
    histogram: api::Histogram<f64>,
    attributes: Vec<KeyValue>,
}

impl HistogramFn for Durations {
    fn record(&self, seconds: f64) {
        self.histogram.record(seconds, &self.attributes);
    }
}
