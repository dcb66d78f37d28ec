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
use crate::pool::transaction::Effect;

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
        // Pinned here, because the driver's futures are large: otherwise each call would move them.
        let (names, call) = (self.invalidates.clone(), pin!(call));
        let attempt = (self.watch).attempt(Effect::default(), self.limit, names, call);
        finish(attempt.await).await
    }

    /// Runs a call that may end without an answer of the server. It invalidates nothing.
    pub(super) async fn run_cached<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        check(self.limit).await?;
        let call = pin!(call);
        let attempt = self.watch.attempt_cached(self.limit, None, call);
        finish(attempt.await).await
    }

    /// Runs a statement that goes on after `call`, as a stream of rows or `COPY` does.
    pub(super) async fn run_open<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        check(self.limit).await?;
        let call = pin!(call);
        let attempt = (self.watch).attempt_open(self.limit, self.invalidates.clone(), call);
        finish(attempt.await).await
    }

    /// [`run_open`](Self::run_open) for a call that does not wait for the server.
    pub(super) async fn run_at_once<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        check(self.limit).await?;
        let (open, call) = (Some(self.invalidates.clone()), pin!(call));
        let attempt = self.watch.attempt_cached(self.limit, open, call);
        finish(attempt.await).await
    }

    pub(super) async fn run_sql<T>(
        &self,
        sql: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        check(self.limit).await?;
        let (names, call) = (self.invalidates.clone(), pin!(call));
        let effect = self.watch.on.effect(sql);
        let attempt = self.watch.attempt(effect, self.limit, names, call);
        finish(attempt.await).await
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
