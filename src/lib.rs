//! A circuit breaker around database connection pools: a service stays up when its database does not.
//!
//! When a database slows down or hangs, every task of a service ends up waiting for a pooled
//! connection, and the service goes down with the database. When the database comes back, all the
//! waiting tasks hit it at once and take it down again.
//!
//! fusepool puts a circuit breaker in front of a pool of [`sqlx`](https://docs.rs/sqlx),
//! [`deadpool`](https://docs.rs/deadpool), [`deadpool-postgres`](https://docs.rs/deadpool-postgres)
//! or [`diesel-async`](https://docs.rs/diesel-async). While the database is unhealthy, calls are
//! refused at once, or served from a cache or another fallback. When it has recovered, calls are let
//! back in gradually.
//!
//! **The [guide]** leads from the quick start to production: migration, fallbacks, errors and retries,
//! tuning, a runbook, and questions.
//!
//! # Getting started
//!
//! The pool types keep their names, so most applications only change imports. What differs is listed
//! for [sqlx](sqlx#what-differs-from-sqlx), [deadpool](deadpool#what-differs-from-deadpool),
//! [deadpool-postgres](deadpool::postgres#what-differs-from-deadpool-postgres) and
//! [diesel-async](deadpool::diesel#what-differs-from-diesel-async).
//!
//! **sqlx:**
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
//! **deadpool-postgres:**
//!
//! ```no_run
//! # #[cfg(feature = "deadpool-postgres")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use fusepool::deadpool::postgres::{Config, Pool, Runtime}; // was: deadpool_postgres::{..}
//! use tokio_postgres::NoTls;
//!
//! let pool: Pool = Config::new().create_pool(Some(Runtime::Tokio1), NoTls)?;
//!
//! let client = pool.get().await?;
//! client.execute("UPDATE dish SET price = price + 1", &[]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! **diesel-async:**
//!
//! ```no_run
//! # #[cfg(feature = "diesel-postgres")]
//! # async fn run(url: &str) -> Result<(), Box<dyn std::error::Error>> {
//! use fusepool::deadpool::diesel::pooled_connection::{AsyncDieselConnectionManager, deadpool::Pool};
//! use fusepool::deadpool::diesel::{AsyncPgConnection, RunQueryDsl}; // was: diesel_async::{..}
//!
//! let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(url);
//! let pool: Pool<AsyncPgConnection> = Pool::builder(manager).build()?;
//!
//! let mut conn = pool.get().await?;
//! diesel::sql_query("UPDATE dish SET price = price + 1").execute(&mut conn).await?;
//! # Ok(())
//! # }
//! ```
//!
//! **Any other manager of deadpool**, whose statements go through [`guard`](deadpool::Object::guard):
//!
//! ```no_run
//! # #[cfg(feature = "deadpool")]
//! # async fn run<M>(manager: M) -> Result<(), Box<dyn std::error::Error>>
//! # where
//! #     M: fusepool::deadpool::Manager<Type = tokio::net::TcpStream, Error = std::io::Error> + 'static,
//! # {
//! use fusepool::deadpool::Pool; // was: deadpool::managed::Pool
//! use tokio::io::AsyncWriteExt;
//!
//! let pool = Pool::<M>::builder(manager).max_size(16).build()?;
//!
//! let mut stream = pool.get().await?;
//! stream.guard(async |stream| stream.write_all(b"PING").await).await?;
//! # Ok(())
//! # }
//! ```
//!
//! **Any other pool**, through an [`Adapter`] that you write, as
//! [this example](https://github.com/fusepool/fusepool/tree/main/examples/bb8) does for bb8:
//!
//! ```no_run
//! # async fn run<A>(adapter: A) -> Result<(), Box<dyn std::error::Error>>
//! # where
//! #     A: fusepool::Adapter<
//! #         Connection = tokio::net::TcpStream,
//! #         Error = std::io::Error,
//! #         StatementError = std::io::Error,
//! #     >,
//! # {
//! use fusepool::Guarded;
//! use tokio::io::AsyncWriteExt;
//!
//! let pool = Guarded::builder(adapter).build()?;
//!
//! let mut stream = pool.lease().await?;
//! stream.guard(async |stream| stream.write_all(b"PING").await).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Refusals
//!
//! A refused call returns the error type of its pool. [`refusal`] finds the [`Refused`] in this error.
//! [`Refused::retry_after`] is the time to wait. `refusal` also finds the rejection of a [`Breaker`]
//! without a pool:
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
//! # When the database cannot answer
//!
//! A read can be served from the cache, within limits of age, by a default value, by another query, or
//! by another pool. You choose that query by query:
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
//! # What each pool can do
//!
//! | | [sqlx] | [deadpool-postgres] | [diesel-async] | [any deadpool manager] | [`Guarded`] |
//! |---|---|---|---|---|---|
//! | guarded acquisition | yes | yes | yes | yes | yes |
//! | guarded statements | yes | yes | yes | through [`guard`](deadpool::Object::guard) | through [`guard`](Lease::guard) |
//! | deadlines of their own | [`with_timeout`](sqlx::Pool::with_timeout) | [`with_timeout`](deadpool::postgres::Client::with_timeout) | [`with_timeout`](deadpool::diesel::Connection::with_timeout) | [yes](deadpool::Object::guard_with_timeout) | [yes](Lease::guard_with_timeout) |
//! | transactions never refused | yes (1) | yes (1) | yes (1) | no (2) | no (2) |
//! | cached reads | [`cached`](sqlx::ReadExt::cached) | [`cached`](deadpool::postgres::Pool::cached) | [`cached`](deadpool::diesel::ReadExt::cached) | [`cached`](deadpool::Pool::cached), with your key (3) | [`cached`](Guarded::cached), with your key (3) |
//! | fallbacks | [`ReadExt`](sqlx::ReadExt) | [`read`](deadpool::postgres::Pool::read) | [`with_fallback`](deadpool::diesel::ReadExt::with_fallback) | [`read`](deadpool::Pool::read) (3) | [`read`](Guarded::read) (3) |
//! | `invalidates` on writes | [`WriteExt`](sqlx::WriteExt) | [`invalidates`](deadpool::postgres::Client::invalidates) | [`invalidates`](deadpool::diesel::Connection::invalidates) | no (4) | no (4) |
//! | `cache()` and `snapshot()` | yes | yes | yes | yes (3) | yes (3) |
//! | [events](telemetry), [metrics](telemetry#metrics) and [spans](telemetry#spans) | yes | yes | yes (8) | yes (8) | yes (8) |
//! | [server-side cancel](#abandoned-statements) | yes (5), except on SQLite | yes | yes (6) | no (7) | [`Adapter::cancel`] |
//! | background probing | yes | yes | yes | yes: creates an object and recycles it | yes: [`connect`](Adapter::connect) and [`ping`](Adapter::ping) |
//! | [lost statements](#what-an-outage-leaves-behind) given up | yes (5), except on SQLite | yes (5) | yes (5) | no (7) | no |
//!
//! [sqlx]: sqlx
//! [deadpool-postgres]: deadpool::postgres
//! [diesel-async]: deadpool::diesel
//! [any deadpool manager]: deadpool
//!
//! [SeaORM](sqlx::sea_orm) runs on the sqlx pools, and has their column. Its statements, transactions and
//! savepoints are guarded; the entry points are [`ReadExt`](sqlx::sea_orm::ReadExt) and
//! [`invalidates`](sqlx::sea_orm::DatabaseConnection::invalidates).
//!
//! 1. Begun by a method, or by a text: of a statement on sqlx, of `batch_execute` and the like elsewhere.
//!    `SET autocommit = 0`, `XA START` and an outermost `SAVEPOINT` of SQLite are such texts, too. fusepool
//!    does not see a transaction that begins in another way, for example in a procedure. A connection whose
//!    transaction was begun by a text and not ended is closed when it is returned.
//! 2. fusepool does not know the manager's transactions: between the calls of `guard`, the breaker may
//!    refuse the next one. Run a transaction in one call of `guard`, which has one deadline.
//! 3. `cached`, `read` and `cache()` need the feature `cache`.
//! 4. The keys are yours, and fusepool does not know when a write commits: call
//!    [`Cache::invalidate_tag`] after it.
//! 5. Not on an existing pool that is only wrapped, nor behind a pooler, and not for sqlx's connections
//!    from `try_acquire`: their server sessions are not known.
//! 6. On PostgreSQL over TLS, use `Pool::builder_with_tls`, or set [`cancel_tls`](deadpool::diesel::PoolBuilder::cancel_tls).
//! 7. deadpool's `Manager` has no method for it.
//! 8. fusepool does not know the server. It knows an error code only if an [`Adapter`] returns it, or if it
//!    recognizes diesel-async's text.
//!
//! # What happens to a call
//!
//! 1. The [breaker] admits or rejects it, in less than a microsecond.
//! 2. It waits for a connection, up to `acquire_timeout`. If the queue moves so slowly that its
//!    connection would come later than that, it is refused at once.
//! 3. It runs, up to `query_timeout`. If a statement is given up, its connection refuses every other
//!    statement ([`Refused::Abandoned`]), is closed when it is returned, and is never leased again. It
//!    keeps its place in the pool [until the server has stopped](#abandoned-statements).
//! 4. Its result is [classified](Class) and recorded. A unique violation is an answer like any other. A
//!    broken connection is a failure. A call that hangs counts as slow while it still hangs. Callers
//!    with timeouts of their own, who leave earlier than that, count as
//!    [demand](breaker::Builder::stall_after): if no call succeeds, and the database does not answer
//!    the pool's own ping either, the breaker opens.
//!
//! While the breaker is open, a background task probes the database on a connection of its own. So
//! recovery needs no traffic, and no caller's call is the first to try. The task has `acquire_timeout`
//! to connect, and `probe_timeout` for each answer. If it cannot open a connection of its own, it
//! borrows an idle one from the pool. A caller's call has its own deadline in every state of the
//! breaker.
//!
//! # Abandoned statements
//!
//! A statement is abandoned at its deadline, and when its future is dropped. The server does not notice
//! this, and goes on. So the server is asked to stop, and the connection keeps its place in the pool until
//! the server has stopped: the server never works on more statements than the pool has connections. The
//! place becomes free when the connection has answered or failed, and after `query_timeout` at the latest.
//!
//! If the statement was a write that [invalidates](cache) cached answers, it may still take effect. These
//! answers are in doubt until the server is known to have ended the statement: its connection answered
//! after it, or its session is gone. fusepool ends the session of a connection that was closed before that.
//! If the session is not known, the doubt lasts for an hour.
//!
//! A stream of rows that is dropped before its end is no abandoned statement. The rows that have arrived are
//! read. If there are more, the server is asked to stop, and the connection is closed at once.
//!
//! deadpool-postgres and diesel-async have cancel requests of their own. For sqlx, fusepool asks each
//! connection once, when it is opened, which server session serves it: one more round trip. It tells
//! sessions apart by the time at which their connections were opened, so it delays connections that are
//! opened at the same time by 2 ms each. It stops the
//! statement with `pg_cancel_backend` or `KILL QUERY`, on a connection beside the pool. There is at most
//! one such connection at a time. While the breaker is open, nothing is stopped.
//!
//! Behind a pooler that shares its server connections between clients, such as PgBouncer, `pg_cancel_backend`
//! could stop a statement of another client. fusepool recognizes such a pooler by server sessions that are
//! older than their connections, or that serve two of them. It then stops no statement. Switch off
//! `side_connections` to be certain.
//!
//! # Connections used past the guard
//!
//! The driver's own connection can be used directly, through `DerefMut` or `unguarded`. fusepool does not
//! see a statement that is cancelled there. Some drivers then return its answer to the next statement. So
//! at the end of such a lease, a
//! connection to PostgreSQL, MySQL or MariaDB must echo a random number: one more round trip. If the answer
//! is another one, or takes longer than 200 ms, the connection is closed. Connections of other managers of
//! deadpool are only recycled, as without fusepool.
//!
//! # What an outage leaves behind
//!
//! The network may drop all connections in the middle of their statements. The pool would then wait up
//! to `query_timeout` for answers that never come. So fusepool asks the server, on a connection beside the
//! pool, about the statements from before the outage, when both hold:
//!
//! - The database has been found healthy again.
//! - A caller has waited for a third of its timeout at a full pool.
//!
//! A statement whose server session is gone or idle has lost its answer, and is given up. The error [says
//! so](Awaited::LostAnswer). A statement that still runs is left alone, however long it takes. The server
//! is asked twice, 50 ms apart, because an answer may be on its way.
//!
//! If fusepool does not know the server session of a statement, only its deadline ends it. This is so on
//! SQLite, behind a pooler, on a wrapped pool, and if another server answers after a failover. No statement
//! is given up in a mode other than [`Enforce`](breaker::Mode::Enforce), or if `side_connections` is off.
//!
//! # Where this differs from what one might expect
//!
//! - **Starvation.** If a caller obtains no connection in time, fusepool checks whether any other call
//!   obtained one within the last `acquire_timeout`. If so, the pool is saturated, and the call is
//!   ignored. If not, fusepool asks the database. If it answers, the connections are busy with long
//!   statements, and the call is ignored, too. Otherwise the call is a failure. The breaker's window of
//!   10 s plays no role: a database that hangs would be noticed 10 s late. The same rule applies to a
//!   server or a pooler that has no free slot for a connection. A statement for which a pooler had no
//!   connection is a failure if no call was answered in that time.
//! - **A read-only server** is no failure by itself: it may be a replica, or a role may not write. If a
//!   server of the pool accepted writes before, it is a failover: a connection on which a write
//!   failed is closed, so that a new one can reach the new primary, and the write counts as a
//!   failure. fusepool asks the server when such a connection is returned. If these failures open the
//!   breaker, only a server that accepts writes closes it. To know what the servers accept, fusepool
//!   asks the first connection that it leases, and another one every ten seconds until one accepts
//!   writes.
//! - **`BEGIN`, `ROLLBACK` and savepoints** that succeed are in no window. Otherwise they would hide
//!   that every statement between them fails.
//! - **Waiting ends when the breaker opens.** Callers in the queue are refused at once, so that they do
//!   not each try to connect to a database that hangs.
//! - **An acquired connection is no success.** Only a failure to acquire one counts. Most leases ask
//!   the database nothing, and would hide a backend that accepts connections but cannot answer.
//! - **A call is counted once**, at its end or when it reaches the slow-call threshold. If it fails
//!   after that, it still counts towards `consecutive_failures`.
//! - **A mode that does not enforce** refuses no call: [`Observe`](breaker::Mode::Observe) and
//!   [`Disabled`](breaker::Mode::Disabled). `query_timeout` ends no call either, but a statement's own
//!   deadline does, and so does the timeout of the driver's own pool. Only a connection on which a
//!   statement was abandoned refuses later statements.
//! - **A probe on a lease** is the first statement on it, not the lease. A lease that is held idle
//!   frees its probe slot at `probe_timeout`.
//! - **A stream** is judged by its first row. Later waits count only if they fail. If it is dropped
//!   after its first row, the rows that have arrived are read. If there are more, its statement is
//!   stopped, and its connection is closed.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `sqlx-postgres` | [`fusepool::sqlx`](sqlx) for PostgreSQL |
//! | `sqlx-mysql` | for MySQL and MariaDB |
//! | `sqlx-sqlite` | for SQLite |
//! | `sea-orm` | [`fusepool::sqlx::sea_orm`](sqlx::sea_orm), for SeaORM 2 with the sqlx drivers that are enabled |
//! | `deadpool` | [`fusepool::deadpool`](deadpool) for any manager |
//! | `deadpool-postgres` | [`fusepool::deadpool::postgres`](deadpool::postgres) |
//! | `diesel-postgres` | [`fusepool::deadpool::diesel`](deadpool::diesel), for diesel-async with PostgreSQL |
//! | `diesel-mysql` | for diesel-async with MySQL and MariaDB |
//! | `cache` | cached reads and fallbacks on [`Guarded`] and [`fusepool::deadpool`](deadpool); the sqlx, deadpool-postgres and diesel features enable it |
//! | `metrics` | [metrics](telemetry#metrics) with the crate `metrics`, for Prometheus and others |
//! | `opentelemetry_0_33` | the same metrics with version 0.33 of the crate `opentelemetry` |
//! | `live` | a [page](live) that shows pools at work, for your web service to mount |
//! | `serde` | settings from a file or the environment: [`GuardConfig`], [`breaker::Builder`], [`cache::PolicyConfig`], [`Config`](deadpool::postgres::Config) |
//!
//! No feature is enabled by default. Without any, the crate has the [breaker], the [`Gate`] for
//! futures, and [`Guarded`] for other pools.
//!
//! # Runtimes
//!
//! fusepool needs a tokio runtime with its timers enabled. A pool can be used from several runtimes,
//! including runtimes that end, and current-thread runtimes that stand still outside of `block_on`. An
//! example is a pool in a `static` that is used by tests with a runtime each:
//!
//! - A connection that was opened on another runtime is leased only if that runtime is driven.
//!   Otherwise it would accept a statement and never answer. This holds for connections to servers
//!   that a pool of this crate opens, and not for existing pools that are wrapped, nor for other
//!   managers of deadpool, which test their objects themselves. If a runtime ends while a connection
//!   that was opened on it is in use elsewhere, the statement fails, as with sqlx and deadpool.
//! - The load of a cached read is begun anew on the runtime of another caller.
//! - If the background task that probes makes no progress, a call that would be refused asks the
//!   database in its place, for at most `probe_timeout`. One call at a time does so.

