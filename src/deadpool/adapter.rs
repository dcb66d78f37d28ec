//! The adapter for deadpool's pool.

use std::error::Error;
use std::future::{Future, ready};
use std::sync::Arc;

use deadpool::managed::{HookError, Manager, Object, Pool, PoolError, TimeoutType, Timeouts};

use super::dialect::Dialect;
use crate::breaker::verdict::{Class, Classify};
use crate::outcome::code::ErrorCode;
use crate::pool::adapter::Adapter;
use crate::pool::created::Created;
use crate::pool::session::{Sessions, System};
use crate::pool::snapshot::PoolStatus;
use crate::telemetry::backend::Backend;

/// The adapter behind [`Pool`](super::Pool).
pub(super) struct Managed<M: Manager> {
    pub(super) raw: Pool<M>,
    pub(super) dialect: Arc<dyn Dialect<M>>,
    /// The user's classification, which replaces the dialect's.
    pub(super) classify: Option<Arc<dyn Classify<M::Error>>>,
    /// The pool's own timeouts. If fusepool built the pool, this includes a recycle timeout, unless
    /// recycling is known not to wait. deadpool has no timeouts by default:
    /// <https://github.com/deadpool-rs/deadpool/issues/9>.
    pub(super) timeouts: Timeouts,
    /// The server sessions of the objects, if they can be asked for.
    pub(super) sessions: Option<Arc<Sessions>>,
}

impl<M: Manager + 'static> Managed<M> {
    /// A refusal is no evidence, whatever a custom classification says.
    fn class(&self, error: &M::Error) -> Class {
        match &self.classify {
            _ if self.dialect.is_refusal(error) => Class::Ignored,
            Some(classify) => classify.classify(error),
            None => self.dialect.classify(error),
        }
    }
}

impl<M: Manager + 'static> Adapter for Managed<M> {
    type Connection = M::Type;
    type Lease = Object<M>;
    type Error = PoolError<M::Error>;
    type StatementError = M::Error;

    fn name(&self) -> String {
        self.dialect.name(self.raw.manager())
    }

    fn backend(&self) -> Backend {
        self.dialect.backend(self.raw.manager())
    }

    fn status(&self) -> PoolStatus {
        let status = self.raw.status();
        let count = |connections| u32::try_from(connections).unwrap_or(u32::MAX);
        PoolStatus {
            size: count(status.size),
            idle: count(status.available),
            max_connections: count(status.max_size),
        }
    }

    fn is_closed(&self) -> bool {
        self.raw.is_closed()
    }

    async fn lease(&self) -> Result<Object<M>, PoolError<M::Error>> {
        self.raw.timeout_get(&self.timeouts).await
    }

    async fn lease_idle(&self) -> Option<Object<M>> {
        match self.raw.status().available {
            0 => None,
            _ => self.lease().await.ok(),
        }
    }

    fn discard(&self, lease: Object<M>) {
        drop(Object::take(lease));
    }

    fn sessions(&self) -> Option<&Sessions> {
        self.sessions.as_deref()
    }

    fn system(&self) -> Option<System> {
        self.dialect.system()
    }

    fn created(&self, lease: &Object<M>) -> Option<Created> {
        Some(Created::at(Object::metrics(lease).created))
    }

    async fn question(&self, object: &mut M::Type, sql: String) -> Option<String> {
        self.dialect.question(object, sql).await
    }

    async fn cancel(&self, object: &mut M::Type) {
        self.dialect.cancel(self.raw.manager(), object).await;
    }

    async fn connect(&self) -> Result<M::Type, PoolError<M::Error>> {
        Ok(self.raw.manager().create().await?)
    }

    async fn ping(&self, object: &mut M::Type) -> Result<(), PoolError<M::Error>> {
        self.dialect.ping(self.raw.manager(), object).await
    }

    async fn probe(&self, object: &mut M::Type, sql: &str) -> Result<(), PoolError<M::Error>> {
        self.dialect.probe(self.raw.manager(), object, sql).await
    }

    async fn is_read_only(&self, object: &mut M::Type) -> Option<bool> {
        self.dialect.is_read_only(object).await
    }

    fn tells_read_only(&self) -> bool {
        self.dialect.tells_read_only()
    }

    fn disconnect(&self, mut object: M::Type) -> impl Future<Output = ()> + Send + 'static {
        self.raw.manager().detach(&mut object);
        ready(())
    }

    fn classify(&self, error: &PoolError<M::Error>) -> Class {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                self.class(error)
            }
            PoolError::Timeout(TimeoutType::Wait) => Class::Starved,
            PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle)
            | PoolError::PostCreateHook(HookError::Message(_)) => Class::Failure,
            PoolError::Closed | PoolError::NoRuntimeSpecified => Class::Ignored,
        }
    }

    fn classify_statement(&self, error: &M::Error) -> Class {
        self.class(error)
    }

    fn answered(&self, error: &M::Error) -> bool {
        self.dialect.answered(error)
    }

    fn has_ended(&self, error: &M::Error) -> bool {
        self.dialect.has_ended(error)
    }

    fn code(&self, error: &M::Error) -> Option<ErrorCode> {
        self.dialect.code(error)
    }

    fn explain<'e>(&self, error: &'e PoolError<M::Error>) -> &'e (dyn Error + 'static) {
        self.dialect.explain(error)
    }
}
