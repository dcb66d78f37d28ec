//! The rows of a query as a stream.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::mem::take;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use crate::gate::run::{CallError, GivenUp};
use crate::outcome::error::GateError;
use crate::pool::adapter::{Adapter, diagnose};
use crate::pool::connection_state::{ConnectionState, InFlight};
use crate::pool::invalidation::Consequences;
use crate::pool::shared::Shared;
use crate::pool::statement::Statement;

/// A caller that comes back for the next row this soon, plus [`PER_ROW`] for each row since its last wait,
/// does nothing else in between.
const AT_ONCE: Duration = Duration::from_millis(50);
/// The time to decode a row.
const PER_ROW: Duration = Duration::from_micros(100);

/// The most rows that are read without waiting when the stream is dropped.
const DRAINED: u32 = 256;

/// The rows of a query that has answered.
///
/// The deadline of the statement applies to the time that a caller waits for rows. The waits of a caller
/// that comes back for each row at once add up, because it collects the rows: `fetch_all` of sqlx's
/// `query_as` and diesel's `load` do that, and cannot be told from a stream otherwise. If the caller does
/// something else between two rows, the next wait has the whole deadline again. A wait is recorded only if
/// it fails.
///
/// If the stream is dropped before its end, and the remaining rows have not arrived yet, the connection
/// will be closed, unless a later statement on it is answered. The driver would read all rows first, and
/// sqlx's drivers do that without ever yielding.
pub(crate) struct Rows<'c, A, S, T>
where
    A: Adapter,
    S: Stream<Item = Result<T, A::StatementError>> + Unpin,
{
    first: Option<T>,
    /// `None` after the end.
    rest: Option<S>,
    /// The wait for the next row, and its deadline.
    waiting: Option<Waiting<'c>>,
    /// The limit of the waits. `None`: the pool's.
    limit: Option<Duration>,
    /// The time that the caller has waited since it last did something else.
    waited: Duration,
    /// The end of its last wait.
    waited_until: Instant,
    /// The rows since then.
    rows: u32,
    /// The start of the query, if it is timed.
    began: Option<Instant>,
    state: &'c ConnectionState,
    shared: &'c Shared<A>,
    /// The lease ends with these rows.
    is_last: bool,
    consequences: Consequences<'c>,
}

struct Waiting<'c> {
    in_flight: InFlight<'c>,
    since: Instant,
    missed: BoxFuture<'c, Result<Infallible, GivenUp>>,
}

impl<'c, A: Adapter> Statement<'c, A> {
    /// Runs a query up to its first row, under the deadline of a statement. The first row, or the
    /// end of the rows, settles the permit.
    ///
    /// Cancellation: that of [`run`](Self::run).
    pub(crate) async fn load<S, T>(
        mut self,
        call: impl Future<Output = Result<S, A::StatementError>>,
    ) -> Result<Rows<'c, A, S, T>, GateError<A::StatementError>>
    where
        S: Stream<Item = Result<T, A::StatementError>> + Unpin,
    {
        let (limit, state, shared) = (self.limit, self.state, self.shared);
        let is_last = self.is_last;
        let consequences = self.take_consequences();
        let mut has_ended = false;
        let diagnose = |adapter: &A, error: &_| {
            let diagnosis = diagnose(adapter, error);
            has_ended = diagnosis.has_ended;
            diagnosis
        };
        let began = shared.gate.timer();
        let first = async {
            let mut rows = call.await?;
            Ok((rows.try_next().await?, rows))
        };
        let start = Instant::now();
        let result = self.run(diagnose, first).await;
        let (first, rest) = match result {
            Ok(loaded) => loaded,
            Err(error) => {
                consequences.settle(Err(&error), has_ended);
                return Err(error);
            }
        };
        let now = Instant::now();
        let mut rows = Rows {
            rest: first.is_some().then_some(rest),
            first,
            waiting: None,
            limit,
            waited: now - start,
            waited_until: now,
            rows: 0,
            began,
            state,
            shared,
            is_last,
            consequences,
        };
        if rows.rest.is_none() {
            rows.end(Ok(()), false);
        }
        Ok(rows)
    }
}

// Rows are never pinned.
impl<A, S, T> Unpin for Rows<'_, A, S, T>
where
    A: Adapter,
    S: Stream<Item = Result<T, A::StatementError>> + Unpin,
{
}

