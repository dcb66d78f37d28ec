//! The rules that open a breaker, and the open duration.

use std::time::Duration;

use super::clock::nanos;
use super::settings::{DEFAULT_CONSECUTIVE_FAILURES, Settings};
use super::state::Reason;
use super::tally::Counts;

/// A backend that answers pings may leave callers without an answer for this many times
/// `stall_after`. Its disk may hang.
const ALIVE_PATIENCE: u64 = 5;

impl Settings {
    /// The rule that opens a closed breaker with these counts, if any.
    pub(super) fn tripped(&self, counts: Counts, streak: u32) -> Option<Reason> {
        if self
            .consecutive_failures
            .is_some_and(|limit| streak >= limit)
        {
            return Some(Reason::ConsecutiveFailures);
        }
        // Most calls succeed, and need no division.
        if counts.calls < self.minimum_calls || counts.failures + counts.slow == 0 {
            return None;
        }
        if self
            .failure_rate
            .is_some_and(|limit| counts.failure_rate() >= limit)
        {
            return Some(Reason::FailureRate);
        }
        if self
            .slow_call_rate
            .is_some_and(|limit| counts.slow_call_rate() >= limit)
        {
            return Some(Reason::SlowRate);
        }
        None
    }

    /// Whether a batch of `size` has failed, whatever the rest of it does. Without a failure rate there
    /// is no measure for a small batch, so one failure fails it.
    pub(super) fn batch_failed(&self, counts: Counts, size: u32) -> bool {
        let at_end = |some: u32| f64::from(some) / f64::from(size);
        match self.failure_rate {
            Some(limit) if at_end(counts.failures) >= limit => return true,
            None if counts.failures > 0 => return true,
            _ => {}
        }
        self.slow_call_rate
            .is_some_and(|limit| at_end(counts.slow) >= limit)
    }

    /// Whether a batch of `size` has succeeded, whatever the rest of it does. So it does not wait for
    /// its slowest probe.
    pub(super) fn batch_succeeded(&self, counts: Counts, size: u32) -> bool {
        let rest = size.saturating_sub(counts.calls);
        let at_worst = Counts {
            calls: size,
            failures: counts.failures + rest,
            slow: counts.slow + rest,
        };
        rest == 0 || !self.batch_failed(at_worst, size)
    }

    /// The slow-call threshold in nanoseconds; `None` if slow calls do not count.
    pub(super) fn slow_threshold(&self) -> Option<u64> {
        let threshold = self.slow_call.threshold()?;
        self.slow_call_rate.map(|_| nanos(threshold))
    }

    /// Whether a call that took `elapsed` nanoseconds counts as slow.
    pub(super) fn is_slow(&self, elapsed: u64) -> bool {
        self.slow_threshold().is_some_and(|bound| elapsed >= bound)
    }

    /// Whether it is a stall that `calls` have been pending for `elapsed` nanoseconds without a
    /// success, and that the backend has been silent for `silent`. One call alone is not: it may be a
    /// long statement.
    pub(super) fn is_stall(&self, elapsed: u64, silent: u64, calls: u32) -> bool {
        let least = (self.consecutive_failures).unwrap_or(DEFAULT_CONSECUTIVE_FAILURES);
        let is_long = |bound| {
            let bound = nanos(bound);
            silent >= bound || elapsed >= bound.saturating_mul(ALIVE_PATIENCE)
        };
        calls >= least.max(2) && self.stall_after().is_some_and(is_long)
    }

    /// Whether a stall is near: half of its duration is over.
    pub(super) fn is_stalling(&self, silent: u64, calls: u32) -> bool {
        let silent = silent.saturating_mul(2);
        self.is_stall(silent, silent, calls)
    }

    /// The open duration after `attempt` failed ones. `random` is in [0, 1) and sets the jitter.
    pub(super) fn next_open_duration(&self, attempt: u32, random: f64) -> Duration {
        let growth = self
            .open_duration_multiplier
            .powi(attempt.min(1_000).cast_signed());
        let seconds =
            (self.open_duration.as_secs_f64() * growth).min(self.max_open_duration.as_secs_f64());
        self.jittered(Duration::from_secs_f64(seconds), random)
    }

    /// A duration with jitter. `random` is in [0, 1).
    pub(super) fn jittered(&self, duration: Duration, random: f64) -> Duration {
        duration.mul_f64(1.0 + self.jitter * (2.0 * random - 1.0))
    }
}
