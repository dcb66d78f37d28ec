//! Admits and refuses calls.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::task::coop::consume_budget;
use tokio::time::timeout;

use super::reporter::{Ask, run};
use super::reserved::Reserved;
use super::{Count, Gate};
use crate::breaker::clock::nanos;
use crate::breaker::error::Rejection;
use crate::breaker::permit::Permit;
use crate::outcome::error::Refused;
use crate::telemetry::event::Event;

/// The shortest time between two events that summarize rejections.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);

impl Gate {
    /// Requests admission of a call that starts later. Returns a permit only if the breaker is not
    /// closed: the call is then a probe, or, in a mode that does not enforce, is not in the window.
    pub(crate) fn admit(&self) -> Result<Option<Permit<'_>>, Refused> {
        let is_probing = self.probing.load(Ordering::Acquire);
        let may_probe = !is_probing && self.overdue_hook().is_none();
        let ticket = self.breaker.ticket(may_probe);
        ticket.map_err(|rejection| self.refused(rejection))
    }

    /// Asks the backend in place of the background task, if that is overdue, before a call is refused.
    /// Nobody drives a current-thread runtime between two calls of `block_on`, and the runtime of the
    /// task may have ended. One caller at a time asks, until `probe_timeout`. If the backend answers,
    /// the breaker is half-open, and the call may be a probe.
    pub(crate) async fn ask_if_overdue(&self) {
        if !self.breaker.passes()
            && let Some(ask) = self.overdue_hook()
            && self.is_probe_overdue()
        {
            // Boxed, because it is rare, and most calls should not carry it.
            Box::pin(self.ask_now(ask)).await;
        }
    }

    fn is_probe_overdue(&self) -> bool {
        let grace = match self.probing.load(Ordering::Acquire) {
            true => self.breaker.probe_interval(),
            false => Duration::ZERO,
        };
        self.breaker.is_overdue(grace)
    }

    async fn ask_now(&self, ask: &Ask) {
        let Some(_only) = Reserved::of(&self.recovering) else {
            return;
        };
        self.breaker.postpone_probes(self.breaker.probe_interval());
        let answers = timeout(self.breaker.probe_timeout(), ask()).await;
        if answers.unwrap_or(false) {
            self.well_again();
            self.breaker.half_open();
        }
    }

    fn overdue_hook(&self) -> Option<&Ask> {
        self.hooks.get()?.overdue.as_ref()
    }

    /// Starts the background task anew, if its runtime took it along. At most once in `probe_interval`.
    fn revive_prober(&self) {
        if self.probing.load(Ordering::Acquire) {
            return;
        }
        let (now, due) = (self.now(), self.next_revival.load(Ordering::Acquire));
        let turn = || {
            let next = now.saturating_add(nanos(self.breaker.probe_interval()));
            self.next_revival
                .compare_exchange(due, next, Ordering::AcqRel, Ordering::Acquire)
        };
        if now >= due && turn().is_ok() {
            run(&self.hooks, |hooks| &hooks.opened);
        }
    }

    /// Admits a statement on a leased connection, outside a transaction.
    pub(crate) fn admit_on_lease(&self) -> Result<Permit<'_>, Refused> {
        if self.breaker.rejects()
            && let Some(permit) = self.admit()?
        {
            return Ok(permit);
        }
        let permit = self.breaker.observe();
        // `observe` counts the calls that have become slow, which may have opened the breaker.
        match self.refusal() {
            None => Ok(permit),
            Some(rejected) => {
                permit.withdraw();
                Err(rejected)
            }
        }
    }

    /// Refuses a call if the breaker is open and enforces. Requests no permit.
    pub(crate) fn refusal(&self) -> Option<Refused> {
        if !self.breaker.rejects() {
            return None;
        }
        let rejection = self.breaker.count_rejection()?;
        Some(self.refused(rejection))
    }

    /// Waits, unless the breaker is or becomes open and enforces. A probe is refused only if its
    /// batch fails in the meantime.
    pub(crate) async fn unless_opened<T>(
        &self,
        wait: impl Future<Output = T>,
    ) -> Result<T, Refused> {
        let mut wait = pin!(wait);
        loop {
            // Created before the state is read, so that it does not miss the breaker opening.
            let mut opened = pin!(self.opened.notified());
            if let Some(rejected) = self.refusal() {
                return Err(rejected);
            }
            let ended = poll_fn(|context| {
                // Polled first. A caller that leaves lets the next one in the pool's queue connect,
                // and that one must be refused, too, before it starts to connect.
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

    /// Refuses a statement on a connection on which an earlier one was given up.
    pub(crate) fn abandoned(&self) -> Refused {
        let rejected = Refused::Abandoned {
            pool: Arc::clone(self.breaker.name()),
        };
        self.tell(&Event::Rejected(&rejected));
        rejected
    }

    pub(super) fn refused(&self, rejection: Rejection) -> Refused {
        if rejection != Rejection::ForcedOpen {
            self.revive_prober();
        }
        self.rejected(Refused::Circuit {
            pool: Arc::clone(self.breaker.name()),
            rejection,
        })
    }

    pub(super) fn rejected(&self, rejected: Refused) -> Refused {
        self.tell(&Event::Rejected(&rejected));
        let (now, due) = (self.now(), self.next_summary.load(Ordering::Acquire));
        if now >= due {
            self.summarize(due, now);
        }
        rejected
    }

    fn summarize(&self, due: u64, now: u64) {
        let next = now.saturating_add(nanos(SUMMARY_INTERVAL));
        let turn =
            self.next_summary
                .compare_exchange(due, next, Ordering::AcqRel, Ordering::Acquire);
        if turn.is_err() {
            return; // another task reports the summary
        }
        let total = self.breaker.rejections() + self.counters.get(Count::Saturated as usize);
        let before = self.summarized.swap(total, Ordering::AcqRel);
        self.tell(&Event::Rejections {
            calls: total.saturating_sub(before),
        });
    }
}

/// Returns a refusal to the caller. It consumes cooperative budget, so that a retry loop cannot
/// starve the prober.
pub(crate) async fn turned_away<R>(refusal: R) -> R {
    consume_budget().await;
    refusal
}
