//! The public handle of a breaker.

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

/// The background task has this many times `probe_timeout`, from the end of the open duration, to
/// start the probes. Callers start them from then on.
const PROBER_GRACE: u64 = 3;

/// A circuit breaker. Clones share one state.
///
/// The [module documentation](super) has the rules and the defaults.
#[derive(Clone)]
pub struct Breaker {
    inner: Arc<Inner>,
}

impl Breaker {
    /// Configures a breaker, starting from the defaults.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn from_checked(builder: Builder) -> Self {
        Self {
            inner: Arc::new(Inner::new(builder)),
        }
    }

    /// The name of the breaker, as in errors and events.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.inner.name
    }

    /// Requests a permit for one call. The caller settles it with the result of the call.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] if the breaker does not admit calls now.
    ///
    /// ```
    /// use fusepool::{Breaker, Verdict};
    ///
    /// let breaker = Breaker::builder().build()?;
    /// let permit = breaker.try_acquire().expect("the breaker is closed");
    /// permit.settle(Verdict::Success); // after the call
    /// assert_eq!(breaker.snapshot().successes, 1);
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
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

    /// Requests admission of a call that starts later. `None` while the breaker is closed: the
    /// caller then takes a permit with [`observe`](Self::observe) when the call starts, so that the
    /// wait does not count as part of the call.
    ///
    /// If `may_open_half` is false, a background task turns an open breaker half-open, and calls
    /// are rejected until then. That ends [`PROBER_GRACE`] after the open duration, because the
    /// runtime of that task may be stopped.
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
            .saturating_add(nanos(epoch.settings.probe_timeout).saturating_mul(PROBER_GRACE));
        if waits && !may_open_half && now < overdue && inner.probe_rejection(&epoch, now).is_none()
        {
            inner.count(Count::Rejected, 1);
            return Err(Rejection::HalfOpen {
                retry_after: epoch.settings.probe_timeout,
            });
        }
        drop(epoch);
        let permit = Permit::new(inner, inner.admit(now, false)?, now);
        if permit.is_counted() {
            permit.withdraw(); // the breaker closed in the meantime
            return Ok(None);
        }
        Ok(Some(permit))
    }

    /// Whether calls are admitted without taking the lock.
    pub(crate) fn passes(&self) -> bool {
        self.inner.passes.load(Ordering::Acquire)
    }

    /// Whether the breaker is held open, or open and enforcing. A call would then be rejected or
    /// become the first probe.
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

    /// The interval at which a pending call checks for a stall.
    pub(crate) fn stall_check_interval(&self) -> Duration {
        let settings = &self.inner.epoch.load().settings;
        settings
            .stall_after()
            .unwrap_or(settings.slow_call_threshold)
    }

    /// The number of calls in the queue for a connection. The gate maintains it.
    pub(crate) fn waiting(&self) -> &AtomicU32 {
        &self.inner.waiting
    }

    /// Records that a call without a permit, in the queue since `began`, still waits or was given
    /// up, and checks for a stall. Such a call does not count while all connections are handed out
    /// and no statement on them is long-running: it then waits for other callers, not for the
    /// backend.
    pub(crate) fn still_waits(&self, began: u64, given_up: bool, all_handed_out: bool) {
        let waits_for_holders = all_handed_out && self.inner.epoch.load().ledger.demand.is_quick();
        if !waits_for_holders {
            self.inner.unanswered(None, began, given_up);
        }
    }

    pub(crate) fn open_duration(&self) -> Duration {
        self.inner.epoch.load().settings.open_duration
    }

    /// Returns a permit for a call that is made in any case, such as the next statement of an open
    /// transaction. The call is never rejected and is never a probe. Its result counts in the window
    /// while the breaker is closed, and otherwise only in the totals of the [`Snapshot`].
    pub fn observe(&self) -> Permit<'_> {
        let inner = &*self.inner;
        let now = inner.now();
        let mut epoch = inner.epoch.load();
        if inner.sweep(&epoch, now) {
            epoch = inner.epoch.load();
        }
        Permit::new(inner, epoch.observe(now), now)
    }

    /// Makes a call. Every `Err` counts as a failure. A panic counts as a failure, too, and
    /// propagates.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] if the call was not made, [`CallError::Failed`] with its error.
    pub fn call<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>> {
        self.call_with(|_| Class::Failure, call)
    }

    /// Makes a call whose `Err`s count as `classify` says. A panic counts as a failure and
    /// propagates.
    ///
    /// ```
    /// use fusepool::{Breaker, Class};
    ///
    /// let breaker = Breaker::builder().build()?;
    /// let classify = |_: &std::num::ParseIntError| Class::Success; // an answer, though an error
    /// let answer = breaker.call_with(classify, || "x".parse::<u32>());
    /// assert!(answer.is_err());
    /// assert_eq!(breaker.snapshot().failures, 0);
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
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

    /// Whether any call succeeded at `time`, in nanoseconds on the breaker's clock, or later.
    pub(crate) fn answered_since(&self, time: u64) -> bool {
        self.inner.epoch.load().ledger.demand.answered_since(time)
    }

    /// The current state. Time alone does not change it: after the open duration, the breaker stays
    /// open until the next call arrives.
    #[must_use]
    pub fn state(&self) -> State {
        self.inner.epoch.load().state
    }

    /// The reason why a call would be rejected now, without requesting a permit; `None` if it may be
    /// admitted. It is not counted as a rejected call.
    #[must_use]
    pub fn rejection(&self) -> Option<Rejection> {
        let epoch = self.inner.epoch.load();
        match epoch.mode {
            _ if epoch.forced_open => Some(Rejection::ForcedOpen),
            Mode::Enforce if !epoch.admits() => {
                self.inner.probe_rejection(&epoch, self.inner.now())
            }
            _ => None,
        }
    }

    /// The time until a probe may start, in every mode; `None` if one may start now. While the
    /// breaker is disabled or held open, this is the open duration, after which to ask again.
    pub(crate) fn until_probe(&self) -> Option<Duration> {
        let epoch = self.inner.epoch.load();
        if epoch.forced_open || epoch.mode == Mode::Disabled {
            return Some(epoch.settings.open_duration);
        }
        let rejection = self.inner.probe_rejection(&epoch, self.inner.now())?;
        rejection.retry_after()
    }

    /// [`rejection`](Self::rejection), counted as a rejected call.
    pub(crate) fn count_rejection(&self) -> Option<Rejection> {
        let rejection = self.rejection();
        self.inner
            .count(Count::Rejected, u64::from(rejection.is_some()));
        rejection
    }

    /// The current mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.inner.epoch.load().mode
    }

    /// Changes the mode. The state and the counts are kept.
    pub fn set_mode(&self, mode: Mode) {
        self.inner.operate(|core| core.mode = mode);
    }

    /// Holds the breaker open, in every mode, until this handle and all others are dropped. The
    /// breaker then continues in its previous state. In a pool, callers in the queue are refused,
    /// too.
    ///
    /// ```
    /// use fusepool::Breaker;
    ///
    /// let breaker = Breaker::builder().build()?;
    /// let maintenance = breaker.force_open();
    /// assert!(breaker.try_acquire().is_err());
    /// drop(maintenance);
    /// assert!(breaker.try_acquire().is_ok());
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    pub fn force_open(&self) -> ForcedOpen {
        self.inner.operate(|core| core.forced_open += 1);
        ForcedOpen {
            breaker: self.clone(),
        }
    }

    /// Closes the breaker and empties its window. The results of calls in progress are discarded.
    pub fn reset(&self) {
        let now = self.inner.now();
        let mut core = self.inner.core();
        let change = core.machine.reset();
        self.inner.publish(&mut core, now);
        drop(core);
        self.inner.report(change);
    }

    /// Changes the rules at run time.
    ///
    /// The state and the consecutive failures are kept; the window is kept if its shape is the
    /// same. The results of calls in progress are discarded, and a half-open batch starts again.
    /// The ramp is kept if `builder` sets none. The name, mode, clock and observer of `builder` are
    /// ignored.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first field whose value breaks a rule. Nothing has changed then.
    ///
    /// ```
    /// use fusepool::Breaker;
    ///
    /// let breaker = Breaker::builder().build()?;
    /// breaker.reconfigure(Breaker::builder().failure_rate(0.3))?;
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
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
            .reconfigured(&core.settings, &settings, now);
        core.settings = Arc::new(settings);
        let settings = Arc::clone(&core.settings);
        core.machine.restart_batch(&settings);
        self.inner.publish_with(&mut core, now, ledger);
        drop(core);
        self.inner.emit(&Event::Reconfigured);
        Ok(())
    }

    /// The state, the rates and the counts of the breaker at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let inner = &*self.inner;
        // No epoch is stored while the lock is held, so state and counts are of one generation.
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
    /// Builds the breaker. Its state is closed.
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

/// Holds a breaker open until it is dropped. Returned by [`Breaker::force_open`].
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
