//! Writes that make cached answers outdated.

use std::fmt;

use sqlx::{Database, Error, IntoArguments, query::Query};

use super::connection::GuardedConnection;
use super::driver::Driver;
use super::executor::Configured;
use super::pool::Pool;
use crate::cache::invalidation::Name;

/// Statements that make cached answers outdated.
pub trait WriteExt<DB: Driver>: Sized {
    /// Makes what is cached under any of `tags` outdated, when this statement succeeds; in a
    /// transaction, when that is committed. A transaction that was begun by hand, with a statement, is not seen.
    ///
    /// From then on, nobody is served an answer from before, not even where the database cannot give
    /// a newer one: after a write, there is nothing stale to fall back on until somebody has read
    /// again. Give narrow tags, such as that of one product, to keep what was not written. If it cannot be known whether the
    /// statement took effect, such answers are asked for again, and served only where the database
    /// cannot give a newer one.
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
    /// For statements of other kinds, such as an `INSERT ... RETURNING` with `query_as`, give the tags to the executor
    /// instead: [`Pool::invalidates`], [`GuardedConnection::invalidates`].
    fn invalidates(self, tags: &[&str]) -> Write<Self>;
}

/// A statement that makes cached answers outdated; see [`WriteExt::invalidates`].
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
    /// Executes the statement on a [`Pool`], a lease or in a transaction.
    ///
    /// # Errors
    ///
    /// As the statement's.
    pub async fn execute<'c>(
        self,
        executor: impl Into<Configured<'c, DB>>,
    ) -> Result<DB::QueryResult, Error> {
        let executor = executor.into().invalidating(self.names);
        self.query.execute(executor).await
    }
}

impl<DB: Database> Pool<DB> {
    /// This pool, for one statement that makes what is cached under any of `tags` outdated. See
    /// [`WriteExt::invalidates`].
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
    /// This connection, for one statement that makes what is cached under any of `tags` outdated.
    /// See [`WriteExt::invalidates`].
    pub fn invalidates(&mut self, tags: &[&str]) -> Configured<'_, DB> {
        Configured::from(self).invalidating(Name::tags(tags))
    }
}

impl<Q> fmt::Debug for Write<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write").finish_non_exhaustive()
    }
}
