//! A cached read: its key, its policy and its tags.

use std::time::Duration;

use crate::breaker::config::ConfigError;
use crate::cache::invalidation::Name;
use crate::cache::key::{Key, KeyHasher};
use crate::cache::policy::CachePolicy;
use crate::gate::limits::Limits;

/// A read that the cache may answer.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) policy: CachePolicy,
    pub(crate) key: Key,
    /// The key of the statement, without the type of the result and without tags. Answers of all
    /// types to one statement are invalidated together by it.
    pub(crate) base: Key,
    /// The tags besides those of the policy.
    pub(crate) tags: Vec<Name>,
    /// The deadline of the caller's own for the statement. `None`: the pool's.
    pub(crate) limit: Option<Duration>,
}

impl Question {
    /// The time that this caller waits for a load: the deadline of the statement plus that of the
    /// connection. Other callers may wait longer.
    pub(super) fn patience(&self, limits: Limits) -> Duration {
        let limit = self.limit.unwrap_or(limits.query_timeout);
        limit.saturating_add(limits.acquire_timeout)
    }

    /// The names that invalidate the answer.
    pub(super) fn names(&self) -> Box<[Name]> {
        let policy = [
            Name::ALL,
            Name::policy(self.policy.name()),
            Name::key(self.base),
        ];
        let tags = self.policy.tags().iter().map(|tag| Name::tag(tag));
        policy
            .into_iter()
            .chain(tags)
            .chain(self.tags.iter().copied())
            .collect()
    }
}

/// The policy of a read, and the parts of its key besides the statement.
#[derive(Clone, Debug)]
pub(crate) struct Wording {
    pub(super) policy: Option<CachePolicy>,
    /// The values given to `vary_by`.
    scope: KeyHasher,
    tags: Vec<Name>,
}

impl Wording {
    pub(super) fn new() -> Self {
        Self {
            policy: None,
            scope: KeyHasher::new(),
            tags: Vec::new(),
        }
    }

    pub(super) fn vary_by(&mut self, scope: &[u8]) {
        self.scope.bytes(scope);
    }

    pub(super) fn tag(&mut self, tag: &str) {
        self.tags.push(Name::tag(tag));
    }

    /// The beginning of the key. The caller adds the statement.
    pub(crate) fn key(&self) -> KeyHasher {
        let mut key = self.scope.clone();
        key.text(self.policy.as_ref().map_or("", CachePolicy::name));
        key
    }

    /// Checks that there is a policy, and that it is valid.
    #[cfg(feature = "sqlx")]
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match &self.policy {
            Some(policy) => policy.check(),
            None => Err(ConfigError::new("cached", "absent", "given a policy")),
        }
    }

    /// Checks that the policy is valid, if there is one.
    pub(crate) fn check_if_cached(&self) -> Result<(), ConfigError> {
        self.policy.as_ref().map_or(Ok(()), CachePolicy::check)
    }

    /// The read as a question to the cache; `None` without a policy. `base` is the
    /// [`key`](Self::key) with the statement, `made` adds the type of the result, and `limit` is the
    /// deadline of the caller's own for the statement.
    pub(crate) fn question(
        &self,
        base: KeyHasher,
        made: impl FnOnce(&mut KeyHasher),
        limit: Option<Duration>,
    ) -> Option<Question> {
        let policy = self.policy?;
        let mut key = base;
        let base = key.finish();
        // An answer that was stored with other tags is not invalidated by these, so it must not be
        // found.
        key.add(&policy.tags());
        let mut tags = self.tags.clone();
        tags.sort_unstable();
        key.add(&tags);
        made(&mut key);
        Some(Question {
            policy,
            key: key.finish(),
            base,
            tags,
            limit,
        })
    }
}
