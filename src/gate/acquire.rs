//! Waits for a connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::admission::turned_away;
use super::at_once::at_once;
use super::run::Deadline;
use super::{Count, Gate};
use crate::breaker::permit::Permit;
use crate::breaker::verdict::{Class, Verdict};
use crate::outcome::error::{Awaited, GateError, Refused};

impl Gate {
    /// Asks for a connection, and gives a permit only if that matters before the call itself starts:
    /// the call is then a probe.
    pub(crate) async fn acquire<T, E>(
        &self,
        limit: Duration,
        is_full: impl Fn() -> bool + Sync,
        classify: impl FnOnce(&E) -> Class,
        mut connect: Pin<&mut impl Future<Output = Result<T, E>>>,
    ) -> Result<(T, Option<Permit<'_>>), GateError<E>> {
        // Most connections can be had without waiting, and then no place in the queue, no timer and
        // no ear for the breaker are needed. Where nobody else may wait, nothing is even begun.
        let waiting = self.breaker.waiting().load(Ordering::Acquire);
        let may_wait = waiting < self.limits.max_queue;
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
                self.could_not_connect(None, limit, classify(&error));
                Err(GateError::Failed(error))
            }
            None => (self.acquire_in_turn(limit, is_full, classify, connect)).await,
        }
    }

    /// Asks for admission, and waits for a connection until the breaker opens.
    async fn acquire_in_turn<T, E>(
        &self,
        limit: Duration,
        is_full: impl Fn() -> bool + Sync,
        classify: impl FnOnce(&E) -> Class,
        mut connect: Pin<&mut impl Future<Output = Result<T, E>>>,
    ) -> Result<(T, Option<Permit<'_>>), GateError<E>> {
        let mut probe = match self.admit() {
            Ok(probe) => probe,
            Err(rejected) => return Err(turned_away(rejected).await.into()),
        };
        let start = Instant::now();
        let waited = match self.wait(probe.is_some(), &is_full) {
            Ok(mut place) => {
                let look = || place.still_waits(false);
                // Those who come first after an outage are the first who may meet what it left behind.
                let patience = match &probe {
                    Some(_) => limit.min(self.breaker.probe_timeout()),
                    None => limit,
                };
                let wait = async {
                    let early = Deadline::of_call(start + patience / 3);
                    if let Some(connected) = self.until(early, start, look, connect.as_mut()).await
                    {
                        return Some(connected);
                    }
                    if is_full() {
                        self.give_up_lost_calls();
                    }
                    let deadline = Deadline::of_gate(start + limit);
                    self.until(deadline, start, look, connect).await
                };
                let waited = self.unless_opened(wait).await;
                place.is_settled = true;
                waited
            }
            Err(rejected) => Err(rejected),
        };
        match waited {
            Ok(Some(Ok(connection))) => {
                self.acquired();
                // The time to connect is not the statement's.
                if let Some(probe) = &mut probe {
                    probe.restart();
                }
                Ok((connection, probe))
            }
            Ok(Some(Err(error))) => {
                let class = classify(&error);
                // The pool has less patience than the gate.
                if class == Class::Starved && is_full() {
                    self.give_up_lost_calls();
                }
                self.could_not_connect(probe, limit, class);
                Err(GateError::Failed(error))
            }
            Ok(None) => {
                self.could_not_connect(probe, limit, Class::Starved);
                Err(self.missed(limit, Awaited::Connection).into())
            }
            Err(rejected) => {
                // No connection was obtained: the place in the batch is free.
                if let Some(probe) = probe {
                    probe.withdraw();
                }
                Err(turned_away(rejected).await.into())
            }
        }
    }

    fn could_not_connect(&self, probe: Option<Permit<'_>>, limit: Duration, class: Class) {
        let permit = probe.unwrap_or_else(|| self.breaker.observe());
        match class {
            Class::Starved if self.acquired_within(limit) => permit.settle(Verdict::Ignored),
            // Nothing but a statement's end is an answer.
            Class::Success | Class::Slow => permit.settle(Verdict::Ignored),
            class => permit.settle_class(class),
        }
    }

    /// Somebody got a connection within `limit`: who got none meanwhile met a pool that is too
    /// small, not a backend that is unwell.
    pub(crate) fn acquired_within(&self, limit: Duration) -> bool {
        self.progress.acquired_within(limit, self.now())
    }

    /// A connection is handed to its holder.
    pub(crate) fn handed_out(&self) {
        self.leased.fetch_add(1, Ordering::AcqRel);
    }

    /// The holder of a connection is done with it.
    pub(crate) fn handed_back(&self) {
        self.leased.fetch_sub(1, Ordering::AcqRel);
    }

    /// Somebody got a connection.
    pub(crate) fn acquired(&self) {
        self.progress.acquired(self.now());
    }

    /// A lease with this permit is handed out after a ping: what its holder does may take its time.
    /// Where nothing is enforced, nobody waits for that.
    pub(crate) fn is_proving(&self, permit: &Permit<'_>) -> bool {
        permit.is_probe() && self.enforces()
    }

    /// A place among those who wait. `has_permit`: the caller's permit counts if it leaves.
    fn wait<'g, F: Fn() -> bool>(
        &'g self,
        has_permit: bool,
        is_full: &'g F,
    ) -> Result<Place<'g, F>, Refused> {
        let before = self.breaker.waiting().fetch_add(1, Ordering::AcqRel);
        let mut place = Place {
            gate: self,
            began: self.now(),
            is_full,
            is_settled: has_permit,
        };
        if before < self.limits.max_queue || !self.enforces() {
            return Ok(place);
        }
        place.is_settled = true;
        drop(place);
        self.counters.add(Count::Saturated as usize, 1);
        Err(self.rejected(Refused::Saturated {
            pool: Arc::clone(self.breaker.name()),
            waiting: self.limits.max_queue,
        }))
    }

    /// The backend answers again, but a caller has waited for long at a full pool and got no
    /// connection, and nor has anybody else: they are held by calls from before the outage, whose
    /// answers were lost with it. Those are given up, except for what has a deadline of its own, and
    /// for what may yet end, as calls before it that took as long.
    pub(super) fn give_up_lost_calls(&self) {
        let is_closing = self.enforces() && !self.breaker.rejects();
        if self.limits.give_up_lost && is_closing && self.progress.is_stuck() {
            self.progress.give_up_lost();
        }
    }

    /// The backend has answered for the first time since the breaker opened.
    pub(crate) fn well_again(&self) {
        self.progress.well_again(self.now());
    }
}

/// A place among those who wait. Dropped before anything came of the wait, its caller gave up.
struct Place<'gate, F: Fn() -> bool> {
    gate: &'gate Gate,
    began: u64,
    is_full: &'gate F,
    is_settled: bool,
}

impl<F: Fn() -> bool> Place<'_, F> {
    fn still_waits(&self, given_up: bool) {
        let Gate {
            breaker,
            limits,
            leased,
            ..
        } = self.gate;
        let leased = leased.load(Ordering::Acquire);
        // A pool is full of connections that it is opening, too.
        let all_handed_out = leased >= limits.connections && (self.is_full)();
        breaker.still_waits(self.began, given_up, all_handed_out);
    }
}

impl<F: Fn() -> bool> Drop for Place<'_, F> {
    fn drop(&mut self) {
        self.gate.breaker.waiting().fetch_sub(1, Ordering::AcqRel);
        if !self.is_settled {
            self.still_waits(true);
        }
    }
}
