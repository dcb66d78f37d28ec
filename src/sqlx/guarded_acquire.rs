//! An `Acquire` whose connections and transactions are guarded.

use std::ops::DerefMut;

use futures_core::future::BoxFuture;
use sqlx::{Database, Error};

use super::connection::{GuardedConnection, PoolConnection};
use super::pool::Pool;
use super::transaction::Transaction;

/// A pool, a connection or a transaction from which a function acquires a guarded connection: like
/// [`sqlx::Acquire`], with guarded types.
///
/// sqlx's trait requires the driver's own connection, on which statements are not guarded. In a function
/// that takes an `impl Acquire`, import this trait in its place:
///
#[cfg_attr(feature = "sqlx-postgres", doc = "```")]
#[cfg_attr(not(feature = "sqlx-postgres"), doc = "```ignore")]
/// use fusepool::sqlx::Acquire; // was: use sqlx::Acquire;
/// use fusepool::sqlx::PgPool;
/// use sqlx::Postgres;
///
/// async fn close_shop(db: impl Acquire<'_, Database = Postgres>) -> sqlx::Result<()> {
///     let mut tx = db.begin().await?;
///     sqlx::query("DELETE FROM dish").execute(&mut *tx).await?;
///     tx.commit().await
/// }
///
/// async fn run(pool: &PgPool) -> sqlx::Result<()> {
///     close_shop(pool).await?;
///     close_shop(&mut pool.begin().await?).await
/// }
/// ```
pub trait Acquire<'c> {
    /// The driver.
    type Database: Database;
    /// The connection: a leased one, or the one that was given.
    type Connection: DerefMut<Target = GuardedConnection<Self::Database>> + Send;

    /// Leases a connection from a pool, or borrows the one that was given.
    ///
    /// # Errors
    ///
    /// As [`Pool::acquire`].
    fn acquire(self) -> BoxFuture<'c, Result<Self::Connection, Error>>;

    /// Begins a transaction, or a savepoint in a transaction.
    ///
    /// # Errors
    ///
    /// As [`Pool::begin`].
    fn begin(self) -> BoxFuture<'c, Result<Transaction<'c, Self::Database>, Error>>;
}

impl<'c, DB: Database> Acquire<'c> for &'_ Pool<DB> {
    type Database = DB;
    type Connection = PoolConnection<DB>;

    fn acquire(self) -> BoxFuture<'c, Result<PoolConnection<DB>, Error>> {
        Box::pin(Pool::acquire(self))
    }

    fn begin(self) -> BoxFuture<'c, Result<Transaction<'c, DB>, Error>> {
        let pool = self.clone();
        Box::pin(async move { Pool::begin(&pool).await })
    }
}

impl<'c, DB: Database> Acquire<'c> for &'c mut GuardedConnection<DB> {
    type Database = DB;
    type Connection = Self;

    fn acquire(self) -> BoxFuture<'c, Result<Self, Error>> {
        Box::pin(async move { Ok(self) })
    }

    fn begin(self) -> BoxFuture<'c, Result<Transaction<'c, DB>, Error>> {
        Box::pin(Transaction::on(self, None))
    }
}

impl<'c, DB: Database> Acquire<'c> for &'c mut PoolConnection<DB> {
    type Database = DB;
    type Connection = &'c mut GuardedConnection<DB>;

    fn acquire(self) -> BoxFuture<'c, Result<Self::Connection, Error>> {
        Acquire::acquire(&mut **self)
    }

    fn begin(self) -> BoxFuture<'c, Result<Transaction<'c, DB>, Error>> {
        Acquire::begin(&mut **self)
    }
}

impl<'c, DB: Database> Acquire<'c> for &'c mut Transaction<'_, DB> {
    type Database = DB;
    type Connection = &'c mut GuardedConnection<DB>;

    fn acquire(self) -> BoxFuture<'c, Result<Self::Connection, Error>> {
        Acquire::acquire(&mut **self)
    }

    fn begin(self) -> BoxFuture<'c, Result<Transaction<'c, DB>, Error>> {
        Acquire::begin(&mut **self)
    }
}
