//! Implements `sqlx::Executor` for guarded pools and connections.

use std::fmt;
use std::future::ready;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures_core::future::BoxFuture;
use futures_util::{StreamExt, TryFutureExt, TryStreamExt};
use sqlx::{Database, Describe, Either, Error, Execute, Executor, SqlStr};

use super::adapter::{Shared, Sqlx};
use super::connection::{GuardedConnection, Held, lease};
use super::driver::{Driver, Item, RawExecutor, Rows};
use super::error;
use super::pool::Pool;
use super::statement::Statement;
use crate::breaker::config::{LONGEST, check_duration};
use crate::cache::invalidation::Name;
use crate::outcome::error::{GateError, Refused};
use crate::pool::adapter::{Adapter, diagnose};
use crate::pool::rows;
use crate::pool::session::System;
use crate::pool::statement;

/// The most rows that are read in order to return the first one.
const MOST_ROWS: usize = 256;

/// A pool or a connection as the executor of one statement, with its own deadline or with tags to
/// invalidate; see [`Pool::with_timeout`] and [`Pool::invalidates`].
pub struct Configured<'c, DB: Database> {
    pub(super) target: Target<'c, DB>,
    /// The deadline of the statement. `None`: the pool's `query_timeout`.
    limit: Option<Duration>,
    /// The cached answers that the statement invalidates.
    invalidates: Vec<Name>,
}

pub(super) enum Target<'c, DB: Database> {
    Pool(Arc<Shared<DB>>),
    Lease(&'c mut GuardedConnection<DB>),
}

impl<DB: Database> Target<'_, DB> {
    fn system(&self) -> Option<System> {
        let shared = match self {
            Self::Pool(shared) => shared,
            Self::Lease(connection) => &connection.lease.shared,
        };
        shared.adapter.system()
    }

    /// The connection for the statement.
    async fn lease(&mut self) -> Result<Held<'_, DB>, GateError<Error>> {
        match self {
            Self::Pool(shared) => Ok(Held::Owned(lease(shared).await?)),
            Self::Lease(connection) => Ok(Held::Borrowed(connection)),
        }
    }
}

type Admitted<'h, DB> = statement::Statement<'h, Sqlx<DB>>;
type Loaded<'h, DB> = rows::Rows<'h, Sqlx<DB>, Rows<'h, DB>, Item<DB>>;

impl<DB: Database<Connection: RawExecutor<DB>>> Held<'_, DB> {
    /// Admits a statement on this connection. `sql` is its text, unless it is only prepared.
    async fn admit(
        &mut self,
        sql: &str,
        limit: Option<Duration>,
        invalidates: Vec<Name>,
    ) -> Result<(&mut DB::Connection, Admitted<'_, DB>), Refused> {
        let (raw, watch, admission) = self.parts();
        let effect = watch.effect(sql);
        let statement = watch.admit(admission.of(effect), limit).await?;
        Ok((raw, statement.by_text(effect, invalidates)))
    }

    /// Runs a statement up to its first row.
    async fn rows(
        &mut self,
        query: Statement<DB>,
        limit: Option<Duration>,
        invalidates: Vec<Name>,
    ) -> Result<Loaded<'_, DB>, GateError<Error>> {
        let is_last = matches!(self, Self::Owned(_));
        let (raw, statement) = self.admit(query.sql.as_str(), limit, invalidates).await?;
        let rows = ready(Ok(raw.raw_fetch_many(query)));
        statement.last(is_last).load(rows).await
    }
}

impl<DB: Database> Pool<DB> {
    /// This pool as the executor of one statement with the deadline `limit` instead of the pool's
    /// `query_timeout`. Leasing the connection still has
    /// [`acquire_timeout`](super::PoolOptions::acquire_timeout).
    ///
    /// `limit` must be longer than zero and at most [`LONGEST`]. Otherwise the statement fails with
    /// an [`Error::Configuration`] that holds a [`ConfigError`](crate::ConfigError), and nothing is
    /// sent.
    ///
    /// ```
    /// # async fn report(pool: &fusepool::sqlx::PgPool) -> sqlx::Result<()> {
    /// use std::time::Duration;
    ///
    /// sqlx::query("REFRESH MATERIALIZED VIEW sales")
    ///     .execute(pool.with_timeout(Duration::from_secs(300)))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_timeout(&self, limit: Duration) -> Configured<'static, DB> {
        Configured::of(Arc::clone(self.shared()), Some(limit))
    }

    fn guarded(&self) -> Configured<'static, DB> {
        Configured::of(Arc::clone(self.shared()), None)
    }
}

