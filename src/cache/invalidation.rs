//! Invalidation of answers by generation counters, without a search in the store.
//!
//! An answer depends on several names: its key, its policy, its tags, and "all". Each name has a
//! counter, which every invalidation of the name increments. An answer carries the sum of the
//! counters of its names, read before its query is sent. Counters only grow, so the answer is valid
//! as long as the sum is unchanged. This covers answers of loads in progress, too.
//!
//! The counters are a table of fixed size, and a hash assigns each name to one of them, so that
//! memory stays bounded for any number of tags. Names that share a counter are invalidated
//! together. That costs an extra load, but never serves an outdated answer.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::key::{Key, KeyHasher};

/// A name that an answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(u64);

impl Name {
    /// The name that every answer depends on.
    pub(crate) const ALL: Self = Self(0);

    #[cfg(feature = "sql")]
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

/// The sums of the counters of an answer's names at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    invalidations: u64,
    doubts: u64,
    is_in_doubt: bool,
}

impl Generation {
    /// Whether none of the names was invalidated since `earlier`.
    pub(crate) fn is_valid_since(self, earlier: Self) -> bool {
        self.invalidations == earlier.invalidations
    }

    /// Whether any of the names is in doubt, or was at any time since `earlier`.
    pub(crate) fn is_doubted_since(self, earlier: Self) -> bool {
        self.is_in_doubt || self.doubts != earlier.doubts
    }
}

#[derive(Debug, Default)]
struct Counter {
    invalidations: AtomicU64,
    /// The doubts that have ended.
    doubts: AtomicU32,
    /// The doubts that last.
    open_doubts: AtomicU32,
}

/// The counters of all names.
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

    /// The sums over `names`. To be read before the query is sent: an invalidation at the same time
    /// is either part of the sum, and the answer is then newer than it, or it makes the answer
    /// outdated.
    pub(crate) fn of(&self, names: &[Name]) -> Generation {
        let mut sum = Generation {
            invalidations: 0,
            doubts: 0,
            is_in_doubt: false,
        };
        for name in names {
            let counter = self.counter(*name);
            let invalidations = counter.invalidations.load(Ordering::SeqCst);
            // In this order: a doubt that ends in between is counted as ended.
            let open_doubts = counter.open_doubts.load(Ordering::SeqCst);
            let doubts = counter.doubts.load(Ordering::SeqCst);
            sum.invalidations = sum.invalidations.wrapping_add(invalidations);
            sum.doubts = sum.doubts.wrapping_add(doubts.into());
            sum.is_in_doubt |= open_doubts > 0;
        }
        sum
    }

    /// Makes the answers that depend on `name` outdated.
    pub(crate) fn invalidate(&self, name: Name) {
        let counter = self.counter(name);
        counter.invalidations.fetch_add(1, Ordering::SeqCst);
    }

    /// Begins to doubt the answers that depend on `name`: neither those from before nor those that are
    /// loaded until [`end_doubt`](Self::end_doubt) are ever fresh.
    #[cfg(feature = "sql")]
    pub(crate) fn begin_doubt(&self, name: Name) {
        let counter = self.counter(name);
        counter.open_doubts.fetch_add(1, Ordering::SeqCst);
    }

    /// Ends a doubt that [`begin_doubt`](Self::begin_doubt) began.
    #[cfg(feature = "sql")]
    pub(crate) fn end_doubt(&self, name: Name) {
        let counter = self.counter(name);
        counter.doubts.fetch_add(1, Ordering::SeqCst);
        counter.open_doubts.fetch_sub(1, Ordering::SeqCst);
    }

    fn counter(&self, name: Name) -> &Counter {
        let index = match name {
            Name::ALL => 0,
            // No other name shares the first counter: its invalidation would invalidate everything.
            Name(hash) => 1 + (hash % (self.counters.len() as u64 - 1)) as usize,
        };
        &self.counters[index]
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

    #[cfg(feature = "sql")]
    #[test]
    fn an_answer_in_doubt_is_still_valid() {
        let generations = Generations::new(4096);
        let names = [Name::tag("dishes")];
        let before = generations.of(&names);
        generations.begin_doubt(names[0]);
        let during = generations.of(&names);
        assert!(during.is_valid_since(before) && during.is_doubted_since(before));
        generations.end_doubt(names[0]);
        assert!(generations.of(&names).is_valid_since(before));
    }

    /// Regression: an answer that was loaded during a doubt became fresh, although the write of the
    /// doubt took effect later.
    #[cfg(feature = "sql")]
    #[test]
    fn only_what_is_loaded_after_the_last_doubt_is_trusted() {
        let generations = Generations::new(4096);
        let names = [Name::ALL, Name::tag("dishes")];
        let before = generations.of(&names);
        generations.begin_doubt(names[1]);
        generations.begin_doubt(names[1]);
        generations.end_doubt(names[1]);
        let during = generations.of(&names);
        assert!(during.is_doubted_since(during));
        generations.end_doubt(names[1]);
        let after = generations.of(&names);
        assert!(after.is_doubted_since(before) && after.is_doubted_since(during));
        assert!(!after.is_doubted_since(after));
    }

    #[test]
    fn a_tag_and_a_policy_of_the_same_name_are_different_names() {
        assert_ne!(Name::tag("menu"), Name::policy("menu"));
    }

    #[test]
    fn the_smallest_table_invalidates() {
        let generations = Generations::new(0);
        let names = [Name::tag("a")];
        let before = generations.of(&names);
        generations.invalidate(Name::tag("a"));
        assert!(!generations.of(&names).is_valid_since(before));
    }
}
