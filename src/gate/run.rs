//! Makes a call on a connection, under its deadline.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::admission::turned_away;
use super::{Count, Gate};
use crate::breaker::clock::nanos;
use crate::breaker::permit::Permit;
use crate::breaker::verdict::{Class, Classify, Verdict};
use crate::outcome::error::{Awaited, DeadlineExceeded, GateError};
use crate::telemetry::event::Event;

/// A call that has run for so long counts as one that waits for its answer, and listens for being taken
/// for lost: a quick one, which most are, pays nothing for that.
const LONG_AFTER: Duration = Duration::from_millis(100);

impl Gate {
    /// Makes a call: admitted by the breaker, under the call's deadline. `classify` says what its
    /// errors mean.
    ///
    /// # Errors
    ///
    /// [`GateError::Refused`]: the call was not made. [`GateError::Deadline`]: it was dropped.
    /// [`GateError::Failed`]: its own error.
    pub async fn call<T, E>(
        &self,
        classify: &(impl Classify<E> + ?Sized),
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, GateError<E>> {
        let permit = match self.breaker.try_acquire() {
            Ok(permit) => permit,
            Err(rejection) => return Err(turned_away(self.refused(rejection)).await.into()),
        };
        self.run(permit, None, |error| classify.classify(error), call)
            .await
    }

    /// Makes a call on a connection, under a deadline: its own, or the gate's.
    pub(crate) async fn run<T, E>(
        &self,
        mut permit: Permit<'_>,
        limit: Option<Duration>,
        classify: impl FnOnce(&E) -> Class,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, GateError<E>> {
        if limit.is_some() {
            permit.set_patient();
        }
        match self.bounded(Some(&permit), limit, pin!(call)).await {
            Ok(Ok(value)) => {
                permit.settle(Verdict::Success);
                Ok(value)
            }
            Ok(Err(error)) => {
                permit.settle_class(classify(&error));
                Err(GateError::Failed(error))
            }
            Err(given_up) => {
                permit.settle(given_up.verdict);
                Err(given_up.error.into())
            }
        }
    }

    /// What `call` comes to before its own deadline; or before the gate's, unless it is taken for
    /// lost earlier.
    pub(crate) async fn bounded<T>(
        &self,
        permit: Option<&Permit<'_>>,
        own: Option<Duration>,
        mut call: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, GivenUp> {
        let limit = own.unwrap_or(self.limits.query_timeout);
        let start = Instant::now();
        let deadline = match own {
            Some(_) => Deadline::of_call(start + limit),
            None => Deadline::of_gate(start + limit),
        };
        let quick_until = deadline.at.min(start + LONG_AFTER);
        if let Ok(ended) = timeout_at(quick_until, call.as_mut()).await {
            return Ok(ended);
        }
        let _running = permit.and_then(Permit::running);
        let began = permit.map_or_else(
            || self.now().saturating_sub(nanos(LONG_AFTER)),
            Permit::started,
        );
        // No probe is from before an outage.
        let may_be_lost = own.is_none() && !permit.is_some_and(Permit::is_probe);
        let mut lost = pin!(self.progress.lost(began, start));
        let ended = pin!(poll_fn(|context| match call.as_mut().poll(context) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if may_be_lost => lost.as_mut().poll(context).map(|()| None),
            Poll::Pending => Poll::Pending,
        }));
        let look = || permit.into_iter().for_each(Permit::is_unanswered);
        match self.until(deadline, start, look, ended).await {
            Some(Some(ended)) => {
                self.progress.ended(start.elapsed());
                Ok(ended)
            }
            Some(None) => Err(GivenUp {
                error: self.missed(start.elapsed(), Awaited::LostAnswer),
                verdict: Verdict::Ignored,
            }),
            None => Err(GivenUp {
                error: self.missed(limit, Awaited::Answer),
                verdict: Verdict::Failure,
            }),
        }
    }

    /// What `wait` comes to before its deadline. It began at `start`, and looks at intervals whether
    /// anybody is answered meanwhile. A breaker that does not enforce lets the gate's deadlines pass.
    pub(super) async fn until<T>(
        &self,
        deadline: Deadline,
        start: Instant,
        look: impl Fn(),
        mut wait: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        let mut next_look = start + self.breaker.look_interval();
        loop {
            let now = Instant::now();
            let is_missed = deadline.at <= now;
            if is_missed && (deadline.is_own || self.enforces()) {
                return None;
            }
            let wake = match is_missed {
                true => next_look,
                false => next_look.min(deadline.at),
            };
            if let Ok(ended) = timeout_at(wake, wait.as_mut()).await {
                return Some(ended);
            }
            if wake == next_look {
                look();
                next_look = Instant::now() + self.breaker.look_interval();
            }
        }
    }

    pub(crate) fn missed(&self, limit: Duration, awaited: Awaited) -> DeadlineExceeded {
        self.counters.add(Count::Deadlines as usize, 1);
        if awaited == Awaited::LostAnswer {
            self.counters.add(Count::LostAnswers as usize, 1);
        }
        self.tell(&Event::Deadline { limit, awaited });
        DeadlineExceeded::new(Arc::clone(self.breaker.name()), limit, awaited)
    }
}

/// A call that was given up, and what that says of the backend.
pub(crate) struct GivenUp {
    pub(crate) error: DeadlineExceeded,
    pub(crate) verdict: Verdict,
}

/// When a wait ends.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    /// It holds whatever the breaker's mode.
    is_own: bool,
}

impl Deadline {
    pub(super) fn of_call(at: Instant) -> Self {
        Self { at, is_own: true }
    }

    pub(super) fn of_gate(at: Instant) -> Self {
        Self { at, is_own: false }
    }
}
