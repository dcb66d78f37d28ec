//! The settings that all guarded pools share.

use std::fmt;
use std::time::Duration;

use crate::breaker::builder::Builder;
use crate::breaker::config::ConfigError;
use crate::breaker::handle::Breaker;
#[cfg(feature = "cache")]
use crate::cache::store::{DEFAULT_CACHE_BYTES, check_bytes};
use crate::gate::Gate;
use crate::gate::config::GuardConfig;
use crate::gate::limits::{
    DEFAULT_ACQUIRE_TIMEOUT, DEFAULT_MAX_QUEUE, DEFAULT_QUERY_TIMEOUT, Limits,
};
use crate::lint::{Load, Plan, check};
use crate::pool::adapter::Adapter;
use crate::telemetry::sinks::SinkList;

/// Settings that are not checked yet.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) breaker: Builder,
    pub(crate) acquire_timeout: Option<Duration>,
    pub(crate) query_timeout: Duration,
    pub(crate) max_queue: u32,
    pub(crate) active_probing: bool,
    pub(crate) side_connections: bool,
    pub(crate) probe_query: Option<String>,
    pub(crate) load: Load,
    pub(crate) sinks: SinkList,
    #[cfg(feature = "cache")]
    pub(crate) cache_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            breaker: Breaker::builder(),
            acquire_timeout: None,
            query_timeout: DEFAULT_QUERY_TIMEOUT,
            max_queue: DEFAULT_MAX_QUEUE,
            active_probing: true,
            side_connections: true,
            probe_query: None,
            load: Load::default(),
            sinks: SinkList::default(),
            #[cfg(feature = "cache")]
            cache_bytes: DEFAULT_CACHE_BYTES,
        }
    }
}

impl Settings {
    /// Applies the settings that `config` has.
    pub(crate) fn configure(&mut self, config: &GuardConfig) {
        fn set<T>(to: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *to = value;
            }
        }

        let breaker = config.breaker.clone();
        let breaker = breaker.map(|breaker| breaker.complete_from(&self.breaker));
        set(&mut self.breaker, breaker);
        self.acquire_timeout = config.acquire_timeout.or(self.acquire_timeout);
        set(&mut self.query_timeout, config.query_timeout);
        set(&mut self.max_queue, config.max_queue);
        set(&mut self.active_probing, config.active_probing);
        set(&mut self.side_connections, config.side_connections);
        #[cfg(feature = "cache")]
        set(&mut self.cache_bytes, config.cache_bytes);
    }

    pub(crate) fn acquire_timeout(&self) -> Duration {
        self.acquire_timeout.unwrap_or(DEFAULT_ACQUIRE_TIMEOUT)
    }

    /// Checks the settings, and builds the gate of a pool.
    pub(crate) fn gate(&self, adapter: &impl Adapter) -> Result<Gate, ConfigError> {
        #[cfg(feature = "cache")]
        check_bytes(self.cache_bytes)?;
        if let Some(sql) = &self.probe_query
            && sql.trim().is_empty()
        {
            return Err(ConfigError::new("probe_query", sql, "a statement"));
        }
        let size = adapter.status().max_connections.max(1);
        let limits = Limits {
            acquire_timeout: self.acquire_timeout(),
            query_timeout: self.query_timeout,
            max_queue: self.max_queue,
            connections: size,
        };
        let breaker = self.breaker.clone().name_if_unset(|| adapter.name());
        let (breaker, sinks) = (breaker.ramp_if_unset(size), self.sinks.clone());
        let gate = Gate::new(breaker, limits, "query_timeout", sinks, adapter.backend())?;
        let plan = Plan {
            probes: self.active_probing,
            asks: self.side_connections,
            ..gate.plan()
        };
        gate.warn(check(&plan, &self.load));
        Ok(gate)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("breaker", &self.breaker)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("query_timeout", &self.query_timeout)
            .field("max_queue", &self.max_queue)
            .field("active_probing", &self.active_probing)
            .field("side_connections", &self.side_connections)
            .field("probe_query", &self.probe_query)
            .field("load", &self.load)
            .finish_non_exhaustive()
    }
}

