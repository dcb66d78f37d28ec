//! `sqlx::Executor`: how queries reach a guarded pool or connection.

use std::fmt;
use std::marker::PhantomData;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures_core::future::BoxFuture;
use futures_util::TryStreamExt;
use sqlx::{Database, Describe, Error, Execute, Executor, SqlStr};

use super::connection::{GuardedConnection, admit, admit_on};
use super::driver::{Driver, RawExecutor, Rows};
use super::error;
use super::operation::{DescribeOne, ExecuteOne, FetchAll, FetchOptional, Operation, Prepare};
use super::pool::Pool;
use super::publication::Publication;
use super::shared::Shared;
use crate::breaker::config::{LONGEST, check_duration};
use crate::cache::invalidation::Name;
use crate::gate::admission::turned_away;
use crate::outcome::error::Rejected;
use crate::pool::transaction::ends_transaction;

/// A pool or a connection whose statements have a deadline of their own; see
/// [`Pool::within`] and [`GuardedConnection::within`].
pub struct Within<'c, DB: Database> {
    pub(super) target: Target<'c, DB>,
    /// `None`: the pool's.
    limit: Option<Duration>,
    /// What the statement makes outdated in the cache.
    invalidates: Vec<Name>,
}

pub(super) enum Target<'c, DB: Database> {
    Pool(Arc<Shared<DB>>),
    Lease(&'c mut GuardedConnection<DB>),
}

impl<DB: Database> Pool<DB> {
    /// This pool, with another deadline for the one statement that is run on it; getting a connection
    /// has its own, [`acquire_timeout`](super::PoolOptions::acquire_timeout). A zero one, or one
    /// longer than [`LONGEST`], is an [`Error::Configuration`] with a
    /// [`ConfigError`](crate::ConfigError).
    ///
    /// ```
    /// # async fn report(pool: &fusepool::sqlx::PgPool) -> sqlx::Result<()> {
    /// use std::time::Duration;
    ///
    /// sqlx::query("REFRESH MATERIALIZED VIEW sales")
    ///     .execute(pool.within(Duration::from_secs(300)))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn within(&self, limit: Duration) -> Within<'static, DB> {
        Within::of(Arc::clone(self.shared()), Some(limit))
    }

    fn guarded(&self) -> Within<'static, DB> {
        Within::of(Arc::clone(self.shared()), None)
    }
}

impl<DB: Database> GuardedConnection<DB> {
    /// This connection, with another deadline for the one statement that is run on it. See
    /// [`Pool::within`].
    pub fn within(&mut self, limit: Duration) -> Within<'_, DB> {
        Within::on(self, Some(limit))
    }

    fn guarded(&mut self) -> Within<'_, DB> {
        Within::on(self, None)
    }
}

impl<'c, DB: Database> Within<'c, DB> {
    pub(super) fn of(pool: Arc<Shared<DB>>, limit: Option<Duration>) -> Self {
        Self {
            target: Target::Pool(pool),
            limit,
            invalidates: Vec::new(),
        }
    }

    fn on(lease: &'c mut GuardedConnection<DB>, limit: Option<Duration>) -> Self {
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

impl<DB: Database> From<&Pool<DB>> for Within<'static, DB> {
    fn from(pool: &Pool<DB>) -> Self {
        pool.guarded()
    }
}

impl<'c, DB: Database> From<&'c mut GuardedConnection<DB>> for Within<'c, DB> {
    fn from(lease: &'c mut GuardedConnection<DB>) -> Self {
        lease.guarded()
    }
}

