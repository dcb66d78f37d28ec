//! Guarded pools for [diesel-async](https://docs.rs/diesel-async): its types under the same names.
//!
//! What is imported from `diesel_async` and its `pooled_connection` comes from here instead; traits,
//! queries and functions stay as they are:
//!
#![cfg_attr(feature = "diesel-postgres", doc = "```no_run")]
#![cfg_attr(not(feature = "diesel-postgres"), doc = "```ignore")]
//! use diesel::prelude::*;
//! use diesel_async::{AsyncConnection, RunQueryDsl};
//! use fusepool::deadpool::diesel::{AsyncDieselConnectionManager, AsyncPgConnection, Pool};
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
//! | | refused while open | deadline | recorded |
//! |---|---|---|---|
//! | `pool.get()` | yes | `acquire_timeout` | yes |
//! | a statement on a connection: `load`, `execute`, `first`, `save_changes`, `batch_execute`, ... | yes | `query_timeout` | yes |
//! | `BEGIN` | yes | `query_timeout` | yes |
//! | a statement in a transaction, `COMMIT`, `ROLLBACK`, savepoints | no: it holds its locks already | `query_timeout` | yes |
//! | any of these by [`with_timeout`](Connection::with_timeout) | as without | its own | yes |
//! | the rows after a query's first | no | `query_timeout` for each wait | if it goes wrong |
//! | PostgreSQL: pipelined statements, by `&conn` | no | `query_timeout` | yes |
//! | [`unguarded`](Connection::unguarded), `notifications_stream` | no | no | no |
//!
//! A transaction is diesel's own, or one that is begun and ended by `batch_execute`.
//!
//! A connection whose statement was given up, by a deadline or because its future was dropped, is never
//! used again: the server is told to stop, for at most a second, and the connection is closed. Until then
//! every other statement on it fails with
//! [`BrokenTransactionManager`](diesel::result::Error::BrokenTransactionManager).
//!
//! Where a `custom_setup` connects to PostgreSQL over TLS, give the pool's builder the same TLS by
//! [`cancel_tls`](PoolBuilder::cancel_tls): a connection does not tell how it was opened. Without,
//! PostgreSQL is told in clear text, which it takes whatever `pg_hba.conf` says; but with
//! `sslmode=require`, or if something before the server wants TLS, it is not told, and the statement runs
//! on to its end or its `statement_timeout`.
//!
//! # What goes wrong
//!
//! | what happened | as `diesel::result::Error` | found by | [`delivery`] |
//! |---|---|---|---|
//! | refused | `QueryBuilderError` | [`refusal`](crate::refusal) | `NotSent` |
//! | the deadline was missed | `DeserializationError` | [`deadline_exceeded`](crate::deadline_exceeded) | `Unknown` |
//! | the connection failed | diesel-async's | | `Unknown` |
//! | the server answered with an error | diesel-async's | | `Answered` |
//!
//! These two of diesel's variants hold an error of whoever makes them; a `DatabaseError` holds only text,
//! in which no `retry_after` could be found.
//!
//! # What it means
//!
//! By default, which [`classify`] is as a function, and unless [`PoolBuilder::classify`] says otherwise.
//! That takes a `diesel_async::pooled_connection::PoolError`, which is not the [`PoolError`] of this
//! module; a statement's error is its `QueryError`:
//!
//! | error | [`Class`](crate::Class) |
//! |---|---|
//! | `UnableToSendCommand`, `ClosedConnection`; on MySQL, what the driver and not the server says | `Failure` |
//! | `BadConnection` | `Failure` |
//! | what the client itself finds wrong: `QueryBuilderError`, `SerializationError`, a wrong number of parameters, an invalid URL | `Ignored` |
//! | `DeserializationError`, `NotFound` | `Answered` |
//! | any other `DatabaseError` | as below |
//!
//! diesel-async drops the code of a server's error. What is left is a kind for some, and the message, from
//! which the code is read back, **if it is in English**; then the tables are those of all drivers:
//!
//! - PostgreSQL: `SerializationFailure` 40001, `ReadOnlyTransaction` 25006, by their messages 53100, 53200,
//!   53300, 57P01, 57P02, 57P03, 57P05, 57014, 55P03, 40P01, 58030, 58P01, XX001, 28P01.
//! - MySQL, MariaDB: by their messages 1040, 1045 (and 1044), 1047, 1053, 1129, 1158 to 1161, 1205, 1213,
//!   1290, 1317, 1836, 1927, 1969, 3024, 4031.
//!
//! Whatever is not known is an answer. Where `lc_messages` is another language, a server that is shutting
//! down is found out only when its connections break.
//!
//! # What differs from diesel-async
//!
//! - [`AsyncPgConnection`] and [`AsyncMysqlConnection`] are guarded connections, which only a pool gives
//!   out: `AsyncPgConnection::establish` fails. What opens connections by itself, such as a
//!   `custom_setup`, goes on with the driver's, `diesel_async::AsyncPgConnection`.
//! - A function that takes `&mut diesel_async::AsyncPgConnection` does not take a guarded one: its import
//!   changes, or it takes `&mut impl AsyncConnection<Backend = Pg>`, or it is given what
//!   [`unguarded`](Connection::unguarded) returns.
//! - [`PoolError`] has one variant more, `Refused`.
//! - The manager does not tell where it connects to: give the breaker a
//!   [name](crate::breaker::Builder::name), or it is `diesel`.
//! - Probes ask `SELECT 1`, whatever the [`RecyclingMethod`].
//! - diesel-async tests each connection before it is leased, unless that method is `Fast`. Whoever waits
//!   for this test counts towards [`max_queue`](PoolBuilder::max_queue), and where it takes longer than
//!   [`recycle_timeout`](PoolBuilder::recycle_timeout) the connection is replaced: on a slow network, set
//!   that.

mod configured;
mod connection;
mod dialect;
mod driver;
mod error;
#[cfg(feature = "diesel-mysql")]
mod mysql;
mod object;
mod pool;
#[cfg(feature = "diesel-postgres")]
mod postgres;
mod rows;
mod statement;
#[cfg(feature = "diesel-postgres")]
mod transaction_builder;

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
pub use rows::Rows;
#[cfg(feature = "diesel-postgres")]
pub use transaction_builder::TransactionBuilder;
