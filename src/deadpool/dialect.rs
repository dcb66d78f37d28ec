//! What fusepool knows about the objects of a manager beyond the `Manager` trait.

use std::error::Error;
use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Duration;

use deadpool::managed::{Manager, PoolBuilder, PoolError};

use super::recycle::recycle;
use crate::breaker::verdict::Class;
use crate::outcome::code::ErrorCode;
use crate::outcome::error::holds_refusal;
use crate::pool::session::System;
use crate::telemetry::backend::Backend;

pub(super) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Properties of a manager's objects. The defaults are for managers that fusepool does not know.
pub(super) trait Dialect<M: Manager + 'static>: Send + Sync + 'static {
    /// The default name of the pool in events and errors.
    fn name(&self, _manager: &M) -> String {
        "deadpool".to_owned()
    }

    /// The database behind the pool.
    fn backend(&self, _manager: &M) -> Backend {
        self.system().map(System::backend).unwrap_or_default()
    }

    /// Adds hooks to the pool's builder, such as a test of objects that were idle for long, which
    /// may take at most `limit`.
    fn prepare(&self, builder: PoolBuilder<M>, _limit: Duration) -> PoolBuilder<M> {
        builder
    }

    /// Whether recycling an object may have to wait for the backend.
    fn waits_to_recycle(&self, _manager: &M) -> bool {
        true
    }

    /// The class of an error of the manager.
    fn classify(&self, _error: &M::Error) -> Class {
        Class::Failure
    }

    /// Whether an error is a refusal, of this pool or of another guarded one.
    fn is_refusal(&self, error: &M::Error) -> bool {
        holds_refusal(error)
    }

    /// Whether the backend, or the pool's role on it, is read-only. `None`: unknown.
    fn is_read_only<'a>(&'a self, _object: &'a mut M::Type) -> BoxFuture<'a, Option<bool>> {
        Box::pin(ready(None))
    }

    /// Whether [`is_read_only`](Self::is_read_only) is implemented.
    fn tells_read_only(&self) -> bool {
        false
    }

    /// Whether the backend itself reported this error, so that its connection still works.
    fn answered(&self, _error: &M::Error) -> bool {
        false
    }

    /// Whether the backend is known to have ended the statement that failed with this error.
    fn has_ended(&self, error: &M::Error) -> bool {
        self.answered(error)
    }

    /// The database's code for an error.
    fn code(&self, _error: &M::Error) -> Option<ErrorCode> {
        None
    }

    /// Makes the backend answer.
    fn ping<'a>(
        &'a self,
        manager: &'a M,
        object: &'a mut M::Type,
    ) -> BoxFuture<'a, Result<(), PoolError<M::Error>>> {
        Box::pin(recycle(manager, object))
    }

    /// Runs the `probe_query` of the pool.
    fn probe<'a>(
        &'a self,
        manager: &'a M,
        object: &'a mut M::Type,
        _sql: &'a str,
    ) -> BoxFuture<'a, Result<(), PoolError<M::Error>>> {
        self.ping(manager, object)
    }

    /// The system whose sessions serve the objects, if it can be asked about them.
    fn system(&self) -> Option<System> {
        None
    }

    /// Runs a statement that returns one text.
    fn question<'a>(
        &'a self,
        _object: &'a mut M::Type,
        _sql: String,
    ) -> BoxFuture<'a, Option<String>> {
        Box::pin(ready(None))
    }

    /// Stops an abandoned statement on the backend.
    fn cancel<'a>(&'a self, _manager: &'a M, _object: &'a mut M::Type) -> BoxFuture<'a, ()> {
        Box::pin(ready(()))
    }

    /// The error as events report it.
    fn explain<'e>(&self, _error: &'e PoolError<M::Error>) -> &'e (dyn Error + 'static) {
        &ManagerFailed
    }
}

/// The dialect of a manager that fusepool does not know.
pub(super) struct Unknown;

impl<M: Manager + 'static> Dialect<M> for Unknown {}

/// The error that events report for an unknown manager: deadpool does not require that a manager's
/// error type implements [`Error`].
#[derive(Debug, thiserror::Error)]
#[error("the manager failed to create or recycle an object")]
struct ManagerFailed;
