//! Answers that are kept for when the database cannot give them, or need not be asked.
//!
//! What may be served is said by a [`CachePolicy`], query by query, and asked for by `cached`: of a query
//! on sqlx's pools, of the pool with deadpool-postgres. All answers of a pool are in one store, bounded
//! by bytes, in memory; what is lost with it is loaded again through the gate, one load a key at a time.
//!
//! # What is served when
//!
//! | the database ... | fresh | in `stale_while_revalidate` | in `stale_if_error` | absent, or older |
//! |---|---|---|---|---|
//! | answers | cache | cache, and a load behind | live | live |
//! | is not asked: the breaker is open | cache | cache | cache | fallback, or the refusal |
//! | is not asked: too many wait | cache | cache | cache | fallback, or the refusal |
//! | failures | cache | cache | cache | fallback, or the error |
//! | misses the deadline | cache | cache | cache | fallback, or the error |
//! | answers with an error | cache | cache | **the error** | **the error** |
//! | is asked on a lease or in a transaction | live | live | live | live |
//!
//! With [`database_first`](CachePolicy::database_first), nothing is fresh. On a lease and in a transaction nothing is
//! read from the cache, kept in it, or served instead: such a session may see what nobody else does.
//!
//! # What not to cache
//!
//! - What nobody may see but its owner, unless its owner is an argument or in the `vary_by`: the cache is shared by all who use the pool.
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

pub(crate) mod answers;
pub(crate) mod entry;
pub(crate) mod fallback;
pub(crate) mod handle;
pub(crate) mod invalidation;
pub(crate) mod key;
mod load;
pub(crate) mod origin;
pub(crate) mod policy;
pub(crate) mod publication;
pub(crate) mod question;
pub(crate) mod read_only;
pub(crate) mod read_through;
pub(crate) mod rows;
pub(crate) mod single_flight;
pub(crate) mod snapshot;
pub(crate) mod store;
pub(crate) mod unpublished;
pub(crate) mod weigh;

pub use policy::{
    CachePolicy, DEFAULT_JITTER, DEFAULT_MAX_ENTRY_BYTES, LONGEST_AGE, MAX_POLICY_TAGS,
};
pub use snapshot::CacheSnapshot;
pub use store::{DEFAULT_CACHE_BYTES, LARGEST_CACHE_BYTES, SMALLEST_CACHE_BYTES};
pub use weigh::Weigh;
