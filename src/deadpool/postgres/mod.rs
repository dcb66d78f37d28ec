//! Guarded pools for PostgreSQL: [deadpool-postgres](https://docs.rs/deadpool-postgres)' types
//! under the same names.
//!
//! ```no_run
//! use fusepool::deadpool::postgres::{Config, Pool, Runtime}; // was: deadpool_postgres::{..}
//! use tokio_postgres::NoTls;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = Config::new();
//! config.host = Some("localhost".to_owned());
//! config.dbname = Some("shop".to_owned());
//! let pool: Pool = config.create_pool(Some(Runtime::Tokio1), NoTls)?;
//!
//! let mut client = pool.get().await?;
//! let rows = client.query("SELECT name FROM dish WHERE price < $1", &[&10]).await?;
//! let transaction = client.transaction().await?;
//! transaction.execute("DELETE FROM dish", &[]).await?;
//! transaction.commit().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Settings
//!
//! The [settings of any deadpool pool](super#settings-1), through [`Config::builder`] or
//! [`Pool::builder`], and these:
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | [`alive_bypass`](PoolBuilder::alive_bypass) | 500 ms | connections that were leased within this time are not tested before use; the test of an older one has the recycle timeout |
//! | [`probe_query`](PoolBuilder::probe_query) | `SELECT 1` | the statement of the probes |
//! | [`cache_bytes`](PoolBuilder::cache_bytes) | 64 MiB | memory limit for cached reads |
//!
//! # Statements
//!
//! While the breaker is open, statements on a [`Client`] are refused and statements in a
//! [`Transaction`] pass. Statements in a transaction by hand pass, too, if its `BEGIN` and its
//! `COMMIT` or `ROLLBACK` are sent by `batch_execute` or `simple_query`. Each statement has the
//! pool's `query_timeout`, or the deadline given to [`with_timeout`](Client::with_timeout).
//!
//! If a statement is abandoned, by its deadline or because its future was dropped, every later
//! statement on its connection is refused ([`Refused::Abandoned`](crate::Refused::Abandoned)). When
//! the client is dropped, fusepool asks the server to cancel the statement, over the same TLS and
//! for at most one second, waits [until the server has stopped](crate#abandoned-statements), and then
//! closes the connection. The connection is never leased again, so a late cancel request cannot hit
//! another caller's statement.
//!
//! # Cached reads and other fallbacks
//!
//! [`Pool::cached`] reads through the cache of the pool, and [`Read`] adds the fallbacks.
//! [`Client::invalidates`] names the tags that a write invalidates; in a transaction, they take effect
//! when it is committed. `Pool::cache` invalidates cached answers by hand, and reports the state of the
//! cache.
//!
//! # Errors
//!
//! Statements return `tokio_postgres::Error`, [`get`](Pool::get) returns [`PoolError`].
//! [`refusal`](crate::refusal) finds the refusal in either. [`delivery`] says whether a failed
//! statement may have reached the database.
//!
//! | what happened | error | [`delivery`] |
//! |---|---|---|
//! | no client: refused | [`PoolError::Refused`] with [`Refused`](crate::Refused) | nothing was sent |
//! | no client in time | [`PoolError::Timeout`] | nothing was sent |
//! | opening a connection failed | [`PoolError::Backend`] | nothing was sent |
//! | the statement was refused | "error communicating with the server", with the source [`Refused`](crate::Refused) | not sent |
//! | the statement exceeded its deadline | the same, with the source [`DeadlineExceeded`](crate::DeadlineExceeded) | unknown |
//! | the connection broke | the driver's error | unknown |
//! | the database answered with an error | the driver's error, with a `DbError` | answered; unknown, if the code says so or the session ended |
//!
//! The driver's errors print without their sources, so a refused statement prints only "error
//! communicating with the server". Check [`refusal`](crate::refusal) and
//! [`deadline_exceeded`](crate::deadline_exceeded) first, or log the sources, too.
//!
//! # What errors mean
//!
#![doc = include_str!("../../outcome/sqlstate.md")]
//!
//! The driver's other errors:
//!
//! | error | [`Class`](crate::Class) |
//! |---|---|
//! | of the connection, or of data received over it | `Failure` |
//! | of the login, if client and server agree on no method | `Denied` |
//! | detected before anything is sent, such as a parameter of the wrong type; a refusal of any pool | `Ignored` |
//! | an answer other than expected, such as two rows for `query_one` | `Success` |
//!
//! They are distinguished by their text, because the driver exposes nothing else. [`classify`] is
//! this classification as a function, for use in a custom one.
//!
//! # What differs from deadpool-postgres
//!
//! - Everything that differs with [any manager](super#what-differs-from-deadpool).
//! - [`Manager`] is fusepool's own type, because it must know how to cancel statements. It
//!   dereferences to deadpool-postgres' `Manager`. So an existing `deadpool_postgres::Pool` cannot
//!   be converted to a [`Pool`]. It can be converted to a
//!   [`fusepool::deadpool::Pool`](super::Pool), whose statements are guarded only through
//!   `Object::guard`.
//! - [`Config`] is fusepool's own type with the same fields. It can be converted from
//!   deadpool-postgres' `Config`, and its `Debug` hides secrets. `target_session_attrs`,
//!   `channel_binding` and `load_balance_hosts` take effect, which they do not in deadpool-postgres
//!   0.14.
//! - To deserialize a [`Config`], enable the feature `serde` of fusepool instead of
//!   deadpool-postgres'.
//! - Streams of rows (`query_raw` and `query_typed_raw`) and `COPY` are guarded until the server
//!   has accepted the statement. What comes after has no deadline and is not recorded.
//!   `simple_query_raw` and `query_portal_raw` do not wait for the server: they can be refused, but
//!   they have no deadline and their answers are not recorded.
//! - [`GenericClient`] is not sealed.
//! - Calls on [`ClientWrapper`] or [`tokio_postgres::Client`], to which a [`Client`] dereferences,
//!   and on [`tokio_postgres::Transaction`], to which a [`Transaction`] dereferences, are not
//!   guarded. This applies, for example, to a function that takes one of these types.

