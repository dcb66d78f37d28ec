//! The sink that records metrics with the crate `metrics`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use metrics::{
    Counter, Histogram, Label, SharedString, Unit, counter, describe_counter, describe_gauge,
    describe_histogram, gauge, histogram,
};

use super::backend::Backend;
use super::event::{CacheSample, Event, Sample};
use super::sink::Sink;
use crate::breaker::event as breaker;
use crate::breaker::state::{State, Transition};
use crate::breaker::verdict::Verdict;
use crate::outcome::code::ErrorCode;
use crate::outcome::error::Awaited;

/// The buckets for histograms of durations that OpenTelemetry prescribes, in seconds. Pass them to the
/// exporter: without buckets, that of Prometheus records summaries.
pub const DURATION_BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// The largest number of different error codes of a pool. Later ones are recorded as `_OTHER`.
const MOST_CODES: usize = 64;

const POOL: &str = "db.client.connection.pool.name";
const SYSTEM: &str = "db.system.name";
const CONNECTION_STATE: &str = "db.client.connection.state";

const OPERATION: &str = "db.client.operation.duration";
const CONNECTIONS: &str = "db.client.connection.count";
const CONNECTIONS_MAX: &str = "db.client.connection.max";
const PENDING: &str = "db.client.connection.pending_requests";
const TIMEOUTS: &str = "db.client.connection.timeouts";
const CREATE_TIME: &str = "db.client.connection.create_time";
const WAIT_TIME: &str = "db.client.connection.wait_time";
const USE_TIME: &str = "db.client.connection.use_time";
const BREAKER_STATE: &str = "fusepool.breaker.state";
const TRANSITIONS: &str = "fusepool.breaker.transitions";
const OPEN_DURATION: &str = "fusepool.breaker.open.duration";
const CALLS: &str = "fusepool.calls";
const REFUSALS: &str = "fusepool.refusals";
const FALLBACKS: &str = "fusepool.fallbacks";
const PROBES: &str = "fusepool.probes";
const CACHE_HITS: &str = "fusepool.cache.hits";
const CACHE_MISSES: &str = "fusepool.cache.misses";
const CACHE_STALE: &str = "fusepool.cache.stale";
const CACHE_EVICTIONS: &str = "fusepool.cache.evictions";
const CACHE_BYTES: &str = "fusepool.cache.bytes";
const CACHE_AGE: &str = "fusepool.cache.age";

const STATES: [State; 4] = [
    State::Closed,
    State::Open,
    State::HalfOpen,
    State::ForcedOpen,
];

/// The reasons of refusals.
const REASONS: [&str; 5] = ["open", "half_open", "forced_open", "saturated", "abandoned"];

fn describe() {
    let durations = [
        (OPERATION, "Duration of database calls"),
        (CREATE_TIME, "Time to open a connection"),
        (WAIT_TIME, "Time to obtain a connection from the pool"),
        (
            USE_TIME,
            "Time between borrowing and returning a connection",
        ),
        (
            OPEN_DURATION,
            "Time from the opening of the breaker until it is closed again",
        ),
        (CACHE_AGE, "Age of the stale answers that were served"),
    ];
    for (name, description) in durations {
        describe_histogram!(name, Unit::Seconds, description);
    }
    for (name, description) in [
        (CONNECTIONS, "Connections in this state"),
        (CONNECTIONS_MAX, "The largest number of connections"),
        (PENDING, "Callers that wait for a connection"),
        (BREAKER_STATE, "1 if the breaker is in this state"),
    ] {
        describe_gauge!(name, Unit::Count, description);
    }
    describe_gauge!(CACHE_BYTES, Unit::Bytes, "Memory of the cached answers");
    for (name, description) in [
        (TIMEOUTS, "Timeouts of calls for a connection"),
        (TRANSITIONS, "Changes of the breaker's state"),
        (CALLS, "Calls, by what their end tells about the database"),
        (REFUSALS, "Calls that were refused and never sent"),
        (
            FALLBACKS,
            "Reads that the database did not answer, and a fallback did",
        ),
        (PROBES, "Probes of the background task"),
        (CACHE_HITS, "Reads served a fresh answer from the cache"),
        (
            CACHE_MISSES,
            "Reads for which the cache had nothing to serve",
        ),
        (CACHE_STALE, "Reads served a stale answer from the cache"),
        (CACHE_EVICTIONS, "Answers evicted from the cache"),
    ] {
        describe_counter!(name, Unit::Count, description);
    }
}

/// Records the metrics of one pool or gate.
pub(crate) struct Metrics {
    /// They change once, if the server says that it is another system than its driver is for.
    labels: ArcSwap<Labels>,
    /// The instruments that each call uses. They belong to the recorder that was installed when they
    /// were made, so every sample makes them anew: a recorder may be installed after the pool.
    each_call: ArcSwap<EachCall>,
    breaker: Mutex<BreakerState>,
    codes: Mutex<Vec<ErrorCode>>,
}

