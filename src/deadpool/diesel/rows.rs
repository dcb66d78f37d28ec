//! The rows of a query.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use diesel::QueryResult;
use diesel::result::Error;
use diesel_async::pooled_connection::PoolError;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;

use super::driver::Driver;
use super::error;
use crate::deadpool::adapter::Managed;
use crate::gate::run::GivenUp;
use crate::outcome::error::GateError;
use crate::pool::connection_state::{Health, InFlight};
use crate::pool::shared::Shared;

/// The rows of a query that has answered. Each wait for more of them has the deadline of a
/// statement, and counts only if it goes wrong.
///
/// Dropped between two rows, it leaves those that remain to the driver, which reads them off before
/// the connection's next statement. Dropped in a wait, the connection is one to be closed.
pub struct Rows<'c, R: Driver> {
    first: Option<R::OwnedRow>,
    /// `None` after the end.
    rest: Option<BoxStream<'c, QueryResult<R::OwnedRow>>>,
    /// The wait for the next row, and what ends when it has to be given up.
    waiting: Option<(InFlight<'c>, BoxFuture<'c, Result<Infallible, GivenUp>>)>,
    /// The deadline of a wait. `None`: the pool's.
    limit: Option<Duration>,
    health: &'c Health,
    shared: &'c Shared<Managed<R::Manager>>,
}

impl<'c, R: Driver> Rows<'c, R> {
    /// A query without a first row is at its end.
    pub(super) fn new(
        first: Option<R::OwnedRow>,
        rest: BoxStream<'c, QueryResult<R::OwnedRow>>,
        limit: Option<Duration>,
        health: &'c Health,
        shared: &'c Shared<Managed<R::Manager>>,
    ) -> Self {
        Self {
            rest: first.is_some().then_some(rest),
            first,
            waiting: None,
            limit,
            health,
            shared,
        }
    }

    /// A row, or the end, has come.
    fn arrived(
        &mut self,
        next: Option<QueryResult<R::OwnedRow>>,
    ) -> Option<QueryResult<R::OwnedRow>> {
        if let Some((in_flight, _)) = self.waiting.take() {
            in_flight.end();
        }
        match next {
            Some(Err(error)) => {
                self.rest = None;
                Some(Err(self.failed(error)))
            }
            Some(Ok(row)) => Some(Ok(row)),
            None => {
                self.rest = None;
                None
            }
        }
    }

    fn failed(&self, error: Error) -> Error {
        let error = PoolError::QueryError(error);
        let class = self.health.note(self.shared.adapter.diagnose(&error));
        self.shared.gate.breaker().observe().settle_class(class);
        error::of_statement(GateError::Failed(error))
    }

    /// The wait is given up, and with it the connection.
    fn give_up(&mut self, given_up: GivenUp) -> Error {
        self.rest = None;
        self.waiting = None;
        (self.shared.gate.breaker().observe()).settle(given_up.verdict);
        error::missed(given_up.error)
    }
}

impl<R: Driver> Stream for Rows<'_, R> {
    type Item = QueryResult<R::OwnedRow>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(row) = this.first.take() {
            return Poll::Ready(Some(Ok(row)));
        }
        let Some(rest) = &mut this.rest else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(next) = rest.as_mut().poll_next(context) {
            return Poll::Ready(this.arrived(next));
        }
        let waiting = this.waiting.get_or_insert_with(|| {
            let (gate, limit) = (&this.shared.gate, this.limit);
            let missed = async move { gate.bounded(None, limit, pin!(pending())).await };
            (this.health.start(), Box::pin(missed))
        });
        let Err(given_up) = ready!(waiting.1.as_mut().poll(context));
        Poll::Ready(Some(Err(this.give_up(given_up))))
    }
}

impl<R: Driver> fmt::Debug for Rows<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}
