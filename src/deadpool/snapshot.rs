//! A pool at one moment.

use deadpool::managed::Status;

use crate::gate::snapshot::GateSnapshot;

/// A pool at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// Its gate, with its breaker.
    pub gate: GateSnapshot,
    /// deadpool's view of it: as [`Pool::status`](super::Pool::status) has it.
    pub status: Status,
}