impl<DB: Database> GuardedConnection<DB> {
    /// This connection as the executor of one statement with the deadline `limit` instead of the
    /// pool's `query_timeout`. See [`Pool::with_timeout`].
    pub fn with_timeout(&mut self, limit: Duration) -> Configured<'_, DB> {
        Configured::on(self, Some(limit))
    }

    fn guarded(&mut self) -> Configured<'_, DB> {
        Configured::on(self, None)
    }
}

impl<'c, DB: Database> Configured<'c, DB> {
    pub(super) fn of(pool: Arc<Shared<DB>>, limit: Option<Duration>) -> Self {
        Self {
            target: Target::Pool(pool),
            limit,
            invalidates: Vec::new(),
        }
    }

    pub(super) fn on(lease: &'c mut GuardedConnection<DB>, limit: Option<Duration>) -> Self {
        Self {
            target: Target::Lease(lease),
            limit,
            invalidates: Vec::new(),
        }
    }

    pub(super) fn invalidating(mut self, names: Vec<Name>) -> Self {
        self.invalidates.extend(names);
        self
    }
}

impl<DB: Database> From<&Pool<DB>> for Configured<'static, DB> {
    fn from(pool: &Pool<DB>) -> Self {
        pool.guarded()
    }
}

impl<'c, DB: Database> From<&'c mut GuardedConnection<DB>> for Configured<'c, DB> {
    fn from(lease: &'c mut GuardedConnection<DB>) -> Self {
        lease.guarded()
    }
}

impl<DB: Database<Connection: RawExecutor<DB>>> Configured<'_, DB> {
    /// The checked deadline. One of zero would count as a failure of the database.
    pub(super) fn limit(&self) -> Result<Option<Duration>, Error> {
        if let Some(limit) = self.limit {
            check_duration("with_timeout", limit, LONGEST).map_err(error::misconfigured)?;
        }
        Ok(self.limit)
    }

    /// Fetches all rows of a statement, or the first one. Refusals and deadlines are not converted to
    /// sqlx's error.
    pub(super) fn fetch<'e>(
        self,
        query: Statement<DB>,
        only_first: bool,
    ) -> BoxFuture<'e, Result<Vec<DB::Row>, GateError<Error>>>
    where
        Self: 'e,
    {
        match only_first {
            true => Box::pin(
                self.first(Ok(query))
                    .map_ok(|first| first.into_iter().collect()),
            ),
            false => Box::pin(self.all(Ok(query))),
        }
    }

    /// Fetches the first row of a statement.
    ///
    /// From MySQL, sqlx leaves the other rows unread. It reads them before the next statement, however
    /// many they are, without ever yielding. So they are read here, or the connection is closed.
    async fn first(
        mut self,
        query: Result<Statement<DB>, Error>,
    ) -> Result<Option<DB::Row>, GateError<Error>> {
        let (limit, query) = self.checked(query)?;
        let is_mysql = matches!(self.target.system(), Some(System::MySql));
        let mut held = self.target.lease().await?;
        if !is_mysql {
            let (raw, statement) = held.admit(query.sql.as_str(), limit, Vec::new()).await?;
            return statement.run(diagnose, raw.raw_fetch_optional(query)).await;
        }
        let mut rows = held.rows(query, limit, Vec::new()).await?.take(MOST_ROWS);
        let mut first = None;
        while let Some(next) = rows.try_next().await? {
            if let Either::Right(row) = next {
                first.get_or_insert(row);
            }
        }
        Ok(first)
    }

    /// Executes a statement.
    async fn result(
        mut self,
        query: Result<Statement<DB>, Error>,
    ) -> Result<DB::QueryResult, GateError<Error>> {
        let (limit, query) = self.checked(query)?;
        let mut held = self.target.lease().await?;
        let names = take(&mut self.invalidates);
        let (raw, statement) = held.admit(query.sql.as_str(), limit, names).await?;
        statement.run(diagnose, raw.raw_execute(query)).await
    }

    /// Fetches all rows of a statement.
    async fn all(
        mut self,
        query: Result<Statement<DB>, Error>,
    ) -> Result<Vec<DB::Row>, GateError<Error>> {
        let (limit, query) = self.checked(query)?;
        let mut held = self.target.lease().await?;
        let names = take(&mut self.invalidates);
        let (raw, statement) = held.admit(query.sql.as_str(), limit, names).await?;
        statement.run(diagnose, raw.raw_fetch_all(query)).await
    }

    /// The checked deadline of a statement, and the statement.
    fn checked<T>(
        &self,
        query: Result<T, Error>,
    ) -> Result<(Option<Duration>, T), GateError<Error>> {
        let checked = || Ok((self.limit()?, query?));
        checked().map_err(GateError::Failed)
    }

    /// Streams the rows of a statement. The first row, or the end of the stream, settles the permit. A
    /// stream that is dropped before that is an abandoned call.
    fn stream<'e>(mut self, query: Result<Statement<DB>, Error>) -> Rows<'e, DB>
    where
        Self: 'e,
    {
        Box::pin(try_stream! {
            let (limit, query) = self.checked(query).map_err(error::of_statement)?;
            let mut held = self.target.lease().await.map_err(error::of_statement)?;
            let rows = held.rows(query, limit, take(&mut self.invalidates)).await;
            let mut rows = rows.map_err(error::of_statement)?;
            while let Some(row) = rows.try_next().await.map_err(error::of_statement)? {
                yield row;
            }
        })
    }
}

