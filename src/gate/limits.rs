//! The deadlines and the size of the queue.

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
