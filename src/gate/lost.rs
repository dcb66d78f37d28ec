//! Tracks whether calls obtain connections, and when the backend last recovered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::breaker::clock::nanos;

/// The progress of the calls of a gate. Times are in nanoseconds on the breaker's clock.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The time at which a call last obtained a connection, plus one; 0 is never.
    last_acquired: AtomicU64,
    /// The time of the first call that obtained no connection since then, plus one. Only the times
    /// after `last_acquired` count.
    starved_since: AtomicU64,
    /// The time at which the backend last recovered; 0 is never.
    well_since: AtomicU64,
}

impl Progress {
    /// Records that a call obtained a connection.
    pub(crate) fn acquired(&self, now: u64) {
        let mark = now.saturating_add(1);
        // The clock moves in steps: most calls find the time recorded, and write nothing that other
        // cores contend for.
        if self.last_acquired.load(Ordering::Acquire) != mark {
            self.last_acquired.store(mark, Ordering::Release);
        }
    }

    /// Whether a call obtained a connection within `limit` before `now`.
    pub(crate) fn acquired_within(&self, limit: Duration, now: u64) -> bool {
        // Not since the caller started to wait: a server without a free slot fails it at once.
        let recently = now.saturating_sub(nanos(limit));
        self.last_acquired.load(Ordering::Acquire) > recently
    }

    /// Records a call that obtained no connection, and returns for how long no call has. The first
    /// connection of a pool takes longer to open than a full server takes to refuse the others.
    pub(crate) fn starved_for(&self, now: u64) -> Duration {
        let since = self.starved_since.load(Ordering::Acquire);
        if since > self.last_acquired.load(Ordering::Acquire) {
            return Duration::from_nanos(now.saturating_add(1).saturating_sub(since));
        }
        let mark = now.saturating_add(1);
        self.starved_since.store(mark, Ordering::Release);
        Duration::ZERO
    }

    /// Records that the backend has answered for the first time after an outage.
    pub(crate) fn well_again(&self, now: u64) {
        self.well_since.store(now, Ordering::Release);
    }

    pub(crate) fn well_since(&self) -> u64 {
        self.well_since.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_without_a_connection_starts_with_the_first_call_that_got_none() {
        let progress = Progress::default();
        let starved_for = |now| progress.starved_for(now).as_nanos();
        assert_eq!((starved_for(0), starved_for(7)), (0, 7));
        progress.acquired(9);
        assert_eq!((starved_for(20), starved_for(25)), (0, 5));
    }
}
