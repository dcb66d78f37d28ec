//! The runtimes on which the connections of a pool were opened.
//!
//! A connection whose runtime has ended, or stands still, never answers. It may even seem to be well:
//! its socket accepts a statement, and sometimes the answer to a ping is there at once. So a pool that
//! is used from several runtimes, such as one in a `static` that is used by tests, asks the runtime of
//! a connection before it leases the connection on another one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, Id};

use super::session::Created;
use crate::gate::home::Home;

/// The largest number of connections that are remembered. The oldest one is forgotten first.
const MOST: usize = 1024;

/// The runtimes on which the connections of a pool were opened.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    /// The runtime of the first connection.
    first: OnceLock<Id>,
    /// Some connections were opened on other runtimes than the first.
    are_mixed: AtomicBool,
    known: Mutex<VecDeque<(Created, Arc<Home>)>>,
}

impl Homes {
    /// Remembers that a connection was opened on the current runtime. Forgets those whose runtimes
    /// stand still: the memory of an ended runtime is freed.
    pub(crate) fn add(&self, created: Created) {
        let Ok(current) = Handle::try_current() else {
            return;
        };
        if *self.first.get_or_init(|| current.id()) != current.id() {
            self.are_mixed.store(true, Ordering::Release);
        }
        let mut known = self.known();
        known.retain(|(_, home)| !home.stands_still());
        let here = known.iter().find(|(_, home)| home.is_current());
        let here = here.map(|(_, home)| Arc::clone(home));
        if let Some(home) = here.or_else(|| Home::current().map(Arc::new)) {
            if known.len() >= MOST {
                known.pop_front();
            }
            known.push_back((created, home));
        }
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
            if !home.is_driven(limit).await {
                return Some(false);
            }
        }
        (!homes.is_empty()).then_some(true)
    }

    /// The runtimes of all connections that may be this one.
    fn find(&self, created: Created) -> Vec<Arc<Home>> {
        let mut homes: Vec<Arc<Home>> = Vec::new();
        for (other, home) in &*self.known() {
            if other.may_be(&created) && !homes.iter().any(|known| Arc::ptr_eq(known, home)) {
                homes.push(Arc::clone(home));
            }
        }
        homes
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<(Created, Arc<Home>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
