//! A guarded statement on a connection.

use std::future::Future;

use diesel::QueryResult;
use diesel_async::pooled_connection::PoolError;
use futures_core::stream::BoxStream;
use futures_util::{TryFutureExt, TryStreamExt};

use super::driver::Driver;
use super::error;
use super::rows::Rows;
use crate::deadpool::adapter::Managed;
use crate::pool::adapter::diagnose;
use crate::pool::statement;

/// An admitted statement. Its errors are converted to diesel-async's `PoolError`, which is the
/// error type of the user's [`Classify`](crate::Classify).
pub(super) struct Statement<'c, R: Driver>(
    pub(super) statement::Statement<'c, Managed<R::Manager>>,
);

impl<'c, R: Driver> Statement<'c, R> {
    /// Runs the statement.
    ///
    /// Cancellation: if this is dropped while the call runs, the connection is closed later instead
    /// of returned to the pool. For dropped queries in mysql_async, see
    /// <https://github.com/blackbeam/mysql_async/issues/401>.
    pub(super) async fn run<T>(self, call: impl Future<Output = QueryResult<T>>) -> QueryResult<T> {
        let call = call.map_err(PoolError::QueryError);
        let result = self.0.run(diagnose, call).await;
        result.map_err(error::of_statement)
    }

    /// Runs a query up to its first row, and returns its rows.
    ///
    /// Cancellation: as [`run`](Self::run).
    pub(super) async fn load(
        self,
        call: impl Future<Output = QueryResult<BoxStream<'c, QueryResult<R::OwnedRow>>>>,
    ) -> QueryResult<Rows<'c, R>> {
        let call = async {
            let rows = call.await.map_err(PoolError::QueryError)?;
            Ok(rows.map_err(PoolError::QueryError as fn(_) -> _))
        };
        let rows = self.0.load(call).await;
        Ok(Rows(rows.map_err(error::of_statement)?))
    }
}
