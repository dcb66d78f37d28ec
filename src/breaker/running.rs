//! Which calls are still running, so that one counts as slow when it reaches the bound and not
//! when it ends: a hung backend ends nothing.

use std::time::Duration;

use super::sync::{AtomicU64, Ordering};
use crate::time::nanos;

/// Slots that make up the slow-call bound.
const STEPS: u64 = 64;
/// Slots in the ring: those of the bound, and as many again for calls not yet swept.
const RING: u64 = 2 * STEPS;

const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// Calls by the time slot they started in. Each slot is one word, the slot's absolute number and
/// how many calls of it are running; taking the number away is what settles, once, whether the
/// sweep or the call itself counts the call.
#[derive(Debug)]
pub(super) struct Running {
    width: u64,
    ring: Box<[AtomicU64]>,
    /// All slots below this number have been swept.
    swept: AtomicU64,
}

/// The slot in which a call started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Started(u64);

impl Running {
    pub(super) fn new(slow_call: Duration, now: u64) -> Self {
        let width = nanos(slow_call).div_ceil(STEPS).max(1);
        Self {
            width,
            ring: (0..RING).map(|_| AtomicU64::new(0)).collect(),
            swept: AtomicU64::new((now / width + 1).saturating_sub(STEPS)),
        }
    }

    /// A call starts. [`sweep`](Self::sweep) has to come first, with the same `now`.
    pub(super) fn start(&self, now: u64) -> Started {
        // Rounded up, so that no call is ever taken for slow too early.
        let number = now
            .div_ceil(self.width)
            .max(self.swept.load(Ordering::Acquire));
        let word = self.word(number);
        let mut current = word.load(Ordering::Acquire);
        loop {
            let next = if current >> COUNT_BITS == tag(number) {
                current + 1
            } else {
                tag(number) << COUNT_BITS | 1
            };
            match word.compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Started(number),
                Err(seen) => current = seen,
            }
        }
    }

    /// A call ends. False if a sweep has already counted it as slow.
    pub(super) fn finish(&self, started: Started) -> bool {
        let word = self.word(started.0);
        let mut current = word.load(Ordering::Acquire);
        loop {
            if current >> COUNT_BITS != tag(started.0) || current & COUNT_MASK == 0 {
                return false;
            }
            let next = current - 1;
            match word.compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(seen) => current = seen,
            }
        }
    }

    /// Takes out the calls that have reached the bound by `now`, and says how many they are.
    pub(super) fn sweep(&self, now: u64) -> u32 {
        // Calls of slot `s` started at `s` widths or before, and the bound is `STEPS` widths.
        let Some(due) = (now / self.width + 1).checked_sub(STEPS) else {
            return 0;
        };
        let swept = self.swept.load(Ordering::Acquire);
        if due <= swept {
            return 0;
        }
        let claim = (self.swept).compare_exchange(swept, due, Ordering::AcqRel, Ordering::Acquire);
        if claim.is_err() {
            return 0; // another thread sweeps
        }
        // Nothing starts further ahead of the last sweep than the ring is long.
        (swept..due.min(swept + RING))
            .map(|number| self.take(number))
            .sum()
    }

    fn take(&self, number: u64) -> u32 {
        let word = self.word(number);
        let current = word.load(Ordering::Acquire);
        if current >> COUNT_BITS != tag(number) {
            return 0;
        }
        u32::try_from(word.swap(0, Ordering::AcqRel) & COUNT_MASK).unwrap_or(u32::MAX)
    }

    fn word(&self, number: u64) -> &AtomicU64 {
        &self.ring[(number % RING) as usize]
    }
}

/// A slot's number as it stands in a word; never 0, which is an empty word.
fn tag(number: u64) -> u64 {
    (number + 1) & (u64::MAX >> COUNT_BITS)
}
