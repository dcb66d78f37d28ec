//! The tasks that a pool runs in the background, which end with it.

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Where a pool's tasks run. Dropping it ends them.
#[derive(Debug, Default)]
pub(crate) struct Background {
    /// Where connections are given back when they are dropped outside of a runtime.
    runtime: OnceLock<Handle>,
    tasks: Arc<Mutex<JoinSet<()>>>,
    users: Mutex<Weak<Users>>,
}

/// Held by all handles of a pool, and not by its tasks, even where these hold the rest of the pool:
/// when the last handle is gone, the tasks end.
#[derive(Debug)]
pub(crate) struct Users(Arc<Mutex<JoinSet<()>>>);

impl Drop for Users {
    fn drop(&mut self) {
        stop(&self.0);
    }
}

fn stop(tasks: &Mutex<JoinSet<()>>) {
    let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
    tasks.abort_all();
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
        stop(&self.tasks);
    }

    /// For a handle of the pool: one with all others that there are.
    pub(crate) fn users(&self) -> Arc<Users> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.upgrade().unwrap_or_else(|| {
            let first = Arc::new(Users(Arc::clone(&self.tasks)));
            *users = Arc::downgrade(&first);
            first
        })
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
