//! The breaker as its users hold it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::builder::Builder;
use super::clock::{Clock, nanos};
use super::config::ConfigError;
use super::error::{CallError, Rejection};
use super::event::Event;
use super::machine::Phase;
use super::permit::Permit;
use super::shell::Inner;
use super::snapshot::{Count, Snapshot};
use super::state::{Mode, State};
use super::verdict::{Class, Verdict};

/// How many times `probe_timeout` a background task has after the delay to begin its probes.
const PATIENCE: u64 = 3;

/// A circuit breaker. Clones share one state.
///
/// See the [module documentation](super) for the rules and defaults.
#[derive(Clone)]
pub struct Breaker {
    inner: Arc<Inner>,
}

impl Breaker {
    /// Starts to configure a breaker.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn from_checked(builder: Builder) -> Self {
        Self {
            inner: Arc::new(Inner::new(builder)),
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
            inner.admit(now, true)?
        };
        Ok(Permit::new(inner, kind, now))
    }

    /// Asks to make one call that will only start later, and will be observed then; while closed
    /// that takes no permit, so that the time until it starts is not taken for the call's. With
    /// `may_open_half` false, somebody else sees to it that an open breaker turns half-open; but
    /// not for ever, for that may be a task on a runtime that nobody drives any more.
    pub(crate) fn ticket(&self, may_open_half: bool) -> Result<Option<Permit<'_>>, Rejection> {
        let inner = &*self.inner;
        let now = inner.now();
        let mut epoch = inner.epoch.load();
        if inner.sweep(&epoch, now) {
            epoch = inner.epoch.load();
        }
        if epoch.admits() {
            return Ok(None);
        }
        let waits = !epoch.forced_open && epoch.state == State::Open && epoch.mode == Mode::Enforce;
        let overdue = (epoch.open_until)
            .saturating_add(nanos(epoch.settings.probe_timeout).saturating_mul(PATIENCE));
        if waits && !may_open_half && now < overdue && inner.not_yet(&epoch, now).is_none() {
            inner.count(Count::Rejected, 1);
            return Err(Rejection::HalfOpen {
                retry_after: epoch.settings.probe_timeout,
            });
        }
        drop(epoch);
        let permit = Permit::new(inner, inner.admit(now, false)?, now);
        if permit.is_counted() {
            permit.withdraw(); // it closed meanwhile
            return Ok(None);
        }
        Ok(Some(permit))
    }

    /// Calls pass, and there is nothing else to ask.
    pub(crate) fn passes(&self) -> bool {
        self.inner.passes.load(Ordering::Acquire)
    }

    /// An open breaker would reject calls now, or wants the next one for a probe.
    pub(crate) fn rejects(&self) -> bool {
        if self.passes() {
            return false;
        }
        let epoch = self.inner.epoch.load();
        epoch.forced_open || (epoch.state == State::Open && epoch.mode == Mode::Enforce)
    }

    pub(crate) fn rejections(&self) -> u64 {
        self.inner.counters.get(Count::Rejected as usize)
    }

    pub(crate) fn probe_timeout(&self) -> Duration {
        self.inner.epoch.load().settings.probe_timeout
    }

    /// How often who waits for an answer looks whether anybody gets one.
    pub(crate) fn look_interval(&self) -> Duration {
        let settings = &self.inner.epoch.load().settings;
        settings
            .stall_after()
            .unwrap_or(settings.slow_call_threshold)
    }

    /// How many calls wait for what they need before they start; for whoever makes them wait to count.
    pub(crate) fn waiting(&self) -> &AtomicU32 {
        &self.inner.waiting
    }

    /// A call that began to wait at `began`, and has no permit, still waits, or was given up. Where all
    /// connections are handed out, and no statement on them hangs, it waits for their holders, and not
    /// for the backend.
    pub(crate) fn still_waits(&self, began: u64, given_up: bool, all_handed_out: bool) {
        let waits_for_holders = all_handed_out && self.inner.epoch.load().ledger.demand.is_quick();
        if !waits_for_holders {
            self.inner.unanswered(None, began, given_up);
        }
    }

    pub(crate) fn open_duration(&self) -> Duration {
        self.inner.epoch.load().settings.open_duration
    }

    /// A permit for a call that is made in any case, such as the next statement of an open
    /// transaction: never rejected, counted while the breaker is closed.
    pub fn observe(&self) -> Permit<'_> {
        let inner = &*self.inner;
        let now = inner.now();
        let mut epoch = inner.epoch.load();
        if inner.sweep(&epoch, now) {
            epoch = inner.epoch.load();
        }
        Permit::new(inner, epoch.observe(now), now)
    }

    /// Makes a call; every `Err` of it is a failure. A panic in it is one, too, and goes on.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] if the call was not made, [`CallError::Failed`] with its error.
    pub fn call<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>> {
        self.call_with(|_| Class::Failure, call)
    }

    /// Makes a call; `classify` says what its `Err`s mean.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] if the call was not made, [`CallError::Failed`] with its error.
    pub fn call_with<T, E>(
        &self,
        classify: impl FnOnce(&E) -> Class,
        call: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, CallError<E>> {
        let permit = self.try_acquire()?;
        match call() {
            Ok(value) => {
                permit.settle(Verdict::Success);
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

    /// How long until a probe may start, whatever the mode does with ordinary calls; `None` if one
    /// may start now.
    pub(crate) fn until_probe(&self) -> Option<Duration> {
        let epoch = self.inner.epoch.load();
        if epoch.forced_open || epoch.mode == Mode::Disabled {
            return Some(epoch.settings.open_duration);
        }
        let rejection = self.inner.not_yet(&epoch, self.inner.now())?;
        rejection.retry_after()
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
        self.inner.operate(|core| core.mode = mode);
    }

    /// Holds the breaker open, in every mode, until this handle and all others are dropped. Then
    /// it goes on in the state it had. In a pool, those who wait for a connection are refused, too.
    pub fn force_open(&self) -> ForcedOpen {
        self.inner.operate(|core| core.forced_open += 1);
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
    /// under way will not be counted, and a half-open batch starts anew. A ramp that `builder`
    /// does not set stays. Name, mode, clock and observer of `builder` are not used.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`], and nothing has changed.
    pub fn reconfigure(&self, builder: Builder) -> Result<(), ConfigError> {
        builder.settings.check()?;
        let mut settings = builder.settings;
        let now = self.inner.now();
        let mut core = self.inner.core();
        settings.ramp = settings.ramp.or(core.settings.ramp);
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
        drop(core);
        self.inner.emit(&Event::Reconfigured);
        Ok(())
    }

    /// All there is to know about the breaker at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let inner = &*self.inner;
        // Under the lock nothing is published: state and counts are of one generation.
        let core = inner.core();
        let now = inner.now();
        let epoch = inner.epoch.load();
        let counts = epoch.ledger.recent.counts(now);
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
            slow_call_rate: counts.slow_call_rate(),
            consecutive_failures: epoch.ledger.streak(),
            attempt: core.machine.attempt,
            retry_after: match core.machine.phase {
                Phase::Open { until } => Some(Duration::from_nanos(until.saturating_sub(now))),
                _ => None,
            },
            trips: core.trips,
            time_not_closed: Duration::from_nanos(not_closed),
            successes: count(Count::Successes),
            failures: count(Count::Failures),
            ignored: count(Count::Ignored),
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

impl Builder {
    /// Builds the breaker, closed.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first field whose value breaks a rule.
    pub fn build(self) -> Result<Breaker, ConfigError> {
        self.check()?;
        Ok(Breaker::from_checked(self))
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

/// Holds a breaker open for as long as it lives.
#[derive(Debug)]
#[must_use = "the breaker is held open only until this is dropped"]
pub struct ForcedOpen {
    breaker: Breaker,
}

impl Drop for ForcedOpen {
    fn drop(&mut self) {
        self.breaker.inner.operate(|core| core.forced_open -= 1);
    }
}
