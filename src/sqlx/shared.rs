//! What the handles of one pool share, and the background tasks that end with it.

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sqlx::{Database, Error};
use sqlx_core::transaction::TransactionManager;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::error;
use super::health::Health;
use super::options::PoolOptions;
use crate::breaker::Permit;
use crate::config::ConfigError;
use crate::error::GateError;
use crate::gate::Gate;
use crate::read_through::ReadThrough;
use crate::verdict::{Class, Classify, Verdict};

pub(super) struct Shared<DB: Database> {
    pub(super) raw: sqlx::Pool<DB>,
    pub(super) gate: Arc<Gate>,
    pub(super) options: PoolOptions<DB>,
    pub(super) classify: Arc<dyn Classify<Error>>,
    /// Why no call can be made at all, where the constructor could not return it.
    pub(super) misconfigured: Option<ConfigError>,
    /// Where connections are given back when they are dropped outside of a runtime.
    runtime: OnceLock<Handle>,
    background: Mutex<JoinSet<()>>,
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
            runtime: OnceLock::new(),
            background: Mutex::new(JoinSet::new()),
            cache: OnceLock::new(),
        })
    }

    /// Makes a statement's call on a connection, and notes what that did to the connection.
    ///
    /// Cancellation: dropped while the call runs, the connection stays marked as in flight, and
    /// is closed when it is given back.
    pub(super) async fn run<T>(
        &self,
        health: &mut Health,
        permit: Permit<'_>,
        limit: Option<Duration>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if health.beginning {
            permit.settle(Verdict::Neutral);
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
            permit.settle(Verdict::Neutral);
            return Err(error::adrift());
        }
        let result = self.run_any(health, permit, None, begin).await;
        health.beginning = health.in_flight;
        result
    }

    async fn run_any<T>(
        &self,
        health: &mut Health,
        permit: Permit<'_>,
        limit: Option<Duration>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = limit.unwrap_or(self.gate.limits().query_timeout);
        if std::mem::replace(&mut health.in_flight, true) {
            // What is given up stays given up, even if its holder goes on with the connection.
            health.close = Some("abandoned");
        }
        let classify = |error: &Error| self.diagnose(health, error);
        match self.gate.run(permit, limit, classify, call).await {
            Err(error @ GateError::Deadline(_)) => Err(error::of_statement(error)),
            result => {
                health.in_flight = false;
                result.map_err(error::of_statement)
            }
        }
    }

    /// Waits for the next row of a stream whose statement has been answered already: only what
    /// goes wrong is recorded.
    pub(super) async fn follow<T>(
        &self,
        health: &mut Health,
        limit: Option<Duration>,
        next: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = limit.unwrap_or(self.gate.limits().query_timeout);
        match timeout(limit, next).await {
            Ok(Ok(row)) => Ok(row),
            Ok(Err(error)) => {
                let class = self.diagnose(health, &error);
                self.gate.breaker().observe().settle_class(class);
                Err(error)
            }
            Err(_) => {
                health.in_flight = true;
                self.gate.breaker().observe().settle(Verdict::Fault);
                Err(error::of_statement(self.gate.deadline(limit)))
            }
        }
    }

    /// The class of a statement's error; notes whether the connection survives it.
    pub(super) fn diagnose(&self, health: &mut Health, error: &Error) -> Class {
        let class = self.classify.classify(error);
        match (class, error) {
            (Class::FaultAndClose, _) => health.close = Some("unusable"),
            // The server itself said what is wrong, so the connection to it works.
            (Class::Fault, Error::Database(_)) => {}
            (Class::Fault, _) => health.close = Some("broken"),
            _ => {}
        }
        class
    }

    /// Spawns a task that ends when the pool's last handle is dropped. Without a runtime there is
    /// nothing to run it; false then.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        let Some(runtime) = self.runtime() else {
            return false;
        };
        let mut tasks = self
            .background
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, &runtime);
        true
    }

    pub(super) fn stop_background(&self) {
        let mut tasks = self
            .background
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        tasks.abort_all();
    }

    /// The runtime of the caller, or else the one the pool was first used in.
    pub(super) fn runtime(&self) -> Option<Handle> {
        Handle::try_current()
            .ok()
            .or_else(|| self.runtime.get().cloned())
    }

    pub(super) fn remember_runtime(&self) {
        if self.runtime.get().is_none()
            && let Ok(handle) = Handle::try_current()
        {
            let _ = self.runtime.set(handle);
        }
    }
}

/// How deep a connection is in transactions that sqlx knows of.
pub(super) fn in_transaction<DB: Database>(connection: &DB::Connection) -> bool {
    <DB as Database>::TransactionManager::get_transaction_depth(connection) > 0
}