mod client;
mod config;
mod configured;
mod dialect;
mod error;
mod forge;
mod generic_client;
mod manager;
mod pool;
mod read;
mod statements;
mod texts;
mod transaction;
mod transaction_builder;
mod watch;

pub use client::Client;
pub use config::Config;
pub use configured::Configured;
pub use deadpool_postgres::{
    ChannelBinding, ClientWrapper, ConfigConnectImpl, ConfigError, Connect, LoadBalanceHosts,
    ManagerConfig, RecyclingMethod, SslMode, StatementCache, StatementCaches, TargetSessionAttrs,
    tokio_postgres,
};
pub use dialect::DEFAULT_ALIVE_BYPASS;
pub use error::{classify, delivery};
pub use generic_client::GenericClient;
pub use manager::Manager;
pub use pool::{Pool, PoolBuilder, WeakPool};
pub use read::Read;
pub use read::error::ReadError;
pub use transaction::Transaction;
pub use transaction_builder::TransactionBuilder;

pub use super::error::BuildError;
pub use crate::cache::handle::Cache;
pub use deadpool::Runtime;
pub use deadpool::managed::{
    Metrics, ObjectId, PoolConfig, QueueMode, Status, TimeoutType, Timeouts,
};

/// A leased client, under deadpool's name for a leased object.
pub type Object = Client;
/// Why no client was leased.
pub type PoolError = super::error::PoolError<tokio_postgres::Error>;
/// Why a pool could not be created from a [`Config`].
pub type CreatePoolError = super::error::CreatePoolError<ConfigError>;
/// A hook that a pool runs when it creates or recycles a connection.
pub type Hook = deadpool::managed::Hook<Manager>;
/// The error of a [`Hook`].
pub type HookError = deadpool::managed::HookError<tokio_postgres::Error>;
