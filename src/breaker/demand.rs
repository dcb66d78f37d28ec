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
    /// Calls that have been running for a while.
    running: AtomicU32,
    /// Such calls with a deadline of their own: they may take long, and are no demand.
    patient: AtomicU32,
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
            patient: AtomicU32::new(0),
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

    /// Only calls with deadlines of their own are under way: who waits for their connections meets a
    /// pool that is too small.
    pub(super) fn is_patient(&self) -> bool {
        self.patient.load(Ordering::Acquire) > 0 && self.running.load(Ordering::Acquire) == 0
    }

    /// A call has been running for a while, and still is while the guard lives.
    pub(super) fn running(self: &Arc<Self>, is_patient: bool) -> LongRunning {
        let running = LongRunning {
            demand: Arc::clone(self),
            is_patient,
        };
        running.count().fetch_add(1, Ordering::AcqRel);
        running
    }
}

/// A call that has been running for a while.
#[derive(Debug)]
pub(crate) struct LongRunning {
    demand: Arc<Demand>,
    is_patient: bool,
}

impl LongRunning {
    fn count(&self) -> &AtomicU32 {
        match self.is_patient {
            true => &self.demand.patient,
            false => &self.demand.running,
        }
    }
}

impl Drop for LongRunning {
    fn drop(&mut self) {
        self.count().fetch_sub(1, Ordering::AcqRel);
    }
}
