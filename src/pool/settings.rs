//! What can be set on any guarded pool.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::builder::Builder;
use crate::breaker::config::ConfigError;
use crate::breaker::handle::Breaker;
#[cfg(feature = "cache")]
use crate::cache::store::{DEFAULT_CACHE_BYTES, check_bytes};
use crate::gate::Gate;
use crate::gate::limits::{
    DEFAULT_ACQUIRE_TIMEOUT, DEFAULT_QUERY_TIMEOUT, DEFAULT_QUEUE_PER_CONNECTION, Limits,
};
use crate::pool::adapter::Adapter;
use crate::telemetry::event::Sink;
use crate::telemetry::trace::TracingSink;

/// Settings that were not checked yet.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) breaker: Builder,
    pub(crate) acquire_timeout: Option<Duration>,
    pub(crate) query_timeout: Duration,
    pub(crate) max_queue: Option<u32>,
    pub(crate) active_probing: bool,
    pub(crate) give_up_lost: bool,
    pub(crate) sink: Arc<dyn Sink>,
    #[cfg(feature = "cache")]
    pub(crate) cache_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            breaker: Breaker::builder(),
            acquire_timeout: None,
            query_timeout: DEFAULT_QUERY_TIMEOUT,
            max_queue: None,
            active_probing: true,
            give_up_lost: true,
            sink: Arc::new(TracingSink),
            #[cfg(feature = "cache")]
            cache_bytes: DEFAULT_CACHE_BYTES,
        }
    }
}

impl Settings {
    pub(crate) fn acquire_timeout(&self) -> Duration {
        self.acquire_timeout.unwrap_or(DEFAULT_ACQUIRE_TIMEOUT)
    }

    /// The gate of a pool.
    pub(crate) fn gate(&self, adapter: &impl Adapter) -> Result<Gate, ConfigError> {
        #[cfg(feature = "cache")]
        check_bytes(self.cache_bytes)?;
        let size = adapter.status().max_connections.max(1);
        let limits = Limits {
            acquire_timeout: self.acquire_timeout(),
            query_timeout: self.query_timeout,
            max_queue: self
                .max_queue
                .unwrap_or_else(|| size.saturating_mul(DEFAULT_QUEUE_PER_CONNECTION)),
            connections: size,
            give_up_lost: self.give_up_lost,
        };
        let breaker = self.breaker.clone().name_if_unset(adapter.name());
        limits.check("query_timeout", &breaker)?;
        Gate::new(breaker.ramp_if_unset(size), limits, Arc::clone(&self.sink))
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
            .field("give_up_lost", &self.give_up_lost)
            .finish_non_exhaustive()
    }
}

/// The setters, for a builder that has its [`Settings`] in a field of that name.
macro_rules! setters {
    () => {
        /// The rules of the breaker. Default: [`Breaker::builder`](crate::Breaker::builder), with a
        /// ramp up to the size of the pool.
        #[must_use]
        pub fn breaker(mut self, breaker: $crate::breaker::Builder) -> Self {
            self.settings.breaker = breaker;
            self
        }

        /// How long a caller waits for a connection.
        /// Default: [`DEFAULT_ACQUIRE_TIMEOUT`](crate::DEFAULT_ACQUIRE_TIMEOUT).
        #[must_use]
        pub fn acquire_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.settings.acquire_timeout = Some(timeout);
            self
        }

        /// How long a statement may take; its connection is then closed.
        /// Default: [`DEFAULT_QUERY_TIMEOUT`](crate::DEFAULT_QUERY_TIMEOUT).
        #[must_use]
        pub fn query_timeout(mut self, timeout: ::std::time::Duration) -> Self {
            self.settings.query_timeout = timeout;
            self
        }

        /// How many callers may wait for a connection; the next is refused at once. Default:
        /// [`DEFAULT_QUEUE_PER_CONNECTION`](crate::DEFAULT_QUEUE_PER_CONNECTION) × the size of
        /// the pool.
        #[must_use]
        pub fn max_queue(mut self, callers: u32) -> Self {
            self.settings.max_queue = Some(callers);
            self
        }

        /// Whether a background task probes the backend while the breaker is open, so that users'
        /// calls need not. Default: `true`. The task ends with the pool.
        #[must_use]
        pub fn active_probing(mut self, on: bool) -> Self {
            self.settings.active_probing = on;
            self
        }

        /// Whether [what an outage leaves behind](crate#what-an-outage-leaves-behind) is given up.
        /// Default: `true`, except for SQLite. Not needed where `query_timeout` is short, and wrong where all connections
        /// of the pool may be busy for seconds.
        #[must_use]
        pub fn give_up_lost(mut self, on: bool) -> Self {
            self.settings.give_up_lost = on;
            self
        }

        /// How much memory the answers of cached reads may take together; the least useful ones make
        /// room for others. Default: [`DEFAULT_CACHE_BYTES`](crate::cache::DEFAULT_CACHE_BYTES), at
        /// least [`SMALLEST_CACHE_BYTES`](crate::cache::SMALLEST_CACHE_BYTES). Nothing is taken before
        /// there are any.
        #[cfg(feature = "cache")]
        #[must_use]
        pub fn cache_bytes(mut self, bytes: u64) -> Self {
            self.settings.cache_bytes = bytes;
            self
        }

        /// Who takes the events. Default: [`TracingSink`](crate::telemetry::TracingSink).
        #[must_use]
        pub fn sink(mut self, sink: impl $crate::telemetry::Sink) -> Self {
            self.settings.sink = ::std::sync::Arc::new(sink);
            self
        }
    };
}

pub(crate) use setters;