// Library code never panics; a panic is how a test fails.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// docs.rs sets this, and labels each item with the features that it needs. If drivers share an
// internal feature, a label below names the drivers instead, because a user chooses those.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod breaker;
#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "deadpool")]
pub mod deadpool;
mod gate;
#[cfg(feature = "live")]
pub mod live;
// Only rustdoc sees it, so that it costs applications nothing. Its examples need drivers, its pages do not.
#[cfg_attr(docsrs, doc(auto_cfg = false))]
#[cfg(all(
    doc,
    any(
        not(doctest),
        all(
            feature = "sqlx-postgres",
            feature = "sqlx-sqlite",
            feature = "sea-orm",
            feature = "deadpool-postgres",
            feature = "diesel-postgres"
        )
    )
))]
pub mod guide;
pub mod lint;
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
pub use cache::not_a_read::NotARead;
pub use gate::Gate;
pub use gate::builder::GateBuilder;
pub use gate::config::GuardConfig;
pub use gate::limits::{DEFAULT_ACQUIRE_TIMEOUT, DEFAULT_MAX_QUEUE, DEFAULT_QUERY_TIMEOUT};
pub use gate::snapshot::{GateSnapshot, GateTotals};
pub use outcome::code::ErrorCode;
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
#[cfg(all(doctest, feature = "sqlx-postgres"))]
#[doc = include_str!("../README.md")]
struct Readme;
