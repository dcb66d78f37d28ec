//! The pool, as its cache sees it.

use std::sync::Arc;

use sqlx::{Database, Error};

use super::adapter::Shared;
use super::error;
use super::pool::Pool;
use crate::cache::handle::Cache;
use crate::cache::read_through::{Origin, ReadThrough, Task, unanswered_by_class};
use crate::cache::snapshot::CacheSnapshot;
use crate::gate::Gate;
use crate::outcome::error::{DeadlineExceeded, Refused, deadline_exceeded, refusal};
use crate::outcome::served::Unanswered;
use crate::pool::adapter::Adapter;

impl<DB: Database> Pool<DB> {
    /// The cache of this pool: what [`cached`](super::ReadExt::cached) queries keep there. For a
    /// write through this pool, [`invalidates`](super::WriteExt::invalidates) makes outdated what is
    /// cached at the right moment.
    #[must_use]
    pub fn cache(&self) -> Cache<'_> {
        let shared = self.shared();
        Cache::new(&shared.gate, shared.cache())
    }

    /// Why `error`, of a call on this pool, is no answer of the database's; `None` if it is one, or
    /// a mistake of the caller's. That is what decides on fallbacks, and whether a service should
    /// say `503 Service Unavailable`.
    ///
    /// ```
    /// # use fusepool::sqlx::PgPool;
    /// fn status(pool: &PgPool, error: &sqlx::Error) -> u16 {
    ///     match pool.unanswered(error) {
    ///         Some(_) => 503,
    ///         None => 500,
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn unanswered(&self, error: &Error) -> Option<Unanswered> {
        Origin::unanswered(&**self.shared(), error)
    }

    pub(super) fn cache_snapshot(&self) -> CacheSnapshot {
        match self.shared().adapter.cache.get() {
            Some(cache) => cache.snapshot(),
            None => CacheSnapshot {
                max_bytes: self.options().get_cache_bytes(),
                ..CacheSnapshot::default()
            },
        }
    }
}

impl<DB: Database> Origin for Shared<DB> {
    type Error = Error;

    fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Built when it is first needed: a pool without cached queries pays nothing for it.
    fn cache(&self) -> &Arc<ReadThrough<Error>> {
        let bytes = self.adapter.options.get_cache_bytes();
        let new = || Arc::new(ReadThrough::new(bytes));
        self.adapter.cache.get_or_init(new)
    }

    fn refused(rejected: Refused) -> Error {
        error::refused(rejected)
    }

    fn missed(deadline: DeadlineExceeded) -> Error {
        error::missed(deadline)
    }

    fn unanswered(&self, error: &Error) -> Option<Unanswered> {
        match refusal(error) {
            Some(Refused::Saturated { .. }) => return Some(Unanswered::Saturated),
            Some(Refused::Circuit { .. }) => return Some(Unanswered::Open),
            Some(Refused::Abandoned { .. }) | None => {}
        }
        if error::is_lost(error) {
            return None;
        }
        if deadline_exceeded(error).is_some() {
            return Some(Unanswered::Deadline);
        }
        unanswered_by_class(&self.gate, self.adapter.classify(error))
    }

    fn lost(&self) -> Error {
        if self.adapter.is_closed() {
            return Error::PoolClosed;
        }
        error::lost()
    }

    fn spawn(&self, task: Task) {
        self.background.spawn(task);
    }
}
