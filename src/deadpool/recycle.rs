//! Recycles an object outside of its pool.

use deadpool::managed::{HookError, Manager, Metrics, PoolError, RecycleError};

/// The error of a failed recycle, reported like that of a failed creation. deadpool's pool drops it:
/// <https://github.com/deadpool-rs/deadpool/issues/266>. So probes recycle an object themselves.
pub(super) fn of_recycle<E>(error: RecycleError<E>) -> PoolError<E> {
    match error {
        RecycleError::Backend(error) => PoolError::Backend(error),
        RecycleError::Message(text) => PoolError::PostCreateHook(HookError::Message(text)),
    }
}

/// Has a manager recycle an object: the only test of an object that every manager supports.
pub(super) async fn recycle<M: Manager>(
    manager: &M,
    object: &mut M::Type,
) -> Result<(), PoolError<M::Error>> {
    manager
        .recycle(object, &Metrics::default())
        .await
        .map_err(of_recycle)
}
