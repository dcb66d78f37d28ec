//! The guarded pool.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use sqlx::pool::CloseEvent;
use sqlx::{Connection, Database, Error, SqlSafeStr, SqlStr};
use tokio::time::sleep;

use super::connection::{GuardedConnection, PoolConnection, RELEASE_TIMEOUT, admit_on};
use super::error;
use super::options::PoolOptions;
use super::shared::Shared;
use super::snapshot::PoolSnapshot;
use super::transaction::Transaction;
use crate::breaker::permit::Permit;
use crate::gate::Gate;
use crate::pool::tasks::Users;

type Options<DB> = <<DB as Database>::Connection as Connection>::Options;

/// A connection pool behind a circuit breaker, used like `sqlx::Pool`. Clones share one pool.
///
/// While the database is unwell, calls are refused at once with an error in which
/// [`rejection`](crate::rejection) finds why, and when to retry.
pub struct Pool<DB: Database> {
    shared: Arc<Shared<DB>>,
    /// What runs in the background holds `shared`, but not this.
    users: Arc<Users>,
}

impl<DB: Database> Pool<DB> {
    pub(super) fn new(shared: Arc<Shared<DB>>) -> Self {
        let users = shared.background.users();
        Self { shared, users }
    }

    pub(super) fn shared(&self) -> &Arc<Shared<DB>> {
        &self.shared
    }

