//! The `Executor` methods as values, so that the code that guards them is written once.

use std::marker::PhantomData;

use futures_core::future::BoxFuture;
use sqlx::{Database, Describe, Error, Execute, SqlStr};

use super::driver::RawExecutor;

/// A call of one `Executor` method, before it has a connection.
pub(super) trait Operation<DB: Database>: Send {
    type Output: Send;
    /// The same operation without arguments.
    type Plain: Operation<DB, Output = Self::Output>;

    /// Executes the operation on a connection.
    fn start<'e>(
        self,
        connection: &'e mut DB::Connection,
    ) -> BoxFuture<'e, Result<Self::Output, Error>>
    where
        Self: 'e;

    /// The SQL text, and the operation for that text alone: reading the text consumes sqlx's query
    /// with its arguments.
    fn into_plain(self) -> (SqlStr, Self::Plain);
}

pub(super) struct ExecuteOne<'q, E>(pub(super) E, pub(super) PhantomData<&'q ()>);
pub(super) struct FetchAll<'q, E>(pub(super) E, pub(super) PhantomData<&'q ()>);
pub(super) struct FetchOptional<'q, E>(pub(super) E, pub(super) PhantomData<&'q ()>);
pub(super) struct Prepare<'p, T>(pub(super) SqlStr, pub(super) &'p [T]);
pub(super) struct DescribeOne(pub(super) SqlStr);

impl<'q, DB, E> Operation<DB> for ExecuteOne<'q, E>
where
    DB: Database<Connection: RawExecutor<DB>>,
    E: Execute<'q, DB> + 'q,
{
    type Output = DB::QueryResult;
    type Plain = ExecuteOne<'static, SqlStr>;

    fn start<'e>(
        self,
        connection: &'e mut DB::Connection,
    ) -> BoxFuture<'e, Result<Self::Output, Error>>
    where
        Self: 'e,
    {
        connection.raw_execute(self.0)
    }

    fn into_plain(self) -> (SqlStr, Self::Plain) {
        let sql = self.0.sql();
        (sql.clone(), ExecuteOne(sql, PhantomData))
    }
}

impl<'q, DB, E> Operation<DB> for FetchAll<'q, E>
where
    DB: Database<Connection: RawExecutor<DB>>,
    E: Execute<'q, DB> + 'q,
{
    type Output = Vec<DB::Row>;
    type Plain = FetchAll<'static, SqlStr>;

    fn start<'e>(
        self,
        connection: &'e mut DB::Connection,
    ) -> BoxFuture<'e, Result<Self::Output, Error>>
    where
        Self: 'e,
    {
        connection.raw_fetch_all(self.0)
    }

    fn into_plain(self) -> (SqlStr, Self::Plain) {
        let sql = self.0.sql();
        (sql.clone(), FetchAll(sql, PhantomData))
    }
}

impl<'q, DB, E> Operation<DB> for FetchOptional<'q, E>
where
    DB: Database<Connection: RawExecutor<DB>>,
    E: Execute<'q, DB> + 'q,
{
    type Output = Option<DB::Row>;
    type Plain = FetchOptional<'static, SqlStr>;

    fn start<'e>(
        self,
        connection: &'e mut DB::Connection,
    ) -> BoxFuture<'e, Result<Self::Output, Error>>
    where
        Self: 'e,
    {
        connection.raw_fetch_optional(self.0)
    }

    fn into_plain(self) -> (SqlStr, Self::Plain) {
        let sql = self.0.sql();
        (sql.clone(), FetchOptional(sql, PhantomData))
    }
}

impl<DB: Database<Connection: RawExecutor<DB>>> Operation<DB> for Prepare<'_, DB::TypeInfo> {
    type Output = DB::Statement;
    type Plain = Self;

    fn start<'e>(
        self,
        connection: &'e mut DB::Connection,
    ) -> BoxFuture<'e, Result<Self::Output, Error>>
    where
        Self: 'e,
    {
        connection.raw_prepare_with(self.0, self.1)
    }

    fn into_plain(self) -> (SqlStr, Self) {
        (self.0.clone(), self)
    }
}

impl<DB: Database<Connection: RawExecutor<DB>>> Operation<DB> for DescribeOne {
    type Output = Describe<DB>;
    type Plain = Self;

    fn start<'e>(
        self,
        connection: &'e mut DB::Connection,
    ) -> BoxFuture<'e, Result<Self::Output, Error>>
    where
        Self: 'e,
    {
        connection.raw_describe(self.0)
    }

    fn into_plain(self) -> (SqlStr, Self) {
        (self.0.clone(), self)
    }
}