/// The labels of a pool.
struct Labels {
    /// Those of every metric.
    all: Vec<Label>,
    /// Those of operations.
    of_operations: Vec<Label>,
}

/// The state of the breaker, as its events tell it.
struct BreakerState {
    state: State,
    is_forced_open: bool,
    opened: Option<Instant>,
}

/// What is recorded at each call, without looking it up by name.
struct EachCall {
    succeeded: Histogram,
    waited: Histogram,
    used: Histogram,
    successes: Counter,
    /// Those of [`REASONS`], in this order. A storm of refusals must stay cheap.
    refusals: [Counter; REASONS.len()],
}

impl Metrics {
    pub(crate) fn new(pool: Arc<str>, backend: &Backend) -> Self {
        let labels = Labels::new(pool, backend);
        // First: an instrument takes its description when it is made.
        describe();
        let each_call = ArcSwap::from_pointee(EachCall::new(&labels));
        let metrics = Self {
            labels: ArcSwap::from_pointee(labels),
            each_call,
            breaker: Mutex::new(BreakerState {
                state: State::Closed,
                is_forced_open: false,
                opened: None,
            }),
            codes: Mutex::default(),
        };
        metrics.set_state(|_| {});
        metrics
    }

    /// The labels of every metric.
    fn own(&self) -> Vec<Label> {
        self.labels.load().all.clone()
    }

    fn with<const N: usize>(&self, more: [(&'static str, &'static str); N]) -> Vec<Label> {
        self.labels.load().with(more)
    }

    /// Goes on with another name of the system.
    fn rename(&self, system: &'static str) {
        self.set_state(|_| {
            let before = self.labels.load_full();
            let labels = before.of_system(system);
            self.each_call.store(Arc::new(EachCall::new(&labels)));
            self.labels.store(Arc::new(labels));
            before.clear();
        });
    }

    fn count<const N: usize>(&self, name: &'static str, more: [(&'static str, &'static str); N]) {
        counter!(name, self.with(more)).increment(1);
    }

    /// Changes the state, and sets its gauges.
    fn set_state(&self, change: impl FnOnce(&mut BreakerState)) {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut breaker);
        let current = match breaker.is_forced_open {
            true => State::ForcedOpen,
            false => breaker.state,
        };
        for state in STATES {
            let labels = self.with([("state", state.as_str())]);
            gauge!(BREAKER_STATE, labels).set(f64::from(state == current));
        }
    }

    fn transition(&self, transition: &Transition) {
        let Transition {
            from, to, reason, ..
        } = *transition;
        let labels = [
            ("from", from.as_str()),
            ("to", to.as_str()),
            ("reason", reason.as_str()),
        ];
        self.count(TRANSITIONS, labels);
        self.set_state(|breaker| {
            breaker.state = to;
            if to != State::Closed {
                breaker.opened.get_or_insert_with(Instant::now);
            } else if let Some(opened) = breaker.opened.take() {
                histogram!(OPEN_DURATION, self.own()).record(opened.elapsed());
            }
        });
    }

    /// The kind of an error as a label. The number of different ones is bounded.
    fn bounded(&self, error: &str, is_code: bool) -> SharedString {
        let Some(code) = ErrorCode::new(error).filter(|_| is_code) else {
            return error.to_owned().into();
        };
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        if !codes.contains(&code) {
            if codes.len() >= MOST_CODES {
                return "_OTHER".into();
            }
            codes.push(code);
        }
        error.to_owned().into()
    }

    fn failed(&self, took: Duration, code: Option<&str>, error: &str) {
        let mut labels = self.labels.load().of_operations.clone();
        let kind = self.bounded(error, code.is_some());
        if code == Some(&*kind) {
            labels.push(Label::new("db.response.status_code", kind.clone()));
        }
        labels.push(Label::new("error.type", kind));
        histogram!(OPERATION, labels).record(took);
    }

    fn sampled(&self, sample: &Sample) {
        describe();
        self.each_call
            .store(Arc::new(EachCall::new(&self.labels.load())));
        let connections = |state, count: u32| {
            gauge!(CONNECTIONS, self.with([(CONNECTION_STATE, state)])).set(count);
        };
        connections("idle", sample.idle);
        connections("used", sample.used);
        let set = |name, value: u32| gauge!(name, self.own()).set(value);
        set(CONNECTIONS_MAX, sample.max_connections);
        set(PENDING, sample.pending);
        self.set_state(|_| {});
        if let Some(cache) = sample.cache {
            self.cache(cache);
        }
    }

    fn cache(&self, cache: CacheSample) {
        for (name, total) in [
            (CACHE_HITS, cache.hits),
            (CACHE_MISSES, cache.misses),
            (CACHE_STALE, cache.stale),
            (CACHE_EVICTIONS, cache.evictions),
        ] {
            counter!(name, self.own()).absolute(total);
        }
        gauge!(CACHE_BYTES, self.own()).set(cache.bytes as f64);
    }
}

