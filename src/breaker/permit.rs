//! The permit to make one call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::demand::LongRunning;
use super::epoch::Kind;
use super::shell::Inner;
use super::verdict::{Class, Verdict};

/// A permit to make one call. It is settled once, with the verdict on the call.
///
/// A permit that is dropped unsettled is *abandoned*: its caller gave the call up. That is neither
/// a success nor a failure, but a call that had run for `slow_call_threshold` counts as slow, and
/// many abandoned calls without a success are a [stall](super::Builder::stall_after). A permit that
/// is dropped by a panic is a failure.
///
/// [`Breaker::try_acquire`](super::Breaker::try_acquire) has an example.
#[must_use = "a permit that is dropped counts as an abandoned call"]
pub struct Permit<'breaker> {
    breaker: &'breaker Inner,
    kind: Kind,
    started: u64,
    settled: bool,
    /// The call has a deadline of its own, and may take long: it never counts as pending.
    has_own_deadline: bool,
    /// A server that can do nothing else would answer the call, too.
    is_trivial: bool,
}

/// A probe slot that is reserved for a later call. [`Breaker::resume`](super::Breaker::resume) starts
/// that call.
#[derive(Debug)]
pub(crate) struct ProbeSlot(pub(super) Kind);

impl<'breaker> Permit<'breaker> {
    pub(super) fn new(breaker: &'breaker Inner, kind: Kind, started: u64) -> Self {
        Self {
            breaker,
            kind,
            started,
            settled: false,
            has_own_deadline: false,
            is_trivial: false,
        }
    }

