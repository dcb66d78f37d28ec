//! The rows of a query.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use diesel::QueryResult;
use diesel::result::Error;
use diesel_async::pooled_connection::PoolError;
use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::TryStreamExt;
use futures_util::stream::MapErr;

use super::driver::Driver;
use super::error;
use crate::deadpool::adapter::Managed;
use crate::pool::rows;

/// The driver's rows, with diesel-async's `PoolError`.
type Raw<'c, R> =
    MapErr<BoxStream<'c, QueryResult<<R as Driver>::OwnedRow>>, fn(Error) -> PoolError>;

/// The rows of a query whose first row, or end, has arrived.
///
/// The deadline of a statement applies to the time that the caller waits for rows. If the caller comes back
/// for each row at once, as `load` does to collect them, its waits add up. If it does something else in
/// between, the next wait has the whole deadline again. Only a failed wait is recorded.
///
/// If it is dropped between two rows, the driver reads the remaining rows before the connection's
/// next statement. If it is dropped while it waits for a row, the connection is closed later
/// instead of returned to the pool.
pub struct Rows<'c, R: Driver>(
    pub(super) rows::Rows<'c, Managed<R::Manager>, Raw<'c, R>, R::OwnedRow>,
);

impl<R: Driver> Stream for Rows<'_, R> {
    type Item = QueryResult<R::OwnedRow>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.get_mut().0.try_poll_next_unpin(context));
        Poll::Ready(next.map(|row| row.map_err(error::of_statement)))
    }
}

impl<R: Driver> fmt::Debug for Rows<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}
