//! Guarded pools for [diesel-async](https://docs.rs/diesel-async): its types under the same names.
//!
//! This module has all paths of the crate `diesel_async`: replace `diesel_async::` by
//! `fusepool::deadpool::diesel::`. Types of connections and pools are guarded; traits and all else are
//! diesel-async's own.
//!
#![cfg_attr(feature = "diesel-postgres", doc = "```no_run")]
#![cfg_attr(not(feature = "diesel-postgres"), doc = "```ignore")]
//! use diesel::prelude::*;
//! use fusepool::deadpool::diesel::pooled_connection::{AsyncDieselConnectionManager, deadpool::Pool};
//! use fusepool::deadpool::diesel::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
//!
//! diesel::table! {
//!     users (id) {
//!         id -> Integer,
//!         name -> Text,
//!     }
//! }
//!
//! async fn rename(conn: &mut AsyncPgConnection, user: i32, to: &str) -> QueryResult<usize> {
//!     diesel::update(users::table.find(user))
//!         .set(users::name.eq(to))
//!         .execute(conn)
//!         .await
//! }
//!
//! # fn main() {}
//! # async fn run(url: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let config = AsyncDieselConnectionManager::<AsyncPgConnection>::new(url);
//! let pool: Pool<AsyncPgConnection> = Pool::builder(config).build()?; // or existing_pool.into()
//!
//! let mut conn = pool.get().await?;
//! let names: Vec<String> = users::table.select(users::name).load(&mut conn).await?;
//! conn.transaction(async |conn| rename(conn, 1, "Ada").await).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is guarded
//!
//! | call | refused while open | deadline | recorded |
//! |---|---|---|---|
//! | `pool.get()` | yes | `acquire_timeout` | yes |
//! | a statement on a connection: `load`, `execute`, `first`, `save_changes`, `batch_execute`, ... | yes | `query_timeout` | yes |
//! | `BEGIN` | yes | `query_timeout` | yes |
//! | a statement in a transaction, `COMMIT`, `ROLLBACK`, savepoints | no, because it holds its locks already | `query_timeout` | yes |
//! | any of these statements through [`with_timeout`](Connection::with_timeout) | as without | its own | yes |
//! | the rows of a query after the first | no | `query_timeout` in all, if the caller comes back for each row at once, as `load` does; else for each wait | only errors and missed deadlines |
//! | [`unguarded`](Connection::unguarded), `notifications_stream` | no | no | no |
//!
//! A transaction is one of diesel's, or one that is begun and ended by `batch_execute`. Pipelined
//! statements on PostgreSQL, through `&conn`, are guarded like all others.
//!
//! If a statement is abandoned, by its deadline or because its future was dropped, every later
//! statement on its connection fails with
//! [`BrokenTransactionManager`](diesel::result::Error::BrokenTransactionManager). When the
//! connection is dropped, fusepool asks the server to cancel the statement, for at most one second,
//! waits [until the server has stopped](crate#abandoned-statements), and then closes the connection.
//! It is never leased again.
//!
//! For PostgreSQL over TLS, use `Pool::builder_with_tls`. If the pool has a `custom_setup` of your own that
//! connects over TLS, give the same TLS to the pool's builder with
//! [`cancel_tls`](PoolBuilder::cancel_tls), because fusepool cannot learn it from a connection. Without it, the cancel request is sent unencrypted. PostgreSQL accepts that,
//! whatever `pg_hba.conf` says. But with `sslmode=require`, or behind a proxy that requires TLS,
//! the request is not delivered: the statement runs until it ends or reaches its
//! `statement_timeout`, and its connection keeps its place in the pool meanwhile, up to
//! `query_timeout`.
//!
//! # Cached reads and other fallbacks
//!
//! [`ReadExt`] adds `cached` to every query of diesel, and [`Read`] adds the fallbacks. The query is
//! then loaded from the pool, not from a connection. [`Connection::invalidates`] names the tags that a
//! write invalidates; in a transaction, they take effect when it is committed. `Pool::cache`
//! invalidates cached answers by hand, and reports the state of the cache.
//!
//! # Errors
//!
//! | what happened | `diesel::result::Error` | found by | [`delivery`] |
//! |---|---|---|---|
//! | the statement was refused | `QueryBuilderError` | [`refusal`](crate::refusal) | `NotSent` |
//! | the statement exceeded its deadline | `DeserializationError` | [`deadline_exceeded`](crate::deadline_exceeded) | `Unknown` |
//! | the connection failed | diesel-async's error | | `Unknown` |
//! | the server answered with an error | diesel-async's error | | `Answered` |
//!
//! The first two variants can hold any error. A `DatabaseError` holds only text, so it could not
//! hold a `retry_after`.
//!
//! # What errors mean
//!
//! This is the default, available as the function [`classify`]. [`PoolBuilder::classify`] replaces
//! it. That takes a `diesel_async::pooled_connection::PoolError`, which is not the [`PoolError`] of
//! this module. The error of a statement is its variant `QueryError`.
//!
//! | error | [`Class`](crate::Class) |
//! |---|---|
//! | `UnableToSendCommand`, `ClosedConnection`; on MySQL, errors of the driver and not of the server | `Failure` |
//! | `BadConnection` | `Failure` |
//! | errors detected by the client: `QueryBuilderError`, `SerializationError`, a wrong number of parameters, an invalid URL | `Ignored` |
//! | `DeserializationError`, `NotFound` | `Success` |
//! | any other `DatabaseError` | see below |
//!
//! diesel-async drops the code of a server's error. It keeps a kind for some errors, and the
//! message. fusepool derives the code from these, **if the message is in English**, and then
//! classifies the code as with the other drivers:
//!
//! - PostgreSQL: by kind, 40001 (`SerializationFailure`) and 25006 (`ReadOnlyTransaction`); by
//!   message, 40003, 53100, 53200, 53300, 57P01, 57P02, 57P03, 57P05, 57014, 55P03, 40P01, 58030,
//!   58P01, XX001, 28P01, and the errors of poolers. A session is known to have ended by a message
//!   that starts with `terminating connection`.
//! - MySQL, MariaDB: by message, 1021, 1028, 1030, 1040, 1041 (and 1037), 1042, 1043, 1045 (and 1044),
//!   1047, 1049, 1053, 1079, 1105, 1129, 1130, 1135, 1152, 1158 to 1161, 1203, 1205, 1213, 1226, 1290,
//!   1317, 1820, 1836, 1862, 1874, 1907, 1927, 1969, 2006, 2013, 3024, 3032, 3159, 3168, 4031, 9001,
//!   9002, 9501.
//!
//! An error with any other message is a `Success`, or `Denied` if it answers the opening of a
//! connection. If `lc_messages` is another language, fusepool
//! notices a server that shuts down only when its connections break.
//!
//! # What differs from diesel-async
//!
//! - [`AsyncPgConnection`] and [`AsyncMysqlConnection`] are guarded connections. One that is opened
//!   outside of a pool, by `establish` or from the driver's by `into()`, has a breaker of its own and
//!   the same deadlines: give a migration more time by [`with_timeout`](Connection::with_timeout). A
//!   `custom_setup` and a [`Hook`] use the driver's type, `diesel_async::AsyncPgConnection`.
//! - A function that takes `&mut diesel_async::AsyncPgConnection` does not accept a guarded
//!   connection. Change its import, let it take `&mut impl AsyncConnection<Backend = Pg>`, or pass
//!   it the connection that [`unguarded`](Connection::unguarded) returns.
//! - [`PoolError`] has one more variant, `Refused`.
//! - The manager does not expose the address that it connects to. By default, the
//!   pools of a process are `diesel`, `diesel-2`, and so on: set the breaker's
//!   [name](crate::breaker::Builder::name).
//! - Probes send `SELECT 1`, whatever the [`RecyclingMethod`], or the
//!   [`probe_query`](PoolBuilder::probe_query).
//! - diesel-async tests each connection before it is leased, unless the [`RecyclingMethod`] is
//!   `Fast`. Callers that wait for this test count towards [`max_queue`](PoolBuilder::max_queue).
//!   If the test takes longer than [`recycle_timeout`](PoolBuilder::recycle_timeout), the
//!   connection is replaced: on a slow network, set a longer one.

