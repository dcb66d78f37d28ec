//! The pool, as its cache sees it.

use sqlx::{Database, Error};

use super::error;
use super::pool::Pool;
use crate::cache::handle::Cache;
use crate::cache::origin::unanswered_by_class;
use crate::outcome::error::{Refused, deadline_exceeded, refusal};
use crate::outcome::served::Unanswered;
use crate::pool::adapter::Adapter;

impl<DB: Database> Pool<DB> {
    /// The cache of this pool: what [`cached`](super::ReadExt::cached) queries keep there. For a
    /// write through this pool, [`invalidates`](super::WriteExt::invalidates) makes outdated what is
    /// cached at the right moment.
    #[must_use]
    pub fn cache(&self) -> Cache<'_> {
        let shared = self.shared();
        Cache::new(&shared.gate, shared.answers())
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
        let class = self.shared().adapter.classify(error);
        unanswered_by_class(self.gate(), class)
    }
}
