//! What a driver has to say for itself, and how statements reach its connection.

use std::fmt::Debug;
use std::future::Future;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx::{Connection, Database, Describe, Either, Error, Execute, Executor, SqlStr};
use sqlx_core::transaction::TransactionManager;

use crate::breaker::verdict::Class;
use crate::cache::read_only::NotARead;

/// Keeps [`Driver`] to this crate, so that it may grow.
pub trait Sealed {}

/// A database driver of sqlx that fusepool knows. Sealed: implemented by one file a driver.
pub trait Driver:
    Sealed + Database<Connection: RawExecutor<Self>, Arguments: Clone + Debug + Sync + 'static>
{
    /// There is a network that may lose answers.
    #[doc(hidden)]
    const IS_REMOTE: bool = true;

    /// The class of an error, by the table in the driver's module.
    fn classify(error: &Error) -> Class;

    /// Asks the database itself for an answer.
    #[doc(hidden)]
    fn ask(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), Error>> + Send + '_;

    /// Server and database, for a pool that was not given a name. No user, no password.
    #[doc(hidden)]
    fn name(options: &<Self::Connection as Connection>::Options) -> String;

    /// Checks that a statement only reads, as far as its text tells.
    #[doc(hidden)]
    fn check_read(sql: &str) -> Result<(), NotARead>;

    /// What the values of a row take that live on the heap once decoded: text and bytes as long as
    /// they are, each with what an allocation costs.
    #[doc(hidden)]
    fn row_bytes(row: &Self::Row) -> usize;
}

/// What an allocation costs, reckoned for each value that is not a number.
pub(super) const ALLOCATION: usize = 32;

/// What a driver says for itself, as values, so that code that is generic over any [`Database`]
/// can use a pool, as it can use sqlx's.
pub(super) struct Traits<DB: Database> {
    pub(super) classify: fn(&Error) -> Class,
    pub(super) ask: Ask<DB>,
    pub(super) name: fn(&<DB::Connection as Connection>::Options) -> String,
}

type Ask<DB> = for<'c> fn(&'c mut <DB as Database>::Connection) -> BoxFuture<'c, Result<(), Error>>;

impl<DB: Driver> Traits<DB> {
    pub(super) fn of() -> Self {
        Self {
            classify: DB::classify,
            ask: |connection| Box::pin(DB::ask(connection)),
            name: DB::name,
        }
    }
}

impl<DB: Database> Clone for Traits<DB> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<DB: Database> Copy for Traits<DB> {}

/// What `fetch_many` gives.
pub(super) type Rows<'e, DB> =
    BoxStream<'e, Result<Either<<DB as Database>::QueryResult, <DB as Database>::Row>, Error>>;

/// Executor methods of a driver's connection, as a trait that can be a bound.
///
/// `for<'c> &'c mut DB::Connection: Executor<'c>` cannot be one where `Executor` is implemented:
/// to decide it the compiler asks for itself, without end. One blanket implementation breaks the
/// circle.
pub trait RawExecutor<DB: Database>: Send {
    /// See [`Executor::execute`].
    fn raw_execute<'e, 'q: 'e, E>(
        &'e mut self,
        query: E,
    ) -> BoxFuture<'e, Result<DB::QueryResult, Error>>
    where
        E: 'q + Execute<'q, DB>;

    /// See [`Executor::fetch_all`].
    fn raw_fetch_all<'e, 'q: 'e, E>(
        &'e mut self,
        query: E,
    ) -> BoxFuture<'e, Result<Vec<DB::Row>, Error>>
    where
        E: 'q + Execute<'q, DB>;

    /// See [`Executor::fetch_optional`].
    fn raw_fetch_optional<'e, 'q: 'e, E>(
        &'e mut self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        E: 'q + Execute<'q, DB>;

    /// See [`Executor::fetch_many`].
    fn raw_fetch_many<'e, 'q: 'e, E>(&'e mut self, query: E) -> Rows<'e, DB>
    where
        E: 'q + Execute<'q, DB>;

    /// See [`Executor::prepare_with`].
    fn raw_prepare_with<'e>(
        &'e mut self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>;

    /// See `Executor::describe`.
    fn raw_describe(&mut self, sql: SqlStr) -> BoxFuture<'_, Result<Describe<DB>, Error>>;
}

impl<DB, C> RawExecutor<DB> for C
where
    DB: Database<Connection = C>,
    C: Connection<Database = DB>,
    for<'c> &'c mut C: Executor<'c, Database = DB>,
{
    fn raw_execute<'e, 'q: 'e, E>(
        &'e mut self,
        query: E,
    ) -> BoxFuture<'e, Result<DB::QueryResult, Error>>
    where
        E: 'q + Execute<'q, DB>,
    {
        self.execute(query)
    }

    fn raw_fetch_all<'e, 'q: 'e, E>(
        &'e mut self,
        query: E,
    ) -> BoxFuture<'e, Result<Vec<DB::Row>, Error>>
    where
        E: 'q + Execute<'q, DB>,
    {
        self.fetch_all(query)
    }

    fn raw_fetch_optional<'e, 'q: 'e, E>(
        &'e mut self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        E: 'q + Execute<'q, DB>,
    {
        self.fetch_optional(query)
    }

    fn raw_fetch_many<'e, 'q: 'e, E>(&'e mut self, query: E) -> Rows<'e, DB>
    where
        E: 'q + Execute<'q, DB>,
    {
        self.fetch_many(query)
    }

    fn raw_prepare_with<'e>(
        &'e mut self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>> {
        self.prepare_with(sql, parameters)
    }

    fn raw_describe(&mut self, sql: SqlStr) -> BoxFuture<'_, Result<Describe<DB>, Error>> {
        self.describe(sql)
    }
}

/// Whether a connection is in a transaction that sqlx knows of.
pub(super) fn in_transaction<DB: Database>(connection: &DB::Connection) -> bool {
    DB::TransactionManager::get_transaction_depth(connection) > 0
}
