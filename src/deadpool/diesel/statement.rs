//! One statement on a connection, guarded.

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

/// A statement that was admitted. What the user's [`Classify`](crate::Classify) takes is diesel-async's
/// `PoolError`, whatever failed.
pub(super) struct Statement<'c, R: Driver>(
    pub(super) statement::Statement<'c, Managed<R::Manager>>,
);

impl<'c, R: Driver> Statement<'c, R> {
    /// Cancellation: dropped while the call runs, the connection is one to be closed.
    pub(super) async fn run<T>(self, call: impl Future<Output = QueryResult<T>>) -> QueryResult<T> {
        let call = call.map_err(PoolError::QueryError);
        let result = self.0.run(diagnose, call).await;
        result.map_err(error::of_statement)
    }

    /// Cancellation: as of [`run`](Self::run), up to the first row.
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

    pub(super) fn unshortened(self) -> Self {
        Self(self.0.unshortened())
    }
}
