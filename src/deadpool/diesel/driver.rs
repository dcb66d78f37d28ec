//! The diesel-async connections that fusepool supports.

use deadpool::managed::Manager;
use diesel::QueryResult;
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::row::Row;
use diesel_async::pooled_connection::{ManagerConfig, PoolError};
use diesel_async::{AnsiTransactionManager, AsyncConnection};
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;

use crate::breaker::verdict::Class;
use crate::cache::not_a_read::NotARead;
use crate::outcome::code::ErrorCode;
use crate::pool::session::System;

/// Seals [`Driver`], so that adding a method to it is not a breaking change.
pub trait Sealed {}

/// A diesel-async connection that fusepool supports: `diesel_async::AsyncPgConnection` and
/// `diesel_async::AsyncMysqlConnection`, each with its feature. This trait is sealed.
pub trait Driver:
    Sealed + AsyncConnection<TransactionManager = AnsiTransactionManager> + 'static
{
    /// The system whose sessions serve connections.
    #[doc(hidden)]
    const SYSTEM: System;

    /// diesel-async's manager of these connections.
    #[doc(hidden)]
    type Manager: Manager<Type = Self, Error = PoolError> + Send + Sync + 'static;

    /// A manager of this configuration.
    #[doc(hidden)]
    fn manager_of(config: ManagerConfig<Self>) -> Self::Manager;

    /// A row that borrows nothing.
    #[doc(hidden)]
    type OwnedRow: for<'r> Row<'r, Self::Backend> + Send + Unpin + 'static;

    /// [`AsyncConnectionCore::load`](diesel_async::AsyncConnectionCore::load), with a future that
    /// borrows only the connection.
    #[doc(hidden)]
    fn start_load<'c, 'q, T>(
        &'c mut self,
        source: T,
    ) -> BoxFuture<'c, QueryResult<BoxStream<'c, QueryResult<Self::OwnedRow>>>>
    where
        T: AsQuery + 'q,
        T::Query: QueryFragment<Self::Backend> + QueryId + 'q;

    /// [`AsyncConnectionCore::execute_returning_count`](diesel_async::AsyncConnectionCore::execute_returning_count),
    /// with a future that borrows only the connection.
    #[doc(hidden)]
    fn start_execute<'c, 'q, T>(&'c mut self, source: T) -> BoxFuture<'c, QueryResult<usize>>
    where
        T: QueryFragment<Self::Backend> + QueryId + 'q;

    /// Runs a query for one text.
    #[doc(hidden)]
    fn question(&mut self, sql: String) -> BoxFuture<'_, Option<String>>;

    /// Stops the statement that the server still runs for this connection.
    #[doc(hidden)]
    fn cancel(&self) -> BoxFuture<'static, ()>;

    /// The class of an error that the server reported. `is_login`: while the connection was opened.
    #[doc(hidden)]
    fn classify(error: &Error, is_login: bool) -> Class;

    /// The server's code for an error, as far as its text tells.
    #[doc(hidden)]
    fn code(error: &Error) -> Option<ErrorCode>;

    /// Whether the server is read-only.
    #[doc(hidden)]
    fn is_read_only(&mut self) -> BoxFuture<'_, QueryResult<bool>>;

    /// Checks that a statement only reads, as far as its text tells.
    #[doc(hidden)]
    fn check_read(sql: &str) -> Result<(), NotARead>;

    /// Builds a query, without a connection.
    #[doc(hidden)]
    fn build(query: &impl QueryFragment<Self::Backend>) -> QueryResult<BuiltQuery>;

    /// The memory on the heap that the decoded values of a row take: text and bytes at their length,
    /// each with the cost of an allocation.
    #[doc(hidden)]
    fn row_bytes(row: &Self::OwnedRow) -> usize;
}

/// A query as it is sent.
#[derive(Debug)]
pub struct BuiltQuery {
    pub(super) sql: String,
    /// The bound values, encoded; `None` is NULL.
    pub(super) values: Vec<Option<Vec<u8>>>,
    /// The types of the values.
    pub(super) types: Vec<String>,
}

/// The cost of an allocation, assumed for each value.
pub(super) const ALLOCATION: usize = 32;
