//! Counts of calls, faults and slow calls that many threads add to.

use super::sync::{AtomicU32, AtomicU64, Ordering};

/// What one call adds to a tally.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) fault: bool,
    pub(super) slow: bool,
}

/// The counts of a tally at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u32,
    pub(super) faults: u32,
    pub(super) slow: u32,
}

impl Counts {
    pub(super) fn failure_rate(self) -> f64 {
        part(self.faults, self.calls)
    }

    pub(super) fn slow_rate(self) -> f64 {
        part(self.slow, self.calls)
    }

    pub(super) fn add(&mut self, outcome: Outcome) {
        self.calls += 1;
        self.faults += u32::from(outcome.fault);
        self.slow += u32::from(outcome.slow);
    }
}

fn part(some: u32, of: u32) -> f64 {
    if of == 0 {
        return 0.0;
    }
    f64::from(some) / f64::from(of)
}

/// Calls and faults share a word, so that the common call costs one addition and the two are
/// always read together; few calls are slow.
#[derive(Debug)]
pub(super) struct Tally {
    calls_and_faults: AtomicU64,
    slow: AtomicU32,
}

const CALL: u64 = 1 << 32;

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            calls_and_faults: AtomicU64::new(0),
            slow: AtomicU32::new(0),
        }
    }

    /// Adds a call, and takes `expired` calls away; returns the counts after that.
    pub(super) fn record(&self, outcome: Outcome, expired: Counts) -> Counts {
        let plus = CALL + u64::from(outcome.fault);
        let minus = u64::from(expired.calls) * CALL + u64::from(expired.faults);
        let delta = plus.wrapping_sub(minus);
        let packed = match delta {
            0 => self.calls_and_faults.load(Ordering::Acquire),
            _ => self
                .calls_and_faults
                .fetch_add(delta, Ordering::AcqRel)
                .wrapping_add(delta),
        };
        let delta = u32::from(outcome.slow).wrapping_sub(expired.slow);
        let slow = match delta {
            0 => self.slow.load(Ordering::Acquire),
            _ => self
                .slow
                .fetch_add(delta, Ordering::AcqRel)
                .wrapping_add(delta),
        };
        unpack(packed, slow)
    }

    pub(super) fn subtract(&self, counts: Counts) {
        let packed = u64::from(counts.calls) * CALL + u64::from(counts.faults);
        self.calls_and_faults.fetch_sub(packed, Ordering::AcqRel);
        self.slow.fetch_sub(counts.slow, Ordering::AcqRel);
    }

    pub(super) fn take(&self) -> Counts {
        let packed = self.calls_and_faults.swap(0, Ordering::AcqRel);
        unpack(packed, self.slow.swap(0, Ordering::AcqRel))
    }

    pub(super) fn counts(&self) -> Counts {
        let packed = self.calls_and_faults.load(Ordering::Acquire);
        unpack(packed, self.slow.load(Ordering::Acquire))
    }
}

#[allow(clippy::cast_possible_truncation)] // the two halves of the word
fn unpack(packed: u64, slow: u32) -> Counts {
    Counts {
        calls: (packed >> 32) as u32,
        faults: packed as u32,
        slow,
    }
}
