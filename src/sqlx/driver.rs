//! The sqlx drivers that fusepool supports, and how statements reach a driver's connection.

use std::fmt::Debug;
use std::future::{Future, ready};

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx::{Connection, Database, Describe, Either, Error, Execute, Executor, SqlStr, raw_sql};
// Not exported by sqlx any more: https://github.com/transact-rs/sqlx/pull/3821.
use sqlx_core::transaction::TransactionManager;

use crate::breaker::verdict::Class;
use crate::cache::not_a_read::NotARead;
use crate::outcome::code::ErrorCode;
use crate::pool::session::System;
use crate::telemetry::backend::Backend;

/// Seals [`Driver`], so that adding a method to it is not a breaking change.
pub trait Sealed {}

/// A database driver of sqlx that fusepool supports: `Postgres`, `MySql` or `Sqlite`, each with its
/// feature.
///
/// This trait is sealed. Use it as a bound in generic code that builds a pool or executes
/// statements on `&mut *conn` or `&mut *tx`:
///
/// ```
/// use fusepool::sqlx::{Driver, Pool};
///
/// fn lazy_pool<DB: Driver>(url: &str) -> sqlx::Result<Pool<DB>> {
///     Pool::connect_lazy(url)
/// }
/// ```
pub trait Driver:
    Sealed + Database<Connection: RawExecutor<Self>, Arguments: Clone + Debug + Sync + 'static>
{
    /// The system whose sessions serve connections. SQLite has none.
    #[doc(hidden)]
    const SYSTEM: Option<System>;

    /// The class of an error, by the table in the driver's module. This is the default of
    /// [`PoolOptions::classify`](super::PoolOptions::classify).
    ///
    /// ```
    /// use fusepool::Class;
    /// use fusepool::sqlx::{Driver, PgPoolOptions};
    /// use sqlx::{Error, Postgres};
    ///
    /// let options = PgPoolOptions::new().classify(|error: &Error| match error {
    ///     Error::Protocol(_) => Class::Ignored, // of a proxy with this habit
    ///     error => <Postgres as Driver>::classify(error),
    /// });
    /// ```
    fn classify(error: &Error) -> Class;

    /// A statement that the database itself must answer. A ping is none: a proxy may answer it, and on
    /// PostgreSQL it is a bare `Sync`, which executes nothing.
    #[doc(hidden)]
    const PING: &'static str = "SELECT 1";

    /// Runs a statement that returns one text.
    #[doc(hidden)]
    fn question(connection: &mut Self::Connection, sql: String) -> BoxFuture<'_, Option<String>>;

    /// Whether the server is read-only, for everyone. `None` if it cannot tell.
    #[doc(hidden)]
    fn is_read_only(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<Option<bool>, Error>> + Send + '_ {
        let _ = connection;
        ready(Ok(None))
    }

    /// The server and the database. They make the default name of the pool.
    #[doc(hidden)]
    fn backend(options: &<Self::Connection as Connection>::Options) -> Backend;

    /// The server's code for an error.
    #[doc(hidden)]
    fn code(error: &Error) -> Option<ErrorCode> {
        ErrorCode::new(&error.as_database_error()?.code()?)
    }

    /// Checks by its text that a statement only reads.
    #[doc(hidden)]
    fn check_read(sql: &str) -> Result<(), NotARead>;

    /// An estimate of the heap memory that a row's values take once they are decoded, in bytes:
    /// the length of text and binary values, plus [`ALLOCATION`] for every value.
    #[doc(hidden)]
    fn row_bytes(row: &Self::Row) -> usize;
}

/// The overhead of a heap allocation in bytes, added once for each value of a row.
pub(super) const ALLOCATION: usize = 32;

/// Methods of a [`Driver`] as function pointers, so that code that is generic over any
/// [`Database`] can use a pool, as with sqlx.
pub(super) struct Traits<DB: Database> {
    pub(super) classify: fn(&Error) -> Class,
    pub(super) ping: &'static str,
    pub(super) run: Run<DB>,
    pub(super) is_read_only: IsReadOnly<DB>,
    pub(super) system: Option<System>,
    pub(super) question: Question<DB>,
    pub(super) backend: fn(&<DB::Connection as Connection>::Options) -> Backend,
    pub(super) code: fn(&Error) -> Option<ErrorCode>,
}

type Question<DB> =
    for<'c> fn(&'c mut <DB as Database>::Connection, String) -> BoxFuture<'c, Option<String>>;
type Run<DB> =
    for<'c> fn(&'c mut <DB as Database>::Connection, SqlStr) -> BoxFuture<'c, Result<(), Error>>;
type IsReadOnly<DB> =
    for<'c> fn(&'c mut <DB as Database>::Connection) -> BoxFuture<'c, Result<Option<bool>, Error>>;

impl<DB: Driver> Traits<DB> {
    pub(super) fn of() -> Self {
        Self {
            classify: DB::classify,
            ping: DB::PING,
            run: |connection, sql| {
                Box::pin(async { connection.raw_execute(raw_sql(sql)).await.map(drop) })
            },
            is_read_only: |connection| Box::pin(DB::is_read_only(connection)),
            system: DB::SYSTEM,
            question: DB::question,
            backend: DB::backend,
            code: DB::code,
        }
    }
}

impl<DB: Database> Clone for Traits<DB> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<DB: Database> Copy for Traits<DB> {}

/// An item of the stream that `fetch_many` returns.
pub(super) type Item<DB> = Either<<DB as Database>::QueryResult, <DB as Database>::Row>;

/// The stream that `fetch_many` returns.
pub(super) type Rows<'e, DB> = BoxStream<'e, Result<Item<DB>, Error>>;

/// The [`Executor`] methods of a driver's connection, as a trait that can be used as a bound.
///
/// `for<'c> &'c mut DB::Connection: Executor<'c>` cannot be a bound of an implementation of
/// `Executor`: the compiler would recurse endlessly to prove it. One blanket implementation of
/// this trait breaks the cycle.
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

/// Whether a connection is in a transaction that was begun through sqlx.
pub(super) fn in_transaction<DB: Database>(connection: &DB::Connection) -> bool {
    DB::TransactionManager::get_transaction_depth(connection) > 0
}
