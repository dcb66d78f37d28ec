//! The cache of a pool.

use std::fmt;
use std::io;
use std::sync::Arc;

use sqlx::{Database, Error};

use super::error;
use super::pool::Pool;
use super::shared::Shared;
use crate::cache::{CachePolicy, CacheSnapshot, Name};
use crate::error::{DeadlineExceeded, Rejected, deadline_exceeded, rejection};
use crate::gate::Gate;
use crate::read_through::{Origin, ReadThrough, Task};
use crate::served::Unanswered;
use crate::verdict::Class;

/// The cache of a pool: what [`cached`](super::ReadExt::cached) queries keep there.
pub struct Cache<'p, DB: Database> {
    shared: &'p Shared<DB>,
}

impl<DB: Database> Pool<DB> {
    /// The cache of this pool.
    #[must_use]
    pub fn cache(&self) -> Cache<'_, DB> {
        Cache {
            shared: self.shared(),
        }
    }
}

impl<DB: Database> Cache<'_, DB> {
    /// Makes all answers with this tag outdated: from here on, nobody is served one from before.
    /// That holds for loads that are under way, too.
    ///
    /// For a write through this pool, [`invalidates`](super::WriteExt::invalidates) does that at the
    /// right moment.
    pub fn invalidate_tag(&self, tag: &str) {
        self.invalidate(Name::tag(tag));
    }

    /// Makes all answers under this policy outdated.
    pub fn invalidate_policy(&self, policy: &CachePolicy) {
        self.invalidate(Name::policy(policy.name()));
    }

    /// Makes all answers outdated, and frees their memory.
    pub fn invalidate_all(&self) {
        self.invalidate(Name::ALL);
    }

    pub(super) fn invalidate(&self, name: Name) {
        self.shared.cache().invalidate(&self.shared.gate, name);
    }

    /// All there is to know about the cache at this moment.
    #[must_use]
    pub fn snapshot(&self) -> CacheSnapshot {
        match self.shared.cache.get() {
            Some(cache) => cache.snapshot(),
            None => CacheSnapshot {
                max_bytes: self.shared.options.get_cache_bytes(),
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
        self.cache
            .get_or_init(|| Arc::new(ReadThrough::new(self.options.get_cache_bytes())))
    }

    fn refused(rejected: Rejected) -> Error {
        error::refused(rejected)
    }

    fn missed(deadline: DeadlineExceeded) -> Error {
        error::missed(deadline)
    }

    fn unanswered(&self, error: &Error) -> Option<Unanswered> {
        match rejection(error) {
            Some(Rejected::Saturated { .. }) => return Some(Unanswered::Saturated),
            Some(Rejected::Circuit { .. }) => return Some(Unanswered::Open),
            None => {}
        }
        if deadline_exceeded(error).is_some() {
            return Some(Unanswered::Deadline);
        }
        match self.classify.classify(error) {
            Class::Fault | Class::FaultAndClose => Some(Unanswered::Fault),
            Class::Starved
                if self
                    .gate
                    .acquired_within(self.gate.limits().acquire_timeout) =>
            {
                Some(Unanswered::Saturated)
            }
            Class::Starved => Some(Unanswered::Fault),
            // The database's own deadline, or a lock that did not come free.
            Class::Slow => Some(Unanswered::Deadline),
            Class::Answered | Class::Neutral => None,
        }
    }

    fn lost(&self) -> Error {
        if self.raw.is_closed() {
            return Error::PoolClosed;
        }
        Error::Io(io::Error::other(
            "the load for the cache was stopped, or panicked, before it brought an answer",
        ))
    }

    fn spawn(&self, task: Task) {
        self.background.spawn(task);
    }
}

impl<DB: Database> fmt::Debug for Cache<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("snapshot", &self.snapshot())
            .finish()
    }
}
