//! The settings that are checked.

use std::time::Duration;

use crate::breaker::builder::Builder;

/// The settings of a pool.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) breaker: Builder,
    pub(crate) acquire_timeout: Duration,
    pub(crate) query_timeout: Duration,
    /// The largest number of connections.
    pub(crate) connections: u32,
    /// Whether a background task probes.
    pub(crate) probes: bool,
    /// Whether there are connections beside those of the pool to ask the server.
    pub(crate) asks: bool,
}

impl Plan {
    /// The largest number of connections beside the pool: up to three of the background probe while the
    /// server is silent, or one that asks the server.
    pub(super) fn beside(&self) -> u32 {
        match (self.probes, self.asks) {
            (true, _) => 3,
            (false, true) => 1,
            (false, false) => 0,
        }
    }
}
