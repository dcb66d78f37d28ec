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
use crate::cache::publication::Publication;
use crate::deadpool::adapter::Managed;
use crate::pool::rows;

/// The driver's rows, with diesel-async's `PoolError`.
type Raw<'c, R> =
    MapErr<BoxStream<'c, QueryResult<<R as Driver>::OwnedRow>>, fn(Error) -> PoolError>;

/// The rows of a query whose first row, or end, has arrived. Each wait for another row has the
/// deadline of a statement. Only a failed wait is recorded.
///
/// If it is dropped between two rows, the driver reads the remaining rows before the connection's
/// next statement. If it is dropped while it waits for a row, the connection is closed later
/// instead of returned to the pool.
pub struct Rows<'c, R: Driver> {
    pub(super) rows: rows::Rows<'c, Managed<R::Manager>, Raw<'c, R>, R::OwnedRow>,
    /// The tags that the statement invalidates when it ends.
    pub(super) publication: Option<Publication>,
}

impl<R: Driver> Stream for Rows<'_, R> {
    type Item = QueryResult<R::OwnedRow>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let next = ready!(this.rows.try_poll_next_unpin(context));
        if next.is_none()
            && let Some(publication) = this.publication.take()
        {
            publication.publish();
        }
        Poll::Ready(next.map(|row| row.map_err(error::of_statement)))
    }
}

impl<R: Driver> fmt::Debug for Rows<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}
