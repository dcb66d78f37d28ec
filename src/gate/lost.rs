//! Whether anybody gets a connection, and whose answer an outage has lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::breaker::clock::nanos;

/// Moments are in nanoseconds on the breaker's clock.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// When somebody last got a connection, plus one: 0 is never.
    last_acquired: AtomicU64,
    /// When the backend last became well again.
    well_since: AtomicU64,
    /// How long the longest call took of those that ended and were not quick.
    longest: AtomicU64,
    /// Wakes those who wait in [`lost`](Self::lost).
    given_up: Notify,
}

impl Progress {
    /// Somebody got a connection.
    pub(crate) fn acquired(&self, now: u64) {
        let mark = now.saturating_add(1);
        // Reading first spares a write that other cores contend for, as this clock moves in steps.
        if self.last_acquired.load(Ordering::Acquire) != mark {
            self.last_acquired.store(mark, Ordering::Release);
        }
    }

    /// Somebody got a connection within `limit` before `now`.
    pub(crate) fn acquired_within(&self, limit: Duration, now: u64) -> bool {
        // Not since the start: a server without a free slot says so at once.
        let recently = now.saturating_sub(nanos(limit));
        self.last_acquired.load(Ordering::Acquire) > recently
    }

    /// The backend has answered for the first time after an outage.
    pub(crate) fn well_again(&self, now: u64) {
        self.well_since.store(now, Ordering::Release);
    }

    /// Nobody got a connection since the backend is well again.
    pub(crate) fn is_stuck(&self) -> bool {
        let well_since = self.well_since.load(Ordering::Acquire);
        self.last_acquired.load(Ordering::Acquire) <= well_since
    }

    /// A call ended that was not quick.
    pub(crate) fn ended(&self, took: Duration) {
        self.longest.fetch_max(nanos(took), Ordering::AcqRel);
    }

    /// Takes the calls for lost that began before the backend became well again, and have run far
    /// longer than any that ended.
    pub(crate) fn give_up_lost(&self) {
        self.given_up.notify_waiters();
    }

    /// Waits until a call is taken for lost that began at `began`, which was at `start`.
    pub(crate) async fn lost(&self, began: u64, start: Instant) {
        loop {
            self.given_up.notified().await;
            let far_longer = self.longest.load(Ordering::Acquire).saturating_mul(2);
            if began < self.well_since.load(Ordering::Acquire)
                && nanos(start.elapsed()) > far_longer
            {
                return;
            }
        }
    }
}
