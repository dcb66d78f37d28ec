//! The runtimes on which the connections of a pool were opened.
//!
//! A connection whose runtime has ended, or stands still, never answers. It may even seem to be well:
//! its socket accepts a statement, and sometimes the answer to a ping is there at once. So a pool that
//! is used from several runtimes, such as one in a `static` that is used by tests, asks the runtime of
//! a connection before it leases the connection on another one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, Id};

use super::created::{ByCreation, Created};
use crate::gate::home::Home;

/// The runtimes on which the connections of a pool were opened.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    /// The runtime of the first connection.
    first: OnceLock<Id>,
    /// Some connections were opened on other runtimes than the first.
    are_mixed: AtomicBool,
    /// The runtime of each connection; `None` after it has ended.
    known: Mutex<ByCreation<Option<Arc<Home>>>>,
}

impl Homes {
    /// Remembers that a connection was opened on the current runtime. Frees the memory of runtimes that
    /// have ended.
    pub(crate) fn add(&self, created: Created) {
        let Ok(current) = Handle::try_current() else {
            return;
        };
        if *self.first.get_or_init(|| current.id()) != current.id() {
            self.are_mixed.store(true, Ordering::Release);
        }
        let mut known = self.known();
        let mut here = None;
        for (_, home) in &mut known.0 {
            match home {
                Some(of) if of.is_current() => here = Some(Arc::clone(of)),
                Some(of) if of.has_ended() => *home = None,
                _ => {}
            }
        }
        known.add(created, here.or_else(|| Home::current().map(Arc::new)));
    }

    /// Whether all connections were opened on the current runtime.
    pub(crate) fn are_here(&self) -> bool {
        !self.are_mixed.load(Ordering::Acquire)
            && Handle::try_current().is_ok_and(|current| self.first.get() == Some(&current.id()))
    }

    /// Whether the runtime of a connection is driven, which it must show within `limit`. `None` if its
    /// runtime is unknown.
    pub(crate) async fn is_driven(&self, created: Created, limit: Duration) -> Option<bool> {
        let homes = self.find(created);
        for home in &homes {
            match home {
                Some(home) if home.is_driven(limit).await => {}
                _ => return Some(false),
            }
        }
        (!homes.is_empty()).then_some(true)
    }

    /// The runtimes of all connections that may be this one.
    fn find(&self, created: Created) -> Vec<Option<Arc<Home>>> {
        let mut homes: Vec<_> = self.known().of(created).cloned().collect();
        let address = |home: &Option<Arc<Home>>| home.as_ref().map(Arc::as_ptr);
        homes.dedup_by_key(|home| address(home));
        homes
    }

    fn known(&self) -> MutexGuard<'_, ByCreation<Option<Arc<Home>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