impl<DB: Database<Connection: RawExecutor<DB>>> Within<'_, DB> {
    /// The deadline, if it can be met at all: one of zero would pass for a fault of the database.
    pub(super) fn limit(&self) -> Result<Option<Duration>, Error> {
        if let Some(limit) = self.limit {
            check_duration("within", limit, LONGEST).map_err(error::misconfigured)?;
        }
        Ok(self.limit)
    }

    /// What the statement makes outdated; in a transaction that waits for its end.
    fn publication(&mut self) -> Option<Publication<DB>> {
        let names = take(&mut self.invalidates);
        match &mut self.target {
            Target::Pool(shared) => Publication::of(shared, names),
            Target::Lease(lease) => lease.publish_later(names),
        }
    }

    pub(super) async fn run<O: Operation<DB>>(mut self, operation: O) -> Result<O::Output, Error> {
        let publication = self.publication();
        let result = self.run_statement(operation).await;
        if let Some(publication) = publication {
            publication.settle(&result);
        }
        result
    }

    async fn run_statement<O: Operation<DB>>(self, operation: O) -> Result<O::Output, Error> {
        let limit = self.limit()?;
        match self.target {
            Target::Pool(pool) => {
                let (mut lease, probe) = pool.lease().await?;
                let permit = admit_on(&pool.gate, probe)?;
                let (raw, health, shared) = lease.parts();
                shared
                    .run(health, permit, limit, operation.start(raw))
                    .await
            }
            Target::Lease(lease) => {
                let (raw, health, shared) = lease.parts();
                let rejected = match admit::<DB>(shared, health, raw) {
                    Ok(permit) => {
                        return shared
                            .run(health, permit, limit, operation.start(raw))
                            .await;
                    }
                    Err(rejected) => rejected,
                };
                let (sql, operation) = operation.into_plain();
                if !passes(&rejected, &sql) {
                    return Err(error::refused(turned_away(rejected).await));
                }
                let permit = shared.gate.breaker().observe();
                shared
                    .run(health, permit, limit, operation.start(raw))
                    .await
            }
        }
    }

    /// The rows as they come. The deadline is for each wait for the database, not for the time the
    /// caller takes with a row, and so is the verdict: the first row or the end is an answer. A
    /// stream that is dropped before that is an abandoned call.
    fn stream<'e, 'q: 'e, E>(mut self, query: E) -> Rows<'e, DB>
    where
        Self: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let limit = self.limit();
        let publication = self.publication();
        match self.target {
            Target::Pool(pool) => Box::pin(try_stream! {
                let limit = limit?;
                let (mut lease, probe) = pool.lease().await?;
                let permit = admit_on(&pool.gate, probe)?;
                let (raw, health, shared) = lease.parts();
                let mut rows = raw.raw_fetch_many(query);
                let mut row = shared.run(health, permit, limit, rows.try_next()).await?;
                while let Some(next) = row {
                    yield next;
                    row = shared.follow(health, limit, rows.try_next()).await?;
                }
                if let Some(publication) = publication {
                    publication.settle(&Ok(()));
                }
            }),
            Target::Lease(lease) => Box::pin(try_stream! {
                let limit = limit?;
                let (raw, health, shared) = lease.parts();
                let (permit, mut rows) = match admit::<DB>(shared, health, raw) {
                    Ok(permit) => (permit, raw.raw_fetch_many(query)),
                    Err(rejected) => {
                        let sql = query.sql();
                        if !passes(&rejected, &sql) {
                            Err(error::refused(turned_away(rejected).await))?;
                        }
                        (shared.gate.breaker().observe(), raw.raw_fetch_many(sql))
                    }
                };
                let mut row = shared.run(health, permit, limit, rows.try_next()).await?;
                while let Some(next) = row {
                    yield next;
                    row = shared.follow(health, limit, rows.try_next()).await?;
                }
                if let Some(publication) = publication {
                    publication.settle(&Ok(()));
                }
            }),
        }
    }
}

/// What the breaker refuses passes if it ends a transaction.
fn passes(rejected: &Rejected, sql: &SqlStr) -> bool {
    !matches!(rejected, Rejected::Abandoned { .. }) && ends_transaction(sql.as_str())
}

impl<'c, DB: Database<Connection: RawExecutor<DB>>> Executor<'c> for Within<'c, DB> {
    type Database = DB;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<DB::QueryResult, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        Box::pin(self.run(ExecuteOne(query, PhantomData)))
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Rows<'e, DB>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        self.stream(query)
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<DB::Row>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        Box::pin(self.run(FetchAll(query, PhantomData)))
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, DB>,
    {
        Box::pin(self.run(FetchOptional(query, PhantomData)))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        'c: 'e,
    {
        Box::pin(self.run(Prepare(sql, parameters)))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>>
    where
        'c: 'e,
    {
        Box::pin(self.run(DescribeOne(sql)))
    }
}

// The two that users name hand everything to the one above. The lifetime of `&Pool` is not tied to
// the executor's, just as sqlx's is not.
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

impl<DB: Database> fmt::Debug for Within<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Within");
        match &self.target {
            Target::Pool(pool) => debug.field("pool", pool.gate.breaker().name()),
            Target::Lease(lease) => debug.field("connection", lease),
        };
        debug.field("limit", &self.limit).finish()
    }
}
