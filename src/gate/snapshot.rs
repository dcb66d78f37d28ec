//! A gate at one moment.

use std::sync::atomic::Ordering;

use super::{Count, Gate};
use crate::breaker::snapshot::Snapshot;

/// A gate at one moment. The counts are since it was built.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GateSnapshot {
    /// Its breaker.
    pub breaker: Snapshot,
    /// Callers that wait for a connection now.
    pub waiting: u32,
    /// Calls refused because too many were waiting.
    pub saturated: u64,
    /// Connections and answers that did not come in time.
    pub deadlines: u64,
    /// Those of them that an outage had taken with it: their calls were given up for the sake of others.
    pub lost_answers: u64,
    /// Probes made in the background.
    pub probes: u64,
    /// Connections that were closed instead of going back to the pool.
    pub closed_connections: u64,
}

impl Gate {
    /// All there is to know about the gate and its breaker at this moment.
    #[must_use]
    pub fn snapshot(&self) -> GateSnapshot {
        let count = |what: Count| self.counters.get(what as usize);
        GateSnapshot {
            breaker: self.breaker.snapshot(),
            waiting: self.breaker.waiting().load(Ordering::Acquire),
            saturated: count(Count::Saturated),
            deadlines: count(Count::Deadlines),
            lost_answers: count(Count::LostAnswers),
            probes: count(Count::Probes),
            closed_connections: count(Count::ClosedConnections),
        }
    }
}
