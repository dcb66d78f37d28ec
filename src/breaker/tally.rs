//! Counts of calls, failures and slow calls, shared by many threads.

use super::sync::{AtomicU32, AtomicU64, Ordering};
use super::verdict::Verdict;

/// The contribution of one call to the counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) failure: bool,
    pub(super) slow: bool,
}

impl Outcome {
    /// The outcome that a call adds to the counts when it ends; `None` if it adds nothing. A call that
    /// reached the slow-call threshold is slow and not a failure, as if a sweep had counted it while
    /// it ran.
    pub(super) fn of(verdict: Verdict, slow: bool) -> Option<Self> {
        match verdict {
            Verdict::Ignored if !slow => None,
            verdict => Some(Self {
                failure: verdict == Verdict::Failure && !slow,
                slow,
            }),
        }
    }
}

/// The counts of a tally at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u32,
    pub(super) failures: u32,
    pub(super) slow: u32,
}

impl Counts {
    pub(super) fn failure_rate(self) -> f64 {
        ratio(self.failures, self.calls)
    }

    pub(super) fn slow_call_rate(self) -> f64 {
        ratio(self.slow, self.calls)
    }

    pub(super) fn add(&mut self, outcome: Outcome) {
        self.calls += 1;
        self.failures += u32::from(outcome.failure);
        self.slow += u32::from(outcome.slow);
    }
}

fn ratio(some: u32, of: u32) -> f64 {
    if of == 0 {
        return 0.0;
    }
    f64::from(some) / f64::from(of)
}

/// Atomic [`Counts`]. Calls and failures share one word: a call that is not slow costs one
/// addition, and both are read together. Slow calls are in a word of their own. While other threads
/// add, it may be ahead of the calls or behind them; what is returned never has more slow calls
/// than calls.
#[derive(Debug)]
pub(super) struct Tally {
    calls_and_failures: AtomicU64,
    slow: AtomicU32,
}

const CALL: u64 = 1 << 32;

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            calls_and_failures: AtomicU64::new(0),
            slow: AtomicU32::new(0),
        }
    }

    /// Adds a call; returns the counts including it.
    pub(super) fn add(&self, outcome: Outcome) -> Counts {
        let call = CALL + u64::from(outcome.failure);
        let before = self.calls_and_failures.fetch_add(call, Ordering::AcqRel);
        let slow = if outcome.slow {
            self.slow.fetch_add(1, Ordering::AcqRel) + 1
        } else {
            self.slow.load(Ordering::Acquire)
        };
        clamped(before + call, slow)
    }

    /// Subtracts calls that were added before.
    pub(super) fn subtract(&self, counts: Counts) {
        let calls = u64::from(counts.calls) * CALL + u64::from(counts.failures);
        if calls != 0 {
            self.calls_and_failures.fetch_sub(calls, Ordering::AcqRel);
        }
        if counts.slow != 0 {
            self.slow.fetch_sub(counts.slow, Ordering::AcqRel);
        }
    }

    /// Resets the counts to zero; returns the previous ones.
    pub(super) fn take(&self) -> Counts {
        let calls = self.calls_and_failures.swap(0, Ordering::AcqRel);
        unpack(calls, self.slow.swap(0, Ordering::AcqRel))
    }

    pub(super) fn counts(&self) -> Counts {
        let calls = self.calls_and_failures.load(Ordering::Acquire);
        clamped(calls, self.slow.load(Ordering::Acquire))
    }
}

fn clamped(calls_and_failures: u64, slow: u32) -> Counts {
    let counts = unpack(calls_and_failures, slow);
    Counts {
        slow: slow.min(counts.calls),
        ..counts
    }
}

/// The counts in the two halves of the word.
fn unpack(calls_and_failures: u64, slow: u32) -> Counts {
    Counts {
        calls: (calls_and_failures >> 32) as u32,
        failures: calls_and_failures as u32,
        slow,
    }
}
