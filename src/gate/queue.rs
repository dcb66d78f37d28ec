//! The queue for a connection, which is bounded by the time that it takes.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::breaker::clock::nanos;

/// A rate of service is known only after this time: the first connections of a burst may have to be
/// opened first.
const MEASURED_AFTER: Duration = Duration::from_millis(100);

/// The rate at which the callers in a queue obtained connections, since the queue was last empty.
///
/// A full queue is no reason to refuse a caller: a burst may be over in a few milliseconds. A caller
/// is refused if, at the recent rate, its connection would come after its deadline. (Compare the
/// standing queue of CoDel, RFC 8289.) Threads that race may lose a count, which the next
/// measurement corrects.
#[derive(Debug, Default)]
pub(crate) struct Service {
    since: AtomicU64,
    served: AtomicU32,
}

impl Service {
    /// Starts to measure, because a caller is the first in the queue.
    pub(super) fn begin(&self, now: u64) {
        self.since.store(now, Ordering::Release);
        self.served.store(0, Ordering::Release);
    }

    /// Records that a caller in the queue obtained its connection.
    pub(super) fn served(&self) {
        self.served.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a caller with `ahead` others ahead would wait for longer than `limit`. `false` if that
    /// is unknown.
    pub(super) fn exceeds(&self, limit: Duration, ahead: u32, now: u64) -> bool {
        let since = self.since.load(Ordering::Acquire);
        let served = self.served.load(Ordering::Acquire);
        let (elapsed, limit) = (now.saturating_sub(since), nanos(limit));
        if elapsed < nanos(MEASURED_AFTER) || served == 0 {
            return false;
        }
        if elapsed > limit {
            // Older services count less and less.
            self.since.store(now - elapsed / 2, Ordering::Release);
            self.served.store(served / 2, Ordering::Release);
        }
        let wait = u128::from(elapsed) * u128::from(ahead) / u128::from(served);
        wait > u128::from(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(2);

    fn ms(millis: u64) -> u64 {
        millis * 1_000_000
    }

    #[test]
    fn a_wait_within_the_limit_is_accepted_however_long_the_queue_is() {
        let service = Service::default();
        service.begin(0);
        assert!(!service.exceeds(LIMIT, 5_000, ms(50)), "unknown yet");
        (0..400).for_each(|_| service.served()); // 2,000 a second
        assert!(!service.exceeds(LIMIT, 4_000, ms(200)));
        assert!(service.exceeds(LIMIT, 4_001, ms(200)));
    }

    #[test]
    fn a_queue_that_does_not_move_is_of_unknown_length() {
        let service = Service::default();
        service.begin(0);
        assert!(!service.exceeds(LIMIT, 5_000, ms(1_500)));
    }

    #[test]
    fn the_recent_rate_counts_most() {
        let service = Service::default();
        service.begin(0);
        (0..2_000).for_each(|_| service.served());
        let mut refused_after = None;
        // Since then, 10 a second: the 100th caller in the queue waits for 10 seconds.
        for second in 2..60 {
            (0..10).for_each(|_| service.served());
            if service.exceeds(LIMIT, 100, ms(second * 1_000)) {
                refused_after.get_or_insert(second);
            }
        }
        assert!(
            refused_after.is_some_and(|seconds| seconds < 15),
            "{refused_after:?}"
        );
    }
}
