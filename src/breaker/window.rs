//! The window over which the rates are computed: the last N calls, or the calls of the last
//! duration.

use super::clock::nanos;
use super::settings::{Shape, Window};
use super::sync::{AtomicU8, AtomicU64, Mutex, Ordering};
use super::tally::{Counts, Outcome, Tally};

/// A sliding window, shared by many threads. Most calls are recorded without a lock.
#[derive(Debug)]
pub(super) enum Recent {
    Calls(CallWindow),
    Span(TimeWindow),
}

impl Recent {
    pub(super) fn new(window: Window, now: u64) -> Self {
        match window.0 {
            Shape::Calls(n) => Self::Calls(CallWindow::new(n)),
            Shape::Span { length, buckets } => {
                let width = nanos(length).div_ceil(u64::from(buckets)).max(1);
                Self::Span(TimeWindow::new(width, buckets, now))
            }
        }
    }

    /// Records a call that ended at `now`; returns the counts including it.
    pub(super) fn record(&self, now: u64, outcome: Outcome) -> Counts {
        match self {
            Self::Calls(window) => window.record(outcome),
            Self::Span(window) => window.record(now, outcome),
        }
    }

    pub(super) fn counts(&self, now: u64) -> Counts {
        match self {
            Self::Calls(window) => window.total.counts(),
            Self::Span(window) => window.counts(now),
        }
    }
}

/// The last N calls, one byte each.
#[derive(Debug)]
pub(super) struct CallWindow {
    cells: Box<[AtomicU8]>,
    next: AtomicU64,
    total: Tally,
}

const PRESENT: u8 = 1;
const FAILURE: u8 = 2;
const SLOW: u8 = 4;

impl CallWindow {
    fn new(calls: u32) -> Self {
        Self {
            cells: (0..calls).map(|_| AtomicU8::new(0)).collect(),
            next: AtomicU64::new(0),
            total: Tally::new(),
        }
    }

    fn record(&self, outcome: Outcome) -> Counts {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let cell = &self.cells[(turn % self.cells.len() as u64) as usize];
        let bits = bits(outcome);
        // Most calls replace a call with the same outcome, which changes nothing.
        if cell.load(Ordering::Acquire) == bits {
            return self.total.counts();
        }
        // Add to the total before the cell: a thread that replaces the cell must not subtract what
        // is not yet added. A total below zero wraps to a huge one, and would trip the breaker.
        self.total.add(outcome);
        self.total
            .subtract(counts(cell.swap(bits, Ordering::AcqRel)));
        self.total.counts()
    }
}

fn bits(outcome: Outcome) -> u8 {
    let Outcome { failure, slow } = outcome;
    PRESENT | if failure { FAILURE } else { 0 } | if slow { SLOW } else { 0 }
}

fn counts(bits: u8) -> Counts {
    Counts {
        calls: u32::from(bits & PRESENT != 0),
        failures: u32::from(bits & FAILURE != 0),
        slow: u32::from(bits & SLOW != 0),
    }
}

/// The calls of the last duration, in buckets of equal width.
///
/// `head` is the absolute number of the newest bucket; the ring holds it and those before it.
/// Moving the head takes a lock, once per bucket. The size of the ring is a power of two, because a
/// division for each call would be dear.
#[derive(Debug)]
pub(super) struct TimeWindow {
    width: u64,
    buckets: u64,
    ring: Box<[Tally]>,
    head: AtomicU64,
    moving: Mutex<()>,
    total: Tally,
}

impl TimeWindow {
    fn new(width: u64, buckets: u32, now: u64) -> Self {
        Self {
            width,
            buckets: u64::from(buckets),
            ring: (0..buckets.next_power_of_two())
                .map(|_| Tally::new())
                .collect(),
            head: AtomicU64::new(now / width),
            moving: Mutex::new(()),
            total: Tally::new(),
        }
    }

    fn record(&self, now: u64, outcome: Outcome) -> Counts {
        // A thread with an older reading of the clock records into the newest bucket.
        let head = self.head(now);
        // Add to the total first, so that it never holds less than the buckets.
        let counts = self.total.add(outcome);
        self.bucket(head).add(outcome);
        counts
    }

    fn counts(&self, now: u64) -> Counts {
        self.head(now);
        self.total.counts()
    }

    fn bucket(&self, number: u64) -> &Tally {
        &self.ring[number as usize & (self.ring.len() - 1)]
    }

    /// The number of the newest bucket, after the head has moved to the bucket of `now`.
    fn head(&self, now: u64) -> u64 {
        let head = self.head.load(Ordering::Acquire);
        match now < head.saturating_add(1).saturating_mul(self.width) {
            true => head,
            false => self.move_head(now / self.width),
        }
    }

    /// Expires the buckets that have left the window by bucket number `to`; returns the number of
    /// the newest bucket.
    ///
    /// A thread that read the head long before it moved may add to a bucket that was just emptied.
    /// Its call then leaves the window with the next use of that bucket, so the total is always the
    /// sum of the buckets.
    #[cold]
    fn move_head(&self, to: u64) -> u64 {
        let _moving = self.moving.lock();
        let head = self.head.load(Ordering::Acquire);
        if to <= head {
            return head;
        }
        // The oldest bucket is `buckets - 1` before the head.
        let expired = (to - head).min(self.buckets);
        for number in 0..expired {
            let oldest = (head + 1 + number).wrapping_sub(self.buckets);
            self.total.subtract(self.bucket(oldest).take());
        }
        self.head.store(to, Ordering::Release);
        to
    }
}
