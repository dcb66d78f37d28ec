//! Guarded pools for [sqlx](https://docs.rs/sqlx): the pool types under sqlx's names.
//!
//! [`Pool`], [`PoolOptions`], [`PoolConnection`] and [`Transaction`] replace sqlx's types of the
//! same names. Everything else (queries, rows, traits, macros) is used from sqlx as before.
//!
//! ```no_run
//! # #[cfg(feature = "sqlx-postgres")]
//! # async fn run(url: &str) -> sqlx::Result<()> {
//! use fusepool::sqlx::PgPoolOptions; // was: sqlx::postgres::PgPoolOptions
//!
//! let pool = PgPoolOptions::new().max_connections(10).connect(url).await?;
//!
//! let mut tx = pool.begin().await?;
//! sqlx::query("UPDATE dish SET price = price + 1").execute(&mut *tx).await?;
//! tx.commit().await?;
//! # Ok(())
//! # }
//! ```
//!
//! `&Pool`, `&mut *conn` and `&mut *tx` are executors whose statements are guarded. `&mut *conn`
//! and `&mut *tx` also coerce to `&mut DB::Connection`. Statements that a function executes on that
//! are neither guarded nor recorded.
//!
//! # Settings
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | [`breaker`](PoolOptions::breaker) | [see there](crate::breaker#defaults) | when the breaker opens, and how it closes again |
//! | [`acquire_timeout`](PoolOptions::acquire_timeout) | 2 s (sqlx: 30 s) | how long a caller waits for a connection; `connect` waits 30 s for a database that starts late, unless this is set |
//! | [`query_timeout`](PoolOptions::query_timeout) | 30 s | how long a statement may take; for one statement, use [`Pool::with_timeout`] |
//! | [`max_queue`](PoolOptions::max_queue) | 10,000 | how many callers may wait for a connection |
//! | [`probe_query`](PoolOptions::probe_query) | `SELECT 1` | the statement of the probes |
//! | [`alive_bypass`](PoolOptions::alive_bypass) | 500 ms | connections that were idle for less than this are not tested before use |
//! | [`active_probing`](PoolOptions::active_probing) | on | probe the database in the background while the breaker is open |
//! | [`side_connections`](PoolOptions::side_connections) | on | stop [abandoned statements](crate#abandoned-statements) on the server, and ask it about those [from before an outage](crate#what-an-outage-leaves-behind) |
//! | [`classify`](PoolOptions::classify) | the driver's table | what each error means |
//! | [`load`](PoolOptions::load) | unknown | what the pool is used for, for [warnings](crate::lint) |
//! | [`sink`](PoolOptions::sink) | none | who else receives the [events](crate::telemetry) |
//! | [`tracing`](PoolOptions::tracing) | on | emit the events with `tracing` |
//! | [`spans`](PoolOptions::spans) | off | make a [span](crate::telemetry#spans) of each statement |
//! | [`cache_bytes`](PoolOptions::cache_bytes) | 64 MiB | memory limit for cached answers |
#![cfg_attr(
    feature = "metrics",
    doc = "| [`metrics`](PoolOptions::metrics) | off | record [metrics](crate::telemetry#metrics) |"
)]
//!
//! [`configure`](PoolOptions::configure) takes settings from a [`GuardConfig`](crate::GuardConfig), which can be read
//! from a file.
//!
//! # Errors
//!
//! Every error is an `sqlx::Error`. [`refusal`](crate::refusal) finds the
//! [`Refused`](crate::Refused) in it, if the call was refused. [`delivery`] says whether the
//! statement may have reached the database.
//!
//! | what happened | `sqlx::Error` | [`delivery`] |
//! |---|---|---|
//! | refused: the breaker is open, or too many callers wait | `Io` (`ConnectionRefused`) with [`Refused`](crate::Refused) | not sent |
//! | no connection within `acquire_timeout` | `PoolTimedOut` | not sent |
//! | opening a connection failed | `Io` with [`CouldNotConnect`] | not sent |
//! | the statement exceeded its deadline | `Io` (`TimedOut`) with [`DeadlineExceeded`](crate::DeadlineExceeded) | unknown |
//! | the connection broke | `Io`, `Protocol`, ... | unknown |
//! | the database answered with an error | `Database` | answered |
//! | the configuration is invalid | `Configuration` with [`ConfigError`](crate::ConfigError) | not sent |
//! | a cached statement does more than read | `Configuration` with [`NotARead`](crate::NotARead) | not sent |
//!
//! # Cached reads and other fallbacks
//!
//! [`ReadExt`] adds `cached`, `or_value`, `or_else` and `or_from` to queries that return rows, and
//! explains which value is served when. [`WriteExt`] adds `invalidates` to queries that write.
//! [`Pool::cache`] invalidates cached answers by hand, and reports the state of the cache.
//!
//! # Deadlines
//!
//! `execute`, `fetch_one`, `fetch_optional` and `fetch_all` have one deadline each, for all of their rows:
//! [`query_timeout`](PoolOptions::query_timeout), or that of [`with_timeout`](Pool::with_timeout). sqlx
//! collects the rows of `query_as`, `query_scalar` and the macros from a stream. fusepool cannot distinguish
//! this from a stream that the application reads. So the waits of a caller that asks for the next row at
//! once add up to one deadline. If it does something else between two rows, for longer than 50 ms and 0.1 ms for
//! each row that it received since it last waited, the next wait has the whole deadline again. The time
//! that a caller spends on its rows does not count. An export that is faster than the database needs a
//! deadline of its own.
//!
//! # What differs from sqlx
//!
//! - **`begin`**: [`PoolConnection`] and [`Transaction`] have their own `begin`, which takes
//!   precedence over `Acquire::begin`, so that savepoints are guarded, too. If `use sqlx::Acquire`
//!   was only there for `begin`, it becomes an unused import.
//! - **[`sqlx::Acquire`]**: import [`Acquire`] of this module instead. sqlx's trait fixes its types. Through it, a leased connection is an
//!   [`AcquiredConnection`] and a transaction is sqlx's own. Admission and acquisition are guarded,
//!   statements are not. The same holds for `Connection::transaction` and `Connection::begin` on
//!   the driver's connection. If such a transaction is dropped while the database hangs, it keeps
//!   its slot in the pool until the database answers or the connection breaks.
//! - **`#[sqlx::test]`** provides sqlx's pool: convert it with `.into()`.
//! - **`PgListener::connect_with`** takes sqlx's pool: [`Pool::inner`] returns it, unguarded.
//!   `PgListener::connect` works unchanged.
//! - **Generic code** needs `DB: Database`, as with sqlx. Where it builds a pool, or uses `&mut
//!   *conn` or `&mut *tx` as an executor, it needs [`DB: Driver`](Driver).
//! - **Missing**: items that sqlx hides from its documentation (`PoolOptions::{parent, __fair}`,
//!   `PoolConnection::return_to_pool`, the function `Transaction::begin(connection, ..)`), and
//!   `sqlx::Any`, which hides the driver's errors, so that they cannot be classified.
//! - **`sqlx::Connection`** cannot be implemented by a wrapper. Its methods are available through
//!   the driver's connection. [`ping`](GuardedConnection::ping) is guarded.
//! - **A stream that is dropped before its end** closes its connection, unless the remaining rows have
//!   arrived already: the drivers would read all of them first, without ever yielding.
//! - **Abandoned statements**: after a statement was abandoned, by its deadline or because its
//!   future was dropped, its connection refuses every other statement, including `COMMIT` and
//!   `ROLLBACK` ([`Refused::Abandoned`](crate::Refused::Abandoned)). It is closed when it is
//!   dropped, and the server then rolls back.
//! - **An abandoned statement is [stopped on the server](crate#abandoned-statements)**, except on a
//!   pool that was only wrapped, and behind a pooler. There, set a `statement_timeout` (PostgreSQL) or
//!   `max_statement_time` (MariaDB) that is a little shorter than
//!   [`query_timeout`](PoolOptions::query_timeout).
//! - **Errors of a shared load**: [`database_error`] finds the driver's own error in them.
//!   `try_downcast_ref` does not.
//! - **`fetch_one` and `fetch_optional` on MySQL** read up to 256 rows, and then close the connection if
//!   more are on their way. sqlx returns the first row, and reads the others before the next statement.
//! - **An in-memory SQLite database** lives in its connection: an abandoned statement closes the
//!   connection, and with it the database.

