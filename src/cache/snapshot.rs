//! The state of a cache at one moment.

/// The state of a pool's cache at one moment.
///
/// ```
/// use fusepool::{Adapter, Guarded};
///
/// fn hit_rate<A: Adapter>(pool: &Guarded<A>) -> f64 {
///     let totals = pool.cache().snapshot().totals;
///     totals.hits as f64 / (totals.hits + totals.misses).max(1) as f64
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CacheSnapshot {
    /// The number of answers stored now.
    pub entries: usize,
    /// The memory that they occupy, in bytes.
    pub bytes: u64,
    /// The memory that they may occupy, in bytes: `cache_bytes`.
    pub max_bytes: u64,
    /// The number of keys with a load in progress or waiting to start.
    pub loading: usize,
    /// The totals since the cache was first used.
    pub totals: CacheTotals,
}

/// The counts of a pool's cache since it was first used. They never decrease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct CacheTotals {
    /// Reads served a fresh answer, without a query.
    pub hits: u64,
    /// Reads served a stale answer within `stale_while_revalidate`.
    pub revalidating: u64,
    /// Reads for which the cache had nothing to serve without a query. The query may then have
    /// been refused.
    pub misses: u64,
    /// Reads served a stale answer within `stale_if_error`.
    pub stale: u64,
    /// Reads served the value of `or_value`.
    pub defaults: u64,
    /// Reads served the value of the future of `or_else`.
    pub alternatives: u64,
    /// Reads served the answer of the pool of `or_from`.
    pub other_pools: u64,
    /// Loads that returned an answer.
    pub loads: u64,
    /// Loads that returned an error.
    pub failed_loads: u64,
    /// Answers evicted to make room for others.
    pub evictions: u64,
    /// Answers not stored because they were too large.
    pub too_large: u64,
    /// Answers not stored because they were invalidated while they were loaded.
    pub outdated: u64,
    /// Invalidations: one for each tag, policy, key or whole cache.
    pub invalidations: u64,
}
