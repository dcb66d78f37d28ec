//! The cache of a pool: its store, its invalidations, its loads and its counters.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::counters::Counters;
use crate::cache::entry::Entry;
use crate::cache::invalidation::{Generations, Name};
use crate::cache::key::Key;
use crate::cache::policy::{CachePolicy, Freshness};
use crate::cache::question::Question;
use crate::cache::single_flight::SingleFlight;
use crate::cache::snapshot::{CacheSnapshot, CacheTotals};
use crate::cache::store::Store;
use crate::gate::Gate;
use crate::outcome::served::{Served, Source, StaleReason};
use crate::telemetry::event::{Event, NotKept};

/// The size of the store, in bytes, for each generation counter.
const BYTES_A_COUNTER: u64 = 1024;
const FEWEST_COUNTERS: u64 = 1 << 12;
const MOST_COUNTERS: u64 = 1 << 20;

/// Shared by all handles of a pool and by the loads in progress.
pub(crate) struct Answers {
    store: Store,
    max_bytes: u64,
    pub(super) generations: Generations,
    pub(super) single_flight: Arc<SingleFlight>,
    counters: Counters<COUNTS>,
}

/// A stored answer with its age, and what it may be used for.
pub(crate) type Kept<T> = (T, Duration, Freshness);

#[derive(Clone, Copy)]
pub(crate) enum Count {
    Hits,
    Revalidating,
    Misses,
    Stale,
    Defaults,
    Alternatives,
    OtherPools,
    Loads,
    FailedLoads,
    TooLarge,
    Outdated,
    Invalidations,
}

const COUNTS: usize = Count::Invalidations as usize + 1;

impl Answers {
    pub(crate) fn new(max_bytes: u64) -> Self {
        let counters = (max_bytes / BYTES_A_COUNTER).clamp(FEWEST_COUNTERS, MOST_COUNTERS);
        Self {
            store: Store::new(max_bytes),
            max_bytes,
            generations: Generations::new(counters as usize),
            single_flight: Arc::new(SingleFlight::new()),
            counters: Counters::new(),
        }
    }

    /// The stored answer, counted as a hit, if it may be served without a query; otherwise what else is
    /// stored.
    pub(crate) fn fresh<T: Clone + 'static>(
        &self,
        gate: &Gate,
        question: &Question,
    ) -> Result<Served<T>, Option<Kept<T>>> {
        match self.kept(gate, question) {
            Some((value, age, Freshness::Fresh)) => {
                self.count(Count::Hits);
                Ok(Served::new(value, Source::Fresh { age }))
            }
            kept => Err(kept),
        }
    }

    /// The stored answer with its age, unless it has expired or was invalidated.
    pub(crate) fn kept<T: Clone + 'static>(
        &self,
        gate: &Gate,
        question: &Question,
    ) -> Option<Kept<T>> {
        let (entry, age, freshness) = self.find::<T>(gate, &question.policy, &question.key)?;
        Some((entry.value()?, age, freshness))
    }

    pub(super) fn find<T: 'static>(
        &self,
        gate: &Gate,
        policy: &CachePolicy,
        key: &Key,
    ) -> Option<(Arc<Entry>, Duration, Freshness)> {
        let entry = self.store.get(key).filter(|entry| entry.is::<T>())?;
        let generation = self.generations.of(&entry.names);
        if !generation.is_valid_since(entry.generation) {
            return None;
        }
        let age = entry.age(gate.now());
        let is_doubted = generation.is_doubted_since(entry.generation);
        match policy.freshness(age, entry.chance, is_doubted) {
            Freshness::Expired => None,
            freshness => Some((entry, age, freshness)),
        }
    }

    /// Stores an answer, unless it is too large or was invalidated while it was loaded.
    pub(super) fn keep(&self, gate: &Gate, policy: &CachePolicy, key: Key, entry: &Arc<Entry>) {
        let now = self.generations.of(&entry.names);
        let (count, reason) = if !now.is_valid_since(entry.generation) {
            (Count::Outdated, NotKept::Outdated)
        } else if !policy.keeps(entry.bytes()) || !self.store.insert(key, entry) {
            (Count::TooLarge, NotKept::TooLarge)
        } else {
            return;
        };
        self.count(count);
        let policy = policy.name();
        gate.tell(&Event::NotKept { policy, reason });
    }

    /// Counts and reports a fallback that was served.
    pub(crate) fn fell_back(&self, gate: &Gate, policy: Option<&CachePolicy>, source: Source) {
        self.count(match source {
            Source::Stale {
                reason: StaleReason::Revalidating,
                ..
            } => Count::Revalidating,
            Source::Default { .. } => Count::Defaults,
            Source::Alternative { .. } => Count::Alternatives,
            Source::OtherPool { .. } => Count::OtherPools,
            _ => Count::Stale,
        });
        gate.tell(&Event::Fallback {
            policy: policy.map(CachePolicy::name),
            source,
        });
    }

    /// Invalidates all answers that depend on `name`: those requested before are not served any
    /// more.
    pub(crate) fn invalidate(&self, gate: &Gate, name: Name) {
        self.generations.invalidate(name);
        if name == Name::ALL {
            self.store.clear();
        }
        self.count(Count::Invalidations);
        gate.tell(&Event::Invalidated);
    }

    pub(crate) fn snapshot(&self) -> CacheSnapshot {
        let count = |what: Count| self.counters.get(what as usize);
        CacheSnapshot {
            entries: self.store.len(),
            bytes: self.store.bytes(),
            max_bytes: self.max_bytes,
            loading: self.single_flight.len(),
            totals: CacheTotals {
                hits: count(Count::Hits),
                revalidating: count(Count::Revalidating),
                misses: count(Count::Misses),
                stale: count(Count::Stale),
                defaults: count(Count::Defaults),
                alternatives: count(Count::Alternatives),
                other_pools: count(Count::OtherPools),
                loads: count(Count::Loads),
                failed_loads: count(Count::FailedLoads),
                evictions: self.store.evictions(),
                too_large: count(Count::TooLarge),
                outdated: count(Count::Outdated),
                invalidations: count(Count::Invalidations),
            },
        }
    }

    pub(super) fn count(&self, what: Count) {
        self.counters.add(what as usize, 1);
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers")
            .field("store", &self.store)
            .field("single_flight", &self.single_flight)
            .finish_non_exhaustive()
    }
}
