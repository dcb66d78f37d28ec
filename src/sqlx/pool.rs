//! The guarded pool.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use sqlx::pool::CloseEvent;
use sqlx::{Connection, Database, Error, SqlSafeStr, SqlStr};
use tokio::time::sleep;

use super::adapter::{Shared, Sqlx};
use super::connection::{GuardedConnection, PoolConnection};
use super::error;
use super::executor::lease;
use super::options::PoolOptions;
use super::transaction::Transaction;
use crate::gate::Gate;
use crate::pool::adapter::Adapter;
use crate::pool::guarded::Guarded;
use crate::pool::lease::RELEASE_TIMEOUT;
use crate::pool::snapshot::PoolSnapshot;
use crate::pool::statement::Admission;

type Options<DB> = <<DB as Database>::Connection as Connection>::Options;

/// A connection pool behind a circuit breaker, used like `sqlx::Pool`. Clones share one pool.
///
/// While the database is unwell, calls are refused at once with an error in which
/// [`refusal`](crate::refusal) finds why, and when to retry.
pub struct Pool<DB: Database> {
    guarded: Guarded<Sqlx<DB>>,
}

impl<DB: Database> Pool<DB> {
    pub(super) fn new(guarded: Guarded<Sqlx<DB>>) -> Self {
        Self { guarded }
    }

    pub(super) fn shared(&self) -> &Arc<Shared<DB>> {
        self.guarded.shared()
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
        let closed = self.inner().close();
        self.shared().background.stop();
        closed
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner().is_closed()
    }

    /// A future that ends when the pool is closed.
    #[must_use]
    pub fn close_event(&self) -> CloseEvent {
        self.inner().close_event()
    }

    /// How many connections there are, leased ones included.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.inner().size()
    }

    /// How many connections are idle.
    #[must_use]
    pub fn num_idle(&self) -> usize {
        self.inner().num_idle()
    }

    /// What new connections are opened with.
    #[must_use]
    pub fn connect_options(&self) -> Arc<Options<DB>> {
        self.inner().connect_options()
    }

    /// Changes what new connections are opened with.
    pub fn set_connect_options(&self, options: Options<DB>) {
        self.inner().set_connect_options(options);
    }

    /// The options the pool was built with.
    #[must_use]
    pub fn options(&self) -> &PoolOptions<DB> {
        &self.guarded.adapter().options
    }

    /// The sqlx pool inside. What is done with it directly is neither guarded nor seen.
    #[must_use]
    pub fn inner(&self) -> &sqlx::Pool<DB> {
        &self.guarded.adapter().raw
    }

    /// The gate of this pool, with its breaker.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        self.guarded.gate()
    }

    /// All there is to know about the pool at this moment.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        self.guarded.snapshot()
    }

    /// A connection for whatever the caller will do with it.
    pub(super) async fn lease_ready(&self) -> Result<GuardedConnection<DB>, Error> {
        let lease = self.guarded.lease().await;
        let lease = lease.map_err(|error| error::of_acquire(self.gate(), error))?;
        Ok(GuardedConnection::new(lease))
    }

    fn try_lease(&self) -> Option<GuardedConnection<DB>> {
        let lease = (self.shared()).lease_at_hand(|adapter| match &adapter.misconfigured {
            Some(_) => None,
            None => adapter.raw.try_acquire(),
        });
        lease.map(GuardedConnection::new)
    }

    async fn begin_on_lease(
        &self,
        statement: Option<SqlStr>,
    ) -> Result<Transaction<'static, DB>, Error> {
        let (lease, permit) = lease(self.shared()).await.map_err(error::of_statement)?;
        Transaction::begin_owned(lease, Admission::Breaker.or(permit), statement).await
    }

    async fn try_begin_on_lease(
        &self,
        statement: Option<SqlStr>,
    ) -> Result<Option<Transaction<'static, DB>>, Error> {
        match self.try_lease() {
            Some(lease) => {
                let begun = Transaction::begin_owned(lease, Admission::Transaction, statement);
                Ok(Some(begun.await?))
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
        let lease = self.lease_ready().await?.lease.into_inner();
        let gate = Arc::clone(&self.shared().gate);
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
        self.shared().background.spawn(begin);
        let begun = async { receive.await.unwrap_or(Err(Error::PoolClosed)) };
        let classify = |error: &Error| self.guarded.adapter().classify(error);
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
            guarded: self.guarded.clone(),
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
