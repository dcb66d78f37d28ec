//! What the handles of one pool share.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::{Database, Error};
use sqlx_core::transaction::TransactionManager;

use super::error;
use super::health::Health;
use super::options::PoolOptions;
use crate::background::Background;
use crate::breaker::Permit;
use crate::config::ConfigError;
use crate::gate::Gate;
use crate::health::Diagnosis;
use crate::read_through::ReadThrough;
use crate::verdict::Classify;

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
    /// Cancellation: dropped while the call runs, the connection stays marked as in flight, and
    /// is closed when it is given back.
    pub(super) async fn run<T>(
        &self,
        health: &Health,
        permit: Permit<'_>,
        limit: Option<Duration>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if health.beginning {
            permit.withdraw();
            return Err(error::adrift());
        }
        self.run_any(health, permit, limit, call).await
    }

    /// [`run`](Self::run) for what begins a transaction or savepoint.
    ///
    /// Cancellation: dropped in flight, nothing more is run on the connection. The transaction may
    /// be open on the server, but sqlx would not know: later statements would be rolled back with
    /// it, or, after a savepoint, be committed one by one.
    pub(super) async fn begin(
        &self,
        health: &mut Health,
        permit: Permit<'_>,
        begin: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        if std::mem::replace(&mut health.beginning, true) {
            permit.withdraw();
            return Err(error::adrift());
        }
        let result = self.run_any(health, permit, None, begin).await;
        health.beginning = health.lease.is_in_flight();
        result
    }

    async fn run_any<T>(
        &self,
        health: &Health,
        permit: Permit<'_>,
        limit: Option<Duration>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let diagnose = |error: &Error| self.diagnose(error);
        (health.lease)
            .run(&self.gate, permit, limit, diagnose, call)
            .await
            .map_err(error::of_statement)
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
                let class = health.lease.note(self.diagnose(&error));
                self.gate.breaker().observe().settle_class(class);
                Err(error)
            }
            Err(given_up) => {
                health.lease.start();
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
