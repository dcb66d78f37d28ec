//! The cache of a pool, in the hands of its user.

use std::fmt;

use crate::cache::answers::Answers;
use crate::cache::invalidation::Name;
use crate::cache::policy::CachePolicy;
use crate::cache::snapshot::CacheSnapshot;
use crate::gate::Gate;

/// The cache of a pool: what its cached reads keep there.
pub struct Cache<'p> {
    gate: &'p Gate,
    answers: &'p Answers,
}

impl<'p> Cache<'p> {
    pub(crate) fn new(gate: &'p Gate, answers: &'p Answers) -> Self {
        Self { gate, answers }
    }

    /// Makes all answers with this tag outdated: from here on, nobody is served one from before.
    /// That holds for loads that are under way, too.
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

    pub(crate) fn invalidate(&self, name: Name) {
        self.answers.invalidate(self.gate, name);
    }

    /// All there is to know about the cache at this moment.
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
