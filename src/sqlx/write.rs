//! Writes that invalidate cached answers.

use std::fmt;

use sqlx::{Database, Error, IntoArguments, query::Query};

use super::connection::GuardedConnection;
use super::driver::Driver;
use super::executor::Configured;
use super::pool::Pool;
use crate::cache::invalidation::Name;

/// Adds `invalidates` to queries that write. Implemented for [`sqlx::query`](fn@sqlx::query).
pub trait WriteExt<DB: Driver>: Sized {
    /// Invalidates the answers cached under any of `tags` when this statement succeeds; in a
    /// transaction, when the transaction commits. A transaction that was begun with SQL text instead
    /// of `begin` counts, too, except one on the driver's own connection: the answers are then invalidated
    /// before it commits. If a transaction is prepared (`PREPARE TRANSACTION`, `XA PREPARE`), give the
    /// tags to the statement that commits it, too.
    ///
    /// An invalidated answer is never served again, even while the database cannot answer. So there
    /// is no stale answer to fall back on until the query has been read again. Use narrow tags, for
    /// example one for each product, so that the answers that were not affected stay in the cache.
    ///
    /// If the connection breaks, the deadline passes or the future is dropped, the statement may take effect,
    /// now or later. The answers are then loaded again on every read, and served only while the database
    /// cannot answer, until the server is known to [have ended the statement](crate#abandoned-statements).
    /// If the server answers with an error, they are loaded once again.
    ///
    /// ```
    /// use fusepool::sqlx::{PgPool, WriteExt};
    ///
    /// # async fn raise(pool: &PgPool, id: i64) -> sqlx::Result<()> {
    /// sqlx::query("UPDATE dish SET price = price + 1 WHERE id = $1")
    ///     .bind(id)
    ///     .invalidates(&["dishes"])
    ///     .execute(pool)
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// For other kinds of queries, such as an `INSERT ... RETURNING` with `query_as`, set the tags on
    /// the executor instead: [`Pool::invalidates`], [`GuardedConnection::invalidates`].
    fn invalidates(self, tags: &[&str]) -> Write<Self>;
}

/// A statement that invalidates cached answers; see [`WriteExt::invalidates`].
#[must_use = "a statement does nothing until it is executed"]
pub struct Write<Q> {
    query: Q,
    names: Vec<Name>,
}

impl<'q, DB, A> WriteExt<DB> for Query<'q, DB, A>
where
    DB: Driver,
    A: IntoArguments<DB> + 'q,
{
    fn invalidates(self, tags: &[&str]) -> Write<Self> {
        Write {
            query: self,
            names: Name::tags(tags),
        }
    }
}

impl<'q, DB, A> Write<Query<'q, DB, A>>
where
    DB: Driver,
    A: IntoArguments<DB> + Send + 'q,
{
    /// Executes the statement on a [`Pool`], on a leased connection or in a transaction.
    ///
    /// # Errors
    ///
    /// The [errors of a statement](super#errors).
    pub async fn execute<'c>(
        self,
        executor: impl Into<Configured<'c, DB>>,
    ) -> Result<DB::QueryResult, Error> {
        let executor = executor.into().invalidating(self.names);
        self.query.execute(executor).await
    }
}

impl<DB: Database> Pool<DB> {
    /// This pool as the executor of one statement that invalidates the answers cached under any of
    /// `tags`. See [`WriteExt::invalidates`] for when they are invalidated.
    ///
    /// ```
    /// # async fn add(pool: &fusepool::sqlx::PgPool, name: &str) -> sqlx::Result<i64> {
    /// sqlx::query_scalar("INSERT INTO dish (name) VALUES ($1) RETURNING id")
    ///     .bind(name)
    ///     .fetch_one(pool.invalidates(&["dishes"]))
    ///     .await
    /// # }
    /// ```
    #[must_use]
    pub fn invalidates(&self, tags: &[&str]) -> Configured<'static, DB> {
        Configured::from(self).invalidating(Name::tags(tags))
    }
}

impl<DB: Database> GuardedConnection<DB> {
    /// This connection as the executor of one statement that invalidates the answers cached under
    /// any of `tags`. See [`WriteExt::invalidates`] for when they are invalidated.
    ///
    /// ```
    /// # async fn add(pool: &fusepool::sqlx::PgPool, name: &str) -> sqlx::Result<i64> {
    /// let mut tx = pool.begin().await?;
    /// let id = sqlx::query_scalar("INSERT INTO dish (name) VALUES ($1) RETURNING id")
    ///     .bind(name)
    ///     .fetch_one(tx.invalidates(&["dishes"]))
    ///     .await?;
    /// tx.commit().await?;
    /// # Ok(id)
    /// # }
    /// ```
    pub fn invalidates(&mut self, tags: &[&str]) -> Configured<'_, DB> {
        Configured::from(self).invalidating(Name::tags(tags))
    }
}

impl<Q> fmt::Debug for Write<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write").finish_non_exhaustive()
    }
}