    /// Whether the call is a probe of a half-open breaker.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        matches!(self.kind, Kind::Probe { .. })
    }

    /// Whether the call counts in the window of a closed breaker.
    pub(super) fn is_counted(&self) -> bool {
        matches!(self.kind, Kind::Counted { .. })
    }

    /// The start of the call, in nanoseconds on the breaker's clock.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// Marks the call as one with a deadline of its own. It then never counts as pending.
    pub(crate) fn set_own_deadline(&mut self) {
        self.has_own_deadline = true;
    }

    /// Marks the call as one whose success is no evidence of health, such as a `BEGIN`. It shows that
    /// the backend answers, but as a success it would hide the failures of the statements after it.
    pub(crate) fn set_trivial(&mut self) {
        self.is_trivial = true;
    }

    /// Keeps the probe slot of this permit for a later call. A permit that is no probe is withdrawn.
    pub(crate) fn reserve(mut self) -> Option<ProbeSlot> {
        if !self.is_probe() {
            self.withdraw();
            return None;
        }
        self.settled = true;
        Some(ProbeSlot(self.kind))
    }

    /// Counts the call as a long-running one until the guard is dropped. `None` if it has a
    /// deadline of its own or its generation is over.
    pub(crate) fn running(&self) -> Option<LongRunning> {
        let generation = self.kind.generation()?;
        let epoch = self.breaker.epoch.load();
        let counts = !self.has_own_deadline && generation >= epoch.counts_from;
        counts.then(|| epoch.ledger.demand.running())
    }

    /// Records that the call has no answer yet, and checks for a stall.
    pub(crate) fn is_unanswered(&self) {
        if !self.has_own_deadline
            && let Some(generation) = self.kind.generation()
        {
            (self.breaker).unanswered(Some(generation), self.started, false);
        }
    }

    /// Cancels the permit of a call that is not made after all. Nothing is counted, and a probe
    /// frees its slot.
    ///
    /// ```
    /// use fusepool::Breaker;
    ///
    /// let breaker = Breaker::builder().build()?;
    /// let permit = breaker.try_acquire().expect("the breaker is closed");
    /// permit.withdraw(); // the answer was found elsewhere
    /// assert_eq!(breaker.snapshot().window.calls, 0);
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    pub fn withdraw(mut self) {
        self.settled = true;
        self.breaker.withdraw(self.kind);
    }

    /// Settles the permit: the call ended now.
    pub fn settle(mut self, verdict: Verdict) {
        if self.is_trivial && verdict == Verdict::Success {
            return self.settle_trivial();
        }
        self.settled = true;
        self.breaker.settle(self.kind, self.started, verdict, None);
    }

    /// Settles the permit of a ping that was answered after this time. It says nothing about how long
    /// the calls of the service take.
    pub(crate) fn settle_ping(self, took: Duration) {
        self.breaker.normal.leave_out();
        self.settle_after(Verdict::Success, took);
    }

    /// Settles the permit of a call that took this long, whatever the clock says.
    ///
    /// ```
    /// use fusepool::{Breaker, Verdict};
    /// use std::time::Duration;
    ///
    /// let breaker = Breaker::builder().slow_call_threshold(Duration::from_secs(1)).build()?;
    /// let permit = breaker.try_acquire().expect("the breaker is closed");
    /// permit.settle_after(Verdict::Success, Duration::from_secs(3)); // as the driver measured it
    /// assert_eq!(breaker.snapshot().totals.slow, 1);
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    pub fn settle_after(mut self, verdict: Verdict, took: Duration) {
        self.settled = true;
        (self.breaker).settle(self.kind, self.started, verdict, Some(took));
    }

    /// Settles the permit of a call that succeeded, but that a server which can do nothing else would
    /// answer, too, such as a `BEGIN`. It shows that the backend is alive. It is not in the window, where it would hide
    /// that all other calls fail, unless it was slow. A probe succeeds.
    pub(crate) fn settle_trivial(mut self) {
        self.settled = true;
        self.breaker.settle_trivial(self.kind, self.started);
    }

    /// Settles the permit: the call ended now, with an error of this class. [`Class::Starved`]
    /// counts as a failure, and [`Class::Slow`] as a slow success. [`Class::ReadOnly`] is an answer
    /// that leaves it open whether the server is well: it is in no window, and a probe is undecided.
    ///
    /// ```
    /// use fusepool::{Breaker, Class};
    /// use std::time::Duration;
    ///
    /// let breaker = Breaker::builder().slow_call_threshold(Duration::from_secs(1)).build()?;
    /// let permit = breaker.try_acquire().expect("the breaker is closed");
    /// permit.settle_class(Class::Slow); // the server ended the statement by its own timeout
    /// assert_eq!(breaker.snapshot().totals.slow, 1);
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    pub fn settle_class(self, class: Class) {
        match class {
            Class::Failure | Class::FailureAndClose | Class::Starved => {
                self.settle(Verdict::Failure)
            }
            Class::Slow => self.settle_after(Verdict::Success, Duration::MAX),
            Class::Success => self.settle(Verdict::Success),
            Class::ReadOnly if !self.is_probe() => self.settle_trivial(),
            Class::Ignored | Class::Denied | Class::ReadOnly => self.settle(Verdict::Ignored),
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if std::thread::panicking() {
            (self.breaker).settle(self.kind, self.started, Verdict::Failure, None);
        } else {
            self.breaker
                .abandon(self.kind, self.started, self.has_own_deadline);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("is_probe", &self.is_probe())
            .finish_non_exhaustive()
    }
}

/// A [`Permit`] without a borrow of its breaker, from
/// [`Breaker::try_acquire_owned`](super::Breaker::try_acquire_owned).
///
/// Dropping it unsettled has the same effect as dropping a [`Permit`].
#[must_use = "a permit that is dropped counts as an abandoned call"]
pub struct OwnedPermit {
    breaker: Arc<Inner>,
    kind: Kind,
    started: u64,
    settled: bool,
}

impl OwnedPermit {
    /// Takes over from a new permit of the same breaker.
    pub(super) fn new(breaker: Arc<Inner>, mut permit: Permit<'_>) -> Self {
        permit.settled = true;
        Self {
            breaker,
            kind: permit.kind,
            started: permit.started,
            settled: false,
        }
    }

    /// The permit itself, which settles the call from here on.
    fn take(&mut self) -> Permit<'_> {
        self.settled = true;
        Permit::new(&self.breaker, self.kind, self.started)
    }

    /// Whether the call is a probe of a half-open breaker.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        matches!(self.kind, Kind::Probe { .. })
    }

    /// See [`Permit::withdraw`].
    pub fn withdraw(mut self) {
        self.take().withdraw();
    }

    /// See [`Permit::settle`].
    pub fn settle(mut self, verdict: Verdict) {
        self.take().settle(verdict);
    }

    /// See [`Permit::settle_after`].
    pub fn settle_after(mut self, verdict: Verdict, took: Duration) {
        self.take().settle_after(verdict, took);
    }

    /// See [`Permit::settle_class`].
    pub fn settle_class(mut self, class: Class) {
        self.take().settle_class(class);
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        if !self.settled {
            drop(self.take());
        }
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit")
            .field("is_probe", &self.is_probe())
            .finish_non_exhaustive()
    }
}