/// The setters, for a builder with a field `settings` of type [`Settings`].
///
/// They have no `#[must_use]`, because the builders themselves have it.
macro_rules! setters {
    () => {
        /// Applies settings that are data, for instance from a file. It replaces what was set before,
        /// where `config` has a value.
        pub fn configure(mut self, config: &$crate::GuardConfig) -> Self {
            self.settings.configure(config);
            self
        }

        /// The breaker of the pool. Default: [`Breaker::builder`](crate::Breaker::builder), with a
        /// recovery ramp up to the size of the pool.
        pub fn breaker(mut self, breaker: $crate::breaker::Builder) -> Self {
            self.settings.breaker = breaker;
            self
        }

        /// The longest time that a caller waits for a connection. Default:
        /// [`DEFAULT_ACQUIRE_TIMEOUT`](crate::DEFAULT_ACQUIRE_TIMEOUT), 2 seconds. Longer than zero, and
        /// at most one day.
        pub fn acquire_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.settings.acquire_timeout = Some(timeout);
            self
        }

        /// The longest time that a statement may run. At its deadline, the statement is given up, and
        /// its connection is closed. Default:
        /// [`DEFAULT_QUERY_TIMEOUT`](crate::DEFAULT_QUERY_TIMEOUT), 30 seconds. Longer than the slow-call
        /// threshold, and at most one day.
        pub fn query_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.settings.query_timeout = timeout;
            self
        }

        /// The largest number of callers in the queue for a connection, at least 1. The next caller
        /// is refused at once. Default: [`DEFAULT_MAX_QUEUE`](crate::DEFAULT_MAX_QUEUE), 10,000.
        ///
        /// A caller is refused at once, too, if the queue moves so slowly that its connection would
        /// come after `acquire_timeout`.
        pub fn max_queue(mut self, callers: u32) -> Self {
            self.settings.max_queue = callers;
            self
        }

        /// Whether a background task probes the backend while the breaker is open, so that no
        /// caller's call has to be the first probe. The task ends with the pool. Default: `true`.
        pub fn active_probing(mut self, on: bool) -> Self {
            self.settings.active_probing = on;
            self
        }

        /// Whether connections beside those of the pool may be opened, to
        /// [stop abandoned statements](crate#abandoned-statements) on the server, and to ask it about
        /// statements [from before an outage](crate#what-an-outage-leaves-behind). There is at most
        /// one at a time, except that drivers send their own cancel requests. Without them, only
        /// deadlines end a statement. Default: `true`.
        pub fn side_connections(mut self, on: bool) -> Self {
            self.settings.side_connections = on;
            self
        }

        /// What the pool is used for, so that it can [warn](crate::lint) about settings that do not fit.
        /// It changes nothing else. Default: unknown.
        pub fn load(mut self, load: $crate::lint::Load) -> Self {
            self.settings.load = load;
            self
        }

        /// The largest memory of all cached answers of the pool, in bytes. The least useful answers
        /// are evicted. The cache allocates nothing before it is used. Default:
        /// [`DEFAULT_CACHE_BYTES`](crate::cache::DEFAULT_CACHE_BYTES), 64 MiB; from
        /// [`SMALLEST_CACHE_BYTES`](crate::cache::SMALLEST_CACHE_BYTES) to
        /// [`LARGEST_CACHE_BYTES`](crate::cache::LARGEST_CACHE_BYTES).
        #[cfg(feature = "cache")]
        pub fn cache_bytes(mut self, bytes: u64) -> Self {
            self.settings.cache_bytes = bytes;
            self
        }

        $crate::telemetry::setters::sink_setters!(settings.sinks);
    };
}

pub(crate) use setters;
