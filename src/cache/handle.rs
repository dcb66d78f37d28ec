//! The public handle of a pool's cache.

use std::fmt;

use crate::cache::answers::Answers;
use crate::cache::invalidation::Name;
use crate::cache::policy::CachePolicy;
use crate::cache::snapshot::CacheSnapshot;
use crate::gate::Gate;

/// A handle of a pool's cache, for snapshots and invalidation.
///
/// `Pool::cache` returns it. See [`cache`](crate::cache) for what is stored and when it is served.
///
/// ```
/// use fusepool::cache::CachePolicy;
/// use fusepool::{Adapter, Guarded};
///
/// const MENU: CachePolicy = CachePolicy::named("menu");
///
/// fn price_list_changed<A: Adapter>(pool: &Guarded<A>) {
///     pool.cache().invalidate_tag("dishes");
///     pool.cache().invalidate_policy(&MENU);
///     println!("{} bytes cached", pool.cache().snapshot().bytes);
/// }
/// ```
pub struct Cache<'p> {
    gate: &'p Gate,
    answers: &'p Answers,
}

impl<'p> Cache<'p> {
    pub(crate) fn new(gate: &'p Gate, answers: &'p Answers) -> Self {
        Self { gate, answers }
    }

    /// Invalidates all answers with this tag, those of loads in progress included. An answer that
    /// was requested before this call is not served to any read that starts after it.
    ///
    /// ```
    /// use fusepool::{Adapter, Guarded};
    ///
    /// fn price_changed<A: Adapter>(pool: &Guarded<A>, dish: u32) {
    ///     pool.cache().invalidate_tag(&format!("dish:{dish}"));
    /// }
    /// ```
    pub fn invalidate_tag(&self, tag: &str) {
        self.invalidate(Name::tag(tag));
    }

    /// Invalidates all answers under this policy, those of loads in progress included.
    pub fn invalidate_policy(&self, policy: &CachePolicy) {
        self.invalidate(Name::policy(policy.name()));
    }

    /// Invalidates all answers, those of loads in progress included, and frees their memory.
    pub fn invalidate_all(&self) {
        self.invalidate(Name::ALL);
    }

    pub(crate) fn invalidate(&self, name: Name) {
        self.answers.invalidate(self.gate, name);
    }

    /// The size and the counters of the cache at this moment.
    #[must_use]
    pub fn snapshot(&self) -> CacheSnapshot {
        self.answers.snapshot()
    }
}

impl fmt::Debug for Cache<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("snapshot", &self.snapshot())
            .finish()
    }
}
