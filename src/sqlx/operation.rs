//! The `Executor` methods as values, so that the code that guards them is written once.

use futures_core::future::BoxFuture;
use sqlx::{Database, Describe, Error, SqlStr};

use super::driver::RawExecutor;
use super::statement::Statement;

/// A call of one `Executor` method, before it has a connection.
pub(super) trait Operation<DB: Database>: Send {
    type Output: Send;

    /// The text that it executes; `None` if it only prepares one.
    fn sql(&self) -> Option<&str>;

    /// Executes the operation on a connection.
    fn start<'e>(
        self,
        connection: &'e mut DB::Connection,
    ) -> BoxFuture<'e, Result<Self::Output, Error>>
    where
        Self: 'e;
}

pub(super) struct ExecuteOne<DB: Database>(pub(super) Statement<DB>);
pub(super) struct FetchAll<DB: Database>(pub(super) Statement<DB>);
pub(super) struct FetchOptional<DB: Database>(pub(super) Statement<DB>);
pub(super) struct Prepare<'p, T>(pub(super) SqlStr, pub(super) &'p [T]);
pub(super) struct DescribeOne(pub(super) SqlStr);

impl<DB: Database<Connection: RawExecutor<DB>>> Operation<DB> for ExecuteOne<DB> {
    type Output = DB::QueryResult;

    fn sql(&self) -> Option<&str> {
        Some(self.0.sql.as_str())
    }

    fn start<'e>(
        self,
        connection: &'e mut DB::Connection,
    ) -> BoxFuture<'e, Result<Self::Output, Error>>
    where
        Self: 'e,
    {
        connection.raw_execute(self.0)
    }
}

impl<DB: Database<Connection: RawExecutor<DB>>> Operation<DB> for FetchAll<DB> {
    type Output = Vec<DB::Row>;

    fn sql(&self) -> Option<&str> {
        Some(self.0.sql.as_str())
    }

    fn start<'e>(
        self,
        connection: &'e mut DB::Connection,
    ) -> BoxFuture<'e, Result<Self::Output, Error>>
    where
        Self: 'e,
    {
        connection.raw_fetch_all(self.0)
    }
}

impl<DB: Database<Connection: RawExecutor<DB>>> Operation<DB> for FetchOptional<DB> {
    type Output = Option<DB::Row>;

    fn sql(&self) -> Option<&str> {
        Some(self.0.sql.as_str())
    }

    fn start<'e>(
        self,
        connection: &'e mut DB::Connection,
    ) -> BoxFuture<'e, Result<Self::Output, Error>>
    where
        Self: 'e,
    {
        connection.raw_fetch_optional(self.0)
    }
}

impl<DB: Database<Connection: RawExecutor<DB>>> Operation<DB> for Prepare<'_, DB::TypeInfo> {
    type Output = DB::Statement;

    fn sql(&self) -> Option<&str> {
        None
    }

    fn start<'e>(
        self,
        connection: &'e mut DB::Connection,
    ) -> BoxFuture<'e, Result<Self::Output, Error>>
    where
        Self: 'e,
    {
        connection.raw_prepare_with(self.0, self.1)
    }
}

impl<DB: Database<Connection: RawExecutor<DB>>> Operation<DB> for DescribeOne {
    type Output = Describe<DB>;

    fn sql(&self) -> Option<&str> {
        None
    }

    fn start<'e>(
        self,
        connection: &'e mut DB::Connection,
    ) -> BoxFuture<'e, Result<Self::Output, Error>>
    where
        Self: 'e,
    {
        connection.raw_describe(self.0)
    }
}
