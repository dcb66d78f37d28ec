//! Deadlines, and how many may wait.

use std::time::Duration;

use crate::breaker::builder::Builder;
use crate::breaker::config::{ConfigError, LONGEST, check_duration};

/// Default time to wait for a connection: 2 seconds.
pub const DEFAULT_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Default time a statement, or a call through a [`Gate`](crate::Gate), may take: 30 seconds.
pub const DEFAULT_QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Default of how many callers may wait for each connection of a pool: 8.
pub const DEFAULT_QUEUE_PER_CONNECTION: u32 = 8;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) acquire_timeout: Duration,
    pub(crate) query_timeout: Duration,
    pub(crate) max_queue: u32,
    /// How many connections the pool may have.
    pub(crate) connections: u32,
    /// Calls are given up whose answers were lost in an outage.
    pub(crate) give_up_lost: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            acquire_timeout: DEFAULT_ACQUIRE_TIMEOUT,
            query_timeout: DEFAULT_QUERY_TIMEOUT,
            max_queue: u32::MAX,
            connections: u32::MAX,
            give_up_lost: true,
        }
    }
}

impl Limits {
    /// `call_timeout` is what the caller's setter for the deadline of a call is named.
    pub(crate) fn check(
        &self,
        call_timeout: &'static str,
        breaker: &Builder,
    ) -> Result<(), ConfigError> {
        check_duration("acquire_timeout", self.acquire_timeout, LONGEST)?;
        check_duration(call_timeout, self.query_timeout, LONGEST)?;
        if self.max_queue == 0 {
            let rule = "at least 1: whoever opens a connection waits for a moment, too";
            return Err(ConfigError::new("max_queue", self.max_queue, rule));
        }
        match breaker.get_slow_call_threshold() {
            Some(slow_call_threshold) if slow_call_threshold >= self.query_timeout => {
                Err(ConfigError::new(
                    "slow_call_threshold",
                    slow_call_threshold,
                    format!(
                        "shorter than the `{call_timeout}` of {:?}, or no call could live to be slow \
                     (`slow_call_rate(None)` switches slow calls off)",
                        self.query_timeout
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}
