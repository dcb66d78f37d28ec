//! The breaker: reads the clock, holds the lock, and tells the listener after releasing it.
//!
//! What the hot path needs hangs on one atomic pointer, the [`Epoch`]: while closed, a call loads
//! it to be admitted and again to be counted, and takes no lock and allocates nothing. Whatever
//! changes the state takes the lock, and publishes a new epoch before it lets go.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::config::{Builder, ConfigError, Settings};
use super::epoch::{Epoch, Ledger};
use super::error::{CallError, Rejection};
use super::listener::{Deaf, Listener};
use super::mode::Mode;
use super::permit::{Kind, Permit};
use super::snapshot::{COUNTS, Count, Snapshot};
use super::state::{Admission, Change, Machine, Phase, State};
use super::tally::Outcome;
use crate::counters::Counters;
use crate::time::{Clock, nanos};
use crate::verdict::{Class, Verdict};

/// A circuit breaker. Clones share one state.
///
/// See the [module documentation](super) for the rules and defaults.
#[derive(Clone)]
pub struct Breaker {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    listener: Arc<dyn Listener>,
    epoch: ArcSwap<Epoch>,
    /// Half-open: no place comes free before this time, unless a probe ends.
    full_until: AtomicU64,
    core: Mutex<Core>,
    counters: Counters<COUNTS>,
}

/// What only changes under the lock.
struct Core {
    machine: Machine,
    settings: Arc<Settings>,
    mode: Mode,
    forced_open: usize,
    generation: u64,
    random: fastrand::Rng,
    trips: u64,
    not_closed_since: Option<u64>,
    not_closed: u64,
}

impl Breaker {
    /// Starts to configure a breaker.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn from_checked(builder: Builder) -> Self {
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
        let ledger = Arc::new(Ledger::new(&settings, now));
        let inner = Inner {
            name,
            clock: builder.clock,
            listener: builder.listener.unwrap_or_else(|| Arc::new(Deaf)),
            epoch: ArcSwap::from_pointee(core.epoch(ledger)),
            full_until: AtomicU64::new(0),
            core: Mutex::new(core),
            counters: Counters::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The name it was built with.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.inner.name
    }

    /// Asks to make one call.
    ///
    /// # Errors
    ///
    /// A [`Rejection`], when the breaker does not admit calls now.
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejection> {
        let inner = &*self.inner;
        let now = inner.now();
        let epoch = inner.epoch.load();
        let kind = if epoch.admits() && !inner.sweep(&epoch, now) {
            epoch.start(now)
        } else {
            drop(epoch);
            inner.admit(now)?
        };
        Ok(Permit::new(inner, kind, now))
    }

