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

/// The driver's rows, with the errors of its pools.
type Raw<'c, R> =
    MapErr<BoxStream<'c, QueryResult<<R as Driver>::OwnedRow>>, fn(Error) -> PoolError>;

/// The rows of a query that has answered. Each wait for more of them has the deadline of a
/// statement, and counts only if it goes wrong.
///
/// Dropped between two rows, it leaves those that remain to the driver, which reads them off before
/// the connection's next statement. Dropped in a wait, the connection is one to be closed.
pub struct Rows<'c, R: Driver> {
    pub(super) rows: rows::Rows<'c, Managed<R::Manager>, Raw<'c, R>, R::OwnedRow>,
    /// What the statement makes outdated, once it has ended.
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
