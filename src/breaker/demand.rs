//! Detects a stall: calls are pending and none succeeds. A database that hangs ends no call, and
//! callers with short timeouts leave before their calls are counted in any other way.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The pending calls of one generation: those that run without an answer, and those given up.
#[derive(Debug)]
pub(super) struct Demand {
    /// The start of the generation.
    began: u64,
    /// The time of the last success, or the start of the generation if there was none.
    last_answer: AtomicU64,
    /// The last time at which the backend was seen to answer anything, such as a ping.
    alive: AtomicU64,
    unanswered: Mutex<Unanswered>,
    /// Long-running calls. Calls with a deadline of their own are not counted: they may take long.
    running: AtomicU32,
}

/// The unanswered calls since a success.
#[derive(Clone, Copy, Debug)]
struct Unanswered {
    /// The success, or the start of the generation, that these calls follow.
    answer: u64,
    /// The start of the earliest call, or `answer` if that is later.
    since: u64,
    given_up: u32,
    /// The time at which the observer was told last that a stall is near.
    told: Option<u64>,
}

/// A number of pending calls, the time since which none has succeeded, and the time since which the
/// backend has answered nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stall {
    pub(super) since: u64,
    pub(super) silent_since: u64,
    pub(super) calls: u32,
}

impl Demand {
    pub(super) fn new(now: u64) -> Self {
        Self {
            began: now,
            last_answer: AtomicU64::new(now),
            alive: AtomicU64::new(now),
            unanswered: Mutex::new(Unanswered {
                answer: now,
                since: u64::MAX,
                given_up: 0,
                told: None,
            }),
            running: AtomicU32::new(0),
        }
    }

    /// Records a success.
    pub(super) fn answered(&self, now: u64) {
        // The clock moves in steps: most calls find the time recorded, and write nothing that other
        // cores contend for.
        if self.last_answer.load(Ordering::Acquire) < now {
            self.last_answer.fetch_max(now, Ordering::AcqRel);
        }
    }

    /// Records that the backend answers, although no call of a caller succeeded.
    pub(super) fn alive(&self, now: u64) {
        self.alive.fetch_max(now, Ordering::AcqRel);
    }

    /// Whether the backend answered at `time` or later.
    pub(super) fn answered_since(&self, time: u64) -> bool {
        let answer = self.last_answer.load(Ordering::Acquire);
        let last = answer.max(self.alive.load(Ordering::Acquire));
        last > self.began && last >= time
    }

    /// Records a call that began at `started` and is still unanswered, or was given up.
    pub(super) fn unanswered(&self, started: u64, given_up: bool) -> Stall {
        let answer = self.last_answer.load(Ordering::Acquire);
        let mut seen = (self.unanswered.lock()).unwrap_or_else(PoisonError::into_inner);
        if seen.answer < answer {
            *seen = Unanswered {
                answer,
                since: u64::MAX,
                given_up: 0,
                told: None,
            };
        }
        seen.since = seen.since.min(started.max(seen.answer));
        seen.given_up = seen.given_up.saturating_add(u32::from(given_up));
        Stall {
            since: seen.since,
            silent_since: seen.since.max(self.alive.load(Ordering::Acquire)),
            calls: (seen.given_up).saturating_add(self.running.load(Ordering::Acquire)),
        }
    }

    /// The time at which the observer was told that a stall is near. `None`: it must be told now. It
    /// is told once until the backend answers.
    pub(super) fn told(&self, now: u64) -> Option<u64> {
        let mut seen = (self.unanswered.lock()).unwrap_or_else(PoisonError::into_inner);
        let alive = self.alive.load(Ordering::Acquire);
        let told = seen.told.filter(|told| *told > alive);
        if told.is_none() {
            seen.told = Some(now);
        }
        told
    }

    /// Whether there is no long-running call.
    pub(super) fn is_quick(&self) -> bool {
        self.running.load(Ordering::Acquire) == 0
    }

    /// Counts a long-running call for as long as the guard lives.
    pub(super) fn running(self: &Arc<Self>) -> LongRunning {
        self.running.fetch_add(1, Ordering::AcqRel);
        LongRunning(Arc::clone(self))
    }
}

/// Counts one long-running call until it is dropped.
#[derive(Debug)]
pub(crate) struct LongRunning(Arc<Demand>);

impl Drop for LongRunning {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}