    /// Leases a connection.
    ///
    /// # Errors
    ///
    /// A rejection as [`Error::Io`]; [`Error::PoolTimedOut`], if there was none in time;
    /// [`Error::PoolClosed`]; [`Error::Io`] with [`CouldNotConnect`](super::CouldNotConnect);
    /// whatever else the driver meets when it connects.
    pub fn acquire(&self) -> impl Future<Output = Result<PoolConnection<DB>, Error>> + 'static {
        let pool = self.clone();
        async move { Ok(PoolConnection::new(pool.lease_ready().await?)) }
    }

    /// Leases a connection that is idle, if there is one and the breaker is closed. As with sqlx,
    /// it is not tested, and `before_acquire` is not called.
    #[must_use]
    pub fn try_acquire(&self) -> Option<PoolConnection<DB>> {
        self.try_lease().map(PoolConnection::new)
    }

    /// Leases a connection and begins a transaction on it.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and as a statement's.
    pub async fn begin(&self) -> Result<Transaction<'static, DB>, Error> {
        self.begin_on_lease(None).await
    }

    /// Begins a transaction on a connection that is idle, if there is one and the breaker is
    /// closed.
    ///
    /// # Errors
    ///
    /// As a statement's.
    pub async fn try_begin(&self) -> Result<Option<Transaction<'static, DB>>, Error> {
        self.try_begin_on_lease(None).await
    }

    /// Leases a connection and begins a transaction on it with a statement of your own.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin).
    pub async fn begin_with(
        &self,
        statement: impl SqlSafeStr,
    ) -> Result<Transaction<'static, DB>, Error> {
        self.begin_on_lease(Some(statement.into_sql_str())).await
    }

    /// [`try_begin`](Self::try_begin) with a statement of your own.
    ///
    /// # Errors
    ///
    /// As a statement's.
    pub async fn try_begin_with(
        &self,
        statement: impl SqlSafeStr,
    ) -> Result<Option<Transaction<'static, DB>>, Error> {
        self.try_begin_on_lease(Some(statement.into_sql_str()))
            .await
    }

    /// Closes the pool: wakes those who wait for a connection with [`Error::PoolClosed`], stops
    /// probing, waits until all leases are back, and closes all connections.
    pub fn close(&self) -> impl Future<Output = ()> + '_ {
        // In this order, so that whatever begins to probe now is stopped, or sees that it is closed.
        let closed = self.shared.raw.close();
        self.shared.background.stop();
        closed
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.raw.is_closed()
    }

    /// A future that ends when the pool is closed.
    #[must_use]
    pub fn close_event(&self) -> CloseEvent {
        self.shared.raw.close_event()
    }

    /// How many connections there are, leased ones included.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.shared.raw.size()
    }

    /// How many connections are idle.
    #[must_use]
    pub fn num_idle(&self) -> usize {
        self.shared.raw.num_idle()
    }

    /// What new connections are opened with.
    #[must_use]
    pub fn connect_options(&self) -> Arc<Options<DB>> {
        self.shared.raw.connect_options()
    }

    /// Changes what new connections are opened with.
    pub fn set_connect_options(&self, options: Options<DB>) {
        self.shared.raw.set_connect_options(options);
    }

    /// The options the pool was built with.
    #[must_use]
    pub fn options(&self) -> &PoolOptions<DB> {
        &self.shared.options
    }

    /// The sqlx pool inside. What is done with it directly is neither guarded nor seen.
    #[must_use]
    pub fn inner(&self) -> &sqlx::Pool<DB> {
        &self.shared.raw
    }

    /// The gate of this pool, with its breaker.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    /// All there is to know about the pool at this moment.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        PoolSnapshot {
            gate: self.shared.gate.snapshot(),
            cache: self.cache_snapshot(),
            size: self.size(),
            idle: self.num_idle(),
            max_connections: self.shared.options.get_max_connections(),
        }
    }

    /// See [`Shared::lease`].
    pub(super) async fn lease(&self) -> Result<(GuardedConnection<DB>, Option<Permit<'_>>), Error> {
        self.shared.lease().await
    }

    /// A connection for whatever the caller will do with it. That may take its time, so a probe is
    /// settled by a ping first.
    pub(super) async fn lease_ready(&self) -> Result<GuardedConnection<DB>, Error> {
        let (mut lease, probe) = self.lease().await?;
        match probe {
            Some(probe) if self.gate().is_proving(&probe) => {
                let (raw, health, shared) = lease.parts();
                let ask = shared.options.traits().ask;
                let limit = Some(shared.gate.limits().acquire_timeout);
                shared.run(health, probe, limit, ask(raw)).await?;
            }
            Some(permit) => permit.withdraw(),
            None => {}
        }
        Ok(lease)
    }

    fn try_lease(&self) -> Option<GuardedConnection<DB>> {
        let shared = &self.shared;
        if shared.misconfigured.is_some() {
            return None;
        }
        shared.background.remember_runtime();
        if let Some(permit) = shared.gate.admit().ok()? {
            let probe = permit.is_probe();
            permit.withdraw();
            if probe {
                return None; // its place goes to somebody who will wait for an answer
            }
        }
        let raw = shared.raw.try_acquire()?;
        shared.gate.acquired();
        Some(GuardedConnection::new(raw, Arc::clone(shared)))
    }

    async fn begin_on_lease(
        &self,
        statement: Option<SqlStr>,
    ) -> Result<Transaction<'static, DB>, Error> {
        let (lease, probe) = self.lease().await?;
        let permit = admit_on(self.gate(), probe)?;
        Transaction::begin_owned(lease, permit, statement).await
    }

    async fn try_begin_on_lease(
        &self,
        statement: Option<SqlStr>,
    ) -> Result<Option<Transaction<'static, DB>>, Error> {
        match self.try_lease() {
            Some(lease) => {
                let permit = self.gate().breaker().observe();
                Ok(Some(
                    Transaction::begin_owned(lease, permit, statement).await?,
                ))
            }
            None => Ok(None),
        }
    }

    /// sqlx's own transaction, for [`sqlx::Acquire`].
    ///
    /// Cancellation: sqlx's `begin` must not be dropped in flight, or the connection goes back to
    /// the pool with the transaction open. So it runs in a task of its own. If the caller goes
    /// away, the database has a moment left to answer, and the task rolls back; after that the
    /// connection is closed.
    pub(super) async fn begin_unguarded<'t>(&self) -> Result<sqlx::Transaction<'t, DB>, Error> {
        let lease = self.lease_ready().await?.into_raw();
        let gate = Arc::clone(&self.shared.gate);
        let (mut send, receive) = tokio::sync::oneshot::channel();
        let begin = async move {
            let held = sqlx::pool::MaybePoolConnection::PoolConnection(lease);
            let mut begin = sqlx::Transaction::begin(held, None);
            let begun = {
                let given_up = pin!(async {
                    send.closed().await;
                    sleep(RELEASE_TIMEOUT).await;
                });
                match select(&mut begin, given_up).await {
                    Either::Left((result, _)) => Some(result),
                    Either::Right(_) => None,
                }
            };
            match begun {
                // Nobody to receive it: it is dropped, which rolls it back.
                Some(result) => drop(send.send(result)),
                None => {
                    gate.closed_connection("abandoned");
                    drop_where_nothing_runs(begin);
                }
            }
        };
        let permit = self.gate().breaker().observe();
        self.shared.background.spawn(begin);
        let begun = async { receive.await.unwrap_or(Err(Error::PoolClosed)) };
        let classify = |error: &Error| self.shared.classify.classify(error);
        let result = self.gate().run(permit, None, classify, begun).await;
        result.map_err(error::of_statement)
    }
}

/// Drops `begin`, whose connection is then closed and its place in the pool free.
///
/// Dropped anywhere else, sqlx's connection would spawn a task that waits for the server without
/// end, in order to go back to the pool. Where that task never runs, it is closed.
fn drop_where_nothing_runs<T>(begin: T) {
    if let Ok(nowhere) = tokio::runtime::Builder::new_current_thread().build() {
        let inside = nowhere.enter();
        drop(begin);
        drop(inside);
        nowhere.shutdown_background();
    }
}

impl<DB: Database> Clone for Pool<DB> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            users: Arc::clone(&self.users),
        }
    }
}

impl<DB: Database> fmt::Debug for Pool<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("breaker", self.gate().breaker())
            .field("size", &self.size())
            .field("num_idle", &self.num_idle())
            .field("is_closed", &self.is_closed())
            .field("options", self.options())
            .finish()
    }
}
