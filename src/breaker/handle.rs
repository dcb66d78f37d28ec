//! The public handle of a breaker.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::builder::Builder;
use super::clock::nanos;
use super::config::ConfigError;
#[cfg(feature = "cache")]
use super::demand::LongRunning;
use super::error::{CallError, Rejection};
use super::permit::{OwnedPermit, Permit, ProbeSlot};
use super::settings::Ramp;
use super::shell::Inner;
use super::snapshot::Count;
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
    pub(super) inner: Arc<Inner>,
}

impl Breaker {
    /// Configures a breaker, starting from the defaults.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Configures a circuit breaker with the two settings of the textbook (Michael Nygard, *Release
    /// It!*): it opens at this many consecutive failures, and after `timeout` one call at a time is
    /// tried. If that call succeeds, the breaker closes; if it fails, the breaker is open for
    /// `timeout` again.
    ///
    /// No other rule is set: no rate, slow call or [stall](Builder::stall_after) opens it, there is no
    /// ramp, and the open duration neither grows nor varies. A trial call that exceeds
    /// [`probe_timeout`](Builder::probe_timeout) no longer keeps other calls from being tried.
    ///
    /// ```
    /// use fusepool::Breaker;
    /// use std::time::Duration;
    ///
    /// let breaker = Breaker::classic(5, Duration::from_secs(30)).name("geocoder").build()?;
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn classic(failures: u32, timeout: Duration) -> Builder {
        Self::builder()
            .consecutive_failures(failures)
            .failure_rate(None)
            .slow_call_rate(None)
            .stall_after(None)
            .open_duration(timeout)
            .open_duration_multiplier(1.0)
            .max_open_duration(timeout)
            .jitter(0.0)
            .half_open_probes(1)
            .ramp(Ramp::Off)
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
    /// assert_eq!(breaker.snapshot().totals.successes, 1);
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    pub fn try_acquire(&self) -> Result<Permit<'_>, Rejection> {
        let inner = &*self.inner;
        let now = inner.now();
        if let Some(rejection) = inner.rejection_at(now) {
            return Err(rejection);
        }
        let epoch = inner.epoch.load();
        let kind = if epoch.admits() && !inner.sweep(&epoch, now) {
            epoch.start(now)
        } else {
            drop(epoch);
            inner.admit(now, true)?
        };
        Ok(Permit::new(inner, kind, now))
    }

    /// [`try_acquire`](Self::try_acquire) for a call that outlives the borrow of this handle, for
    /// instance in a task or in the body of a response.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] if the breaker does not admit calls now.
    ///
    /// ```
    /// use fusepool::{Breaker, Verdict};
    ///
    /// let breaker = Breaker::builder().build()?;
    /// let permit = breaker.try_acquire_owned().expect("the breaker is closed");
    /// let call = std::thread::spawn(move || permit.settle(Verdict::Success));
    /// call.join().expect("no panic");
    /// assert_eq!(breaker.snapshot().totals.successes, 1);
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    pub fn try_acquire_owned(&self) -> Result<OwnedPermit, Rejection> {
        let permit = self.try_acquire()?;
        Ok(OwnedPermit::new(Arc::clone(&self.inner), permit))
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
    #[inline]
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

    /// The interval at which a pending call checks for a stall: a quarter of the time that makes one.
    pub(crate) fn stall_check_interval(&self) -> Duration {
        let settings = &self.inner.epoch.load().settings;
        let stall_after = settings.stall_after();
        stall_after.unwrap_or(settings.usual_limit()) / 4
    }

    /// The time that a caller with something else to serve waits for an answer: that which makes a stall,
    /// or would, if the rule were enabled.
    #[cfg(feature = "cache")]
    pub(crate) fn stall_patience(&self) -> Duration {
        let settings = &self.inner.epoch.load().settings;
        settings.stall_after().unwrap_or(settings.usual_limit())
    }

    /// Counts a caller that waits for the call of another one, until the guard is dropped.
    #[cfg(feature = "cache")]
    pub(crate) fn pending(&self) -> LongRunning {
        self.inner.epoch.load().ledger.demand.running()
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
            // It may be the caller for whom a connection is opened, which can take long.
            let connecting = self.inner.connecting.load(Ordering::Relaxed);
            let began = began.saturating_add(connecting);
            self.inner.unanswered(None, began, given_up);
        }
    }

    /// Records the time that it took to open a connection.
    pub(crate) fn connecting_took(&self, elapsed: Duration) {
        let connecting = nanos(elapsed);
        self.inner.connecting.store(connecting, Ordering::Relaxed);
    }

