//! Whether anybody is answered while calls are wanted: a database that hangs ends nothing, and
//! callers with timeouts of their own leave before anything else could be counted.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The calls of one generation that wait for an answer, or were given up without one.
#[derive(Debug)]
pub(super) struct Demand {
    /// When a call was last answered, or else when the generation began.
    last_answer: AtomicU64,
    unanswered: Mutex<Unanswered>,
    /// Calls that have been running for a while. Those with a deadline of their own may take long, and
    /// are no demand.
    running: AtomicU32,
}

/// What was seen since an answer.
#[derive(Clone, Copy, Debug)]
struct Unanswered {
    answer: u64,
    /// When the earliest call began, or the answer came, whichever is later.
    since: u64,
    given_up: u32,
}

/// Calls, and how long none of them was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stall {
    pub(super) since: u64,
    pub(super) calls: u32,
}

impl Demand {
    pub(super) fn new(now: u64) -> Self {
        Self {
            last_answer: AtomicU64::new(now),
            unanswered: Mutex::new(Unanswered {
                answer: now,
                since: u64::MAX,
                given_up: 0,
            }),
            running: AtomicU32::new(0),
        }
    }

    /// A call was answered.
    pub(super) fn answered(&self, now: u64) {
        // Reading first spares a write that other cores contend for, as the clock moves in steps.
        if self.last_answer.load(Ordering::Acquire) < now {
            self.last_answer.fetch_max(now, Ordering::AcqRel);
        }
    }

    /// A call that began at `started` has no answer yet, or was given up without one.
    pub(super) fn unanswered(&self, started: u64, given_up: bool) -> Stall {
        let answer = self.last_answer.load(Ordering::Acquire);
        let mut seen = (self.unanswered.lock()).unwrap_or_else(PoisonError::into_inner);
        if seen.answer < answer {
            *seen = Unanswered {
                answer,
                since: u64::MAX,
                given_up: 0,
            };
        }
        seen.since = seen.since.min(started.max(seen.answer));
        seen.given_up = seen.given_up.saturating_add(u32::from(given_up));
        Stall {
            since: seen.since,
            calls: (seen.given_up).saturating_add(self.running.load(Ordering::Acquire)),
        }
    }

    /// No call has been running for a while.
    pub(super) fn is_quick(&self) -> bool {
        self.running.load(Ordering::Acquire) == 0
    }

    /// A call has been running for a while, and still is while the guard lives.
    pub(super) fn running(self: &Arc<Self>) -> LongRunning {
        self.running.fetch_add(1, Ordering::AcqRel);
        LongRunning(Arc::clone(self))
    }
}

/// A call that has been running for a while.
#[derive(Debug)]
pub(crate) struct LongRunning(Arc<Demand>);

impl Drop for LongRunning {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}