    /// Asks to make one call that will only start later, and will be observed then; while closed
    /// that takes no permit, so that the time until it starts is not taken for the call's. With
    /// `may_open_half` false, somebody else sees to it that an open breaker turns half-open.
    pub(crate) fn ticket(&self, may_open_half: bool) -> Result<Option<Permit<'_>>, Rejection> {
        let inner = &*self.inner;
        let now = inner.now();
        let epoch = inner.epoch.load();
        if epoch.admits() && !inner.sweep(&epoch, now) {
            return Ok(None);
        }
        let waits = epoch.state == State::Open && epoch.mode == Mode::Enforce;
        if waits && !may_open_half && inner.not_yet(&epoch, now).is_none() {
            inner.count(Count::Rejected, 1);
            return Err(Rejection::HalfOpen {
                retry_after: epoch.settings.probe_timeout,
            });
        }
        drop(epoch);
        Ok(Some(Permit::new(inner, inner.admit(now)?, now)))
    }

    /// An open breaker would reject calls now, or wants the next one for a probe.
    pub(crate) fn rejects(&self) -> bool {
        let epoch = self.inner.epoch.load();
        epoch.forced_open || (epoch.state == State::Open && epoch.mode == Mode::Enforce)
    }

    pub(crate) fn rejections(&self) -> u64 {
        self.inner.counters.get(Count::Rejected as usize)
    }

    pub(crate) fn probe_timeout(&self) -> Duration {
        self.inner.epoch.load().settings.probe_timeout
    }

    pub(crate) fn open_delay(&self) -> Duration {
        self.inner.epoch.load().settings.open_delay
    }

    /// A permit for a call that is made in any case, such as the next statement of an open
    /// transaction: never rejected, counted while the breaker is closed.
    #[must_use]
    pub fn observe(&self) -> Permit<'_> {
        let inner = &*self.inner;
        let now = inner.now();
        inner.sweep(&inner.epoch.load(), now);
        Permit::new(inner, inner.epoch.load().observe(now), now)
    }

    /// Makes a call; every `Err` of it is a fault. A panic in it is one, too, and goes on.
    ///
    /// # Errors
    ///
    /// [`CallError::Rejected`] if the call was not made, [`CallError::Failed`] with its error.
    pub fn call<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>> {
        self.call_with(|_| Class::Fault, call)
    }

    /// Makes a call; `classify` says what its `Err`s mean.
    ///
    /// # Errors
    ///
    /// [`CallError::Rejected`] if the call was not made, [`CallError::Failed`] with its error.
    pub fn call_with<T, E>(
        &self,
        classify: impl FnOnce(&E) -> Class,
        call: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, CallError<E>> {
        let permit = self.try_acquire()?;
        match call() {
            Ok(value) => {
                permit.settle(Verdict::Answered);
                Ok(value)
            }
            Err(error) => {
                permit.settle_class(classify(&error));
                Err(CallError::Failed(error))
            }
        }
    }

    /// The state now. Time alone does not change it: an open breaker whose delay is over is open
    /// until the next call comes.
    #[must_use]
    pub fn state(&self) -> State {
        self.inner.epoch.load().state
    }

    /// Why a call would be rejected now, without asking for a permit; `None` if it might pass.
    #[must_use]
    pub fn rejection(&self) -> Option<Rejection> {
        let epoch = self.inner.epoch.load();
        match epoch.mode {
            _ if epoch.forced_open => Some(Rejection::ForcedOpen),
            Mode::Enforce if !epoch.admits() => self.inner.not_yet(&epoch, self.inner.now()),
            _ => None,
        }
    }

    /// [`rejection`](Self::rejection), counted: a call that was admitted is turned away after all.
    pub(crate) fn turn_away(&self) -> Option<Rejection> {
        let rejection = self.rejection();
        self.inner
            .count(Count::Rejected, u64::from(rejection.is_some()));
        rejection
    }

    /// The mode now.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.inner.epoch.load().mode
    }

    /// Changes the mode. The state and the counts stay.
    pub fn set_mode(&self, mode: Mode) {
        let mut core = self.inner.core();
        core.mode = mode;
        self.inner.republish(&core);
    }

    /// Holds the breaker open, in every mode, until this handle and all others are dropped. Then
    /// it goes on in the state it had.
    pub fn force_open(&self) -> ForcedOpen {
        let mut core = self.inner.core();
        core.forced_open += 1;
        self.inner.republish(&core);
        ForcedOpen {
            breaker: self.clone(),
        }
    }

    /// Closes the breaker and empties its window; calls under way will not be counted.
    pub fn reset(&self) {
        let now = self.inner.now();
        let mut core = self.inner.core();
        let change = core.machine.reset();
        self.inner.publish(&mut core, now);
        drop(core);
        self.inner.tell(change);
    }

    /// Changes the rules. The state stays, and the counts if the window keeps its shape; calls
    /// under way will not be counted, and a half-open batch starts anew. Name, mode, clock and
    /// listener of `builder` are not used.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`], and nothing has changed.
    pub fn reconfigure(&self, builder: Builder) -> Result<(), ConfigError> {
        builder.settings.check()?;
        let mut settings = builder.settings;
        let now = self.inner.now();
        let mut core = self.inner.core();
        if settings.ramp.is_none() {
            settings.ramp = core
                .settings
                .ramp
                .filter(|_| settings.probes <= core.settings.last_batch());
        }
        let ledger = self
            .inner
            .epoch
            .load()
            .ledger
            .under(&core.settings, &settings, now);
        core.settings = Arc::new(settings);
        let settings = Arc::clone(&core.settings);
        core.machine.restart_batch(&settings);
        self.inner.publish_with(&mut core, now, ledger);
        Ok(())
    }

    /// All there is to know about the breaker at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let inner = &*self.inner;
        let now = inner.now();
        let epoch = inner.epoch.load();
        let counts = epoch.ledger.recent.counts(now);
        let core = inner.core();
        let not_closed = core.not_closed
            + core
                .not_closed_since
                .map_or(0, |since| now.saturating_sub(since));
        let count = |what| inner.counters.get(what as usize);
        Snapshot {
            name: Arc::clone(&inner.name),
            state: core.machine.state(),
            mode: core.mode,
            forced_open: core.forced_open > 0,
            calls: counts.calls,
            failure_rate: counts.failure_rate(),
            slow_rate: counts.slow_rate(),
            consecutive_failures: epoch.ledger.streak(),
            attempt: core.machine.attempt,
            retry_after: match core.machine.phase {
                Phase::Open { until } => Some(Duration::from_nanos(until.saturating_sub(now))),
                _ => None,
            },
            trips: core.trips,
            time_not_closed: Duration::from_nanos(not_closed),
            answered: count(Count::Answered),
            faults: count(Count::Faults),
            neutral: count(Count::Neutral),
            abandoned: count(Count::Abandoned),
            slow: count(Count::Slow),
            discarded: count(Count::Discarded),
            rejected: count(Count::Rejected),
        }
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let epoch = self.inner.epoch.load();
        f.debug_struct("Breaker")
            .field("name", &self.inner.name)
            .field("state", &epoch.state)
            .field("mode", &epoch.mode)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn now(&self) -> u64 {
        nanos(self.clock.now())
    }

    fn count(&self, what: Count, n: u64) {
        self.counters.add(what as usize, n);
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        // Nothing in a critical section can panic half-way, so a poisoned lock is still sound.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admission when the breaker is not simply closed.
    fn admit(&self, now: u64) -> Result<Kind, Rejection> {
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
            None => match self.start_probe(now) {
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
    fn not_yet(&self, epoch: &Epoch, now: u64) -> Option<Rejection> {
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

    fn start_probe(&self, now: u64) -> Result<Kind, Rejection> {
        let mut core = self.core();
        let mut changes = self.expire(&mut core, now);
        let settings = Arc::clone(&core.settings);
        let kind = if core.machine.state() == State::Closed {
            // It closed while we came for the lock.
            Ok(self.epoch.load().start(now))
        } else {
            let (admission, change) = core.machine.admit(now, &settings);
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

    pub(super) fn abandon(&self, kind: Kind, started: u64) {
        if matches!(kind, Kind::Unrecorded) {
            return;
        }
        self.count(Count::Abandoned, 1);
        let held = self.now().saturating_sub(started);
        self.listener.abandoned(Duration::from_nanos(held));
        self.end(kind, started, Verdict::Neutral, None);
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
            Kind::Probe { generation, id } => self.end_probe(generation, id, now, elapsed, verdict),
        }
    }

    fn record(&self, epoch: &Epoch, now: u64, elapsed: u64, verdict: Verdict, counted: bool) {
        if epoch.mode == Mode::Disabled {
            return;
        }
        let (ledger, settings) = (&epoch.ledger, &epoch.settings);
        if verdict == Verdict::Fault && ledger.lumps(settings, now) {
            return;
        }
        let streak = ledger.count_in_a_row(verdict);
        let outcome = settings.outcome(verdict, elapsed).filter(|_| !counted);
        let counts = match outcome {
            Some(outcome) => {
                self.note_slow(u32::from(outcome.slow));
                ledger.recent.record(now, outcome)
            }
            None => ledger.recent.counts(now),
        };
        if let Some(reason) = settings.tripped(counts, streak) {
            self.trip(epoch, now, |machine, random| {
                machine.trip(now, reason, counts, settings, random)
            });
        }
    }

    /// Counts the calls that have reached the slow bound while running. True if there were any, and
    /// the epoch may have been superseded.
    fn sweep(&self, epoch: &Epoch, now: u64) -> bool {
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
            self.trip(epoch, now, |machine, random| {
                machine.trip(now, reason, counts, &epoch.settings, random)
            });
        }
        true
    }

    fn trip(&self, epoch: &Epoch, now: u64, trip: impl FnOnce(&mut Machine, f64) -> Change) {
        let mut core = self.core();
        if core.generation != epoch.generation || core.machine.state() != State::Closed {
            return; // another call was first
        }
        let random = core.random.f64();
        let change = trip(&mut core.machine, random);
        self.publish(&mut core, now);
        drop(core);
        self.tell([change]);
    }

    fn end_probe(&self, generation: u64, id: u64, now: u64, elapsed: u64, verdict: Verdict) {
        let mut core = self.core();
        let mut changes = self.expire(&mut core, now);
        let mut awaited = false;
        if core.generation == generation {
            let settings = Arc::clone(&core.settings);
            let outcome = settings.outcome(verdict, elapsed);
            let random = core.random.f64();
            let (known, change) = core.machine.settle(id, now, outcome, &settings, random);
            awaited = known;
            if known && outcome.is_some_and(|outcome| outcome.slow) {
                self.count(Count::Slow, 1);
            }
            if matches!(change, Some(Change::State(_))) {
                self.publish(&mut core, now);
            }
            changes.extend(change);
        }
        self.note_full(&core);
        drop(core);
        self.tell(changes);
        if !awaited {
            self.discard(verdict);
        }
    }

    /// Takes back the probes whose time is up.
    fn expire(&self, core: &mut Core, now: u64) -> Vec<Change> {
        let settings = Arc::clone(&core.settings);
        let mut changes = Vec::new();
        loop {
            let random = core.random.f64();
            let Some((outcome, change)) = core.machine.expire(now, &settings, random) else {
                return changes;
            };
            self.count(Count::Slow, u64::from(outcome.slow));
            if matches!(change, Some(Change::State(_))) {
                self.publish(core, now);
            }
            changes.extend(change);
        }
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
    fn publish(&self, core: &mut Core, now: u64) {
        let ledger = Arc::new(Ledger::new(&core.settings, now));
        self.publish_with(core, now, ledger);
    }

    fn publish_with(&self, core: &mut Core, now: u64, ledger: Arc<Ledger>) {
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
        self.epoch.store(Arc::new(core.epoch(ledger)));
    }

    /// Publishes a change that leaves state and counts alone.
    fn republish(&self, core: &Core) {
        let ledger = Arc::clone(&self.epoch.load().ledger);
        self.epoch.store(Arc::new(core.epoch(ledger)));
    }

    fn tell(&self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            match change {
                Change::State(transition) => self.listener.transition(&transition),
                Change::Ramp(places) => self.listener.ramp(places),
            }
        }
    }
}

impl Core {
    fn epoch(&self, ledger: Arc<Ledger>) -> Epoch {
        Epoch {
            generation: self.generation,
            state: self.machine.state(),
            open_until: match self.machine.phase {
                Phase::Open { until } => until,
                _ => 0,
            },
            mode: self.mode,
            forced_open: self.forced_open > 0,
            settings: Arc::clone(&self.settings),
            ledger,
        }
    }
}

/// Holds a breaker open for as long as it lives.
#[derive(Debug)]
#[must_use = "the breaker is held open only until this is dropped"]
pub struct ForcedOpen {
    breaker: Breaker,
}

impl Drop for ForcedOpen {
    fn drop(&mut self) {
        let inner = &self.breaker.inner;
        let mut core = inner.core();
        core.forced_open -= 1;
        inner.republish(&core);
    }
}
