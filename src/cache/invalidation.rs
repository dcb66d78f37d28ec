//! Which answers are out of date, without knowing where they are.
//!
//! An answer depends on a few names: its key, its policy, its tags, and "all". Each name has a
//! counter, which an invalidation of the name moves on. An answer carries the sum of its counters as
//! it was before the database was asked: counters only grow, so the sum is the same for exactly as
//! long as none of them has moved. That holds for answers that are still under way, too.
//!
//! There are as many counters as fit a fixed table, and names are spread over them by hash: however
//! many tags there are, memory stays bounded. Two names on one counter are invalidated together,
//! which costs a load, never a wrong answer.

use std::sync::atomic::{AtomicU64, Ordering};

use super::key::{Key, KeyHasher};

/// One name of those an answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(u64);

impl Name {
    pub(crate) const ALL: Self = Self(0);

    pub(crate) fn tags(tags: &[&str]) -> Vec<Self> {
        tags.iter().map(|tag| Self::tag(tag)).collect()
    }

    pub(crate) fn tag(tag: &str) -> Self {
        Self::hashed("tag", tag)
    }

    pub(crate) fn policy(name: &str) -> Self {
        Self::hashed("policy", name)
    }

    pub(crate) fn key(key: Key) -> Self {
        Self(key.low())
    }

    fn hashed(kind: &str, name: &str) -> Self {
        let mut hasher = KeyHasher::new();
        hasher.text(kind);
        hasher.text(name);
        Self(hasher.finish().low())
    }
}

/// Where an answer stands among the invalidations of the names it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    invalidations: u64,
    doubts: u64,
}

impl Generation {
    /// Nothing that it depends on was invalidated since `earlier`.
    pub(crate) fn is_valid_since(self, earlier: Self) -> bool {
        self.invalidations == earlier.invalidations
    }

    /// Something that it depends on may have changed since `earlier`.
    pub(crate) fn is_doubted_since(self, earlier: Self) -> bool {
        self.doubts != earlier.doubts
    }
}

#[derive(Debug, Default)]
struct Counter {
    invalidations: AtomicU64,
    doubts: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct Generations {
    counters: Box<[Counter]>,
}

impl Generations {
    pub(crate) fn new(counters: usize) -> Self {
        let counters = counters.max(2);
        Self {
            counters: (0..counters).map(|_| Counter::default()).collect(),
        }
    }

    /// The sum over all names. Read before the database is asked: what is invalidated while this
    /// reads is either in the sum, and then the answer will be newer, or makes it outdated.
    pub(crate) fn of(&self, names: &[Name]) -> Generation {
        let mut sum = Generation {
            invalidations: 0,
            doubts: 0,
        };
        for name in names {
            let counter = self.counter(*name);
            let invalidations = counter.invalidations.load(Ordering::SeqCst);
            let doubts = counter.doubts.load(Ordering::SeqCst);
            sum.invalidations = sum.invalidations.wrapping_add(invalidations);
            sum.doubts = sum.doubts.wrapping_add(doubts);
        }
        sum
    }

    /// What depends on `name` is wrong.
    pub(crate) fn invalidate(&self, name: Name) {
        let counter = self.counter(name);
        counter.invalidations.fetch_add(1, Ordering::SeqCst);
    }

    /// What depends on `name` may be wrong: it is no longer fresh.
    pub(crate) fn doubt(&self, name: Name) {
        self.counter(name).doubts.fetch_add(1, Ordering::SeqCst);
    }

    fn counter(&self, name: Name) -> &Counter {
        let place = match name {
            Name::ALL => 0,
            // The first one is kept for "all", which would take all others with it.
            Name(hash) => 1 + (hash % (self.counters.len() as u64 - 1)) as usize,
        };
        &self.counters[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_valid_until_a_name_it_depends_on_is_invalidated() {
        let generations = Generations::new(4096);
        let names = [Name::ALL, Name::tag("dishes"), Name::policy("menu")];
        let before = generations.of(&names);
        generations.invalidate(Name::tag("orders"));
        assert!(generations.of(&names).is_valid_since(before));
        for name in names {
            let before = generations.of(&names);
            generations.invalidate(name);
            assert!(!generations.of(&names).is_valid_since(before), "{name:?}");
            assert!(!generations.of(&names).is_doubted_since(before), "{name:?}");
        }
    }

    #[test]
    fn a_doubt_is_no_invalidation() {
        let generations = Generations::new(4096);
        let names = [Name::tag("dishes")];
        let before = generations.of(&names);
        generations.doubt(names[0]);
        assert!(generations.of(&names).is_valid_since(before));
        assert!(generations.of(&names).is_doubted_since(before));
    }

    #[test]
    fn a_tag_is_not_the_policy_of_the_same_name() {
        assert_ne!(Name::tag("menu"), Name::policy("menu"));
    }

    #[test]
    fn the_smallest_table_still_invalidates() {
        let generations = Generations::new(0);
        let names = [Name::tag("a")];
        let before = generations.of(&names);
        generations.invalidate(Name::tag("a"));
        assert!(!generations.of(&names).is_valid_since(before));
    }
}
