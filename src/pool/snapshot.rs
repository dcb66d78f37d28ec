//! The state of a pool at one moment.
#[cfg(feature = "cache")]
use crate::cache::snapshot::CacheSnapshot;
use crate::gate::snapshot::GateSnapshot;

/// The number of connections of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// The number of connections: idle, leased, and being opened.
    pub size: u32,
    /// The number of idle connections.
    pub idle: u32,
    /// The largest number of connections.
    pub max_connections: u32,
}

impl PoolStatus {
    /// Whether no connection is idle and none may be opened.
    pub(crate) fn is_full(&self) -> bool {
        self.idle == 0 && self.size >= self.max_connections
    }
}

/// The state of a pool at one moment: its connections, its gate with the breaker, and its cache.
///
/// With the feature `serde`, it can be serialized, with the names of the fields. Durations are in
/// seconds, as floating-point numbers.
///
/// ```
/// use fusepool::{Adapter, Guarded};
///
/// fn log<A: Adapter>(pool: &Guarded<A>) {
///     let now = pool.snapshot();
///     println!("{} of {} connections, {} idle", now.size, now.max_connections, now.idle);
///     println!("the breaker is {}", now.gate.breaker.state.as_str());
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// The gate, with its breaker.
    pub gate: GateSnapshot,
    /// The cache, with the counts of the fallbacks that were served.
    #[cfg(feature = "cache")]
    pub cache: CacheSnapshot,
    /// The number of connections: idle, leased, and being opened.
    pub size: u32,
    /// The number of idle connections.
    pub idle: u32,
    /// The largest number of connections.
    pub max_connections: u32,
}
