//! A leased connection, guarded.

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

use super::dialect::Postgres;
use super::manager::Manager;
use super::statements::{Configured, Watch, statements};
use super::transaction::Transaction;
use super::transaction_builder::TransactionBuilder;
use crate::deadpool::object::Object;
use crate::deadpool::pool::Pool;
use crate::deadpool::wrapper::{Known, Wrapper};

/// A connection leased from a pool, used like deadpool-postgres' `Client`. Dropping it gives it back.
///
/// Every method here that runs a statement is guarded: refused while the breaker is open, given up
/// after the pool's `query_timeout`, and its end recorded. If one was given up, at its deadline or
/// by dropping its future, then dropping the client cancels on the server what is still running
/// there, and closes the connection instead of giving it back.
///
/// It dereferences to deadpool-postgres' [`ClientWrapper`], and that to [`tokio_postgres::Client`]:
/// what is done with those is not seen.
pub struct Client {
    object: Object<Manager>,
}

impl Client {
    /// This connection, with another deadline for a statement that is run on it. A zero one, or one
    /// longer than [`LONGEST`](crate::breaker::LONGEST), is an error with a
    /// [`ConfigError`](crate::ConfigError).
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

    /// This connection, for a statement that makes what is cached under any of `tags` outdated, when it
    /// succeeds; in a transaction, when that is committed. If it cannot be known whether the statement
    /// took effect, such answers are asked for again, and served only where the database cannot give a
    /// newer one.
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

    /// Begins a transaction. It is rolled back when it is dropped.
    ///
    /// # Errors
    ///
    /// The driver's; refusals and deadlines are among them.
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        self.build_transaction().start().await
    }

    /// Starts to configure a transaction.
    pub fn build_transaction(&mut self) -> TransactionBuilder<'_> {
        let (client, on) = self.object.lease.parts();
        let watch = Watch {
            on,
            in_transaction: false,
        };
        TransactionBuilder::new(client.build_transaction(), watch)
    }

    /// Takes the connection out of the pool for good, which may open another.
    #[must_use]
    pub fn take(this: Self) -> ClientWrapper {
        Object::take(this.object)
    }

    /// The number of this connection in its pool.
    pub fn id(this: &Self) -> ObjectId {
        Object::id(&this.object)
    }

    /// How old the connection is and how often it was recycled.
    pub fn metrics(this: &Self) -> &Metrics {
        Object::metrics(&this.object)
    }

    /// The pool it came from; always `Some`.
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
