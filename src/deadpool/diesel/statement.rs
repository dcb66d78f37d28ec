//! One statement on a connection, guarded.

use std::future::Future;
use std::time::Duration;

use diesel::QueryResult;
use diesel_async::pooled_connection::PoolError;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryFutureExt};

use super::driver::Driver;
use super::error;
use super::rows::Rows;
use crate::breaker::permit::Permit;
use crate::deadpool::adapter::Managed;
use crate::pool::connection_state::Health;
use crate::pool::shared::Shared;

/// A statement that was admitted.
pub(super) struct Statement<'c, R: Driver> {
    pub(super) permit: Permit<'c>,
    /// `None`: the pool's.
    pub(super) limit: Option<Duration>,
    pub(super) health: &'c Health,
    pub(super) shared: &'c Shared<Managed<R::Manager>>,
}

impl<'c, R: Driver> Statement<'c, R> {
    /// Cancellation: dropped while the call runs, the connection is one to be closed.
    pub(super) async fn run<T>(self, call: impl Future<Output = QueryResult<T>>) -> QueryResult<T> {
        let (managed, gate) = (&self.shared.adapter, &self.shared.gate);
        // What the user's `Classify` takes, whatever failed.
        let call = call.map_err(PoolError::QueryError);
        self.health
            .run(
                gate,
                self.permit,
                self.limit,
                |error| managed.diagnose(error),
                call,
            )
            .await
            .map_err(error::of_statement)
    }

    /// A query is judged by its first row, for which it has the deadline of any statement.
    ///
    /// Cancellation: as of [`run`](Self::run), up to the first row.
    pub(super) async fn load(
        self,
        call: impl Future<Output = QueryResult<BoxStream<'c, QueryResult<R::OwnedRow>>>>,
    ) -> QueryResult<Rows<'c, R>> {
        let (limit, health, shared) = (self.limit, self.health, self.shared);
        let first = async {
            let mut rows = call.await?;
            let first = rows.next().await.transpose()?;
            Ok((first, rows))
        };
        let (first, rest) = self.run(first).await?;
        Ok(Rows::new(first, rest, limit, health, shared))
    }
}
