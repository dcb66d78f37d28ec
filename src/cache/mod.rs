//! A cache of answers, for reads that the database cannot answer or need not answer again.
//!
//! A [`CachePolicy`] states how old an answer may be. `cached` applies a policy to one read:
//! [`ReadExt::cached`](crate::sqlx::ReadExt::cached) to a query on sqlx,
//! [`Pool::cached`](crate::deadpool::Pool::cached) to a read of a deadpool pool, and
//! [`Guarded::cached`](crate::Guarded::cached) to a read of any other pool. Writes invalidate
//! answers by tag: with `invalidates` on a statement, or with
//! [`Cache::invalidate_tag`](crate::Cache::invalidate_tag).
//!
//! ```no_run
//! # #[cfg(feature = "sqlx-postgres")]
//! # async fn run(pool: &fusepool::sqlx::PgPool, id: i64) -> sqlx::Result<()> {
//! use fusepool::cache::CachePolicy;
//! use fusepool::sqlx::{ReadExt, WriteExt};
//! use std::time::Duration;
//!
//! const MENU: CachePolicy = CachePolicy::named("menu")
//!     .fresh_for(Duration::from_secs(5))
//!     .stale_while_revalidate(Duration::from_secs(30))
//!     .stale_if_error(Duration::from_secs(600))
//!     .tag("dishes");
//!
//! let menu = sqlx::query_as::<_, (i64, String)>("SELECT id, name FROM dish")
//!     .cached(&MENU)
//!     .fetch_all_served(pool)
//!     .await?;
//! println!("{} dishes, source: {}", menu.value.len(), menu.source.as_str());
//!
//! sqlx::query("DELETE FROM dish WHERE id = $1")
//!     .bind(id)
//!     .invalidates(&["dishes"])
//!     .execute(pool)
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is served when
//!
//! | the database ... | fresh | stale, within `stale_while_revalidate` | stale, within `stale_if_error` | absent or expired |
//! |---|---|---|---|---|
//! | answers | cache | cache, and a load in the background | live | live |
//! | is not queried: the breaker rejects the read | cache | cache | cache | fallback, or the refusal |
//! | is not queried: the queue is full | cache | cache | cache | fallback, or the refusal |
//! | cannot be reached, or fails | cache | cache | cache | fallback, or the error |
//! | misses the deadline | cache | cache | cache | fallback, or the error |
//! | is not queried: the pool is closed | cache | cache | cache | fallback, or the error |
//! | answers, and mapping the rows panics | cache | cache | cache | fallback, or the error |
//! | answers with an error | cache | cache | **the error** | **the error** |
//! | is queried on a lease or in a transaction | live | live | live | live |
//!
//! The columns are the age of the cached answer. *Live* is the answer of the database to this read,
//! or to a load that it joined.
//! *Fallback* is the first of `or_value`, `or_else` and `or_from` that provides a value. The
//! fallbacks are tried in the order in which they are written, and `cached` is one of them: an
//! `or_value` that is written before `cached` takes precedence over a stale answer.
//! [`Source`](crate::Source) tells which one was served.
//!
//! - **Fallbacks do not hide an answer of the database.** A missing table or a serialization failure is
//!   returned to the caller. Three errors count as no answer: a statement timeout of the server, a busy
//!   SQLite file, and a refused login.
//! - **[`database_first`](CachePolicy::database_first)** policies have no fresh answers: every read
//!   queries the database, and only the last two columns apply.
//! - **On a lease and in a transaction**, nothing is read from the cache, stored in it, or served
//!   instead, since the session may see uncommitted rows.
//! - **After a write that succeeded**, the answers that it invalidates are absent. A load that was
//!   in progress is not stored.
//! - **After a write with an unknown outcome**, for instance at a deadline, these answers are in doubt, and
//!   so are those that are loaded before the server is known to [have ended the
//!   write](crate#abandoned-statements), because it may take effect later. They are served only within
//!   `stale_if_error`, when the database cannot answer. A statement with which MySQL or MariaDB commits the
//!   open transaction, such as `CREATE TABLE`, makes the outcome of that transaction unknown.
//!
//! # The store
//!
//! All cached reads of a pool share one store in memory, bounded by the `cache_bytes` of the pool;
//! the least useful answers are evicted.
//!
//! # Loads
//!
//! Each key has at most one load in progress, which serves all callers that wait for it. Every load
//! passes the gate, so that an empty cache sends no more calls to the database than the pool admits.
//!
//! - **How long a caller waits.** A caller with a value at hand, a stale answer or that of `or_value`,
//!   waits no longer than [`stall_after`](crate::breaker::Builder::stall_after). Others wait for their
//!   own deadline. A load has the deadline of the caller that started it, and a caller with more time
//!   waits for the next load instead. For the breaker, each caller that waits is demand, as if it had
//!   sent the query itself.
//! - **If its callers leave**, a load goes on until its deadline, and its answer is stored.
//! - **If its runtime ends, or stands still.** A load runs as a task on the runtime of the caller that
//!   started it, because a query in progress cannot move: its connection and its timers belong to that
//!   runtime. If the runtime ends, the load is begun anew on that of another caller. So it is if the
//!   runtime runs no task for half a second, because nobody drives it or something blocks it.
//! - **If the pool is closed**, loads in progress end as usual. If its last handle is dropped, they are
//!   stopped.
//! - **If a load panics**, for instance in code that maps rows, all its callers are served a fallback.
//!
//! # What not to cache
//!
//! - **Data of one user or tenant**, unless the user or tenant is an argument of the statement or
//!   given to `vary_by`. All users of the pool share the cache.
//! - **Data that decides about money or access.** A policy bounds the age of an answer, and an
//!   answer of that age must still be correct enough.
//! - **Data that another instance of the service must read right after it is written.** A write
//!   invalidates the cache of its own process only. Other instances may serve the old answer during
//!   `fresh_for` and `stale_while_revalidate`.
//! - **Queries that are cheap or rarely repeated.**
//! - **Queries that give another answer each time**, as those with `now()`, `random()` or `currval()`,
//!   unless an answer may be as old as the policy says, and the same for everybody.
//!
//! A statement that does more than read is refused as a [`NotARead`](crate::NotARead): one that writes,
//! locks or waits by its text or by a function of the server. A function, a view or a rule of your own that
//! writes is not recognized.
//!
//! # Operation
//!
//! - **Exercise the fallbacks.** A fallback that is never used may not work when it is needed. Hold
//!   the breaker open with [`Breaker::force_open`](crate::Breaker::force_open) in a test, and
//!   occasionally on a running instance.
//! - **Test a cold start.** A service that depends on its cache may be too slow with an empty one:
//!   the gate limits the load on the database, and the callers wait.
//!   [`invalidate_all`](crate::Cache::invalidate_all) empties the cache.
//! - **Show the source.** A default value looks like an answer. Where the difference matters, check
//!   [`Source`](crate::Source) and display the age.

