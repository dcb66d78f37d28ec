//! Tracks whether calls obtain connections, and which calls an outage has left without an answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::breaker::clock::nanos;

/// The progress of the calls of a gate. Times are in nanoseconds on the breaker's clock.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The time at which a call last obtained a connection, plus one; 0 is never.
    last_acquired: AtomicU64,
    /// The time of the first call that obtained no connection since then, plus one. Only the times
    /// after `last_acquired` count.
    starved_since: AtomicU64,
    /// The time at which the backend last recovered.
    well_since: AtomicU64,
    /// The duration of the longest call that ended, of the long-running ones.
    longest: AtomicU64,
    /// Wakes the calls that wait in [`lost`](Self::lost).
    given_up: Notify,
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

    /// Whether no call has obtained a connection since the backend recovered.
    pub(crate) fn is_stuck(&self) -> bool {
        let well_since = self.well_since.load(Ordering::Acquire);
        self.last_acquired.load(Ordering::Acquire) <= well_since
    }

    /// Records the duration of a long-running call that ended.
    pub(crate) fn ended(&self, took: Duration) {
        self.longest.fetch_max(nanos(took), Ordering::AcqRel);
    }

    /// Wakes the waiting calls in [`lost`](Self::lost), which decide whether they are lost.
    pub(crate) fn give_up_lost(&self) {
        self.given_up.notify_waiters();
    }

    /// Waits until [`give_up_lost`](Self::give_up_lost) finds this call lost: it began before the
    /// backend recovered, and has run more than twice as long as the longest call that ended.
    /// `began` and `start` are the same moment, on the breaker's clock and on the runtime's.
    pub(crate) async fn lost(&self, began: u64, start: Instant) {
        loop {
            self.given_up.notified().await;
            let limit = self.longest.load(Ordering::Acquire).saturating_mul(2);
            if began < self.well_since.load(Ordering::Acquire) && nanos(start.elapsed()) > limit {
                return;
            }
        }
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
