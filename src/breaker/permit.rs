//! Leave to make one call.

use std::fmt;
use std::time::Duration;

use super::demand::LongRunning;
use super::epoch::Kind;
use super::shell::Inner;
use super::verdict::{Class, Verdict};

/// Leave to make one call, to be settled once with what came of it.
///
/// A permit that is dropped unsettled is *abandoned*: the call was given up, which says nothing
/// about the backend, unless it had already run for `slow_call_threshold`. Dropped by a panic, it is a failure.
#[must_use = "a permit that is dropped counts as an abandoned call"]
pub struct Permit<'breaker> {
    breaker: &'breaker Inner,
    kind: Kind,
    started: u64,
    settled: bool,
    /// The call has a deadline of its own.
    is_patient: bool,
}

impl<'breaker> Permit<'breaker> {
    pub(super) fn new(breaker: &'breaker Inner, kind: Kind, started: u64) -> Self {
        Self {
            breaker,
            kind,
            started,
            settled: false,
            is_patient: false,
        }
    }

    /// The call is a probe of a half-open breaker.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        matches!(self.kind, Kind::Probe { .. })
    }

    /// The call counts into the window of a closed breaker.
    pub(super) fn is_counted(&self) -> bool {
        matches!(self.kind, Kind::Counted { .. })
    }

    /// When it started, on the breaker's clock.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// The call has a deadline of its own, and may take long: that it is not answered tells nothing.
    pub(crate) fn set_patient(&mut self) {
        self.is_patient = true;
    }

    /// The call has been running for a while; `None` if that does not count, or not any more.
    pub(crate) fn running(&self) -> Option<LongRunning> {
        let generation = self.kind.generation()?;
        let epoch = self.breaker.epoch.load();
        let counts = !self.is_patient && epoch.generation == generation;
        counts.then(|| epoch.ledger.demand.running())
    }

    /// The call has no answer yet.
    pub(crate) fn is_unanswered(&self) {
        if !self.is_patient
            && let Some(generation) = self.kind.generation()
        {
            (self.breaker).unanswered(Some(generation), self.started, false);
        }
    }

    /// A probe that was given its place ahead of time starts only now.
    pub(crate) fn restart(&mut self) {
        self.restart_in(Duration::ZERO);
    }

    /// A probe starts after another one, which takes `probe_timeout` at most.
    pub(crate) fn restart_after_another(&mut self) {
        self.restart_in(self.breaker.epoch.load().settings.probe_timeout);
    }

    fn restart_in(&mut self, delay: Duration) {
        if self.is_probe() {
            self.started = self.breaker.restart(self.kind, delay);
        }
    }

    /// The call is not made after all: it counts as none, and a probe's place goes to another.
    pub fn withdraw(mut self) {
        self.settled = true;
        self.breaker.withdraw(self.kind);
    }

    /// The call ended now.
    pub fn settle(mut self, verdict: Verdict) {
        self.settled = true;
        self.breaker.settle(self.kind, self.started, verdict, None);
    }

    /// The call ended, and took this long, whatever the clock says.
    pub fn settle_after(mut self, verdict: Verdict, took: Duration) {
        self.settled = true;
        (self.breaker).settle(self.kind, self.started, verdict, Some(took));
    }

    /// The call ended now, with an error of this class. [`Class::Starved`] counts as a failure.
    pub fn settle_class(self, class: Class) {
        match class {
            Class::Failure | Class::FailureAndClose | Class::Starved => {
                self.settle(Verdict::Failure)
            }
            Class::Slow => self.settle_after(Verdict::Success, Duration::MAX),
            Class::Success => self.settle(Verdict::Success),
            Class::Ignored => self.settle(Verdict::Ignored),
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
                .abandon(self.kind, self.started, self.is_patient);
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
