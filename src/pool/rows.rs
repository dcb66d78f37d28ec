//! The rows of a query as a stream.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use crate::gate::run::{CallError, GivenUp};
use crate::outcome::error::GateError;
use crate::pool::adapter::{Adapter, diagnose};
use crate::pool::connection_state::{ConnectionState, InFlight};
use crate::pool::shared::Shared;
use crate::pool::statement::Statement;

/// The rows of a query that has answered.
///
/// Each wait for the next row has the deadline of a statement, and is recorded only if it fails.
/// The time between two calls for a row does not count.
///
/// If the stream is dropped between two rows, the driver handles the remaining ones. If it is
/// dropped while it waits for a row, the connection will be closed.
pub(crate) struct Rows<'c, A: Adapter, S, T> {
    first: Option<T>,
    /// `None` after the end.
    rest: Option<S>,
    /// The wait for the next row, and its deadline.
    waiting: Option<(InFlight<'c>, BoxFuture<'c, Result<Infallible, GivenUp>>)>,
    /// The limit of each wait. `None`: the pool's.
    limit: Option<Duration>,
    /// The start of the query, if it is timed.
    began: Option<Instant>,
    state: &'c ConnectionState,
    shared: &'c Shared<A>,
}

impl<'c, A: Adapter> Statement<'c, A> {
    /// Runs a query up to its first row, under the deadline of a statement. The first row, or the
    /// end of the rows, settles the permit.
    ///
    /// Cancellation: that of [`run`](Self::run).
    pub(crate) async fn load<S, T>(
        self,
        call: impl Future<Output = Result<S, A::StatementError>>,
    ) -> Result<Rows<'c, A, S, T>, GateError<A::StatementError>>
    where
        S: Stream<Item = Result<T, A::StatementError>> + Unpin,
    {
        let (limit, state, shared) = (self.limit, self.state, self.shared);
        let began = shared.gate.timer();
        let first = async {
            let mut rows = call.await?;
            Ok((rows.try_next().await?, rows))
        };
        let (first, rest) = self.run(diagnose, first).await?;
        Ok(Rows {
            rest: first.is_some().then_some(rest),
            first,
            waiting: None,
            limit,
            began,
            state,
            shared,
        })
    }
}

// Rows are never pinned.
impl<A: Adapter, S: Unpin, T> Unpin for Rows<'_, A, S, T> {}

impl<A: Adapter, S, T> Rows<'_, A, S, T> {
    /// Records that a row, an error or the end arrived.
    fn arrived(
        &mut self,
        next: Option<Result<T, A::StatementError>>,
    ) -> Option<Result<T, GateError<A::StatementError>>> {
        if let Some((in_flight, _)) = self.waiting.take() {
            in_flight.end();
        }
        match next {
            Some(Ok(row)) => Some(Ok(row)),
            Some(Err(error)) => {
                self.rest = None;
                let diagnosis = diagnose(&*self.shared.adapter, &error);
                let (class, code) = self.state.note(diagnosis);
                let gate = &self.shared.gate;
                let verdict = gate.settle_failed_call(gate.breaker().observe(), class);
                gate.ended(self.began, Some(verdict), Some(CallError::Failed(code)));
                Some(Err(GateError::Failed(error)))
            }
            None => {
                self.rest = None;
                None
            }
        }
    }

    /// Gives up the wait. The connection will be closed.
    fn give_up(&mut self, given_up: GivenUp) -> GateError<A::StatementError> {
        self.rest = None;
        self.waiting = None;
        let gate = &self.shared.gate;
        gate.breaker().observe().settle(given_up.verdict);
        gate.ended(self.began, Some(given_up.verdict), Some(given_up.kind()));
        given_up.error.into()
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
        let waiting = this.waiting.get_or_insert_with(|| {
            let (shared, limit, lost) = (this.shared, this.limit, this.shared.lost(this.state));
            let missed =
                async move { (shared.gate.bounded(None, limit, pin!(pending()), lost)).await };
            (this.state.start(), Box::pin(missed))
        });
        let Err(given_up) = ready!(waiting.1.as_mut().poll(context));
        Poll::Ready(Some(Err(this.give_up(given_up))))
    }
}
