//! Answers that are kept for when the database cannot give them, or need not be asked.
//!
//! What may be served is said by a [`CachePolicy`], query by query, and asked for by `cached`: of a query
//! on sqlx's pools, of the pool with deadpool-postgres. All answers of a pool are in one store, bounded
//! by bytes, in memory; what is lost with it is loaded again through the gate, one load a key at a time.
//!
//! # What is served when
//!
//! | the database ... | fresh | in `revalidate_for` | in `stale_for` | absent, or older |
//! |---|---|---|---|---|
//! | answers | cache | cache, and a load behind | live | live |
//! | is not asked: the breaker is open | cache | cache | cache | fallback, or the refusal |
//! | is not asked: too many wait | cache | cache | cache | fallback, or the refusal |
//! | faults | cache | cache | cache | fallback, or the error |
//! | misses the deadline | cache | cache | cache | fallback, or the error |
//! | answers with an error | cache | cache | **the error** | **the error** |
//! | is asked on a lease or in a transaction | live | live | live | live |
//!
//! With [`fallback_only`](CachePolicy::fallback_only), nothing is fresh. On a lease and in a transaction nothing is
//! read from the cache, kept in it, or served instead: such a session may see what nobody else does.
//!
//! # What not to cache
//!
//! - What nobody may see but its owner, unless its owner is an argument or in the `scope`: the cache is shared by all who use the pool.
//! - What decides about money or access. Staleness is bounded, not absent: a policy says how old an
//!   answer may get, and an answer of that age has to be right enough.
//! - What must be read after it was written, on another instance: a write invalidates the cache of its own
//!   process alone, and others learn of it when `fresh_for` is over.
//! - What is too cheap to be worth it, or asked for once.
//!
//! # What to be careful of
//!
//! - A fallback that is never exercised does not work when it is needed. Hold the breaker open
//!   ([`Breaker::force_open`](crate::Breaker::force_open)) in a test, and now and then on a running instance.
//! - A cache becomes a crutch: a service that cannot live without it goes down with a cold one. The
//!   gate lets no more loads through than it would let calls, so a cold start is slow, not deadly;
//!   but it should have been tried. `invalidate_all` makes one.
//! - A default value looks like an answer to whoever gets it. Look at [`Source`](crate::Source) where
//!   the difference matters, and show the age.

mod entry;
mod flights;
mod generations;
mod key;
mod policy;
mod snapshot;
mod store;

pub(crate) use entry::{Entry, Loaded};
pub(crate) use flights::{Flights, Lost, Outcome, Passenger, Pilot};
pub(crate) use generations::{Generations, Name};
pub(crate) use key::{Key, KeyHasher};
pub(crate) use policy::Freshness;
pub use policy::{
    CachePolicy, DEFAULT_JITTER, DEFAULT_MAX_ENTRY_BYTES, LONGEST_AGE, MAX_POLICY_TAGS,
};
pub use snapshot::CacheSnapshot;
pub(crate) use store::Store;

use crate::config::ConfigError;

/// Default of how much memory the answers of a pool may take: 64 MiB.
pub const DEFAULT_CACHE_BYTES: u64 = 64 << 20;
/// The least that can be set: 64 KiB.
pub const SMALLEST_CACHE_BYTES: u64 = 64 << 10;
/// The most that can be set: 1 TiB. What is more is a slip.
pub const LARGEST_CACHE_BYTES: u64 = 1 << 40;

pub(crate) fn check_bytes(bytes: u64) -> Result<(), ConfigError> {
    if !(SMALLEST_CACHE_BYTES..=LARGEST_CACHE_BYTES).contains(&bytes) {
        let rule = format!("from {SMALLEST_CACHE_BYTES} to {LARGEST_CACHE_BYTES}");
        return Err(ConfigError::new("cache_bytes", bytes, rule));
    }
    Ok(())
}
