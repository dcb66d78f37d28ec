//! The background tasks of a pool.

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// The background tasks of a pool, and the runtime for them. Dropping it stops the tasks.
#[derive(Debug, Default)]
pub(crate) struct Background {
    /// The runtime in which the pool was first used. Connections that are dropped outside a runtime
    /// are returned to the pool there.
    runtime: OnceLock<Handle>,
    tasks: Arc<Mutex<JoinSet<()>>>,
    users: Mutex<Weak<Users>>,
}

/// Shared by all handles of a pool, and not held by its tasks, although these may hold the rest of
/// the pool. Dropping the last handle stops the tasks.
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
    /// Spawns a task that is stopped when the last handle of the pool is dropped. Without a runtime,
    /// drops the task and returns `false`.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        let Some(runtime) = self.runtime() else {
            return false;
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, &runtime);
        true
    }

    /// Spawns a task, as [`spawn`](Self::spawn) does, unless the last handle of the pool was dropped:
    /// then it drops the task.
    pub(crate) fn spawn_if_used(&self, task: impl Future<Output = ()> + Send + 'static) {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.strong_count() > 0 {
            self.spawn(task);
        }
    }

    /// Stops all tasks.
    pub(crate) fn stop(&self) {
        stop(&self.tasks);
    }

    /// The token that all handles of the pool share.
    pub(crate) fn users(&self) -> Arc<Users> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.upgrade().unwrap_or_else(|| {
            let first = Arc::new(Users(Arc::clone(&self.tasks)));
            *users = Arc::downgrade(&first);
            first
        })
    }

    /// The current runtime; outside one, the runtime in which the pool was first used.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        Handle::try_current()
            .ok()
            .or_else(|| self.runtime.get().cloned())
    }

    /// Remembers the current runtime, if it is the first. Returns whether it is.
    pub(super) fn remember_runtime(&self) -> bool {
        self.runtime.get().is_none()
            && Handle::try_current().is_ok_and(|handle| self.runtime.set(handle).is_ok())
    }
}
