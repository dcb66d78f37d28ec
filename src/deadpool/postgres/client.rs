//! A guarded connection.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use deadpool::managed::{Metrics, ObjectId};
use deadpool_postgres::ClientWrapper;
use tokio_postgres::types::{BorrowToSql, FromSqlOwned, ToSql, Type};
use tokio_postgres::{
    CopyInSink, CopyOutStream, Error, Row, RowStream, SimpleQueryMessage, SimpleQueryStream,
    ToStatement,
};

use super::configured::Configured;
use super::dialect::Postgres;
use super::manager::Manager;
use super::statements::statements;
use super::transaction::Transaction;
use super::transaction_builder::TransactionBuilder;
use super::watch::Watch;
use crate::deadpool::object::Object;
use crate::deadpool::object::{Known, Wrapper};
use crate::deadpool::pool::Pool;

/// A connection leased from a pool, used like deadpool-postgres' `Client`. Dropping it returns it to
/// the pool.
///
/// The statements of the methods below are guarded: they are refused while the breaker is open, they
/// have the pool's `query_timeout`, and their outcomes are recorded. If a statement was abandoned, by
/// its deadline or because its future was dropped, then dropping the client asks the server to cancel
/// the statement, and closes the connection instead of returning it.
///
/// It dereferences to deadpool-postgres' [`ClientWrapper`], and that to [`tokio_postgres::Client`].
/// Calls on those are neither guarded nor recorded.
pub struct Client {
    object: Object<Manager>,
}

impl Client {
    /// This connection, with the deadline `limit` for each statement instead of the pool's
    /// `query_timeout`.
    ///
    /// `limit` must be longer than zero and at most [`LONGEST`](crate::breaker::LONGEST). Otherwise
    /// every statement fails with an error that holds a [`ConfigError`](crate::ConfigError), and
    /// nothing is sent.
    ///
    /// ```
    /// # async fn report(client: &fusepool::deadpool::postgres::Client)
    /// # -> Result<(), tokio_postgres::Error> {
    /// use std::time::Duration;
    ///
    /// client
    ///     .with_timeout(Duration::from_secs(300))
    ///     .execute("REFRESH MATERIALIZED VIEW sales", &[])
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_timeout(&self, limit: Duration) -> Configured<'_> {
        Configured {
            limit: Some(limit),
            ..self.guarded()
        }
    }

    /// This connection, for statements that invalidate the answers cached under any of `tags` when
    /// they succeed; in a transaction, when the transaction commits. An invalidated answer is never
    /// served again.
    ///
    /// If the connection breaks, the deadline passes or the future is dropped, a statement may take effect,
    /// now or later. The answers are then loaded again on every read, and served only while the database
    /// cannot answer, until the server is known to [have ended the statement](crate#abandoned-statements).
    /// The same holds for a stream of rows or a `COPY`, whose end is not seen, until the lease ends. If the
    /// server answers with an error, they are loaded once again.
    ///
    /// A transaction that is begun other than by the methods for that, or by `batch_execute` or
    /// `simple_query`, is not seen: the invalidation takes effect at once.
    ///
    /// ```
    /// # async fn raise(client: &fusepool::deadpool::postgres::Client, id: i64)
    /// # -> Result<(), tokio_postgres::Error> {
    /// client
    ///     .invalidates(&["dishes"])
    ///     .execute("UPDATE dish SET price = price + 1 WHERE id = $1", &[&id])
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn invalidates(&self, tags: &[&str]) -> Configured<'_> {
        self.guarded().invalidates(tags)
    }

    statements!();

    /// Begins a transaction. It is rolled back if it is dropped without a commit.
    ///
    /// # Errors
    ///
    /// The driver's error, which may hold a refusal or a deadline; see
    /// [the module's page](crate::deadpool::postgres#errors).
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        self.build_transaction().start().await
    }

    /// Starts to configure a transaction, for example its isolation level.
    pub fn build_transaction(&mut self) -> TransactionBuilder<'_> {
        let (client, on) = self.object.lease.parts();
        let watch = Watch {
            on,
            in_transaction: false,
        };
        TransactionBuilder::new(client.build_transaction(), watch)
    }

    /// Removes the connection from the pool permanently. The pool may open another.
    #[must_use]
    pub fn take(this: Self) -> ClientWrapper {
        Object::take(this.object)
    }

    /// The id of this connection in its pool.
    pub fn id(this: &Self) -> ObjectId {
        Object::id(&this.object)
    }

    /// The age of the connection, and how often it was recycled.
    pub fn metrics(this: &Self) -> &Metrics {
        Object::metrics(&this.object)
    }

    /// The pool that the connection was leased from. Always `Some`.
    #[must_use]
    pub fn pool(this: &Self) -> Option<Pool<Manager, Self>> {
        Some(Pool::new(this.object.lease.pool()))
    }

    pub(super) fn guarded(&self) -> Configured<'_> {
        let lease = &self.object.lease;
        Configured {
            client: lease,
            cache: &lease.statement_cache,
            watch: Watch {
                on: lease.watch(),
                in_transaction: false,
            },
            limit: None,
            invalidates: Vec::new(),
        }
    }
}

impl From<Object<Manager>> for Client {
    fn from(object: Object<Manager>) -> Self {
        Self { object }
    }
}

impl Wrapper<Manager> for Client {
    fn known() -> Known<Manager> {
        Known(Arc::new(Postgres::default()))
    }
}

impl Deref for Client {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.object
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut ClientWrapper {
        &mut self.object
    }
}

impl AsRef<ClientWrapper> for Client {
    fn as_ref(&self) -> &ClientWrapper {
        self
    }
}

impl AsMut<ClientWrapper> for Client {
    fn as_mut(&mut self) -> &mut ClientWrapper {
        self
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("object", &self.object)
            .finish()
    }
}
