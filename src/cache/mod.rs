//! Answers that are kept for when the database cannot give them, or need not be asked.
//!
//! What may be served is said by a [`CachePolicy`], query by query. All answers of a pool are in
//! one store, bounded by bytes.

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

/// Default of how much memory the answers of a pool may take: 64 MiB.
pub const DEFAULT_CACHE_BYTES: u64 = 64 << 20;
