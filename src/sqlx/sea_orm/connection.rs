//! A guarded pool as a connection of SeaORM.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use sea_orm::{DbErr, TransactionOptions};

use super::backend::Backend;
use super::configured::{Configured, Connection};
use super::error;
use super::transaction::DatabaseTransaction;
use crate::outcome::served::Unanswered;
use crate::sqlx::connection::lease;
use crate::sqlx::error::of_statement;
use crate::sqlx::pool::Pool;

/// A guarded pool, used like SeaORM's type of the same name. Clones share one pool.
///
/// It is made from a [`Pool`], and dereferences to it:
///
#[cfg_attr(feature = "sqlx-postgres", doc = "```no_run")]
#[cfg_attr(not(feature = "sqlx-postgres"), doc = "```ignore")]
/// use fusepool::sqlx::PgPoolOptions;
/// use fusepool::sqlx::sea_orm::postgres::DatabaseConnection;
///
/// # async fn run(url: &str) -> Result<(), sqlx::Error> {
/// let pool = PgPoolOptions::new().max_connections(10).connect(url).await?;
/// let db: DatabaseConnection = pool.into();
/// println!("{:?}", db.snapshot());
/// # Ok(())
/// # }
/// ```
pub struct DatabaseConnection<DB: Backend> {
    pool: Pool<DB>,
}

impl<DB: Backend> DatabaseConnection<DB> {
    /// This connection for one operation, each of whose statements has the deadline `limit` instead of the
    /// pool's `query_timeout`. See [`Pool::with_timeout`](crate::sqlx::Pool::with_timeout).
    ///
    #[cfg_attr(feature = "sqlx-postgres", doc = "```")]
    #[cfg_attr(not(feature = "sqlx-postgres"), doc = "```ignore")]
    /// # use fusepool::sqlx::sea_orm::postgres::DatabaseConnection;
    /// use sea_orm::ConnectionTrait;
    /// use std::time::Duration;
    ///
    /// # async fn report(db: &DatabaseConnection) -> Result<(), sea_orm::DbErr> {
    /// db.with_timeout(Duration::from_secs(300))
    ///     .execute_unprepared("REFRESH MATERIALIZED VIEW sales")
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_timeout(&self, limit: Duration) -> Configured<'_, DB> {
        self.configured().with_timeout(limit)
    }

    /// This connection for one operation, each of whose statements invalidates the answers cached under any
    /// of `tags` when it succeeds. See [`WriteExt::invalidates`](crate::sqlx::WriteExt::invalidates) for
    /// when they are invalidated.
    ///
    #[cfg_attr(feature = "sqlx-postgres", doc = "```")]
    #[cfg_attr(not(feature = "sqlx-postgres"), doc = "```ignore")]
    /// # use fusepool::sqlx::sea_orm::postgres::DatabaseConnection;
    /// use sea_orm::ConnectionTrait;
    ///
    /// # async fn raise(db: &DatabaseConnection) -> Result<(), sea_orm::DbErr> {
    /// // For an entity: `Dish::insert(dish).exec(&db.invalidates(&["dishes"]))`.
    /// db.invalidates(&["dishes"])
    ///     .execute_unprepared("UPDATE dish SET price = price + 1")
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn invalidates(&self, tags: &[&str]) -> Configured<'_, DB> {
        self.configured().invalidates(tags)
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    ///
    /// The [errors of a statement](super#errors).
    pub async fn ping(&self) -> Result<(), DbErr> {
        let ping = async { self.pool.acquire().await?.ping().await };
        ping.await.map_err(|e| error::of(DbErr::Conn, e))
    }

    /// Closes the pool; see [`Pool::close`](crate::sqlx::Pool::close).
    ///
    /// # Errors
    ///
    /// None. SeaORM's method of this name has the same signature.
    pub async fn close(self) -> Result<(), DbErr> {
        self.close_by_ref().await
    }

    /// Closes the pool; see [`Pool::close`](crate::sqlx::Pool::close).
    ///
    /// # Errors
    ///
    /// None. SeaORM's method of this name has the same signature.
    pub async fn close_by_ref(&self) -> Result<(), DbErr> {
        self.pool.close().await;
        Ok(())
    }

    /// The reason why a call that failed with `error` has no answer of the database. `None` if the database
    /// answered with this error, or if the caller made a mistake. See
    /// [`Pool::unanswered`](crate::sqlx::Pool::unanswered).
    #[must_use]
    pub fn unanswered(&self, error: &DbErr) -> Option<Unanswered> {
        error::judged(error, |error| self.pool.unanswered(error))
    }

    pub(super) async fn begin_transaction(
        &self,
        options: TransactionOptions,
    ) -> Result<DatabaseTransaction<DB>, DbErr> {
        let lease = lease(self.pool.shared()).await.map_err(of_statement);
        let lease = lease.map_err(|e| error::of(DbErr::Conn, e))?;
        DatabaseTransaction::on(lease, options).await
    }
}

impl<DB: Backend> Connection for DatabaseConnection<DB> {
    type Driver = DB;

    fn configured(&self) -> Configured<'_, DB> {
        Configured::pool(&self.pool)
    }
}

impl<DB: Backend> From<Pool<DB>> for DatabaseConnection<DB> {
    fn from(pool: Pool<DB>) -> Self {
        Self { pool }
    }
}

impl<DB: Backend> Deref for DatabaseConnection<DB> {
    type Target = Pool<DB>;

    fn deref(&self) -> &Self::Target {
        &self.pool
    }
}

impl<DB: Backend> Clone for DatabaseConnection<DB> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
        }
    }
}

impl<DB: Backend> fmt::Debug for DatabaseConnection<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConnection")
            .field("pool", &self.pool)
            .finish()
    }
}
