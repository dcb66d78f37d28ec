//! What a connection of diesel-async's has to say for itself.

use deadpool::managed::Manager;
use diesel::QueryResult;
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::row::Row;
use diesel_async::pooled_connection::PoolError;
use diesel_async::{AnsiTransactionManager, AsyncConnection};
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;

use crate::breaker::verdict::Class;

/// Keeps [`Driver`] to this crate, so that it may grow.
pub trait Sealed {}

/// A connection of diesel-async's that fusepool knows. Sealed: implemented by one file a driver.
pub trait Driver:
    Sealed + AsyncConnection<TransactionManager = AnsiTransactionManager> + 'static
{
    /// diesel-async's manager of these connections.
    #[doc(hidden)]
    type Manager: Manager<Type = Self, Error = PoolError> + Send + Sync + 'static;

    /// A row, which borrows from nothing.
    #[doc(hidden)]
    type OwnedRow: for<'r> Row<'r, Self::Backend> + Send + Unpin + 'static;

    /// [`AsyncConnectionCore::load`](diesel_async::AsyncConnectionCore::load), whose future borrows
    /// from the connection alone.
    #[doc(hidden)]
    fn start_load<'c, 'q, T>(
        &'c mut self,
        source: T,
    ) -> BoxFuture<'c, QueryResult<BoxStream<'c, QueryResult<Self::OwnedRow>>>>
    where
        T: AsQuery + 'q,
        T::Query: QueryFragment<Self::Backend> + QueryId + 'q;

    /// The same of
    /// [`AsyncConnectionCore::execute_returning_count`](diesel_async::AsyncConnectionCore::execute_returning_count).
    #[doc(hidden)]
    fn start_execute<'c, 'q, T>(&'c mut self, source: T) -> BoxFuture<'c, QueryResult<usize>>
    where
        T: QueryFragment<Self::Backend> + QueryId + 'q;

    /// Stops what the server still does for this connection.
    #[doc(hidden)]
    fn cancel(&self) -> BoxFuture<'static, ()>;

    /// The class of an error that the server reported, by the table in the driver's file.
    #[doc(hidden)]
    fn classify(error: &Error) -> Class;
}
