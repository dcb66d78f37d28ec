//! The background tasks of a pool.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// The background tasks of a pool, and the runtime for them. Dropping the last handle of the pool stops
/// the tasks.
#[derive(Debug, Default)]
pub(crate) struct Background {
    /// The runtime in which the pool was first used. Connections that are dropped outside a runtime
    /// are returned to the pool there.
    runtime: OnceLock<Handle>,
    tasks: Arc<Mutex<Tasks>>,
    users: Mutex<Weak<Users>>,
}

#[derive(Debug, Default)]
struct Tasks {
    /// Tasks of the pool itself, such as its prober. Closing the pool stops them.
    own: Vec<AbortHandle>,
    /// Calls on behalf of callers, such as loads for the cache. Closing the pool lets them end, like
    /// all other calls in progress; their deadlines bound them.
    calls: Vec<AbortHandle>,
}

/// Shared by all handles of a pool, and not held by its tasks, although these may hold the rest of
/// the pool. Dropping the last handle stops the tasks.
#[derive(Debug)]
pub(crate) struct Users(Arc<Mutex<Tasks>>);

impl Drop for Users {
    fn drop(&mut self) {
        let tasks = lock(&self.0);
        abort(&tasks.own);
        abort(&tasks.calls);
    }
}

fn lock(tasks: &Mutex<Tasks>) -> MutexGuard<'_, Tasks> {
    tasks.lock().unwrap_or_else(PoisonError::into_inner)
}

fn abort(tasks: &[AbortHandle]) {
    tasks.iter().for_each(AbortHandle::abort);
}

fn add(tasks: &mut Vec<AbortHandle>, task: AbortHandle) {
    if tasks.len() == tasks.capacity() {
        tasks.retain(|task| !task.is_finished());
    }
    tasks.push(task);
}

impl Background {
    /// Spawns a task of the pool itself, which closing the pool stops. Without a runtime, drops it and
    /// returns `false`.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> bool {
        let Some(runtime) = self.runtime() else {
            return false;
        };
        let _users = self.used();
        // Without the lock: a runtime that shuts down drops the task here, and that may spawn another.
        let task = runtime.spawn(task).abort_handle();
        add(&mut lock(&self.tasks).own, task);
        true
    }

    /// Spawns a call on behalf of a caller, which closing the pool lets end. Without a runtime, drops
    /// it.
    pub(crate) fn spawn_call(&self, call: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = self.runtime() {
            let _users = self.used();
            let call = runtime.spawn(call).abort_handle();
            add(&mut lock(&self.tasks).calls, call);
        }
    }

    /// Spawns a task, as [`spawn`](Self::spawn) does, unless the last handle of the pool was dropped:
    /// then it drops the task.
    pub(crate) fn spawn_if_used(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(_users) = self.used() {
            self.spawn(task);
        }
    }

    /// The token of the pool's handles, if there are any. While it is held, a task that is spawned is not
    /// missed by the drop of the last handle.
    fn used(&self) -> Option<Arc<Users>> {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.upgrade()
    }

    /// Stops the tasks of the pool itself, because it is closed.
    pub(crate) fn stop(&self) {
        abort(&lock(&self.tasks).own);
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
    #[inline]
    pub(super) fn remember_runtime(&self) -> bool {
        self.runtime.get().is_none()
            && Handle::try_current().is_ok_and(|handle| self.runtime.set(handle).is_ok())
    }
}
