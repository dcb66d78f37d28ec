//! A pool at one moment.

use crate::cache::snapshot::CacheSnapshot;
use crate::gate::snapshot::GateSnapshot;

/// A pool at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// Its gate, with its breaker.
    pub gate: GateSnapshot,
    /// Its cache, and the fallbacks that were served.
    pub cache: CacheSnapshot,
    /// Connections, leased ones included.
    pub size: u32,
    /// Idle connections.
    pub idle: usize,
    /// How many connections there may be.
    pub max_connections: u32,
}
