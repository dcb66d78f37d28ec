//! Guarded transactions and savepoints.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use deadpool_postgres::StatementCache;
use tokio_postgres::types::{BorrowToSql, FromSqlOwned, ToSql, Type};
use tokio_postgres::{
    CopyInSink, CopyOutStream, Error, Portal, Row, RowStream, SimpleQueryMessage,
    SimpleQueryStream, ToStatement,
};

use crate::cache::unpublished::Open;

use super::configured::Configured;
use super::statements::statements;
use super::watch::Watch;

/// A transaction, used like deadpool-postgres' `Transaction`. It is rolled back if it is dropped
/// without [`commit`](Self::commit).
///
/// Its statements are recorded and have deadlines, but the breaker refuses neither them nor its end:
/// the transaction holds its connection already, and its locks are released soonest if it can end.
/// After an abandoned statement, all of them are refused
/// ([`Refused::Abandoned`](crate::Refused::Abandoned)).
pub struct Transaction<'a> {
    raw: deadpool_postgres::Transaction<'a>,
    watch: Watch<'a>,
    open: Open<'a>,
    /// The cache of prepared statements of the connection.
    pub statement_cache: Arc<StatementCache>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(raw: deadpool_postgres::Transaction<'a>, watch: Watch<'a>) -> Self {
        Self {
            statement_cache: Arc::clone(&raw.statement_cache),
            raw,
            open: Open::new(&watch.on.state.unpublished),
            watch: watch.inside_transaction(),
        }
    }

    /// This transaction, with the deadline `limit` for each statement instead of the pool's
    /// `query_timeout`. See [`Client::with_timeout`](super::Client::with_timeout).
    #[must_use]
    pub fn with_timeout(&self, limit: Duration) -> Configured<'_> {
        Configured {
            limit: Some(limit),
            ..self.guarded()
        }
    }

    /// This transaction, for statements that invalidate the answers cached under any of `tags` when
    /// the transaction commits. See [`Client::invalidates`](super::Client::invalidates).
    #[must_use]
    pub fn invalidates(&self, tags: &[&str]) -> Configured<'_> {
        self.guarded().invalidates(tags)
    }

    statements!();

    /// Binds a statement to parameters; see [`tokio_postgres::Transaction::bind`].
    ///
    /// # Errors
    ///
    /// The driver's error, which may hold a refusal or a deadline; see
    /// [the module's page](crate::deadpool::postgres#errors).
    pub async fn bind<T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Portal, Error>
    where
        T: ?Sized + ToStatement,
    {
        self.guarded().run(self.raw.bind(statement, params)).await
    }

    /// Binds a statement to any iterator of parameters; see
    /// [`tokio_postgres::Transaction::bind_raw`].
    ///
    /// # Errors
    ///
    /// The driver's error, which may hold a refusal or a deadline; see
    /// [the module's page](crate::deadpool::postgres#errors).
    pub async fn bind_raw<P, T, I>(&self, statement: &T, params: I) -> Result<Portal, Error>
    where
        T: ?Sized + ToStatement,
        P: BorrowToSql,
        I: IntoIterator<Item = P>,
        I::IntoIter: ExactSizeIterator,
    {
        let bind = self.raw.bind_raw(statement, params);
        self.guarded().run(bind).await
    }

    /// Returns the next rows of a portal, at most `max_rows`; see
    /// [`tokio_postgres::Transaction::query_portal`].
    ///
    /// # Errors
    ///
    /// The driver's error, which may hold a refusal or a deadline; see
    /// [the module's page](crate::deadpool::postgres#errors).
    pub async fn query_portal(&self, portal: &Portal, max_rows: i32) -> Result<Vec<Row>, Error> {
        let query = self.raw.query_portal(portal, max_rows);
        self.guarded().run(query).await
    }

    /// Returns a stream of the next rows of a portal; see
    /// [`tokio_postgres::Transaction::query_portal_raw`]. This does not wait for the server: its
    /// answer has no deadline and is not recorded.
    ///
    /// # Errors
    ///
    /// The driver's error, which may hold a refusal; see
    /// [the module's page](crate::deadpool::postgres#errors).
    pub async fn query_portal_raw(
        &self,
        portal: &Portal,
        max_rows: i32,
    ) -> Result<RowStream, Error> {
        let query = self.raw.query_portal_raw(portal, max_rows);
        self.guarded().run_at_once(query).await
    }

    /// Commits the transaction, or releases the savepoint. After a deadline it is unknown whether the
    /// transaction was committed.
    ///
    /// # Errors
    ///
    /// The driver's error, which may hold a refusal or a deadline; see
    /// [the module's page](crate::deadpool::postgres#errors).
    pub async fn commit(self) -> Result<(), Error> {
        self.watch.commit(self.open, self.raw.commit()).await
    }

    /// Rolls back the transaction, or to the savepoint.
    ///
    /// # Errors
    ///
    /// The driver's error, which may hold a refusal or a deadline; see
    /// [the module's page](crate::deadpool::postgres#errors).
    pub async fn rollback(self) -> Result<(), Error> {
        self.watch.run_trivial(self.raw.rollback()).await
    }

    /// Begins a savepoint. It is rolled back if it is dropped without a commit.
    ///
    /// # Errors
    ///
    /// The driver's error, which may hold a refusal or a deadline; see
    /// [the module's page](crate::deadpool::postgres#errors).
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        let watch = self.watch;
        let raw = watch.run_trivial(self.raw.transaction()).await?;
        Ok(Transaction::new(raw, watch))
    }

    /// Begins a savepoint with a name. It is rolled back if it is dropped without a commit.
    ///
    /// # Errors
    ///
    /// The driver's error, which may hold a refusal or a deadline; see
    /// [the module's page](crate::deadpool::postgres#errors).
    pub async fn savepoint(&mut self, name: impl Into<String>) -> Result<Transaction<'_>, Error> {
        let watch = self.watch;
        let raw = watch.run_trivial(self.raw.savepoint(name)).await?;
        Ok(Transaction::new(raw, watch))
    }

    fn guarded(&self) -> Configured<'_> {
        Configured {
            client: self.raw.client(),
            cache: &self.statement_cache,
            watch: self.watch,
            limit: None,
            invalidates: Vec::new(),
        }
    }
}

impl<'a> Deref for Transaction<'a> {
    type Target = tokio_postgres::Transaction<'a>;

    fn deref(&self) -> &Self::Target {
        &self.raw
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.raw
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("statement_cache", &self.statement_cache)
            .finish_non_exhaustive()
    }
}
