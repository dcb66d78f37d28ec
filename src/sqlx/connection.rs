//! A leased connection, guarded, and how it goes back.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, Database, Error};
use tokio::time::timeout;

use super::error;
use super::publication::Publication;
use super::shared::{Shared, in_transaction};
use crate::breaker::permit::Permit;
use crate::cache::invalidation::Name;
use crate::gate::Gate;
use crate::gate::admission::turned_away;
use crate::outcome::error::Rejected;
use crate::pool::connection_state::Health;
use crate::pool::lease::lent;

/// The time a connection has to prove itself when it is given back, or else to close.
///
/// sqlx gives it all the time in the world, and its place in the pool is lost when the server has
/// silently gone.
pub(super) const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// A database connection that is watched by its pool's breaker.
///
/// What [`PoolConnection`] and [`Transaction`](super::Transaction) dereference to: `&mut *conn` is an
/// [`Executor`](sqlx::Executor) whose statements are guarded, and coerces to `&mut DB::Connection`
/// where the driver's own connection is asked for, whose statements are not.
pub struct GuardedConnection<DB: Database> {
    /// `None` only after a method that takes `self` apart.
    pub(super) raw: Option<sqlx::pool::PoolConnection<DB>>,
    pub(super) health: Health,
    pub(super) shared: Arc<Shared<DB>>,
    /// What the transaction that is open makes outdated in the cache, when it is committed.
    unpublished: Vec<Name>,
    /// Transactions and savepoints of ours that are open. The driver's own count lags behind where it
    /// queues a rollback, as SQLite's does.
    open_transactions: usize,
}

impl<DB: Database> GuardedConnection<DB> {
    pub(super) fn new(raw: sqlx::pool::PoolConnection<DB>, shared: Arc<Shared<DB>>) -> Self {
        shared.gate.handed_out();
        Self {
            raw: Some(raw),
            health: Health::default(),
            shared,
            unpublished: Vec::new(),
            open_transactions: 0,
        }
    }

    /// Asks the database for an answer, guarded like a statement.
    ///
    /// # Errors
    ///
    /// As a statement's.
    pub async fn ping(&mut self) -> Result<(), Error> {
        let (raw, health, shared) = self.parts();
        let permit = match admit::<DB>(shared, health, raw) {
            Ok(permit) => permit,
            Err(rejected) => return Err(error::refused(turned_away(rejected).await)),
        };
        shared.run(health, permit, None, raw.ping()).await
    }

    /// The connection, its health and its pool, borrowed side by side.
    pub(super) fn parts(&mut self) -> (&mut DB::Connection, &mut Health, &Shared<DB>) {
        let Self {
            raw,
            health,
            shared,
            ..
        } = self;
        (lent_mut(raw), health, shared)
    }

    /// What a statement makes outdated: to be published when it has succeeded, or by the transaction
    /// that it is part of.
    pub(super) fn publish_later(&mut self, mut names: Vec<Name>) -> Option<Publication<DB>> {
        if self.open_transactions == 0 {
            return Publication::of(&self.shared, names);
        }
        self.unpublished.append(&mut names);
        None
    }

    /// A transaction or savepoint has begun; how much there is to publish by then.
    pub(super) fn enter(&mut self) -> usize {
        self.open_transactions += 1;
        self.unpublished.len()
    }

    /// It has ended.
    pub(super) fn leave(&mut self) {
        self.open_transactions -= 1;
    }

    pub(super) fn is_outermost(&self) -> bool {
        self.open_transactions == 1
    }

    /// What was written since the savepoint never happened.
    pub(super) fn forget_unpublished(&mut self, savepoint: usize) {
        self.unpublished.truncate(savepoint);
    }

    /// All that the transaction made outdated, to be published when it is committed.
    pub(super) fn publication(&mut self) -> Option<Publication<DB>> {
        Publication::of(&self.shared, std::mem::take(&mut self.unpublished))
    }

    pub(super) fn into_raw(mut self) -> sqlx::pool::PoolConnection<DB> {
        lent(self.raw.take())
    }
}