mod configured;
mod connection;
mod dialect;
mod driver;
mod error;
#[cfg(feature = "diesel-mysql")]
mod mysql;
mod object;
mod own;
#[cfg(feature = "diesel-postgres")]
pub mod pg;
mod pool;
pub mod pooled_connection;
#[cfg(feature = "diesel-postgres")]
mod postgres;
mod read;
mod rows;
mod statement;
mod texts;
#[cfg(feature = "diesel-postgres")]
mod transaction_builder;

// diesel-async's traits and other items. Those that are named below take the place of its own.
pub use diesel_async::*;

pub use super::error::BuildError;
pub use configured::Configured;
pub use connection::Connection;
pub use driver::Driver;
pub use error::{classify, delivery};
#[cfg(feature = "diesel-mysql")]
pub use mysql::AsyncMysqlConnection;
pub use object::Object;
pub use pool::{
    AsyncDieselConnectionManager, Hook, HookError, Leased, ManagerConfig, Pool, PoolBuilder,
    PoolError, RecyclingMethod, WeakPool,
};
#[cfg(feature = "diesel-postgres")]
pub use postgres::AsyncPgConnection;
pub use read::{Read, ReadError, ReadExt};
pub use rows::Rows;
#[cfg(feature = "diesel-postgres")]
pub use transaction_builder::TransactionBuilder;
