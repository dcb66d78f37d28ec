//! What is known of a manager's objects beyond what deadpool asks of it.

use std::error::Error;
use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Duration;

use deadpool::managed::{Manager, PoolBuilder, PoolError};

use super::recycle::recycle;
use crate::breaker::verdict::Class;

pub(super) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The defaults are those for managers we do not know.
pub(super) trait Dialect<M: Manager>: Send + Sync + 'static {
    /// What the pool is called in events and errors.
    fn name(&self, _manager: &M) -> String {
        "deadpool".to_owned()
    }

    /// Adds what a pool of these objects needs, such as a test of those that were idle for long,
    /// which may take no longer than `limit`.
    fn prepare(&self, builder: PoolBuilder<M>, _limit: Duration) -> PoolBuilder<M> {
        builder
    }

    /// Recycling an object may have to wait for the backend.
    fn waits_to_recycle(&self, _manager: &M) -> bool {
        true
    }

    fn classify(&self, _error: &M::Error) -> Class {
        Class::Failure
    }

    /// The backend itself reported this error, so the connection to it works.
    fn answered(&self, _error: &M::Error) -> bool {
        false
    }

    /// Asks the backend for an answer.
    fn ping<'a>(
        &'a self,
        manager: &'a M,
        object: &'a mut M::Type,
    ) -> BoxFuture<'a, Result<(), PoolError<M::Error>>> {
        Box::pin(recycle(manager, object))
    }

    /// Stops what the backend still does for an object whose statement was given up.
    fn cancel<'a>(&'a self, _manager: &'a M, _object: &'a mut M::Type) -> BoxFuture<'a, ()> {
        Box::pin(ready(()))
    }

    fn explain<'e>(&self, _error: &'e PoolError<M::Error>) -> &'e (dyn Error + 'static) {
        &Unexplained
    }
}

/// A manager we do not know.
pub(super) struct Unknown;

impl<M: Manager> Dialect<M> for Unknown {}

/// What events say where an error cannot speak for itself: deadpool does not demand that a manager's
/// errors are errors of the standard library's kind.
#[derive(Debug, thiserror::Error)]
#[error("the manager could not create an object, or recycle it")]
struct Unexplained;
