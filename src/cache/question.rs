//! What the cache is asked.

use std::time::Duration;

use crate::breaker::config::ConfigError;
use crate::cache::invalidation::Name;
use crate::cache::key::{Key, KeyHasher};
use crate::cache::policy::CachePolicy;

/// A read, as the cache sees it.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) policy: CachePolicy,
    pub(crate) key: Key,
    /// The key without what is made of the answer: all that are made of it are invalidated together.
    pub(crate) base: Key,
    /// Tags besides those of the policy.
    pub(crate) tags: Vec<Name>,
    /// How long to wait for a load, which others may have given more time.
    pub(crate) patience: Duration,
}

impl Question {
    /// All that an answer depends on.
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

/// Under which policy a read is asked, and what belongs to its key besides the statement.
#[derive(Clone, Debug)]
pub(crate) struct Wording {
    pub(super) policy: Option<CachePolicy>,
    /// What decides the rows besides the statement and its arguments.
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

    /// What the key begins with; the statement follows.
    pub(crate) fn key(&self) -> KeyHasher {
        let mut key = self.scope.clone();
        key.text(self.policy.as_ref().map_or("", CachePolicy::name));
        key
    }

    /// Whether there is a policy, and one that makes sense.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match &self.policy {
            Some(policy) => policy.check(),
            None => Err(ConfigError::new("cached", "absent", "given a policy")),
        }
    }

    pub(crate) fn check_if_cached(&self) -> Result<(), ConfigError> {
        self.policy.as_ref().map_or(Ok(()), CachePolicy::check)
    }

    /// The question to the cache, if there is a policy. `base` is the [`key`](Self::key) with the
    /// statement; `made` adds what is made of the answer.
    pub(crate) fn question(
        &self,
        base: KeyHasher,
        made: impl FnOnce(&mut KeyHasher),
        patience: Duration,
    ) -> Option<Question> {
        let policy = self.policy?;
        let mut key = base;
        let base = key.finish();
        // What was kept with other tags is not invalidated by these: it is another answer.
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
            patience,
        })
    }
}
