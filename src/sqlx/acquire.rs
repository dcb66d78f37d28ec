//! `sqlx::Acquire`, for code that takes a pool, a connection or a transaction.
//!
//! The trait fixes the types: a leased connection dereferences to the driver's connection, and a
//! transaction is `sqlx::Transaction`. So only admission and acquisition are guarded here;
//! statements are not.

use futures_core::future::BoxFuture;
use sqlx::{Acquire, Database, Error};

use super::connection::{AcquiredConnection, GuardedConnection, PoolConnection};
use super::pool::Pool;
use super::transaction::Transaction;

impl<'a, DB: Database> Acquire<'a> for &'_ Pool<DB> {
    type Database = DB;
    type Connection = AcquiredConnection<DB>;

    fn acquire(self) -> BoxFuture<'a, Result<Self::Connection, Error>> {
        let pool = self.clone();
        Box::pin(async move { Ok(AcquiredConnection::new(pool.lease_ready().await?)) })
    }

    fn begin(self) -> BoxFuture<'a, Result<sqlx::Transaction<'a, DB>, Error>> {
        let pool = self.clone();
        Box::pin(async move { pool.begin_unguarded().await })
    }
}

impl<'c, DB: Database> Acquire<'c> for &'c mut GuardedConnection<DB> {
    type Database = DB;
    type Connection = &'c mut DB::Connection;

    fn acquire(self) -> BoxFuture<'c, Result<Self::Connection, Error>> {
        Box::pin(async move { Ok(&mut **self) })
    }

    fn begin(self) -> BoxFuture<'c, Result<sqlx::Transaction<'c, DB>, Error>> {
        let raw: &'c mut DB::Connection = &mut *self;
        sqlx::Transaction::begin(sqlx::pool::MaybePoolConnection::Connection(raw), None)
    }
}

impl<'c, DB: Database> Acquire<'c> for &'c mut PoolConnection<DB> {
    type Database = DB;
    type Connection = &'c mut DB::Connection;

    fn acquire(self) -> BoxFuture<'c, Result<Self::Connection, Error>> {
        Acquire::acquire(&mut **self)
    }

    fn begin(self) -> BoxFuture<'c, Result<sqlx::Transaction<'c, DB>, Error>> {
        Acquire::begin(&mut **self)
    }
}

impl<'t, DB: Database> Acquire<'t> for &'t mut Transaction<'_, DB> {
    type Database = DB;
    type Connection = &'t mut DB::Connection;

    fn acquire(self) -> BoxFuture<'t, Result<Self::Connection, Error>> {
        Acquire::acquire(&mut **self)
    }

    fn begin(self) -> BoxFuture<'t, Result<sqlx::Transaction<'t, DB>, Error>> {
        Acquire::begin(&mut **self)
    }
}