impl<'c, DB: Database<Connection: RawExecutor<DB>>> Executor<'c> for Configured<'c, DB> {
    type Database = DB;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<DB::QueryResult, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let result = self.result(Statement::take(query));
        Box::pin(result.map_err(error::of_statement))
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Rows<'e, DB>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        self.stream(Statement::take(query))
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<DB::Row>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let rows = self.all(Statement::take(query));
        Box::pin(rows.map_err(error::of_statement))
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let query = Statement::take(query);
        if self.invalidates.is_empty() {
            return Box::pin(self.first(query).map_err(error::of_statement));
        }
        // At its first row, a write has not been committed yet.
        let rows = self.all(query).map_err(error::of_statement);
        Box::pin(rows.map_ok(|rows| rows.into_iter().next()))
    }

    fn prepare_with<'e>(
        mut self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        'c: 'e,
    {
        let prepare = async move {
            let (limit, sql) = self.checked(Ok(sql))?;
            let mut held = self.target.lease().await?;
            let names = take(&mut self.invalidates);
            let (raw, statement) = held.admit("", limit, names).await?;
            let call = raw.raw_prepare_with(sql, parameters);
            statement.run(diagnose, call).await
        };
        Box::pin(prepare.map_err(error::of_statement))
    }

    // `describe` exists only with sqlx-core's feature `offline`, and has no default:
    // https://github.com/transact-rs/sqlx/pull/4077. So this crate enables sqlx's `macros`. sqlx does not
    // support executors outside of its crates: https://github.com/transact-rs/sqlx/pull/1562.
    fn describe<'e>(mut self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>>
    where
        'c: 'e,
    {
        let describe = async move {
            let (limit, sql) = self.checked(Ok(sql))?;
            let mut held = self.target.lease().await?;
            let names = take(&mut self.invalidates);
            let (raw, statement) = held.admit("", limit, names).await?;
            statement.run(diagnose, raw.raw_describe(sql)).await
        };
        Box::pin(describe.map_err(error::of_statement))
    }
}

// The implementations for `&Pool` and `&mut GuardedConnection` forward to the one for `Configured`.
// As in sqlx, the lifetime of `&Pool` is not tied to the executor's.
impl<'p, DB: Database> Executor<'p> for &'_ Pool<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    type Database = DB;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<DB::QueryResult, Error>>
    where
        E: 'q + Execute<'q, DB>,
    {
        self.guarded().execute(query)
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Rows<'e, DB>
    where
        E: 'q + Execute<'q, DB>,
    {
        self.guarded().fetch_many(query)
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<DB::Row>, Error>>
    where
        E: 'q + Execute<'q, DB>,
    {
        self.guarded().fetch_all(query)
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        E: 'q + Execute<'q, DB>,
    {
        self.guarded().fetch_optional(query)
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        'p: 'e,
    {
        self.guarded().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>> {
        self.guarded().describe(sql)
    }
}

impl<'c, DB: Driver> Executor<'c> for &'c mut GuardedConnection<DB> {
    type Database = DB;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<DB::QueryResult, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        self.guarded().execute(query)
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Rows<'e, DB>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        self.guarded().fetch_many(query)
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<DB::Row>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        self.guarded().fetch_all(query)
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        self.guarded().fetch_optional(query)
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        'c: 'e,
    {
        self.guarded().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>>
    where
        'c: 'e,
    {
        self.guarded().describe(sql)
    }
}

impl<DB: Database> fmt::Debug for Configured<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Configured");
        match &self.target {
            Target::Pool(pool) => debug.field("pool", pool.gate.breaker().name()),
            Target::Lease(lease) => debug.field("connection", lease),
        };
        debug.field("limit", &self.limit).finish()
    }
}
