//! The cache of a pool.

use sqlx::{Database, Error};

use crate::cache::handle::Cache;
use crate::cache::origin::unanswered_by_class;
use crate::outcome::error::{Refused, deadline_exceeded, refusal};
use crate::outcome::served::Unanswered;
use crate::pool::adapter::Adapter;
use crate::sqlx::error;
use crate::sqlx::pool::Pool;

impl<DB: Database> Pool<DB> {
    /// The cache of this pool, which keeps the answers of [`cached`](crate::sqlx::ReadExt::cached)
    /// queries.
    ///
    /// Use it to invalidate answers by hand, and to see how the cache is used. For a write through
    /// this pool, prefer [`invalidates`](crate::sqlx::WriteExt::invalidates), which invalidates answers
    /// at the right moment.
    ///
    /// ```
    /// # fn menu_changed(pool: &fusepool::sqlx::PgPool) {
    /// pool.cache().invalidate_tag("dishes");
    /// # }
    /// ```
    #[must_use]
    pub fn cache(&self) -> Cache<'_> {
        let shared = self.shared();
        Cache::new(&shared.gate, shared.answers())
    }

    /// The reason why the database did not answer a call on this pool that failed with `error`. `None` if
    /// the database answered with this error, or if the caller made a mistake.
    ///
    /// This is the rule for serving fallbacks. A service can use it to respond with `503 Service
    /// Unavailable`.
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
            Some(Refused::Circuit { .. } | Refused::Breaker(_)) => return Some(Unanswered::Open),
            Some(Refused::Abandoned { .. }) | None => {}
        }
        if error::is_lost(error) {
            return Some(Unanswered::Lost);
        }
        if matches!(error, Error::PoolClosed) {
            return Some(Unanswered::Closed);
        }
        if deadline_exceeded(error).is_some() {
            return Some(Unanswered::Deadline);
        }
        let class = self.shared().adapter.classify(error);
        unanswered_by_class(self.gate(), class)
    }
}
