//! The guarded pool.

use std::fmt;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use sqlx::pool::CloseEvent;
use sqlx::{Connection, Database, Error, SqlSafeStr, SqlStr};
use tokio::time::sleep;

use super::adapter::{Leased, Shared, Sqlx};
use super::connection::{GuardedConnection, PoolConnection, lease};
use super::error;
use super::options::PoolOptions;
use super::transaction::Transaction;
use crate::gate::Gate;
use crate::lint::{Load, Warning};
#[cfg(feature = "live")]
use crate::live::watch::{Watch, Watched, sealed::Sealed};
use crate::pool::adapter::Adapter;
use crate::pool::guarded::Guarded;
use crate::pool::release::RELEASE_TIMEOUT;
use crate::pool::snapshot::PoolSnapshot;
use crate::pool::statement::Admission;
use crate::telemetry::changes::Events;

type Options<DB> = <<DB as Database>::Connection as Connection>::Options;

/// A connection pool behind a circuit breaker, used like `sqlx::Pool`. Clones share one pool.
///
/// While the breaker is open, calls fail at once. [`refusal`](crate::refusal) finds the reason in
/// their error, and when to retry.
///
/// ```no_run
/// # #[cfg(feature = "sqlx-postgres")]
/// # async fn run(existing: sqlx::PgPool) -> sqlx::Result<()> {
/// use fusepool::sqlx::PgPool;
///
/// let pool: PgPool = existing.into(); // or PgPool::connect(url).await?
/// sqlx::query("DELETE FROM dish").execute(&pool).await?;
/// # Ok(())
/// # }
/// ```
pub struct Pool<DB: Database> {
    guarded: Guarded<Sqlx<DB>>,
}

impl<DB: Database> Pool<DB> {
    pub(super) fn new(guarded: Guarded<Sqlx<DB>>) -> Self {
        Self { guarded }
    }

    pub(super) fn shared(&self) -> &Arc<Shared<DB>> {
        &self.guarded.shared
    }

