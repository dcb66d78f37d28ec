//! The adapter for bb8, with any of its managers.

use std::error::Error;
use std::ops::{Deref, DerefMut};

use bb8::{ManageConnection, Pool, PooledConnection, RunError};
use fusepool::{Adapter, Class, PoolStatus};

/// A bb8 pool, and the classification of its manager's errors.
pub(crate) struct Bb8<M: ManageConnection + Clone> {
    pub(crate) pool: Pool<Discarding<M>>,
    /// Used to ping connections; bb8 does not expose the manager of a pool.
    pub(crate) manager: M,
    pub(crate) size: u32,
    pub(crate) classify: fn(&M::Error) -> Class,
}

impl<M: ManageConnection<Error: Error> + Clone> Adapter for Bb8<M> {
    type Connection = Discardable<M::Connection>;
    type Lease = PooledConnection<'static, Discarding<M>>;
    type Error = RunError<M::Error>;
    type StatementError = M::Error;

    fn name(&self) -> String {
        "bb8".to_owned()
    }

    fn status(&self) -> PoolStatus {
        let state = self.pool.state();
        PoolStatus {
            size: state.connections,
            idle: state.idle_connections,
            max_connections: self.size,
        }
    }

    // A bb8 pool cannot be closed.
    fn is_closed(&self) -> bool {
        false
    }

    async fn lease(&self) -> Result<Self::Lease, Self::Error> {
        self.pool.get_owned().await
    }

    fn discard(&self, mut lease: Self::Lease) {
        lease.discarded = true;
    }

    async fn connect(&self) -> Result<Self::Connection, Self::Error> {
        let connection = self.pool.dedicated_connection().await;
        connection.map_err(RunError::User)
    }

    async fn ping(&self, connection: &mut Self::Connection) -> Result<(), Self::Error> {
        let valid = self.manager.is_valid(&mut connection.connection).await;
        valid.map_err(RunError::User)
    }

    fn classify(&self, error: &Self::Error) -> Class {
        match error {
            RunError::User(error) => (self.classify)(error),
            RunError::TimedOut => Class::Starved,
        }
    }

    fn classify_statement(&self, error: &M::Error) -> Class {
        (self.classify)(error)
    }

    fn explain<'e>(&self, error: &'e Self::Error) -> &'e (dyn Error + 'static) {
        error
    }
}

/// A manager whose connections can be discarded, for which bb8 itself has no method.
pub(crate) struct Discarding<M>(pub(crate) M);

/// A connection that does not return to its pool after it was discarded.
pub(crate) struct Discardable<C> {
    connection: C,
    discarded: bool,
}

impl<M: ManageConnection> ManageConnection for Discarding<M> {
    type Connection = Discardable<M::Connection>;
    type Error = M::Error;

    async fn connect(&self) -> Result<Self::Connection, Self::Error> {
        Ok(Discardable {
            connection: self.0.connect().await?,
            discarded: false,
        })
    }

    async fn is_valid(&self, connection: &mut Self::Connection) -> Result<(), Self::Error> {
        self.0.is_valid(&mut connection.connection).await
    }

    fn has_broken(&self, connection: &mut Self::Connection) -> bool {
        connection.discarded || self.0.has_broken(&mut connection.connection)
    }
}

impl<C> Deref for Discardable<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C> DerefMut for Discardable<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}
