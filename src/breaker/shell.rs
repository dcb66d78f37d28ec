//! The breaker: reads the clock, holds the lock, and tells the listener after releasing it.
//!
//! What the hot path needs hangs on one atomic pointer, the [`Epoch`]: while closed, a call loads
//! it to be admitted and again to be counted, and takes no lock and allocates nothing. Whatever
//! changes the state takes the lock, and publishes a new epoch before it lets go. Those who only
//! want a connection look at a flag beside it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::builder::Builder;
use super::epoch::{Epoch, Kind, Ledger};
use super::error::Rejection;
use super::listener::{Deaf, Listener};
use super::mode::Mode;
use super::settings::Settings;
use super::snapshot::{COUNTS, Count};
use super::state::{Admission, Change, Machine, Phase};
use super::tally::{Counts, Outcome};
use super::transition::{Reason, State};
use crate::counters::Counters;
use crate::time::{Clock, nanos};
use crate::verdict::Verdict;

pub(super) struct Inner {
    pub(super) name: Arc<str>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) listener: Arc<dyn Listener>,
    pub(super) epoch: ArcSwap<Epoch>,
    /// What [`Epoch::passes`] says, for those who need nothing else of it.
    pub(super) passes: AtomicBool,
    /// Half-open: no place comes free before this time, unless a probe ends.
    pub(super) full_until: AtomicU64,
    /// Calls that wait for what they need before they start.
    pub(super) waiting: AtomicU32,
    pub(super) core: Mutex<Core>,
    pub(super) counters: Counters<COUNTS>,
}

/// What only changes under the lock.
pub(super) struct Core {
    pub(super) machine: Machine,
    pub(super) settings: Arc<Settings>,
    pub(super) mode: Mode,
    pub(super) forced_open: usize,
    pub(super) generation: u64,
    pub(super) random: fastrand::Rng,
    pub(super) trips: u64,
    pub(super) not_closed_since: Option<u64>,
    pub(super) not_closed: u64,
}

impl Inner {
    pub(super) fn new(builder: Builder) -> Self {
        let name = builder.get_name();
        let settings = Arc::new(builder.settings);
        let now = nanos(builder.clock.now());
        let core = Core {
            machine: Machine::new(),
            settings: Arc::clone(&settings),
            mode: builder.mode,
            forced_open: 0,
            generation: 0,
            random: fastrand::Rng::new(),
            trips: 0,
            not_closed_since: None,
            not_closed: 0,
        };
        let epoch = core.epoch(Arc::new(Ledger::new(&settings, now)));
        Self {
            name,
            clock: builder.clock,
            listener: builder.listener.unwrap_or_else(|| Arc::new(Deaf)),
            passes: AtomicBool::new(epoch.passes()),
            epoch: ArcSwap::from_pointee(epoch),
            full_until: AtomicU64::new(0),
            waiting: AtomicU32::new(0),
            core: Mutex::new(core),
            counters: Counters::new(),
        }
    }

    pub(super) fn now(&self) -> u64 {
        nanos(self.clock.now())
    }