    /// Leases a connection, waiting for one if necessary.
    ///
    /// ```
    /// # async fn run(pool: &fusepool::sqlx::PgPool) -> sqlx::Result<()> {
    /// let mut conn = pool.acquire().await?;
    /// let session = sqlx::query_scalar("SELECT pg_backend_pid()");
    /// let session: i32 = session.fetch_one(&mut *conn).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Error::Io`] with [`Refused`](crate::Refused): the call was refused at once, because the
    ///   breaker is open or too many callers wait.
    /// - [`Error::PoolTimedOut`]: there was no connection within `acquire_timeout`.
    /// - [`Error::PoolClosed`]: the pool was closed.
    /// - [`Error::Io`] with [`CouldNotConnect`](super::CouldNotConnect): opening a connection
    ///   failed.
    /// - [`Error::Configuration`] with a [`ConfigError`](crate::ConfigError): the pool was built with an
    ///   invalid setting by `connect_lazy_with`.
    /// - Other errors of the driver, for example a failed login.
    pub fn acquire(&self) -> impl Future<Output = Result<PoolConnection<DB>, Error>> + 'static {
        let pool = self.clone();
        async move { Ok(PoolConnection::new(pool.lease_ready().await?)) }
    }

    /// Leases an idle connection. Returns `None` if there is none, or if the breaker rejects calls or is
    /// half-open.
    /// As in sqlx, the connection is not tested, and `before_acquire` is not called.
    ///
    /// ```
    /// # async fn run(pool: &fusepool::sqlx::PgPool) -> sqlx::Result<()> {
    /// if let Some(mut conn) = pool.try_acquire() {
    ///     conn.ping().await?; // an idle connection was at hand
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn try_acquire(&self) -> Option<PoolConnection<DB>> {
        self.try_lease().map(PoolConnection::new)
    }

    /// Leases a connection and begins a transaction on it.
    ///
    /// ```
    /// # async fn run(pool: &fusepool::sqlx::PgPool) -> sqlx::Result<()> {
    /// let mut tx = pool.begin().await?;
    /// sqlx::query("UPDATE stock SET pieces = pieces - 1").execute(&mut *tx).await?;
    /// tx.commit().await?; // dropped before, it is rolled back
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire), and the [errors of a statement](super#errors).
    pub async fn begin(&self) -> Result<Transaction<'static, DB>, Error> {
        self.begin_on_lease(None).await
    }

    /// Begins a transaction on an idle connection. Returns `None` if there is none, or if the breaker
    /// rejects calls or is half-open.
    ///
    /// # Errors
    ///
    /// The [errors of a statement](super#errors).
    pub async fn try_begin(&self) -> Result<Option<Transaction<'static, DB>>, Error> {
        self.try_begin_on_lease(None).await
    }

    /// Leases a connection and begins a transaction on it with a custom statement, for example
    /// `BEGIN ISOLATION LEVEL SERIALIZABLE`.
    ///
    /// ```
    /// # async fn run(pool: &fusepool::sqlx::PgPool) -> sqlx::Result<()> {
    /// let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE").await?;
    /// sqlx::query("UPDATE stock SET pieces = pieces - 1").execute(&mut *tx).await?;
    /// tx.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
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

    /// [`try_begin`](Self::try_begin) with a custom statement.
    ///
    /// # Errors
    ///
    /// The [errors of a statement](super#errors).
    pub async fn try_begin_with(
        &self,
        statement: impl SqlSafeStr,
    ) -> Result<Option<Transaction<'static, DB>>, Error> {
        self.try_begin_on_lease(Some(statement.into_sql_str()))
            .await
    }

    /// Closes the pool. Callers that wait for a connection get [`Error::PoolClosed`], and probing
    /// stops. Calls in progress end as usual, loads for the cache among them. The future ends when
    /// all leased connections are returned and all connections are closed.
    ///
    /// A cached read of a closed pool serves what the cache still has, or a fallback.
    pub fn close(&self) -> impl Future<Output = ()> + '_ {
        // In this order: a prober that starts meanwhile is stopped, or finds the pool closed.
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

    /// The number of open connections, including leased ones.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.inner().size()
    }

    /// The number of idle connections.
    #[must_use]
    pub fn num_idle(&self) -> usize {
        self.inner().num_idle()
    }

    /// The options that new connections are opened with.
    #[must_use]
    pub fn connect_options(&self) -> Arc<Options<DB>> {
        self.inner().connect_options()
    }

    /// Changes the options that new connections are opened with.
    pub fn set_connect_options(&self, options: Options<DB>) {
        self.inner().set_connect_options(options);
    }

    /// The options the pool was built with.
    pub fn options(&self) -> &PoolOptions<DB> {
        &self.guarded.adapter().options
    }

    /// The inner sqlx pool. Calls on it bypass the breaker and are not recorded.
    ///
    /// ```
    /// # async fn run(pool: &fusepool::sqlx::PgPool) -> sqlx::Result<()> {
    /// // A listener waits without a statement, so it needs no guard.
    /// let mut listener = sqlx::postgres::PgListener::connect_with(pool.inner()).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn inner(&self) -> &sqlx::Pool<DB> {
        &self.guarded.adapter().raw
    }

    /// The gate of this pool, which holds its breaker.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        self.guarded.gate()
    }

    /// The changes of the breaker from now on, as from [`Gate::events`].
    #[must_use]
    pub fn events(&self) -> Events {
        self.gate().events()
    }

    /// Checks the settings of this pool, and asks its server over one connection beside the pool, whether
    /// the breaker is open or not. The warnings are only returned, and not [reported](crate::lint).
    ///
    /// ```
    /// # async fn run(pool: &fusepool::sqlx::PgPool) -> sqlx::Result<()> {
    /// use fusepool::lint::Load;
    ///
    /// for warning in pool.lint(&Load::default().replicas(4)).await? {
    ///     println!("{warning}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// That of an acquire: no connection could be opened, or a ping on it failed.
    pub async fn lint(&self, load: &Load) -> Result<Vec<Warning>, Error> {
        let warnings = self.guarded.lint(load).await;
        warnings.map_err(|error| error::of_acquire(self.gate(), error))
    }

    /// The current state and counters of the pool, its breaker and its cache.
    ///
    /// ```
    /// # fn run(pool: &fusepool::sqlx::PgPool) {
    /// let now = pool.snapshot();
    /// println!("{} of {} connections are idle", now.idle, now.size);
    /// println!("{} calls were refused", now.gate.breaker.totals.rejected);
    /// # }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        self.guarded.snapshot()
    }

    /// Leases a connection for the caller. If the lease is a probe, the connection has answered a
    /// ping.
    pub(super) async fn lease_ready(&self) -> Result<GuardedConnection<DB>, Error> {
        let lease = self.guarded.lease().await;
        let lease = lease.map_err(|error| error::of_acquire(self.gate(), error))?;
        Ok(GuardedConnection::new(lease))
    }

    fn try_lease(&self) -> Option<GuardedConnection<DB>> {
        let lease = (self.guarded).lease_at_hand(|adapter| match &adapter.misconfigured {
            Some(_) => None,
            None => adapter.raw.try_acquire().map(Leased::unknown),
        });
        lease.map(GuardedConnection::new)
    }

    async fn begin_on_lease(
        &self,
        statement: Option<SqlStr>,
    ) -> Result<Transaction<'static, DB>, Error> {
        let lease = lease(self.shared()).await.map_err(error::of_statement)?;
        Transaction::begin_owned(lease, Admission::Breaker, statement).await
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

    /// Guards a call of the inner pool, which acquires a connection of its own.
    #[cfg(feature = "sqlx-postgres")]
    pub(super) async fn guard_inner<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.shared().remember_runtime();
        let permit = self.gate().admit_on_lease().map_err(error::refused)?;
        let adapter = self.guarded.adapter();
        let classify = |error: &Error| (adapter.classify(error), adapter.code(error));
        let result = (self.gate().run(permit, None, classify, call, pending())).await;
        result.map_err(error::of_statement)
    }

    /// Begins sqlx's own transaction, for [`sqlx::Acquire`].
    ///
    /// Cancellation: if sqlx's `begin` is dropped in flight, the connection is returned to the pool
    /// with the transaction open. So it runs in its own task. If the caller is dropped, the task
    /// waits for the answer up to `RELEASE_TIMEOUT` and then rolls back. If there is no answer by
    /// then, the connection is closed.
    pub(super) async fn begin_unguarded<'t>(&self) -> Result<sqlx::Transaction<'t, DB>, Error> {
        let lease = self.lease_ready().await?.lease.into_inner().raw;
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
                // If the caller is gone, the transaction is dropped here, which rolls it back.
                Some(result) => drop(send.send(result)),
                None => {
                    gate.closed_connection("abandoned");
                    drop_on_idle_runtime(begin);
                }
            }
        };
        let permit = self.gate().breaker().observe();
        self.shared().background.spawn_call(begin);
        let begun = async { receive.await.unwrap_or(Err(Error::PoolClosed)) };
        let adapter = self.guarded.adapter();
        let classify = |error: &Error| (adapter.classify(error), adapter.code(error));
        let result = (self.gate().run(permit, None, classify, begun, pending())).await;
        result.map_err(error::of_statement)
    }
}

/// Drops `begin`, so that its connection is closed and the pool's slot becomes free.
///
/// When sqlx's connection is dropped, it spawns a task that returns it to the pool and may wait for
/// the server without a timeout. Here it spawns that task on a runtime that never polls it. When
/// this runtime shuts down, it drops the task, and sqlx closes the connection.
fn drop_on_idle_runtime<T>(begin: T) {
    if let Ok(idle) = tokio::runtime::Builder::new_current_thread().build() {
        let entered = idle.enter();
        drop(begin);
        drop(entered);
        idle.shutdown_background();
    }
}

#[cfg(feature = "live")]
impl<DB: Database> Watch for Pool<DB> {}

#[cfg(feature = "live")]
impl<DB: Database> Sealed for Pool<DB> {
    fn watched(&self) -> Watched {
        self.guarded.watched()
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