pub(crate) mod answers;
mod config;
#[cfg(feature = "sql")]
pub(crate) mod doubt;
pub(crate) mod entry;
pub(crate) mod fallback;
#[cfg(feature = "sql")]
mod functions;
pub(crate) mod handle;
pub(crate) mod invalidation;
pub(crate) mod key;
mod load;
#[cfg(test)]
#[cfg(feature = "sql")]
mod model;
pub(crate) mod not_a_read;
pub(crate) mod origin;
pub(crate) mod policy;
#[cfg(feature = "sql")]
pub(crate) mod publication;
pub(crate) mod question;
#[cfg(feature = "sql")]
pub(crate) mod read_only;
pub(crate) mod read_through;
#[cfg(feature = "sql")]
pub(crate) mod rows;
pub(crate) mod single_flight;
pub(crate) mod snapshot;
pub(crate) mod store;
pub(crate) mod task;
#[cfg(feature = "sql")]
pub(crate) mod tokens;
#[cfg(feature = "sql")]
pub(crate) mod unpublished;
pub(crate) mod weigh;

pub use config::PolicyConfig;
pub use policy::{
    CachePolicy, DEFAULT_JITTER, DEFAULT_MAX_ENTRY_BYTES, LONGEST_AGE, MAX_POLICY_TAGS,
};
pub use snapshot::{CacheSnapshot, CacheTotals};
pub use store::{DEFAULT_CACHE_BYTES, LARGEST_CACHE_BYTES, SMALLEST_CACHE_BYTES};
pub use weigh::Weigh;
