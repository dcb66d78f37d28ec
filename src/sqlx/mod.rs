//! Guarded pools for [sqlx](https://docs.rs/sqlx): the pool types under sqlx's names.
//!
//! [`Pool`], [`PoolOptions`], [`PoolConnection`] and [`Transaction`] take the places of sqlx's; all
//! else (queries, rows, traits, macros) stays sqlx's own. `&Pool`, `&mut *conn` and `&mut *tx` are
//! executors whose statements are guarded; the latter two also coerce to `&mut DB::Connection`,
//! where a function asks for that, and what it does then is not seen.
//!
//! # Settings
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | [`breaker`](PoolOptions::breaker) | [see there](crate::breaker#defaults) | when to trip, and how to come back |
//! | [`acquire_timeout`](PoolOptions::acquire_timeout) | 2 s (sqlx: 30 s) | how long to wait for a connection |
//! | [`query_timeout`](PoolOptions::query_timeout) | 30 s | how long a statement may take; [`Pool::with_timeout`] for one |
//! | [`max_queue`](PoolOptions::max_queue) | 8 × `max_connections` | how many callers may wait |
//! | [`alive_bypass`](PoolOptions::alive_bypass) | 500 ms | connections used more recently are not tested |
//! | [`active_probing`](PoolOptions::active_probing) | on | probe in the background while open |
//! | [`give_up_lost`](PoolOptions::give_up_lost) | on, except for SQLite | give up [what an outage leaves behind](crate#what-an-outage-leaves-behind) |
//! | [`classify`](PoolOptions::classify) | the driver's table | what errors mean |
//! | [`sink`](PoolOptions::sink) | `tracing` | who takes the events |
//! | [`cache_bytes`](PoolOptions::cache_bytes) | 64 MiB | how much memory cached answers may take |
//!
//! # Errors
//!
//! All are `sqlx::Error`. [`refusal`](crate::refusal) finds refusals in them, and
//! [`delivery`] tells whether the statement may have reached the database.
//!
//! | what happened | `sqlx::Error` | [`delivery`] |
//! |---|---|---|
//! | refused: open, or too many waiting | `Io` (`ConnectionRefused`) with [`Refused`](crate::Refused) | not sent |
//! | no connection came free in time | `PoolTimedOut` | not sent |
//! | could not connect | `Io` with [`CouldNotConnect`] | not sent |
//! | deadline of the statement | `Io` (`TimedOut`) with [`DeadlineExceeded`](crate::DeadlineExceeded) | unknown |
//! | the connection broke | `Io`, `Protocol`, ... | unknown |
//! | the database said no | `Database` | answered |
//! | misconfigured | `Configuration` with [`ConfigError`](crate::ConfigError) | not sent |
//! | not a read, and yet cached | `Configuration` with [`NotARead`](crate::NotARead) | not sent |
//!
//! # Cached reads and other fallbacks
//!
//! [`ReadExt`] puts `cached`, `or_value`, `or_else` and `or_from` on queries that return rows, and
//! explains what is served when; [`WriteExt`] puts `invalidates` on those that write. What is known
//! of a pool's cache, and ways to invalidate it, are at [`Pool::cache`].
//!
//! # What differs from sqlx
//!
//! - Inherent `begin` on [`PoolConnection`] and [`Transaction`] takes the place of
//!   `Acquire::begin`, so that savepoints are guarded, too; a `use sqlx::Acquire` for that alone is
//!   then an unused import.
//! - [`sqlx::Acquire`] fixes its types: through it, a lease is an [`AcquiredConnection`] and a
//!   transaction is sqlx's own. Admission and acquisition are guarded there, statements are not.
//!   The same goes for `Connection::transaction` and `Connection::begin` on the driver's connection.
//!   A transaction begun there that is given up while the database hangs holds its place in the
//!   pool until the database answers or the connection breaks.
//! - `#[sqlx::test]` gives sqlx's pool: take it as such, and use `.into()`.
//! - `PgListener::connect_with` and `PgPoolCopyExt` want sqlx's pool: [`Pool::inner`] is that pool,
//!   unguarded. `PgListener::connect`, and `COPY` on a connection, work as they are.
//! - Generic code needs `DB: Database` as with sqlx; where it builds a pool, or uses `&mut *conn` or
//!   `&mut *tx` as an executor, it needs [`DB: Driver`](Driver).
//! - Absent: what sqlx hides from its own documentation (`PoolOptions::{parent, __fair}`,
//!   `PoolConnection::return_to_pool`, the function `Transaction::begin(connection, ..)`), and
//!   `sqlx::Any`, which hides the driver's errors that a verdict needs.
//! - `sqlx::Connection` cannot be implemented by a wrapper; its methods are there through the driver's
//!   connection, and [`ping`](GuardedConnection::ping) guarded.
//! - After a statement was given up, at its deadline or by dropping its future, its connection refuses
//!   every other, `COMMIT` and `ROLLBACK` too ([`Refused::Abandoned`](crate::Refused::Abandoned)), and
//!   is closed when it is dropped; the server then rolls back.
//! - Closing a connection does not stop its statement on the server. One that waits there for a lock
//!   keeps its backend until the server notices: set a `statement_timeout` (PostgreSQL) or
//!   `max_statement_time` (MariaDB) a little shorter than [`query_timeout`](PoolOptions::query_timeout).
//! - An in-memory SQLite database lives in its connection: a statement that is given up in the middle
//!   closes it.

mod acquire;
mod adapter;
mod cache;
mod connect;
mod connection;
mod driver;
mod error;
mod executor;
mod mapper;
#[cfg(feature = "sqlx-mysql")]
pub mod mysql;
mod operation;
mod options;
mod pool;
#[cfg(feature = "sqlx-postgres")]
pub mod postgres;
mod read;
mod serve;
mod shared_error;
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
pub use mapper::Readable;
#[cfg(feature = "sqlx-mysql")]
pub use mysql::{MySqlPool, MySqlPoolOptions, MySqlTransaction};
pub use options::{DEFAULT_ALIVE_BYPASS, PoolOptions};
pub use pool::Pool;
#[cfg(feature = "sqlx-postgres")]
pub use postgres::{PgPool, PgPoolOptions, PgTransaction};
pub use read::{Read, ReadExt};
#[cfg(feature = "sqlx-sqlite")]
pub use sqlite::{SqlitePool, SqlitePoolOptions, SqliteTransaction};
pub use transaction::Transaction;
pub use write::{Write, WriteExt};
