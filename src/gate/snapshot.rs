//! The counts of a gate at one moment.

use std::sync::atomic::Ordering;

use super::{Count, Gate};
use crate::breaker::snapshot::Snapshot;

/// The state and the counts of a gate at one moment, from [`Gate::snapshot`].
///
/// ```
/// use fusepool::{Breaker, Gate};
///
/// let gate = Gate::builder(Breaker::builder().name("geocoder")).build()?;
/// let now = gate.snapshot();
/// println!("{}: {} wait", now.breaker.name, now.waiting);
/// assert_eq!(now.totals.deadlines, 0);
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct GateSnapshot {
    /// The breaker.
    pub breaker: Snapshot,
    /// Callers in the queue for a connection now.
    pub waiting: u32,
    /// The totals since the gate was built. Those of the breaker are in its own snapshot.
    pub totals: GateTotals,
}

/// The counts of a gate since it was built. They never decrease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct GateTotals {
    /// Calls that were refused because the queue was full, or moved so slowly that they would have waited
    /// for longer than `acquire_timeout`.
    pub saturated: u64,
    /// Missed deadlines, for connections and for answers, lost ones included.
    pub deadlines: u64,
    /// Calls that were [given up as lost in an outage](crate#what-an-outage-leaves-behind).
    pub lost_answers: u64,
    /// Probes that the background task made.
    pub probes: u64,
    /// Connections that were closed instead of returned to the pool.
    pub closed_connections: u64,
}

impl Gate {
    /// The number of callers in the queue for a connection.
    pub(crate) fn waiting(&self) -> u32 {
        self.breaker.waiting().load(Ordering::Acquire)
    }

    /// The state and the counts of the gate and its breaker at this moment.
    #[must_use]
    pub fn snapshot(&self) -> GateSnapshot {
        let count = |what: Count| self.counters.get(what as usize);
        GateSnapshot {
            breaker: self.breaker.snapshot(),
            waiting: self.waiting(),
            totals: GateTotals {
                saturated: count(Count::Saturated),
                deadlines: count(Count::Deadlines),
                lost_answers: count(Count::LostAnswers),
                probes: count(Count::Probes),
                closed_connections: count(Count::ClosedConnections),
            },
        }
    }
}