mod acquire;
mod adapter;
mod connect;
mod connection;
mod created;
mod driver;
mod error;
mod executor;
mod guarded_acquire;
#[cfg(feature = "sqlx-mysql")]
pub mod mysql;
mod options;
mod pool;
#[cfg(feature = "sqlx-postgres")]
pub mod postgres;
mod read;
#[cfg(feature = "sea-orm")]
pub mod sea_orm;
mod shared;
#[cfg(feature = "sqlx-sqlite")]
pub mod sqlite;
mod statement;
mod transaction;
mod write;

pub use crate::cache::handle::Cache;
pub use crate::outcome::delivery::Delivery;
pub use crate::pool::snapshot::PoolSnapshot;
pub use connection::{AcquiredConnection, GuardedConnection, PoolConnection};
pub use driver::Driver;
pub use error::{CouldNotConnect, delivery};
pub use executor::Configured;
pub use guarded_acquire::Acquire;
#[cfg(feature = "sqlx-mysql")]
pub use mysql::{MySqlPool, MySqlPoolOptions, MySqlTransaction};
pub use options::{DEFAULT_ALIVE_BYPASS, PoolOptions};
pub use pool::Pool;
#[cfg(feature = "sqlx-postgres")]
pub use postgres::{PgPool, PgPoolOptions, PgTransaction};
pub use read::mapper::Readable;
pub use read::{Read, ReadExt};
pub use shared::database_error;
#[cfg(feature = "sqlx-sqlite")]
pub use sqlite::{SqlitePool, SqlitePoolOptions, SqliteTransaction};
pub use transaction::Transaction;
pub use write::{Write, WriteExt};
