//! The shell around the state machine. It reads the clock, holds the lock, and calls the observer
//! after releasing it.
//!
//! The hot path needs only the [`Epoch`] that is in effect: while the breaker is closed, a call loads it
//! once to be admitted and once to be counted, takes no lock and allocates nothing, except for the
//! first call of a thread after a change. While it is open, a call needs only the number
//! `rejects_until`, and one that only needs a connection reads the flag `passes`. Every change of
//! state takes the lock, and stores a new epoch before it releases the lock.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::builder::Builder;
use super::clock::Time;
use super::counters::Counters;
use super::current::Current;
use super::epoch::{Epoch, Ledger};
use super::event::{Event, Observer};
use super::lateness::Lateness;
use super::machine::{Change, Machine, Phase};
use super::normal::Normal;
use super::settings::{Settings, SlowCall};
use super::snapshot::{COUNTS, Count};
use super::state::{Mode, State};

pub(super) struct Inner {
    pub(super) name: Arc<str>,
    pub(super) clock: Time,
    pub(super) lateness: Lateness,
    pub(super) observer: Option<Observer>,
    pub(super) epoch: Current,
    /// A copy of [`Epoch::passes`], which is cheaper to read than the epoch.
    pub(super) passes: AtomicBool,
    /// A copy of [`Epoch::rejects_until`].
    pub(super) rejects_until: AtomicU64,
    /// While half-open: no probe slot is free before this time, unless a probe ends. 0: ask the
    /// machine.
    pub(super) full_until: AtomicU64,
    /// The number of calls in the queue for a connection.
    pub(super) waiting: AtomicU32,
    /// Whether the backend is asked when a stall is near.
    pub(super) is_asked: AtomicBool,
    /// The time that it took to open a connection last; 0 if that is unknown.
    pub(super) connecting: AtomicU64,
    /// The setter and the value of the deadline of calls, if they have one.
    pub(super) deadline: Mutex<Option<(&'static str, Duration)>>,
    pub(super) normal: Normal,
    /// Whether each success may change the slow-call threshold, and not only a long one.
    pub(super) is_learning: AtomicBool,
    pub(super) core: Mutex<Core>,
    pub(super) counters: Counters<COUNTS>,
}

/// The state that changes only under the lock.
pub(super) struct Core {
    pub(super) machine: Machine,
    pub(super) settings: Arc<Settings>,
    pub(super) mode: Mode,
    pub(super) forced_open: usize,
    pub(super) generation: u64,
    /// The oldest generation whose calls count.
    pub(super) counts_from: u64,
    pub(super) random: fastrand::Rng,
    pub(super) trips: u64,
    pub(super) not_closed_since: Option<u64>,
    pub(super) not_closed: u64,
}

impl Inner {
    pub(super) fn new(builder: Builder) -> Self {
        let name = builder.get_name();
        let settings = Arc::new(builder.settings);
        let now = builder.clock.now();
        let core = Core {
            machine: Machine::new(),
            settings: Arc::clone(&settings),
            mode: builder.mode,
            forced_open: 0,
            generation: 0,
            counts_from: 0,
            random: fastrand::Rng::new(),
            trips: 0,
            not_closed_since: None,
            not_closed: 0,
        };
        let epoch = core.epoch(Arc::new(Ledger::new(&settings, now)));
        let epoch_learns = epoch.settings.is_learning();
        Self {
            name,
            clock: builder.clock,
            lateness: Lateness::new(),
            observer: builder.observer,
            passes: AtomicBool::new(epoch.passes()),
            rejects_until: AtomicU64::new(epoch.rejects_until()),
            epoch: Current::new(epoch),
            full_until: AtomicU64::new(0),
            waiting: AtomicU32::new(0),
            is_asked: AtomicBool::new(false),
            connecting: AtomicU64::new(0),
            deadline: Mutex::default(),
            normal: Normal::default(),
            is_learning: AtomicBool::new(epoch_learns),
            core: Mutex::new(core),
            counters: Counters::new(),
        }
    }

    /// The time on the breaker's clock, without the time in which the process stood still.
    pub(super) fn now(&self) -> u64 {
        self.lateness.without_lost(self.clock.now(), || {
            let epoch = self.epoch.load();
            self.waiting.load(Ordering::Acquire) > 0
                || !epoch.ledger.demand.is_quick()
                || epoch.ledger.running.is_any()
        })
    }

