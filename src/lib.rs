//! A connection pool that trips: a service stays up when its database does not.
//!
//! When a database slows down or hangs, every task of a service ends up waiting for a pooled
//! connection, and the service dies with it; when the database comes back, a stampede kills it
//! again. fusepool puts a circuit breaker in front of an ordinary [`sqlx`](https://docs.rs/sqlx) or
//! [`deadpool`](https://docs.rs/deadpool) pool: while the database is unwell, calls are refused at
//! once, and when it recovers, they are let back in gently.
//!
//! # Changing over
//!
//! The imports of the pool types change, and little else; what differs is listed for
//! [sqlx](sqlx#what-differs-from-sqlx), [deadpool](deadpool#what-differs-from-deadpool),
//! [deadpool-postgres](deadpool::postgres#what-differs-from-deadpool-postgres) and
//! [diesel-async](deadpool::diesel#what-differs-from-diesel-async).
//!
//! ```no_run
//! # #[cfg(feature = "sqlx-postgres")]
//! # async fn run(url: &str) -> sqlx::Result<()> {
//! use fusepool::sqlx::{PgPool, PgPoolOptions}; // was: sqlx::{PgPool, postgres::PgPoolOptions}
//!
//! let pool: PgPool = PgPoolOptions::new().max_connections(10).connect(url).await?;
//!
//! sqlx::query("UPDATE dish SET price = price + 1").execute(&pool).await?;
//! let mut tx = pool.begin().await?;
//! sqlx::query("DELETE FROM dish").execute(&mut *tx).await?;
//! tx.commit().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A refused call is an ordinary `sqlx::Error`, in which [`refusal`] finds when to retry:
//!
//! ```
//! # fn status(error: &sqlx::Error) -> (u16, Option<u64>) {
//! match fusepool::refusal(error) {
//!     Some(refused) => (503, refused.retry_after().map(|after| after.as_secs() + 1)),
//!     None => (500, None),
//! }
//! # }
//! ```
//!
//! The same goes for [`deadpool-postgres`](deadpool::postgres), for [`diesel-async`](deadpool::diesel),
//! for [any other manager](deadpool) of deadpool's, and, with an [`Adapter`], for pools that fusepool
//! does not know: `examples/bb8` has one for bb8.
//!
//! # When the database cannot answer
//!
//! Reads can be served by others, chosen query by query: by a cache, within bounds of age; by a
//! value; by another query; by another pool.
//!
//! ```no_run
//! # #[cfg(feature = "sqlx-postgres")]
//! # async fn run(pool: &fusepool::sqlx::PgPool, day: i32) -> sqlx::Result<()> {
//! use fusepool::cache::CachePolicy;
//! use fusepool::sqlx::ReadExt;
//! use std::time::Duration;
//!
//! const MENU: CachePolicy = CachePolicy::named("menu")
//!     .fresh_for(Duration::from_secs(5))
//!     .stale_if_error(Duration::from_secs(600));
//!
//! let dishes = sqlx::query_as::<_, (i64, String)>("SELECT id, name FROM dish WHERE day = $1")
//!     .bind(day)
//!     .cached(&MENU)
//!     .fetch_all_served(pool)
//!     .await?;
//! println!("{} dishes, {:?}", dishes.value.len(), dishes.source); // 12 dishes, Stale { age: 47s, ... }
//! # Ok(())
//! # }
//! ```
//!
//! [`cache`] has the table of what is served when.
//!
//! # What happens to a call
//!
//! 1. The [breaker] admits or refuses it. Refusing takes a fraction of a microsecond.
//! 2. It waits for a connection: as one of at most `max_queue` callers (the next is refused at
//!    once), and no longer than `acquire_timeout`.
//! 3. It runs, no longer than `query_timeout`. A connection whose statement was given up refuses every
//!    other statement ([`Refused::Abandoned`]), is closed when it is given back, and never leased again.
//! 4. What came of it is [classified](Class) and moves the breaker: a unique violation is an answer
//!    like any other, a broken connection is a failure, and a call that merely hangs counts as slow
//!    while it still hangs. Callers with timeouts of their own, who leave earlier than that, count as
//!    [demand](breaker::Builder::stall_after): where nobody is answered, the breaker opens.
//!
//! While the breaker is open, a background task probes the database with a connection of its own,
//! so recovery needs no traffic, and no user's call is the first to try. Connecting has the time that
//! callers have for it, `acquire_timeout`; each answer has `probe_timeout`. Where no connection can be
//! had beside the pool's, it borrows an idle one. A user's call has its own deadline in every state.
//!
//! # What an outage leaves behind
//!
//! The network may forget all connections in the middle of their statements. Those would hold their
//! places in the pool up to `query_timeout`, for answers that never come. So when that background task
//! has found the database well again, a caller has waited a third of its time at a full pool, and
//! nobody got a connection since, then the statements from before are given up as at their deadline,
//! with an error that [says so](Awaited::LostAnswer).
//! Left alone are a transaction's `commit`, statements with a deadline of their own (`with_timeout`, `guard_with_timeout`),
//! statements that have not yet run twice as long as the longest before them, SQLite, and everything
//! in other modes than [`Enforce`](breaker::Mode::Enforce).
//!
//! Statements that are merely slow look the same from here. Where all connections of a pool are busy
//! for seconds, on long statements or one lock, while others wait, the breaker opens for want of
//! connections, closes since the database is well, and such statements are given up, unless some
//! that took as long have ended before. Give them a deadline of their own, or set `give_up_lost(false)` on
//! the pool.
//!
//! # The source
//!
//! Eight rooms. Imports go from one floor to a lower one, and never in a circle.
//!
//! ```text
//! sqlx/  deadpool/   6  adapters, one file or folder a driver; they never see each other
//! cache/             5  what is kept, for how long, one load a key, and what is served instead
//! pool/              5  any pool, through an adapter: leases, their state, background probes
//! gate/              4  admit, run, classify, settle, report: start reading here
//! telemetry/         3  events, and tracing
//! outcome/           2  what a caller gets: errors, the source of a value, tables of codes
//! breaker/           1  the state machine, its rules, and the shell around it
//! ```
//!
//! # Where this differs from what one might expect
//!
//! - **Starvation** is judged against the last `acquire_timeout`, not against the breaker's window: if
//!   nobody got a connection in all that time, it is a failure, otherwise saturation. With a window of
//!   10 s, a database that hangs would otherwise be found out 10 s late. A server without a free slot
//!   starves its callers likewise.
//! - **Waiting ends when the breaker opens**: those who wait for a connection are refused there and
//!   then, and do not each try to connect to a database that hangs.
//! - **An acquired connection is no evidence** either way: only failing to get one counts. Most
//!   leases ask the database nothing, and would hide a backend that connects but cannot answer.
//! - **A call is counted once**, at its end or when it turns slow. A failure that comes after the slow
//!   bound still counts towards consecutive failures.
//! - **A mode that does not enforce is inert**: in [`Observe`](breaker::Mode::Observe) and
//!   [`Disabled`](breaker::Mode::Disabled) nothing is refused, and neither `acquire_timeout` nor
//!   `query_timeout` ends anything; a deadline of a statement's own does.
//! - **A probe on a lease** is settled by a ping before the lease is handed out, since a caller may
//!   hold it idle for long.
//! - **A stream** is judged by its first row; later waits count only if they go wrong. Dropped after
//!   its first row, its connection is drained within a bound, or else closed.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `sqlx-postgres` | [`fusepool::sqlx`](sqlx) for PostgreSQL |
//! | `sqlx-mysql` | for MySQL and MariaDB |
//! | `sqlx-sqlite` | for SQLite |
//! | `deadpool` | [`fusepool::deadpool`](deadpool) for any manager |
//! | `deadpool-postgres` | [`fusepool::deadpool::postgres`](deadpool::postgres) |
//! | `diesel-postgres` | [`fusepool::deadpool::diesel`](deadpool::diesel), for diesel-async with PostgreSQL |
//! | `diesel-mysql` | for diesel-async with MySQL and MariaDB |
//! | `serde` | [`Config`](deadpool::postgres::Config) from an application's configuration |
//!
//! None is on by default. Without any there is the [breaker], the [`Gate`] for futures, and
//! [`Guarded`] for pools of all kinds.
//!
//! A tokio runtime is needed, with its timers.

