//! A pool at one moment.

#[cfg(feature = "cache")]
use crate::cache::snapshot::CacheSnapshot;
use crate::gate::snapshot::GateSnapshot;

/// How many connections a pool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// Connections, leased ones and those being opened included.
    pub size: u32,
    /// Idle connections.
    pub idle: u32,
    /// How many connections there may be.
    pub max_connections: u32,
}

impl PoolStatus {
    /// Every connection is leased, and no more may be opened.
    pub(crate) fn is_full(&self) -> bool {
        self.idle == 0 && self.size >= self.max_connections
    }
}

/// A pool at one moment: its connections, its gate with the breaker, its cache.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// Its gate, with its breaker.
    pub gate: GateSnapshot,
    /// Its cache, and the fallbacks that were served.
    #[cfg(feature = "cache")]
    pub cache: CacheSnapshot,
    /// Connections, leased ones and those being opened included.
    pub size: u32,
    /// Idle connections.
    pub idle: u32,
    /// How many connections there may be.
    pub max_connections: u32,
}
