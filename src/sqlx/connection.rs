//! Leased connections whose statements are guarded.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::Arc;

use sqlx::{Connection, Database, Error};

use super::adapter::{Shared, Sqlx};
use super::driver::in_transaction;
use super::error;
use crate::outcome::error::GateError;
use crate::pool::adapter::{Adapter, diagnose};
use crate::pool::lease::Lease;
use crate::pool::opening::open;
use crate::pool::statement::{Admission, Watch};

/// A database connection whose statements pass its pool's breaker.
///
/// [`PoolConnection`] and [`Transaction`](super::Transaction) dereference to this type. `&mut
/// *conn` is an [`Executor`](sqlx::Executor) whose statements are guarded. It also coerces to `&mut
/// DB::Connection`, for functions that take the driver's own connection; statements on that are not
/// guarded.
pub struct GuardedConnection<DB: Database> {
    pub(super) lease: Lease<Sqlx<DB>>,
}

impl<DB: Database> GuardedConnection<DB> {
    pub(super) fn new(lease: Lease<Sqlx<DB>>) -> Self {
        Self { lease }
    }

    /// Checks that the database answers on this connection. Guarded like a statement.
    ///
    /// # Errors
    ///
    /// The [errors of a statement](super#errors).
    pub async fn ping(&mut self) -> Result<(), Error> {
        let (raw, watch, admission) = self.parts();
        let ping = async {
            let statement = watch.admit(admission, None).await?;
            statement.run(diagnose, raw.ping()).await
        };
        ping.await.map_err(error::of_statement)
    }

    /// The driver's connection, the watch on its statements, and their admission. Statements in a
    /// transaction are always admitted; others are admitted by the breaker.
    pub(super) fn parts(&mut self) -> (&mut DB::Connection, Watch<'_, Sqlx<DB>>, Admission) {
        let (raw, watch) = self.lease.parts();
        let admission = match in_transaction::<DB>(raw) || watch.state.is_in_transaction() {
            true => Admission::Transaction,
            false => Admission::Breaker,
        };
        (raw, watch, admission)
    }
}

/// Leases a connection.
pub(super) async fn lease<DB: Database>(
    shared: &Arc<Shared<DB>>,
) -> Result<GuardedConnection<DB>, GateError<Error>> {
    let (gate, adapter) = (&shared.gate, &*shared.adapter);
    let limit = gate.acquire_timeout();
    let classify = |error: &Error| adapter.classify(error);
    let mut lease = Lease::empty(Arc::clone(shared));
    let acquire = pin!(adapter.lease());
    let open = || open(Arc::clone(&shared.adapter));
    match shared
        .fill(&mut lease, limit, classify, acquire, open)
        .await
    {
        Ok(()) => Ok(GuardedConnection::new(lease)),
        Err(error) => Err(error::not_acquired(gate, error)),
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

/// A connection that is owned by its user, or borrowed from a lease.
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

/// A connection leased from a [`Pool`](super::Pool). Dropping it returns it to the pool.
///
/// Each statement on it is recorded, and has the pool's `query_timeout`. While the breaker is open,
/// statements are refused, except inside a transaction, and except `COMMIT` and `ROLLBACK`. If a
/// statement was abandoned on it, by its deadline or because its future was dropped, the connection
/// is closed instead of returned.
///
/// ```no_run
/// # #[cfg(feature = "sqlx-postgres")]
/// # async fn run(pool: &fusepool::sqlx::PgPool) -> sqlx::Result<()> {
/// let mut conn = pool.acquire().await?;
/// sqlx::query("SET search_path TO shop").execute(&mut *conn).await?;
/// sqlx::query("DELETE FROM dish").execute(&mut *conn).await?;
/// # Ok(())
/// # }
/// ```
pub struct PoolConnection<DB: Database> {
    pub(super) guarded: GuardedConnection<DB>,
}

impl<DB: Database> PoolConnection<DB> {
    pub(super) fn new(guarded: GuardedConnection<DB>) -> Self {
        Self { guarded }
    }

    /// Closes the connection. The pool may open another.
    ///
    /// # Errors
    ///
    /// The driver's errors.
    pub async fn close(self) -> Result<(), Error> {
        self.guarded.lease.into_inner().raw.close().await
    }

    /// Closes the connection when it is dropped, instead of returning it to the pool.
    pub fn close_on_drop(&mut self) {
        self.guarded.lease.state.close("close_on_drop");
    }

    /// Takes the connection out of the pool; the pool may open another.
    #[must_use]
    pub fn detach(self) -> DB::Connection {
        self.guarded.lease.into_inner().raw.detach()
    }

    /// Takes the connection out of the pool and reduces the pool's capacity by one, permanently.
    #[must_use]
    pub fn leak(self) -> DB::Connection {
        self.guarded.lease.into_inner().raw.leak()
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

/// A connection leased through [`sqlx::Acquire`].
///
/// The trait requires that it dereferences to the driver's connection. So its admission, its
/// acquisition and its return to the pool are guarded, but statements on it are not.
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
