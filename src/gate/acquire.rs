//! Acquires a connection, in the queue if necessary.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::admission::turned_away;
use super::at_once::at_once;
use super::reporter::run;
use super::run::Deadline;
use super::unless::unless;
use super::{Count, Gate};
use crate::breaker::clock::nanos;
use crate::breaker::permit::{Permit, ProbeSlot};
use crate::breaker::verdict::{Class, Verdict};
use crate::outcome::error::{Awaited, GateError, Refused};
use crate::telemetry::event::Event;

impl Gate {
    /// Acquires a connection with `connect`, within `limit`. If the breaker is half-open, the first
    /// statement on the connection is a probe, in the slot that this returns.
    pub(crate) async fn acquire<T, E>(
        &self,
        limit: Duration,
        is_full: impl Fn() -> bool + Sync,
        classify: impl FnOnce(&E) -> Class,
        mut connect: Pin<&mut impl Future<Output = Result<T, E>>>,
    ) -> Result<(T, Option<ProbeSlot>), GateError<E>> {
        // Most connections are available at once: those need no queue slot, no timer and no wake-up
        // by the breaker. If the queue is full, the pool is not even asked.
        let may_wait = self.waiting() < self.limits.max_queue();
        let connected = match may_wait && self.breaker.passes() {
            true => at_once(connect.as_mut()).await,
            false => None,
        };
        match connected {
            Some(Ok(connection)) => {
                self.acquired();
                Ok((connection, None))
            }
            Some(Err(error)) => {
                self.settle_failed_acquire(None, limit, Duration::ZERO, classify(&error));
                Err(GateError::Failed(error))
            }
            None => (self.acquire_queued(limit, is_full, classify, connect)).await,
        }
    }

    /// Requests admission, and waits in the queue for a connection, unless the breaker opens.
    async fn acquire_queued<T, E>(
        &self,
        limit: Duration,
        is_full: impl Fn() -> bool + Sync,
        classify: impl FnOnce(&E) -> Class,
        mut connect: Pin<&mut impl Future<Output = Result<T, E>>>,
    ) -> Result<(T, Option<ProbeSlot>), GateError<E>> {
        self.ask_if_overdue().await;
        let probe = match self.admit() {
            Ok(probe) => probe,
            Err(rejected) => return Err(turned_away(rejected).await.into()),
        };
        let start = Instant::now();
        let waited = match self.enqueue(limit, probe.is_some(), &is_full) {
            Ok(mut slot) => {
                let check_stall = || slot.still_waits(false);
                // A probe checks for lost calls sooner: it is among the first calls after an outage.
                let patience = match &probe {
                    Some(_) => limit.min(self.breaker.probe_timeout()),
                    None => limit,
                };
                let wait = async {
                    let early = Deadline::of_call(start + patience / 3);
                    if let Some(connected) = self
                        .until(early, start, check_stall, connect.as_mut())
                        .await
                    {
                        return Some(connected);
                    }
                    if is_full() {
                        self.look_for_lost_calls();
                    }
                    // Whether a wait in vain is a failure is decided at its end, by the whole of it. This
                    // asks, unless somebody was served well after its start. The clock is coarse.
                    if !self.is_served_within(patience / 4) {
                        self.ask_backend();
                    }
                    let deadline = Deadline::of_gate(start + limit);
                    self.until(deadline, start, check_stall, connect).await
                };
                let waited = self.unless_opened(wait).await;
                // A caller whose time is over has given up, as if the time were its own.
                slot.is_settled |= !matches!(waited, Ok(None));
                waited
            }
            Err(rejected) => Err(rejected),
        };
        match waited {
            Ok(Some(Ok(connection))) => {
                self.service.served();
                self.acquired();
                Ok((connection, probe.and_then(Permit::reserve)))
            }
            Ok(Some(Err(error))) => {
                let class = classify(&error);
                // The timeout of the pool was shorter than that of the gate.
                if class == Class::Starved && is_full() {
                    self.look_for_lost_calls();
                }
                self.settle_failed_acquire(probe, limit, start.elapsed(), class);
                Err(GateError::Failed(error))
            }
            Ok(None) => {
                self.settle_failed_acquire(probe, limit, limit, Class::Starved);
                Err(self.missed(limit, Awaited::Connection).into())
            }
            Err(rejected) => {
                // No connection was obtained: free the probe slot.
                if let Some(probe) = probe {
                    probe.withdraw();
                }
                Err(turned_away(rejected).await.into())
            }
        }
    }

    /// Settles the permit of a call that obtained no connection, after it `waited`. A call that was
    /// refused at once is starved only if none has obtained a connection for `limit`.
    fn settle_failed_acquire(
        &self,
        probe: Option<Permit<'_>>,
        limit: Duration,
        waited: Duration,
        class: Class,
    ) {
        let permit = probe.unwrap_or_else(|| self.breaker.observe());
        let is_saturated = || {
            let starved_for = self.progress.starved_for(self.now()).max(waited);
            self.is_served_within(limit) || starved_for < limit && !permit.is_probe()
        };
        let verdict = match class {
            Class::Starved if is_saturated() => Verdict::Ignored,
            // Only the end of a statement is an answer.
            Class::Success | Class::Slow => Verdict::Ignored,
            class => class.verdict(),
        };
        permit.settle(verdict);
        self.tell_of_call(&Event::AcquireFailed { waited, verdict });
    }