impl<'c, A, S, T> Rows<'c, A, S, T>
where
    A: Adapter,
    S: Stream<Item = Result<T, A::StatementError>> + Unpin,
{
    /// Records that a row, an error or the end arrived.
    fn arrived(
        &mut self,
        next: Option<Result<T, A::StatementError>>,
    ) -> Option<Result<T, GateError<A::StatementError>>> {
        if let Some(waiting) = self.waiting.take() {
            waiting.in_flight.end();
            self.waited_until = Instant::now();
            self.waited += self.waited_until - waiting.since;
            self.rows = 0;
        }
        match next {
            Some(Ok(row)) => {
                self.rows = self.rows.saturating_add(1);
                Some(Ok(row))
            }
            Some(Err(error)) => {
                let diagnosis = diagnose(&*self.shared.adapter, &error);
                let has_ended = diagnosis.has_ended;
                let (class, code) = self.state.note(diagnosis);
                let gate = &self.shared.gate;
                let verdict = gate.settle_failed_call(gate.breaker().observe(), class);
                gate.ended(self.began, Some(verdict), Some(CallError::Failed(code)));
                let error = GateError::Failed(error);
                self.end(Err(&error), has_ended);
                Some(Err(error))
            }
            None => {
                self.end(Ok(()), false);
                None
            }
        }
    }

    /// The statement has ended.
    fn end(&mut self, result: Result<(), &GateError<A::StatementError>>, has_ended: bool) {
        self.rest = None;
        take(&mut self.consequences).settle(result, has_ended);
    }

    /// Gives up the wait. The connection will be closed.
    fn give_up(&mut self, given_up: GivenUp) -> GateError<A::StatementError> {
        self.rest = None;
        self.waiting = None;
        drop(take(&mut self.consequences)); // in doubt from now on
        let gate = &self.shared.gate;
        gate.breaker().observe().settle(given_up.verdict);
        gate.ended(self.began, Some(given_up.verdict), Some(given_up.kind()));
        given_up.error.into()
    }

    /// A wait that begins now.
    fn wait(&mut self) -> Waiting<'c> {
        let since = Instant::now();
        if since - self.waited_until > AT_ONCE + PER_ROW * self.rows {
            self.waited = Duration::ZERO;
        }
        let (shared, limit, waited) = (self.shared, self.limit, self.waited);
        let lost = shared.lost(self.state);
        let gate = &shared.gate;
        let missed =
            async move { (gate.bounded(None, limit, waited, pin!(pending()), lost)).await };
        Waiting {
            in_flight: self.state.start(),
            since,
            missed: Box::pin(missed),
        }
    }
}

impl<A, S, T> Stream for Rows<'_, A, S, T>
where
    A: Adapter,
    S: Stream<Item = Result<T, A::StatementError>> + Unpin,
{
    type Item = Result<T, GateError<A::StatementError>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(row) = this.first.take() {
            return Poll::Ready(Some(Ok(row)));
        }
        let Some(rest) = &mut this.rest else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(next) = rest.poll_next_unpin(context) {
            return Poll::Ready(this.arrived(next));
        }
        if this.waiting.is_none() {
            this.waiting = Some(this.wait());
        }
        let Some(waiting) = &mut this.waiting else {
            return Poll::Pending;
        };
        let Err(given_up) = ready!(waiting.missed.as_mut().poll(context));
        Poll::Ready(Some(Err(this.give_up(given_up))))
    }
}

impl<A, S, T> Drop for Rows<'_, A, S, T>
where
    A: Adapter,
    S: Stream<Item = Result<T, A::StatementError>> + Unpin,
{
    /// Reads what has arrived already, because it is usually all of it: a caller that wants one row often
    /// drops the stream before its end.
    fn drop(&mut self) {
        if self.waiting.is_some() {
            return;
        }
        let mut context = Context::from_waker(Waker::noop());
        let may_wait = self.is_last || self.shared.adapter.keeps_step();
        let most = if may_wait { DRAINED } else { 0 };
        for _ in 0..most {
            let Some(rest) = &mut self.rest else {
                return;
            };
            match rest.poll_next_unpin(&mut context) {
                Poll::Ready(next) => drop(self.arrived(next)),
                Poll::Pending => break,
            }
        }
        if self.rest.is_some() {
            self.state.leave_rows();
            take(&mut self.consequences).unseen();
        }
    }
}
