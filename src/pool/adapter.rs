//! What the guard has to know of a pool.

use std::error::Error;
use std::future::{Future, ready};
use std::ops::DerefMut;

use crate::breaker::verdict::Class;
use crate::pool::connection_state::Diagnosis;
use crate::pool::snapshot::PoolStatus;

/// What fusepool has to know of a connection pool in order to guard it: implement this for a pool
/// that fusepool does not know, and give it to [`Guarded`](crate::Guarded).
///
/// `examples/bb8` in the repository does so for bb8: its `adapter.rs` is all it takes. The pools of
/// this crate are guarded in the same way.
///
/// All futures may be dropped at any await: when their deadline is over, or their caller is gone.
pub trait Adapter: Send + Sync + 'static {
    /// A connection.
    type Connection: Send + 'static;
    /// A connection out of the pool. Dropping it gives it back, unless
    /// [`RELEASE_WAITS`](Self::RELEASE_WAITS).
    type Lease: DerefMut<Target = Self::Connection> + Send + 'static;
    /// What goes wrong in the pool, on its way to the backend, or with a ping.
    type Error: Send + 'static;
    /// What goes wrong with a statement.
    type StatementError: Send + 'static;

    /// Giving a connection back takes waiting, or work in a task. Default: `false`.
    const RELEASE_WAITS: bool = false;

    /// What the pool is called in events and errors, unless its breaker has a name.
    fn name(&self) -> String {
        "pool".to_owned()
    }

    /// How many connections the pool has, and may have. The recovery ramp ends at the most that it may
    /// have, and the default of `max_queue` is a multiple of that. Only while every connection is
    /// leased are statements given up that an
    /// [outage left behind](crate#what-an-outage-leaves-behind).
    fn status(&self) -> PoolStatus;

    /// Whether the pool was closed. It is then neither guarded nor probed any more, and
    /// [`lease`](Self::lease) says so by its error.
    fn is_closed(&self) -> bool;

    /// Leases a connection, waiting for one if need be.
    ///
    /// # Errors
    ///
    /// The pool's.
    fn lease(&self) -> impl Future<Output = Result<Self::Lease, Self::Error>> + Send;

    /// Leases a connection that is idle, if there is one, for a probe that could not
    /// [`connect`](Self::connect). Default: [`lease`](Self::lease). Bounded by the caller.
    fn lease_idle(&self) -> impl Future<Output = Option<Self::Lease>> + Send {
        async { self.lease().await.ok() }
    }

    /// Gives a connection back, where [`RELEASE_WAITS`](Self::RELEASE_WAITS). Called inside of a
    /// runtime. The future is dropped after two seconds, or unpolled if the runtime has ended: the
    /// connection must be closed then, and its place in the pool free. Default: drops the lease.
    fn release(&self, lease: Self::Lease) -> impl Future<Output = ()> + Send + 'static {
        drop(lease);
        ready(())
    }

    /// Takes a connection out of the pool for good, and closes it without waiting: its statement was
    /// given up, or its backend is of no use any more. It must not go back to the pool. May be called
    /// outside of a runtime.
    fn discard(&self, lease: Self::Lease);

    /// [`discard`](Self::discard) that may take leave of the backend first, where
    /// [`RELEASE_WAITS`](Self::RELEASE_WAITS). Bounded as [`release`](Self::release). Default:
    /// `discard`.
    fn close(&self, lease: Self::Lease) -> impl Future<Output = ()> + Send + 'static {
        self.discard(lease);
        ready(())
    }

    /// Stops what the backend still does for a connection whose statement was given up, before the
    /// connection is closed. Bounded by the caller. Default: nothing.
    fn cancel(&self, connection: &mut Self::Connection) -> impl Future<Output = ()> + Send {
        let _ = connection;
        ready(())
    }

    /// Opens a connection outside of the pool, in order to probe the backend.
    ///
    /// # Errors
    ///
    /// The pool's, of which [`classify`](Self::classify) says what they mean.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Asks the backend itself for an answer.
    ///
    /// # Errors
    ///
    /// The pool's, of which [`classify`](Self::classify) says what they mean.
    fn ping(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Closes a connection that [`connect`](Self::connect) opened. The future may be dropped unpolled.
    /// Default: drops the connection.
    fn disconnect(
        &self,
        connection: Self::Connection,
    ) -> impl Future<Output = ()> + Send + 'static {
        drop(connection);
        ready(())
    }

    /// What an error means of [`lease`](Self::lease), [`connect`](Self::connect) or
    /// [`ping`](Self::ping): that nothing came free in time is [`Starved`](Class::Starved), and a
    /// server that is starting, stopping or full is never [`Answered`](Class::Success).
    fn classify(&self, error: &Self::Error) -> Class;

    /// What a statement's error means.
    fn classify_statement(&self, error: &Self::StatementError) -> Class;

    /// Whether the backend itself reported this error, so that the connection to it works. After
    /// any other [`Failure`](Class::Failure) the connection is closed. Default: `false`.
    fn answered(&self, error: &Self::StatementError) -> bool {
        let _ = error;
        false
    }

    /// The error as events tell it.
    fn explain<'e>(&self, error: &'e Self::Error) -> &'e (dyn Error + 'static);
}

/// What a statement's error says about its connection, too.
pub(crate) fn diagnose<A: Adapter>(adapter: &A, error: &A::StatementError) -> Diagnosis {
    Diagnosis {
        class: adapter.classify_statement(error),
        answered: adapter.answered(error),
    }
}

/// The same of a ping's. Its connection is closed after any failure.
pub(crate) fn diagnose_ping<A: Adapter>(adapter: &A, error: &A::Error) -> Diagnosis {
    Diagnosis {
        class: adapter.classify(error),
        answered: false,
    }
}