    /// Sets the deadline of calls: its setter and its value.
    pub(crate) fn set_deadline(&self, deadline: (&'static str, Duration)) {
        let mut current = (self.inner.deadline.lock()).unwrap_or_else(PoisonError::into_inner);
        *current = Some(deadline);
    }

    /// Sets whether the backend is asked when a stall is near.
    pub(crate) fn set_asked(&self, is_asked: bool) {
        self.inner.is_asked.store(is_asked, Ordering::Relaxed);
    }

    /// The time that the backend has to answer then.
    pub(crate) fn time_to_answer(&self) -> Duration {
        Duration::from_nanos(self.inner.time_to_answer(&self.inner.epoch.load()))
    }

    pub(crate) fn probe_interval(&self) -> Duration {
        self.inner.epoch.load().settings.probe_interval
    }

    /// Whether the breaker is open by its own rules, and not only held open.
    pub(crate) fn is_recovering(&self) -> bool {
        let epoch = self.inner.epoch.load();
        epoch.state == State::Open && !epoch.forced_open && epoch.mode != Mode::Disabled
    }

    /// Whether the open duration ended this long ago. A background probe postpones its end.
    pub(crate) fn is_overdue(&self, grace: Duration) -> bool {
        let until = self.inner.epoch.load().open_until;
        self.rejects()
            && self.is_recovering()
            && self.inner.now() >= until.saturating_add(nanos(grace))
    }

    /// Whether the breaker is half-open, and no probe is in progress.
    pub(crate) fn is_idle(&self) -> bool {
        self.inner.core().machine.is_idle()
    }

    /// Turns an open breaker half-open, because the backend answered a background probe.
    pub(crate) fn half_open(&self) {
        self.inner.half_open();
    }

    /// Extends the open duration until the next background probe, `interval` from now. Adds jitter
    /// to the interval, and returns it.
    pub(crate) fn postpone_probes(&self, interval: Duration) -> Duration {
        self.inner.postpone(interval)
    }

    /// Starts the call for which a probe slot was reserved. `None` if its batch is over.
    pub(crate) fn resume(&self, slot: ProbeSlot) -> Option<Permit<'_>> {
        let (inner, ProbeSlot(kind)) = (&*self.inner, slot);
        let now = inner.now();
        (inner.restart(kind, now)).then(|| Permit::new(inner, kind, now))
    }

    /// Records that the backend answers, without a call that counts.
    pub(crate) fn is_alive(&self) {
        self.inner.is_alive();
    }

    /// Takes the time out in which the process stands still. The gate promises to read the time at
    /// each beat while a call is in progress.
    pub(crate) fn watch_lateness(&self) {
        if self.inner.clock.is_real() {
            self.inner.lateness.watch();
        }
    }

    /// Whether the process stood still within the last `limit`.
    pub(crate) fn was_late_within(&self, limit: Duration) -> bool {
        let now = self.inner.now();
        self.inner.lateness.was_late_within(nanos(limit), now)
    }

    /// The time on the breaker's clock, in nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        self.inner.now()
    }

    /// Frees a reserved probe slot.
    pub(crate) fn free(&self, slot: ProbeSlot) {
        let ProbeSlot(kind) = slot;
        self.inner.withdraw(kind);
    }

    /// Returns a permit for a call that is made in any case, such as the next statement of an open
    /// transaction. The call is never rejected and is never a probe. Its result counts in the window
    /// while the breaker is closed, and otherwise only in the [`Totals`](super::Totals).
    ///
    /// ```
    /// use fusepool::{Breaker, Verdict};
    ///
    /// let breaker = Breaker::builder().build()?;
    /// let held = breaker.force_open();
    /// breaker.observe().settle(Verdict::Success); // a `COMMIT` is sent in any case
    /// assert_eq!(breaker.snapshot().totals.successes, 1);
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
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
    /// ```
    /// use fusepool::Breaker;
    /// use fusepool::breaker::CallError;
    ///
    /// let breaker = Breaker::builder().build()?;
    /// match breaker.call(|| std::fs::read_to_string("/nonexistent")) {
    ///     Ok(text) => println!("{text}"),
    ///     Err(CallError::Refused(rejection)) => println!("retry in {:?}", rejection.retry_after()),
    ///     Err(CallError::Failed(error)) => println!("{error}"),
    /// }
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
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
    /// assert_eq!(breaker.snapshot().totals.failures, 0);
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

    /// Whether the backend answered at `time`, in nanoseconds on the breaker's clock, or later.
    pub(crate) fn answered_since(&self, time: u64) -> bool {
        self.inner.epoch.load().ledger.demand.answered_since(time)
    }

    /// The current state. Time alone does not change it: after the open duration, the breaker stays
    /// open until the next call arrives.
    #[must_use]
    pub fn state(&self) -> State {
        let epoch = self.inner.epoch.load();
        match epoch.forced_open {
            true => State::ForcedOpen,
            false => epoch.state,
        }
    }

    /// The reason why a call would be rejected now, without requesting a permit; `None` if it may be
    /// admitted. It is not counted as a rejected call.
    ///
    /// ```
    /// use fusepool::Breaker;
    ///
    /// let breaker = Breaker::builder().build()?;
    /// let is_ready = || breaker.rejection().is_none(); // for the readiness check of a service
    /// assert!(is_ready());
    /// let _held = breaker.force_open();
    /// assert!(!is_ready());
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
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
        f.debug_struct("Breaker")
            .field("name", &self.inner.name)
            .field("state", &self.state())
            .field("mode", &self.mode())
            .finish_non_exhaustive()
    }
}
