//! What has to be known of a pool in order to guard it.

use std::error::Error;
use std::future::{Future, ready};
use std::ops::DerefMut;

use crate::breaker::verdict::Class;
use crate::pool::connection_state::Diagnosis;

/// What fusepool has to know of a connection pool in order to guard it: implement this for a pool
/// that fusepool does not know, and give it to [`Guarded`](crate::Guarded).
///
/// `examples/bb8` in the repository does so for bb8: its `adapter.rs` is all it takes.
///
/// All futures may be dropped at any await: when their deadline is over, or their caller is gone.
pub trait Adapter: Send + Sync + 'static {
    /// A connection.
    type Connection: Send + 'static;
    /// A connection out of the pool. Dropping it gives it back.
    type Lease: DerefMut<Target = Self::Connection> + Send + 'static;
    /// What goes wrong in the pool, or on its way to the backend.
    type Error: Send + 'static;

    /// What the pool is called in events and errors, unless its breaker has a name.
    fn name(&self) -> String {
        "pool".to_owned()
    }

    /// How many connections the pool may have: the recovery ramp ends there, and the default of
    /// `max_waiting` is a multiple of it.
    fn size(&self) -> u32;

    /// Whether every connection is leased and no more may be opened. Only while this is true are
    /// statements given up that an [outage left behind](crate#what-an-outage-leaves-behind). Default:
    /// `true`.
    fn is_full(&self) -> bool {
        true
    }

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

    /// Takes a connection out of the pool for good, and closes it: its statement was given up, or
    /// its backend is of no use any more. It must not go back to the pool.
    fn discard(&self, lease: Self::Lease);

    /// Stops what the backend still does for a connection whose statement was given up, before the
    /// connection is discarded. Bounded by the caller. Default: nothing.
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

    /// Closes a connection that [`connect`](Self::connect) opened. Default: drops it.
    fn disconnect(&self, connection: Self::Connection) {
        drop(connection);
    }

    /// What an error means. [`lease`](Self::lease) and [`connect`](Self::connect) fail with some, too: that
    /// nothing came free in time is [`Starved`](Class::Starved), and a server that is starting,
    /// stopping or full is never [`Answered`](Class::Answered).
    fn classify(&self, error: &Self::Error) -> Class;

    /// Whether the backend itself reported this error, so that the connection to it works. After
    /// any other [`Fault`](Class::Fault) the connection is discarded. Default: `false`.
    fn answered(&self, error: &Self::Error) -> bool {
        let _ = error;
        false
    }

    /// The error as events tell it.
    fn explain<'e>(&self, error: &'e Self::Error) -> &'e (dyn Error + 'static);
}

/// What an error says about its connection, too.
pub(crate) fn diagnose<A: Adapter>(adapter: &A, error: &A::Error) -> Diagnosis {
    Diagnosis {
        class: adapter.classify(error),
        answered: adapter.answered(error),
    }
}