impl Labels {
    fn new(pool: Arc<str>, backend: &Backend) -> Self {
        let mut all = vec![Label::new(POOL, pool)];
        all.extend(backend.system.map(|system| Label::new(SYSTEM, system)));
        let mut of_operations = all.clone();
        let server = [
            ("server.address", backend.address.clone()),
            ("server.port", backend.port.map(|port| port.to_string())),
            ("db.namespace", backend.namespace.clone()),
        ];
        let server = server
            .into_iter()
            .filter_map(|(key, value)| Some(Label::new(key, value?)));
        of_operations.extend(server);
        Self { all, of_operations }
    }

    /// The same labels, with another system.
    fn of_system(&self, system: &'static str) -> Self {
        let change = |labels: &[Label]| {
            let change = |label: &Label| match label.key() {
                SYSTEM => Label::new(SYSTEM, system),
                _ => label.clone(),
            };
            labels.iter().map(change).collect()
        };
        Self {
            all: change(&self.all),
            of_operations: change(&self.of_operations),
        }
    }

    fn with<const N: usize>(&self, more: [(&'static str, &'static str); N]) -> Vec<Label> {
        let more = more.map(|(key, value)| Label::new(key, value));
        self.all.iter().cloned().chain(more).collect()
    }

    /// Sets the gauges to zero.
    fn clear(&self) {
        let zero = |name, labels| gauge!(name, labels).set(0);
        for state in STATES {
            zero(BREAKER_STATE, self.with([("state", state.as_str())]));
        }
        for state in ["idle", "used"] {
            zero(CONNECTIONS, self.with([(CONNECTION_STATE, state)]));
        }
        for name in [CONNECTIONS_MAX, PENDING, CACHE_BYTES] {
            zero(name, self.all.clone());
        }
    }
}

impl EachCall {
    fn new(labels: &Labels) -> Self {
        let Labels { all, of_operations } = labels;
        let with = |key: &'static str, value: &'static str| -> Vec<_> {
            all.iter()
                .cloned()
                .chain([Label::new(key, value)])
                .collect()
        };
        Self {
            succeeded: histogram!(OPERATION, of_operations.clone()),
            waited: histogram!(WAIT_TIME, all.clone()),
            used: histogram!(USE_TIME, all.clone()),
            successes: counter!(CALLS, with("verdict", Verdict::Success.as_str())),
            refusals: REASONS.map(|reason| counter!(REFUSALS, with("reason", reason))),
        }
    }
}

impl Sink for Metrics {
    fn wants_calls(&self) -> bool {
        true
    }

    fn wants_samples(&self) -> bool {
        true
    }

    fn event(&self, _: &str, event: &Event<'_>) {
        match *event {
            Event::Breaker(breaker::Event::Transition(transition)) => self.transition(transition),
            Event::Breaker(breaker::Event::Mode { forced_open, .. }) => {
                self.set_state(|breaker| breaker.is_forced_open = *forced_open);
            }
            Event::Rejected(refused) => {
                let reason = refused.reason();
                if let Some(which) = REASONS.iter().position(|known| *known == reason) {
                    self.each_call.load().refusals[which].increment(1);
                }
            }
            Event::Deadline {
                awaited: Awaited::Connection,
                ..
            } => self.count(TIMEOUTS, []),
            Event::Probe { error } => {
                let outcome = match error {
                    None => "answered",
                    Some(_) => "failed",
                };
                self.count(PROBES, [("outcome", outcome)]);
            }
            Event::Fallback { policy, source } => {
                let labels = [
                    ("policy", policy.unwrap_or_default()),
                    ("source", source.as_str()),
                    ("reason", source.reason().unwrap_or_default()),
                ];
                self.count(FALLBACKS, labels);
                if let Some(age) = source.age() {
                    histogram!(CACHE_AGE, self.own()).record(age);
                }
            }
            Event::Acquired { waited } => self.each_call.load().waited.record(waited),
            Event::AcquireFailed { verdict, .. } => {
                self.count(CALLS, [("verdict", verdict.as_str())]);
            }
            Event::Ended {
                took, error: None, ..
            } => {
                let each_call = self.each_call.load();
                each_call.succeeded.record(took);
                each_call.successes.increment(1);
            }
            Event::Ended {
                took,
                verdict,
                code,
                error: Some(error),
            } => {
                let verdict = verdict.map_or("abandoned", Verdict::as_str);
                self.count(CALLS, [("verdict", verdict)]);
                self.failed(took, code, error);
            }
            Event::Released { used } => self.each_call.load().used.record(used),
            Event::Connected { took } => {
                histogram!(CREATE_TIME, self.own()).record(took);
            }
            Event::Sampled(sample) => self.sampled(sample),
            Event::System { name } => self.rename(name),
            _ => {}
        }
    }
}

/// Sets the gauges of a pool that ended to zero.
impl Drop for Metrics {
    fn drop(&mut self) {
        self.labels.load().clear();
    }
}
