//! The breaker as the hot path sees it: the state, the rules and the
//! counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::clock::nanos;
use super::demand::Demand;
use super::running::{Running, Started};
use super::settings::Settings;
use super::state::{Mode, State};
use super::tally::Outcome;
use super::verdict::Verdict;
use super::window::Recent;

/// An immutable view of the breaker. It is replaced with every change of state, mode or rules.
pub(super) struct Epoch {
    pub(super) generation: u64,
    /// The oldest generation whose calls count.
    pub(super) counts_from: u64,
    pub(super) state: State,
    pub(super) open_until: u64,
    pub(super) mode: Mode,
    pub(super) forced_open: bool,
    /// A copy of [`Settings::slow_threshold`], which takes long to compute.
    pub(super) slow_threshold: Option<u64>,
    pub(super) settings: Arc<Settings>,
    pub(super) ledger: Arc<Ledger>,
}

impl Epoch {
    /// Whether calls are admitted and counted without taking the lock.
    pub(super) fn admits(&self) -> bool {
        self.state == State::Closed && !self.forced_open && self.mode != Mode::Disabled
    }

    /// Whether calls are admitted, counted or not, without taking the lock.
    pub(super) fn passes(&self) -> bool {
        !self.forced_open && (self.state == State::Closed || self.mode == Mode::Disabled)
    }

    /// Whether the stall rule applies.
    pub(super) fn may_stall(&self) -> bool {
        self.state != State::Open && self.mode != Mode::Disabled
    }

    /// Calls are rejected before this time, because the breaker is open. 0 if it is not, or if that is
    /// not the reason.
    pub(super) fn rejects_until(&self) -> u64 {
        match (self.state, self.mode) {
            (State::Open, Mode::Enforce) if !self.forced_open => self.open_until,
            _ => 0,
        }
    }

    /// Whether running calls are tracked, to count them as slow in time.
    pub(super) fn sweeps(&self) -> bool {
        self.state == State::Closed && self.slow_threshold.is_some() && self.mode != Mode::Disabled
    }

    /// The outcome that a call adds to the window when it ends; `None` if it adds nothing.
    pub(super) fn outcome(&self, verdict: Verdict, elapsed: u64) -> Option<Outcome> {
        let is_slow = self.slow_threshold.is_some_and(|bound| elapsed >= bound);
        Outcome::of(verdict, is_slow)
    }

    /// Starts a counted call.
    pub(super) fn start(&self, now: u64) -> Kind {
        Kind::Counted {
            generation: self.generation,
            slot: (self.sweeps())
                .then(|| self.ledger.running.start(now))
                .flatten(),
        }
    }

    /// Starts a call that must not be rejected.
    pub(super) fn observe(&self, now: u64) -> Kind {
        match (self.mode, self.state) {
            (Mode::Disabled, _) => Kind::Unrecorded,
            (_, State::Closed) => self.start(now),
            _ => Kind::Uncounted,
        }
    }
}

/// How the result of a permit is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// In the window of this generation, and in the totals.
    Counted {
        generation: u64,
        slot: Option<Started>,
    },
    /// As a probe of this generation, and in the totals.
    Probe { generation: u64, id: u64 },
    /// In the totals only.
    Uncounted,
    /// Not at all.
    Unrecorded,
}

impl Kind {
    /// The generation in which the call counts.
    pub(super) fn generation(self) -> Option<u64> {
        match self {
            Self::Counted { generation, .. } | Self::Probe { generation, .. } => Some(generation),
            Self::Uncounted | Self::Unrecorded => None,
        }
    }
}

/// The counts of one generation.
pub(super) struct Ledger {
    pub(super) recent: Arc<Recent>,
    pub(super) running: Running,
    pub(super) demand: Arc<Demand>,
    /// The consecutive failures.
    streak: AtomicU32,
    /// Failures before this time are coalesced with one that was counted.
    coalesce_until: AtomicU64,
}

impl Ledger {
    pub(super) fn new(settings: &Settings, now: u64) -> Self {
        Self {
            recent: Arc::new(Recent::new(settings.window, now)),
            running: Running::new(settings.usual_limit(), now),
            demand: Arc::new(Demand::new(now)),
            streak: AtomicU32::new(0),
            coalesce_until: AtomicU64::new(0),
        }
    }

    /// The ledger under `new` settings. It keeps the consecutive failures, and the window if its
    /// shape is the same.
    pub(super) fn reconfigured(&self, old: &Settings, new: &Settings, now: u64) -> Arc<Self> {
        let mut ledger = Self::new(new, now);
        if old.window == new.window {
            ledger.recent = Arc::clone(&self.recent);
        }
        ledger.streak = AtomicU32::new(self.streak());
        Arc::new(ledger)
    }

    /// The ledger under a new slow-call threshold. It keeps all counts but the running calls, which are
    /// judged when they end.
    pub(super) fn adapted(&self, new: &Settings, now: u64) -> Arc<Self> {
        Arc::new(Self {
            recent: Arc::clone(&self.recent),
            demand: Arc::clone(&self.demand),
            streak: AtomicU32::new(self.streak()),
            coalesce_until: AtomicU64::new(self.coalesce_until.load(Ordering::Acquire)),
            ..Self::new(new, now)
        })
    }

    pub(super) fn streak(&self) -> u32 {
        self.streak.load(Ordering::Acquire)
    }

    /// Counts a verdict towards the consecutive failures; returns their number.
    pub(super) fn count_consecutive(&self, verdict: Verdict) -> u32 {
        match verdict {
            Verdict::Failure => self.streak.fetch_add(1, Ordering::AcqRel).saturating_add(1),
            Verdict::Ignored => self.streak(),
            Verdict::Success => {
                // Most calls find zero, and write nothing that other cores contend for.
                if self.streak() != 0 {
                    self.streak.store(0, Ordering::Release);
                }
                0
            }
        }
    }

    /// Whether a failure at `now` is coalesced with one that was already counted. If not, it starts
    /// a new span.
    pub(super) fn coalesces(&self, settings: &Settings, now: u64) -> bool {
        let Some(span) = settings.coalesce_failures else {
            return false;
        };
        let until = self.coalesce_until.load(Ordering::Acquire);
        if now < until {
            return true;
        }
        let next = now.saturating_add(nanos(span));
        // Of two failures that race to start a span, one is counted.
        let first =
            self.coalesce_until
                .compare_exchange(until, next, Ordering::AcqRel, Ordering::Acquire);
        first.is_err()
    }
}
