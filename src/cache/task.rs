//! Loads as tasks that every runtime can stop.
//!
//! A load runs as a task on the runtime of the caller that started it, because a load in progress
//! cannot move: its connection and its timers belong to a runtime. If that runtime ends, or stands
//! still, the load is stopped, and callers on other runtimes begin it anew on their own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError, TryLockError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::sleep;

use crate::gate::home::Home;
use crate::gate::unless::unless;

/// A background task.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The interval at which a waiter on another runtime looks at that of the load.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The task that makes a load.
pub(super) struct LoadTask {
    home: Option<Home>,
    /// `None` before the load begins and after it has ended. Locked while it is polled.
    load: Mutex<Option<Task>>,
}

impl LoadTask {
    /// A task of the current runtime.
    pub(super) fn here() -> Self {
        Self {
            home: Home::current(),
            load: Mutex::new(None),
        }
    }

    /// The future that makes the load. Dropping it stops the load.
    pub(super) fn run(self: Arc<Self>, load: Task) -> Task {
        *self.load.lock().unwrap_or_else(PoisonError::into_inner) = Some(load);
        Box::pin(Run(self))
    }

    /// Waits, unless the runtime of the load stands still: then it stops the load.
    pub(super) async fn unless_still<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        if self.home.as_ref().is_none_or(Home::is_current) {
            return Some(wait.await);
        }
        let still = async {
            while !self.stop_if_still() {
                sleep(LOOK_EVERY).await;
            }
        };
        unless(still, wait).await
    }

    /// Stops the load if its runtime stands still. Returns whether it did.
    pub(super) fn stop_if_still(&self) -> bool {
        let stands_still = self.home.as_ref().is_some_and(Home::stands_still);
        stands_still && self.stop()
    }

    /// Stops the load, unless it is being polled: then it does not stand still.
    fn stop(&self) -> bool {
        let load = match self.load.try_lock() {
            Ok(mut load) => load.take(),
            Err(TryLockError::Poisoned(load)) => load.into_inner().take(),
            Err(TryLockError::WouldBlock) => return false,
        };
        drop(load); // after the lock was released: it ends the waits for the load
        true
    }
}

struct Run(Arc<LoadTask>);

impl Future for Run {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut load = (self.0.load.lock()).unwrap_or_else(PoisonError::into_inner);
        if let Some(load) = load.as_mut() {
            ready!(load.as_mut().poll(context));
        }
        let ended = load.take();
        drop(load);
        drop(ended);
        Poll::Ready(())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let load = (self.0.load.lock())
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(load);
    }
}