    pub(super) fn count(&self, what: Count, n: u64) {
        self.counters.add(what as usize, n);
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        // No critical section can panic half-way, so the data of a poisoned lock is consistent.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a new generation, with empty counts. The window is kept until the breaker is closed
    /// again, because [`Mode::Observe`] goes on counting in it.
    pub(super) fn publish(&self, core: &mut Core, now: u64) {
        let mut ledger = Ledger::new(&core.settings, now);
        if core.machine.state() != State::Closed {
            ledger.recent = Arc::clone(&self.epoch.load().ledger.recent);
        }
        self.publish_with(core, now, Arc::new(ledger));
    }

    /// Starts a new generation, with these counts.
    pub(super) fn publish_with(&self, core: &mut Core, now: u64, ledger: Arc<Ledger>) {
        core.generation += 1;
        core.counts_from = core.generation;
        match (core.machine.state(), core.not_closed_since) {
            (State::Closed, Some(since)) => {
                core.not_closed += now.saturating_sub(since);
                core.not_closed_since = None;
            }
            (State::Open, since) => {
                core.trips += u64::from(self.epoch.load().state != State::Open);
                core.not_closed_since = since.or(Some(now));
            }
            _ => {}
        }
        self.full_until.store(0, Ordering::Release);
        self.store_epoch(core.epoch(ledger));
    }

    /// Changes the learned slow-call threshold. The counts are kept, and calls in progress count.
    pub(super) fn adapt(&self, now: u64, threshold: Option<Duration>) {
        let mut core = self.core();
        let SlowCall::Learned(before) = core.settings.slow_call else {
            return;
        };
        if before == threshold {
            return; // another thread was first
        }
        let slow_call = SlowCall::Learned(threshold);
        core.settings = Arc::new(Settings {
            slow_call,
            ..Settings::clone(&core.settings)
        });
        core.generation += 1;
        let ledger = self.epoch.load().ledger.adapted(&core.settings, now);
        self.store_epoch(core.epoch(ledger));
        drop(core);
        self.emit(&Event::Adapted {
            slow_call_threshold: threshold,
        });
    }

    /// Applies an operator's change, which keeps the state, the counts and the generation.
    pub(super) fn operate(&self, change: impl FnOnce(&mut Core)) {
        let mut core = self.core();
        let before = core.operator_settings();
        change(&mut core);
        let after = core.operator_settings();
        let ledger = Arc::clone(&self.epoch.load().ledger);
        self.store_epoch(core.epoch(ledger));
        drop(core);
        if after != before {
            let (mode, forced_open) = after;
            self.emit(&Event::Mode { mode, forced_open });
        }
    }

    pub(super) fn store_epoch(&self, epoch: Epoch) {
        self.passes.store(epoch.passes(), Ordering::Release);
        (self.rejects_until).store(epoch.rejects_until(), Ordering::Release);
        let is_learning = epoch.settings.is_learning();
        self.is_learning.store(is_learning, Ordering::Relaxed);
        self.epoch.store(epoch);
    }

    pub(super) fn emit(&self, event: &Event<'_>) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }

    pub(super) fn report(&self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            match change {
                Change::State(transition) => self.emit(&Event::Transition(&transition)),
                Change::Ramp(places) => self.emit(&Event::Ramp { places }),
                Change::Slow => self.note_slow(1),
            }
        }
    }
}

impl Core {
    /// The mode, and whether the breaker is held open.
    fn operator_settings(&self) -> (Mode, bool) {
        (self.mode, self.forced_open > 0)
    }

    pub(super) fn epoch(&self, ledger: Arc<Ledger>) -> Epoch {
        let (mode, forced_open) = self.operator_settings();
        Epoch {
            generation: self.generation,
            counts_from: self.counts_from,
            state: self.machine.state(),
            open_until: match self.machine.phase {
                Phase::Open { until } => until,
                _ => 0,
            },
            mode,
            forced_open,
            slow_threshold: self.settings.slow_threshold(),
            settings: Arc::clone(&self.settings),
            ledger,
        }
    }
}
