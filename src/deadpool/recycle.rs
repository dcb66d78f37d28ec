//! Recycling, which is all that deadpool asks of any manager.

use deadpool::managed::{HookError, Manager, Metrics, PoolError, RecycleError};

/// An object that would not be recycled has failed like one that could not be created.
pub(super) fn of_recycle<E>(error: RecycleError<E>) -> PoolError<E> {
    match error {
        RecycleError::Backend(error) => PoolError::Backend(error),
        RecycleError::Message(said) => PoolError::PostCreateHook(HookError::Message(said)),
    }
}

/// Has a manager recycle an object, which is all that deadpool asks of any of them.
pub(super) async fn recycle<M: Manager>(
    manager: &M,
    object: &mut M::Type,
) -> Result<(), PoolError<M::Error>> {
    manager
        .recycle(object, &Metrics::default())
        .await
        .map_err(of_recycle)
}
