//! A leased connection, guarded, and how it goes back.

use std::fmt;
use std::ops::{Deref, DerefMut};

use sqlx::{Connection, Database, Error};

use super::adapter::Sqlx;
use super::driver::in_transaction;
use super::error;
use crate::pool::adapter::diagnose;
use crate::pool::lease::Lease;
use crate::pool::statement::{Admission, Watch};

/// A database connection that is watched by its pool's breaker.
///
/// What [`PoolConnection`] and [`Transaction`](super::Transaction) dereference to: `&mut *conn` is an
/// [`Executor`](sqlx::Executor) whose statements are guarded, and coerces to `&mut DB::Connection`
/// where the driver's own connection is asked for, whose statements are not.
pub struct GuardedConnection<DB: Database> {
    pub(super) lease: Lease<Sqlx<DB>>,
}

impl<DB: Database> GuardedConnection<DB> {
    pub(super) fn new(lease: Lease<Sqlx<DB>>) -> Self {
        Self { lease }
    }

    /// Asks the database for an answer, guarded like a statement.
    ///
    /// # Errors
    ///
    /// As a statement's.
    pub async fn ping(&mut self) -> Result<(), Error> {
        let (raw, watch, admission) = self.parts();
        let ping = async {
            let statement = watch.admit(admission, None).await?;
            statement.run(diagnose, raw.ping()).await
        };
        ping.await.map_err(error::of_statement)
    }

    /// The connection, what watches its statements, and by what right they are sent: always inside of
    /// a transaction that sqlx knows of; otherwise the breaker decides.
    pub(super) fn parts(&mut self) -> (&mut DB::Connection, Watch<'_, Sqlx<DB>>, Admission<'_>) {
        let (raw, watch) = self.lease.parts();
        let admission = match in_transaction::<DB>(raw) {
            true => Admission::Transaction,
            false => Admission::Breaker,
        };
        (raw, watch, admission)
    }
}

impl<DB: Database> Deref for GuardedConnection<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        &self.lease
    }
}

impl<DB: Database> DerefMut for GuardedConnection<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.lease
    }
}

impl<DB: Database> AsRef<DB::Connection> for GuardedConnection<DB> {
    fn as_ref(&self) -> &DB::Connection {
        self
    }
}

impl<DB: Database> AsMut<DB::Connection> for GuardedConnection<DB> {
    fn as_mut(&mut self) -> &mut DB::Connection {
        self
    }
}

impl<DB: Database> fmt::Debug for GuardedConnection<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedConnection")
            .field("pool", self.lease.shared.gate.breaker().name())
            .finish_non_exhaustive()
    }
}

/// A connection that is leased for one thing, or lent for it.
pub(super) enum Held<'c, DB: Database> {
    Owned(GuardedConnection<DB>),
    Borrowed(&'c mut GuardedConnection<DB>),
}

impl<DB: Database> Deref for Held<'_, DB> {
    type Target = GuardedConnection<DB>;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Owned(connection) => connection,
            Self::Borrowed(connection) => connection,
        }
    }
}

impl<DB: Database> DerefMut for Held<'_, DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Owned(connection) => connection,
            Self::Borrowed(connection) => connection,
        }
    }
}

/// A connection leased from a [`Pool`](super::Pool). Dropping it gives it back.
///
/// It was admitted once, when it was leased. Statements on it are watched; while the breaker is
/// open they are refused, except inside a transaction, and except `COMMIT` and `ROLLBACK`.
/// Dropped in the middle of a statement it is closed instead of given back.
pub struct PoolConnection<DB: Database> {
    pub(super) guarded: GuardedConnection<DB>,
}

impl<DB: Database> PoolConnection<DB> {
    pub(super) fn new(guarded: GuardedConnection<DB>) -> Self {
        Self { guarded }
    }

    /// Closes the connection; the pool may open another.
    ///
    /// # Errors
    ///
    /// Those of the driver.
    pub async fn close(self) -> Result<(), Error> {
        self.guarded.lease.into_inner().close().await
    }

    /// Closes the connection when it is dropped, instead of giving it back.
    pub fn close_on_drop(&mut self) {
        self.guarded.lease.state.close("close_on_drop");
    }

    /// Takes the connection out of the pool; the pool may open another.
    #[must_use]
    pub fn detach(self) -> DB::Connection {
        self.guarded.lease.into_inner().detach()
    }

    /// Takes the connection and its place out of the pool, for ever.
    #[must_use]
    pub fn leak(self) -> DB::Connection {
        self.guarded.lease.into_inner().leak()
    }
}

impl<DB: Database> Deref for PoolConnection<DB> {
    type Target = GuardedConnection<DB>;

    fn deref(&self) -> &Self::Target {
        &self.guarded
    }
}

impl<DB: Database> DerefMut for PoolConnection<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.guarded
    }
}

impl<DB: Database> AsRef<DB::Connection> for PoolConnection<DB> {
    fn as_ref(&self) -> &DB::Connection {
        &self.guarded
    }
}

impl<DB: Database> AsMut<DB::Connection> for PoolConnection<DB> {
    fn as_mut(&mut self) -> &mut DB::Connection {
        &mut self.guarded
    }
}

impl<DB: Database> fmt::Debug for PoolConnection<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolConnection")
            .field("connection", &self.guarded)
            .finish()
    }
}

/// A connection leased through [`sqlx::Acquire`], which demands that it dereferences straight to
/// the driver's connection: admission, acquisition and giving back are guarded, statements not.
pub struct AcquiredConnection<DB: Database> {
    guarded: GuardedConnection<DB>,
}

impl<DB: Database> AcquiredConnection<DB> {
    pub(super) fn new(guarded: GuardedConnection<DB>) -> Self {
        Self { guarded }
    }
}

impl<DB: Database> Deref for AcquiredConnection<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        &self.guarded
    }
}

impl<DB: Database> DerefMut for AcquiredConnection<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.guarded
    }
}

impl<DB: Database> fmt::Debug for AcquiredConnection<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquiredConnection")
            .field("connection", &self.guarded)
            .finish()
    }
}
