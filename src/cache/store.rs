//! The store of answers: [`quick_cache`], bounded by bytes.
//!
//! Its eviction policy (S3-FIFO, close to Clock-PRO) puts new entries on probation. An entry must be
//! read again, during probation or soon after, before it can displace an entry that is in use. A
//! stream of keys that are read once passes only through the small probation segment.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};

use super::entry::Entry;
use super::key::Key;
use crate::breaker::config::ConfigError;

/// Default `cache_bytes`, the memory for the cached answers of a pool: 64 MiB.
pub const DEFAULT_CACHE_BYTES: u64 = 64 << 20;
/// The smallest `cache_bytes`: 64 KiB.
pub const SMALLEST_CACHE_BYTES: u64 = 64 << 10;
/// The largest `cache_bytes`: 1 TiB. A larger value is considered a mistake.
pub const LARGEST_CACHE_BYTES: u64 = 1 << 40;

pub(crate) fn check_bytes(bytes: u64) -> Result<(), ConfigError> {
    if !(SMALLEST_CACHE_BYTES..=LARGEST_CACHE_BYTES).contains(&bytes) {
        let rule = format!("from {SMALLEST_CACHE_BYTES} to {LARGEST_CACHE_BYTES}");
        return Err(ConfigError::new("cache_bytes", bytes, rule));
    }
    Ok(())
}

/// The size by which the number of entries, and so the store's own tables, are estimated.
const TYPICAL_ENTRY: u64 = 1024;
/// The smallest shard, unless the store itself is smaller. An entry must fit into one shard.
const SMALLEST_SHARD: u64 = 8 << 20;
const MOST_SHARDS: u64 = 16;

pub(crate) struct Store {
    entries: Cache<Key, Arc<Entry>, Bytes, DefaultHashBuilder, Evictor>,
    evictions: AtomicU64,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Arc<Entry>> for Bytes {
    fn weight(&self, _: &Key, entry: &Arc<Entry>) -> u64 {
        entry.bytes()
    }
}

#[derive(Clone)]
struct Evictor;

impl Lifecycle<Key, Arc<Entry>> for Evictor {
    /// Dropped after the lock of the store is released, since an entry may be large.
    type RequestState = Vec<(Key, Arc<Entry>)>;

    fn on_evict(&self, evicted: &mut Self::RequestState, key: Key, entry: Arc<Entry>) {
        evicted.push((key, entry));
    }
}

impl Store {
    pub(crate) fn new(max_bytes: u64) -> Self {
        let options = OptionsBuilder::new()
            .weight_capacity(max_bytes)
            .estimated_items_capacity(to_usize(max_bytes / TYPICAL_ENTRY).max(1))
            .shards(to_usize((max_bytes / SMALLEST_SHARD).clamp(1, MOST_SHARDS)))
            .build();
        let hasher = DefaultHashBuilder::default();
        let entries = match options {
            Ok(options) => Cache::with_options(options, Bytes, hasher, Evictor),
            // `build` fails only without a capacity.
            Err(_) => Cache::with(1, max_bytes, Bytes, hasher, Evictor),
        };
        Self {
            entries,
            evictions: AtomicU64::new(0),
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.entries.get(key)
    }

    /// Stores an entry. Returns `false` if it is too large for the store.
    pub(crate) fn insert(&self, key: Key, entry: &Arc<Entry>) -> bool {
        let mut evicted = Vec::new();
        self.entries
            .insert_with_lifecycle(key, Arc::clone(entry), &mut evicted);
        // An older answer under the same key is replaced, not evicted.
        let others = evicted.iter().filter(|(other, _)| *other != key).count();
        self.evictions.fetch_add(others as u64, Ordering::Relaxed);
        !evicted.iter().any(|(_, gone)| Arc::ptr_eq(gone, entry))
    }

    pub(crate) fn clear(&self) {
        self.entries.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("entries", &self.len())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
