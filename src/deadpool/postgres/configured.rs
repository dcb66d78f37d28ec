//! Statements with a deadline or with invalidations of their own.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use deadpool_postgres::StatementCache;
use tokio_postgres::types::{BorrowToSql, FromSqlOwned, ToSql, Type};
use tokio_postgres::{
    CopyInSink, CopyOutStream, Error, Row, RowStream, SimpleQueryMessage, SimpleQueryStream,
    ToStatement,
};

use super::statements::statements;
use super::watch::{Watch, check, finish};
use crate::cache::invalidation::Name;
use crate::outcome::error::GateError;
use crate::pool::invalidation::settle;

/// A connection or transaction whose statements have their own deadline, or invalidate tags; see
/// [`Client::with_timeout`](super::Client::with_timeout) and
/// [`Client::invalidates`](super::Client::invalidates).
#[derive(Clone)]
pub struct Configured<'c> {
    pub(super) client: &'c tokio_postgres::Client,
    pub(super) cache: &'c Arc<StatementCache>,
    pub(super) watch: Watch<'c>,
    /// The deadline of a statement. `None`: the pool's `query_timeout`.
    pub(super) limit: Option<Duration>,
    /// The cached answers that a statement invalidates.
    pub(super) invalidates: Vec<Name>,
}

impl<'c> Configured<'c> {
    fn guarded(&self) -> Self {
        self.clone()
    }

    /// Adds `tags` to those that a statement invalidates. See
    /// [`Client::invalidates`](super::Client::invalidates).
    #[must_use]
    pub fn invalidates(mut self, tags: &[&str]) -> Self {
        self.invalidates.extend(Name::tags(tags));
        self
    }

    /// Replaces the deadline. See [`Client::with_timeout`](super::Client::with_timeout).
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(super) async fn run<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        check(self.limit).await?;
        let publication = self.watch.on.invalidates(self.invalidates.clone());
        // Pinned here, because the driver's futures are large: otherwise each call would move them.
        let result = self.watch.attempt(self.limit, pin!(call)).await;
        settle(publication, &result, GateError::was_sent);
        finish(result).await
    }

    pub(super) async fn run_cached<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        check(self.limit).await?;
        let result = self.watch.attempt_cached(self.limit, pin!(call)).await;
        self.doubt_at_end();
        finish(result).await
    }

    /// Runs a statement that goes on after `call`, as a stream of rows or `COPY` does.
    pub(super) async fn run_open<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let result = self.run(call).await;
        self.doubt_at_end();
        result
    }

    /// The end of the statement is not seen: its invalidations are in doubt until the lease ends.
    fn doubt_at_end(&self) {
        if !self.invalidates.is_empty() {
            (self.watch.on.state.unpublished).hold(self.invalidates.clone(), true);
        }
    }

    pub(super) async fn run_sql<T>(
        &self,
        sql: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        check(self.limit).await?;
        let publication = self.watch.on.invalidates_by(sql, self.invalidates.clone());
        let result = self.watch.attempt_sql(sql, self.limit, pin!(call)).await;
        settle(publication, &result, GateError::was_sent);
        finish(result).await
    }

    statements!();
}

impl fmt::Debug for Configured<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured")
            .field("pool", self.watch.on.shared.gate.breaker().name())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