// Library code never panics; a panic is how a test fails.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(
    not(feature = "sqlx"),
    allow(
        dead_code,
        reason = "parts of the gate and of the cache have no other caller"
    )
)]
// docs.rs sets this, and labels each item with the features that it needs. Where those are features
// that the drivers share, the label below names the drivers, since they are what a user chooses.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod breaker;
#[cfg(feature = "cache")]
#[cfg_attr(
    docsrs,
    doc(cfg(any(
        feature = "sqlx-postgres",
        feature = "sqlx-mysql",
        feature = "sqlx-sqlite",
        feature = "deadpool-postgres"
    )))
)]
pub mod cache;
#[cfg(feature = "deadpool")]
pub mod deadpool;
mod gate;
mod outcome;
mod pool;
#[cfg(feature = "sqlx")]
#[cfg_attr(
    docsrs,
    doc(cfg(any(
        feature = "sqlx-postgres",
        feature = "sqlx-mysql",
        feature = "sqlx-sqlite"
    )))
)]
pub mod sqlx;
pub mod telemetry;

pub use breaker::clock::{Clock, CoarseClock, ManualClock, PreciseClock};
pub use breaker::config::ConfigError;
pub use breaker::handle::Breaker;
pub use breaker::verdict::{Class, Classify, Verdict};
#[cfg(feature = "cache")]
pub use cache::handle::Cache;
#[cfg(feature = "cache")]
pub use cache::read_only::NotARead;
pub use gate::Gate;
pub use gate::builder::GateBuilder;
pub use gate::limits::{
    DEFAULT_ACQUIRE_TIMEOUT, DEFAULT_QUERY_TIMEOUT, DEFAULT_QUEUE_PER_CONNECTION,
};
pub use gate::snapshot::GateSnapshot;
#[cfg(any(feature = "sqlx", feature = "deadpool-postgres", feature = "diesel"))]
#[cfg_attr(
    docsrs,
    doc(cfg(any(
        feature = "sqlx-postgres",
        feature = "sqlx-mysql",
        feature = "sqlx-sqlite",
        feature = "deadpool-postgres",
        feature = "diesel-postgres",
        feature = "diesel-mysql"
    )))
)]
pub use outcome::delivery::Delivery;
pub use outcome::error::{
    Awaited, DeadlineExceeded, GateError, Refused, WithTimeoutError, deadline_exceeded, refusal,
};
pub use outcome::served::{Served, Source, StaleReason, Unanswered};
pub use pool::adapter::Adapter;
pub use pool::guarded::{Guarded, GuardedBuilder};
pub use pool::lease::Lease;
#[cfg(feature = "cache")]
pub use pool::read::Read;
#[cfg(feature = "cache")]
pub use pool::read_error::ReadError;
pub use pool::snapshot::{PoolSnapshot, PoolStatus};

/// Compiles the examples of the README.
#[cfg(all(
    doctest,
    feature = "sqlx-postgres",
    feature = "deadpool-postgres",
    feature = "diesel-postgres"
))]
#[doc = include_str!("../README.md")]
struct Readme;
