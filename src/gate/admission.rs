//! Admits calls, and refuses them.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::task::coop::consume_budget;

use super::{Count, Gate};
use crate::breaker::clock::nanos;
use crate::breaker::error::Rejection;
use crate::breaker::permit::Permit;
use crate::outcome::error::Refused;
use crate::telemetry::event::Event;

/// A storm of rejections is summed up in one event in this time.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);

impl Gate {
    /// Asks the breaker whether a call may be made. Gives a permit only if that matters before the
    /// call itself starts: the call is then a probe.
    pub(crate) fn admit(&self) -> Result<Option<Permit<'_>>, Refused> {
        let may_probe = !self.probing.load(Ordering::Acquire);
        let ticket = self.breaker.ticket(may_probe);
        ticket.map_err(|rejection| self.refused(rejection))
    }

    /// Admission of a statement on a connection that was leased outside a transaction.
    pub(crate) fn admit_on_lease(&self) -> Result<Permit<'_>, Refused> {
        if self.breaker.rejects()
            && let Some(permit) = self.admit()?
        {
            return Ok(permit);
        }
        let permit = self.breaker.observe();
        // Which counts those that hang by now, and they may be one too many.
        match self.refusal() {
            None => Ok(permit),
            Some(rejected) => {
                permit.withdraw();
                Err(rejected)
            }
        }
    }

    /// Turns a call away, if the breaker is open and rejects. Asks for no permit otherwise.
    pub(crate) fn refusal(&self) -> Option<Refused> {
        if !self.breaker.rejects() {
            return None;
        }
        let rejection = self.breaker.turn_away()?;
        Some(self.refused(rejection))
    }

    /// Waits, unless the breaker opens and rejects. A probe does not meet an open breaker, except
    /// when it is too late for it.
    pub(crate) async fn unless_opened<T>(
        &self,
        wait: impl Future<Output = T>,
    ) -> Result<T, Refused> {
        let mut wait = pin!(wait);
        loop {
            // Before the state is read, so that no opening falls in between.
            let mut opened = pin!(self.opened.notified());
            if let Some(rejected) = self.refusal() {
                return Err(rejected);
            }
            let ended = poll_fn(|context| {
                // Listens first: those who were connecting pass their places on as they leave, and
                // the next in line would connect before it leaves, too.
                if opened.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
                wait.as_mut().poll(context).map(Some)
            });
            if let Some(value) = ended.await {
                return Ok(value);
            }
        }
    }

    /// The refusal of a statement on a connection on which one was given up.
    pub(crate) fn abandoned(&self) -> Refused {
        let rejected = Refused::Abandoned {
            pool: Arc::clone(self.breaker.name()),
        };
        self.tell(&Event::Rejected(&rejected));
        rejected
    }

    pub(super) fn refused(&self, rejection: Rejection) -> Refused {
        self.rejected(Refused::Circuit {
            pool: Arc::clone(self.breaker.name()),
            rejection,
        })
    }

    pub(super) fn rejected(&self, rejected: Refused) -> Refused {
        self.tell(&Event::Rejected(&rejected));
        let (now, due) = (self.now(), self.next_summary.load(Ordering::Acquire));
        if now >= due {
            self.sum_up(due, now);
        }
        rejected
    }

    fn sum_up(&self, due: u64, now: u64) {
        let next = now.saturating_add(nanos(SUMMARY_INTERVAL));
        let turn =
            self.next_summary
                .compare_exchange(due, next, Ordering::AcqRel, Ordering::Acquire);
        if turn.is_err() {
            return; // another task sums up
        }
        let total = self.breaker.rejections() + self.counters.get(Count::Saturated as usize);
        let before = self.summed_up.swap(total, Ordering::AcqRel);
        self.tell(&Event::Rejections {
            calls: total.saturating_sub(before),
        });
    }
}

/// To refuse takes no time, so who tries again at once, and again, would never let another task run on
/// its thread, and the one that probes is one of those.
pub(crate) async fn turned_away<R>(refusal: R) -> R {
    consume_budget().await;
    refusal
}
