//! What one load of an atomic pointer tells a call: the state, the rules, and where to count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::clock::nanos;
use super::demand::Demand;
use super::running::{Running, Started};
use super::settings::Settings;
use super::state::{Mode, State};
use super::verdict::Verdict;
use super::window::Recent;

/// A generation of the breaker, as the hot path sees it. Never changed, only replaced.
pub(super) struct Epoch {
    pub(super) generation: u64,
    pub(super) state: State,
    pub(super) open_until: u64,
    pub(super) mode: Mode,
    pub(super) forced_open: bool,
    pub(super) settings: Arc<Settings>,
    pub(super) ledger: Arc<Ledger>,
}

impl Epoch {
    /// Calls are admitted and counted, nothing else to ask.
    pub(super) fn admits(&self) -> bool {
        self.state == State::Closed && !self.forced_open && self.mode != Mode::Disabled
    }

    /// Calls pass, counted or not.
    pub(super) fn passes(&self) -> bool {
        !self.forced_open && (self.state == State::Closed || self.mode == Mode::Disabled)
    }

    /// Whether it matters that nobody is answered.
    pub(super) fn may_stall(&self) -> bool {
        self.state != State::Open && self.mode != Mode::Disabled
    }

    /// Running calls are watched.
    pub(super) fn sweeps(&self) -> bool {
        self.state == State::Closed
            && self.settings.slow_call_rate.is_some()
            && self.mode != Mode::Disabled
    }

    /// A counted call starts.
    pub(super) fn start(&self, now: u64) -> Kind {
        Kind::Counted {
            generation: self.generation,
            slot: (self.sweeps())
                .then(|| self.ledger.running.start(now))
                .flatten(),
        }
    }

    /// A call starts that may not be rejected.
    pub(super) fn observe(&self, now: u64) -> Kind {
        match (self.mode, self.state) {
            (Mode::Disabled, _) => Kind::Unrecorded,
            (_, State::Closed) => self.start(now),
            _ => Kind::Uncounted,
        }
    }
}

/// How a permit counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Into the window of this generation.
    Counted {
        generation: u64,
        slot: Option<Started>,
    },
    /// As a probe.
    Probe { generation: u64, id: u64 },
    /// In the totals only.
    Uncounted,
    /// Not at all.
    Unrecorded,
}

impl Kind {
    /// The generation that the call counts in.
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
    /// Failures with no answer in between.
    streak: AtomicU32,
    /// Failures before this time belong to one that was counted.
    coalesce_until: AtomicU64,
}

impl Ledger {
    pub(super) fn new(settings: &Settings, now: u64) -> Self {
        Self {
            recent: Arc::new(Recent::new(settings.window, now)),
            running: Running::new(settings.slow_call_threshold, now),
            demand: Arc::new(Demand::new(now)),
            streak: AtomicU32::new(0),
            coalesce_until: AtomicU64::new(0),
        }
    }

    /// These counts under `new` settings: the window stays if its shape does.
    pub(super) fn under(&self, old: &Settings, new: &Settings, now: u64) -> Arc<Self> {
        let mut ledger = Self::new(new, now);
        if old.window == new.window {
            ledger.recent = Arc::clone(&self.recent);
        }
        ledger.streak = AtomicU32::new(self.streak());
        Arc::new(ledger)
    }

    pub(super) fn streak(&self) -> u32 {
        self.streak.load(Ordering::Acquire)
    }

    /// Counts a verdict towards the failures in a row; returns how many they are now.
    pub(super) fn count_in_a_row(&self, verdict: Verdict) -> u32 {
        match verdict {
            Verdict::Failure => self.streak.fetch_add(1, Ordering::AcqRel).saturating_add(1),
            Verdict::Ignored => self.streak(),
            Verdict::Success => {
                // Reading first spares the common case a write that other cores contend for.
                if self.streak() != 0 {
                    self.streak.store(0, Ordering::Release);
                }
                0
            }
        }
    }

    /// Whether a failure at `now` belongs to one that was already counted.
    pub(super) fn coalesces(&self, settings: &Settings, now: u64) -> bool {
        let Some(span) = settings.coalesce_failures else {
            return false;
        };
        let until = self.coalesce_until.load(Ordering::Acquire);
        if now < until {
            return true;
        }
        let next = now.saturating_add(nanos(span));
        let first =
            self.coalesce_until
                .compare_exchange(until, next, Ordering::AcqRel, Ordering::Acquire);
        first.is_err()
    }
}
