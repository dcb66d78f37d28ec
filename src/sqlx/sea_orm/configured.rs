//! Statements of SeaORM on a pool or in a transaction.

use std::fmt;
use std::time::Duration;

use async_stream::try_stream;
use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::TryStreamExt;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, Statement};
use sqlx::{Either, Executor};
use tokio::sync::MutexGuard;

use super::backend::{Backend, statement};
use super::error;
use super::transaction::Session;
use crate::cache::invalidation::Name;
use crate::sqlx::connection::GuardedConnection;
use crate::sqlx::executor;
use crate::sqlx::pool::Pool;
use crate::sqlx::statement::Statement as Text;

/// Rows that arrive one by one.
pub(super) type Rows<'c> = BoxStream<'c, Result<QueryResult, DbErr>>;

/// A connection or a transaction for one operation, with its own deadline or with tags to invalidate; see
/// [`DatabaseConnection::with_timeout`](super::DatabaseConnection::with_timeout) and
/// [`DatabaseConnection::invalidates`](super::DatabaseConnection::invalidates).
pub struct Configured<'c, DB: Backend> {
    target: Target<'c, DB>,
    /// The deadline of each statement. `None`: the pool's `query_timeout`.
    limit: Option<Duration>,
    /// The cached answers that each statement invalidates.
    invalidates: Vec<Name>,
}

enum Target<'c, DB: Backend> {
    Pool(&'c Pool<DB>),
    Transaction(&'c Session<DB>),
}

/// Seals [`Connection`].
pub trait Sealed {}

/// A guarded connection: [`DatabaseConnection`](super::DatabaseConnection),
/// [`DatabaseTransaction`](super::DatabaseTransaction), or one of them with a setting for one operation.
///
/// This trait is sealed.
pub trait Connection: ConnectionTrait + Sealed {
    /// The driver.
    type Driver: Backend;

    #[doc(hidden)]
    fn configured(&self) -> Configured<'_, Self::Driver>;
}

/// The connection of a statement, for as long as it runs.
pub(super) enum Held<'c, DB: Backend> {
    Pool(&'c Pool<DB>),
    Transaction(MutexGuard<'c, GuardedConnection<DB>>),
}

impl<DB: Backend> Held<'_, DB> {
    pub(super) fn executor(
        &mut self,
        limit: Option<Duration>,
        invalidates: &[Name],
    ) -> executor::Configured<'_, DB> {
        let executor = match self {
            Self::Pool(pool) => executor::Configured::of(pool.shared().clone(), limit),
            Self::Transaction(connection) => executor::Configured::on(connection, limit),
        };
        executor.invalidating(invalidates.to_vec())
    }
}

impl<'c, DB: Backend> Configured<'c, DB> {
    pub(super) fn pool(pool: &'c Pool<DB>) -> Self {
        Self::new(Target::Pool(pool))
    }

    pub(super) fn transaction(session: &'c Session<DB>) -> Self {
        Self::new(Target::Transaction(session))
    }

    fn new(target: Target<'c, DB>) -> Self {
        Self {
            target,
            limit: None,
            invalidates: Vec::new(),
        }
    }

    /// The same, with the deadline `limit` for each statement.
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The same, with more tags to invalidate.
    #[must_use]
    pub fn invalidates(mut self, tags: &[&str]) -> Self {
        self.invalidates.extend(Name::tags(tags));
        self
    }

    pub(super) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Waits until no other statement runs in the transaction.
    pub(super) async fn held(&self) -> Held<'c, DB> {
        match self.target {
            Target::Pool(pool) => Held::Pool(pool),
            Target::Transaction(session) => Held::Transaction(session.lock().await),
        }
    }

    async fn execute(&self, query: Text<DB>) -> Result<ExecResult, DbErr> {
        let mut held = self.held().await;
        let executor = held.executor(self.limit, &self.invalidates);
        let done = executor.execute(query).await;
        done.map(Into::into).map_err(|e| error::of(DbErr::Exec, e))
    }

    /// The rows of a statement, which is sent when the first one is asked for.
    pub(super) async fn rows(self, query: Statement) -> Rows<'c> {
        let mut held = self.held().await;
        Box::pin(try_stream! {
            let mut rows = held
                .executor(self.limit, &self.invalidates)
                .fetch_many(statement::<DB>(query));
            while let Some(row) = rows.try_next().await.map_err(|e| error::of(DbErr::Query, e))? {
                if let Either::Right(row) = row {
                    yield row.into();
                }
            }
        })
    }
}

impl<DB: Backend> Sealed for Configured<'_, DB> {}

impl<DB: Backend> Connection for Configured<'_, DB> {
    type Driver = DB;

    fn configured(&self) -> Configured<'_, DB> {
        Configured {
            target: match self.target {
                Target::Pool(pool) => Target::Pool(pool),
                Target::Transaction(session) => Target::Transaction(session),
            },
            limit: self.limit,
            invalidates: self.invalidates.clone(),
        }
    }
}

#[async_trait]
impl<DB: Backend> ConnectionTrait for Configured<'_, DB> {
    fn get_database_backend(&self) -> DbBackend {
        DB::BACKEND
    }

    async fn execute_raw(&self, query: Statement) -> Result<ExecResult, DbErr> {
        self.execute(statement(query)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.execute(Text::new(sql.to_owned(), None)).await
    }

    async fn query_one_raw(&self, query: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut held = self.held().await;
        let executor = held.executor(self.limit, &self.invalidates);
        let row = executor.fetch_optional(statement::<DB>(query)).await;
        let row = row.map_err(|e| error::of(DbErr::Query, e))?;
        Ok(row.map(Into::into))
    }

    async fn query_all_raw(&self, query: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut held = self.held().await;
        let executor = held.executor(self.limit, &self.invalidates);
        let rows = executor.fetch_all(statement::<DB>(query)).await;
        let rows = rows.map_err(|e| error::of(DbErr::Query, e))?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

impl<DB: Backend> fmt::Debug for Configured<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Configured");
        match self.target {
            Target::Pool(pool) => debug.field("pool", pool.gate().breaker().name()),
            Target::Transaction(session) => debug.field("transaction", session),
        };
        debug.field("limit", &self.limit).finish()
    }
}
