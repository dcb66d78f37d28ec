//! The tasks that a pool runs in the background, which end with it.

use std::future::Future;
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Where a pool's tasks run. Dropping it ends them.
#[derive(Debug, Default)]
pub(crate) struct Background {
    /// Where connections are given back when they are dropped outside of a runtime.
    runtime: OnceLock<Handle>,
    tasks: Mutex<JoinSet<()>>,
}

impl Background {
    /// Spawns a task that ends when the pool's last handle is dropped. Without a runtime there is
    /// nothing to run it; false then.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        let Some(runtime) = self.runtime() else {
            return false;
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, &runtime);
        true
    }

    /// Ends all tasks.
    pub(crate) fn stop(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.abort_all();
    }

    /// The runtime of the caller, or else the one the pool was first used in.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        Handle::try_current()
            .ok()
            .or_else(|| self.runtime.get().cloned())
    }

    /// To be called wherever the pool is used in a runtime.
    pub(crate) fn remember_runtime(&self) {
        if self.runtime.get().is_none()
            && let Ok(handle) = Handle::try_current()
        {
            let _ = self.runtime.set(handle);
        }
    }
}