    /// Whether callers that wait for `limit` in vain are no sign of an unhealthy backend: it served
    /// others in that time, or this process stood still.
    fn is_served_within(&self, limit: Duration) -> bool {
        self.acquired_within(limit)
            || (self.breaker).answered_since((self.now() + 1).saturating_sub(nanos(limit)))
            || self.breaker.was_late_within(limit)
    }

    /// Whether any call obtained a connection within the last `limit`. A call that obtained none in
    /// that time then met a pool that is too small, and not an unhealthy backend.
    pub(crate) fn acquired_within(&self, limit: Duration) -> bool {
        self.progress.acquired_within(limit, self.now())
    }

    /// Counts a connection that a caller holds from now on.
    #[inline]
    pub(crate) fn handed_out(&self) {
        self.leased.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts a connection that its caller has returned, and obtained at this time if it was timed.
    #[inline]
    pub(crate) fn handed_back(&self, at: Option<Instant>) {
        self.leased.fetch_sub(1, Ordering::AcqRel);
        if let Some(at) = at {
            let used = at.elapsed();
            self.tell_of_call(&Event::Released { used });
        }
    }

    /// The number of connections that callers hold.
    pub(crate) fn leased(&self) -> u32 {
        self.leased.load(Ordering::Acquire)
    }

    /// Records that no connection could be opened for a caller that has left meanwhile.
    pub(crate) fn failed_to_open(&self, limit: Duration, waited: Duration, class: Class) {
        self.settle_failed_acquire(None, limit, waited, class);
    }

    /// Records that a call obtained a connection.
    pub(crate) fn acquired(&self) {
        self.progress.acquired(self.now());
    }

    /// Joins the queue. `has_permit`: the caller has a permit, which records it if it leaves.
    fn enqueue<'g, F: Fn() -> bool>(
        &'g self,
        limit: Duration,
        has_permit: bool,
        is_full: &'g F,
    ) -> Result<QueueSlot<'g, F>, Refused> {
        let before = self.breaker.waiting().fetch_add(1, Ordering::AcqRel);
        let began = self.now();
        let mut slot = QueueSlot {
            gate: self,
            began,
            is_full,
            is_settled: has_permit,
        };
        if before == 0 {
            self.service.begin(began);
        }
        let is_too_long =
            before >= self.limits.max_queue() || self.service.exceeds(limit, before, began);
        if !is_too_long || !self.enforces() {
            return Ok(slot);
        }
        slot.is_settled = true;
        drop(slot);
        self.counters.add(Count::Saturated as usize, 1);
        Err(self.rejected(Refused::Saturated {
            pool: Arc::clone(self.breaker.name()),
            waiting: before,
        }))
    }

    /// Has the pool look for calls from before an outage whose answers were lost. To be called when a
    /// caller has waited long at a full pool.
    fn look_for_lost_calls(&self) {
        let is_well = self.enforces() && !self.breaker.rejects();
        if is_well && self.progress.well_since() > 0 {
            self.starved.notify_waiters();
            run(&self.hooks, |hooks| &hooks.starved);
        }
    }

    /// Waits, unless a caller has waited long at a full pool after an outage.
    pub(crate) async fn unless_starved<T>(
        &self,
        wait: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        unless(self.starved.notified(), wait).await
    }

    /// Records that the backend has answered for the first time since the breaker opened.
    pub(crate) fn well_again(&self) {
        self.progress.well_again(self.now());
    }

    /// The time at which the backend last recovered, in nanoseconds on the breaker's clock.
    pub(crate) fn well_since(&self) -> u64 {
        self.progress.well_since()
    }
}

/// A slot in the queue. If it is dropped before `is_settled`, the caller gave up.
struct QueueSlot<'gate, F: Fn() -> bool> {
    gate: &'gate Gate,
    began: u64,
    is_full: &'gate F,
    is_settled: bool,
}

impl<F: Fn() -> bool> QueueSlot<'_, F> {
    fn still_waits(&self, given_up: bool) {
        let Gate {
            breaker,
            limits,
            leased,
            ..
        } = self.gate;
        let leased = leased.load(Ordering::Acquire);
        // A pool may be full of connections that it is still opening.
        let all_handed_out = leased >= limits.connections && (self.is_full)();
        breaker.still_waits(self.began, given_up, all_handed_out);
    }
}

impl<F: Fn() -> bool> Drop for QueueSlot<'_, F> {
    fn drop(&mut self) {
        self.gate.breaker.waiting().fetch_sub(1, Ordering::AcqRel);
        if !self.is_settled {
            self.still_waits(true);
        }
    }
}
