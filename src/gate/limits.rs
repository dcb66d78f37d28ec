//! The deadlines and the size of the queue.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::breaker::builder::Builder;
use crate::breaker::config::{ConfigError, LONGEST, check_duration};

/// Default `acquire_timeout`, the time to wait for a connection: 2 seconds.
pub const DEFAULT_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Default `query_timeout` of a statement, and default
/// [`call_timeout`](crate::GateBuilder::call_timeout) of a [`Gate`](crate::Gate): 30 seconds.
pub const DEFAULT_QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Default `max_queue`, the largest number of callers in the queue for a connection: 10,000. It bounds
/// memory; the time that the queue takes is bounded by `acquire_timeout`.
pub const DEFAULT_MAX_QUEUE: u32 = 10_000;

/// The limits of a running gate, which can be changed.
#[derive(Debug)]
pub(super) struct LiveLimits {
    acquire_timeout: LiveDuration,
    query_timeout: LiveDuration,
    max_queue: AtomicU32,
    pub(super) connections: u32,
}

impl LiveLimits {
    pub(super) fn new(limits: &Limits) -> Self {
        let live = Self {
            acquire_timeout: LiveDuration::default(),
            query_timeout: LiveDuration::default(),
            max_queue: AtomicU32::new(0),
            connections: limits.connections,
        };
        live.set(limits);
        live
    }

    /// Changes all limits but the number of connections.
    pub(super) fn set(&self, limits: &Limits) {
        self.acquire_timeout.set(limits.acquire_timeout);
        self.query_timeout.set(limits.query_timeout);
        self.max_queue.store(limits.max_queue, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn get(&self) -> Limits {
        Limits {
            acquire_timeout: self.acquire_timeout(),
            query_timeout: self.query_timeout(),
            max_queue: self.max_queue(),
            connections: self.connections,
        }
    }

    #[inline]
    pub(super) fn acquire_timeout(&self) -> Duration {
        self.acquire_timeout.get()
    }

    #[inline]
    pub(super) fn query_timeout(&self) -> Duration {
        self.query_timeout.get()
    }

    pub(super) fn max_queue(&self) -> u32 {
        self.max_queue.load(Ordering::Relaxed)
    }
}

/// A duration of at most [`LONGEST`] that can be changed: its seconds, and its nanoseconds in the lower
/// half.
#[derive(Debug, Default)]
struct LiveDuration(AtomicU64);

impl LiveDuration {
    fn set(&self, duration: Duration) {
        let parts = duration.as_secs() << 32 | u64::from(duration.subsec_nanos());
        self.0.store(parts, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        let parts = self.0.load(Ordering::Relaxed);
        Duration::new(parts >> 32, parts as u32) // the lower half
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) acquire_timeout: Duration,
    pub(crate) query_timeout: Duration,
    pub(crate) max_queue: u32,
    /// The largest number of connections of the pool.
    pub(crate) connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            acquire_timeout: DEFAULT_ACQUIRE_TIMEOUT,
            query_timeout: DEFAULT_QUERY_TIMEOUT,
            max_queue: u32::MAX,
            connections: u32::MAX,
        }
    }
}

impl Limits {
    /// `call_timeout` is the name of the setter for `query_timeout`, for the error.
    pub(crate) fn check(
        &self,
        call_timeout: &'static str,
        breaker: &Builder,
    ) -> Result<(), ConfigError> {
        check_duration("acquire_timeout", self.acquire_timeout, LONGEST)?;
        check_duration(call_timeout, self.query_timeout, LONGEST)?;
        if self.max_queue == 0 {
            let rule = "at least 1: a caller is in the queue while its connection is opened, too";
            return Err(ConfigError::new("max_queue", self.max_queue, rule));
        }
        breaker.check_deadline((call_timeout, self.query_timeout))
    }
}
