//! Tracks the running calls, so that a call counts as slow when it reaches the threshold and not
//! when it ends. A backend that hangs ends no call.

use std::time::Duration;

use super::clock::nanos;
use super::sync::{AtomicU64, Ordering};

/// The number of slots that make up the slow-call threshold; loom can explore only a few.
pub(super) const STEPS: u64 = if cfg!(all(test, fusepool_loom)) {
    2
} else {
    64
};
/// The number of slots in the ring: those of the threshold, and as many for calls not yet swept.
const RING: u64 = 2 * STEPS;

const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const NUMBER_MASK: u64 = u64::MAX >> COUNT_BITS;

/// The running calls by the time slot in which they started. Each slot is one word: the absolute
/// number of the slot, and how many of its calls are running. A sweep atomically replaces the word
/// by that of the slot one lap later. So either the sweep or the end of the call counts the call,
/// and never both.
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
    pub(super) fn new(slow_call_threshold: Duration, now: u64) -> Self {
        let width = nanos(slow_call_threshold).div_ceil(STEPS).max(1);
        let swept = due(now, width);
        let (lap, index) = (swept / RING, swept % RING);
        let first_unswept = |at| (lap + u64::from(at < index)) * RING + at;
        Self {
            width,
            ring: (0..RING)
                .map(|at| AtomicU64::new(empty(first_unswept(at))))
                .collect(),
            swept: AtomicU64::new(swept),
        }
    }

    /// Starts a call. [`sweep`](Self::sweep) must come first, with the same `now`; otherwise the
    /// call may not be tracked, which is `None`.
    pub(super) fn start(&self, now: u64) -> Option<Started> {
        let swept = self.swept.load(Ordering::Acquire);
        // Rounded up, so that no call counts as slow too early. Most often it is the first slot after
        // those that were due, so that no division is necessary.
        let next = swept + STEPS;
        let left = next.saturating_mul(self.width).checked_sub(now);
        let mut number = match left.is_some_and(|left| left < self.width) {
            true => next,
            false => now.div_ceil(self.width).max(swept),
        };
        loop {
            match self.update(number, |word| word + 1) {
                Ok(_) => return Some(Started(number)),
                // Another thread, with a later reading of the clock, has just swept this slot.
                Err(word) if is_later(word >> COUNT_BITS, number) => {
                    number = (number + 1).max(self.swept.load(Ordering::Acquire));
                }
                Err(_) => return None,
            }
        }
    }

    /// Ends a call. `false` if a sweep has counted it as slow.
    pub(super) fn finish(&self, started: Started) -> bool {
        self.update(started.0, |word| word - 1).is_ok()
    }

    /// Whether any call is running that was not swept.
    pub(super) fn is_any(&self) -> bool {
        let running = |word: &AtomicU64| word.load(Ordering::Acquire) & COUNT_MASK > 0;
        self.ring.iter().any(running)
    }

    /// Changes the word of slot `number`; `Err` if the word belongs to another slot.
    fn update(&self, number: u64, change: impl Fn(u64) -> u64) -> Result<u64, u64> {
        let own = empty(number) >> COUNT_BITS;
        self.word(number)
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (word >> COUNT_BITS == own).then(|| change(word))
            })
    }

    /// Whether the next slot is due, so that [`sweep`](Self::sweep) has something to do.
    #[inline]
    pub(super) fn is_due(&self, now: u64) -> bool {
        let next = self.swept.load(Ordering::Acquire) + STEPS;
        now >= next.saturating_mul(self.width)
    }

    /// Removes the calls that have reached the threshold by `now`; returns their number.
    pub(super) fn sweep(&self, now: u64) -> u32 {
        let swept = self.swept.load(Ordering::Acquire);
        let due = due(now, self.width);
        // One lap covers every slot, however long ago the last sweep was.
        let overdue = (swept.max(due.saturating_sub(RING))..due)
            .map(|number| self.take(number))
            .sum();
        // Last, so that a call never starts in a slot that is still to be swept.
        self.swept.fetch_max(due, Ordering::AcqRel);
        overdue
    }

    /// Moves the word of slot `number` on by one lap; returns how many calls of it were running.
    fn take(&self, number: u64) -> u32 {
        let taken = self
            .word(number)
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (!is_later(word >> COUNT_BITS, number)).then(|| empty(number + RING))
            });
        // If the word has moved on, another thread has counted these calls.
        taken.map_or(0, |word| {
            u32::try_from(word & COUNT_MASK).unwrap_or(u32::MAX)
        })
    }

    fn word(&self, number: u64) -> &AtomicU64 {
        &self.ring[(number % RING) as usize]
    }
}

/// The first slot whose calls have not reached the threshold by `now`. Calls of slot `s` started at
/// `s` widths or before, and the threshold is `STEPS` widths.
fn due(now: u64, width: u64) -> u64 {
    (now / width + 1).saturating_sub(STEPS)
}

/// The word of slot `number` without calls.
fn empty(number: u64) -> u64 {
    number << COUNT_BITS
}

/// Whether the slot of a word comes after slot `number`. A word holds only the low bits of its
/// number.
fn is_later(slot: u64, number: u64) -> bool {
    let ahead = slot.wrapping_sub(number) & NUMBER_MASK;
    ahead != 0 && ahead <= NUMBER_MASK / 2
}
