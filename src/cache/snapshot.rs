//! A cache at one moment.

/// The cache of a pool at one moment. The counts are since the pool was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheSnapshot {
    /// Answers kept now.
    pub entries: usize,
    /// The memory they take.
    pub bytes: u64,
    /// The memory they may take.
    pub max_bytes: u64,
    /// Loads under way or waiting now.
    pub loading: usize,
    /// Served fresh, without asking.
    pub hits: u64,
    /// Served stale, while a background load asked for a newer one.
    pub revalidating: u64,
    /// Neither: the database had to be asked, or would not be.
    pub misses: u64,
    /// Served stale, because the database could not answer.
    pub stale: u64,
    /// Served the value of `or_value`.
    pub defaults: u64,
    /// Served what the future of `or_else` gave.
    pub alternatives: u64,
    /// Served what the pool of `or_from` answered.
    pub other_pools: u64,
    /// Loads that brought an answer.
    pub loads: u64,
    /// Loads that brought an error.
    pub failed_loads: u64,
    /// Answers pushed out by others.
    pub evictions: u64,
    /// Answers not kept because they were too large.
    pub too_large: u64,
    /// Answers not kept because they were invalidated while they were under way.
    pub outdated: u64,
    /// Tags, policies, keys and whole caches invalidated.
    pub invalidations: u64,
}