    pub(super) fn count(&self, what: Count, n: u64) {
        self.counters.add(what as usize, n);
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        // Nothing in a critical section can panic half-way, so a poisoned lock is still sound.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admission when the breaker is not simply closed, of a call that starts now or later.
    pub(super) fn admit(&self, now: u64, starts: bool) -> Result<Kind, Rejection> {
        let epoch = self.epoch.load();
        if epoch.forced_open {
            self.count(Count::Rejected, 1);
            return Err(Rejection::ForcedOpen);
        }
        if epoch.mode == Mode::Disabled {
            return Ok(Kind::Unrecorded);
        }
        if epoch.admits() {
            return Ok(epoch.start(now));
        }
        let rejection = match self.not_yet(&epoch, now) {
            Some(rejection) => rejection,
            None => match self.start_probe(now, starts) {
                Ok(kind) => return Ok(kind),
                Err(rejection) => rejection,
            },
        };
        self.count(Count::Rejected, 1);
        match epoch.mode {
            Mode::Observe => Ok(Kind::Uncounted),
            _ => Err(rejection),
        }
    }

    /// Why no probe can start at `now`, as far as can be told without the lock.
    pub(super) fn not_yet(&self, epoch: &Epoch, now: u64) -> Option<Rejection> {
        let left = |until: u64| Duration::from_nanos(until.saturating_sub(now));
        match epoch.state {
            State::Open if now < epoch.open_until => Some(Rejection::Open {
                retry_after: left(epoch.open_until),
            }),
            State::HalfOpen => {
                let until = self.full_until.load(Ordering::Acquire);
                (now < until).then(|| Rejection::HalfOpen {
                    retry_after: left(until),
                })
            }
            _ => None,
        }
    }

    fn start_probe(&self, now: u64, starts: bool) -> Result<Kind, Rejection> {
        let mut core = self.core();
        let mut changes = self.expire(&mut core, now);
        let settings = Arc::clone(&core.settings);
        let kind = if core.machine.state() == State::Closed {
            // It closed while we came for the lock.
            Ok(self.epoch.load().start(now))
        } else {
            let (admission, change) = core.machine.admit(now, starts, &settings);
            if change.is_some() {
                self.publish(&mut core, now);
            }
            changes.extend(change);
            let retry_after = |until: u64| Duration::from_nanos(until.saturating_sub(now));
            match (admission, core.machine.state()) {
                (Admission::Probe(id), _) => Ok(Kind::Probe {
                    generation: core.generation,
                    id,
                }),
                (Admission::NotBefore(until), State::Open) => Err(Rejection::Open {
                    retry_after: retry_after(until),
                }),
                (Admission::NotBefore(until), _) => Err(Rejection::HalfOpen {
                    retry_after: retry_after(until),
                }),
            }
        };
        self.note_full(&core);
        drop(core);
        self.tell(changes);
        kind
    }

    pub(super) fn settle(
        &self,
        kind: Kind,
        started: u64,
        verdict: Verdict,
        took: Option<Duration>,
    ) {
        if matches!(kind, Kind::Unrecorded) {
            return;
        }
        let count = match verdict {
            Verdict::Fault => Count::Faults,
            Verdict::Answered => Count::Answered,
            Verdict::Neutral => Count::Neutral,
        };
        self.count(count, 1);
        self.end(kind, started, verdict, took);
    }

    /// The call is not made after all, and counts as none.
    pub(super) fn withdraw(&self, kind: Kind) {
        match kind {
            Kind::Counted { generation, slot } => {
                let epoch = self.epoch.load();
                if epoch.generation == generation
                    && let Some(slot) = slot
                {
                    epoch.ledger.running.finish(slot);
                }
            }
            Kind::Probe { generation, id } => self.end_probe(generation, id, self.now(), 0, None),
            Kind::Uncounted | Kind::Unrecorded => {}
        }
    }

    pub(super) fn abandon(&self, kind: Kind, started: u64, is_patient: bool) {
        if matches!(kind, Kind::Unrecorded) {
            return;
        }
        self.count(Count::Abandoned, 1);
        let held = self.now().saturating_sub(started);
        self.listener.abandoned(Duration::from_nanos(held));
        self.end(kind, started, Verdict::Neutral, None);
        if !is_patient && let Some(generation) = kind.generation() {
            self.unanswered(Some(generation), started, true);
        }
    }

    /// A call that began at `started` has no answer yet, or was given up without one: opens the
    /// breaker if nobody was answered for too long. A generation that is over does not count.
    pub(super) fn unanswered(&self, generation: Option<u64>, started: u64, given_up: bool) {
        let now = self.now();
        let counts = |epoch: &Epoch| {
            epoch.may_stall() && generation.is_none_or(|own| own == epoch.generation)
        };
        let mut epoch = self.epoch.load();
        if counts(&epoch) && self.sweep(&epoch, now) {
            epoch = self.epoch.load();
        }
        if !counts(&epoch) {
            return;
        }
        let stall = epoch.ledger.demand.unanswered(started, given_up);
        let waiting = self.waiting.load(Ordering::Acquire);
        let elapsed = now.saturating_sub(stall.since);
        if (epoch.settings).is_stall(elapsed, stall.calls.saturating_add(waiting)) {
            let counts = epoch.ledger.recent.counts(now);
            self.trip(&epoch, now, Reason::Stalled, counts);
        }
    }

    fn end(&self, kind: Kind, started: u64, verdict: Verdict, took: Option<Duration>) {
        let now = self.now();
        let elapsed = took.map_or_else(|| now.saturating_sub(started), nanos);
        match kind {
            Kind::Unrecorded | Kind::Uncounted => {}
            Kind::Counted { generation, slot } => {
                let epoch = self.epoch.load();
                if epoch.generation != generation {
                    self.discard(verdict);
                    return;
                }
                // A swept call has been counted already.
                let counted = slot.is_some_and(|slot| !epoch.ledger.running.finish(slot));
                self.record(&epoch, now, elapsed, verdict, counted);
                self.sweep(&epoch, now);
            }
            Kind::Probe { generation, id } => {
                self.end_probe(generation, id, now, elapsed, Some(verdict));
            }
        }
    }

    fn record(&self, epoch: &Epoch, now: u64, elapsed: u64, verdict: Verdict, counted: bool) {
        if epoch.mode == Mode::Disabled {
            return;
        }
        let (ledger, settings) = (&epoch.ledger, &epoch.settings);
        if verdict == Verdict::Answered {
            ledger.demand.answered(now);
        }
        let lumped = verdict == Verdict::Fault && ledger.lumps(settings, now);
        let streak = if lumped {
            ledger.streak()
        } else {
            ledger.count_in_a_row(verdict)
        };
        // A slow call counts however it ends: a sweep a moment ago would have counted it, too.
        let outcome = (settings.outcome(verdict, elapsed))
            .filter(|outcome| !counted && (outcome.slow || !lumped));
        let counts = match outcome {
            Some(outcome) => {
                self.note_slow(u32::from(outcome.slow));
                ledger.recent.record(now, outcome)
            }
            None => ledger.recent.counts(now),
        };
        if let Some(reason) = settings.tripped(counts, streak) {
            self.trip(epoch, now, reason, counts);
        }
    }

    /// Counts the calls that have reached the slow bound while running. True if there were any, and
    /// the epoch may have been superseded.
    pub(super) fn sweep(&self, epoch: &Epoch, now: u64) -> bool {
        if !epoch.sweeps() {
            return false;
        }
        let ledger = &epoch.ledger;
        let overdue = ledger.running.sweep(now);
        if overdue == 0 {
            return false;
        }
        self.note_slow(overdue);
        let slow = Outcome {
            fault: false,
            slow: true,
        };
        let mut counts = ledger.recent.counts(now);
        for _ in 0..overdue {
            counts = ledger.recent.record(now, slow);
        }
        if let Some(reason) = epoch.settings.tripped(counts, ledger.streak()) {
            self.trip(epoch, now, reason, counts);
        }
        true
    }

    fn trip(&self, epoch: &Epoch, now: u64, reason: Reason, counts: Counts) {
        let mut core = self.core();
        if core.generation != epoch.generation {
            return; // another call was first
        }
        let random = core.random.f64();
        let change = (core.machine).trip(now, reason, counts, &epoch.settings, random);
        self.publish(&mut core, now);
        drop(core);
        self.tell([change]);
    }

    /// Without a verdict the probe was not made.
    fn end_probe(
        &self,
        generation: u64,
        id: u64,
        now: u64,
        elapsed: u64,
        verdict: Option<Verdict>,
    ) {
        let mut core = self.core();
        let mut changes = self.expire(&mut core, now);
        let mut awaited = false;
        if core.generation == generation {
            if verdict == Some(Verdict::Answered) && core.mode != Mode::Disabled {
                self.epoch.load().ledger.demand.answered(now);
            }
            let settings = Arc::clone(&core.settings);
            let outcome = match core.mode {
                Mode::Disabled => None,
                _ => verdict.and_then(|verdict| settings.outcome(verdict, elapsed)),
            };
            let random = core.random.f64();
            let (known, change) = core.machine.settle(id, now, outcome, &settings, random);
            awaited = known;
            if known && outcome.is_some_and(|outcome| outcome.slow) {
                changes.push(Change::Slow);
            }
            if matches!(change, Some(Change::State(_))) {
                self.publish(&mut core, now);
            }
            changes.extend(change);
        }
        self.note_full(&core);
        drop(core);
        self.tell(changes);
        if !awaited && let Some(verdict) = verdict {
            self.discard(verdict);
        }
    }

    /// A probe starts only after this delay. Returns what time that is.
    pub(super) fn restart(&self, kind: Kind, delay: Duration) -> u64 {
        let at = self.now().saturating_add(nanos(delay));
        if let Kind::Probe { generation, id } = kind {
            let mut core = self.core();
            if core.generation == generation {
                core.machine.restart(id, at);
            }
            self.note_full(&core);
        }
        at
    }

    /// Sees to the probes whose time is up.
    fn expire(&self, core: &mut Core, now: u64) -> Vec<Change> {
        let settings = Arc::clone(&core.settings);
        let mut changes = Vec::new();
        while core.mode != Mode::Disabled {
            let random = core.random.f64();
            let Some(change) = core.machine.expire(now, &settings, random) else {
                break;
            };
            changes.push(Change::Slow);
            if matches!(change, Some(Change::State(_))) {
                self.publish(core, now);
            }
            changes.extend(change);
        }
        changes
    }

    fn note_full(&self, core: &Core) {
        let until = match &core.machine.phase {
            Phase::HalfOpen(batch) if batch.is_full() => batch.full_until(&core.settings),
            _ => 0,
        };
        self.full_until.store(until, Ordering::Release);
    }

    fn note_slow(&self, calls: u32) {
        if calls > 0 {
            self.count(Count::Slow, u64::from(calls));
            self.listener.slow(calls);
        }
    }

    fn discard(&self, verdict: Verdict) {
        self.count(Count::Discarded, 1);
        self.listener.discarded(verdict);
    }

    /// Begins a generation, with counts of its own.
    pub(super) fn publish(&self, core: &mut Core, now: u64) {
        let ledger = Arc::new(Ledger::new(&core.settings, now));
        self.publish_with(core, now, ledger);
    }

    pub(super) fn publish_with(&self, core: &mut Core, now: u64, ledger: Arc<Ledger>) {
        core.generation += 1;
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
        self.show(core.epoch(ledger));
    }

    /// Makes a change of the operator's, which leaves state and counts alone.
    pub(super) fn operate(&self, change: impl FnOnce(&mut Core)) {
        let mut core = self.core();
        let before = core.orders();
        change(&mut core);
        let after = core.orders();
        let ledger = Arc::clone(&self.epoch.load().ledger);
        self.show(core.epoch(ledger));
        drop(core);
        if after != before {
            let (mode, forced_open) = after;
            self.listener.mode(mode, forced_open);
        }
    }

    fn show(&self, epoch: Epoch) {
        self.passes.store(epoch.passes(), Ordering::Release);
        self.epoch.store(Arc::new(epoch));
    }

    pub(super) fn tell(&self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            match change {
                Change::State(transition) => self.listener.transition(&transition),
                Change::Ramp(places) => self.listener.ramp(places),
                Change::Slow => self.note_slow(1),
            }
        }
    }
}

impl Core {
    /// What the operator wants: the mode, and whether the breaker is held open in every mode.
    fn orders(&self) -> (Mode, bool) {
        (self.mode, self.forced_open > 0)
    }

    fn epoch(&self, ledger: Arc<Ledger>) -> Epoch {
        let (mode, forced_open) = self.orders();
        Epoch {
            generation: self.generation,
            state: self.machine.state(),
            open_until: match self.machine.phase {
                Phase::Open { until } => until,
                _ => 0,
            },
            mode,
            forced_open,
            settings: Arc::clone(&self.settings),
            ledger,
        }
    }
}
