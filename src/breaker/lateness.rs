//! Takes the time out in which the process itself stood still.
//!
//! A throttled container, a suspended machine, or a handler that computes for a second without an
//! await delays every answer of a healthy database. The gate reads the clock at least each
//! [`BEAT`] while a call is in progress. So if calls are in progress and nobody has read the clock for
//! longer than that, it is the process that is late, and not the database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::clock::nanos;

/// The longest time between two readings of the clock while a call is in progress.
pub(crate) const BEAT: Duration = Duration::from_millis(250);
/// A longer time is lateness. Timers are not exact.
const LATE: u64 = 400 * 1_000_000;

/// The time that the process lost. Times are in nanoseconds.
#[derive(Debug)]
pub(super) struct Lateness {
    /// A longer time between two readings may be lateness. `u64::MAX`: nobody reads at intervals.
    patience: AtomicU64,
    last_reading: AtomicU64,
    lost: AtomicU64,
    /// The time, without what was lost, at which the process was late last, plus one; 0 is never.
    last_late: AtomicU64,
    deciding: Mutex<()>,
}

impl Lateness {
    pub(super) fn new() -> Self {
        Self {
            patience: AtomicU64::new(u64::MAX),
            last_reading: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            last_late: AtomicU64::new(0),
            deciding: Mutex::new(()),
        }
    }

    /// Starts to watch: from now on, the clock is read at each [`BEAT`].
    pub(super) fn watch(&self) {
        self.patience.store(LATE, Ordering::Release);
    }

    /// The time on a clock that stands still together with the process. `reading`: the actual one.
    pub(super) fn without_lost(&self, reading: u64, is_in_progress: impl FnOnce() -> bool) -> u64 {
        let last = self.last_reading.load(Ordering::Acquire);
        let since = reading.saturating_sub(last);
        if since > self.patience.load(Ordering::Relaxed) {
            self.decide(reading, is_in_progress);
        } else if since > 0 {
            // The clock moves in steps, so that most readings write nothing that other cores
            // contend for. Of two threads, either may store its reading: they are close.
            self.last_reading.store(reading, Ordering::Release);
        }
        reading.saturating_sub(self.lost.load(Ordering::Acquire))
    }

    #[cold]
    fn decide(&self, reading: u64, is_in_progress: impl FnOnce() -> bool) {
        let _decides = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been first.
        let since = reading.saturating_sub(self.last_reading.load(Ordering::Acquire));
        if since > LATE && is_in_progress() {
            let lost = self.lost.load(Ordering::Acquire) + since - nanos(BEAT);
            self.lost.store(lost, Ordering::Release);
            let now = reading.saturating_sub(lost);
            self.last_late.store(now + 1, Ordering::Release);
        }
        self.last_reading.fetch_max(reading, Ordering::AcqRel);
    }

    /// Whether the process was late within `limit` before `now`.
    pub(super) fn was_late_within(&self, limit: u64, now: u64) -> bool {
        self.last_late.load(Ordering::Acquire) > now.saturating_sub(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_gap_between_readings_is_lost_only_while_calls_are_in_progress() {
        let lateness = Lateness::new();
        assert_eq!(lateness.without_lost(5_000 * MS, || true), 5_000 * MS);
        lateness.watch();
        assert_eq!(lateness.without_lost(7_000 * MS, || false), 7_000 * MS);
        assert_eq!(lateness.without_lost(7_400 * MS, || true), 7_400 * MS);
        assert!(!lateness.was_late_within(u64::MAX, 7_400 * MS));
        // 1.2 seconds, of which a quarter may have passed between two beats.
        assert_eq!(lateness.without_lost(8_600 * MS, || true), 7_650 * MS);
        assert!(lateness.was_late_within(10 * MS, 7_650 * MS));
        assert!(!lateness.was_late_within(10 * MS, 7_700 * MS));
        assert_eq!(lateness.without_lost(8_700 * MS, || true), 7_750 * MS);
    }
}
