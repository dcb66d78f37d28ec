//! Runs a call under its deadline.

use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::admission::turned_away;
use super::at_once::within;
use super::unless::unless;
use super::{Count, Gate};
use crate::breaker::clock::nanos;
use crate::breaker::lateness::BEAT;
use crate::breaker::permit::Permit;
use crate::breaker::verdict::{Class, Classify, Verdict};
use crate::outcome::code::ErrorCode;
use crate::outcome::error::{Awaited, DeadlineExceeded, GateError};
use crate::telemetry::event::Event;
use crate::telemetry::span::{self, Spans};

/// A call is long-running from this duration on: it counts as pending, and may be given up as lost.
/// A shorter call, as most are, pays nothing for either.
const LONG_AFTER: Duration = Duration::from_millis(100);

impl Gate {
    /// Makes a call if the breaker admits it, under the
    /// [`call_timeout`](crate::GateBuilder::call_timeout). Its errors count as `classify` says; a
    /// value is a success.
    ///
    /// Cancellation: the future may be dropped at any await. A call in progress then counts as
    /// abandoned.
    ///
    /// ```
    /// use fusepool::{Breaker, Class, Gate, GateError};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), fusepool::ConfigError> {
    /// let gate = Gate::builder(Breaker::builder()).call_timeout(Duration::from_secs(5)).build()?;
    /// let classify = |_: &std::io::Error| Class::Failure;
    /// let call = async { Err::<(), _>(std::io::Error::other("no route to host")) };
    /// assert!(matches!(gate.call(&classify, call).await, Err(GateError::Failed(_))));
    /// assert_eq!(gate.snapshot().breaker.totals.failures, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`GateError::Refused`] if the call was not made, [`GateError::Deadline`] if it was dropped
    /// at its deadline, [`GateError::Failed`] with its own error.
    pub async fn call<T, E>(
        &self,
        classify: &(impl Classify<E> + ?Sized),
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, GateError<E>> {
        let permit = match self.breaker.try_acquire() {
            Ok(permit) => permit,
            Err(rejection) => return Err(turned_away(self.refused(rejection)).await.into()),
        };
        let classify = |error: &E| (classify.classify(error), None);
        self.run(permit, None, classify, call, pending()).await
    }

    /// Runs an admitted call and settles its permit. `limit` is the call's own deadline, and
    /// replaces the gate's. `classify` returns the class of an error, and the database's code for it.
    /// `lost` ends if the answer was lost in an outage.
    pub(crate) async fn run<T, E>(
        &self,
        mut permit: Permit<'_>,
        limit: Option<Duration>,
        classify: impl FnOnce(&E) -> (Class, Option<ErrorCode>),
        call: impl Future<Output = Result<T, E>>,
        lost: impl Future<Output = ()>,
    ) -> Result<T, GateError<E>> {
        if limit.is_some() {
            permit.set_own_deadline();
        }
        let (call, mut lost) = (pin!(call), pin!(lost));
        let mut observed = None;
        let ended = match self.observes_calls() {
            false => {
                self.bounded(Some(&permit), limit, Duration::ZERO, call, lost)
                    .await
            }
            // Boxed, so that a call that is not observed pays nothing for it.
            true => {
                let call = Observed::start(self).run(&permit, limit, call, lost.as_mut());
                let (ended, seen) = Box::pin(call).await;
                observed = Some(seen);
                ended
            }
        };
        match ended {
            Ok(Ok(value)) => {
                permit.settle(Verdict::Success);
                if let Some(observed) = &mut observed {
                    observed.end(Verdict::Success, None);
                }
                Ok(value)
            }
            Ok(Err(error)) => {
                let (class, code) = classify(&error);
                let verdict = self.settle_failed_call(permit, class);
                if let Some(observed) = &mut observed {
                    observed.end(verdict, Some(CallError::Failed(code)));
                }
                Err(GateError::Failed(error))
            }
            Err(given_up) => {
                permit.settle(given_up.verdict);
                if let Some(observed) = &mut observed {
                    observed.end(given_up.verdict, Some(given_up.kind()));
                }
                Err(given_up.error.into())
            }
        }
    }

    /// Settles the permit of a call that ended with an error of this class, and returns the verdict. A
    /// pooler that had no connection for it is only full, if it had one for others.
    pub(crate) fn settle_failed_call(&self, permit: Permit<'_>, class: Class) -> Verdict {
        let limit = nanos(self.acquire_timeout());
        let since = permit.started().min(self.now().saturating_sub(limit));
        match class {
            Class::Starved if self.breaker.answered_since(since) => {
                permit.settle(Verdict::Ignored);
                Verdict::Ignored
            }
            class => {
                permit.settle_class(class);
                class.verdict()
            }
        }
    }

    /// Reports the end of a call that `began` then, if it was timed. No verdict: it was dropped.
    pub(crate) fn ended(
        &self,
        began: Option<Instant>,
        verdict: Option<Verdict>,
        error: Option<CallError>,
    ) {
        if let Some(began) = began {
            self.tell_of_call(&Event::Ended {
                took: began.elapsed(),
                verdict,
                code: error.as_ref().and_then(CallError::code),
                error: error.as_ref().map(CallError::kind),
            });
        }
    }

    /// Runs `call` until its deadline: `own`, or else the gate's. `spent` of that has passed before. A
    /// long-running call is given up earlier if `lost` ends.
    pub(crate) async fn bounded<T>(
        &self,
        permit: Option<&Permit<'_>>,
        own: Option<Duration>,
        spent: Duration,
        mut call: Pin<&mut impl Future<Output = T>>,
        lost: impl Future<Output = ()>,
    ) -> Result<T, GivenUp> {
        let limit = own.unwrap_or_else(|| self.limits.query_timeout());
        let left = limit.saturating_sub(spent);
        let start = match within(left.min(LONG_AFTER), call.as_mut()).await {
            Ok(ended) => return Ok(ended),
            Err(start) => start,
        };
        let end = start + left;
        let deadline = match own {
            Some(_) => Deadline::of_call(end),
            None => Deadline::of_gate(end),
        };
        let _running = permit.and_then(Permit::running);
        let ended = pin!(unless(lost, call));
        let check_stall = || permit.into_iter().for_each(Permit::is_unanswered);
        match self.until(deadline, start, check_stall, ended).await {
            Some(Some(ended)) => Ok(ended),
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

    /// Runs `wait`, which began at `start`, until its deadline, and calls `check_stall` at
    /// intervals. The gate's deadlines have no effect while the breaker does not enforce.
    pub(super) async fn until<T>(
        &self,
        deadline: Deadline,
        start: Instant,
        check_stall: impl Fn(),
        mut wait: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        let mut next_check = start + self.check_interval();
        loop {
            let now = Instant::now();
            let is_missed = deadline.at <= now;
            if is_missed && (deadline.is_own || self.enforces()) {
                return None;
            }
            let wake = match is_missed {
                true => next_check,
                false => next_check.min(deadline.at),
            };
            if let Ok(ended) = timeout_at(wake, wait.as_mut()).await {
                return Some(ended);
            }
            let _ = self.breaker.now(); // the beat
            if wake == next_check {
                check_stall();
                next_check = Instant::now() + self.check_interval();
            }
        }
    }

    fn check_interval(&self) -> Duration {
        self.breaker.stall_check_interval().min(BEAT)
    }

    /// Counts and reports a missed deadline.
    pub(crate) fn missed(&self, limit: Duration, awaited: Awaited) -> DeadlineExceeded {
        self.counters.add(Count::Deadlines as usize, 1);
        if awaited == Awaited::LostAnswer {
            self.counters.add(Count::LostAnswers as usize, 1);
        }
        self.tell(&Event::Deadline { limit, awaited });
        DeadlineExceeded::new(Arc::clone(self.breaker.name()), limit, awaited)
    }
}

/// The error and the verdict of a call that was given up.
pub(crate) struct GivenUp {
    pub(crate) error: DeadlineExceeded,
    pub(crate) verdict: Verdict,
}

impl GivenUp {
    pub(crate) fn kind(&self) -> CallError {
        match self.error.awaited() {
            Awaited::LostAnswer => CallError::LostAnswer,
            _ => CallError::Timeout,
        }
    }
}

/// The error of a call, as events tell it.
pub(crate) enum CallError {
    Failed(Option<ErrorCode>),
    Timeout,
    LostAnswer,
    Abandoned,
}

impl CallError {
    fn code(&self) -> Option<&str> {
        match self {
            Self::Failed(code) => code.as_ref().map(ErrorCode::as_str),
            _ => None,
        }
    }

    fn kind(&self) -> &str {
        match self {
            Self::Failed(_) => self.code().unwrap_or("_OTHER"),
            Self::Timeout => "timeout",
            Self::LostAnswer => "lost_answer",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A call whose end is reported, because a sink wants that or calls have spans. If it is dropped before
/// its [`end`](Self::end), the caller gave the call up.
struct Observed<'gate> {
    gate: &'gate Gate,
    /// `None` after the end.
    began: Option<Instant>,
    span: Option<Span>,
}

impl<'gate> Observed<'gate> {
    fn start(gate: &'gate Gate) -> Box<Self> {
        Box::new(Self {
            gate,
            began: Some(Instant::now()),
            span: gate.sinks.spans().map(Spans::start),
        })
    }

    /// Runs the call in its span.
    async fn run<T>(
        self: Box<Self>,
        permit: &Permit<'_>,
        limit: Option<Duration>,
        call: Pin<&mut impl Future<Output = T>>,
        lost: impl Future<Output = ()>,
    ) -> (Result<T, GivenUp>, Box<Self>) {
        let span = self.span.as_ref();
        let call = pin!(InSpan { span, call });
        let ended = self
            .gate
            .bounded(Some(permit), limit, Duration::ZERO, call, lost)
            .await;
        (ended, self)
    }

    fn end(&mut self, verdict: Verdict, error: Option<CallError>) {
        self.report(Some(verdict), error);
    }

    fn report(&mut self, verdict: Option<Verdict>, error: Option<CallError>) {
        if let (Some(span), Some(error)) = (&self.span, &error) {
            span::failed(span, error.code(), error.kind());
        }
        self.gate.ended(self.began.take(), verdict, error);
    }
}

impl Drop for Observed<'_> {
    fn drop(&mut self) {
        if self.began.is_some() {
            // The permit counts a panic as a failure, too.
            let verdict = std::thread::panicking().then_some(Verdict::Failure);
            self.report(verdict, Some(CallError::Abandoned));
        }
    }
}

/// Polls a call inside of its span.
struct InSpan<'s, 'c, F> {
    span: Option<&'s Span>,
    call: Pin<&'c mut F>,
}

impl<F: Future> Future for InSpan<'_, '_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _entered = self.span.map(Span::enter);
        self.call.as_mut().poll(context)
    }
}

/// The end of a wait.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    /// It applies in every mode of the breaker.
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
