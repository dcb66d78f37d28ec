//! What the handles of one pool share.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::{Database, Error};
use sqlx_core::transaction::TransactionManager;

use super::error;
use super::options::PoolOptions;
use crate::breaker::config::ConfigError;
use crate::breaker::permit::Permit;
use crate::breaker::verdict::Classify;
use crate::cache::read_through::ReadThrough;
use crate::gate::Gate;
use crate::gate::admission::turned_away;
use crate::pool::connection_state::{Diagnosis, Health};
use crate::pool::tasks::Background;

pub(super) struct Shared<DB: Database> {
    pub(super) raw: sqlx::Pool<DB>,
    pub(super) gate: Arc<Gate>,
    pub(super) options: PoolOptions<DB>,
    pub(super) classify: Arc<dyn Classify<Error>>,
    /// Why no call can be made at all, where the constructor could not return it.
    pub(super) misconfigured: Option<ConfigError>,
    pub(super) background: Background,
    pub(super) cache: OnceLock<Arc<ReadThrough<Error>>>,
}

impl<DB: Database> Shared<DB> {
    pub(super) fn new(
        raw: sqlx::Pool<DB>,
        gate: Gate,
        options: PoolOptions<DB>,
        misconfigured: Option<ConfigError>,
    ) -> Arc<Self> {
        Arc::new(Self {
            raw,
            gate: Arc::new(gate),
            classify: options.classifier(),
            options,
            misconfigured,
            background: Background::default(),
            cache: OnceLock::new(),
        })
    }

    /// Makes a statement's call on a connection, and notes what that did to the connection.
    ///
    /// Cancellation: dropped while the call runs, nothing more is run on the connection, and it is
    /// closed when it is given back. After a `BEGIN` or `SAVEPOINT`, for one, the transaction may be
    /// open on the server, and sqlx would not know.
    pub(super) async fn run<T>(
        &self,
        health: &Health,
        permit: Permit<'_>,
        limit: Option<Duration>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let diagnose = |error: &Error| self.diagnose(error);
        health
            .run(&self.gate, permit, limit, diagnose, call)
            .await
            .map_err(error::of_statement)
    }

    /// Makes the call that ends a transaction, which the breaker never refuses.
    pub(super) async fn finish(
        &self,
        health: &Health,
        limit: Option<Duration>,
        end: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        if let Err(rejected) = health.admit(&self.gate) {
            return Err(error::refused(turned_away(rejected).await));
        }
        let permit = self.gate.breaker().observe();
        self.run(health, permit, limit, end).await
    }

    /// Waits for the next row of a stream whose statement has been answered already: only what
    /// goes wrong is recorded.
    pub(super) async fn follow<T>(
        &self,
        health: &Health,
        limit: Option<Duration>,
        next: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match self.gate.bounded(None, limit, pin!(next)).await {
            Ok(Ok(row)) => Ok(row),
            Ok(Err(error)) => {
                let class = health.note(self.diagnose(&error));
                self.gate.breaker().observe().settle_class(class);
                Err(error)
            }
            Err(given_up) => {
                drop(health.start());
                self.gate.breaker().observe().settle(given_up.verdict);
                Err(error::missed(given_up.error))
            }
        }
    }

    /// What a statement's error says.
    pub(super) fn diagnose(&self, error: &Error) -> Diagnosis {
        Diagnosis {
            class: self.classify.classify(error),
            answered: matches!(error, Error::Database(_)),
        }
    }
}

/// How deep a connection is in transactions that sqlx knows of.
pub(super) fn in_transaction<DB: Database>(connection: &DB::Connection) -> bool {
    <DB as Database>::TransactionManager::get_transaction_depth(connection) > 0
}
