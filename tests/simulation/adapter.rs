//! The adapter of the simulated pool.

use std::error::Error;

use fusepool::{Adapter, Class, PoolStatus};

use crate::pool::{Pool, PoolLease};
use crate::server::{Connection, DbError, Opener};

pub(crate) struct Simulated {
    pub(crate) pool: Pool,
    /// An abandoned statement is canceled at the server.
    pub(crate) cancels: bool,
}

fn classify(error: DbError) -> Class {
    match error {
        DbError::Refused | DbError::Reset | DbError::Failed => Class::Failure,
        DbError::Full | DbError::QueryWait => Class::Starved,
        DbError::Canceled => Class::Ignored,
    }
}

impl Adapter for Simulated {
    type Connection = Connection;
    type Lease = PoolLease;
    type Error = DbError;
    type StatementError = DbError;

    fn status(&self) -> PoolStatus {
        PoolStatus {
            size: self.pool.open(),
            idle: self.pool.idle(),
            max_connections: self.pool.max_size(),
        }
    }

    fn is_closed(&self) -> bool {
        false
    }

    async fn lease(&self) -> Result<PoolLease, DbError> {
        self.pool.lease().await
    }

    async fn lease_idle(&self) -> Option<PoolLease> {
        self.pool.lease_idle()
    }

    fn discard(&self, lease: PoolLease) {
        lease.discard();
    }

    async fn cancel(&self, connection: &mut Connection) {
        if self.cancels {
            connection.cancel().await;
        }
    }

    async fn connect(&self) -> Result<Connection, DbError> {
        self.pool.server().connect(Opener::Prober).await
    }

    async fn knock(&self) {
        self.pool.server().knock().await;
    }

    async fn ping(&self, connection: &mut Connection) -> Result<(), DbError> {
        connection.ping().await
    }

    fn classify(&self, error: &DbError) -> Class {
        classify(*error)
    }

    fn classify_statement(&self, error: &DbError) -> Class {
        classify(*error)
    }

    fn answered(&self, error: &DbError) -> bool {
        matches!(error, DbError::Failed | DbError::Canceled)
    }

    fn explain<'e>(&self, error: &'e DbError) -> &'e (dyn Error + 'static) {
        error
    }
}
