//! The runtime to which a connection or a task belongs.
//!
//! The sockets and the timers of tokio work only while the runtime on which they were created is
//! driven. It may have ended, as at the end of a test. Or nobody drives it at the moment: a
//! current-thread runtime stands still outside `block_on`, and while a task blocks its thread.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;
#[cfg(any(feature = "sqlx", feature = "deadpool"))]
use tokio::time::timeout;

/// A runtime that runs no task for this long stands still.
#[cfg(feature = "cache")]
const STILL_AFTER: Duration = Duration::from_millis(500);

/// The runtime on which something was created.
#[derive(Debug)]
pub(crate) struct Home {
    runtime: Handle,
    /// A task that shows that the runtime is driven, and the time at which it was spawned.
    asked: Mutex<Option<(Instant, JoinHandle<()>)>>,
}

impl Home {
    /// The current runtime; `None` outside of one.
    pub(crate) fn current() -> Option<Self> {
        let runtime = Handle::try_current().ok()?;
        Some(Self {
            runtime,
            asked: Mutex::new(None),
        })
    }

    pub(crate) fn is_current(&self) -> bool {
        Handle::try_current().is_ok_and(|current| current.id() == self.runtime.id())
    }

    /// Whether the runtime has ended, or was asked some time ago and has run no task since. It is
    /// asked by this call, if it is not the current one.
    #[cfg(feature = "cache")]
    pub(crate) fn stands_still(&self) -> bool {
        self.silence().is_none_or(|time| time >= STILL_AFTER)
    }

    /// Whether the runtime has ended.
    #[cfg(any(feature = "sqlx", feature = "deadpool"))]
    pub(crate) fn has_ended(&self) -> bool {
        self.silence().is_none()
    }

    /// The time for which the runtime has run no task since it was asked; `None` if it has ended. Asks
    /// it. At most one question is open at a time.
    fn silence(&self) -> Option<Duration> {
        if self.is_current() {
            return Some(Duration::ZERO);
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, question) =
            asked.get_or_insert_with(|| (Instant::now(), self.runtime.spawn(ready(()))));
        if !question.is_finished() {
            return Some(since.elapsed());
        }
        // An ended runtime cancels its tasks.
        let ran = Pin::new(question).poll(&mut Context::from_waker(Waker::noop()));
        let has_ended = matches!(ran, Poll::Ready(Err(_)));
        *asked = None;
        (!has_ended).then_some(Duration::ZERO)
    }

    /// Whether the runtime runs a task within `limit`. True of the current one.
    #[cfg(any(feature = "sqlx", feature = "deadpool"))]
    pub(crate) async fn is_driven(&self, limit: Duration) -> bool {
        self.is_current()
            || matches!(
                timeout(limit, self.runtime.spawn(ready(()))).await,
                Ok(Ok(()))
            )
    }
}

#[cfg(test)]
#[cfg(all(feature = "cache", feature = "deadpool"))]
mod tests {
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_time().build().unwrap()
    }

    fn home_of(runtime: &Runtime) -> Home {
        let _inside = runtime.enter();
        Home::current().unwrap()
    }

    #[test]
    fn the_current_runtime_is_driven() {
        assert!(Home::current().is_none());
        let here = runtime();
        let home = home_of(&here);
        here.block_on(async {
            assert!(home.is_current());
            assert!(!home.stands_still());
            assert!(home.is_driven(Duration::ZERO).await);
        });
    }

    #[test]
    fn an_ended_runtime_stands_still() {
        let there = runtime();
        let home = home_of(&there);
        drop(there);
        assert!(home.stands_still() && home.has_ended());
        runtime().block_on(async { assert!(!home.is_driven(STILL_AFTER).await) });
    }

    #[test]
    fn a_runtime_that_nobody_drives_stands_still_for_as_long() {
        let here = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let there = runtime();
        let home = home_of(&there);
        here.block_on(async {
            assert!(!home.is_driven(STILL_AFTER).await);
            assert!(!home.stands_still(), "it was asked just now");
            tokio::time::advance(STILL_AFTER).await;
            assert!(home.stands_still() && !home.has_ended());
        });
        there.block_on(tokio::task::yield_now());
        here.block_on(async {
            assert!(!home.stands_still(), "it has run the task");
            assert!(!home.stands_still(), "it was asked again");
        });
    }
}
