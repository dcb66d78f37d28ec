//! The interface between the guard and a pool.

use std::error::Error;
use std::future::{Future, ready};
use std::ops::DerefMut;

use crate::breaker::verdict::Class;
use crate::outcome::code::ErrorCode;
use crate::pool::connection_state::Diagnosis;
use crate::pool::created::Created;
use crate::pool::session::{Sessions, System};
use crate::pool::snapshot::PoolStatus;
use crate::telemetry::backend::Backend;

/// The interface through which fusepool guards a connection pool. Implement it for a pool that
/// fusepool does not support, and pass it to [`Guarded::builder`](crate::Guarded::builder).
///
/// [This example](https://github.com/fusepool/fusepool/tree/main/examples/bb8) is complete, for bb8: its
/// `adapter.rs` is the adapter. The pools of this crate are guarded in the same way.
///
/// All futures may be dropped at any await, at a deadline or because the caller dropped its call.
pub trait Adapter: Send + Sync + 'static {
    /// A connection.
    type Connection: Send + 'static;
    /// A connection leased from the pool. Dropping it returns it to the pool, unless
    /// [`RELEASE_WAITS`](Self::RELEASE_WAITS) is `true`.
    type Lease: DerefMut<Target = Self::Connection> + Send + 'static;
    /// The error of the pool: of a lease, of a new connection, or of a ping.
    type Error: Send + 'static;
    /// The error of a statement.
    type StatementError: Send + 'static;

    /// Whether [`release`](Self::release) must be awaited to return a connection to the pool.
    /// Default: `false`.
    const RELEASE_WAITS: bool = false;

    /// The name of the pool in events and errors, unless its breaker has a name. Default: `pool`.
    fn name(&self) -> String {
        "pool".to_owned()
    }

    /// The database behind the pool, as metrics describe it. Default: unknown.
    fn backend(&self) -> Backend {
        Backend::default()
    }

    /// The number of connections that the pool has and may have.
    ///
    /// [`max_connections`](PoolStatus::max_connections) is the size of the largest batch of the
    /// recovery ramp. Statements that an
    /// [outage left behind](crate#what-an-outage-leaves-behind) are given up only while the pool is
    /// full.
    fn status(&self) -> PoolStatus;

    /// Whether the pool was closed. A closed pool is neither guarded nor probed, and
    /// [`lease`](Self::lease) returns its error.
    fn is_closed(&self) -> bool;

    /// Leases a connection, and waits until one is free. If the pool has room and no idle connection, this
    /// runs in a task, which goes on for up to `acquire_timeout` if the caller leaves: connections are opened
    /// to the end.
    ///
    /// # Errors
    ///
    /// The pool's own.
    fn lease(&self) -> impl Future<Output = Result<Self::Lease, Self::Error>> + Send;

    /// Leases an idle connection, if there is one, for a probe that could not
    /// [`connect`](Self::connect). It is dropped at `probe_timeout`. Default:
    /// [`lease`](Self::lease).
    fn lease_idle(&self) -> impl Future<Output = Option<Self::Lease>> + Send {
        async { self.lease().await.ok() }
    }

    /// Returns a connection to the pool, if [`RELEASE_WAITS`](Self::RELEASE_WAITS) is `true`. Called
    /// inside a runtime.
    ///
    /// The future is dropped after two seconds, or before its first poll if the runtime has ended.
    /// It must then close the connection and free its slot in the pool. Default: drops the lease.
    fn release(&self, lease: Self::Lease) -> impl Future<Output = ()> + Send + 'static {
        drop(lease);
        ready(())
    }

    /// Removes a connection from the pool and closes it without waiting, because a statement on it
    /// was given up or its backend is unusable. The connection must not return to the pool. May be
    /// called outside a runtime.
    fn discard(&self, lease: Self::Lease);

    /// Removes a connection from the pool and closes it, as [`discard`](Self::discard) does, but may
    /// wait for an orderly end of the session. Called inside a runtime; the future is dropped like
    /// that of [`release`](Self::release). Default: `discard`.
    fn close(&self, lease: Self::Lease) -> impl Future<Output = ()> + Send + 'static {
        self.discard(lease);
        ready(())
    }

    /// Cancels the statement that still runs on the backend after it was given up here, before its
    /// connection is closed. The future is dropped after one second. Default: nothing.
    ///
    /// The connection is then [pinged](Self::ping), and closed when the ping ends: its answer comes
    /// after that of the statement, and shows that the backend has stopped.
    fn cancel(&self, connection: &mut Self::Connection) -> impl Future<Output = ()> + Send {
        let _ = connection;
        ready(())
    }

    /// The sessions of the server that serve the connections of this pool, if they can be asked for.
    #[doc(hidden)]
    fn sessions(&self) -> Option<&Sessions> {
        None
    }

    /// The system of the server, if [`question`](Self::question) is implemented for it.
    #[doc(hidden)]
    fn system(&self) -> Option<System> {
        None
    }

    /// Whether an abandoned statement is stopped by its session, because the driver has no
    /// [`cancel`](Self::cancel).
    #[doc(hidden)]
    const STOPS_BY_SESSION: bool = false;

    /// The time at which a connection was created, by which its session is found. Called as soon as
    /// it is leased.
    #[doc(hidden)]
    fn created(&self, lease: &Self::Lease) -> Option<Created> {
        let _ = lease;
        None
    }

    /// Runs a statement that returns one text.
    #[doc(hidden)]
    fn question(
        &self,
        connection: &mut Self::Connection,
        sql: String,
    ) -> impl Future<Output = Option<String>> + Send {
        let _ = (connection, sql);
        ready(None)
    }

    /// Whether a stream of rows may be dropped while it waits for one, and its connection be used
    /// afterwards.
    #[doc(hidden)]
    fn keeps_step(&self) -> bool {
        true
    }

    /// Opens a connection outside the pool, to probe the backend. The future is dropped at
    /// `acquire_timeout`.
    ///
    /// # Errors
    ///
    /// The pool's own, which [`classify`](Self::classify) classifies.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Has the network deliver something to the server, and waits for any response, such as a refusal.
    /// Ready at once if there is no network or no known address.
    #[doc(hidden)]
    fn knock(&self) -> impl Future<Output = ()> + Send {
        knock(self.backend())
    }

    /// Requests an answer from the backend itself, and not from a proxy or a driver's own thread.
    ///
    /// # Errors
    ///
    /// The pool's own, which [`classify`](Self::classify) classifies.
    fn ping(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Runs the `probe_query` of the pool.
    #[doc(hidden)]
    fn probe(
        &self,
        connection: &mut Self::Connection,
        sql: &str,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = sql;
        self.ping(connection)
    }

    /// Whether the server, or the role of this pool on it, does not accept writes. `None` if that is
    /// unknown. Ignore what only a session or a transaction of the application does not allow.
    ///
    /// The pool asks to tell a failover from a server that is [read-only](Class::ReadOnly) on purpose:
    /// before it leases its first connection, and another one every ten seconds until a server accepts
    /// writes; at the end of a lease on which a statement failed with such an error; and before it
    /// closes a breaker that a failover opened. If the future is dropped, at `acquire_timeout` or
    /// after two seconds, the connection is closed. Default: `None`. Implement [`tells_read_only`](Self::tells_read_only), too.
    fn is_read_only(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Option<bool>> + Send {
        let _ = connection;
        ready(None)
    }

    /// Whether [`is_read_only`](Self::is_read_only) is implemented. Default: `false`.
    fn tells_read_only(&self) -> bool {
        false
    }

    /// Closes a connection that [`connect`](Self::connect) opened. The future may be dropped before
    /// its first poll. Default: drops the connection.
    fn disconnect(
        &self,
        connection: Self::Connection,
    ) -> impl Future<Output = ()> + Send + 'static {
        drop(connection);
        ready(())
    }

    /// The class of an error of [`lease`](Self::lease), [`connect`](Self::connect) or
    /// [`ping`](Self::ping).
    ///
    /// If no connection became free in time, it is [`Class::Starved`]. The error of a server that is
    /// starting, shutting down or full is never [`Class::Success`].
    fn classify(&self, error: &Self::Error) -> Class;

    /// The class of a statement's error.
    fn classify_statement(&self, error: &Self::StatementError) -> Class;

    /// Whether the backend itself reported this error, which shows that the connection works. After
    /// any other error of [`Class::Failure`], the connection is closed. Default: `false`.
    fn answered(&self, error: &Self::StatementError) -> bool {
        let _ = error;
        false
    }

    /// Whether the backend is known to have ended the statement that failed with this error. A pooler may
    /// report an error of its own while the statement goes on.
    #[doc(hidden)]
    fn has_ended(&self, error: &Self::StatementError) -> bool {
        self.answered(error)
    }

    /// The database's code for this error, such as an SQLSTATE, for [events](crate::telemetry) and
    /// metrics. Default: `None`.
    fn code(&self, error: &Self::StatementError) -> Option<ErrorCode> {
        let _ = error;
        None
    }

    /// Whether a statement was not sent because its connection was to be leased from a closed pool.
    #[doc(hidden)]
    fn tells_closed(&self, error: &Self::StatementError) -> bool {
        let _ = error;
        false
    }

    /// The error as events report it.
    fn explain<'e>(&self, error: &'e Self::Error) -> &'e (dyn Error + 'static);
}

/// Connects to this server, and closes the connection at once.
#[cfg(feature = "sql")]
async fn knock(backend: Backend) {
    if let (Some(host), Some(port)) = (backend.address, backend.port) {
        let _ = tokio::net::TcpStream::connect((host, port)).await;
    }
}

#[cfg(not(feature = "sql"))]
async fn knock(_backend: Backend) {}

/// The class of a statement's error, and its effect on the connection.
pub(crate) fn diagnose<A: Adapter>(adapter: &A, error: &A::StatementError) -> Diagnosis {
    Diagnosis {
        class: adapter.classify_statement(error),
        answered: adapter.answered(error),
        has_ended: adapter.has_ended(error),
        code: adapter.code(error),
    }
}
