//! A pool at one moment.

use crate::gate::GateSnapshot;

/// A pool at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// Its gate, with its breaker.
    pub gate: GateSnapshot,
    /// Connections, leased ones included.
    pub size: u32,
    /// Idle connections.
    pub idle: usize,
    /// How many connections there may be.
    pub max_connections: u32,
}