fn lent_mut<DB: Database>(raw: &mut Option<sqlx::pool::PoolConnection<DB>>) -> &mut DB::Connection {
    &mut *lent(raw.as_mut())
}

impl<DB: Database> Shared<DB> {
    /// A connection for one statement, which is then the probe if there is a permit.
    pub(super) async fn lease(
        self: &Arc<Self>,
    ) -> Result<(GuardedConnection<DB>, Option<Permit<'_>>), Error> {
        if let Some(error) = &self.misconfigured {
            return Err(error::misconfigured(error.clone()));
        }
        if self.raw.is_closed() {
            return Err(Error::PoolClosed);
        }
        self.background.remember_runtime();
        let classify = |error: &Error| self.classify.classify(error);
        let limit = self.gate.limits().acquire_timeout;
        let is_full =
            || self.raw.num_idle() == 0 && self.raw.size() >= self.options.get_max_connections();
        let (raw, probe) = self
            .gate
            .acquire(limit, is_full, classify, pin!(self.raw.acquire()))
            .await
            .map_err(|error| error::of_acquire(self.gate.breaker().name(), error))?;
        Ok((GuardedConnection::new(raw, Arc::clone(self)), probe))
    }
}

/// Admits the statement that a connection was leased for, unless it is admitted already, as a probe.
pub(super) fn admit_on<'g>(gate: &'g Gate, probe: Option<Permit<'g>>) -> Result<Permit<'g>, Error> {
    probe.map_or_else(|| gate.admit_on_lease().map_err(error::refused), Ok)
}

/// Admits a statement on a leased connection, unless one was given up on it: always inside a
/// transaction, whose lock is held already; otherwise by the breaker.
pub(super) fn admit<'s, DB: Database>(
    shared: &'s Shared<DB>,
    health: &Health,
    raw: &DB::Connection,
) -> Result<Permit<'s>, Rejected> {
    health.admit(&shared.gate)?;
    if in_transaction::<DB>(raw) {
        return Ok(shared.gate.breaker().observe());
    }
    shared.gate.admit_on_lease()
}

impl<DB: Database> Drop for GuardedConnection<DB> {
    fn drop(&mut self) {
        self.shared.gate.handed_back();
        let Some(mut raw) = self.raw.take() else {
            return;
        };
        let Some(runtime) = self.shared.background.runtime() else {
            // Nothing can be awaited any more: dropping it closes it and frees its place.
            drop(raw.detach());
            return;
        };
        let _inside = runtime.enter();
        if let Some(reason) = self.health.must_close() {
            self.shared.gate.closed_connection(reason);
            runtime.spawn(async move {
                let _ = timeout(RELEASE_TIMEOUT, raw.close()).await;
            });
        } else {
            // Dropped at the timeout, the connection is closed and its place is free.
            let back = raw.return_to_pool();
            drop(raw); // sqlx spawns here, too
            runtime.spawn(async move {
                let _ = timeout(RELEASE_TIMEOUT, back).await;
            });
        }
    }
}

impl<DB: Database> Deref for GuardedConnection<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        let raw: &sqlx::pool::PoolConnection<DB> = lent(self.raw.as_ref());
        raw
    }
}

impl<DB: Database> DerefMut for GuardedConnection<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        lent_mut(&mut self.raw)
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
            .field("pool", self.shared.gate.breaker().name())
            .finish_non_exhaustive()
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
        self.guarded.into_raw().close().await
    }

    /// Closes the connection when it is dropped, instead of giving it back.
    pub fn close_on_drop(&mut self) {
        self.guarded.health.close("close_on_drop");
    }

    /// Takes the connection out of the pool; the pool may open another.
    #[must_use]
    pub fn detach(self) -> DB::Connection {
        self.guarded.into_raw().detach()
    }

    /// Takes the connection and its place out of the pool, for ever.
    #[must_use]
    pub fn leak(self) -> DB::Connection {
        self.guarded.into_raw().leak()
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
